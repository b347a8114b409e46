//! Losses on logits, each as plain numbers over a batch and as a differentiable tensor operation.
//!
//! A pointwise loss is one file with one type that implements [`Pointwise`]; one that looks at the batch as a whole
//! implements [`Batchwise`]. Each is one variant of [`LossSpec`]. Exponentials
//! and logarithms are computed many at a time (`logistic`). This room imports no other room.

mod bce;
mod bpr;
mod error;
mod focal;
mod logistic;
mod op;
mod r_ce;
mod t_ce;

use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::logistic::{exp, logistic};

pub use bce::Bce;
pub use bpr::{Bpr, Reduction};
pub use error::Refused;
pub use focal::Focal;
pub use r_ce::ReweightedCe;
pub use t_ce::TruncatedCe;

/// What the pointwise losses of a sample are made of. With the logit `x` and the label `y`, `z` is `x` for a negative and
/// `−x` for a positive, so that `σ(z)` is the probability that the model gives to the other label.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The label, 1 or 0.
    pub label: f64,
    /// `−ln σ(−z)`, the binary cross-entropy.
    pub cross_entropy: f64,
    /// `ln σ(z)`.
    pub log_wrong: f64,
    /// `σ(z)`.
    pub wrong: f64,
    /// `σ(−z)`, which keeps its digits where `σ(z)` is close to 1.
    pub right: f64,
}

/// A loss that looks at one logit and its label at a time: binary cross-entropy with a weight.
pub trait Pointwise: Send + Sync {
    /// Whether samples count differently.
    const WEIGHS: bool = true;

    /// The logarithm of the weight, 0 or less, up to [`Pointwise::scale`].
    fn log_weight(&self, _sample: Sample) -> f64 {
        0.0
    }

    /// What the weight of samples with this label is multiplied by.
    fn scale(&self, _label: f64) -> f64 {
        1.0
    }

    /// The derivative of the loss by `z`, divided by the weight.
    fn slope(&self, sample: Sample) -> f64 {
        sample.wrong
    }
}

/// A batch whose logits are known.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// A logit for each sample; at least one.
    pub logits: &'a [f64],
    /// 1 or 0 for each sample.
    pub labels: &'a [f32],
    /// How many training steps were made before, for losses that change in the course of training.
    pub step: u64,
}

/// What a loss can say of a batch beside its value. What is not asked for is not computed.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// Filled with the derivative of the value by each logit.
    pub slopes: Option<&'a mut [f64]>,
    /// Filled with how much each sample counts, compared with binary cross-entropy: 0 for a sample that is left out.
    pub weights: Option<&'a mut [f32]>,
}

/// A loss that looks at a batch as a whole.
pub trait Batchwise: Send + Sync {
    /// The loss of the batch. All lengths are equal.
    fn evaluate(&self, batch: Scored<'_>, asked: Asked<'_>) -> f64;
}

impl<T: Pointwise> Batchwise for T {
    /// The mean over the samples, summed in their order.
    fn evaluate(&self, batch: Scored<'_>, mut asked: Asked<'_>) -> f64 {
        let n = batch.logits.len() as f64;
        let mut parts = Logistic::default();
        let (mut weights, mut sum) = ([1.0; BLOCK], 0.0);
        let pieces = batch.logits.chunks(BLOCK).zip(batch.labels.chunks(BLOCK));
        for (start, (logits, labels)) in (0..).step_by(BLOCK).zip(pieces) {
            parts.fill(logits, labels);
            let weights = &mut weights[..logits.len()];
            if T::WEIGHS {
                for (k, weight) in weights.iter_mut().enumerate() {
                    *weight = self.log_weight(parts.sample(k));
                }
                exp(weights);
                for (weight, &label) in weights.iter_mut().zip(labels) {
                    *weight *= self.scale(f64::from(label));
                }
            }
            for (k, weight) in weights.iter().enumerate() {
                sum += weight * parts.sample(k).cross_entropy;
            }
            if let Some(slopes) = &mut asked.slopes {
                for (k, (slope, weight)) in slopes[start..].iter_mut().zip(&*weights).enumerate() {
                    let sample = parts.sample(k);
                    *slope = (1.0 - 2.0 * sample.label) * weight * self.slope(sample) / n;
                }
            }
            if let Some(asked) = &mut asked.weights {
                asked[start..].iter_mut().zip(&*weights).for_each(|(asked, weight)| *asked = *weight as f32);
            }
        }
        sum / n
    }
}

/// Samples whose parts are computed together.
const BLOCK: usize = 256;

/// The parts of some samples, side by side.
struct Logistic {
    labels: [f64; BLOCK],
    z: [f64; BLOCK],
    logarithms: [f64; BLOCK],
    wrong: [f64; BLOCK],
    right: [f64; BLOCK],
}

impl Default for Logistic {
    fn default() -> Self {
        let zeros = [0.0; BLOCK];
        Self { labels: zeros, z: zeros, logarithms: zeros, wrong: zeros, right: zeros }
    }
}

