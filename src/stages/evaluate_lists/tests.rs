use serde_json::{Value, json};

use super::*;
use crate::stage::{Artifact, Class, StageKind};
use crate::stages::tests::{Bench, Done};

fn run(text: &str, more: Value) -> Result<Done> {
    let mut bench = Bench::with_split();
    bench.source("lists.csv", text.as_bytes());
    let mut params = json!({"path": "lists.csv", "k": [1, 2]});
    let Value::Object(more) = more else { panic!() };
    params.as_object_mut().unwrap().extend(more);
    bench.run::<EvaluateLists>(params)
}

fn mean(done: &Done, name: &str) -> f64 {
    Metrics::load(&done.dir).unwrap().protocols["full"].metrics.get(name).unwrap()
}

#[test]
fn lists_in_raw_ids_get_the_metrics_of_full_ranking() {
    // User 100 is tested on d, 101 on e, 102 on nothing.
    let text = "user,item,rank\n100,e,1\n100,d,2\n101,e,1\n101,b,2\n102,c,1\n";
    let done = run(text, json!({})).unwrap();
    assert_eq!(done.warnings(), [""; 0]);
    assert_eq!((mean(&done, "hr@1"), mean(&done, "hr@2"), mean(&done, "mrr@2")), (0.5, 1.0, 0.75));
    // 1 / log2(3) for the second place.
    assert!((mean(&done, "ndcg@2") - f64::midpoint(1.0, 1.0 / 3.0_f64.log2())).abs() < 1e-15);
    let metrics = Metrics::load(&done.dir).unwrap();
    assert_eq!((metrics.on.as_str(), metrics.counts.evaluated, metrics.pool_digest), ("test", 2, None));
    let full = &metrics.protocols["full"];
    // Nothing in the lists is known from training or validation. User 100 has 2 items left, user 101 has 4.
    assert_eq!((full.mask.as_deref(), full.candidates.min, full.candidates.max), (Some("train_valid"), 2, 4));
    assert_eq!(full.metrics.get("mrr"), None);
    let stage: EvaluateLists = serde_json::from_value(json!({"path": "lists.csv", "k": [1, 2]})).unwrap();
    let names = full.metrics.iter().map(|(name, _)| name.to_owned()).collect();
    let none: &dyn Fn() -> std::rc::Rc<[crate::stage::Connected]> = &|| std::rc::Rc::from([]);
    assert_eq!(Stage::measures(&stage, none), Some([("full".to_owned(), names)].into()));
    let per_user = done.frame("per_user.parquet");
    let names: Vec<&str> = per_user.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(names[..5], ["user_id", "positives", "full_candidates", "listed", "full_hr_1"]);
    assert_eq!(done.fact("lists"), 3);
}

#[test]
fn the_order_of_rows_makes_no_difference_and_ids_may_be_dense_or_scores_given() {
    let one = run("user,item,rank\n100,e,1\n100,d,2\n101,e,7\n", json!({})).unwrap();
    let two = run("user,item,rank\n101,e,7\n100,d,2\n100,e,1\n", json!({})).unwrap();
    assert_eq!(one.digests(), two.digests());
    let dense = run("user,item,rank\n0,4,1\n0,3,2\n1,4,7\n", json!({"ids": "dense"})).unwrap();
    assert_eq!(one.digests(), dense.digests());
    let scored = run("user,item,s\n100,d,0.5\n100,e,0.75\n101,e,-3\n", json!({"columns": {"score": "s"}})).unwrap();
    assert_eq!(one.digests(), scored.digests());
    let bare =
        run("100,e,1\n100,d,2\n101,e,7\n", json!({"header": false, "columns": {"user": 0, "item": 1, "rank": 2}}));
    assert_eq!(one.digests(), bare.unwrap().digests());
}

#[test]
fn equal_scores_count_by_their_expected_value() {
    let done = run("user,item,score\n100,e,1\n100,d,1\n101,e,1\n", json!({"columns": {"score": "score"}})).unwrap();
    assert_eq!((mean(&done, "hr@1"), mean(&done, "hr@2")), (0.75, 1.0));
}

