//! Files of ready splits, from text to the split.

use proptest::prelude::*;

use crate::columns::IdColumn;
use crate::read::{File, Hooks, Sizes};
use crate::read_split::*;

const ANY: fn() -> Limits = || Limits::new(None, None);

fn file(name: &str) -> File<'_> {
    File { name, size: None }
}

fn read(text: &str, lines: Lines) -> Result<Columns> {
    read_interactions(text.as_bytes(), file("f"), lines, ANY(), Hooks::NONE)
}

fn candidates(text: &str) -> Result<Candidates> {
    read_candidates(text.as_bytes(), file("c"), ANY(), Hooks::NONE)
}

fn parts(train: &str, test: Option<&str>, listed: Option<&str>) -> SplitParts {
    SplitParts {
        train: read(train, Lines::Ratings).unwrap(),
        valid: None,
        test: test.map(|text| read(text, Lines::Ratings).unwrap()),
        candidates: listed.map(|text| candidates(text).unwrap()),
        users: None,
        items: None,
    }
}

fn ids(column: &IdColumn) -> Vec<i64> {
    match column {
        IdColumn::Int(ids) => ids.clone(),
        IdColumn::Str(_) => panic!("dense ids are integers"),
    }
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    format!("{error} [{}]", error.help.as_deref().unwrap_or_default())
}

#[test]
fn each_kind_of_line_gives_its_columns() {
    let rated = read("1\t2\t4\t90\n0\t3\t5\t80\n", Lines::Ratings).unwrap();
    assert_eq!((ids(&rated.user), ids(&rated.item)), (vec![0, 1], vec![3, 2]));
    assert_eq!((rated.rating, rated.timestamp, rated.clean), (Some(vec![5.0, 4.0]), Some(vec![80, 90]), None));
    let plain = read("1\t2\n0\t3\n", Lines::Ratings).unwrap();
    assert_eq!((plain.rating, plain.timestamp), (None, None));
    let flagged = read("1\t2\t0\n0\t3\t1\n", Lines::Flags).unwrap();
    assert_eq!((flagged.rating, flagged.clean), (None, Some(vec![true, false])));
    for text in ["0\t3\n1\t2\n", "(1, 2)\n(0, 3)\n", "(1,2)\t5\t6\t7\n0\t3\t\n", "1\t2\r\n0\t3\r\n\n"] {
        let positives = read(text, Lines::Positives).unwrap();
        assert_eq!((ids(&positives.user), ids(&positives.item)), (vec![0, 1], vec![3, 2]), "{text:?}");
        assert_eq!(positives.clean, Some(vec![true, true]));
    }
}