impl Logistic {
    /// Computes the parts of at most [`BLOCK`] samples.
    fn fill(&mut self, logits: &[f64], labels: &[f32]) {
        let n = logits.len().min(BLOCK);
        for (((z, own), x), label) in self.z.iter_mut().zip(&mut self.labels).zip(logits).zip(labels) {
            *own = f64::from(*label);
            *z = (1.0 - 2.0 * *own) * x;
        }
        let (logarithms, wrong, right) = (&mut self.logarithms[..n], &mut self.wrong[..n], &mut self.right[..n]);
        logistic(&self.z[..n], logarithms, wrong, right);
    }

    #[inline]
    fn sample(&self, k: usize) -> Sample {
        let (z, logarithm) = (self.z[k], self.logarithms[k]);
        // Comparisons that let NaN pass.
        let (above, below) = if z < 0.0 { (0.0, z) } else { (z, 0.0) };
        Sample {
            label: self.labels[k],
            cross_entropy: above + logarithm,
            log_wrong: below - logarithm,
            wrong: self.wrong[k],
            right: self.right[k],
        }
    }
}

/// A loss and its hyper-parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LossSpec {
    /// Binary cross-entropy.
    Bce(Bce),
    /// Focal loss.
    Focal(Focal),
    /// Truncated cross-entropy, which leaves out positives with a large loss.
    TCe(TruncatedCe),
    /// Reweighted cross-entropy, which gives samples with a large loss less weight.
    RCe(ReweightedCe),
    /// Bayesian personalised ranking, over pairs of a positive and a negative.
    Bpr(Bpr),
}

impl Default for LossSpec {
    fn default() -> Self {
        Self::Bce(Bce {})
    }
}

impl std::ops::Deref for LossSpec {
    type Target = dyn Batchwise;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Bce(loss) => loss,
            Self::Focal(loss) => loss,
            Self::TCe(loss) => loss,
            Self::RCe(loss) => loss,
            Self::Bpr(loss) => loss,
        }
    }
}

impl LossSpec {
    /// Refuses hyper-parameters that make no loss.
    ///
    /// # Errors
    /// Names the hyper-parameter.
    pub fn check(&self) -> Result<(), Refused> {
        match self {
            Self::Bce(_) | Self::Bpr(_) => Ok(()),
            Self::Focal(loss) => loss.check(),
            Self::TCe(loss) => loss.check(),
            Self::RCe(loss) => loss.check(),
        }
    }

    /// Whether samples come in pairs, a positive and then a negative of the same user, instead of one by one.
    pub fn is_pairwise(&self) -> bool {
        matches!(self, Self::Bpr(_))
    }

    /// Whether samples count more or less than others, or not at all.
    pub fn is_denoising(&self) -> bool {
        matches!(self, Self::Focal(_) | Self::TCe(_) | Self::RCe(_))
    }

    /// The loss of a batch, a tensor without dimensions, from logits `[batch]` of type F32 or F64 after `step` training
    /// steps. Differentiable by the logits.
    ///
    /// # Errors
    /// When there are not as many logits as labels.
    pub fn of_batch(&self, logits: &Tensor, labels: &[f32], step: u64) -> candle_core::Result<Tensor> {
        op::of_batch(self.clone(), logits, labels, step)
    }
}

/// Refuses a value of a hyper-parameter for which `holds` is false.
fn require(field: &'static str, value: f64, holds: bool, range: &str) -> Result<(), Refused> {
    if holds && value.is_finite() {
        return Ok(());
    }
    Err(Refused { field, message: format!("must be {range}, not {value}") })
}

/// Losses of one sample, for tests.
#[cfg(test)]
pub(crate) mod one {
    use super::{Asked, Batchwise, Bce, Scored};

    /// Value, slope and weight.
    fn all(loss: &impl Batchwise, x: f64, y: f64) -> (f64, f64, f32) {
        let (mut slopes, mut weights) = ([9.0], [9.0]);
        let asked = Asked { slopes: Some(&mut slopes), weights: Some(&mut weights) };
        let value = loss.evaluate(Scored { logits: &[x], labels: &[y as f32], step: 0 }, asked);
        (value, slopes[0], weights[0])
    }

    pub(crate) fn value(loss: &impl Batchwise, x: f64, y: f64) -> f64 {
        all(loss, x, y).0
    }

    pub(crate) fn slope(loss: &impl Batchwise, x: f64, y: f64) -> f64 {
        all(loss, x, y).1
    }

    /// The weight before it is rounded to single precision: the loss as a share of cross-entropy.
    pub(crate) fn weight(loss: &impl Batchwise, x: f64, y: f64) -> f64 {
        let (loss, _, weight) = all(loss, x, y);
        let share = loss / value(&Bce {}, x, y);
        assert!((f64::from(weight) - share).abs() < 1e-7, "{weight} {share}");
        share
    }
}

#[cfg(test)]
#[path = "torch_tests.rs"]
mod torch_tests;
