//! The times at which all interactions are cut.

use std::sync::atomic::{AtomicU64, Ordering};

use polars::prelude::DataFrame;

use crate::frame::TIMESTAMP;
use crate::scan::{Piece, Scan, each_piece};
use crate::split::{Cuts, times};
use crate::{Fault, Result};

/// Bits of a time that one pass over the rows finds.
const DIGIT: u32 = 16;

/// The times from which interactions are validation and test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// The first time of the validation part; the same as `test` when there is none.
    pub(super) valid: i64,
    /// The first time of the test part.
    pub(super) test: i64,
}

/// The times of the cuts. Given shares, each held-out part has at least its share of the interactions: all those of
/// the same time go to the later part.
///
/// # Errors
/// When there is no interaction, or they have no times.
pub(super) fn of_cuts(cuts: &Cuts, interactions: &dyn Scan) -> Result<Times> {
    match *cuts {
        Cuts::At { valid, test } => {
            let cuts = Times { valid: valid.unwrap_or(test), test };
            refuse_outside(cuts, interactions)?;
            Ok(cuts)
        }
        Cuts::Shares { valid, test } => {
            let n = interactions.rows();
            let share = |ratio: f64| ((n as f64 * ratio).round() as usize).min(n);
            let held = share(test);
            let at = |held: usize| {
                n.checked_sub(held.max(1))
                    .ok_or_else(|| Fault::data("0 interactions before `split`").help("look at the stage before"))
            };
            let places = [at(held)?, at((held + share(valid)).min(n))?];
            let [test, before] = nth(interactions, places)?;
            Ok(Times { valid: if valid > 0.0 { before } else { test }, test })
        }
    }
}

/// Refuses times that cut nothing off the interactions, which most often are in another unit.
fn refuse_outside(cuts: Times, interactions: &dyn Scan) -> Result<()> {
    let (min, max) = bounds(interactions)?;
    for (name, at) in [("test_at", cuts.test), ("valid_at", cuts.valid)] {
        if min > max || (min < at && at <= max) {
            continue;
        }
        let where_to = format!("the first is of {min} and the last of {max}, in seconds since 1970");
        let smaller = [1_000, 1_000_000, 1_000_000_000].map(|unit: i64| at / unit);
        let help = match smaller.into_iter().find(|meant| (min..=max).contains(meant)) {
            Some(meant) => format!("times are in seconds: write `{name}: {meant}`"),
            None => format!("give a time after {min} and up to {max}, in seconds"),
        };
        let side = if at > max { "later" } else { "not later" };
        let which = if at > max { "every interaction" } else { "the first interaction" };
        return Err(Fault::data(format!("`{name}: {at}` is {side} than {which}: {where_to}")).help(help));
    }
    Ok(())
}

/// The first time and the last. The first is the later one when there is no interaction.
fn bounds(interactions: &dyn Scan) -> Result<(i64, i64)> {
    if !interactions.has(TIMESTAMP) {
        // The error for missing times is the same everywhere.
        times(&DataFrame::empty())?;
    }
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    let of_piece = |piece: &Piece| {
        let times = times(&piece.frame)?;
        Ok(times.iter().fold((i64::MAX, i64::MIN), |all, &time| (all.0.min(time), all.1.max(time))))
    };
    each_piece(interactions, Some(&[TIMESTAMP]), of_piece, |pieces| {
        for (low, high) in pieces {
            (min, max) = (min.min(low), max.max(high));
        }
        Ok(())
    })?;
    Ok((min, max))
}

/// The times at these places if all were sorted, found digit by digit: each pass counts, among the times that begin as
/// the wanted one does, how many have each next digit.
fn nth(interactions: &dyn Scan, places: [usize; 2]) -> Result<[i64; 2]> {
    let (min, max) = bounds(interactions)?;
    // In two's complement the difference of two i64 fits a u64.
    let offset = |time: i64| time.wrapping_sub(min) as u64;
    let mut below = u64::BITS - offset(max).leading_zeros();
    // What is known of each wanted offset, all bits above `below`; and its place among those that begin like it.
    let mut found = [0_u64; 2];
    let mut places = places.map(|place| place as u64);
    while below > 0 {
        let digit = DIGIT.min(below);
        below -= digit;
        let counts = [0, 1].map(|_| (0..1_u64 << digit).map(|_| AtomicU64::new(0)).collect::<Vec<_>>());
        let count = |piece: &Piece| {
            for offset in times(&piece.frame)?.iter().map(|&time| offset(time) >> below) {
                for (found, counts) in found.iter().zip(&counts) {
                    if offset >> digit == *found {
                        counts[(offset & ((1 << digit) - 1)) as usize].fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Ok(())
        };
        each_piece(interactions, Some(&[TIMESTAMP]), count, |_| Ok(()))?;
        for ((found, place), counts) in found.iter_mut().zip(&mut places).zip(&counts) {
            let mut digit_found = 0;
            for (digit, count) in counts.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                digit_found = digit as u64;
                if *place < count {
                    break;
                }
                *place -= count;
            }
            *found = *found << digit | digit_found;
        }
    }
    Ok(found.map(|offset| min.wrapping_add(offset as i64)))
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;
    use proptest::prelude::*;

    use super::*;
    use crate::frame::USER;
    use crate::scan::tests::pieces;

    proptest! {
        #[test]
        fn places_are_those_of_the_sorted_times(
            times in prop::collection::vec(prop_oneof![-5i64..5, -200_000i64..200_000, any::<i64>()], 1..40),
            wide in any::<bool>(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(),
        ) {
            let times: Vec<i64> = times.into_iter().map(|time| if wide { time } else { time % 100_000 }).collect();
            let users: Vec<i32> = (0..times.len() as i32).collect();
            let frame = df!(USER => users, TIMESTAMP => &times).unwrap();
            let places = [a.index(times.len()), b.index(times.len())];
            let mut sorted = times;
            sorted.sort_unstable();
            prop_assert_eq!(nth(&pieces(&frame), places).unwrap(), places.map(|place| sorted[place]));
        }
    }
}
