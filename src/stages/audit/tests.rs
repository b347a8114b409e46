use serde_json::json;

use super::*;
use crate::data::frame::FrameMeta;
use crate::data::pool;
use crate::stage::{Artifact, Class, StageKind};
use crate::stages::tests::{Bench, Done, ITEMS, TEST, TRAIN, USERS, VALID};

/// Candidates for the users 0 and 1.
fn with_pool(bench: &mut Bench, lists: [&[u32]; 2]) {
    bench.connect("pool", "pool", |context| {
        let offsets = vec![0, lists[0].len(), lists[0].len() + lists[1].len()];
        let lists = pool::Pool::new(USERS as u32, ITEMS as u32, vec![0, 1], offsets, lists.concat()).unwrap();
        Pool::write(&lists, &FrameMeta::of("negative_pool"), context).unwrap();
    });
}

fn problem(done: &Done, name: &str) -> Value {
    let report = done.json("audit.json");
    report["problems"].as_array().unwrap().iter().find(|problem| problem["problem"] == name).unwrap().clone()
}

#[test]
fn a_sound_split_is_clean_and_handed_on_byte_for_byte() {
    let mut bench = Bench::new();
    // Everything in training is before everything in test.
    bench.split(TRAIN, VALID, TEST, true);
    with_pool(&mut bench, [&[4], &[1, 2, 3]]);
    let done = bench.run::<Audit>(json!({"k": [1]})).unwrap();
    let report = done.json("audit.json");
    assert_eq!((&report["clean"], &report["users"], &report["rows"]["train"]), (&json!(true), &json!(3), &json!(4)));
    assert_eq!((done.warnings(), report.get("not_checked")), (vec![], None));
    for (name, file) in &bench.dir("split").files {
        assert_eq!(done.dir.files[name].digest, file.digest, "{name}");
    }
    assert!(Report::load(&done.dir).unwrap().clean);
}

#[test]
fn interactions_in_two_parts_are_refused_in_raw_ids() {
    let mut bench = Bench::new();
    bench.split(TRAIN, VALID, &[(0, 1, 40), (1, 4, 40)], true);
    let error = bench.run::<Audit>(json!({"k": [1]})).err().unwrap();
    assert_eq!(error.class, Class::Data);
    let expected = "the split is not fit to be evaluated on:\n  `overlap`: 1 interactions are in two parts; the \
                    first: user 100, item \"b\", parts [\"train\",\"test\"]";
    assert_eq!(error.message, expected);
    assert!(error.help.unwrap().contains("on_problem"));
}

#[test]
fn an_accepted_problem_is_warned_of_or_only_counted() {
    let mut bench = Bench::new();
    bench.split(TRAIN, VALID, &[(0, 1, 40), (1, 4, 40)], true);
    let done = bench.run::<Audit>(json!({"k": [1], "on_problem": {"overlap": "warn"}})).unwrap();
    assert_eq!(done.warnings().len(), 1);
    let found = problem(&done, "overlap");
    assert_eq!((&found["action"], &found["count"], &found["users"]), (&json!("warn"), &json!(1), &json!(1)));
    assert_eq!(found["examples"], json!([{"user": 100, "item": "b", "parts": ["train", "test"]}]));
    let done = bench.run::<Audit>(json!({"k": [1], "on_problem": {"overlap": "ignore"}})).unwrap();
    assert_eq!((done.warnings().len(), done.fact("overlap")), (0, 1.into()));
    assert_eq!(done.json("audit.json")["clean"], false);
}

#[test]
fn candidates_that_are_positives_and_users_without_candidates_are_refused() {
    let mut bench = Bench::new();
    bench.split(TRAIN, VALID, &[(0, 3, 40), (2, 4, 40)], true);
    with_pool(&mut bench, [&[0, 3, 4], &[1]]);
    let error = bench.run::<Audit>(json!({"k": [1]})).err().unwrap();
    // User 0 has item 0 in training and 3 in test; user 2 has no list.
    assert!(
        error.message.contains("`pool_positives`: 2 candidates are positives of their user, of 1 users"),
        "{error}"
    );
    assert!(error.message.contains("`pool_missing`: 1 users are to be ranked and have no candidates"), "{error}");
    assert!(error.message.contains("user 102"), "{error}");
}

