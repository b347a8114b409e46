//! Description of one sample: mean, spread, interval, quantiles.

use serde::Serialize;

use crate::distribution::student_t::StudentT;
use crate::error::Result;
use crate::error::StatsError;
use crate::hypothesis::Alternative;
use crate::interval;
use crate::interval::Interval;
use crate::sample;

/// What is reported of one metric over seeds or users.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Number of values, at least 1.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (divisor `n − 1`); `None` for a single value, whose spread is unknown, not zero.
    pub sd: Option<f64>,
    /// Standard error of the mean, `sd / √n`.
    pub sem: Option<f64>,
    /// Two-sided interval of the mean from Student's t with `n − 1` degrees of freedom.
    pub interval: Option<Interval>,
    /// Smallest value.
    pub min: f64,
    /// First quartile.
    pub q1: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub q3: f64,
    /// Largest value.
    pub max: f64,
}

/// Describes `values`, with an interval of the mean at the confidence `level`.
///
/// # Errors
/// There is no value, one is NaN or infinite, the level is not in (0, 1), or a result is beyond the range of f64.
pub fn summarise(values: &[f64], level: f64) -> Result<Summary> {
    let tail = interval::tail(level, Alternative::TwoSided)?;
    let sorted = sorted("mean", values)?;
    let n = values.len();
    let moments = sample::moments(values)?;
    let (mut sd, mut sem, mut bounds) = (None, None, None);
    if n > 1 {
        let error = moments.sd / (n as f64).sqrt();
        let half = StudentT::new((n - 1) as f64)?.inverse_sf(tail)? * error;
        if !(moments.mean - half).is_finite() || !(moments.mean + half).is_finite() {
            return Err(StatsError::Overflow { what: "confidence interval" });
        }
        (sd, sem) = (Some(moments.sd), Some(error));
        bounds = Some(Interval::around(moments.mean, half, level, Alternative::TwoSided));
    }
    Ok(Summary {
        n,
        mean: moments.mean,
        sd,
        sem,
        interval: bounds,
        min: sorted[0],
        q1: quantile_of_sorted(&sorted, 0.25),
        median: quantile_of_sorted(&sorted, 0.5),
        q3: quantile_of_sorted(&sorted, 0.75),
        max: sorted[n - 1],
    })
}

/// The quantiles of `values` at `probabilities`, type 7 of Hyndman and Fan (1996): linear between order statistics, the
/// default of R and numpy.
///
/// # Errors
/// There is no value, one is NaN or infinite, or a probability is not in [0, 1].
pub fn quantiles(values: &[f64], probabilities: &[f64]) -> Result<Vec<f64>> {
    let sorted = sorted("quantile", values)?;
    if let Some(index) = probabilities.iter().position(|p| !(0.0..=1.0).contains(p)) {
        return Err(StatsError::Probability { what: "probability", index, value: probabilities[index] });
    }
    Ok(probabilities.iter().map(|&p| quantile_of_sorted(&sorted, p)).collect())
}

fn sorted(what: &'static str, values: &[f64]) -> Result<Vec<f64>> {
    sample::check_count(what, 1, values)?;
    sample::check_finite("values", values)?;
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(sorted)
}

/// Type-7 quantile of a sorted sample with at least one value, for `p` in [0, 1].
pub(crate) fn quantile_of_sorted(sorted: &[f64], p: f64) -> f64 {
    let last = sorted.len() - 1;
    let at = last as f64 * p;
    let below = (at.floor() as usize).min(last);
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    let share = at - below as f64;
    // Not `low + share·(high − low)`: that difference may overflow. Rounding must not leave the two neighbours.
    (low * (1.0 - share) + high * share).clamp(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_value_has_no_spread_and_no_interval() {
        let one = summarise(&[3.0], 0.95).unwrap();
        assert_eq!((one.n, one.mean, one.sd, one.sem, one.interval), (1, 3.0, None, None, None));
        assert_eq!((one.min, one.median, one.max), (3.0, 3.0, 3.0));
    }

    #[test]
    fn equal_values_have_an_interval_of_no_width() {
        let same = summarise(&[0.1; 7], 0.95).unwrap();
        assert_eq!(same.sd, Some(0.0));
        assert_eq!(same.interval, Some(Interval { low: 0.1, high: 0.1, level: 0.95 }));
    }

    #[test]
    fn what_is_not_a_number_is_an_error() {
        assert!(matches!(summarise(&[], 0.95), Err(StatsError::TooFew { got: 0, .. })));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(summarise(&[1.0, bad], 0.95), Err(StatsError::NotFinite { index: 1, .. })));
            assert!(quantiles(&[bad], &[0.5]).is_err());
            assert!(quantiles(&[1.0], &[0.5, bad]).is_err());
        }
        assert!(summarise(&[f64::MAX, f64::MAX], 0.95).is_err());
    }

    #[test]
    fn a_quantile_between_values_of_the_largest_size_does_not_overflow() {
        assert_eq!(quantiles(&[-f64::MAX, f64::MAX], &[0.5]).unwrap(), [0.0]);
    }
}
