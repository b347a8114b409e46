//! Reciprocal rank of the first positive; its mean over users is MRR.

use std::num::NonZeroUsize;

use crate::metric::Ranking;

/// The reciprocal rank: 1 over the rank of the first positive, or 0 if that is not among the first `k` (all
/// candidates without a `k`). In `[0, 1]`; its mean over users is MRR or MRR@k (Voorhees 1999).
///
/// With `k` it is the MRR of the denoising paper's `compute_acc` (Wang et al. 2021):
///
/// ```text
/// if mrrFlag:
///     userMRR = (1.0/(j+1.0))
///     mrrFlag = False
/// ```
///
/// With ties the first positive lies in the first tie group. It has exactly `x` negatives of its group above it with
/// probability `Π_{i<x} (s-i-c)/(s-i) · c/(s-x)`, and its rank is then `a + x + 1`.
pub fn reciprocal_rank(ranking: &Ranking, k: Option<NonZeroUsize>) -> f64 {
    let Some(group) = ranking.groups().first() else { return 0.0 };
    let k = k.map_or(usize::MAX, NonZeroUsize::get);
    // As many places as the first positive of the group can have, and the list shows.
    let places = (group.size - group.positives + 1).min(k.saturating_sub(group.above));
    let positives = group.positives as f64;
    let mut sum = 0.0;
    let mut not_yet = 1.0;
    for x in 0..places {
        let left = (group.size - x) as f64;
        sum += not_yet * (positives / left) / (group.above + x + 1) as f64;
        not_yet *= (left - positives) / left;
        // What is left to add is less than this.
        if not_yet < 1e-20 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::brute;
    use proptest::prelude::*;

    fn at(k: usize) -> Option<NonZeroUsize> {
        NonZeroUsize::new(k)
    }

    #[test]
    fn without_ties_it_is_one_over_the_rank() {
        assert_eq!(reciprocal_rank(&Ranking::of_one(3, 0, 99), None), 0.25);
        assert_eq!(reciprocal_rank(&Ranking::of_one(3, 0, 99), at(4)), 0.25);
        assert_eq!(reciprocal_rank(&Ranking::of_one(3, 0, 99), at(3)), 0.0);
    }

    /// `compute_acc([[3, 0, 5]], [[7, 3, 9, 1, 0, 4, 8, 2, 6, 5]], [1, 2, 5, 10])` of the denoising notebook gives
    /// MRR `[0.0, 0.5, 0.5, 0.5]`.
    #[test]
    fn only_the_first_positive_counts_as_in_compute_acc() {
        let ranking = brute::ranking_of_places(&[2, 5, 10], 10);
        assert_eq!([1, 2, 5, 10].map(|k| reciprocal_rank(&ranking, at(k))), [0.0, 0.5, 0.5, 0.5]);
    }

    /// In Python: `sum(1/j for j in range(1, 101)) / 100` is 0.05187377517639621, and with `range(1, 11)`
    /// 0.02928968253968254.
    #[test]
    fn a_constant_scorer_has_the_mean_over_all_ranks() {
        let ranking = Ranking::of_one(0, 99, 99);
        assert!((reciprocal_rank(&ranking, None) - 0.051_873_775_176_396_21).abs() < 1e-15);
        assert!((reciprocal_rank(&ranking, at(10)) - 0.029_289_682_539_682_54).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn it_is_the_mean_over_all_orders_of_the_ties(case in brute::cases(), k in 1_usize..9) {
            let naive = |list: &[bool], k: usize| {
                list.iter().take(k).position(|&hit| hit).map_or(0.0, |place| 1.0 / (place + 1) as f64)
            };
            let ranking = case.ranking();
            brute::close(reciprocal_rank(&ranking, at(k)), case.mean(|list| naive(list, k)))?;
            brute::close(reciprocal_rank(&ranking, None), case.mean(|list| naive(list, list.len())))?;
        }

        #[test]
        fn large_groups_do_not_lose_precision(size in 1_usize..5000, above in 0_usize..50) {
            // 1 positive: the mean of 1/rank over the group's ranks, summed from the smallest.
            let expected = (above + 1..=above + size).rev().map(|rank| 1.0 / rank as f64).sum::<f64>() / size as f64;
            brute::close(reciprocal_rank(&Ranking::of_one(above, size - 1, size - 1 + above), None), expected)?;
        }
    }
}
