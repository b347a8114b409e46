//! Dense codes of raw ids: the position of each id among the sorted distinct ids.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use polars::prelude::PlHashMap;
use rayon::prelude::*;

use crate::frame::RawIds;
use crate::{Fault, Result};

/// Rows that one task works on.
const BLOCK: usize = 1 << 18;

/// Ids as positions in the sorted list of the distinct ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes<T> {
    /// One code for each row.
    pub codes: Vec<u32>,
    /// The distinct ids, ascending: `values[codes[row]]` is the id of `row`.
    pub values: Vec<T>,
}

/// Raw ids, one for each dense id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawValues {
    /// Whole numbers.
    Int(Vec<i64>),
    /// Strings.
    Str(Vec<String>),
}

impl RawValues {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Str(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Codes of raw ids, and the distinct ids in ascending order: numbers by value, strings by bytes.
///
/// # Errors
/// When there are more distinct ids than a `u32` can count.
pub fn of_raw(ids: &RawIds<'_>) -> Result<(Vec<u32>, RawValues)> {
    match ids {
        RawIds::Int(values) => {
            let Codes { codes, values } = of_ints(values)?;
            Ok((codes, RawValues::Int(values)))
        }
        RawIds::Str(column) => {
            let Codes { codes, values } = of_values(column.len(), |row| column.get(row).unwrap_or_default())?;
            Ok((codes, RawValues::Str(values.into_iter().map(str::to_owned).collect())))
        }
    }
}

/// Codes of integer ids.
///
/// # Errors
/// When there are more distinct ids than a `u32` can count.
pub fn of_ints(ids: &[i64]) -> Result<Codes<i64>> {
    let bounds = ids.par_iter().map(|&id| (id, id)).reduce_with(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let Some((min, max)) = bounds else {
        return Ok(Codes { codes: Vec::new(), values: Vec::new() });
    };
    // The difference of two i64 always fits a u64, in two's complement.
    let span = max.wrapping_sub(min) as u64;
    // A bit for each possible id, at most 4 bytes a row, beats any search.
    let affordable = (ids.len() as u64).saturating_mul(32).max(1 << 20);
    if span < affordable { of_near_ints(ids, min, span) } else { of_values(ids.len(), |row| ids[row]) }
}

/// Codes of integers in `min ..= min + span`, by a bit set: the code of an id is the number of bits set below its own.
fn of_near_ints(ids: &[i64], min: i64, span: u64) -> Result<Codes<i64>> {
    let place = |id: i64| {
        let offset = id.wrapping_sub(min) as u64;
        ((offset / 64) as usize, offset % 64)
    };
    let seen: Vec<AtomicU64> = (0..=span / 64).map(|_| AtomicU64::new(0)).collect();
    ids.par_iter().for_each(|&id| {
        let (word, bit) = place(id);
        // Most ids have been seen before: a plain load leaves the cache line shared.
        if seen[word].load(Ordering::Relaxed) >> bit & 1 == 0 {
            seen[word].fetch_or(1 << bit, Ordering::Relaxed);
        }
    });
    let seen: Vec<u64> = seen.into_iter().map(AtomicU64::into_inner).collect();
    let mut below = Vec::with_capacity(seen.len());
    let mut values = Vec::new();
    for (word, &bits) in seen.iter().enumerate() {
        below.push(count(values.len())?);
        let mut left = bits;
        while left != 0 {
            let offset = word as u64 * 64 + u64::from(left.trailing_zeros());
            values.push(min.wrapping_add(offset as i64));
            left &= left - 1;
        }
    }
    count(values.len())?;
    let codes = ids
        .par_iter()
        .map(|&id| {
            let (word, bit) = place(id);
            below[word] + (seen[word] & ((1 << bit) - 1)).count_ones()
        })
        .collect();
    Ok(Codes { codes, values })
}

/// Codes of any ids; `value` gives the id of a row.
///
/// # Errors
/// When there are more distinct ids than a `u32` can count.
pub fn of_values<T>(rows: usize, value: impl Fn(usize) -> T + Sync) -> Result<Codes<T>>
where
    T: Copy + Ord + Hash + Send + Sync,
{
    struct Local<T> {
        codes: Vec<u32>,
        distinct: Vec<T>,
    }
    let locals: Vec<Local<T>> = (0..rows.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            // Only looked up, never iterated, so that its random order cannot show.
            let mut codes_of = PlHashMap::default();
            let mut distinct = Vec::new();
            let codes = (block * BLOCK..rows.min((block + 1) * BLOCK))
                .map(|row| {
                    let id = value(row);
                    *codes_of.entry(id).or_insert_with(|| {
                        distinct.push(id);
                        distinct.len() as u32 - 1
                    })
                })
                .collect();
            Local { codes, distinct }
        })
        .collect();
    let mut values: Vec<T> = locals.iter().flat_map(|local| local.distinct.iter().copied()).collect();
    values.par_sort_unstable();
    values.dedup();
    count(values.len())?;
    let blocks: Vec<Vec<u32>> = locals
        .into_par_iter()
        .map(|local| {
            // Every local id is among the values, so that the partition point is its position.
            let global: Vec<u32> =
                local.distinct.iter().map(|id| values.partition_point(|value| value < id) as u32).collect();
            local.codes.into_iter().map(|code| global[code as usize]).collect()
        })
        .collect();
    Ok(Codes { codes: blocks.concat(), values })
}

fn count(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| {
        Fault::data(format!("{n} distinct ids are too many; at most {} can be told apart", u32::MAX))
            .help("split the data into parts and prepare each of them")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word.
    fn twin(ids: &[i64]) -> Codes<i64> {
        let values: Vec<i64> = ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let codes = ids.iter().map(|id| values.binary_search(id).unwrap() as u32).collect();
        Codes { codes, values }
    }

    proptest! {
        #[test]
        fn near_ints_have_the_codes_of_the_definition(ids in prop::collection::vec(-300i64..300, 0..200)) {
            prop_assert_eq!(of_ints(&ids).unwrap(), twin(&ids));
        }

        #[test]
        fn far_ints_have_the_codes_of_the_definition(ids in prop::collection::vec(any::<i64>(), 0..200)) {
            prop_assert_eq!(of_ints(&ids).unwrap(), twin(&ids));
        }

        #[test]
        fn both_ways_agree(ids in prop::collection::vec(-1000i64..1000, 0..200)) {
            prop_assert_eq!(of_values(ids.len(), |row| ids[row]).unwrap(), of_ints(&ids).unwrap());
        }

        #[test]
        fn strings_are_ordered_by_bytes(ids in prop::collection::vec("[a-zA-Z0-9é]{0,3}", 0..100)) {
            let found = of_values(ids.len(), |row| ids[row].as_bytes()).unwrap();
            let values: Vec<&[u8]> = ids.iter().map(String::as_bytes).collect::<BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(&found.values, &values);
            for (code, id) in found.codes.iter().zip(&ids) {
                prop_assert_eq!(found.values[*code as usize], id.as_bytes());
            }
        }
    }

    #[test]
    fn the_extremes_of_i64_do_not_overflow() {
        for ids in [vec![i64::MIN, i64::MAX, 0, -1], vec![i64::MAX, i64::MAX - 1], vec![i64::MIN, i64::MIN + 70]] {
            assert_eq!(of_ints(&ids).unwrap(), twin(&ids));
        }
    }

    #[test]
    fn ids_that_span_several_blocks_share_their_codes() {
        let ids: Vec<i64> = (0..BLOCK as i64 * 2 + 3).map(|row| (row % 7) << 50).collect();
        assert_eq!(of_ints(&ids).unwrap(), twin(&ids));
    }
}
