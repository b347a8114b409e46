//! How many rows each synthetic user has.

use rayon::prelude::*;

use crate::maths::exp;
use crate::rng::{Philox, Stream, normal_pair};
use crate::synthesize::Spec;
use crate::{Fault, Result};

/// Spread of the logarithm of activity. With 0.9 the most active tenth of the users has about a third of the rows, as in
/// MovieLens (32 % in 100K, 38 % in the training part of 1M).
const SPREAD: f64 = 0.9;

/// The row numbers where users begin: one more entry than there are users. The last is exactly `interactions`.
///
/// Every user has an eighth of the mean, the rest is shared out by log-normal weights, and what is above half the
/// items goes to the users who still have room. The numbers must have been checked.
pub(super) fn starts(spec: &Spec) -> Result<Vec<u64>> {
    let users = spec.users as usize;
    let most = u64::from(spec.items / 2);
    let least = (spec.interactions / u64::from(spec.users) / 8).max(1);
    let rest = spec.interactions - least * u64::from(spec.users);
    let mut counts = Vec::new();
    counts
        .try_reserve_exact(users + 1)
        .map_err(|_| Fault::data(format!("no memory for the row numbers of {users} users")))?;
    let philox = Philox::new(spec.seed, Stream::SynthesizeActivity);
    // Whole numbers with 20 binary places: their sums do not depend on the order of additions.
    let weight = |user: usize| {
        let [even, odd] = normal_pair(philox.words(user as u64 / 2, 0));
        (exp(SPREAD * if user.is_multiple_of(2) { even } else { odd }) * f64::from(1u32 << 20)) as u64 + 1
    };
    (0..users).into_par_iter().map(weight).collect_into_vec(&mut counts);
    share_out(rest, &mut counts);
    counts.par_iter_mut().for_each(|count| *count = (*count + least).min(most));
    let missing = spec.interactions - counts.iter().sum::<u64>();
    let mut room: Vec<u64> = counts.par_iter().map(|count| most - count).collect();
    share_out(missing, &mut room);
    let mut start = 0;
    for (count, more) in counts.iter_mut().zip(room) {
        let rows = *count + more;
        *count = start;
        start += rows;
    }
    counts.push(start);
    Ok(counts)
}

/// Replaces each weight by its share of `total`, rounded so that all add up to it. A share is below its exact value
/// plus 1, so that it exceeds no weight when `total` does not exceed their sum.
fn share_out(total: u64, weights: &mut [u64]) {
    let sum = weights.iter().map(|&weight| u128::from(weight)).sum::<u128>().max(1);
    let (mut mass, mut given) = (0, 0);
    for weight in weights {
        mass += u128::from(*weight);
        let up_to_here = (mass * u128::from(total) / sum) as u64;
        *weight = up_to_here - given;
        given = up_to_here;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_add_up_and_fit_into_the_room(mut room in prop::collection::vec(0u64..100, 1..50), part in 0.0..=1.0) {
            let sum: u64 = room.iter().sum();
            let total = (sum as f64 * part) as u64;
            let before = room.clone();
            share_out(total, &mut room);
            prop_assert_eq!(room.iter().sum::<u64>(), total);
            prop_assert!(room.iter().zip(before).all(|(share, room)| *share <= room));
        }
    }
}
