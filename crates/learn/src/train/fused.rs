//! The fused engine: forward pass, backward pass and optimizer as one, for all models that are a tower.
//!
//! Its arithmetic is that of the room `kernel`. Rows of embeddings that a batch does not touch move when they are next
//! looked at, exactly as a dense optimizer would have moved them, so that a step costs what its batch costs, not what
//! the tables cost.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use crate::kernel::{self, Shape, Tensor as Part};
use crate::loss::{Asked, LossSpec, Scored};
use crate::model::tower::{Head, Tower};
use crate::model::{Catalogue, Weights};
use crate::train::engine::{Batch, Engine, State};
use crate::train::noise::StepNoise;
use crate::train::optimizer::OptimizerSpec;
use crate::train::{Error, Recipe, Result};

/// Fills the multipliers of the inputs of a layer for one sample: of step, layer, sample and width.
type NoiseOf<'a> = Box<dyn Fn(u64, usize, usize, &mut [f32]) + Sync + 'a>;

/// A tower in training on the processor.
pub struct Fused<'a> {
    tower: kernel::Tower,
    parts: Vec<Named>,
    loss: LossSpec,
    /// Dropout, if the model has it.
    noise: Option<NoiseOf<'a>>,
    logits: Vec<f64>,
    slopes: Vec<f64>,
    rounded: Vec<f32>,
}

/// A tensor of the kernel, and its name and dimensions in the model.
struct Named {
    part: Part,
    name: String,
    dims: Vec<usize>,
}

impl<'a> Fused<'a> {
    /// Starts from `weights` of type F32. `seed` is that of dropout; `threads` is 0 for all cores.
    ///
    /// # Errors
    /// When the model is not a tower, the weights are not its own, or memory does not suffice.
    pub fn new(recipe: &Recipe, catalogue: Catalogue, seed: u64, weights: &Weights, threads: usize) -> Result<Self> {
        let tower = recipe
            .model
            .tower()
            .ok_or_else(|| Error::failed(format!("the fused engine does not know {}", recipe.model.name())))?;
        let shape = shape(&tower, catalogue);
        let mut parts = names(&tower);
        let mut kernel = kernel::Tower::new(&shape, &optimizer(&recipe.optimizer), threads).map_err(Error::failed)?;
        for Named { part, name, dims } in &mut parts {
            let tensor = weights.get(name)?;
            *dims = tensor.dims().to_vec();
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            kernel.set_values(*part, &values).map_err(Error::failed)?;
        }
        let p = tower.perceptron.map_or(0.0, |perceptron| perceptron.dropout);
        let noise: NoiseOf<'a> =
            Box::new(move |step, layer, sample, out| StepNoise::new(seed, step).row(layer, sample, p, out));
        Ok(Self {
            tower: kernel,
            parts,
            loss: recipe.loss.clone(),
            noise: (p > 0.0).then_some(noise),
            logits: Vec::new(),
            slopes: Vec::new(),
            rounded: Vec::new(),
        })
    }

    fn tensors(&self, values: impl Fn(Part) -> Result<Vec<f32>>) -> Result<BTreeMap<String, Tensor>> {
        let tensor = |Named { part, name, dims }: &Named| {
            Ok((name.clone(), Tensor::from_vec(values(*part)?, dims.as_slice(), &Device::Cpu)?))
        };
        self.parts.iter().map(tensor).collect()
    }
}

/// The tower in the terms of the kernel.
fn shape(tower: &Tower, Catalogue { n_users, n_items }: Catalogue) -> Shape {
    let perceptron = tower.perceptron.as_ref();
    Shape {
        n_users,
        n_items,
        gmf: tower.product.as_ref().map_or(0, |tables| tables.width),
        mlp: perceptron.map_or(0, |perceptron| perceptron.tables.width),
        hidden: perceptron.iter().flat_map(|perceptron| &perceptron.layers).map(|layer| layer.outputs).collect(),
        output: match &tower.head {
            Head::Sum => kernel::Output::Sum,
            Head::Linear { bias: Some(_), .. } => kernel::Output::Affine,
            Head::Linear { bias: None, .. } => kernel::Output::Linear,
        },
        item_bias: tower.item_bias.is_some(),
    }
}

