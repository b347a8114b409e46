use polars::prelude::{Float32Type, Int32Type};
use serde_json::{Value, json};

use super::*;
use crate::data::frame::{self, ITEM, ParquetFile, USER};
use crate::data::lists::{RANK, SCORE};
use crate::stage::{Artifact, Class, StageKind};
use crate::stages::tests::{Bench, Done};

fn bench(scores: [f32; 5]) -> Bench {
    let mut bench = Bench::with_split();
    bench.model(scores);
    bench
}

fn table(done: &Done) -> Vec<(i32, i32, i32, f32)> {
    let frame = done.frame("recommendations.parquet");
    let ints = |name| frame::slice::<Int32Type>(&frame, name).unwrap();
    let scores = frame::slice::<Float32Type>(&frame, SCORE).unwrap();
    (0..frame.height()).map(|n| (ints(USER)[n], ints(ITEM)[n], ints(RANK)[n], scores[n])).collect()
}

fn items(done: &Done, user: i32) -> Vec<i32> {
    table(done).into_iter().filter(|row| row.0 == user).map(|row| row.1).collect()
}

#[test]
fn each_user_gets_the_best_items_that_they_do_not_have() {
    let done = bench([0.0, 1.0, 2.0, 3.0, 4.0]).run::<Recommend>(json!({"k": 2})).unwrap();
    // The score of item i is 4 i + 2. User 0 has 0, 1 and 2; the test item 3 is not left out.
    let expected =
        [(0, 4, 1, 18.0), (0, 3, 2, 14.0), (1, 4, 1, 18.0), (1, 3, 2, 14.0), (2, 4, 1, 18.0), (2, 3, 2, 14.0)];
    assert_eq!(table(&done), expected);
    assert_eq!((done.warnings(), done.fact("rows")), (vec![], 6.into()));
    let lists = Recommendations::load(&done.dir).unwrap().lists;
    assert_eq!((lists.of(0), lists.n_users(), lists.n_items()), ([4, 3].as_slice(), 3, 5));
    let file = ParquetFile::open(done.dir.read("recommendations.parquet").unwrap()).unwrap();
    assert_eq!((file.meta().kind.as_str(), file.meta().extra["k"].as_str()), ("recommend", "2"));
}

#[test]
fn the_tables_of_raw_ids_lie_beside_the_lists_byte_for_byte() {
    let bench = bench([0.0; 5]);
    let done = bench.run::<Recommend>(json!({})).unwrap();
    for name in ["users.parquet", "items.parquet"] {
        assert_eq!(done.dir.files[name].digest, bench.dir("split").files[name].digest);
    }
}

#[test]
fn what_is_left_out_and_who_gets_a_list_can_be_chosen() {
    let bench = bench([4.0, 3.0, 2.0, 1.0, 0.0]);
    let all = bench.run::<Recommend>(json!({"k": 5, "exclude": "none"})).unwrap();
    assert_eq!((items(&all, 0), items(&all, 2)), (vec![0, 1, 2, 3, 4], vec![0, 1, 2, 3, 4]));
    let train = bench.run::<Recommend>(json!({"k": 5, "exclude": "train", "users": "test"})).unwrap();
    assert_eq!((items(&train, 0), items(&train, 1), items(&train, 2)), (vec![2, 3, 4], vec![1, 2, 3, 4], vec![]));
    let valid = bench.run::<Recommend>(json!({"k": 1, "users": "valid"})).unwrap();
    assert_eq!(table(&valid), [(0, 3, 1, 6.0)]);
}

#[test]
fn equal_scores_stand_in_the_order_of_ids() {
    let done = bench([1.0, 2.0, 1.0, 2.0, 1.0]).run::<Recommend>(json!({"exclude": "none", "users": "valid"})).unwrap();
    assert_eq!(items(&done, 0), [1, 3, 0, 2, 4]);
}

#[test]
fn shorter_lists_are_counted_and_warned_of() {
    let done = bench([0.0; 5]).run::<Recommend>(json!({"k": 4})).unwrap();
    // Of five items, user 0 has three, and users 1 and 2 one each.
    assert_eq!(done.warnings(), ["1 of 3 users have fewer than 4 items left and get a shorter list, or none"]);
    assert_eq!((done.fact("short_users"), done.fact("rows")), (1.into(), 10.into()));
    let longer = bench([0.0; 5]).run::<Recommend>(json!({"k": u32::MAX, "exclude": "none"})).unwrap();
    assert_eq!((longer.fact("short_users"), longer.fact("rows")), (3.into(), 15.into()));
}

#[test]
fn an_empty_part_gives_an_empty_file_and_a_warning() {
    let mut bench = Bench::new();
    bench.split(&[(0, 0, 1)], &[], &[], true);
    bench.model([0.0; 5]);
    let done = bench.run::<Recommend>(json!({"users": "test"})).unwrap();
    assert_eq!(table(&done), []);
    assert!(done.warnings()[0].contains("the part of the split that `users` names is empty"));
    assert!(Recommendations::load(&done.dir).unwrap().lists.is_empty());
}

#[test]
fn scores_that_are_no_numbers_fail_the_stage() {
    let error = bench([f32::MAX; 5]).run::<Recommend>(json!({})).err().unwrap();
    assert_eq!((error.class, error.message.as_str()), (Class::Failed, "the score of user 0 and item 0 is inf"));
}

#[test]
fn the_same_inputs_give_the_same_bytes_with_any_number_of_threads() {
    let bench = bench([0.0, 1.0, 2.0, 2.0, 2.0]);
    let digests = |threads: usize| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        threads.install(|| bench.run::<Recommend>(json!({}))).unwrap().digests()
    };
    assert_eq!(digests(1), digests(4));
}

#[test]
fn defaults_are_filled_in_and_what_cannot_work_is_refused() {
    let decode = StageKind::of::<Recommend>().decode;
    let filled = decode(json!({})).unwrap().params();
    assert_eq!(filled, json!({"k": 10, "exclude": "train_valid", "users": "all"}));
    let path = |params: Value| decode(params).err().unwrap().path;
    assert_eq!(path(json!({"k": 0})), ["k"]);
    assert_eq!(path(json!({"exclude": "seen"})), ["exclude"]);
}
