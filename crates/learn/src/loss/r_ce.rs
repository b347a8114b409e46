//! Reweighted cross-entropy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::bce::Bce;
use crate::loss::{Pointwise, Refused, require};

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
    fn value(&self, x: f64, y: f64) -> f64 {
        self.weight(x, y) * Bce {}.value(x, y)
    }

    fn slope(&self, x: f64, y: f64) -> f64 {
        self.weight(x, y) * Bce {}.slope(x, y)
    }

    /// `p^β` for the probability `p` of the label, as `e^(−β·CE)`, since `−ln p` is the cross-entropy: a power of `p`
    /// itself would be 0 where `p` is too small to be told from it.
    fn weight(&self, x: f64, y: f64) -> f64 {
        (-self.beta * Bce {}.value(x, y)).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_is_the_power_of_the_probability_of_the_label() {
        let loss = ReweightedCe { beta: 0.5 };
        // σ(ln 3) = ¾.
        let x = 3.0_f64.ln();
        assert!((loss.weight(x, 1.0) - 0.75_f64.sqrt()).abs() < 1e-14);
        assert!((loss.weight(x, 0.0) - 0.5).abs() < 1e-14);
        assert!((loss.value(x, 1.0) - 0.75_f64.sqrt() * -(0.75_f64.ln())).abs() < 1e-14);
        assert!((loss.slope(x, 0.0) - 0.5 * 0.75).abs() < 1e-14);
    }

    #[test]
    fn without_reweighting_it_is_cross_entropy() {
        let loss = ReweightedCe { beta: 0.0 };
        assert_eq!(loss.value(-2.0, 1.0), Bce {}.value(-2.0, 1.0));
        assert_eq!(loss.slope(800.0, 0.0), Bce {}.slope(800.0, 0.0));
    }

    #[test]
    fn a_negative_exponent_is_refused() {
        assert!(ReweightedCe { beta: -0.1 }.check().is_err());
        assert!(ReweightedCe::default().check().is_ok());
    }
}
