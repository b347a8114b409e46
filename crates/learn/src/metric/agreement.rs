//! How far two ranked lists agree.

/// How far two ranked lists agree: all that the measures of agreement need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// For each common item the depth, from 1, from which on both lists have it; ascending.
    depths: Vec<usize>,
    shorter: usize,
    longer: usize,
}

impl Agreement {
    /// Compares two lists, the best first, in neither of which an item occurs twice.
    pub fn of(one: &[u32], other: &[u32]) -> Self {
        let placed = |list: &[u32]| {
            let mut placed: Vec<(u32, usize)> = list.iter().copied().zip(1..).collect();
            placed.sort_unstable();
            placed
        };
        let (a, b) = (placed(one), placed(other));
        let mut depths = Vec::new();
        let (mut i, mut j) = (0, 0);
        while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
            if x.0 == y.0 {
                depths.push(x.1.max(y.1));
            }
            i += usize::from(x.0 <= y.0);
            j += usize::from(y.0 <= x.0);
        }
        depths.sort_unstable();
        Self { depths, shorter: a.len().min(b.len()), longer: a.len().max(b.len()) }
    }

    /// `|A ∩ B| / k`: the share of a list of length `k` that the other has too. In `[0, 1]`; 0 for `k = 0`.
    pub fn overlap(&self, k: usize) -> f64 {
        if k == 0 { 0.0 } else { self.depths.len() as f64 / k as f64 }
    }

    /// `|A ∩ B| / |A ∪ B|` (Jaccard 1912). In `[0, 1]`; 1 for two empty lists.
    pub fn jaccard(&self) -> f64 {
        let union = self.shorter + self.longer - self.depths.len();
        if union == 0 { 1.0 } else { self.depths.len() as f64 / union as f64 }
    }

    /// Rank-biased overlap, extrapolated from what is seen of the lists (Webber, Moffat and Zobel, "A Similarity Measure
    /// for Indefinite Rankings", ACM TOIS 2010, equation 32), with a persistence `p` in `(0, 1)`: the nearer 0, the more
    /// the top counts. In `[0, 1]`: 1 for equal lists, 0 where nothing is common.
    ///
    /// ```text
    /// (1-p)/p · ( Σ_{d=1..l} X_d/d · p^d + Σ_{d=s+1..l} X_s (d-s)/(s d) · p^d ) + ( (X_l - X_s)/l + X_s/s ) · p^l
    /// ```
    ///
    /// where `X_d` is how many items the lists have in common to depth `d`, and `s ≤ l` are their lengths. Two empty
    /// lists have 1, an empty and another 0.
    pub fn rank_biased(&self, p: f64) -> f64 {
        let (s, l) = (self.shorter, self.longer);
        if s == 0 {
            return if l == 0 { 1.0 } else { 0.0 };
        }
        let common = |depth: usize| self.depths.partition_point(|&common| common <= depth) as f64;
        let (at_s, at_l) = (common(s), common(l));
        let mut sum = 0.0;
        let mut weight = 1.0;
        for depth in 1..=l {
            weight *= p;
            let d = depth as f64;
            let missing = if depth > s { at_s * (depth - s) as f64 / (s as f64 * d) } else { 0.0 };
            sum += (common(depth) / d + missing) * weight;
        }
        (1.0 - p) / p * sum + ((at_l - at_s) / l as f64 + at_s / s as f64) * weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn common_items_count_wherever_they_stand() {
        // The seed: `overlap = len(items1 & items2)`, printed as `overlap / top_k`.
        let found = Agreement::of(&[1, 2, 3, 4, 5], &[9, 3, 1, 8, 7]);
        assert_eq!((found.overlap(5), found.jaccard()), (0.4, 0.25));
        assert_eq!((Agreement::of(&[], &[]).jaccard(), Agreement::of(&[], &[]).overlap(0)), (1.0, 0.0));
        assert_eq!((Agreement::of(&[1], &[]).jaccard(), Agreement::of(&[1], &[]).rank_biased(0.9)), (0.0, 0.0));
    }

    #[test]
    fn a_short_list_does_not_fill_its_places() {
        assert_eq!(Agreement::of(&[1, 2], &[1, 2]).overlap(10), 0.2);
        assert_eq!(Agreement::of(&[1, 2], &[1, 2]).jaccard(), 1.0);
    }

    #[test]
    fn the_top_counts_more() {
        // p = 0.5, l = 2. [1,2] and [1,3]: X = 1, 1: (0.5/0.5)(1·0.5 + 0.5·0.25) + 0.5·0.25 = 0.75.
        assert_eq!(Agreement::of(&[1, 2], &[1, 3]).rank_biased(0.5), 0.75);
        // [2,1] and [3,1]: X = 0, 1: 0.5·0.25 + 0.5·0.25 = 0.25.
        assert_eq!(Agreement::of(&[2, 1], &[3, 1]).rank_biased(0.5), 0.25);
        // Swapped: X = 0, 2: 1·0.25 + 1·0.25 = 0.5.
        assert_eq!(Agreement::of(&[1, 2], &[2, 1]).rank_biased(0.5), 0.5);
    }

    #[test]
    fn the_rest_of_a_shorter_list_is_taken_to_agree_as_far_as_what_is_seen() {
        // s = 1, l = 2, X_1 = 1, X_2 = 1: (1·0.5 + 0.5·0.25 + 1·1/(1·2)·0.25) + ((1-1)/2 + 1/1)·0.25 = 1.
        assert_eq!(Agreement::of(&[1], &[1, 2]).rank_biased(0.5), 1.0);
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition_on_sets(
            a in Just((0_u32..12).collect::<Vec<_>>()).prop_shuffle(), b in Just((4_u32..16).collect::<Vec<_>>()).prop_shuffle(),
            k in 1_usize..=12,
        ) {
            let (a, b) = (&a[..k], &b[..k]);
            let found = Agreement::of(a, b);
            let common = |d: usize| a[..d].iter().filter(|item| b[..d].contains(item)).count() as f64;
            prop_assert_eq!(found.overlap(k), common(k) / k as f64);
            prop_assert_eq!(found.jaccard(), common(k) / (2.0 * k as f64 - common(k)));
            // Equation 30 of the paper, for lists of equal length.
            let p = 0.9_f64;
            let sum: f64 = (1..=k).map(|d| common(d) / d as f64 * p.powi(d as i32)).sum();
            let expected = common(k) / k as f64 * p.powi(k as i32) + (1.0 - p) / p * sum;
            prop_assert!((found.rank_biased(p) - expected).abs() < 1e-12);
            prop_assert_eq!(&Agreement::of(b, a), &found);
            prop_assert!((Agreement::of(a, a).rank_biased(p) - 1.0).abs() < 1e-12);
        }

        #[test]
        fn it_stays_between_nothing_and_all(
            a in Just((0_u32..9).collect::<Vec<_>>()).prop_shuffle(), b in Just((3_u32..12).collect::<Vec<_>>()).prop_shuffle(),
            m in 0_usize..=9, n in 0_usize..=9,
        ) {
            let value = Agreement::of(&a[..m], &b[..n]).rank_biased(0.8);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&value), "{value}");
        }
    }
}
