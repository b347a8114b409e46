//! Order statistics for distributions.

/// What a box plot shows of a sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Five {
    pub(crate) count: usize,
    pub(crate) mean: f64,
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
    /// The ends of the whiskers: the outermost values within 1.5 interquartile ranges of the box (Tukey 1977).
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The quantile of sorted values at `part` from 0 to 1: Hyndman and Fan's type 7, numpy's and R's default.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = part.clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
    let rest = at - below as f64;
    Some(a * (1.0 - rest) + b * rest)
}

impl Five {
    /// Of sorted values; `None` if there are none.
    pub(crate) fn of(sorted: &[f64]) -> Option<Self> {
        let (q1, median, q3) = (quantile(sorted, 0.25)?, quantile(sorted, 0.5)?, quantile(sorted, 0.75)?);
        let reach = 1.5 * (q3 - q1);
        let inside = || sorted.iter().copied().filter(|value| (q1 - reach..=q3 + reach).contains(value));
        let count = sorted.len();
        Some(Self {
            count,
            mean: sorted.iter().map(|value| value / count as f64).sum(),
            q1,
            median,
            q3,
            low: inside().next().unwrap_or(q1).min(q1),
            high: inside().next_back().unwrap_or(q3).max(q3),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy 2: `np.quantile([1, 2, 4, 8, 100], [.25, .5, .75])` gives 2, 4, 8; 8 + 1.5 · 6 = 17 < 100.
    #[test]
    fn quartiles_are_numpys_and_whiskers_tukeys() {
        let five = Five::of(&[1.0, 2.0, 4.0, 8.0, 100.0]).unwrap();
        assert_eq!((five.q1, five.median, five.q3, five.low, five.high), (2.0, 4.0, 8.0, 1.0, 8.0));
        assert!((five.mean - 23.0).abs() < 1e-12);
        assert_eq!(Five::of(&[]), None);
    }

    /// numpy 2: `np.quantile([1, 2, 3, 4], .25)` gives 1.75.
    #[test]
    fn quantiles_between_values_are_interpolated() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.25), Some(1.75));
    }
}
