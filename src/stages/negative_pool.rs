//! The stage `negative_pool`: negatives drawn once for all that is compared.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::pool::{DRAWN, EVAL, IDS, Pool, TRAIN};
use crate::artifacts::split::{Split, SplitTables};
use crate::data;
use crate::data::csr::Csr;
use crate::data::frame::{FrameMeta, ITEM, USER, dense_ids};
use crate::data::pool::{Draw, EvalPool, ShortPool, TrainPool, Window};
use crate::data::proposal::{Proposal, Weights};
use crate::data::rng::{Philox, Stream};
use crate::data::scan::{Bounds, Group, Piece, Scan, each_group, each_piece};
use crate::stage::Class;
use crate::stage::{Context, OutFile, Output, ParamError, Port, Result, Stage};

/// He et al. (2017) rank against 99 negatives.
const EVAL_NEGATIVES: u32 = 99;
/// He et al. (2017) train with 4 negatives for each positive.
const TRAIN_NEGATIVES: u32 = 4;
/// The exponent of word2vec's negative sampling (Mikolov et al., 2013).
const ALPHA: f64 = 0.75;

/// Draws negatives once, so that everything that is compared is ranked against the same candidates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NegativePool {
    /// Which positives of a user are never drawn.
    pub exclude: PoolExclude,
    /// What happens when a user has fewer items left than are to be drawn.
    pub short_pool: ShortPool,
    /// The candidates that each user's held-out positives are ranked against, all different (99 by default).
    pub eval: Sampled,
    /// Fixed training negatives for each training positive (4 by default). Without this key there are none, and
    /// training draws its own in every epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<Sampled>,
}

/// Which positives of a user are never drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolExclude {
    /// All of them: in training, validation and test.
    #[default]
    All,
    /// Those in training, as many published experiments do. Evaluation candidates leave out as well what the user is
    /// tested on (or validated on, without a test positive), because nothing is ranked against itself.
    Train,
}

/// How many negatives are drawn, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sampled {
    /// How many: for each user (evaluation), or for each positive (training).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub negatives: Option<u32>,
    /// How likely each item is.
    pub sampling: Sampling,
    /// The exponent of popularity; 0.75 by default, and only with `sampling: popularity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16))]
    pub alpha: Option<f64>,
}

/// How likely each item is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// All alike.
    #[default]
    Uniform,
    /// In proportion to max(training positives, 1) ^ alpha.
    Popularity,
}

impl Sampled {
    fn normalise(&mut self, name: &str, negatives: u32) -> Result<(), ParamError> {
        if *self.negatives.get_or_insert(negatives) == 0 {
            let error = ParamError::new(&format!("{name}.negatives"), "there is nothing to draw");
            return Err(error.help(format!("give a number from 1 on, such as {negatives}")));
        }
        match (self.sampling, self.alpha) {
            (Sampling::Uniform, Some(_)) => {
                let error = ParamError::new(&format!("{name}.alpha"), "uniform sampling has no exponent");
                return Err(error.help("leave it out, or set `sampling: popularity`"));
            }
            (Sampling::Popularity, Some(alpha)) if !(0.0..=16.0).contains(&alpha) => {
                return Err(ParamError::new(&format!("{name}.alpha"), format!("{alpha} is not from 0 to 16")));
            }
            (Sampling::Popularity, None) => self.alpha = Some(ALPHA),
            _ => {}
        }
        Ok(())
    }

