//! Student's t distribution.

use crate::distribution::gamma_ratio;
use crate::distribution::normal;
use crate::error::Result;
use crate::error::StatsError;

/// Student's t distribution with `df` degrees of freedom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StudentT {
    df: f64,
    /// Logarithm of the density at 0.
    ln_peak: f64,
}

impl StudentT {
    /// The distribution with `df` degrees of freedom, not necessarily whole.
    ///
    /// # Errors
    /// `df` is not in (0, 1e15].
    pub fn new(df: f64) -> Result<Self> {
        if !(df > 0.0 && df <= 1e15) {
            return Err(StatsError::DegreesOfFreedom { df });
        }
        // Γ((ν+1)/2) / (Γ(ν/2)·√(νπ))
        let ln_peak = libm::log(gamma_ratio::half_step(df.midpoint(1.0)) / (df * std::f64::consts::PI).sqrt());
        Ok(Self { df, ln_peak })
    }

    /// P(T ≥ t): relative error below 1e-11 down to 1e-300. NaN only for a `t` that is NaN.
    pub fn sf(&self, t: f64) -> f64 {
        if t.is_nan() {
            return t;
        }
        if t < 0.0 {
            return 1.0 - self.sf(-t);
        }
        match self.body(t) {
            Some(body) => 0.5 - body,
            None => libm::exp(self.ln_tail(t)),
        }
    }

    /// P(T ≤ t). Accuracy as [`Self::sf`].
    pub fn cdf(&self, t: f64) -> f64 {
        self.sf(-t)
    }

    /// The t with P(T ≥ t) = `p`, for `p` strictly between 0 and 1; infinite where it is beyond the range of f64, which
    /// takes less than one degree of freedom.
    ///
    /// Newton's method in ln t for ln P(T ≥ t), which is concave and falling: from the right of the root every step
    /// stays to the right of it and comes closer. The start is where the bound `P(T ≥ t) ≤ f(0)·ν^((ν+1)/2)·t^(−ν)/ν`
    /// meets `p`.
    ///
    /// # Errors
    /// `p` is not strictly between 0 and 1.
    pub fn inverse_sf(&self, p: f64) -> Result<f64> {
        if !(p > 0.0 && p < 1.0) {
            return Err(StatsError::Probability { what: "probability", index: 0, value: p });
        }
        if p > 0.5 {
            return Ok(-self.upper(1.0 - p));
        }
        Ok(self.upper(p))
    }

    fn upper(&self, p: f64) -> f64 {
        if p >= 0.5 {
            return 0.0;
        }
        let nu = self.df;
        let target = libm::log(p);
        let ln_start = (self.ln_peak - target - libm::log(nu)) / nu + nu.midpoint(1.0) / nu * libm::log(nu);
        let mut ln_t = ln_start;
        for _ in 0..200 {
            let t = libm::exp(ln_t);
            let ln_sf = self.ln_sf(t);
            // d ln sf / d ln t = −t·f(t)/sf(t)
            let slope = libm::exp(ln_t + self.ln_pdf(t) - ln_sf);
            let step = (ln_sf - target) / slope;
            if !step.is_finite() {
                break;
            }
            ln_t += step;
            if step.abs() < 1e-15 * ln_t.abs().max(1.0) {
                break;
            }
        }
        libm::exp(ln_t)
    }

    /// ln(1 + t²/ν), also where the square is too large for a float.
    fn ln_spread(&self, t: f64) -> f64 {
        if t > 1e150 { 2.0 * libm::log(t) - libm::log(self.df) } else { libm::log1p(t * t / self.df) }
    }

    fn ln_pdf(&self, t: f64) -> f64 {
        self.ln_peak - self.df.midpoint(1.0) * self.ln_spread(t)
    }

    fn ln_sf(&self, t: f64) -> f64 {
        match self.body(t) {
            Some(body) => libm::log(0.5 - body),
            None => self.ln_tail(t),
        }
    }

    /// P(0 ≤ T ≤ t) where the fraction for it converges well, near the centre; `None` elsewhere.
    ///
    /// Half the incomplete beta function I_y(½, ν/2) at y = t²/(ν+t²).
    fn body(&self, t: f64) -> Option<f64> {
        let nu = self.df;
        // y < (a+1)/(a+b+2) with a = ½, b = ν/2, where the fraction converges fast. The tail's share is then ample, so
        // the subtraction from one half loses no digits.
        let square = t * t;
        if square * (1.0 + nu / 2.0) >= 1.5 * nu {
            return None;
        }
        let y = square / (nu + square);
        // y^½ (1−y)^(ν/2) / (2·B(½, ν/2)), written with the density at 0: 1/B(½, ν/2) = √ν·f(0)
        let front = 0.5 * t * libm::exp(self.ln_peak - nu.midpoint(1.0) * self.ln_spread(t));
        Some(front / beta_fraction(0.5, nu / 2.0, y, nu / (nu + square)))
    }

