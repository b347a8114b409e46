//! The reference engine: candle's automatic differentiation over whole tables, and a dense optimizer.
//!
//! It knows any model and is the oracle for faster engines: nothing in it is clever. Its cost is that of dense tables:
//! every lookup has a gradient as large as its table, and every step moves every row.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use crate::loss::LossSpec;
use crate::model::{ModelSpec, Weights};
use crate::train::engine::{Batch, Engine, State};
use crate::train::optimizer::{Optimizer, OptimizerSpec};
use crate::train::{Error, Result};

/// A model in training on the processor.
pub struct Reference {
    model: ModelSpec,
    loss: LossSpec,
    dtype: DType,
    vars: BTreeMap<String, Var>,
    /// The same tensors as `vars`, in the form that the model takes.
    weights: Weights,
    optimizer: Box<dyn Optimizer>,
}

impl Reference {
    /// Starts from `weights`, which set the type of all arithmetic: F32, or F64 for comparisons.
    ///
    /// # Errors
    /// When the weights are not those of the model, or the tensor library fails.
    pub fn new(model: &ModelSpec, loss: &LossSpec, optimizer: &OptimizerSpec, weights: &Weights) -> Result<Self> {
        let vars: BTreeMap<String, Var> = weights
            .tensors()
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), Var::from_tensor(&tensor.copy()?)?)))
            .collect::<Result<_>>()?;
        let dtype = vars.values().next().map_or(DType::F32, |var| var.dtype());
        let aliases = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let optimizer = optimizer.build(&vars)?;
        Ok(Self {
            model: model.clone(),
            loss: loss.clone(),
            dtype,
            vars,
            weights: Weights::from_tensors(aliases),
            optimizer,
        })
    }

    fn mean_loss(&self, batch: Batch<'_>) -> Result<Tensor> {
        let users = Tensor::new(batch.users, &Device::Cpu)?;
        let items = Tensor::new(batch.items, &Device::Cpu)?;
        let labels = Tensor::new(batch.labels, &Device::Cpu)?.to_dtype(self.dtype)?;
        Ok(self.loss.mean(&self.model.logits(&self.weights, &users, &items)?, &labels)?)
    }
}

fn number(loss: &Tensor) -> Result<f64> {
    Ok(loss.to_dtype(DType::F64)?.to_scalar()?)
}

impl Engine for Reference {
    fn step(&mut self, batch: Batch<'_>) -> Result<f64> {
        let loss = self.mean_loss(batch)?;
        self.optimizer.step(&self.vars, &loss.backward()?)?;
        number(&loss)
    }

    fn loss(&mut self, batch: Batch<'_>) -> Result<f64> {
        number(&self.mean_loss(batch)?)
    }

    fn weights(&mut self) -> Result<Weights> {
        Ok(self.weights.snapshot()?)
    }

    fn state(&mut self) -> Result<State> {
        Ok(State {
            weights: self.weights.snapshot()?,
            moments: self.optimizer.moments()?,
            steps: self.optimizer.steps(),
        })
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        for (name, var) in &self.vars {
            let tensor = state.weights.get(name)?;
            if tensor.dims() != var.dims() || tensor.dtype() != var.dtype() {
                return Err(Error::failed(format!("the saved state of `{name}` does not fit the model")));
            }
            var.set(tensor)?;
        }
        self.optimizer.restore(state.steps, &state.moments)
    }
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
