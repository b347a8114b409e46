//! Rows whose users ascend already: each user's are sorted by themselves.

use std::ops::Range;

use rayon::prelude::*;

use crate::columns::sort::{LARGE, PART, Plan, Rows, Word};
use crate::columns::{Columns, IdColumn};

/// Sorts the rows if their users ascend and the other columns of a row fit a key; says whether they do.
pub(super) fn sort(columns: &mut Columns, plan: &Plan) -> bool {
    let width = plan.width() - plan.user.bits;
    if width > 128 || !users_ascend(&columns.user) {
        return false;
    }
    if width <= u64::BITS {
        sort_by::<u64>(columns, plan);
    } else {
        sort_by::<u128>(columns, plan);
    }
    true
}

fn users_ascend(users: &IdColumn) -> bool {
    fn ascend<T: Ord + Sync>(ids: &[T]) -> bool {
        (1..ids.len()).into_par_iter().with_min_len(1 << 14).all(|row| ids[row - 1] <= ids[row])
    }
    match users {
        IdColumn::Int(ids) => ascend(ids),
        IdColumn::Str(ids) => ascend(&ids.codes),
    }
}

fn sort_by<K: Word>(columns: &mut Columns, plan: &Plan) {
    let parts = parts(&columns.user);
    let shared = &*columns;
    let keys: Vec<Vec<K>> = parts
        .par_iter()
        .with_max_len(1)
        .map(|part| {
            let mut keys = vec![K::of(0); part.len()];
            plan.pack_rest(shared, part.start, &mut keys);
            let mut from = 0;
            while from < keys.len() {
                let run = from..run_end(&shared.user, part.start + from, part.end) - part.start;
                from = run.end;
                let keys = &mut keys[run];
                if keys.len() > LARGE { keys.par_sort_unstable() } else { keys.sort_unstable() }
            }
            keys
        })
        .collect();
    let targets = Rows::of(columns).split(parts.iter().map(Range::len));
    let pairs = keys.into_par_iter().zip(targets).with_max_len(1);
    pairs.for_each(|(mut keys, mut rows)| plan.unpack_rest(&mut keys, &mut rows));
}

/// Ranges of whole users with about [`PART`] rows.
fn parts(users: &IdColumn) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut from = 0;
    while from < users.len() {
        let last = (from + PART).min(users.len()) - 1;
        let to = run_end(users, last, users.len());
        parts.push(from..to);
        from = to;
    }
    parts
}

/// The end of the rows from `from` on, and before `end`, that have the user of row `from`.
fn run_end(users: &IdColumn, from: usize, end: usize) -> usize {
    fn find<T: PartialEq>(ids: &[T]) -> usize {
        ids.iter().take_while(|id| **id == ids[0]).count()
    }
    from + match users {
        IdColumn::Int(ids) => find(&ids[from..end]),
        IdColumn::Str(ids) => find(&ids.codes[from..end]),
    }
}
