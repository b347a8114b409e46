use std::collections::BTreeSet;

use arrow::array::ArrayRef;
use proptest::prelude::*;

use super::*;
use crate::Class;
use crate::csr::Csr;
use crate::frame::{FrameMeta, ITEM, ParquetFile, USER, dense_ids};
use crate::proposal::{Proposal, Weights};
use crate::rng::{Philox, Stream};

const UNIFORM: Proposal = Proposal::Uniform { n_items: 12 };

fn csr(rows: &[BTreeSet<u32>], n_items: u32) -> Csr {
    let pairs = rows.iter().enumerate().flat_map(|(u, row)| row.iter().map(move |&i| (u as u32, i)));
    let (users, items): (Vec<u32>, Vec<u32>) = pairs.unzip();
    Csr::from_pairs(rows.len() as u32, n_items, &users, &items).unwrap()
}

fn draw(proposal: &Proposal, negatives: usize, short: ShortPool) -> Draw<'_> {
    Draw { proposal, philox: Philox::new(7, Stream::EvalPool), negatives, short }
}

/// Windows of the rows of `seen` with these users, and so many users of its own in each but the last.
fn windows(seen: &Csr, users: &[(u32, usize)], length: usize) -> Vec<Window> {
    let window = |users: &[(u32, usize)]| {
        let (first, last) = (users[0].0, users[users.len() - 1].0);
        let rows: Vec<&[u32]> = (first..=last).map(|user| seen.row(user)).collect();
        let ends = rows.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        });
        let offsets = std::iter::once(0).chain(ends).collect();
        let seen = Csr::from_rows(seen.n_items(), offsets, rows.concat()).unwrap();
        Window { first, seen, users: users.to_vec() }
    };
    users.chunks(length).map(window).collect()
}

