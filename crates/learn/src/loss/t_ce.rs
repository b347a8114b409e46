//! Truncated cross-entropy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::{Asked, BLOCK, Batchwise, Logistic, Refused, Scored, require};

/// Truncated cross-entropy (Wang et al. 2021, eq. 5 and 6): the mean binary cross-entropy over the batch without the
/// positives that have the largest loss. Of a batch of `B`, the `⌊(1 − ε)·B⌋` samples with the smallest `loss · label`
/// are kept, so that negatives, for which this is 0, are kept longest; of equal ones the first.
///
/// The share ε that is dropped grows with the training step `t`, counted from 0, as in the authors' code, which
/// validates with the current ε as well:
///
/// ```python
/// drop_rate = np.linspace(0, max_drop_rate ** exponent, steps)
/// epsilon = drop_rate[t] if t < steps else max_drop_rate
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TruncatedCe {
    /// The share of a batch that is dropped in the end, ε_max.
    pub max_drop_rate: f64,
    /// The number of training steps until then.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// The power of `max_drop_rate` to which the share grows before it jumps to `max_drop_rate`.
    pub exponent: f64,
}

impl Default for TruncatedCe {
    /// What the authors' code begins with.
    fn default() -> Self {
        Self { max_drop_rate: 0.2, steps: 30_000, exponent: 1.0 }
    }
}

impl TruncatedCe {
    pub(super) fn check(&self) -> Result<(), Refused> {
        require(
            "max_drop_rate",
            self.max_drop_rate,
            (0.0..1.0).contains(&self.max_drop_rate),
            "at least 0 and below 1",
        )?;
        require("exponent", self.exponent, self.exponent > 0.0, "above 0")?;
        require("steps", self.steps as f64, self.steps > 0, "at least 1")
    }

    /// The share that is dropped at a training step, counted from 0.
    pub fn drop_rate(&self, step: u64) -> f64 {
        if step >= self.steps {
            return self.max_drop_rate;
        }
        // `np.linspace` includes both ends; one point is its start.
        let end = self.max_drop_rate.powf(self.exponent);
        if self.steps == 1 { 0.0 } else { step as f64 * (end / (self.steps - 1) as f64) }
    }
}

impl Batchwise for TruncatedCe {
    fn evaluate(&self, batch: Scored<'_>, asked: Asked<'_>) -> f64 {
        let n = batch.logits.len();
        let kept = ((1.0 - self.drop_rate(batch.step)) * n as f64) as usize;
        // A batch too small to keep anything from has no loss and moves nothing.
        let share = 1.0 / kept.max(1) as f64;
        let (mut losses, mut slopes) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let mut parts = Logistic::default();
        for (logits, labels) in batch.logits.chunks(BLOCK).zip(batch.labels.chunks(BLOCK)) {
            parts.fill(logits, labels);
            for sample in (0..logits.len()).map(|k| parts.sample(k)) {
                losses.push(sample.cross_entropy);
                slopes.push((1.0 - 2.0 * sample.label) * sample.wrong * share);
            }
        }
        let keep = select(&losses, batch.labels, kept);
        for (asked, (slope, keep)) in asked.slopes.into_iter().flatten().zip(slopes.iter().zip(&keep)) {
            *asked = if *keep { *slope } else { 0.0 };
        }
        for (weight, keep) in asked.weights.into_iter().flatten().zip(&keep) {
            *weight = f32::from(u8::from(*keep));
        }
        // Divergence must not hide among the dropped.
        if losses.iter().any(|loss| loss.is_nan()) {
            return f64::NAN;
        }
        losses.iter().zip(&keep).map(|(loss, keep)| if *keep { *loss } else { 0.0 }).sum::<f64>() * share
    }
}