    fn proposal(&self, split: &SplitTables) -> Result<Proposal> {
        if self.sampling == Sampling::Uniform {
            return Ok(Proposal::Uniform { n_items: split.bounds.items as u32 });
        }
        let counts: Vec<AtomicU32> = (0..split.bounds.items).map(|_| AtomicU32::new(0)).collect();
        let count = |piece: &Piece| {
            for item in dense_ids(&piece.frame, ITEM, counts.len())? {
                counts[item as usize].fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        each_piece(&split.train, Some(&[ITEM]), count, |_| Ok(()))?;
        let counts: Vec<u32> = counts.into_iter().map(AtomicU32::into_inner).collect();
        Ok(Proposal::Weighted(Weights::popularity(&counts, self.alpha.unwrap_or(ALPHA))?))
    }
}

impl Stage for NegativePool {
    const KIND: &'static str = DRAWN;
    const ABOUT: &'static str = "draws negatives once for all that is compared";
    const CHANGES: &'static [&'static str] = &["first version", "which ids it is for"];
    const INPUTS: &'static [Port] = &[Port::one::<Split>("split")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Pool>("pool")];

    fn is_seeded(&self) -> bool {
        true
    }

    fn normalise(mut self) -> Result<Self, ParamError> {
        self.eval.normalise("eval", EVAL_NEGATIVES)?;
        if let Some(train) = &mut self.train {
            train.normalise("train", TRAIN_NEGATIVES)?;
        }
        Ok(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let split: SplitTables = context.input("split")?;
        if split.bounds.items == 0 {
            return Err(data::Fault::data("the split has no items to draw from"));
        }
        let users = evaluated(&split)?;
        let mut extra = BTreeMap::from([("exclude".to_owned(), self.exclude.name().to_owned())]);
        extra.extend(split.ids_digest.clone().map(|digest| (IDS.to_owned(), digest)));
        let meta = FrameMeta {
            seed: Some(context.seed()),
            extra,
            ..FrameMeta::of(Self::KIND).sized(split.bounds.users, split.bounds.items)
        };
        context.fact("exclude", self.exclude.name());

        let negatives = self.eval.negatives.unwrap_or(EVAL_NEGATIVES);
        announce("eval", users + users * u64::from(negatives), context);
        context.progress().start(Some(users), "users");
        let proposal = self.eval.proposal(&split)?;
        let philox = Philox::new(context.seed(), Stream::EvalPool);
        let draw = Draw { proposal: &proposal, philox, negatives: negatives as usize, short: self.short_pool };
        let mut file = context.create(EVAL)?;
        let mut pool = EvalPool::new(&mut file, draw, &meta)?;
        let window = |group| self.exclude.window(group, split.bounds, false);
        each_group([&split.train, &split.valid, &split.test], split.bounds, window, |windows| {
            let done = pool.add(&windows, &mut |users| advance(users, context));
            done.map_err(|error| failure(error, pool.get_ref()))
        })?;
        let drawn = pool.finish().map(|(_, drawn)| drawn).map_err(|error| failure(error, &file))?;
        file.finish()?;
        context.fact("users", drawn.users);
        context.fact("candidates", drawn.negatives);
        context.fact("short_users", drawn.short);
        if drawn.short > 0 {
            let wanted = self.eval.negatives.unwrap_or(EVAL_NEGATIVES);
            let what = match self.short_pool {
                ShortPool::WithReplacement => "have candidates more than once",
                _ => "have a shorter list",
            };
            let (short, all, none) = (drawn.short, drawn.users, drawn.none);
            let none =
                if none > 0 { format!("; {none} of them have no item left and no candidates") } else { String::new() };
            context.warn(format!("{short} of {all} users have fewer than {wanted} items left and {what}{none}"));
        }

        let Some(train) = &self.train else { return Ok(()) };
        let negatives = train.negatives.unwrap_or(TRAIN_NEGATIVES);
        let rows = split.train.rows() as u64 * u64::from(negatives);
        announce("train", 2 * rows, context);
        context.progress().start(Some(rows), "rows");
        let proposal = train.proposal(&split)?;
        let philox = Philox::new(context.seed(), Stream::TrainPool);
        let draw = Draw { proposal: &proposal, philox, negatives: negatives as usize, short: self.short_pool };
        let mut file = context.create(TRAIN)?;
        let mut pool = TrainPool::new(&mut file, draw, &meta)?;
        let window = |group| self.exclude.window(group, split.bounds, true);
        each_group([&split.train, &split.valid, &split.test], split.bounds, window, |windows| {
            let done = pool.add(&windows, &mut |rows| advance(rows, context));
            done.map_err(|error| failure(error, pool.get_ref()))
        })?;
        let drawn = pool.finish().map(|(_, drawn)| drawn).map_err(|error| failure(error, &file))?;
        file.finish()?;
        context.fact("train_negatives", drawn.negatives);
        context.fact("train_short_users", drawn.short);
        if drawn.short > 0 {
            context.warn(format!("{} users have every item and no training negatives", drawn.short));
        }
        Ok(())
    }
}

/// What could not be written, with the name of the file.
fn failure(error: data::Fault, file: &OutFile) -> data::Fault {
    if error.class == Class::Io { file.error(&error) } else { error }
}

/// How many users have a positive to be ranked.
fn evaluated(split: &SplitTables) -> Result<u64> {
    let mut found = vec![false; split.bounds.users];
    for part in [&split.valid, &split.test] {
        let users = |piece: &Piece| {
            let mut users = dense_ids(&piece.frame, USER, split.bounds.users)?;
            users.dedup();
            Ok(users)
        };
        each_piece(part, Some(&[USER]), users, |pieces| {
            pieces.into_iter().flatten().for_each(|user| found[user as usize] = true);
            Ok(())
        })?;
    }
    Ok(found.into_iter().filter(|found| *found).count() as u64)
}

impl PoolExclude {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Train => "train",
        }
    }