#[test]
fn bad_lines_are_named_with_their_place() {
    let below = Limits::new(Some(3), Some(5));
    let read_below = |text: &str| read_interactions(text.as_bytes(), file("f"), Lines::Ratings, below, Hooks::NONE);
    let found = [
        message(read("0\t1\n-1\t2\nx\t1\n0\t2147483647\n01\t1\n", Lines::Ratings)),
        message(read_below("0\t1\n3\t1\n0\t5\n")),
        message(read("0\t1\t2\n", Lines::Flags)),
        message(read("0\t1\n", Lines::Flags)),
        message(read("0\n0\t1\t2\n(0;1)\n(0,x)\n\n0\t1\n", Lines::Positives)),
        message(read("", Lines::Positives)),
        message(candidates("(0,1)\t2\t3\n0\t1\t2\n(0,1)\n(0,1)\t2\tx\t4\n(0,1)\t\n(9,9)\t2\t\t3\n")),
        message(candidates("")),
        message(read_candidates(&b"(0,1)\t9\n"[..], file("c"), below, Hooks::NONE)),
    ];
    insta::assert_snapshot!(found.join("\n"), @r"
    4 bad lines in `f`:
      f:2: user `-1` is not 0 or more, in `-1\t2`
      f:3: user `x` is not a plain integer, in `x\t1`
      f:4: item `2147483647` is too large: ids end at 2147483646, in `0\t2147483647`
      f:5: user `01` is not a plain integer, in `01\t1` [the lines should be `user item [rating [timestamp]]`, between tabs]
    2 bad lines in `f`:
      f:2: user `3` is too large: ids end at 2, in `3\t1`
      f:3: item `5` is too large: ids end at 4, in `0\t5` [the lines should be `user item [rating [timestamp]]`, between tabs]
    0 interactions: 1 bad line in `f`:
      f:1: clean `2` is none of 0, 1, false, true, in `0\t1\t2` [the lines should be `user item flag`, between tabs, with 1 for a true positive, else 0]
    `columns.clean` is 2, but `f` has 2 columns [the lines should be `user item flag`, between tabs, with 1 for a true positive, else 0]
    5 bad lines in `f`:
      f:1: 1 field instead of 2, in `0`
      f:2: 3 fields instead of 2, in `0\t1\t2`
      f:3: does not start with `(user,item)`, in `(0;1)`
      f:4: item `x` is not a plain integer, in `(0,x)`
      f:5: the line is blank [the lines should be `user item`, between tabs]
    0 interactions in `f`: the file is empty [check the path and `format`]
    5 bad lines in `c`:
      c:2: does not start with `(user,item)`, in `0\t1\t2`
      c:3: no candidates, in `(0,1)`
      c:4: candidate `x` is not a plain integer, in `(0,1)\t2\tx\t4`
      c:5: no candidates, in `(0,1)\t`
      c:6: candidate is empty, in `(9,9)\t2\t\t3` [the lines should be `(user,item)` and its candidates, between tabs]
    0 interactions in `c`: the file is empty [check the path and `format`]
    1 bad line in `c`:
      c:1: candidate `9` is too large: ids end at 4, in `(0,1)\t9` [the lines should be `(user,item)` and its candidates, between tabs]
    ");
}

#[test]
fn a_split_is_made_of_its_files() {
    let listed = "(1,3)\t4\t0\n(0,2)\t9\t1\n";
    let split = combine(parts("0\t0\n0\t1\n1\t1\n", Some("0\t2\t5\t9\n1\t3\t4\t8\n"), Some(listed))).unwrap();
    assert_eq!((split.n_users, split.n_items), (2, 10));
    assert_eq!((split.train.len(), split.valid.len(), split.test.len()), (3, 0, 2));
    // Only the test has ratings and times: the parts have the same columns.
    assert!(split.test.rating.is_none() && split.test.timestamp.is_none());
    let pool = split.candidates.unwrap();
    assert_eq!((pool.candidates(0), pool.candidates(1)), (Some(&[1, 9][..]), Some(&[0, 4][..])));
    insta::assert_snapshot!(split.warnings.join("\n"), @r"
    left out what not all parts have: ratings (`train` has none), timestamps (`train` has none)
    1 of 4 published candidates are training positives of their user
    ");

    let implied = combine(parts("0\t0\n0\t1\n1\t1\n", None, Some(listed))).unwrap();
    assert_eq!(implied.test, split.test);
}

#[test]
fn what_is_odd_about_published_files_is_told() {
    let split = combine(parts("0\t2\n", Some("0\t2\n"), Some("(0,2)\t3\t3\t2\n"))).unwrap();
    insta::assert_snapshot!(split.warnings.join("\n"), @r"
    1 of 1 test interactions are in the training part, too
    1 of 3 published candidates are training positives of their user
    1 of 3 published candidates are the positive that they are ranked against
    1 of 3 published candidates are there twice for the same user
    ");
    let mut parts = parts("0\t0\n0\t0\n1\t1\n", Some("0\t2\n0\t2\n1\t0\n"), None);
    parts.valid = parts.test.clone();
    insta::assert_snapshot!(combine(parts).unwrap().warnings.join("\n"), @r"
    1 of 3 interactions of the part `train` repeat a user and an item: training goes through each, evaluation counts them once
    1 of 3 interactions of the part `valid` repeat a user and an item: training goes through each, evaluation counts them once
    1 of 3 interactions of the part `test` repeat a user and an item: training goes through each, evaluation counts them once
    3 of 3 test interactions are in the validation part, too
    ");
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let of = |test, listed| message(combine(parts("0\t0\n1\t1\n", test, listed)));
    let found = [
        of(None, None),
        of(Some("0\t2\n0\t3\n"), Some("(0,2)\t3\n")),
        of(Some("0\t2\n"), Some("(0,2)\t3\n(0,2)\t4\n")),
        of(Some("0\t2\n"), Some("(0,3)\t4\n")),
        of(Some("0\t2\n"), Some("(0,2)\t4\n(1,2)\t4\n")),
        of(Some("0\t2\n1\t2\n"), Some("(0,2)\t4\n")),
        of(Some("0\t2\n1\t2\n"), Some("(1,2)\t4\n")),
        of(Some("0\t2000000000\n"), None),
    ];
    insta::assert_snapshot!(found.join("\n"), @r"
    the split has no test interactions [set `test`, or `candidates`]
    user 0 has more than one test positive: items 2 and 3 [candidates are for one held-out item a user; leave `candidates` out to rank among all items]
    `candidates` has user 0 twice, in lines 1 and 2 [keep one of the lines]
    line 1 of `candidates` is for item 3 of user 0, whose test item is 2 [use the test file and the candidates of the same split]
    line 2 of `candidates` is for user 1, who is not in the test [use the test file and the candidates of the same split]
    test user 1 has no line in `candidates` [use the test file and the candidates of the same split]
    test user 0 has no line in `candidates` [use the test file and the candidates of the same split]
    item ids go up to 2000000000 in only 3 entries: they are not dense [state the number with `items`, or use the stages `read`, `remap` and `split`]
    ");
}

#[test]
fn stated_numbers_of_ids_are_kept() {
    let stated = SplitParts { users: Some(212_231), items: Some(6596), ..parts("0\t0\n", Some("0\t2\n"), None) };
    let split = combine(stated).unwrap();
    assert_eq!((split.n_users, split.n_items), (212_231, 6596));
}

#[test]
fn frames_have_int32_ids() {
    let frame = dense_frame(read("1\t2\t0\n0\t3\t1\n", Lines::Flags).unwrap()).unwrap();
    let types: Vec<String> =
        frame.columns().iter().map(|column| format!("{} {}", column.name(), column.dtype())).collect();
    assert_eq!(types, ["user_id i32", "item_id i32", "clean bool"]);
}

proptest! {
    #[test]
    fn the_size_of_the_pieces_does_not_matter(
        lines in prop::collection::vec("[(]?[0-9]{1,2}[,\t][0-9]{1,2}[)]?(\t[0-9]{1,2}){0,3}\r?", 1..20),
        batch in 1_usize..50, chunk in 1_usize..20,
    ) {
        let text = lines.join("\n");
        let small = Sizes { batch, chunk };
        let candidates = |sizes| candidates::read_sized(text.as_bytes(), file("c"), ANY(), sizes, Hooks::NONE);
        prop_assert_eq!(candidates(small), candidates(Sizes::default()));
        for kind in [Lines::Ratings, Lines::Flags, Lines::Positives] {
            let read = |sizes| read_sized(text.as_bytes(), file("f"), kind, ANY(), sizes, Hooks::NONE);
            prop_assert_eq!(read(small), read(Sizes::default()));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic_or_hang(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"0123456789\n\t,()".to_vec())], 0..200),
    ) {
        let listed = read_candidates(bytes.as_slice(), file("c"), ANY(), Hooks::NONE).ok();
        for kind in [Lines::Ratings, Lines::Flags, Lines::Positives] {
            if let Ok(train) = read_interactions(bytes.as_slice(), file("f"), kind, ANY(), Hooks::NONE) {
                let test = Some(train.clone());
                let _ = combine(SplitParts { train, valid: None, test, candidates: listed.clone(), users: None, items: None });
            }
        }
    }
}
