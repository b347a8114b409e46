//! The area under the ROC curve of one user's ranking.

use crate::metric::Ranking;

/// AUC: the share of the pairs of a positive and a negative in which the positive has the greater score; an equal
/// score counts half (Mann and Whitney 1947). In `[0, 1]`, 0.5 by chance; `None` without negatives.
///
/// For one positive without ties this is the lecture's `hit_and_auc`, whose `max` is the number of negatives:
///
/// ```text
/// max = len(rankedlist) - 1
/// auc = 1.0 * (max - hits_all[0][0]) / max if len(hits_all) > 0 else 0
/// ```
///
/// For several positives that function looks at the first only, and counts the others as negatives; this one does not.
pub fn auc(ranking: &Ranking) -> Option<f64> {
    let negatives = ranking.negatives();
    if negatives == 0 {
        return None;
    }
    let mut above = 0;
    // Half pairs, so that the sum is exact: it stays below 2^53 for any data that fits into memory.
    let mut half_pairs = 0.0;
    for group in ranking.groups() {
        let tied = group.size - group.positives;
        let below = negatives.saturating_sub(group.above - above + tied);
        half_pairs += group.positives as f64 * (2 * below + tied) as f64;
        above += group.positives;
    }
    Some(half_pairs / (2.0 * ranking.positives() as f64 * negatives as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::brute;
    use proptest::prelude::*;

    /// `hit_and_auc([7, 3, 9, 1, 0, 4, 8, 2, 6, 5], [item], 10)[1]` of the NeuMF lecture is 1.0 for item 7 (place 1),
    /// 0.4444444444444444 for item 4 (place 6) and 0.0 for item 5 (place 10).
    #[test]
    fn of_one_positive_it_is_that_of_hit_and_auc() {
        let values = [1, 6, 10].map(|place| auc(&brute::ranking_of_places(&[place], 10)));
        assert_eq!(values, [Some(1.0), Some(0.444_444_444_444_444_4), Some(0.0)]);
    }

    #[test]
    fn a_constant_scorer_has_one_half() {
        let ranking = Ranking::by_counting(&mut [0.0; 3], &[0.0; 40]).unwrap();
        assert_eq!(auc(&ranking), Some(0.5));
    }

    #[test]
    fn without_negatives_it_is_not_defined() {
        assert_eq!(auc(&Ranking::of_one(0, 0, 0)), None);
    }

    proptest! {
        #[test]
        fn it_is_the_mean_over_all_orders_of_the_ties(case in brute::cases()) {
            if let Some(value) = auc(&case.ranking()) {
                let expected = case.mean(|list| {
                    let positives = brute::hits(list, list.len());
                    let pairs: usize = (0..list.len())
                        .filter(|&place| list[place])
                        .map(|place| list[place..].iter().filter(|&&hit| !hit).count())
                        .sum();
                    pairs as f64 / (positives * (list.len() - positives)) as f64
                });
                brute::close(value, expected)?;
            } else {
                prop_assert!(case.mean(|list| f64::from(list.iter().all(|&hit| hit))) == 1.0);
            }
        }
    }
}
