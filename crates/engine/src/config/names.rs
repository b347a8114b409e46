//! Names: which are allowed, how they are quoted, and which one was probably meant.

/// The longest name, in bytes: it becomes a directory.
const LONGEST: usize = 64;

/// How many candidates are compared with a word: nobody has more, except to make this slow.
const COMPARED: usize = 200;

/// What a stage or pipeline name looks like, for help texts.
pub(super) const STAGE_NAME_HELP: &str =
    "a name starts with a letter and has up to 64 of `a-z`, `0-9`, `_` and `-`, all lower case";
/// What a param or axis name looks like, for help texts.
pub(super) const PARAM_NAME_HELP: &str =
    "a name starts with a letter and has up to 64 of `a-z`, `0-9` and `_`, all lower case";

/// The pattern of stage and pipeline names.
///
/// Only lower case, so that two names never fall together on a file system that ignores case; no dot, so that
/// `stage.output` is never in doubt and no name climbs out of a directory.
pub(super) const STAGE_NAME_PATTERN: &str = "^[a-z][a-z0-9_-]{0,63}$";
/// The pattern of param, axis, port and output names.
pub(super) const PARAM_NAME_PATTERN: &str = "^[a-z][a-z0-9_]{0,63}$";

/// Whether `name` can name a stage or a pipeline: it matches `^[a-z][a-z0-9_-]{0,63}$`.
pub fn is_stage_name(name: &str) -> bool {
    is_name(name, |byte| byte == b'_' || byte == b'-')
}

/// Whether `name` can name a param, an axis or an output: it matches `^[a-z][a-z0-9_]{0,63}$`.
pub fn is_param_name(name: &str) -> bool {
    is_name(name, |byte| byte == b'_')
}

fn is_name(name: &str, also: impl Fn(u8) -> bool) -> bool {
    name.len() <= LONGEST
        && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || also(byte))
}

/// What other tools call a setting, and names of ours that mean it.
const ELSEWHERE: &[(&[&str], &[&str])] = &[
    (&["lr", "learn_rate", "step_size", "eta"], &["learning_rate"]),
    (&["weight_decay", "reg", "regularization", "reg_weight"], &["l2", "weight_decay", "regularisation"]),
    (&["l2", "regularisation"], &["l2", "weight_decay", "regularisation"]),
    (&["eps"], &["epsilon"]),
    (&["criterion", "objective", "loss_fn"], &["loss"]),
    (&["optim", "learner"], &["optimizer"]),
    (&["bs", "batch", "train_batch_size"], &["batch_size"]),
    (&["n_epochs", "num_epochs", "max_epochs"], &["epochs"]),
    (&["iterations", "n_iter"], &["epochs", "sweeps", "steps"]),
    (&["early_stopping", "early_stopping_patience", "stopping_step"], &["patience"]),
    (&["random_state", "random_seed"], &["seed"]),
    (&["dim", "latent_dim", "n_factors", "num_factors", "embedding_size", "embedding_dim"], &["factors"]),
    (&["hidden_units", "mlp_hidden_size", "hidden_dims", "hidden_size"], &["hidden"]),
    (&["num_layers", "n_layers"], &["layers"]),
    (&["dropout_prob", "dropout_rate"], &["dropout"]),
    (&["drop_rate"], &["max_drop_rate"]),
    (&["num_neg", "num_ng", "num_negatives", "n_neg", "n_negatives", "neg_ratio"], &["negatives"]),
    (&["topk", "top_k", "cutoff", "cutoffs"], &["k"]),
    (&["neighbors", "n_neighbors", "k_neighbors"], &["neighbours"]),
    (&["hit_rate", "hit_ratio", "hit"], &["hr"]),
    (&["sep", "delimiter", "field_separator"], &["separator"]),
    (&["user_col", "userid", "uid"], &["user", "user_id"]),
    (&["item_col", "itemid", "iid"], &["item", "item_id"]),
    (&["time", "date", "datetime", "ts"], &["timestamp"]),
    (&["stars"], &["rating"]),
    (&["depends_on", "deps", "needs"], &["inputs"]),
    (&["type", "op"], &["kind"]),
];

