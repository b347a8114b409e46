//! Adam with decoupled weight decay.

use std::collections::BTreeMap;

use candle_core::Var;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Refused;
use crate::train::Result;
use crate::train::optimizer::adam::{Adam, DenseAdam};
use crate::train::optimizer::require;

/// AdamW (Loshchilov & Hutter 2019, algorithm 2): Adam, before each step of which the weights shrink by the learning
/// rate times the weight decay. It is `torch.optim.AdamW`, with its default decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// The step size, `lr` in PyTorch.
    pub learning_rate: f64,
    /// The decay of the mean of the gradients.
    pub beta1: f64,
    /// The decay of the mean of their squares.
    pub beta2: f64,
    /// What keeps the division by a small root bounded.
    pub epsilon: f64,
    /// By how much weights shrink in a step, as a multiple of the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        let Adam { learning_rate, beta1, beta2, epsilon, .. } = Adam::default();
        Self { learning_rate, beta1, beta2, epsilon, weight_decay: 0.01 }
    }
}

impl AdamW {
    /// The same without the decay.
    pub(crate) fn adam(&self) -> Adam {
        let Self { learning_rate, beta1, beta2, epsilon, .. } = *self;
        Adam { learning_rate, beta1, beta2, epsilon, l2: 0.0 }
    }

    pub(super) fn check(&self) -> Result<(), Refused> {
        self.adam().check()?;
        // A step takes the share `learning_rate · weight_decay` of each weight away.
        let fits = self.weight_decay >= 0.0 && self.weight_decay * self.learning_rate < 1.0;
        require(&[("weight_decay", self.weight_decay, fits, "at least 0 and below 1 / `learning_rate`")])
    }

    pub(super) fn build(&self, vars: &BTreeMap<String, Var>) -> Result<DenseAdam> {
        self.adam().build(self.weight_decay, vars)
    }
}