fn write_eval(
    seen: &Csr,
    users: &[u32],
    draw: Draw<'_>,
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<(Vec<u8>, Drawn)> {
    let users: Vec<(u32, usize)> = users.iter().map(|&user| (user, 1)).collect();
    let mut pool = EvalPool::new(Vec::new(), draw, &meta(seen))?;
    for windows in windows(seen, &users, 1000).chunks(3) {
        pool.add(windows, advance)?;
    }
    pool.finish()
}

fn write_train(
    seen: &Csr,
    positives: &[u32],
    draw: Draw<'_>,
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<(Vec<u8>, Drawn)> {
    let runs: Vec<(u32, usize)> = positives.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    let mut pool = TrainPool::new(Vec::new(), draw, &meta(seen))?;
    for windows in windows(seen, &runs, 1000).chunks(3) {
        pool.add(windows, advance)?;
    }
    pool.finish()
}

fn meta(seen: &Csr) -> FrameMeta {
    FrameMeta::of("negative_pool").sized(seen.n_users() as usize, seen.n_items() as usize)
}

fn eval(seen: &Csr, users: &[u32], draw: Draw<'_>) -> Result<(Pool, Drawn)> {
    let (bytes, drawn) = write_eval(seen, users, draw, &mut |_| Ok(()))?;
    Ok((Pool::read(&ParquetFile::open(bytes)?)?, drawn))
}

fn train(seen: &Csr, positives: &[u32], draw: Draw<'_>) -> Result<(Vec<(u32, u32)>, Drawn)> {
    let (bytes, drawn) = write_train(seen, positives, draw, &mut |_| Ok(()))?;
    let frame = ParquetFile::open(bytes)?.read(None)?;
    let ids = |name, n| dense_ids(&frame, name, n as usize);
    Ok((ids(USER, seen.n_users())?.into_iter().zip(ids(ITEM, seen.n_items())?).collect(), drawn))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn candidates_are_unseen_ascending_and_as_many_as_asked_or_left(
        rows in prop::collection::vec(prop::collection::btree_set(0u32..12, 0..=12), 1..8), negatives in 1usize..20,
        popular: bool, again: bool,
    ) {
        let seen = csr(&rows, 12);
        let weights = Proposal::Weighted(Weights::popularity(&[9, 1, 4, 0, 7, 7, 3, 12, 1, 0, 55, 2], 1.0).unwrap());
        let short = if again { ShortPool::WithReplacement } else { ShortPool::Shorter };
        let draw = draw(if popular { &weights } else { &UNIFORM }, negatives, short);
        let users: Vec<u32> = (0..rows.len() as u32).step_by(2).collect();
        let (pool, drawn) = eval(&seen, &users, draw).unwrap();
        prop_assert!(pool.rows().map(|(user, _)| user).eq(users.iter().copied()));
        let (mut short, mut none) = (0, 0);
        for (user, list) in pool.rows() {
            let left: Vec<u32> = (0..12).filter(|item| !rows[user as usize].contains(item)).collect();
            let distinct: BTreeSet<u32> = list.iter().copied().collect();
            prop_assert!(list.is_sorted());
            prop_assert!(distinct.iter().all(|item| left.contains(item)));
            prop_assert_eq!(distinct.len(), negatives.min(left.len()));
            let expected = if again && !left.is_empty() { negatives } else { negatives.min(left.len()) };
            prop_assert_eq!(list.len(), expected);
            short += u64::from(left.len() < negatives);
            none += u64::from(left.is_empty());
        }
        let negatives = pool.rows().map(|(_, list)| list.len() as u64).sum();
        prop_assert_eq!(drawn, Drawn { users: users.len() as u64, negatives, short, none });
    }

    #[test]
    fn training_negatives_are_unseen_sorted_and_so_many_for_each_positive(
        rows in prop::collection::vec(prop::collection::btree_set(0u32..12, 0..=12), 1..8), negatives in 1usize..6,
    ) {
        let seen = csr(&rows, 12);
        let positives: Vec<u32> = (0..).zip(&rows).flat_map(|(u, row)| std::iter::repeat_n(u, row.len())).collect();
        let (pairs, drawn) = train(&seen, &positives, draw(&UNIFORM, negatives, ShortPool::Shorter)).unwrap();
        prop_assert!(pairs.is_sorted());
        prop_assert!(pairs.iter().all(|(user, item)| !seen.contains(*user, *item)));
        for (user, row) in rows.iter().enumerate() {
            let found = pairs.iter().filter(|(u, _)| *u as usize == user).count();
            prop_assert_eq!(found, if row.len() == 12 { 0 } else { negatives * row.len() });
        }
        prop_assert_eq!(drawn.negatives, pairs.len() as u64);
        prop_assert_eq!(drawn.short, rows.iter().filter(|row| row.len() == 12).count() as u64);
    }
}

#[test]
fn a_small_catalogue_gives_what_it_has() {
    let whole: BTreeSet<u32> = (0..5).collect();
    let seen = csr(&[whole, BTreeSet::from([1, 2])], 5);
    let uniform = Proposal::Uniform { n_items: 5 };
    let (pool, drawn) = eval(&seen, &[0, 1], draw(&uniform, 99, ShortPool::Shorter)).unwrap();
    assert_eq!(pool.candidates(0), Some(&[][..]));
    assert_eq!(pool.candidates(1), Some(&[0, 3, 4][..]));
    assert_eq!(drawn, Drawn { users: 2, negatives: 3, short: 2, none: 1 });
    let error = eval(&seen, &[0, 1], draw(&uniform, 99, ShortPool::Error)).unwrap_err();
    assert_eq!(error.message, "user 0 has 0 items left, too few to draw 99");
    let error = train(&seen, &[0, 0], draw(&uniform, 2, ShortPool::Error)).unwrap_err();
    assert_eq!(error.message, "user 0 has 0 items left, too few to draw 2");
    assert!(train(&seen, &[1, 1], draw(&uniform, 99, ShortPool::Error)).is_ok());
}

#[test]
fn nobody_to_draw_for_gives_an_empty_file() {
    let seen = csr(&[BTreeSet::new()], 12);
    let (pool, drawn) = eval(&seen, &[], draw(&UNIFORM, 99, ShortPool::Shorter)).unwrap();
    assert!(pool.is_empty() && drawn == Drawn::default());
    assert_eq!(train(&seen, &[], draw(&UNIFORM, 4, ShortPool::Shorter)).unwrap().0, []);
}

#[test]
fn pools_do_not_depend_on_threads_or_on_other_users() {
    let n_users = 30_000;
    let rows: Vec<BTreeSet<u32>> = (0..n_users).map(|u| (0..3).map(|k| (u * 7 + k * 5) % 500).collect()).collect();
    let seen = csr(&rows, 500);
    let uniform = Proposal::Uniform { n_items: 500 };
    let draw = draw(&uniform, 99, ShortPool::Shorter);
    let users: Vec<u32> = (0..n_users).collect();
    let positives: Vec<u32> = users.iter().flat_map(|u| [*u, *u, *u]).collect();
    let bytes = |users: &[u32], positives: &[u32]| {
        let lists = write_eval(&seen, users, draw, &mut |_| Ok(())).unwrap().0;
        let pairs = write_train(&seen, positives, draw, &mut |_| Ok(())).unwrap().0;
        (lists, pairs)
    };
    let expected = bytes(&users, &positives);
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| bytes(&users, &positives)) == expected);
    }
    let whole = Pool::read(&ParquetFile::open(expected.0).unwrap()).unwrap();
    let (part, _) = eval(&seen, &[29_999], draw).unwrap();
    assert_eq!(part.candidates(29_999), whole.candidates(29_999));
    assert_eq!(part.candidates(0), None);
}