/// The tensors of the tower, without their dimensions.
fn names(tower: &Tower) -> Vec<Named> {
    let mut all = Vec::new();
    let mut push = |part, name: &str| all.push(Named { part, name: name.to_owned(), dims: Vec::new() });
    if let Some(tables) = &tower.product {
        push(Part::UserGmf, tables.user);
        push(Part::ItemGmf, tables.item);
    }
    if let Some(perceptron) = &tower.perceptron {
        push(Part::UserMlp, perceptron.tables.user);
        push(Part::ItemMlp, perceptron.tables.item);
        for (number, layer) in perceptron.layers.iter().enumerate() {
            push(Part::Weight(number), &layer.weight);
            push(Part::Bias(number), &layer.bias);
        }
    }
    if let Head::Linear { weight, bias } = &tower.head {
        push(Part::Output, weight);
        if let Some(bias) = bias {
            push(Part::OutputBias, bias);
        }
    }
    if let Some(bias) = tower.item_bias {
        push(Part::ItemBias, bias);
    }
    all
}

fn optimizer(spec: &OptimizerSpec) -> kernel::Optimizer {
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

impl Engine for Fused<'_> {
    fn name(&self) -> &'static str {
        "fused"
    }

    fn step(&mut self, batch: Batch<'_>, learning_rate: f64, weights: Option<&mut [f32]>) -> Result<f64> {
        let step = self.tower.steps();
        let noise = self
            .noise
            .as_ref()
            .map(|noise| move |layer: usize, sample: usize, out: &mut [f32]| noise(step, layer, sample, out));
        let dropout = noise.as_ref().map(|noise| noise as &kernel::Dropout<'_>);
        let logits = self.tower.forward(batch.users, batch.items, dropout).map_err(Error::failed)?;
        self.logits.clear();
        self.logits.extend(logits.iter().map(|&logit| f64::from(logit)));
        self.slopes.resize(batch.len(), 0.0);
        let scored = Scored { logits: &self.logits, labels: batch.labels, step };
        let loss = self.loss.evaluate(scored, Asked { slopes: Some(&mut self.slopes), weights });
        // A loss that is no number ends the run; a step by it would only spoil the weights.
        if loss.is_finite() {
            self.rounded.clear();
            self.rounded.extend(self.slopes.iter().map(|&slope| slope as f32));
            self.tower.backward(&self.rounded, learning_rate).map_err(Error::failed)?;
        }
        Ok(loss)
    }

    fn logits(&mut self, batch: Batch<'_>, out: &mut Vec<f64>) -> Result<()> {
        self.rounded.resize(batch.len(), 0.0);
        self.tower.score(batch.users, batch.items, &mut self.rounded).map_err(Error::failed)?;
        out.clear();
        out.extend(self.rounded.iter().map(|&logit| f64::from(logit)));
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.tower.flush();
        Ok(())
    }

    fn weights(&mut self) -> Result<Weights> {
        let values = |part| self.tower.values(part).map_err(Error::failed);
        Ok(Weights::from_tensors(self.tensors(values)?))
    }

    fn state(&mut self) -> Result<State> {
        let kernel::State { steps, rates, users, items, tensors } = self.tower.state();
        let part = |number: usize| {
            let tensors = &tensors;
            move |part: Part| Ok(tensors.get(&part).and_then(|parts| parts.get(number)).cloned().unwrap_or_default())
        };
        let weights = Weights::from_tensors(self.tensors(part(0))?);
        let remembered = tensors.values().map(Vec::len).max().unwrap_or(1);
        let mut moments = BTreeMap::new();
        for number in 1..remembered {
            let own = self.tensors(part(number))?;
            moments.extend(own.into_iter().map(|(name, tensor)| (format!("{number}.{name}"), tensor)));
        }
        let whole = |values: &[u32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
        for (name, values) in [(USERS, whole(&users)), (ITEMS, whole(&items)), (RATES, rates)] {
            let n = values.len();
            moments.insert(name.to_owned(), Tensor::from_vec(values, n, &Device::Cpu)?);
        }
        Ok(State { weights, moments, steps })
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let get = |name: &str| {
            state.moments.get(name).ok_or_else(|| Error::failed(format!("the saved state lacks `{name}`")))
        };
        let flat = |tensor: &Tensor| -> Result<Vec<f32>> {
            if tensor.dtype() != DType::F32 {
                return Err(Error::failed("the saved state is not of single precision"));
            }
            Ok(tensor.flatten_all()?.to_vec1()?)
        };
        let mut tensors = BTreeMap::new();
        for Named { part, name, .. } in &self.parts {
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
        let state = kernel::State {
            steps: state.steps,
            rates: get(RATES)?.to_vec1()?,
            users: whole(USERS)?,
            items: whole(ITEMS)?,
            tensors,
        };
        self.tower.restore(&state).map_err(Error::failed)
    }
}

/// Names in the saved state that no tensor of a model has.
const USERS: &str = "last.users";
const ITEMS: &str = "last.items";
const RATES: &str = "rates";

#[cfg(test)]
#[path = "fused_tests.rs"]
mod tests;
