//! Metrics of how many positives the first `k` places hold, wherever they are within them.

use std::num::NonZeroUsize;

use crate::metric::{Ranking, TieGroup};

/// HR@k, the hit rate: 1 if any positive is among the first `k`, else 0. In `[0, 1]`.
///
/// For one positive this is the usual leave-one-out hit rate (He et al. 2017, section 4.1):
///
/// ```text
/// def hit(gt_item, pred_items):
///     return 1 if gt_item in pred_items else 0
/// ```
///
/// and with ties `clamp((k - a) / s, 0, 1)`. In general only the tie group that straddles place `k` is uncertain:
/// with `m = k - a` of its `s` places inside the list, none of its `c` positives is inside with the hypergeometric
/// probability `C(s-c, m) / C(s, m)`.
pub fn hit_rate(ranking: &Ranking, k: NonZeroUsize) -> f64 {
    for group in ranking.groups() {
        let inside = places_inside(group, k);
        if inside == group.size {
            return 1.0;
        }
        if inside > 0 {
            // Groups below this one lie wholly outside the list.
            return chance_of_a_hit(group, inside);
        }
    }
    0.0
}

/// Recall@k: the share of the positives that is among the first `k`. In `[0, 1]`.
///
/// `(1/P) · Σ_g c_g · m_g / s_g`, where `m_g` of the `s_g` places of group `g` are inside the list. Divided by `P`
/// even when `P > k`, as in the `compute_acc` of the denoising paper (Wang et al. 2021):
/// `sumForRecall += userHit / len(GroundTruth[i])`.
pub fn recall(ranking: &Ranking, k: NonZeroUsize) -> f64 {
    expected_hits(ranking, k) / ranking.positives() as f64
}

/// Precision@k: the share of the `k` places that positives hold. In `[0, min(P, k)/k]`.
///
/// Divided by `k` even when there are fewer candidates, as in `compute_acc` (see [`recall`]):
/// `sumForPrecision += userHit / topN[index]`.
pub fn precision(ranking: &Ranking, k: NonZeroUsize) -> f64 {
    expected_hits(ranking, k) / k.get() as f64
}

/// How many places of the group are among the first `k`.
fn places_inside(group: &TieGroup, k: NonZeroUsize) -> usize {
    k.get().saturating_sub(group.above).min(group.size)
}

fn expected_hits(ranking: &Ranking, k: NonZeroUsize) -> f64 {
    let hits = |group: &TieGroup| group.positives as f64 * (places_inside(group, k) as f64 / group.size as f64);
    ranking.groups().iter().map(hits).sum()
}

fn chance_of_a_hit(group: &TieGroup, inside: usize) -> f64 {
    let size = group.size as f64;
    if group.positives == 1 {
        return inside as f64 / size;
    }
    let outside = group.size - inside;
    // Each positive in turn falls on one of the outside places that are still free.
    let none: f64 = (0..group.positives)
        .map(|placed| outside.saturating_sub(placed) as f64 / (size - placed as f64))
        .take_while(|chance| *chance > 0.0)
        .product();
    if group.positives > outside { 1.0 } else { 1.0 - none }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::brute;
    use proptest::prelude::*;

    fn at(k: usize) -> NonZeroUsize {
        NonZeroUsize::new(k).unwrap()
    }

    #[test]
    fn a_positive_on_place_k_is_a_hit_and_one_below_is_not() {
        assert_eq!(hit_rate(&Ranking::of_one(9, 0, 99), at(10)), 1.0);
        assert_eq!(hit_rate(&Ranking::of_one(10, 0, 99), at(10)), 0.0);
    }

    #[test]
    fn a_constant_scorer_has_the_hit_rate_of_chance() {
        // 1 positive in 100 equal candidates: k / 100.
        assert_eq!(hit_rate(&Ranking::of_one(0, 99, 99), at(10)), 0.1);
        assert_eq!(recall(&Ranking::of_one(0, 99, 99), at(10)), 0.1);
        assert_eq!(precision(&Ranking::of_one(0, 99, 99), at(10)), 0.01);
        // 2 positives in 10 equal candidates, 3 shown: 1 - C(8,3)/C(10,3) = 1 - 56/120.
        let ranking = Ranking::by_counting(&mut [1.0; 2], &[1.0; 8]).unwrap();
        assert!((hit_rate(&ranking, at(3)) - 64.0 / 120.0).abs() < 1e-15);
    }

    #[test]
    fn more_positives_than_places_outside_are_a_sure_hit() {
        // 3 positives and 1 negative, all equal, 2 shown: 2 places outside cannot hold 3 positives.
        let ranking = Ranking::by_counting(&mut [0.0; 3], &[0.0]).unwrap();
        assert_eq!(hit_rate(&ranking, at(2)), 1.0);
    }

    #[test]
    fn a_list_longer_than_the_candidates_holds_all_of_them() {
        let ranking = Ranking::of_one(2, 0, 2);
        assert_eq!(hit_rate(&ranking, at(usize::MAX)), 1.0);
        assert_eq!(recall(&ranking, at(50)), 1.0);
        assert_eq!(precision(&ranking, at(50)), 0.02);
    }

    /// `compute_acc([[3, 0, 5]], [[7, 3, 9, 1, 0, 4, 8, 2, 6, 5]], [1, 2, 5, 10])` of the denoising notebook gives
    /// precision `[0.0, 0.5, 0.4, 0.3]` and recall `[0.0, 0.3333333333333333, 0.6666666666666666, 1.0]`.
    #[test]
    fn precision_and_recall_are_those_of_compute_acc() {
        let ranking = brute::ranking_of_places(&[2, 5, 10], 10);
        let lists = [1, 2, 5, 10].map(at);
        assert_eq!(lists.map(|k| precision(&ranking, k)), [0.0, 0.5, 0.4, 0.3]);
        assert_eq!(lists.map(|k| recall(&ranking, k)), [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
    }

    /// `[hit_and_auc([7, 3, 9, 1, 0, 4, 8, 2, 6, 5], [4], k)[0] for k in (1, 5, 10)]` of the NeuMF lecture is
    /// `[0, 0, 1]`.
    #[test]
    fn hit_rate_of_one_positive_is_that_of_hit_and_auc() {
        let ranking = brute::ranking_of_places(&[6], 10);
        assert_eq!([1, 5, 10].map(|k| hit_rate(&ranking, at(k))), [0.0, 0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn each_is_the_mean_over_all_orders_of_the_ties(case in brute::cases(), k in 1_usize..9) {
            let ranking = case.ranking();
            let expected = case.mean(|list| brute::hits(list, k).min(1) as f64);
            brute::close(hit_rate(&ranking, at(k)), expected)?;
            let expected = case.mean(|list| brute::hits(list, k) as f64 / brute::hits(list, list.len()) as f64);
            brute::close(recall(&ranking, at(k)), expected)?;
            let expected = case.mean(|list| brute::hits(list, k) as f64 / k as f64);
            brute::close(precision(&ranking, at(k)), expected)?;
        }
    }
}