#[test]
fn the_caller_can_stop_the_drawing() {
    let seen = csr(&[BTreeSet::new()], 12);
    let draw = draw(&UNIFORM, 3, ShortPool::Shorter);
    let stop = &mut |_| Err(Fault::cancelled());
    assert_eq!(write_eval(&seen, &[0], draw, stop).unwrap_err().class, Class::Cancelled);
    assert_eq!(write_train(&seen, &[0], draw, stop).unwrap_err().class, Class::Cancelled);
}

#[test]
fn lists_are_read_back_as_written() {
    let users: Vec<u32> = (0..10_000).map(|k| 2 * k).collect();
    let lists: Vec<Vec<u32>> = (0..10_000u32).map(|k| (0..k % 7 * 60).map(|j| k.midpoint(j)).collect()).collect();
    let ends = lists.iter().scan(0, |end, list| {
        *end += list.len();
        Some(*end)
    });
    let offsets: Vec<usize> = std::iter::once(0).chain(ends).collect();
    let pool = Pool::new(20_000, 6_000, users, offsets, lists.concat()).unwrap();
    let file = ParquetFile::open(pool.write(Vec::new(), &FrameMeta::of("read_split")).unwrap()).unwrap();
    assert_eq!(Pool::read(&file).unwrap(), pool);
    assert_eq!(pool.candidates(6).map(|list| &list[..3]), Some(&[1, 2, 2][..]));
    let (mut groups, mut rows) = (0, 0);
    let count = |lists: &[ArrayRef]| {
        (groups, rows) = (groups + 1, rows + lists[0].len());
        Ok(())
    };
    file.each_group(&[ITEM], count).unwrap();
    assert!(groups > 1 && rows == 10_000, "{groups} row groups of {rows} rows");
}

#[test]
fn files_that_hold_no_pool_are_refused() {
    let seen = csr(&[BTreeSet::new(), BTreeSet::new()], 12);
    let message = |bytes: Vec<u8>| Pool::read(&ParquetFile::open(bytes).unwrap()).unwrap_err().message;
    let pairs = write_train(&seen, &[0, 1], draw(&UNIFORM, 3, ShortPool::Shorter), &mut |_| Ok(())).unwrap().0;
    assert_eq!(message(pairs), "column `item_id` does not hold a list of ids in each row");

    let lists = Pool::new(3, 12, vec![2], vec![0, 2], vec![4, 11]).unwrap();
    let written = |meta: FrameMeta| {
        let mut file = file::list_writer(Vec::new(), &meta, 2).unwrap();
        file.write([file::list_batch(&lists.users, &lists.offsets, &lists.items).unwrap().1]).unwrap();
        file.finish().unwrap()
    };
    let meta = FrameMeta::of("negative_pool");
    assert_eq!(Pool::read(&ParquetFile::open(written(meta.clone().sized(3, 12))).unwrap()).unwrap(), lists);
    assert_eq!(message(written(meta.clone().sized(2, 12))), "column `user_id` has the id 2, which is not in 0..2");
    assert_eq!(message(written(meta.clone().sized(3, 11))), "column `item_id` has the id 11, which is not in 0..11");
    assert_eq!(message(written(meta)), "the footer does not state a possible number of users");
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let message = |users: &[u32], offsets: &[usize], items: &[u32]| {
        Pool::new(3, 5, users.to_vec(), offsets.to_vec(), items.to_vec()).unwrap_err().message
    };
    assert_eq!(message(&[1, 1], &[0, 0, 0], &[]), "user 1 comes after user 1, not in ascending order");
    assert_eq!(message(&[3], &[0, 0], &[]), "user id 3 is not below the number of users, 3");
    assert_eq!(message(&[0], &[0, 1], &[]), "offsets do not cut 0 items into 1 lists");
    assert_eq!(message(&[0, 1], &[0, 2, 1], &[0]), "offsets do not cut 1 items into 2 lists");
    assert_eq!(message(&[0], &[0, 2], &[2, 1]), "the candidates of user 0 are not in ascending order");
    assert_eq!(message(&[0], &[0, 1], &[5]), "item id 5, a candidate of user 0, is not below the number of items, 5");
}

#[test]
fn candidates_among_positives_are_counted_with_the_first() {
    // Lists longer and shorter than the rows, with repetitions, and users without either.
    let known = csr(&[[1, 4, 7].into(), [0, 1, 2, 3, 5, 8].into(), BTreeSet::new(), [6].into()], 12);
    let pool = |users: &[u32], offsets: &[usize], items: &[u32]| {
        Pool::new(5, 12, users.to_vec(), offsets.to_vec(), items.to_vec()).unwrap().among(&known)
    };
    assert_eq!(pool(&[0, 2, 3, 4], &[0, 4, 5, 6, 7], &[0, 2, 3, 5, 6, 7, 6]), (0, None));
    assert_eq!(pool(&[0, 1], &[0, 5, 7], &[2, 4, 4, 4, 9, 4, 8]), (4, Some((0, 4))));
    assert_eq!(pool(&[1, 3], &[0, 3, 4], &[4, 5, 8, 6]), (3, Some((1, 5))));
}
