//! The bias-corrected and accelerated interval.

use crate::distribution::normal;
use crate::sample;

/// The acceleration of the mean from its jackknife values (Efron and Tibshirani 1993, equation 14.15).
///
/// Leaving out `x_i` moves the mean by `(mean − x_i)/(n − 1)`, so the sums over jackknife values are sums of powers of
/// the deviations: `Σu³ / (6·(Σu²)^(3/2))` with `u = x − mean`. Deviations are scaled by the largest, which cancels.
pub(super) fn acceleration(values: &[f64], mean: f64) -> f64 {
    let scale = values.iter().fold(0.0f64, |scale, v| scale.max((v - mean).abs()));
    let square = sample::sum(values.iter().map(|v| ((v - mean) / scale).powi(2)));
    let cube = sample::sum(values.iter().map(|v| ((v - mean) / scale).powi(3)));
    cube / (6.0 * square * square.sqrt())
}

/// Where in the resampled (sorted) means the bounds lie (Efron and Tibshirani 1993, equation 14.10), for a normal `tail`
/// probability beyond each.
///
/// The bias correction counts means equal to the observed one, within `ties`, by half, as scipy does.
pub(super) fn bca_probabilities(
    means: &[f64],
    observed: f64,
    ties: f64,
    acceleration: f64,
    tail: f64,
) -> Option<(f64, f64)> {
    let below = means.partition_point(|mean| *mean < observed - ties);
    let at_most = means.partition_point(|mean| *mean <= observed + ties);
    let bias = normal::quantile((below + at_most) as f64 / (2.0 * means.len() as f64)).ok()?;
    let z = normal::quantile(tail).ok()?;
    let moved = |z: f64| {
        let sum = bias + z;
        let stretch = 1.0 - acceleration * sum;
        (stretch > 0.0).then(|| normal::cdf(bias + sum / stretch))
    };
    Some((moved(z)?, moved(-z)?))
}
