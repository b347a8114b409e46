//! The packed sort against the sort of tuples.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ids::StrIds;

/// A row as a tuple in the canonical order: the definition that the sort has to meet.
type Row = (i64, Option<i64>, i64, Option<u32>, Option<bool>, Option<i8>);

fn id(column: &IdColumn, row: usize) -> i64 {
    match column {
        IdColumn::Int(ids) => ids[row],
        IdColumn::Str(ids) => i64::from(ids.codes[row]),
    }
}

fn rows_of(columns: &Columns) -> Vec<Row> {
    (0..columns.len())
        .map(|row| {
            (
                id(&columns.user, row),
                columns.timestamp.as_ref().map(|column| column[row]),
                id(&columns.item, row),
                columns.rating.as_ref().map(|column| ordered(column[row])),
                columns.clean.as_ref().map(|column| column[row]),
                columns.label.as_ref().map(|column| column[row]),
            )
        })
        .collect()
}

/// Sorts the rows as they are, and with the users in order.
fn check(columns: Columns) {
    let mut by_user = columns.clone();
    if let IdColumn::Int(ids) = &mut by_user.user {
        ids.sort_unstable();
    }
    check_one(by_user);
    check_one(columns);
}

fn check_one(mut columns: Columns) {
    let mut expected = rows_of(&columns);
    expected.sort_unstable();
    columns.sort_canonical();
    assert_eq!(rows_of(&columns), expected);
}

fn ids(span: i64) -> BoxedStrategy<i64> {
    if span == i64::MAX { any::<i64>().boxed() } else { (-span..=span).boxed() }
}

fn columns() -> impl Strategy<Value = Columns> {
    let spans = prop::sample::select(vec![0, 3, 1 << 20, 1 << 45, i64::MAX]);
    let all = (spans.clone(), spans.clone(), spans, any::<[bool; 5]>(), prop::bool::ANY);
    all.prop_flat_map(|(users, items, times, has, few)| {
        let rating = if few { (0..5_u8).prop_map(f32::from).boxed() } else { (-1e30..1e30_f32).boxed() };
        let row = (ids(users), ids(items), ids(times), rating, any::<bool>(), any::<i8>());
        prop::collection::vec(row, 0..700).prop_map(move |rows| Columns {
            user: IdColumn::Int(rows.iter().map(|row| row.0).collect()),
            item: if has[4] {
                let codes: Vec<u32> = rows.iter().map(|row| row.1 as u32 % 700).collect();
                IdColumn::Str(StrIds { codes, values: Arc::new((0..700).map(|value| format!("{value:03}")).collect()) })
            } else {
                IdColumn::Int(rows.iter().map(|row| row.1).collect())
            },
            timestamp: has[0].then(|| rows.iter().map(|row| row.2).collect()),
            rating: has[1].then(|| rows.iter().map(|row| row.3).collect()),
            clean: has[2].then(|| rows.iter().map(|row| row.4).collect()),
            label: has[3].then(|| rows.iter().map(|row| row.5).collect()),
        })
    })
}

proptest! {
    #[test]
    fn sorts_as_tuples_do(columns in columns()) {
        check(columns);
    }
}

/// A cheap full-period generator, so that the rows are in no order.
fn scramble(n: usize) -> impl Iterator<Item = u64> {
    (0..n as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9))
}

fn large(users: i64, items: i64, from: i64, times: i64) -> Columns {
    let n = 3 * PART + 17;
    Columns {
        user: IdColumn::Int(scramble(n).map(|x| (x % users as u64) as i64).collect()),
        item: IdColumn::Int(scramble(n).map(|x| ((x >> 7) % items as u64) as i64).collect()),
        rating: Some(scramble(n).map(|x| (x >> 40) as f32 % 5.0).map(f32::trunc).collect()),
        timestamp: Some(scramble(n).map(|x| from.wrapping_add(((x >> 20) % times as u64) as i64)).collect()),
        clean: None,
        label: None,
    }
}

#[test]
fn sorts_many_rows_by_buckets_of_64_bits() {
    check(large(2000, 500, 900_000_000, 1 << 30));
    check(large(2000, 70, 0, 1));
}

#[test]
fn sorts_many_rows_when_all_users_share_a_bucket_but_one() {
    let mut columns = large(3, 500, 900_000_000, 1 << 30);
    if let IdColumn::Int(ids) = &mut columns.user {
        ids[77] = 1 << 40;
    }
    check(columns);
}

#[test]
fn sorts_many_rows_by_keys_of_128_bits_and_wider() {
    check(large(1 << 45, 1 << 30, 900_000_000, 1 << 30));
    check(large(i64::MAX, i64::MAX, i64::MIN, i64::MAX));
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let sorted = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut columns = large(2000, 500, 900_000_000, 1 << 30);
        pool.install(|| columns.sort_canonical());
        columns
    };
    let one = sorted(1);
    assert_eq!(sorted(2), one);
    assert_eq!(sorted(4), one);
}

#[test]
fn ordered_bits_sort_as_floats_and_come_back() {
    let values = [f32::MIN, -1.5, -1e-40, -0.0, 0.0, 1e-40, 0.5, 5.0, f32::MAX];
    for pair in values.windows(2) {
        assert!(ordered(pair[0]) < ordered(pair[1]));
    }
    for value in values {
        assert_eq!(unordered(ordered(value)).to_bits(), value.to_bits());
    }
}
