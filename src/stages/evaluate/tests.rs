//! The stage with real files in and out.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use polars::prelude::{Column, IntoColumn, NamedFrom, Series};
use serde_json::{Value, json};

use super::*;
use crate::artifacts::model::History;
use crate::artifacts::split::SplitFrames;
use crate::data::dictionary::RawValues;
use crate::data::frame::{self, FrameMeta, ITEM, RAW_ITEM, RAW_USER, USER};
use crate::data::pool;
use crate::data::remap::names;
use crate::model::{Config, Weights};
use crate::stage::{Artifact, ArtifactDir, Class, Connected, ContextParts, Input, Note};

const USERS: usize = 3;
const ITEMS: usize = 5;

fn stage(params: Value) -> Result<Evaluate, ParamError> {
    serde_json::from_value::<Evaluate>(params).unwrap().normalise()
}

fn context(out: &Path, inputs: BTreeMap<String, Vec<Input>>) -> Context<'static> {
    Context::new(ContextParts { inputs, ..ContextParts::in_dir(out) })
}

/// Writes an artifact with `write` into a directory of its own, as stage `name`.
fn input(root: &Path, name: &str, write: impl FnOnce(&Context<'_>)) -> (String, Vec<Input>) {
    let out = root.join(name);
    std::fs::create_dir(&out).unwrap();
    let context = context(&out, BTreeMap::new());
    write(&context);
    let dir = ArtifactDir::written(name, &out, context.into_results().0);
    (name.to_owned(), vec![Input { stage: name.to_owned(), cell: BTreeMap::new(), dir, runs: Vec::new() }])
}

fn pairs(pairs: &[(i32, i32)]) -> polars::prelude::DataFrame {
    let column = |name: &str, of: fn(&(i32, i32)) -> i32| -> Column {
        Series::new(name.into(), pairs.iter().map(of).collect::<Vec<i32>>()).into_column()
    };
    frame::frame(pairs.len(), vec![column(USER, |pair| pair.0), column(ITEM, |pair| pair.1)]).unwrap()
}

/// User 0 has items 0 and 1 in training, 2 in validation, 3 in test; user 1 has 0 in training and 4, which nobody
/// else has, in test; user 2 has nothing but 1 in training.
fn split(root: &Path) -> (String, Vec<Input>) {
    input(root, "split", |context| {
        let train = pairs(&[(0, 0), (0, 1), (1, 0), (2, 1)]);
        let (valid, test) = (pairs(&[(0, 2)]), pairs(&[(0, 3), (1, 4)]));
        let parts = SplitFrames { train: &train, valid: &valid, test: &test };
        let meta = FrameMeta::of("split").sized(USERS, ITEMS);
        Split::write_parts(parts, &meta, context).unwrap();
        let users = names(USER, RAW_USER, RawValues::Int((100..100 + USERS as i64).collect())).unwrap();
        let items = names(ITEM, RAW_ITEM, RawValues::Str(["a", "b", "c", "d", "e"].map(str::to_owned).into())).unwrap();
        Split::write_ids(&users, &items, &meta, context).unwrap();
    })
}

/// A GMF with one factor that scores item `i` with `4 · scores[i] + 2` for every user.
fn model(root: &Path, scores: [f32; ITEMS]) -> (String, Vec<Input>) {
    input(root, "model", |context| {
        let text = format!(r#"{{"model": {{"kind": "gmf", "factors": 1}}, "n_users": {USERS}, "n_items": {ITEMS}}}"#);
        let config = Config::from_json(text.as_bytes()).unwrap();
        let device = candle_core::Device::Cpu;
        let tensors = config.model.parameters(config.catalogue()).into_iter().map(|parameter| {
            let shape = parameter.shape;
            let tensor = match parameter.name.as_str() {
                "embed_item_GMF.weight" => candle_core::Tensor::from_slice(&scores, shape, &device),
                _ => candle_core::Tensor::full(2.0_f32, shape, &device),
            };
            (parameter.name, tensor.unwrap())
        });
        let weights = Weights::from_tensors(tensors.collect());
        Model { config, weights, trained_on: None, chosen_on: None, begun_on: None }
            .write(History::default(), "train", context)
            .unwrap();
    })
}

/// Two published candidates each for the users with a test positive; user 0 has one of them in training.
fn pool(root: &Path) -> (String, Vec<Input>) {
    pool_of(root, "read_split", &[0, 1])
}

fn pool_of(root: &Path, kind: &str, users: &[u32]) -> (String, Vec<Input>) {
    input(root, "pool", |context| {
        let ends = [0, 2, 4][..=users.len()].to_vec();
        let items = [0, 4, 1, 2][..2 * users.len()].to_vec();
        let lists = pool::Pool::new(USERS as u32, ITEMS as u32, users.to_vec(), ends, items).unwrap();
        Pool::write(&lists, &FrameMeta::of(kind).sized(USERS, ITEMS), context).unwrap();
    })
}

#[test]
fn candidates_in_training_are_an_error_if_drawn_here_and_a_warning_if_published() {
    let found = |kind: &str| {
        let root = tempfile::tempdir().unwrap();
        run(json!({}), [model(root.path(), [0.0; ITEMS]), split(root.path()), pool_of(root.path(), kind, &[0, 1])])
    };
    let what = "1 of its 4 candidates are positives of their user in the training part, first item `a` of user `100`";
    let error = found("negative_pool").err().unwrap();
    assert_eq!((error.message, error.class), (format!("the pool was drawn for another split: {what}"), Class::Data));
    assert!(
        found("read_split").unwrap().warnings.contains(&format!("{what}; they are ranked as if they were negatives"))
    );
}

#[test]
fn a_user_without_candidates_is_named_by_the_raw_id() {
    let root = tempfile::tempdir().unwrap();
    let inputs = [model(root.path(), [0.0; ITEMS]), split(root.path()), pool_of(root.path(), "read_split", &[0])];
    let error = run(json!({}), inputs).err().unwrap();
    assert_eq!(error.message, "the pool has no candidates for user `101`, who has held-out positives");
}

struct Ran {
    metrics: Metrics,
    per_user: polars::prelude::DataFrame,
    warnings: Vec<String>,
    digests: Vec<String>,
}

fn run(params: Value, inputs: impl IntoIterator<Item = (String, Vec<Input>)>) -> Result<Ran> {
    let out = tempfile::tempdir().unwrap();
    let context = context(out.path(), inputs.into_iter().collect());
    stage(params).unwrap().run(&context)?;
    let (written, notes) = context.into_results();
    let digests = written.iter().map(|file| file.digest.clone()).collect();
    let dir = ArtifactDir::written("evaluate", out.path(), written);
    let per_user = frame::read_parquet(dir.read("per_user.parquet")?, None)?.0;
    let warning = |note| match note {
        Note::Warning(text) => Some(text),
        Note::Fact(..) | Note::Device(_) => None,
    };
    let warnings = notes.into_iter().filter_map(warning).collect();
    Ok(Ran { metrics: Metrics::load(&dir)?, per_user, warnings, digests })
}

fn values(ran: &Ran, name: &str) -> Vec<Option<f64>> {
    ran.per_user.column(name).unwrap().as_materialized_series().f64().unwrap().iter().collect()
}

#[test]
fn both_protocols_and_the_baseline_are_reported() {
    let root = tempfile::tempdir().unwrap();
    // Item 4 is best, then 3, 2, 1, 0.
    let inputs = [model(root.path(), [0.0, 1.0, 2.0, 3.0, 4.0]), split(root.path()), pool(root.path())];
    let ran = run(json!({"full": true, "k": [2, 1], "metrics": ["auc", "hr"]}), inputs.clone()).unwrap();
    let Metrics { on, protocols, counts, pool_digest, .. } = ran.metrics;
    assert_eq!((on.as_str(), pool_digest), ("test", Pool::digest(&inputs[2].1[0].dir)));
    let expected = UserCounts {
        users: 3,
        items: 5,
        evaluated: 2,
        without_positive: 1,
        positives: 2,
        cold_users: 0,
        cold_items: 2,
        cold_positives: 2,
    };
    assert_eq!(counts, expected);
    // User 0 ranks item 3 among 0 and 4: second. User 1 ranks item 4 among 1 and 2: first.
    let sampled = &protocols["sampled"];
    let means = |means: &crate::artifacts::metrics::Means| -> Vec<(String, f64)> {
        means.iter().map(|(name, mean)| (name.to_owned(), mean.unwrap())).collect()
    };
    let named = |hr_1, hr_2, auc| vec![("hr@1".to_owned(), hr_1), ("hr@2".to_owned(), hr_2), ("auc".to_owned(), auc)];
    assert_eq!(means(&sampled.metrics), named(0.5, 1.0, 0.75));
    // Popularity: items 0 and 1 have two users each, the others none. User 0: 3 is tied with 4 below 0, so it is
    // second or third. User 1: 4 is tied with 2 below 1.
    assert_eq!(means(sampled.popularity.as_ref().unwrap()), named(0.0, 0.5, 0.25));
    // Full, with training and validation masked. User 0 ranks 3 among 4; user 1 ranks 4 among 1, 2 and 3.
    let full = &protocols["full"];
    assert_eq!((full.mask.as_deref(), full.candidates.min, full.candidates.max), (Some("train_valid"), 2, 4));
    assert_eq!(means(&full.metrics), named(0.5, 1.0, 0.5));
    // User 0: tied with 4. User 1: below 1, tied with 2 and 3: second, third or fourth.
    let popularity = means(full.popularity.as_ref().unwrap());
    let expected = named(0.25, f64::midpoint(1.0, 1.0 / 3.0), f64::midpoint(0.5, 1.0 / 3.0));
    for ((name, mean), (expected_name, expected)) in popularity.iter().zip(&expected) {
        assert_eq!(name, expected_name);
        assert!((mean - expected).abs() < 1e-15, "{name} is {mean}, not {expected}");
    }
    // The pool is a published one.
    assert!(
        ran.warnings.len() == 1 && ran.warnings[0].ends_with("ranked as if they were negatives"),
        "{:?}",
        ran.warnings
    );
}

#[test]
fn each_evaluated_user_has_a_row() {
    let root = tempfile::tempdir().unwrap();
    let inputs = [model(root.path(), [0.0, 1.0, 2.0, 3.0, 4.0]), split(root.path()), pool(root.path())];
    let ran = run(json!({"k": [1], "metrics": ["hr"]}), inputs).unwrap();
    let names: Vec<&str> = ran.per_user.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["user_id", "positives", "sampled_candidates", "sampled_rank", "sampled_hr_1"]);
    let users: Vec<i32> = frame::slice::<polars::prelude::Int32Type>(&ran.per_user, USER).unwrap().to_vec();
    assert_eq!(users, [0, 1]);
    assert_eq!(values(&ran, "sampled_rank"), [Some(2.0), Some(1.0)]);
    assert_eq!(values(&ran, "sampled_hr_1"), [Some(0.0), Some(1.0)]);
}

#[test]
fn without_a_pool_all_items_are_ranked() {
    let root = tempfile::tempdir().unwrap();
    let ran = run(json!({"mask": "none"}), [model(root.path(), [0.5; ITEMS]), split(root.path())]).unwrap();
    assert_eq!(ran.metrics.protocols.keys().collect::<Vec<_>>(), ["full"]);
    assert_eq!(ran.metrics.pool_digest, None);
    let metrics = &ran.metrics.protocols["full"].metrics;
    // A constant scorer over 5 candidates: every rank is equally likely.
    assert_eq!((metrics.get("auc"), metrics.get("hr@5")), (Some(0.5), Some(1.0)));
    assert!((metrics.get("mrr").unwrap() - (1.0 + 0.5 + 1.0 / 3.0 + 0.25 + 0.2) / 5.0).abs() < 1e-15);
    assert_eq!(values(&ran, "full_rank"), [Some(3.0), Some(3.0)]);
    let expected = "protocol `full`: 2 of 2 users have fewer than 20 candidates (the fewest: 5), so a list of that \
                    length holds all of them";
    assert_eq!(ran.warnings, [expected]);
}

#[test]
fn validation_positives_are_ranked_with_training_items_masked() {
    let root = tempfile::tempdir().unwrap();
    let params = json!({"on": "valid", "k": [1], "popularity_baseline": false});
    let ran = run(params, [model(root.path(), [9.0, 8.0, 2.0, 1.0, 0.0]), split(root.path())]).unwrap();
    let full = &ran.metrics.protocols["full"];
    assert_eq!((full.n_users, full.mask.as_deref(), full.candidates.max), (1, Some("train"), 3));
    assert_eq!((full.metrics.get("hr@1"), full.popularity.is_none()), (Some(1.0), true));
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    let inputs = [model(root.path(), [0.0, 1.0, 2.0, 2.0, 2.0]), split(root.path()), pool(root.path())];
    let digests = |threads: usize| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        threads.install(|| run(json!({"full": true}), inputs.clone())).unwrap().digests
    };
    assert_eq!(digests(1), digests(4));
}

