//! Helps for names that do not exist.

use std::collections::BTreeSet;

use crate::artifacts::metrics::OF_POPULARITY;
use crate::stage::{Connected, Measures, ParamError};

/// Refuses an axis of repetitions that no run has. The default need not be one: then nothing is repeated.
pub(super) fn refuse_unknown_repeat(repeat: &str, runs: &[Connected]) -> Result<(), ParamError> {
    let axes = || runs.iter().flat_map(|run| run.cell.keys().chain(&run.axes));
    if repeat == seed() || axes().any(|axis| axis == repeat) {
        return Ok(());
    }
    let help = known(repeat, "axes of the connected runs", axes().map(String::as_str));
    Err(ParamError::new("repeat", format!("no connected run is of a matrix with the axis `{repeat}`")).help(help))
}

/// What all these runs measure together, without the metrics of their popularity baselines; `None` if it is not known of
/// one of them.
pub(super) fn measured(runs: &[Connected]) -> Option<Measures> {
    let mut all = Measures::new();
    for run in runs {
        for (protocol, names) in run.measures.as_deref()? {
            let own = names.iter().filter(|name| !name.starts_with(OF_POPULARITY)).cloned();
            all.entry(protocol.clone()).or_default().extend(own);
        }
    }
    Some(all)
}

/// Refuses a metric that none of these results has, in the protocol if one is given.
///
/// # Errors
/// Names `parameter`, or `protocol_parameter` where results have no such protocol, or several and none is given.
pub(super) fn refuse_unmeasured(
    metric: &str,
    protocol: Option<&str>,
    there: &Measures,
    [parameter, protocol_parameter]: [&str; 2],
) -> Result<(), ParamError> {
    let Some((protocol, names)) = of_protocol(protocol, there, "no result is", protocol_parameter)? else {
        return Ok(());
    };
    if names.contains(metric) {
        return Ok(());
    }
    let message = format!("no result of the protocol `{protocol}` has the metric `{metric}`");
    Err(ParamError::new(parameter, message).help(unmeasured(metric, names, there)))
}

/// A protocol and the metrics that are measured in it: the one that is asked for, or the only one. `None` without any.
///
/// # Errors
/// Names `parameter` if there is no such protocol, which `none` ("no result is") begins to say, or if there are several and
/// none is asked for.
pub(super) fn of_protocol<'a>(
    asked: Option<&str>,
    there: &'a Measures,
    none: &str,
    parameter: &str,
) -> Result<Option<(&'a String, &'a BTreeSet<String>)>, ParamError> {
    let protocols = || there.keys().map(String::as_str);
    match asked {
        Some(protocol) => there.get_key_value(protocol).map(Some).ok_or_else(|| {
            ParamError::new(parameter, format!("{none} of the protocol `{protocol}`")).help(known(
                protocol,
                "protocols",
                protocols(),
            ))
        }),
        None if there.len() > 1 => {
            let all: Vec<&str> = protocols().collect();
            Err(ParamError::new(parameter, format!("results are of the protocols {}", all.join(" and ")))
                .help("say which: `protocol: full` or `protocol: sampled`"))
        }
        None => Ok(there.iter().next()),
    }
}

/// What to do about a metric that is not among these, but perhaps among those of another protocol.
pub(super) fn unmeasured<'a>(metric: &str, own: impl IntoIterator<Item = &'a String>, there: &Measures) -> String {
    match there.iter().find(|(_, names)| names.contains(metric)) {
        Some((other, _)) => format!("the protocol `{other}` has it"),
        None => format!(
            "{}; `metrics` and `k` of the evaluating stage say which are computed",
            known(metric, "there are", own.into_iter().map(String::as_str))
        ),
    }
}

/// The axis of repetitions by default.
pub(super) fn seed() -> String {
    "seed".to_owned()
}

/// Names that are listed in a message.
const LISTED: usize = 12;

/// What to do about `word`, which is none of these: the name that was probably meant, and all there are.
pub(super) fn known<'a>(word: &str, what: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    let meant = near(word, &names).map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    let listed: Vec<String> = names.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
    let listed = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
    let more = names.len().saturating_sub(LISTED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{meant}{what}: {listed}{more}")
}

/// The name that differs from `word` in at most one character of three.
fn near<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &str| strsim::osa_distance(word, name);
    let near = names.iter().map(|name| (distance(name), *name)).min_by_key(|(distance, _)| *distance);
    let close = |distance: usize, name: &str| {
        let longer = word.chars().count().max(name.chars().count());
        distance <= (longer / 3).max(1) && distance < longer
    };
    near.filter(|(distance, name)| close(*distance, name)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_all_are_listed_once() {
        assert_eq!(
            known("trian", "stages", ["train", "split", "train"]),
            "did you mean `train`? stages: `split`, `train`"
        );
        assert_eq!(known("x", "stages", ["train"]), "stages: `train`");
        assert_eq!(known("x", "stages", []), "stages: none");
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (10..30).map(|n| format!("stage-{n}")).collect();
        let text = known("nothing", "stages", names.iter().map(String::as_str));
        assert!(text.ends_with("`stage-21` and 8 more"), "{text}");
    }
}