/// Which samples are the first `kept` in the order of their loss times their label, and among equal ones of their place:
/// a total order, so that the selection is the same everywhere. NaN comes last.
fn select(losses: &[f64], labels: &[f32], kept: usize) -> Vec<bool> {
    // What is not negative is ordered as its bits are.
    let bits = |k: usize| {
        let product = losses[k] * f64::from(labels[k]);
        if product > 0.0 {
            product.to_bits()
        } else if product.is_nan() {
            u64::MAX
        } else {
            0
        }
    };
    let products: Vec<u64> = (0..losses.len().min(labels.len())).map(bits).collect();
    if kept >= products.len() {
        return vec![true; products.len()];
    }
    // The bits alone are selected from, which takes far less than comparing places as well; the ties come after.
    let mut ordered = products.clone();
    let (below, limit, _) = ordered.select_nth_unstable(kept);
    let (mut ties, limit) = (kept - below.iter().filter(|product| **product < *limit).count(), *limit);
    let keep = |&product: &u64| {
        let tie = product == limit && ties > 0;
        ties -= usize::from(tie);
        product < limit || tie
    };
    products.iter().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::loss::Bce;
    use crate::loss::one;

    fn evaluate(loss: &TruncatedCe, logits: &[f64], labels: &[f32], step: u64) -> (f64, Vec<f64>, Vec<f32>) {
        let (mut slopes, mut weights) = (vec![9.0; logits.len()], vec![9.0; logits.len()]);
        let asked = Asked { slopes: Some(&mut slopes), weights: Some(&mut weights) };
        let value = loss.evaluate(Scored { logits, labels, step }, asked);
        (value, slopes, weights)
    }

    #[test]
    fn the_share_grows_as_linspace_does_and_then_stays() {
        // np.linspace(0, .2 ** 1, 5) = [0, .05, .1, .15, .2]; with exponent 2 the end is .04.
        let loss = TruncatedCe { max_drop_rate: 0.2, steps: 5, exponent: 1.0 };
        for (step, expected) in [0.0, 0.05, 0.1, 0.15, 0.2, 0.2, 0.2].into_iter().enumerate() {
            assert!((loss.drop_rate(step as u64) - expected).abs() < 1e-16);
        }
        let squared = TruncatedCe { exponent: 2.0, ..loss };
        assert!((squared.drop_rate(4) - 0.04).abs() < 1e-16);
        assert_eq!(squared.drop_rate(5), 0.2);
        assert_eq!(TruncatedCe { steps: 1, ..squared }.drop_rate(0), 0.0);
    }

    #[test]
    fn the_positives_with_the_largest_loss_go_first_and_negatives_last() {
        let loss = TruncatedCe { max_drop_rate: 0.5, steps: 1, exponent: 1.0 };
        // Losses of the positives: ln 2, ln(1 + e^3), ln(1 + e^-3); the negative's product is 0.
        let (logits, labels) = ([0.0, -3.0, 3.0, 9.0], [1.0, 1.0, 1.0, 0.0]);
        let (value, slopes, weights) = evaluate(&loss, &logits, &labels, 7);
        assert_eq!(weights, [0.0, 0.0, 1.0, 1.0]);
        let bce = Bce {};
        assert!((value - f64::midpoint(one::value(&bce, 3.0, 1.0), one::value(&bce, 9.0, 0.0))).abs() < 1e-15);
        assert_eq!(slopes, [0.0, 0.0, one::slope(&bce, 3.0, 1.0) / 2.0, one::slope(&bce, 9.0, 0.0) / 2.0]);
    }

    #[test]
    fn nothing_is_dropped_at_the_first_step() {
        let (value, _, weights) = evaluate(&TruncatedCe::default(), &[-5.0, 1.0], &[1.0, 1.0], 0);
        assert_eq!(weights, [1.0, 1.0]);
        assert!((value - f64::midpoint(one::value(&Bce {}, -5.0, 1.0), one::value(&Bce {}, 1.0, 1.0))).abs() < 1e-15);
    }

    #[test]
    fn a_loss_that_is_no_number_is_not_hidden_by_dropping_it() {
        let loss = TruncatedCe { max_drop_rate: 0.5, steps: 1, exponent: 1.0 };
        assert!(evaluate(&loss, &[f64::NAN, 0.0], &[1.0, 0.0], 1).0.is_nan());
    }

    #[test]
    fn a_batch_from_which_nothing_is_kept_moves_nothing() {
        let loss = TruncatedCe { max_drop_rate: 0.5, steps: 1, exponent: 1.0 };
        assert_eq!(evaluate(&loss, &[1.0], &[1.0], 1), (0.0, vec![0.0], vec![0.0]));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let loss = TruncatedCe::default();
        assert_eq!(loss.check(), Ok(()));
        assert_eq!(TruncatedCe { max_drop_rate: 1.0, ..loss.clone() }.check().unwrap_err().field, "max_drop_rate");
        assert_eq!(TruncatedCe { steps: 0, ..loss.clone() }.check().unwrap_err().field, "steps");
        assert_eq!(TruncatedCe { exponent: 0.0, ..loss }.check().unwrap_err().field, "exponent");
    }

    proptest! {
        /// Against a twin that sorts the whole batch, as the authors' code does.
        #[test]
        fn selecting_equals_sorting(
            samples in prop::collection::vec((-4.0..4.0_f64, prop::bool::ANY), 1..40),
            rate in 0.0..0.99_f64,
        ) {
            let loss = TruncatedCe { max_drop_rate: rate, steps: 1, exponent: 1.0 };
            let logits: Vec<f64> = samples.iter().map(|sample| sample.0).collect();
            let labels: Vec<f32> = samples.iter().map(|sample| f32::from(u8::from(sample.1))).collect();
            let product = |k: usize| one::value(&Bce {}, logits[k], f64::from(labels[k])) * f64::from(labels[k]);
            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|a, b| product(*a).total_cmp(&product(*b)));
            let kept = &order[..((1.0 - rate) * logits.len() as f64) as usize];
            let (value, _, weights) = evaluate(&loss, &logits, &labels, 1);
            for (k, weight) in weights.iter().enumerate() {
                prop_assert_eq!(*weight == 1.0, kept.contains(&k));
            }
            let sum: f64 = kept.iter().map(|&k| one::value(&Bce {}, logits[k], f64::from(labels[k]))).sum();
            prop_assert!((value - sum / kept.len().max(1) as f64).abs() < 1e-12);
        }
    }
}