#[test]
fn scores_that_overflow_stop_the_stage_as_failed() {
    let root = tempfile::tempdir().unwrap();
    let split = split(root.path());
    let error = run(json!({}), [model(root.path(), [f32::MAX; ITEMS]), split]).err().unwrap();
    assert_eq!(error.class, Class::Failed, "{error}");
    assert_eq!(error.message, "the score of user `100` and item `a` is inf");
}

#[test]
fn a_part_without_positives_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let empty = input(root.path(), "split", |context| {
        let (train, none) = (pairs(&[(0, 0)]), pairs(&[]));
        let parts = SplitFrames { train: &train, valid: &none, test: &none };
        Split::write_parts(parts, &FrameMeta::of("split").sized(USERS, ITEMS), context).unwrap();
    });
    let error = run(json!({}), [model(root.path(), [0.0; ITEMS]), empty]).err().unwrap();
    assert_eq!(error.class, Class::Data);
    assert_eq!(error.message, "no user has a held-out positive, so there is nothing to rank");
}

#[test]
fn the_order_of_lists_makes_no_difference_and_defaults_are_filled_in() {
    let written = stage(json!({"k": [20, 10, 5, 10], "metrics": ["auc", "recall", "hr", "mrr", "ndcg"]})).unwrap();
    assert_eq!(written, stage(json!({})).unwrap());
    let expected = json!({
        "on": "test",
        "full": false,
        "mask": "train_valid",
        "metrics": ["hr", "ndcg", "recall", "mrr", "auc"],
        "k": [5, 10, 20],
        "popularity_baseline": true,
    });
    assert_eq!(serde_json::to_value(written).unwrap(), expected);
    assert_eq!(stage(json!({"on": "valid"})).unwrap().mask, Some(Mask::Train));
}