    /// What is left out for the users of a group, and whom to draw for: who has a positive to be ranked, or, for `training`,
    /// one to be trained on.
    fn window(self, group: Group<3>, bounds: Bounds, training: bool) -> Result<Window> {
        let Group { first, last, parts: [train, valid, test] } = group;
        let users = if training {
            train.users.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
        } else {
            let mut users = [valid.users.as_slice(), test.users.as_slice()].concat();
            users.sort_unstable();
            users.dedup();
            users.into_iter().map(|user| (user, 1)).collect()
        };
        let tested = |user: &u32| test.users.binary_search(user).is_ok();
        let (n_users, n_items) = (last - first + 1, bounds.items as u32);
        let local = |users: &[u32]| users.iter().map(|user| user - first).collect::<Vec<_>>();
        let (of_train, of_test) = (local(&train.users), local(&test.users));
        let (of_valid, valid): (Vec<u32>, Vec<u32>) = match self {
            Self::All => (local(&valid.users), valid.items),
            // What is validated on is ranked only where nothing is tested on.
            Self::Train => {
                let untested = valid.users.iter().zip(&valid.items).filter(|(user, _)| !tested(user));
                untested.map(|(user, item)| (user - first, *item)).unzip()
            }
        };
        let mut seen = vec![(of_train.as_slice(), train.items.as_slice())];
        if self == Self::All || !training {
            seen.extend([(of_test.as_slice(), test.items.as_slice()), (of_valid.as_slice(), valid.as_slice())]);
        }
        Ok(Window { first, seen: Csr::union(n_users, n_items, &seen)?, users })
    }
}

fn advance(n: u64, context: &Context<'_>) -> Result<()> {
    context.progress().advance(n);
    if context.cancel().is_cancelled() { Err(data::Fault::cancelled()) } else { Ok(()) }
}

