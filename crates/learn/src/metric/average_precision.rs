//! Average precision; its mean over users is MAP.

use std::num::NonZeroUsize;

use crate::metric::Ranking;

/// Average precision: the precision at the place of each positive among the first `k` (all candidates without a `k`),
/// summed and divided by `min(P, k)`, the most positives that the list can show. In `[0, 1]`; its mean over users is
/// MAP or MAP@k.
///
/// ```text
/// AP@k = 1/min(P, k) · Σ_{j=1..k} rel_j · (rel_1 + … + rel_j) / j
/// ```
///
/// (Manning, Raghavan and Schütze 2008, section 8.4, for the whole list; RecBole, Elliot and Kaggle cut and normalise
/// as here. Dividing by `P` instead would keep a perfect short list below 1.)
///
/// With ties, a place of a group is positive with probability `c/s`, and given that, each of the `o` places of the
/// group above it with probability `(c-1)/(s-1)`; with `A` positives above the group, the place `a + o + 1` adds
/// `c/s · (A + 1 + o·(c-1)/(s-1)) / (a + o + 1)` (McSherry and Najork 2008, section 2.4).
pub fn average_precision(ranking: &Ranking, k: Option<NonZeroUsize>) -> f64 {
    let k = k.map_or(usize::MAX, NonZeroUsize::get);
    let mut sum = 0.0;
    let mut positives_above = 0;
    for group in ranking.groups() {
        let (size, positives) = (group.size as f64, group.positives as f64);
        let next_to_another = if group.size > 1 { (positives - 1.0) / (size - 1.0) } else { 0.0 };
        for offset in 0..group.size.min(k.saturating_sub(group.above)) {
            let hits = (positives_above + 1) as f64 + offset as f64 * next_to_another;
            sum += positives / size * (hits / (group.above + offset + 1) as f64);
        }
        positives_above += group.positives;
    }
    sum / ranking.positives().min(k) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{brute, reciprocal_rank};
    use proptest::prelude::*;

    fn at(k: usize) -> Option<NonZeroUsize> {
        NonZeroUsize::new(k)
    }

    #[test]
    fn it_averages_the_precision_at_each_positive() {
        // Places 2, 5 and 10: (1/2 + 2/5 + 3/10) / 3.
        let ranking = brute::ranking_of_places(&[2, 5, 10], 10);
        assert!((average_precision(&ranking, None) - 1.2 / 3.0).abs() < 1e-15);
        // Only places 2 and 5 are shown, and 3 positives could have been: (1/2 + 2/5) / 3.
        assert!((average_precision(&ranking, at(9)) - 0.9 / 3.0).abs() < 1e-15);
        // Two places, of which one holds a positive: (1/2) / 2.
        assert_eq!(average_precision(&ranking, at(2)), 0.25);
    }

    #[test]
    fn a_perfect_list_scores_one_however_short() {
        let ranking = brute::ranking_of_places(&[1, 2, 3], 10);
        assert_eq!([1, 2, 3, 4].map(|k| average_precision(&ranking, at(k))), [1.0; 4]);
    }

    proptest! {
        #[test]
        fn of_one_positive_it_is_the_reciprocal_rank(above in 0_usize..50, tied in 0_usize..50, k in 1_usize..120) {
            let ranking = Ranking::of_one(above, tied, 100);
            brute::close(average_precision(&ranking, at(k)), reciprocal_rank(&ranking, at(k)))?;
        }

        #[test]
        fn it_is_the_mean_over_all_orders_of_the_ties(case in brute::cases(), k in 1_usize..9) {
            let naive = |list: &[bool], k: usize| {
                let places = (0..k.min(list.len())).filter(|&place| list[place]);
                let sum: f64 = places.map(|place| brute::hits(list, place + 1) as f64 / (place + 1) as f64).sum();
                sum / brute::hits(list, list.len()).min(k) as f64
            };
            let ranking = case.ranking();
            brute::close(average_precision(&ranking, at(k)), case.mean(|list| naive(list, k)))?;
            brute::close(average_precision(&ranking, None), case.mean(|list| naive(list, list.len())))?;
        }
    }
}