#[test]
fn parameters_that_cannot_work_are_refused() {
    let path = |params: Value| stage(params).unwrap_err().path;
    assert_eq!(path(json!({"k": [10, 0]})), ["k"]);
    assert_eq!(path(json!({"k": []})), ["k"]);
    assert_eq!(path(json!({"metrics": []})), ["metrics"]);
    assert_eq!(path(json!({"on": "valid", "mask": "train_valid"})), ["mask"]);
    // AUC is of the whole ranking.
    assert!(stage(json!({"metrics": ["auc"], "k": []})).is_ok());
    assert!(serde_json::from_value::<Evaluate>(json!({"metric": ["hr"]})).is_err());
}

/// Stages that read the metrics are refused by what is said, before anything has run.
#[test]
fn what_is_said_to_be_measured_is_what_is_measured() {
    let root = tempfile::tempdir().unwrap();
    let inputs = [model(root.path(), [0.0, 1.0, 2.0, 3.0, 4.0]), split(root.path()), pool(root.path())];
    for (ports, params) in [
        (2, json!({"k": [1, 2]})),
        (2, json!({"k": [2], "full": true, "popularity_baseline": false})),
        (3, json!({"k": [3, 1], "metrics": ["map", "hr", "precision"]})),
        (3, json!({"k": [1, 2], "full": true})),
        (3, json!({"k": [], "metrics": ["auc"], "full": true})),
        (3, json!({"k": [2], "metrics": ["mrr"], "popularity_baseline": false})),
    ] {
        let connected = || {
            let ports = ["model", "split", "pool"].into_iter().take(ports);
            ports.map(|port| Connected { port, ..Connected::default() }).collect::<Rc<[Connected]>>()
        };
        let said = Stage::measures(&stage(params.clone()).unwrap(), &connected).unwrap();
        let ran = run(params.clone(), inputs.iter().take(ports).cloned()).unwrap();
        let names = |(protocol, found): (String, crate::artifacts::metrics::Protocol)| {
            let own = found.metrics.iter().chain(found.lists.iter()).map(|(name, _)| name.to_owned());
            let baseline =
                found.popularity.iter().chain(&found.popularity_lists).flat_map(crate::artifacts::metrics::Means::iter);
            let baseline = baseline.map(|(name, _)| format!("{OF_POPULARITY}{name}"));
            (protocol, own.chain(baseline).collect())
        };
        let measured: Measures = ran.metrics.protocols.into_iter().map(names).collect();
        assert_eq!(said, measured, "{params}");
    }
}
