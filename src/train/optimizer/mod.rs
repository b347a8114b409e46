//! Optimizers whose whole state can be taken out and put back.
//!
//! candle's own are not used: there is no plain Adam among them, and their state is private, so that training could
//! not be resumed. An optimizer is one file with one type, and one variant of [`OptimizerSpec`].

mod adam;

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Refused;
use crate::train::Result;

pub use adam::Adam;

/// An optimizer and its hyper-parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OptimizerSpec {
    /// Adam.
    Adam(Adam),
}

impl Default for OptimizerSpec {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl OptimizerSpec {
    /// Refuses hyper-parameters that cannot work.
    ///
    /// # Errors
    /// Names the hyper-parameter.
    pub fn check(&self) -> Result<(), Refused> {
        match self {
            Self::Adam(adam) => adam.check(),
        }
    }

    /// An optimizer of these variables that has not made a step yet.
    ///
    /// # Errors
    /// When the variables are of a type that it does not know.
    pub fn build(&self, vars: &BTreeMap<String, Var>) -> Result<Box<dyn Optimizer>> {
        match self {
            Self::Adam(adam) => Ok(Box::new(adam.build(vars)?)),
        }
    }
}

/// Changes variables by their gradients, step by step.
pub trait Optimizer: Send {
    /// Makes one step. A variable without a gradient has the gradient 0.
    ///
    /// # Errors
    /// When the tensor library fails.
    fn step(&mut self, vars: &BTreeMap<String, Var>, gradients: &GradStore) -> Result<()>;

    /// How many steps were made.
    fn steps(&self) -> u64;

    /// Copies of what it remembers of the gradients, under names of its own.
    ///
    /// # Errors
    /// When the tensor library fails.
    fn moments(&self) -> Result<BTreeMap<String, Tensor>>;

    /// Goes on from `moments` after `steps` steps.
    ///
    /// # Errors
    /// When the moments are not those of such an optimizer of the same variables.
    fn restore(&mut self, steps: u64, moments: &BTreeMap<String, Tensor>) -> Result<()>;
}
