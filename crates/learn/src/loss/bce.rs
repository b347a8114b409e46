//! Binary cross-entropy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::Pointwise;

/// Binary cross-entropy on logits, `−y ln σ(x) − (1 − y) ln(1 − σ(x))`, in the form that neither overflows nor loses
/// digits: `max(x, 0) − x·y + ln(1 + e^−|x|)`. It is `torch.nn.BCEWithLogitsLoss` (He et al. 2017, eq. 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bce {}

impl Pointwise for Bce {
    const WEIGHS: bool = false;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::loss::one::{slope, value};

    #[test]
    fn values_follow_the_definition_where_it_can_be_computed() {
        for y in [0.0, 1.0] {
            for x in (-80..=80).map(|k| f64::from(k) / 8.0) {
                let p = 1.0 / (1.0 + (-x).exp());
                let naive = -y * p.ln() - (1.0 - y) * (1.0 - p).ln();
                assert!((value(&Bce {}, x, y) - naive).abs() <= 1e-11 * naive, "x = {x}, y = {y}");
            }
        }
    }

    #[test]
    fn values_at_extreme_logits_are_finite_and_right() {
        let bce = Bce {};
        assert_eq!((value(&bce, 1e300, 0.0), value(&bce, 1e300, 1.0)), (1e300, 0.0));
        assert_eq!((value(&bce, -1e300, 0.0), value(&bce, -1e300, 1.0)), (0.0, 1e300));
        assert_eq!((slope(&bce, 1e300, 0.0), slope(&bce, -1e300, 0.0)), (1.0, 0.0));
        // ln(1 + e^-17.5) = 2.5109990...e-8: where a form through σ loses half of its digits.
        assert!((value(&bce, 17.5, 1.0) / 2.510_999_000_3e-8 - 1.0).abs() < 1e-6);
        assert_eq!((value(&bce, 0.0, 0.0), slope(&bce, 0.0, 1.0)), (2.0_f64.ln(), -0.5));
    }

    #[test]
    fn nan_stays_nan() {
        assert!(slope(&Bce {}, f64::NAN, 1.0).is_nan());
        assert!(value(&Bce {}, f64::NAN, 1.0).is_nan());
    }

    proptest! {
        #[test]
        fn the_slope_is_the_derivative(x in -30.0..30.0_f64, y in 0..=1_u8) {
            let (bce, y, h) = (Bce {}, f64::from(y), 1e-4);
            let central = (value(&bce, x + h, y) - value(&bce, x - h, y)) / (2.0 * h);
            prop_assert!((slope(&bce, x, y) - central).abs() < 1e-8);
        }
    }
}
