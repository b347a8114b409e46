//! How evenly recommendations spread over the catalogue, and how popular what is recommended is.

/// Catalogue coverage: the share of the items that at least one user is recommended (Herlocker et al., "Evaluating
/// Collaborative Filtering Recommender Systems", ACM TOIS 2004, section 5.3.1). `exposures` says how often each item of
/// the catalogue is recommended. In `[0, 1]`; `None` for an empty catalogue.
pub fn coverage(exposures: &[u64]) -> Option<f64> {
    let shown = exposures.iter().filter(|count| **count > 0).count();
    (!exposures.is_empty()).then(|| shown as f64 / exposures.len() as f64)
}

/// The Gini index of exposure: 0 when all items are recommended equally often, near 1 when one item takes it all.
/// `None` when nothing is recommended.
///
/// ```text
/// G = Σ_{j=1..n} (2j - n - 1) x_j / (n Σ_j x_j)     with x_1 ≤ … ≤ x_n
/// ```
///
/// over all `n` items of the catalogue, those never recommended included (Fleder and Hosanagar, "Blockbuster Culture's
/// Next Rise or Fall", Management Science 2009; RecBole's `GiniIndex` is the same).
pub fn gini(exposures: &[u64]) -> Option<f64> {
    let mut sorted = exposures.to_vec();
    sorted.sort_unstable();
    let n = sorted.len() as i128;
    let total: i128 = sorted.iter().map(|&count| i128::from(count)).sum();
    let weighted: i128 = (1..).zip(&sorted).map(|(j, &count)| (2 * j - n - 1) * i128::from(count)).sum();
    (total > 0).then(|| weighted as f64 / (n as f64 * total as f64))
}

/// The self-information of an item that `users_with_it` of `users` have in training, in bits: `log2(users /
/// users_with_it)`; its mean over recommended items is the novelty of Zhou et al. ("Solving the apparent
/// diversity-accuracy dilemma of recommender systems", PNAS 2010). An item that nobody has counts as if one user had it,
/// since its information would be infinite.
pub fn self_information(users: u64, users_with_it: u64) -> f64 {
    (users.max(1) as f64 / users_with_it.max(1) as f64).log2()
}

/// The popularity rank of each item by its count: 1 for the most popular, equal counts sharing their mean rank.
pub fn popularity_ranks(counts: &[u32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|&item| std::cmp::Reverse(counts[item]));
    let mut ranks = vec![0.0; counts.len()];
    let mut first = 1;
    for group in order.chunk_by(|a, b| counts[*a] == counts[*b]) {
        let last = first + group.len() - 1;
        for &item in group {
            ranks[item] = f64::midpoint(first as f64, last as f64);
        }
        first = last + 1;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn coverage_is_the_share_of_items_that_somebody_sees() {
        assert_eq!((coverage(&[3, 0, 1, 0]), coverage(&[0; 2]), coverage(&[])), (Some(0.5), Some(0.0), None));
    }

    #[test]
    fn equal_exposure_has_index_zero_and_a_single_item_nearly_one() {
        assert_eq!((gini(&[7; 5]), gini(&[0; 5]), gini(&[])), (Some(0.0), None, None));
        // One of n items: (n - 1) / n.
        assert_eq!(gini(&[0, 9, 0, 0]), Some(0.75));
        // (−3·1 + −1·2 + 1·3 + 3·4) / (4·10) = 10/40.
        assert_eq!(gini(&[4, 1, 3, 2]), Some(0.25));
    }

    #[test]
    fn rare_items_carry_more_information() {
        assert_eq!(
            [(8, 8), (8, 4), (8, 1), (8, 0)].map(|(users, with)| self_information(users, with)),
            [0.0, 1.0, 3.0, 3.0]
        );
        assert_eq!(self_information(0, 0), 0.0);
    }

    #[test]
    fn equally_popular_items_share_their_mean_rank() {
        assert_eq!(popularity_ranks(&[5, 9, 5, 0]), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(popularity_ranks(&[]), [0.0; 0]);
    }

    proptest! {
        #[test]
        fn the_index_is_half_the_mean_difference_over_the_mean(counts in prop::collection::vec(0_u64..50, 1..30)) {
            // The definition: Σ_i Σ_j |x_i − x_j| / (2 n² mean).
            let n = counts.len() as f64;
            let total: u64 = counts.iter().sum();
            let differences: u64 = counts.iter().flat_map(|a| counts.iter().map(move |b| a.abs_diff(*b))).sum();
            let expected = (total > 0).then(|| differences as f64 / (2.0 * n * total as f64));
            prop_assert_eq!(gini(&counts).is_some(), expected.is_some());
            prop_assert!((gini(&counts).unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12);
        }
    }
}
