//! What both engines of towers carry in a checkpoint: the one on the processor and the one on a GPU have the same state, so
//! that a run can go on on either.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use crate::kernel;
use crate::model::Weights;
use crate::model::parts::{Named, Parts, flat};
use crate::train::engine::State;
use crate::train::optimizer::OptimizerSpec;
use crate::train::{Error, Result};

/// The name of this form of a state; see [`crate::train::engine::Engine::form`].
pub(super) const FORM: &str = "fused";

/// Names in the saved state that no tensor of a model has.
const USERS: &str = "last.users";
const ITEMS: &str = "last.items";
const RATES: &str = "rates";

/// The optimizer in the terms of the kernels.
pub(super) fn optimizer(spec: &OptimizerSpec) -> kernel::Optimizer {
    match spec {
        OptimizerSpec::Adam(adam) => kernel::Optimizer::Adam(kernel::Adam {
            beta1: adam.beta1,
            beta2: adam.beta2,
            epsilon: adam.epsilon,
            l2: adam.l2,
            decay: 0.0,
        }),
        OptimizerSpec::AdamW(adamw) => kernel::Optimizer::Adam(kernel::Adam {
            beta1: adamw.beta1,
            beta2: adamw.beta2,
            epsilon: adamw.epsilon,
            l2: 0.0,
            decay: adamw.weight_decay,
        }),
        OptimizerSpec::Sgd(sgd) => {
            kernel::Optimizer::Sgd(kernel::Sgd { momentum: sgd.momentum, nesterov: false, l2: sgd.l2 })
        }
    }
}

/// The state of the kernels as a checkpoint has it. It is as large as the tables, so nothing of it is copied.
pub(super) fn pack(parts: &Parts, state: kernel::State) -> Result<State> {
    let kernel::State { steps, rates, users, items, mut tensors } = state;
    let remembered = tensors.values().map(Vec::len).max().unwrap_or(1);
    let mut take = |number: usize| {
        parts.tensors(|part| {
            let values = tensors.get_mut(&part).and_then(|parts| parts.get_mut(number));
            Ok(values.map(std::mem::take).unwrap_or_default())
        })
    };
    let weights = Weights::from_tensors(take(0)?);
    let mut moments = BTreeMap::new();
    for number in 1..remembered {
        let own = take(number)?;
        moments.extend(own.into_iter().map(|(name, tensor)| (format!("{number}.{name}"), tensor)));
    }
    let whole = |values: &[u32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
    for (name, values) in [(USERS, whole(&users)), (ITEMS, whole(&items)), (RATES, rates)] {
        let n = values.len();
        moments.insert(name.to_owned(), Tensor::from_vec(values, n, &Device::Cpu)?);
    }
    Ok(State { weights, moments, steps })
}

/// The way back.
pub(super) fn unpack(parts: &Parts, state: &State) -> Result<kernel::State> {
    let get =
        |name: &str| state.moments.get(name).ok_or_else(|| Error::failed(format!("the saved state lacks `{name}`")));
    let mut tensors = BTreeMap::new();
    for Named { part, name, .. } in &parts.named {
        let mut values = vec![flat(state.weights.get(name)?)?];
        for number in 1..3 {
            if let Some(tensor) = state.moments.get(&format!("{number}.{name}")) {
                values.push(flat(tensor)?);
            }
        }
        tensors.insert(*part, values);
    }
    let whole = |name: &str| -> Result<Vec<u32>> {
        Ok(get(name)?.to_vec1::<f64>()?.into_iter().map(|value| value as u32).collect())
    };
    Ok(kernel::State {
        steps: state.steps,
        rates: get(RATES)?.to_vec1()?,
        users: whole(USERS)?,
        items: whole(ITEMS)?,
        tensors,
    })
}