/// Says how large a pool will be before it is drawn: at four bytes an id, before compression.
fn announce(pool: &str, ids: u64, context: &Context<'_>) {
    let bytes = ids.saturating_mul(4);
    tracing::debug!(pool, bytes, "drawing negatives; they are written as they are drawn");
    context.fact(&format!("{pool}_bytes"), bytes);
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;
    use serde_json::{Value, json};

    use super::*;
    use crate::artifacts::split::SplitFrames;
    use crate::data::frame::ParquetFile;
    use crate::stage::{Artifact, ArtifactDir, ContextParts, Input, Note, StageKind};

    /// Runs `work` as a stage with the seed 5; gives its output and what it noted.
    fn stage(
        split: Option<&ArtifactDir>,
        work: impl FnOnce(&Context<'_>) -> Result<()>,
    ) -> Result<(tempfile::TempDir, ArtifactDir, Vec<Note>)> {
        let out = tempfile::tempdir().unwrap();
        let input = |dir: &ArtifactDir| Input {
            stage: "split".to_owned(),
            cell: BTreeMap::new(),
            dir: dir.clone(),
            runs: Vec::new(),
        };
        let context = Context::new(ContextParts {
            seed: 5,
            inputs: split.into_iter().map(|dir| ("split".to_owned(), vec![input(dir)])).collect(),
            ..ContextParts::in_dir(out.path())
        });
        work(&context)?;
        let (written, notes) = context.into_results();
        let dir = ArtifactDir::written("pool", out.path(), written);
        Ok((out, dir, notes))
    }

    /// Three users and eight items: user 0 is tested on 7 after 6 in validation, user 1 has only the validation item 5,
    /// user 2 has every item in training.
    fn split() -> (tempfile::TempDir, ArtifactDir) {
        let part = |users: Vec<i32>, items: Vec<i32>| df!(USER => users, ITEM => items).unwrap();
        let train = part([vec![0, 0, 1], vec![2; 8]].concat(), [vec![0, 1, 3], (0..8).collect()].concat());
        let (valid, test) = (part(vec![0, 1], vec![6, 5]), part(vec![0, 2], vec![7, 0]));
        let meta = FrameMeta::of("split").sized(3, 8);
        let (out, dir, _) = stage(None, |context| {
            let parts = SplitFrames { train: &train, valid: &valid, test: &test };
            Split::write_parts(parts, &meta, context)?;
            Split::write_ids(&train, &train, &meta, context)
        })
        .unwrap();
        (out, dir)
    }

    fn pool(params: Value) -> Result<(tempfile::TempDir, ArtifactDir, Vec<Note>)> {
        let (_kept, split) = split();
        let pool = (StageKind::of::<NegativePool>().decode)(params).unwrap();
        stage(Some(&split), |context| pool.run(context))
    }

    fn candidates(params: Value) -> Vec<Vec<u32>> {
        let (_kept, dir, _) = pool(params).unwrap();
        let pool = Pool::load(&dir).unwrap();
        (0..3).map(|user| pool.candidates(user).unwrap().to_vec()).collect()
    }

    fn pairs(dir: &ArtifactDir) -> Vec<(u32, u32)> {
        let frame = ParquetFile::open(dir.read(TRAIN).unwrap()).unwrap().read(None).unwrap();
        dense_ids(&frame, USER, 3).unwrap().into_iter().zip(dense_ids(&frame, ITEM, 8).unwrap()).collect()
    }

    #[test]
    fn no_positive_of_any_part_is_a_candidate() {
        // With as many candidates asked for as there are items, the pool is what is left.
        let lists = candidates(json!({ "eval": { "negatives": 8 } }));
        assert_eq!(lists, [vec![2, 3, 4, 5], vec![0, 1, 2, 4, 6, 7], vec![]]);
    }

    #[test]
    fn exclude_train_lets_other_held_out_positives_in_but_not_what_is_tested() {
        let lists = candidates(json!({ "exclude": "train", "eval": { "negatives": 8 } }));
        assert_eq!(lists, [vec![2, 3, 4, 5, 6], vec![0, 1, 2, 4, 6, 7], vec![]]);
    }

    #[test]
    fn short_lists_are_counted_and_said() {
        let (_kept, _, notes) = pool(json!({ "eval": { "negatives": 5 } })).unwrap();
        let fact = |name: &str, value: Value| notes.contains(&Note::Fact(name.to_owned(), value));
        assert!(fact("users", json!(3)) && fact("candidates", json!(9)) && fact("short_users", json!(2)));
        let warning = "2 of 3 users have fewer than 5 items left and have a shorter list; 1 of them have no item left and \
                       no candidates";
        assert!(notes.contains(&Note::Warning(warning.to_owned())));
        let error = pool(json!({ "eval": { "negatives": 5 }, "short_pool": "error" })).unwrap_err();
        assert_eq!(error.message, "user 0 has 4 items left, too few to draw 5");
        let again = candidates(json!({ "eval": { "negatives": 9 }, "short_pool": "with_replacement" }));
        assert_eq!(again.iter().map(Vec::len).collect::<Vec<_>>(), [9, 9, 0]);
    }

    #[test]
    fn training_negatives_are_written_when_asked_for() {
        let (_kept, dir, _) = pool(json!({})).unwrap();
        assert!(!dir.has(TRAIN));
        let (_kept, dir, _) = pool(json!({ "train": { "negatives": 50, "sampling": "popularity" } })).unwrap();
        let drawn = pairs(&dir);
        assert!(drawn.is_sorted() && drawn.len() == 150);
        assert!(drawn.iter().all(|(user, item)| if *user == 0 {
            (2..6).contains(item)
        } else {
            ![3, 5].contains(item)
        }));
        // 50 draws from seven items miss a given one with probability (6/7)^50 < 0.0005.
        let (_kept, dir, _) = pool(json!({ "exclude": "train", "train": { "negatives": 50 } })).unwrap();
        let drawn = pairs(&dir);
        assert!(drawn.contains(&(1, 5)) && drawn.contains(&(0, 7)) && !drawn.contains(&(1, 3)));
    }

    #[test]
    fn defaults_are_visible_and_nonsense_is_refused_before_the_run() {
        let decode = StageKind::of::<NegativePool>().decode;
        let params = decode(json!({ "train": { "sampling": "popularity" } })).unwrap().params();
        let expected = json!({
            "exclude": "all",
            "short_pool": "shorter",
            "eval": { "negatives": 99, "sampling": "uniform" },
            "train": { "negatives": 4, "sampling": "popularity", "alpha": 0.75 },
        });
        assert_eq!(params, expected);
        for (params, path) in [
            (json!({ "eval": { "negatives": 0 } }), ["eval", "negatives"]),
            (json!({ "eval": { "alpha": 1.0 } }), ["eval", "alpha"]),
            (json!({ "train": { "sampling": "popularity", "alpha": -1.0 } }), ["train", "alpha"]),
        ] {
            assert_eq!(decode(params).map(|_| ()).unwrap_err().path, path);
        }
    }
}
