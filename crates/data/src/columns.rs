//! The plain table of raw interactions, and its one canonical order.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::ids::StrIds;

mod sort;

/// A column of raw ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdColumn {
    /// Integer ids, as they were written.
    Int(Vec<i64>),
    /// String ids, as codes into a dictionary.
    Str(StrIds),
}

impl IdColumn {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(ids) => ids.len(),
            Self::Str(ids) => ids.codes.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many different ids there are.
    pub fn distinct(&self) -> usize {
        match self {
            Self::Int(ids) => distinct(ids),
            Self::Str(ids) => ids.values.len(),
        }
    }

    fn cmp_rows(&self, a: usize, b: usize) -> Ordering {
        match self {
            Self::Int(ids) => ids[a].cmp(&ids[b]),
            Self::Str(ids) => ids.codes[a].cmp(&ids.codes[b]),
        }
    }
}

/// Interactions as plain columns of equal length, with raw ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// Who.
    pub user: IdColumn,
    /// What.
    pub item: IdColumn,
    /// How much they liked it; always finite.
    pub rating: Option<Vec<f32>>,
    /// When, in seconds since 1970.
    pub timestamp: Option<Vec<i64>>,
    /// Whether it is a true positive.
    pub clean: Option<Vec<bool>>,
    /// 1 for a positive, 0 for a negative.
    pub label: Option<Vec<i8>>,
}

impl Columns {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.user.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sorts by (user, timestamp, item, rating, clean, label), columns that are missing skipped. Strings sort by their
    /// bytes. Rows that compare equal are the same in every column, so that the order of the input cannot show.
    pub fn sort_canonical(&mut self) {
        sort::sort(self);
    }

    /// Compares two rows in the canonical order.
    fn cmp_rows(&self, a: usize, b: usize) -> Ordering {
        fn at<T>(column: Option<&Vec<T>>, a: usize, b: usize, cmp: impl Fn(&T, &T) -> Ordering) -> Ordering {
            column.map_or(Ordering::Equal, |column| cmp(&column[a], &column[b]))
        }
        self.user
            .cmp_rows(a, b)
            .then_with(|| at(self.timestamp.as_ref(), a, b, Ord::cmp))
            .then_with(|| self.item.cmp_rows(a, b))
            .then_with(|| at(self.rating.as_ref(), a, b, f32::total_cmp))
            .then_with(|| at(self.clean.as_ref(), a, b, Ord::cmp))
            .then_with(|| at(self.label.as_ref(), a, b, Ord::cmp))
    }
}

/// Counts the different integers, by a bit for each possible one where that is affordable.
fn distinct(ids: &[i64]) -> usize {
    let (Some(&min), Some(&max)) = (ids.par_iter().min(), ids.par_iter().max()) else { return 0 };
    let span = max.abs_diff(min);
    if span < (ids.len() as u64).saturating_mul(8).max(1 << 16) {
        let none = || vec![0_u64; (span / 64) as usize + 1];
        let mark = |mut seen: Vec<u64>, id: &i64| {
            let offset = id.abs_diff(min);
            seen[(offset / 64) as usize] |= 1 << (offset % 64);
            seen
        };
        let both = |a: Vec<u64>, b: Vec<u64>| a.into_iter().zip(b).map(|(a, b)| a | b).collect();
        let part = ids.len().div_ceil(rayon::current_num_threads());
        let seen = ids.par_iter().with_min_len(part).fold(none, mark).reduce(none, both);
        return seen.iter().map(|word| word.count_ones() as usize).sum();
    }
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn distinct_counts_as_a_set_does(
            near in prop::collection::vec(-70_i64..70, 0..50), far in prop::collection::vec(any::<i64>(), 0..50),
        ) {
            for ids in [near, far] {
                let expected = ids.iter().collect::<BTreeSet<_>>().len();
                prop_assert_eq!(IdColumn::Int(ids).distinct(), expected);
            }
        }
    }
}
