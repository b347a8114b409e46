//! Bayesian personalised ranking.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::{Asked, BLOCK, Batchwise, Logistic, Scored};

/// Bayesian personalised ranking (Rendle et al. 2009): `−ln σ(x_pos − x_neg)` over pairs of a positive and a negative of
/// the same user. The samples of a batch are those pairs: each positive is followed by its negative.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bpr {
    /// How the pairs of a batch become one loss.
    pub reduction: Reduction,
}

/// How the pairs of a batch become the loss whose gradient is taken. What is reported is always the mean. Optimizers
/// that scale with the gradient, such as Adam, hardly see a difference; an L2 penalty does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum, as in "Dive into Deep Learning".
    Sum,
}

impl Batchwise for Bpr {
    fn evaluate(&self, batch: Scored<'_>, mut asked: Asked<'_>) -> f64 {
        let pairs = batch.logits.as_chunks::<2>().0;
        let n = pairs.len().max(1) as f64;
        let share = if self.reduction == Reduction::Sum { 1.0 } else { 1.0 / n };
        let mut parts = Logistic::default();
        // −ln σ(d) is the cross-entropy of a positive with the logit d.
        let (mut margins, positives, mut sum) = ([0.0; BLOCK], [1.0; BLOCK], 0.0);
        for (start, pairs) in (0..).step_by(BLOCK).zip(pairs.chunks(BLOCK)) {
            for (margin, [positive, negative]) in margins.iter_mut().zip(pairs) {
                *margin = positive - negative;
            }
            parts.fill(&margins[..pairs.len()], &positives);
            sum += (0..pairs.len()).map(|k| parts.sample(k).cross_entropy).sum::<f64>();
            if let Some(slopes) = &mut asked.slopes {
                for (k, slopes) in slopes.as_chunks_mut::<2>().0[start..].iter_mut().take(pairs.len()).enumerate() {
                    let slope = parts.sample(k).wrong * share;
                    *slopes = [-slope, slope];
                }
            }
        }
        if let Some(weights) = asked.weights {
            weights.fill(1.0);
        }
        sum / n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_told_apart_by_the_difference_of_their_logits() {
        let mut slopes = [0.0; 4];
        let batch = Scored { logits: &[2.0, 2.0 - 3.0_f64.ln(), -1.0, -1.0], labels: &[1.0, 0.0, 1.0, 0.0], step: 0 };
        let value = Bpr::default().evaluate(batch, Asked { slopes: Some(&mut slopes), weights: None });
        // σ(ln 3) = ¾ and σ(0) = ½: −(ln ¾ + ln ½) / 2; slopes ∓(1 − σ) / 2.
        assert!((value + f64::midpoint(0.75_f64.ln(), 0.5_f64.ln())).abs() < 1e-15);
        for (slope, expected) in slopes.into_iter().zip([-0.125, 0.125, -0.25, 0.25]) {
            assert!((slope - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn extreme_differences_are_finite() {
        let mut slopes = [0.0; 2];
        let sum = Bpr { reduction: Reduction::Sum };
        let batch = Scored { logits: &[-900.0, 900.0], labels: &[1.0, 0.0], step: 0 };
        let value = Bpr::default().evaluate(batch, Asked { slopes: Some(&mut slopes), weights: None });
        assert_eq!((value, slopes), (1800.0, [-1.0, 1.0]));
        let batch = Scored { logits: &[0.0; 4], labels: &[1.0, 0.0, 1.0, 0.0], step: 0 };
        let mut slopes = [0.0; 4];
        let value = sum.evaluate(batch, Asked { slopes: Some(&mut slopes), weights: None });
        assert_eq!((value, slopes), (2.0_f64.ln(), [-0.5, 0.5, -0.5, 0.5]));
    }
}
