//! Losses on logits, each as plain numbers and as a differentiable tensor operation.
//!
//! A pointwise loss is one file with one type that implements [`Pointwise`], and one variant of [`LossSpec`]. This
//! room imports no other room.

mod bce;
mod op;

use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use bce::Bce;

/// A loss that looks at one logit and its label at a time.
pub trait Pointwise: Send + Sync {
    /// The loss of logit `x` at label `y` (0 or 1), for any finite `x`.
    fn value(&self, x: f64, y: f64) -> f64;

    /// Its derivative by `x`.
    fn slope(&self, x: f64, y: f64) -> f64;
}

/// A loss and its hyper-parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LossSpec {
    /// Binary cross-entropy.
    Bce(Bce),
}

impl Default for LossSpec {
    fn default() -> Self {
        Self::Bce(Bce {})
    }
}

impl LossSpec {
    /// The mean loss of a batch, a tensor without dimensions, from logits and labels of the same length and type (F32
    /// or F64). Differentiable by the logits.
    ///
    /// # Errors
    /// When lengths or types differ.
    pub fn mean(&self, logits: &Tensor, labels: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Bce(loss) => op::mean(loss.clone(), logits, labels),
        }
    }
}