#[test]
fn training_on_the_future_is_refused_and_ties_and_other_users_futures_are_warned_of() {
    let mut bench = Bench::new();
    bench.split(&[(0, 0, 10), (0, 1, 45), (1, 0, 50), (2, 1, 30)], &[], &[(0, 3, 40), (1, 4, 50)], true);
    let error = bench.run::<Audit>(json!({"k": [1]})).err().unwrap();
    let expected = "`user_future`: 1 training interactions are later than the user's first held-out one; the \
                    first: user 100, item \"b\", time 45, held out item \"d\", held out time 40, held out user 100";
    assert!(error.message.ends_with(expected), "{error}");
    let done = bench.run::<Audit>(json!({"k": [1], "on_problem": {"user_future": "ignore"}})).unwrap();
    assert_eq!((done.fact("global_future"), done.fact("timestamp_ties")), (2.into(), 1.into()));
    assert_eq!(done.warnings().len(), 2);
}

#[test]
fn lists_as_long_as_the_candidates_are_warned_of() {
    // User 0 has three of five items in training and validation: two are left.
    let done = Bench::with_split().run::<Audit>(json!({"k": [2]})).unwrap();
    let expected = "`few_candidates`: 1 users have 2 candidates or fewer, all of which a list of 2 holds; the \
                    first: user 100, candidates 2";
    assert_eq!(done.warnings(), [expected]);
    let mut bench = Bench::with_split();
    with_pool(&mut bench, [&[4], &[1, 2, 3]]);
    assert_eq!(bench.run::<Audit>(json!({"k": [3]})).unwrap().fact("few_candidates"), 1);
    assert_eq!(bench.run::<Audit>(json!({"k": [4]})).unwrap().fact("few_candidates"), 2);
}

#[test]
fn candidates_are_counted_as_evaluation_does_without_the_held_out_positives() {
    // The list of user 1 has the item 4, which is the one that is ranked: three are left, and it.
    let mut bench = Bench::with_split();
    with_pool(&mut bench, [&[4], &[1, 2, 3, 4]]);
    let audit = |k: u32| json!({"k": [k], "on_problem": {"pool_positives": "ignore"}});
    assert_eq!(bench.run::<Audit>(audit(3)).unwrap().fact("few_candidates"), 1);
    assert_eq!(bench.run::<Audit>(audit(4)).unwrap().fact("few_candidates"), 2);
}

#[test]
fn without_times_leakage_is_not_looked_for_and_that_is_said() {
    let mut bench = Bench::new();
    bench.split(TRAIN, VALID, TEST, false);
    let done = bench.run::<Audit>(json!({"k": [1]})).unwrap();
    assert_eq!(done.json("audit.json")["not_checked"]["user_future"], "the split has no times");
    assert_eq!(done.warnings().len(), 3);
    assert_eq!(done.warnings()[0], "`global_future` was not looked for: the split has no times");
}

#[test]
fn a_pool_of_another_split_is_refused() {
    let mut bench = Bench::with_split();
    bench.connect("pool", "pool", |context| {
        let lists = pool::Pool::new(7, 5, vec![0], vec![0, 1], vec![4]).unwrap();
        Pool::write(&lists, &FrameMeta::of("negative_pool"), context).unwrap();
    });
    let error = bench.run::<Audit>(json!({})).err().unwrap();
    assert_eq!(error.message, "the pool is for 7 users and 5 items, and the split has 3 and 5");
}

#[test]
fn defaults_are_filled_in_and_what_cannot_work_is_refused() {
    let decode = StageKind::of::<Audit>().decode;
    let filled = decode(json!({"k": [20, 10, 10], "on_problem": {"timestamp_ties": "fail"}})).unwrap().params();
    let expected = json!({
        "on": "test",
        "k": [10, 20],
        "on_problem": {
            "overlap": "fail",
            "pool_positives": "fail",
            "pool_missing": "fail",
            "user_future": "fail",
            "global_future": "warn",
            "timestamp_ties": "fail",
            "few_candidates": "warn",
        },
    });
    assert_eq!(filled, expected);
    assert_eq!(decode(json!({"k": [0]})).err().unwrap().path, ["k"]);
    assert_eq!(decode(json!({"on_problem": {"overlaps": "warn"}})).err().unwrap().path, ["on_problem", "overlaps"]);
}
