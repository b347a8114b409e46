//! The paired t-test.

use serde::Serialize;

use crate::distribution::student_t::StudentT;
use crate::error::Result;
use crate::hypothesis::Alternative;
use crate::interval;
use crate::interval::Interval;
use crate::sample;

/// Result of the paired t-test (Student 1908).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairedT {
    /// Number of pairs, at least 2.
    pub n: usize,
    /// Degrees of freedom, `n − 1`.
    pub df: usize,
    /// Mean of the differences `a − b`.
    pub mean_difference: f64,
    /// Standard error of the mean difference.
    pub standard_error: f64,
    /// Mean difference divided by its standard error.
    pub statistic: f64,
    /// Probability, under the null hypothesis, of a statistic at least as extreme; 0 only below 1e-308.
    pub p: f64,
    /// Interval of the mean difference, one-sided for a one-sided alternative.
    pub interval: Interval,
    /// Which alternative was tested.
    pub alternative: Alternative,
}

/// Tests whether the mean of `a − b` differs from zero (is greater, is less), with an interval at `level`.
///
/// `a[i]` and `b[i]` belong to the same user or seed. Exact for normal differences; with many users it holds for nearly any.
///
/// # Errors
/// Samples of different lengths, fewer than two pairs, NaN or infinite values, a level outside (0, 1). When all
/// differences are zero there is nothing to test (`NoDifferences`); when they are equal up to rounding their spread is
/// zero and the statistic infinite (`Constant`, with the bound of R's `t.test`).
pub fn paired_t(a: &[f64], b: &[f64], alternative: Alternative, level: f64) -> Result<PairedT> {
    let tail = interval::tail(level, alternative)?;
    let differences = sample::differences("paired t", 2, a, b)?;
    let moments = sample::check_spread("paired t", &differences, a, b)?;
    let n = differences.len();
    let standard_error = moments.sd / (n as f64).sqrt();
    let statistic = moments.mean / standard_error;
    let distribution = StudentT::new((n - 1) as f64)?;
    let p = match alternative {
        Alternative::TwoSided => 2.0 * distribution.sf(statistic.abs()),
        Alternative::Greater => distribution.sf(statistic),
        Alternative::Less => distribution.cdf(statistic),
    };
    let half = distribution.inverse_sf(tail)? * standard_error;
    Ok(PairedT {
        n,
        df: n - 1,
        mean_difference: moments.mean,
        standard_error,
        statistic,
        p: p.min(1.0),
        interval: Interval::around(moments.mean, half, level, alternative),
        alternative,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StatsError;

    #[test]
    fn degenerate_samples_are_errors() {
        let test = |a: &[f64], b: &[f64]| paired_t(a, b, Alternative::TwoSided, 0.95).unwrap_err();
        assert!(matches!(test(&[1.0], &[0.0]), StatsError::TooFew { needed: 2, got: 1, .. }));
        assert_eq!(test(&[1.0, 2.0], &[1.0, 2.0]), StatsError::NoDifferences { n: 2 });
        assert!(matches!(test(&[2.0, 3.0], &[1.0, 2.0]), StatsError::Constant { value: 1.0, .. }));
        assert!(matches!(test(&[1.0, 2.0], &[1.0]), StatsError::Lengths { .. }));
        assert!(matches!(test(&[f64::NAN, 2.0], &[1.0, 3.0]), StatsError::NotFinite { sample: "a", index: 0, .. }));
    }

    #[test]
    fn a_level_in_percent_is_refused() {
        assert_eq!(paired_t(&[1.0, 2.0], &[0.0, 0.0], Alternative::Less, 95.0), Err(StatsError::Level { level: 95.0 }));
    }
}
