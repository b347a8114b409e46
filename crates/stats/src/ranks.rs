//! Ranks of absolute values, ties averaged.

/// Ranks from 1, in the order of the values that were ranked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranked {
    /// Twice the rank: averaged ranks are halves, and whole numbers add without rounding.
    pub(crate) doubled: Vec<u64>,
    /// How many values share each distinct absolute value, in ascending order of it.
    pub(crate) groups: Vec<u64>,
}

impl Ranked {
    /// Sum of the ranks of those `values` (the ones that were ranked) that satisfy `which`.
    pub(crate) fn sum_where(&self, values: &[f64], which: impl Fn(f64) -> bool) -> f64 {
        let doubled: u64 = self.doubled.iter().zip(values).filter(|(_, v)| which(**v)).map(|(rank, _)| rank).sum();
        doubled as f64 / 2.0
    }

    /// Whether two values share a rank.
    pub(crate) fn has_ties(&self) -> bool {
        self.groups.iter().any(|&size| size > 1)
    }
}

/// Ranks finite `values` by absolute value.
pub(crate) fn by_size(values: &[f64]) -> Ranked {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&i, &j| values[i].abs().total_cmp(&values[j].abs()));
    let mut doubled = vec![0; values.len()];
    let mut groups = Vec::new();
    let mut below = 0u64;
    for group in order.chunk_by(|&i, &j| values[i].abs() == values[j].abs()) {
        let size = group.len() as u64;
        // Ranks below + 1 … below + size: twice their mean.
        for &i in group {
            doubled[i] = 2 * below + size + 1;
        }
        groups.push(size);
        below += size;
    }
    Ranked { doubled, groups }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_the_mean_of_their_ranks_whatever_their_sign() {
        // scipy.stats.rankdata([3, 1, 1, 0, 5]) = [4, 2.5, 2.5, 1, 5]
        let ranked = by_size(&[3.0, -1.0, 1.0, -0.0, 5.0]);
        assert_eq!(ranked.doubled, [8, 5, 5, 2, 10]);
        assert_eq!(ranked.groups, [1, 2, 1, 1]);
        assert!(ranked.has_ties());
        assert_eq!(ranked.sum_where(&[3.0, -1.0, 1.0, -0.0, 5.0], |v| v > 0.0), 11.5);
    }

    #[test]
    fn nothing_has_no_ranks() {
        assert_eq!(by_size(&[]), Ranked { doubled: vec![], groups: vec![] });
    }
}
