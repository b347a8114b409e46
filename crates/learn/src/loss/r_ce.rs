//! Reweighted cross-entropy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::{Pointwise, Refused, Sample, require};

/// Reweighted cross-entropy (Wang et al. 2021, eq. 8): binary cross-entropy times `ŷ^β` for a positive and `(1 − ŷ)^β`
/// for a negative, where `ŷ = σ(x)` counts as a constant for the derivative. Samples that the model finds unlikely,
/// noisy ones among them, count less.
///
/// ```python
/// y_ = torch.sigmoid(y).detach()
/// weight = torch.pow(y_, beta) * t + torch.pow(1 - y_, beta) * (1 - t)
/// loss = torch.mean(F.binary_cross_entropy_with_logits(y, t, reduction="none") * weight)
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReweightedCe {
    /// How much less unlikely samples count; 0 for not at all. The authors' code calls it `alpha`.
    pub beta: f64,
}

impl Default for ReweightedCe {
    /// What the authors use for Yelp.
    fn default() -> Self {
        Self { beta: 0.2 }
    }
}

impl ReweightedCe {
    pub(super) fn check(&self) -> Result<(), Refused> {
        require("beta", self.beta, self.beta >= 0.0, "at least 0")
    }
}

impl Pointwise for ReweightedCe {
    /// `p^β` for the probability `p` of the label, as `e^(−β·CE)`, since `−ln p` is the cross-entropy: a power of `p`
    /// itself would be 0 where `p` is too small to be told from it.
    fn log_weight(&self, sample: Sample) -> f64 {
        -self.beta * sample.cross_entropy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Bce;
    use crate::loss::one::{slope, value, weight};

    #[test]
    fn the_weight_is_the_power_of_the_probability_of_the_label() {
        let loss = ReweightedCe { beta: 0.5 };
        // σ(ln 3) = ¾.
        let x = 3.0_f64.ln();
        assert!((weight(&loss, x, 1.0) - 0.75_f64.sqrt()).abs() < 1e-14);
        assert!((weight(&loss, x, 0.0) - 0.5).abs() < 1e-14);
        assert!((value(&loss, x, 1.0) - 0.75_f64.sqrt() * -(0.75_f64.ln())).abs() < 1e-14);
        assert!((slope(&loss, x, 0.0) - 0.5 * 0.75).abs() < 1e-14);
    }

    #[test]
    fn without_reweighting_it_is_cross_entropy() {
        let loss = ReweightedCe { beta: 0.0 };
        assert_eq!(value(&loss, -2.0, 1.0), value(&Bce {}, -2.0, 1.0));
        assert_eq!(slope(&loss, 800.0, 0.0), slope(&Bce {}, 800.0, 0.0));
    }

    #[test]
    fn a_negative_exponent_is_refused() {
        assert!(ReweightedCe { beta: -0.1 }.check().is_err());
        assert!(ReweightedCe::default().check().is_ok());
    }
}