fn plain(text: &str) -> String {
    text.to_lowercase().replace('-', "_")
}

/// Whether `word` is this name, but for case and `-` for `_`, or what other tools call it.
pub fn is_called(name: &str, word: &str) -> bool {
    let word = plain(word);
    plain(name) == word
        || ELSEWHERE.iter().any(|(theirs, ours)| theirs.contains(&word.as_str()) && ours.contains(&name))
}

/// The candidate that was probably meant by `word`, if there is one: what is called so, or what is close enough, with at
/// most one edit for each three characters, counting a swap of neighbours as one edit, and case and `-` for `_` as none.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let candidates: Vec<&str> = candidates.into_iter().take(COMPARED).collect();
    // `lr` is one edit from `l2`, and another thing.
    let called = candidates.iter().find(|name| plain(name) == plain(word));
    if let Some(called) = called.or_else(|| candidates.iter().find(|name| is_called(name, word))) {
        return Some(called);
    }
    let word = plain(word);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .filter_map(|candidate| {
            let length = word.chars().count().max(candidate.chars().count());
            let distance = strsim::osa_distance(&word, &plain(candidate));
            (distance <= (length / 3).max(1) && distance < length).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or the list of what there is.
pub(super) fn did_you_mean<'a>(word: &str, what: &str, candidates: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(close) = suggest(word, candidates.clone()) {
        return format!("did you mean `{close}`? {what}: {}", list(candidates));
    }
    format!("{what}: {}", list(candidates))
}

/// "`a`, `b`, `c`", cut after twelve; "none" when there are none.
fn list<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    const LISTED: usize = 12;
    let more = names.clone().count().saturating_sub(LISTED);
    let text = names.take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (text.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => text,
        (false, _) => format!("{text} and {more} more"),
    }
}

/// Text of the user in backticks, short and on one line.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).flat_map(escape).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn escape(c: char) -> impl Iterator<Item = char> {
    let hidden = crate::config::view::unprintable(c) || c.is_control();
    let escaped = hidden.then(|| c.escape_debug());
    let plain = (!hidden).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stage_names() {
        for good in ["a", "train", "train-2", "a_b", &"a".repeat(64)] {
            assert!(is_stage_name(good), "{good}");
        }
        for bad in ["", "A", "2a", "_a", "-a", "a.b", "a/b", "..", "é", "a b", "a\n", "a\0", &"a".repeat(65)] {
            assert!(!is_stage_name(bad), "{bad}");
        }
    }

    #[test]
    fn param_names_have_no_dash() {
        assert!(is_param_name("k_core_2"));
        assert!(!is_param_name("k-core"));
    }

    #[test]
    fn the_close_candidate_is_suggested() {
        let keys = ["kind", "inputs", "matrix", "seed"];
        assert_eq!(suggest("input", keys), Some("inputs"));
        assert_eq!(suggest("knid", keys), Some("kind"));
        assert_eq!(suggest("Matrix", keys), Some("matrix"));
        assert_eq!(suggest("epochs", keys), None);
        assert_eq!(suggest("", keys), None);
        assert_eq!(suggest("learning-rate", ["learning_rate"]), Some("learning_rate"));
        assert_eq!(suggest("x", ["y"]), None, "nothing in common");
        assert_eq!(suggest("lr", ["l2", "learning_rate"]), Some("learning_rate"));
        assert_eq!(suggest("weight-decay", ["kind", "l2"]), Some("l2"));
        assert_eq!(suggest("delimiter", ["separator"]), Some("separator"));
    }

    #[test]
    fn quoted_text_is_short_and_on_one_line() {
        assert_eq!(quote("a\n\u{1b}é"), r"`a\n\u{1b}é`");
        assert_eq!(quote(&"a".repeat(61)).chars().count(), 63);
    }

    proptest! {
        #[test]
        fn an_existing_name_is_always_its_own_suggestion(name in "[a-z][a-z0-9_]{0,20}") {
            prop_assume!(name.len() > 1);
            prop_assert_eq!(suggest(&name, ["zzzz", name.as_str()]), Some(name.as_str()));
        }
    }
}
