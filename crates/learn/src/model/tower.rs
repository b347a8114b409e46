//! What GMF, MLP, NeuMF and matrix factorisation have in common: a product of embeddings, a perceptron over embeddings,
//! and a weighted sum of both.

use candle_core::{DType, Tensor};
use candle_nn::{Embedding, Linear, Module};

use crate::model::scorer::Scorer;
use crate::model::tower_scorer::TowerScorer;
use crate::model::{Catalogue, Init, Input, Parameter, Result, UserVectors, Weights};

/// Two embedding tables of the same width.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables {
    /// The name of the users' table, `[n_users, width]`.
    pub user: &'static str,
    /// The name of the items' table, `[n_items, width]`.
    pub item: &'static str,
    /// The length of the embeddings.
    pub width: usize,
}

/// A fully connected layer followed by a ReLU.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// The name of its weight, `[outputs, inputs]`.
    pub weight: String,
    /// The name of its bias, `[outputs]`.
    pub bias: String,
    /// The number of its inputs.
    pub inputs: usize,
    /// The number of its outputs.
    pub outputs: usize,
}

/// A multi-layer perceptron over the concatenation of both embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Perceptron {
    /// The embeddings.
    pub tables: Tables,
    /// The layers, first to last; at least one.
    pub layers: Vec<Layer>,
    /// The probability with which an input of a layer is dropped in training.
    pub dropout: f64,
}

/// How the parts become a logit.
#[derive(Debug, Clone, PartialEq)]
pub enum Head {
    /// `h · [product ; perceptron] + b`, with learned weights of shape `[1, width]`.
    Linear {
        /// The name of the weights.
        weight: &'static str,
        /// The name of the bias, `[1]`, if there is one.
        bias: Option<&'static str>,
    },
    /// The sum of the product's elements.
    Sum,
}

/// The shape of a model of this family: `x(u, i) = h · [p_u ∘ q_i ; perceptron([u ; v])] + b + c_i`, each part of which
/// may be missing (He et al. 2017, eq. 9 to 12).
#[derive(Debug, Clone, PartialEq)]
pub struct Tower {
    /// The element-wise product of embeddings.
    pub product: Option<Tables>,
    /// The perceptron.
    pub perceptron: Option<Perceptron>,
    /// How both become a logit.
    pub head: Head,
    /// The name of a bias for each item, `[n_items, 1]`, if there is one.
    pub item_bias: Option<&'static str>,
    /// Whether layers and head begin normally distributed as the embeddings do, instead of by Glorot and He.
    pub normal_init: bool,
}

/// The deviation with which embeddings begin (He et al. 2017, section 4.1).
const STD: f64 = 0.01;

impl Tower {
    /// The number of inputs of the head.
    pub fn width(&self) -> usize {
        let perceptron = self.perceptron.as_ref().and_then(|p| p.layers.last()).map_or(0, |layer| layer.outputs);
        self.product.as_ref().map_or(0, |tables| tables.width) + perceptron
    }

    /// The tensors, in the order in which PyTorch's module declares them.
    pub fn parameters(&self, Catalogue { n_users, n_items }: Catalogue) -> Vec<Parameter> {
        let normal = Init::Normal { std: STD };
        let parameter = Parameter::new;
        let tables = [self.product.as_ref(), self.perceptron.as_ref().map(|perceptron| &perceptron.tables)];
        let mut all = Vec::new();
        for Tables { user, item, width } in tables.into_iter().flatten() {
            all.push(parameter(user, &[n_users as usize, *width], normal));
            all.push(parameter(item, &[n_items as usize, *width], normal));
        }
        for Layer { weight, bias, inputs, outputs } in self.perceptron.iter().flat_map(|p| &p.layers) {
            let glorot = Init::XavierUniform { fan_in: *inputs, fan_out: *outputs };
            all.push(parameter(weight, &[*outputs, *inputs], if self.normal_init { normal } else { glorot }));
            all.push(parameter(bias, &[*outputs], Init::Zeros));
        }
        if let Head::Linear { weight, bias } = &self.head {
            let he = Init::KaimingUniform { fan_in: self.width() };
            all.push(parameter(weight, &[1, self.width()], if self.normal_init { normal } else { he }));
            all.extend(bias.map(|bias| parameter(bias, &[1], Init::Zeros)));
        }
        all.extend(self.item_bias.map(|bias| parameter(bias, &[n_items as usize, 1], Init::Zeros)));
        all
    }

