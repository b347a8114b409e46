//! Losses on logits, each as plain numbers over a batch and as a differentiable tensor operation.
//!
//! A pointwise loss is one file with one type that implements [`Pointwise`]; one that looks at the batch as a whole
//! implements [`Batchwise`]. Each is one variant of [`LossSpec`]. This room imports no other room.

mod bce;
mod bpr;
mod error;
mod focal;
mod op;
mod r_ce;
mod t_ce;

use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use bce::Bce;
pub use bpr::{Bpr, Reduction};
pub use error::Refused;
pub use focal::Focal;
pub use r_ce::ReweightedCe;
pub use t_ce::TruncatedCe;

/// A loss that looks at one logit and its label at a time.
pub trait Pointwise: Send + Sync {
    /// The loss of logit `x` at label `y` (0 or 1), for any finite `x`.
    fn value(&self, x: f64, y: f64) -> f64;

    /// Its derivative by `x`.
    fn slope(&self, x: f64, y: f64) -> f64;

    /// By how much the sample counts, compared with binary cross-entropy.
    fn weight(&self, _x: f64, _y: f64) -> f64 {
        1.0
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
    fn evaluate(&self, batch: Scored<'_>, asked: Asked<'_>) -> f64 {
        let n = batch.logits.len() as f64;
        let samples = || batch.logits.iter().zip(batch.labels).map(|(x, y)| (*x, f64::from(*y)));
        for (slope, (x, y)) in asked.slopes.into_iter().flatten().zip(samples()) {
            *slope = self.slope(x, y) / n;
        }
        for (weight, (x, y)) in asked.weights.into_iter().flatten().zip(samples()) {
            *weight = self.weight(x, y) as f32;
        }
        samples().map(|(x, y)| self.value(x, y)).sum::<f64>() / n
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

#[cfg(test)]
#[path = "torch_tests.rs"]
mod torch_tests;
