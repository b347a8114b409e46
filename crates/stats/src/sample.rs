//! Checks and sums that every statistic starts with.

use crate::error::Result;
use crate::error::StatsError;

/// Mean and spread of a sample with at least one value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) mean: f64,
    /// Sample standard deviation (divisor `n − 1`); zero for a single value.
    pub(crate) sd: f64,
}

/// Refuses the first value that is NaN or infinite.
pub(crate) fn check_finite(sample: &'static str, values: &[f64]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(StatsError::NotFinite { sample, index, value: values[index] }),
        None => Ok(()),
    }
}

/// Refuses samples that are shorter than `needed`.
pub(crate) fn check_count(what: &'static str, needed: usize, values: &[f64]) -> Result<()> {
    if values.len() < needed {
        return Err(StatsError::TooFew { what, needed, got: values.len() });
    }
    Ok(())
}

/// The differences `a − b`, after both samples were checked.
pub(crate) fn differences(what: &'static str, needed: usize, a: &[f64], b: &[f64]) -> Result<Vec<f64>> {
    if a.len() != b.len() {
        return Err(StatsError::Lengths { a: a.len(), b: b.len() });
    }
    check_count(what, needed, a)?;
    check_finite("a", a)?;
    check_finite("b", b)?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    if differences.iter().any(|d| !d.is_finite()) {
        return Err(StatsError::Overflow { what: "difference" });
    }
    Ok(differences)
}

/// Sum with Neumaier's compensation (Neumaier 1974): the error does not grow with the number of values.
pub(crate) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    sum + lost
}

/// Mean and standard deviation of finite values, in two passes; deviations are scaled by the largest, so that squares
/// neither overflow nor vanish.
pub(crate) fn moments(values: &[f64]) -> Result<Moments> {
    let n = values.len() as f64;
    let (low, high) = range(values);
    // Rounding must not put the mean of equal values beside them.
    let mean = (sum(values.iter().copied()) / n).clamp(low, high);
    let scale = (high - mean).max(mean - low);
    if !mean.is_finite() || !scale.is_finite() {
        return Err(StatsError::Overflow { what: "mean" });
    }
    if scale == 0.0 || values.len() < 2 {
        return Ok(Moments { mean, sd: 0.0 });
    }
    let squares = sum(values.iter().map(|v| ((v - mean) / scale).powi(2)));
    let sd = scale * (squares / (n - 1.0)).sqrt();
    if sd.is_finite() { Ok(Moments { mean, sd }) } else { Err(StatsError::Overflow { what: "standard deviation" }) }
}

/// Smallest and largest of finite values.
pub(crate) fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

/// Refuses differences whose spread is nothing but rounding of the values that they come from.
///
/// The bound on the standard error is that of R's `t.test`: ten machine epsilons of the larger mean.
pub(crate) fn check_spread(what: &'static str, differences: &[f64], a: &[f64], b: &[f64]) -> Result<Moments> {
    let n = differences.len();
    if differences.iter().all(|d| *d == 0.0) {
        return Err(StatsError::NoDifferences { n });
    }
    let of_differences = moments(differences)?;
    let size = moments(a)?.mean.abs().max(moments(b)?.mean.abs()).max(of_differences.mean.abs());
    let standard_error = of_differences.sd / (n as f64).sqrt();
    if standard_error <= 10.0 * f64::EPSILON * size {
        return Err(StatsError::Constant { what, n, value: of_differences.mean });
    }
    Ok(of_differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_between_large_ones_are_not_lost() {
        // 1 + 1e100 + 1 − 1e100 = 2; plain summation gives 0 (Neumaier's own example).
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100].into_iter()), 2.0);
    }

    #[test]
    fn squares_neither_overflow_nor_vanish() {
        // sd of {−x, x} is x·√2.
        for x in [1e-300, 1.0, 1e300] {
            let sd = moments(&[-x, x]).unwrap().sd;
            assert!((sd / x - 2f64.sqrt()).abs() < 1e-15, "{x}: {sd}");
        }
    }

    #[test]
    fn the_mean_of_equal_values_is_that_value() {
        assert_eq!(moments(&[0.1; 10]).unwrap().mean, 0.1);
        assert_eq!(moments(&[0.1; 10]).unwrap().sd, 0.0);
    }

    #[test]
    fn differences_that_are_equal_up_to_rounding_have_no_spread() {
        // 1.1 − 1, 4.1 − 4 and 8.1 − 8 differ in the last bits only.
        let (a, b) = ([1.1, 4.1, 8.1], [1.0, 4.0, 8.0]);
        let d = differences("x", 2, &a, &b).unwrap();
        assert!(d[0] != d[2]);
        assert!(matches!(check_spread("x", &d, &a, &b), Err(StatsError::Constant { .. })));
    }

    #[test]
    fn the_first_bad_value_is_named() {
        let error = differences("x", 2, &[1.0, 2.0], &[1.0, f64::INFINITY]).unwrap_err();
        assert_eq!(error, StatsError::NotFinite { sample: "b", index: 1, value: f64::INFINITY });
        assert_eq!(differences("x", 1, &[1.0], &[]).unwrap_err(), StatsError::Lengths { a: 1, b: 0 });
        assert_eq!(differences("x", 1, &[1e308], &[-1e308]), Err(StatsError::Overflow { what: "difference" }));
    }
}