    /// The logits of a batch, `[batch]`, by candle's differentiable operations.
    ///
    /// # Errors
    /// When a weight is missing or an id is outside of its table.
    pub fn logits(&self, weights: &Weights, input: &Input<'_>) -> Result<Tensor> {
        let rows = |name: &str, ids: &Tensor| -> Result<Tensor> {
            let table = weights.get(name)?;
            Ok(Embedding::new(table.clone(), table.dim(1)?).forward(ids)?)
        };
        let linear = |weight: &str, bias: Option<&str>, x: &Tensor| -> Result<Tensor> {
            let bias = bias.map(|bias| weights.get(bias)).transpose()?;
            Ok(Linear::new(weights.get(weight)?.clone(), bias.cloned()).forward(x)?)
        };
        let mut parts = Vec::new();
        if let Some(Tables { user, item, .. }) = &self.product {
            parts.push((rows(user, input.users)? * rows(item, input.items)?)?);
        }
        if let Some(Perceptron { tables, layers, dropout }) = &self.perceptron {
            let (u, v) = (rows(tables.user, input.users)?, rows(tables.item, input.items)?);
            let mut x = Tensor::cat(&[u, v], 1)?;
            for (number, layer) in layers.iter().enumerate() {
                if let Some(noise) = input.noise.filter(|_| *dropout > 0.0) {
                    let mut mask = vec![1.0; x.elem_count()];
                    noise.multipliers(number, layer.inputs, *dropout, &mut mask);
                    x = (&x * Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?)?;
                }
                x = relu(&linear(&layer.weight, Some(&layer.bias), &x)?)?;
            }
            parts.push(x);
        }
        let parts = Tensor::cat(&parts, 1)?;
        let mut logits = match &self.head {
            Head::Sum => parts.sum(1)?,
            Head::Linear { weight, bias } => linear(weight, *bias, &parts)?.squeeze(1)?,
        };
        if let Some(bias) = self.item_bias {
            logits = (logits + rows(bias, input.items)?.squeeze(1)?)?;
        }
        Ok(logits)
    }

    /// A form that scores fast.
    ///
    /// # Errors
    /// When a weight is missing.
    pub fn scorer(&self, weights: &Weights) -> Result<Box<dyn Scorer + Send + Sync>> {
        Ok(Box::new(TowerScorer::new(self, weights)?))
    }

    /// The embeddings of each user: of the product, then of the perceptron.
    ///
    /// # Errors
    /// When a weight is missing.
    pub fn user_vectors(&self, weights: &Weights) -> Result<UserVectors> {
        let tables = [self.product.as_ref(), self.perceptron.as_ref().map(|perceptron| &perceptron.tables)];
        let tables: Vec<(usize, Vec<f32>)> = tables
            .into_iter()
            .flatten()
            .map(|table| Ok((table.width, weights.real(table.user)?)))
            .collect::<Result<_>>()?;
        let width = tables.iter().map(|(width, _)| width).sum();
        let users = tables.first().map_or(0, |(width, values)| values.len() / width);
        let row = |user: usize| tables.iter().flat_map(move |(width, values)| &values[user * width..][..*width]);
        Ok(UserVectors { width, values: (0..users).flat_map(row).copied().collect() })
    }
}

/// ReLU with the derivative 0 at 0, as in PyTorch; that of candle's own is 1 there, where every dead unit is.
fn relu(x: &Tensor) -> candle_core::Result<Tensor> {
    let positive = x.detach().gt(0.0)?.to_dtype(x.dtype())?;
    debug_assert!(matches!(x.dtype(), DType::F32 | DType::F64));
    x * positive
}
