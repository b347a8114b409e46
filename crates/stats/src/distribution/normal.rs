//! The standard normal distribution.

use std::f64::consts::FRAC_1_SQRT_2;

use crate::error::Result;
use crate::error::StatsError;

/// Density at `z`.
pub fn pdf(z: f64) -> f64 {
    const FRAC_1_SQRT_2_PI: f64 = 0.398_942_280_401_432_7;
    FRAC_1_SQRT_2_PI * libm::exp(-0.5 * z * z)
}

/// P(Z ≤ z). Relative error below 1e-12 as long as the result is a normal number (z > −37.5).
pub fn cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// P(Z ≥ z). Accuracy as [`cdf`].
pub fn sf(z: f64) -> f64 {
    cdf(-z)
}

/// The z with P(Z ≤ z) = `p`, for `p` strictly between 0 and 1.
///
/// Formula 26.2.23 of Abramowitz and Stegun (1964) (error below 4.5e-4), then Newton steps on the logarithm of the tail,
/// which is nearly a parabola however far out.
///
/// # Errors
/// `p` is not strictly between 0 and 1.
pub fn quantile(p: f64) -> Result<f64> {
    if !(p > 0.0 && p < 1.0) {
        return Err(StatsError::Probability { what: "probability", index: 0, value: p });
    }
    // 1 − p is exact for p ≥ 0.5.
    Ok(if p <= 0.5 { -upper(p) } else { upper(1.0 - p) })
}

/// The z ≥ 0 with P(Z ≥ z) = `tail`, for a tail of at most one half.
fn upper(tail: f64) -> f64 {
    const C: [f64; 3] = [2.515_517, 0.802_853, 0.010_328];
    const D: [f64; 3] = [1.432_788, 0.189_269, 0.001_308];
    let t = (-2.0 * libm::log(tail)).sqrt();
    let mut z = t - (C[0] + t * (C[1] + t * C[2])) / (1.0 + t * (D[0] + t * (D[1] + t * D[2])));
    if tail > 0.25 {
        // Near the centre the tail hides z; half an erf does not.
        for _ in 0..4 {
            z -= (0.5 * libm::erf(z * FRAC_1_SQRT_2) - (0.5 - tail)) / pdf(z);
        }
        return z.max(0.0);
    }
    let target = libm::log(tail);
    for _ in 0..4 {
        let at = sf(z);
        if at == 0.0 {
            break;
        }
        z += (libm::log(at) - target) * at / pdf(z);
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_outside_of_zero_to_one_is_refused() {
        for p in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(quantile(p).is_err());
        }
    }

    #[test]
    fn the_median_is_zero_and_quantiles_are_symmetric() {
        assert_eq!(quantile(0.5).unwrap(), 0.0);
        assert_eq!(quantile(0.25).unwrap(), -quantile(0.75).unwrap());
    }
}