    /// ln P(T ≥ t) away from the centre, as half the incomplete beta function I_x(ν/2, ½) at x = ν/(ν+t²).
    fn ln_tail(&self, t: f64) -> f64 {
        if t == f64::INFINITY {
            return f64::NEG_INFINITY;
        }
        let nu = self.df;
        if nu > 1e10 {
            // Differs from the normal distribution by t⁴/(4ν) (Abramowitz and Stegun 26.7.8): the first order of that is
            // kept, and the second is below 1e-9 of the probability up to t = 38.
            let tail = normal::sf(t);
            if tail == 0.0 {
                return f64::NEG_INFINITY;
            }
            let first = normal::pdf(t) * (t * t * t + t) / (4.0 * nu);
            return libm::log(tail + first);
        }
        let (x, y) = if t > 1e150 { (0.0, 1.0) } else { (nu / (nu + t * t), 1.0 / (1.0 + nu / (t * t))) };
        // x^(ν/2) y^½ / (2·B(ν/2, ½)) with √y = t·√(x/ν) and 1/B(ν/2, ½) = √ν·f(0); the powers of x join to (ν+1)/2
        let ln_front = self.ln_peak + libm::log(t) - nu.midpoint(1.0) * self.ln_spread(t);
        ln_front - libm::log(2.0 * beta_fraction(nu / 2.0, 0.5, x, y))
    }
}

/// The continued fraction K in I_x(a, b) = x^a·y^b / (B(a, b)·K), y = 1 − x (DiDonato and Morris 1992, equation 9), by the
/// modified method of Lentz (Press et al., Numerical Recipes, 3rd ed., 5.2).
///
/// DLMF 8.17.22 is better known, but loses digits for a million degrees of freedom, where x is close to 1.
fn beta_fraction(a: f64, b: f64, x: f64, y: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const MOST: u32 = 1_000_000;
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let lead = a * y - b * x + 1.0;
    let mut fraction = away(a * lead / (a + 1.0));
    let (mut c, mut d) = (fraction, 0.0);
    for m in 1..MOST {
        let m = f64::from(m);
        let odd = a + 2.0 * m - 1.0;
        let numerator = (a + m - 1.0) / odd * ((a + b + m - 1.0) / odd) * m * (b - m) * x * x;
        let denominator = m + m * (b - m) * x / odd + (a + m) * (lead + m * (2.0 - x)) / (odd + 2.0);
        d = 1.0 / away(denominator + numerator * d);
        c = away(denominator + numerator / c);
        let change = c * d;
        fraction *= change;
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_degree_of_freedom_is_the_cauchy_distribution() {
        let t = StudentT::new(1.0).unwrap();
        for x in [1e-9, 0.3, 1.0, 4.0, 1e6, 1e200] {
            // P(T ≥ x) = atan2(1, x)/π
            let want = 1f64.atan2(x) / std::f64::consts::PI;
            assert!((t.sf(x) / want - 1.0).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn the_ends_and_the_middle_are_exact() {
        let t = StudentT::new(7.0).unwrap();
        assert_eq!((t.sf(0.0), t.sf(f64::INFINITY), t.sf(f64::NEG_INFINITY)), (0.5, 0.0, 1.0));
        assert_eq!(t.inverse_sf(0.5).unwrap(), 0.0);
    }

    #[test]
    fn beyond_the_smallest_float_a_tail_is_zero_for_any_degrees_of_freedom() {
        for df in [200.0, 1e6, 8.4e11, 1e15] {
            assert_eq!(StudentT::new(df).unwrap().sf(1.5e179), 0.0, "{df}");
        }
    }

    #[test]
    fn degrees_of_freedom_and_probabilities_out_of_range_are_refused() {
        for df in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e16] {
            assert!(StudentT::new(df).is_err(), "{df}");
        }
        for p in [0.0, 1.0, f64::NAN] {
            assert!(StudentT::new(3.0).unwrap().inverse_sf(p).is_err(), "{p}");
        }
    }
}