#[test]
fn missing_lists_and_unknown_ids_are_counted_and_warned_of() {
    let done = run("user,item,rank\n100,zz,1\n100,d,2\n999,d,1\n998,d,1\n", json!({})).unwrap();
    let expected = [
        "1 of 2 users with held-out items have no list and count as misses",
        "2 users of the file are not in the split and are left out",
        "1 rows name items that are not in the split: they take their places and are no hits",
    ];
    assert_eq!(done.warnings(), expected);
    assert_eq!((mean(&done, "hr@1"), mean(&done, "hr@2")), (0.0, 0.5));
    assert_eq!((done.fact("unknown_users"), done.fact("users_without_list")), (2.into(), 1.into()));
}

#[test]
fn items_that_a_user_already_has_are_counted_and_change_what_is_said_to_be_masked() {
    let done = run("user,item,rank\n100,a,1\n100,d,2\n101,e,1\n", json!({})).unwrap();
    assert!(done.warnings()[0].starts_with("1 listed items are among those that their user has in training"));
    assert_eq!(Metrics::load(&done.dir).unwrap().protocols["full"].mask.as_deref(), Some("none"));
    let done = run("user,item,rank\n100,c,1\n100,d,2\n101,e,1\n101,b,2\n", json!({})).unwrap();
    assert!(done.warnings()[0].starts_with("1 listed items are among those that their user has in validation"));
    assert_eq!(Metrics::load(&done.dir).unwrap().protocols["full"].mask.as_deref(), Some("train"));
    let done = run("user,item,rank\n100,c,1\n100,d,2\n", json!({"on": "valid"})).unwrap();
    assert_eq!((done.warnings().len(), mean(&done, "hr@1")), (0, 1.0));
}

#[test]
fn files_that_cannot_be_lists_are_refused_in_the_words_of_lists() {
    let refused = |text: &str, params: Value| {
        let error = run(text, params).err().unwrap();
        assert_eq!(error.class, Class::Data);
        (error.message, error.help.unwrap_or_default())
    };
    let (message, _) = refused("user,item,rank\n100,e,1\n100,d,2\n100,e,3\n", json!({}));
    assert_eq!(message, "the list of user `100` has item `e` more than once");
    let (message, help) = refused("user,item\n100,e\n", json!({}));
    assert!(message.contains("has no column `rank` (`columns.rank`)"), "{message}");
    assert!(help.contains("`user`, `item`"), "{help}");
    let (message, help) = refused("user,item,rank\n100,e,first\n", json!({}));
    assert!(message.contains("rank `first`") && !message.contains("timestamp"), "{message}");
    // Settings that other stages have and this one has not.
    assert_eq!(help, "ranks are whole numbers: write them so");
    let (_, help) = refused("user,item,rank\n100,e,1\n100,d,second\n", json!({}));
    let or = "or check `format` and `columns`, that the file is UTF-8, and put such lines right";
    assert_eq!(help, format!("ranks are whole numbers: write them so, {or}"));
    let (_, help) = refused("user,item,score\n100,e,0.5\n", json!({}));
    assert!(help.ends_with("for lists in the order of a score set `columns: {score: score}`"), "{help}");
    let (message, help) = refused("user,item,rank\n0,e,1\n", json!({}));
    assert!(message.starts_with("no user of `lists.csv` is a user of the split"), "{message}");
    assert!(help.contains("such as `100`, `101`, `102`"), "{help}");
    let (message, _) = refused("user,item,rank\n100,e,1\n", json!({"k": [6]}));
    assert_eq!(message, "a list of 6 is longer than the 5 items");
}

#[test]
fn parameters_that_cannot_work_are_refused() {
    let decode = StageKind::of::<EvaluateLists>().decode;
    let path = |params: Value| decode(params).err().unwrap().path;
    assert_eq!(path(json!({"path": "a.csv", "k": [0]})), ["k"]);
    assert_eq!(path(json!({"path": "a.csv", "metrics": ["hr", "auc"]})), ["metrics", "1"]);
    assert_eq!(path(json!({"path": "a.csv", "columns": {"rank": "r", "score": "s"}})), ["columns", "score"]);
    assert_eq!(path(json!({"path": "lists"})), ["format"]);
    assert_eq!(path(json!({"path": "a.tsv", "header": false})), ["columns", "rank"]);
    let filled = decode(json!({"path": "a.csv"})).unwrap().params();
    let expected = json!({
        "path": "a.csv", "format": "csv", "separator": ",", "header": true, "columns": {"rank": "rank"}, "ids": "raw",
        "on": "test", "metrics": ["hr", "ndcg", "recall", "precision", "mrr", "map"], "k": [5, 10, 20],
    });
    assert_eq!(filled, expected);
}
