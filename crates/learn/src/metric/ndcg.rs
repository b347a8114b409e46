//! Normalised discounted cumulative gain.

use std::num::NonZeroUsize;

use crate::metric::Ranking;

/// NDCG@k with binary relevance: the discounted gain of the positives among the first `k`, over that of an ideal list,
/// which begins with `min(P, k)` positives. In `[0, 1]`.
///
/// ```text
/// DCG@k  = Σ_{j=1..k} rel_j / log2(j + 1)
/// IDCG@k = Σ_{j=1..min(P, k)} 1 / log2(j + 1)
/// ```
///
/// (Järvelin and Kekäläinen 2002; He et al. 2017 for one positive, where IDCG is 1.) The normalisation is that of the
/// denoising paper's `compute_acc` (Wang et al. 2021):
///
/// ```text
/// for j in range(topN[index]):
///     if predictedIndices[i][j] in GroundTruth[i]:
///         dcg += 1.0/math.log2(j + 2)
///     if idcgCount > 0:
///         idcg += 1.0/math.log2(j + 2)
///         idcgCount = idcgCount-1
/// if(idcg != 0):
///     ndcg += (dcg/idcg)
/// ```
///
/// With ties each place of a group holds a positive with probability `c_g / s_g`, and DCG is linear in them.
pub fn ndcg(ranking: &Ranking, k: NonZeroUsize) -> f64 {
    let mut dcg = 0.0;
    for group in ranking.groups() {
        let end = k.get().min(group.above.saturating_add(group.size));
        // Place by place, as the ideal is summed, so that an ideal list has exactly 1.
        for place in group.above..end {
            dcg += gain(place) * group.positives as f64 / group.size as f64;
        }
    }
    let ideal: f64 = (0..ranking.positives().min(k.get())).map(gain).sum();
    dcg / ideal
}

/// The gain of a positive that has `above` candidates above it.
fn gain(above: usize) -> f64 {
    1.0 / (above as f64 + 2.0).log2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::brute;
    use proptest::prelude::*;

    fn at(k: usize) -> NonZeroUsize {
        NonZeroUsize::new(k).unwrap()
    }

    /// `np.reciprocal(np.log2(position + 2))` of the ML-1M notebook at positions 0, 2 and 4 prints
    /// 1.000, 0.500 and 0.387; off the list 0.000.
    #[test]
    fn one_positive_gains_by_its_place() {
        let rounded = |above| (ndcg(&Ranking::of_one(above, 0, 99), at(10)) * 1000.0).round() / 1000.0;
        assert_eq!([0, 2, 4, 10].map(rounded), [1.0, 0.5, 0.387, 0.0]);
    }

    /// `compute_acc([[3, 0, 5]], [[7, 3, 9, 1, 0, 4, 8, 2, 6, 5]], [1, 2, 5, 10])` of the denoising notebook gives
    /// NDCG `[0.0, 0.38685280723454163, 0.4776237035032179, 0.6132756769356656]`.
    #[test]
    fn many_positives_are_normalised_as_in_compute_acc() {
        let ranking = brute::ranking_of_places(&[2, 5, 10], 10);
        let expected = [0.0, 0.386_852_807_234_541_63, 0.477_623_703_503_217_9, 0.613_275_676_935_665_6];
        assert_eq!([1, 2, 5, 10].map(|k| ndcg(&ranking, at(k))), expected);
    }

    #[test]
    fn a_constant_scorer_has_the_mean_gain_of_all_places() {
        // (1/log2(2) + … + 1/log2(11)) / 100, by `sum(1 / math.log2(j + 2) for j in range(10)) / 100` in Python.
        let value = ndcg(&Ranking::of_one(0, 99, 99), at(10));
        assert!((value - 0.045_435_593_380_883_46).abs() < 1e-16, "{value}");
    }

    #[test]
    fn positives_before_all_negatives_score_one_at_any_k() {
        let ranking = Ranking::by_counting(&mut [2.0, 3.0, 3.0], &[1.0, 0.0]).unwrap();
        for k in [1, 2, 3, 5, 1000] {
            assert_eq!(ndcg(&ranking, at(k)), 1.0, "k = {k}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_mean_over_all_orders_of_the_ties(case in brute::cases(), k in 1_usize..9) {
            let expected = case.mean(|list| {
                let dcg = |list: &[bool]| {
                    let gains = list.iter().zip(2..).take(k).map(|(&hit, place)| f64::from(hit) / f64::from(place).log2());
                    gains.sum::<f64>()
                };
                let mut ideal = list.to_vec();
                ideal.sort_by_key(|&hit| !hit);
                dcg(list) / dcg(&ideal)
            });
            brute::close(ndcg(&case.ranking(), at(k)), expected)?;
        }
    }
}
