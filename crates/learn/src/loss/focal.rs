//! Focal loss.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::{Pointwise, Refused, Sample, require};

/// Focal loss (Lin et al. 2017, eq. 5), `−α_t (1 − p_t)^γ ln p_t`, where `p_t` is the probability that the model gives
/// to the label, and `α_t` is α for positives and 1 − α for negatives. With γ = 0 and α = ½ it is half of binary
/// cross-entropy.
///
/// With `z = x` for a positive and `z = −x` for a negative, `p_t = σ(z)`, which is computed so that neither the loss nor
/// its derivative loses its digits at large logits. Code that clamps probabilities to `[1e−7, 1 − 1e−7]` has the
/// derivative 0 beyond, where this has not.
///
/// What it does to easy and hard cases, for γ = 2 and α = ¼ (a test computes this table):
///
/// | case | p | label | BCE | focal | BCE / focal |
/// |---|---|---|---|---|---|
/// | easy negative | 0.05 | 0 | 0.0513 | 0.0001 | 533.3 |
/// | hard positive | 0.30 | 1 | 1.2040 | 0.1475 | 8.2 |
/// | hard negative | 0.70 | 0 | 1.2040 | 0.4425 | 2.7 |
/// | easy positive | 0.95 | 1 | 0.0513 | 0.0000 | 1600.0 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Focal {
    /// How much less samples count that the model gets right; 0 for not at all.
    pub gamma: f64,
    /// The weight of positives; that of negatives is 1 − α.
    pub alpha: f64,
}

impl Default for Focal {
    fn default() -> Self {
        Self { gamma: 2.0, alpha: 0.25 }
    }
}

impl Focal {
    pub(super) fn check(&self) -> Result<(), Refused> {
        require("gamma", self.gamma, self.gamma >= 0.0, "at least 0")?;
        require("alpha", self.alpha, (0.0..=1.0).contains(&self.alpha), "between 0 and 1")
    }
}

impl Pointwise for Focal {
    /// `(1 − p_t)^γ`.
    fn log_weight(&self, sample: Sample) -> f64 {
        // Without focus, nothing counts less, not even what is right beyond doubt.
        if self.gamma == 0.0 { 0.0 } else { self.gamma * sample.log_wrong }
    }

    fn scale(&self, label: f64) -> f64 {
        label * self.alpha + (1.0 - label) * (1.0 - self.alpha)
    }

    /// `1 − p_t − γ p_t ln p_t`.
    fn slope(&self, sample: Sample) -> f64 {
        sample.wrong + self.gamma * sample.right * sample.cross_entropy
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::loss::Bce;
    use crate::loss::one::{slope, value};

    /// The logit of a probability.
    fn logit(p: f64) -> f64 {
        (p / (1.0 - p)).ln()
    }

    #[test]
    fn easy_cases_count_less_as_in_the_documented_table() {
        let focal = Focal::default();
        // `FocalLoss(gamma=2, alpha=.25)` and `nn.BCELoss` by hand: −ln p_t, and α_t (1 − p_t)² times that.
        let rows = [(0.05, 0.0), (0.3, 1.0), (0.7, 0.0), (0.95, 1.0)].map(|(p, y)| {
            let (bce, focal) = (value(&Bce {}, logit(p), y), value(&focal, logit(p), y));
            format!("{bce:.4} {focal:.4} {:.1}", bce / focal)
        });
        assert_eq!(rows, ["0.0513 0.0001 533.3", "1.2040 0.1475 8.2", "1.2040 0.4425 2.7", "0.0513 0.0000 1600.0"]);
    }

    #[test]
    fn without_focus_and_with_equal_weights_it_is_half_of_cross_entropy() {
        let focal = Focal { gamma: 0.0, alpha: 0.5 };
        for x in [-700.0, -3.0, 0.0, 0.2, 17.5, 700.0] {
            for y in [0.0, 1.0] {
                assert_eq!(value(&focal, x, y), 0.5 * value(&Bce {}, x, y));
                assert_eq!(slope(&focal, x, y), 0.5 * slope(&Bce {}, x, y));
            }
        }
    }

    #[test]
    fn extreme_logits_have_finite_losses_and_slopes() {
        for gamma in [0.0, 0.5, 1.0, 2.0, 5.0] {
            for x in [-1e300, -800.0, 800.0, 1e300] {
                for y in [0.0, 1.0] {
                    let focal = Focal { gamma, alpha: 0.25 };
                    assert!(value(&focal, x, y).is_finite() && slope(&focal, x, y).is_finite(), "{gamma} {x} {y}");
                }
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        assert_eq!(Focal { gamma: -1.0, alpha: 0.5 }.check().unwrap_err().field, "gamma");
        assert_eq!(Focal { gamma: f64::NAN, alpha: 0.5 }.check().unwrap_err().field, "gamma");
        assert_eq!(Focal { gamma: 1.0, alpha: 1.5 }.check().unwrap_err().field, "alpha");
        assert_eq!(Focal::default().check(), Ok(()));
    }

    proptest! {
        #[test]
        fn the_slope_is_the_derivative(x in -20.0..20.0_f64, y in 0..=1_u8, gamma in 0.0..4.0_f64, alpha in 0.0..=1.0) {
            let (focal, y, h) = (Focal { gamma, alpha }, f64::from(y), 1e-5);
            let central = (value(&focal, x + h, y) - value(&focal, x - h, y)) / (2.0 * h);
            prop_assert!((slope(&focal, x, y) - central).abs() < 1e-8);
        }
    }
}
