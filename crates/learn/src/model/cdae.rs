//! The collaborative denoising auto-encoder.

use candle_core::Tensor;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::rank::{Parts, Tables};
use crate::model::bags::Bags;
use crate::model::scorer::Scorer;
use crate::model::tower_scorer::TowerScorer;
use crate::model::{
    Architecture, Catalogue, History, Init, Input, Parameter, Refused, Result, Trainable, UserVectors, Weights, widths,
};

const ITEM_IN: &str = "item_in.weight";
const USER: &str = "user_embedding.weight";
const HIDDEN_BIAS: &str = "hidden_bias";
const ITEM_OUT: &str = "item_out.weight";
const OUT_BIAS: &str = "item_out_bias";

/// Collaborative denoising auto-encoder (Wu et al. 2016, eq. 6 and 7), with the sigmoid for the hidden layer and logits
/// as outputs: `z_u = σ(Wᵀ ỹ_u + v_u + b)`, `x_ui = w'_i · z_u + b'_i`, where `ỹ_u` is what the user has in training,
/// each item of which is dropped with the probability `corruption` in training, and else weighted by
/// `1 / (1 − corruption)`.
///
/// Like the other models it is trained on positives and sampled negatives (section 3.3 of the paper); samples of one
/// user in a batch share one corrupted row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cdae {
    /// The width of the hidden layer.
    #[serde(default = "default_hidden")]
    #[schemars(range(min = 1, max = 65_536))]
    pub hidden: u32,
    /// The probability with which an item of the input is dropped in training.
    #[serde(default = "default_corruption")]
    pub corruption: f64,
}

/// The size that Wang et al. (2021) use.
fn default_hidden() -> u32 {
    200
}

/// In the middle of the ratios that Wu et al. (2016) try.
fn default_corruption() -> f64 {
    0.5
}

impl Architecture for Cdae {
    fn name(&self) -> &'static str {
        "CDAE"
    }

    fn normalise(&mut self) -> Result<(), Refused> {
        widths::check("hidden", self.hidden)?;
        widths::check_dropout(self.corruption).map_err(|refused| Refused { field: "corruption", ..refused })
    }

    fn parameters(&self, Catalogue { n_users, n_items }: Catalogue) -> Vec<Parameter> {
        let (users, items, hidden) = (n_users as usize, n_items as usize, self.hidden as usize);
        let glorot = Init::XavierUniform { fan_in: items, fan_out: hidden };
        let parameter = Parameter::new;
        vec![
            parameter(ITEM_IN, &[items, hidden], glorot),
            parameter(USER, &[users, hidden], Init::Normal { std: 0.01 }),
            parameter(HIDDEN_BIAS, &[hidden], Init::Zeros),
            parameter(ITEM_OUT, &[items, hidden], glorot),
            parameter(OUT_BIAS, &[items], Init::Zeros),
        ]
    }

    fn scorer(&self, _: Catalogue, weights: &Weights, history: &dyn History) -> Result<Box<dyn Scorer + Send + Sync>> {
        let (users, width) = hidden_layers(weights, history)?;
        let (items, bias) = (values(weights, ITEM_OUT)?, values(weights, OUT_BIAS)?);
        let scorer = TowerScorer::of(&Parts {
            product: Some(Tables { users: &users, items: &items, width }),
            perceptron: None,
            head: &vec![1.0; width],
            bias: 0.0,
            item_bias: Some(&bias),
        });
        Ok(Box::new(scorer?))
    }

    fn user_vectors(&self, weights: &Weights) -> Result<Option<UserVectors>> {
        Ok(Some(UserVectors { width: self.hidden as usize, values: weights.real(USER)? }))
    }
}

impl Trainable for Cdae {
    fn logits(&self, weights: &Weights, input: &Input<'_>) -> Result<Tensor> {
        let users = input.users.to_vec1::<u32>()?;
        let device = input.users.device();
        // Each user of the batch once, in the order of the first appearance.
        let mut distinct: Vec<u32> = Vec::new();
        let mut seats = std::collections::BTreeMap::new();
        let slots: Vec<u32> = users
            .iter()
            .map(|&user| {
                *seats.entry(user).or_insert_with(|| {
                    distinct.push(user);
                    distinct.len() as u32 - 1
                })
            })
            .collect();
        let mut mask = vec![1.0; distinct.iter().map(|&user| input.history.items(user).len()).sum()];
        if let Some(noise) = input.noise.filter(|_| self.corruption > 0.0) {
            noise.multipliers(0, 1, self.corruption, &mut mask);
        }
        let (mut bags, mut rest) = (Bags::default(), mask.as_slice());
        for &user in &distinct {
            let own = input.history.items(user);
            let (mask, others) = rest.split_at(own.len());
            bags.push(own, mask);
            rest = others;
        }
        let own = weights.get(USER)?.index_select(&Tensor::new(distinct, device)?, 0)?;
        let hidden = (own.broadcast_add(weights.get(HIDDEN_BIAS)?)? + bags.sums(weights.get(ITEM_IN)?)?)?;
        let z = ((hidden.neg()?.exp()? + 1.0)?.recip()?).index_select(&Tensor::new(slots, device)?, 0)?;
        let out = weights.get(ITEM_OUT)?.index_select(input.items, 0)?;
        let bias = weights.get(OUT_BIAS)?.index_select(input.items, 0)?;
        Ok(((z * out)?.sum(1)? + bias)?)
    }
}

/// The hidden layer of each user, which does not change once the model is trained, row by row.
fn hidden_layers(weights: &Weights, history: &dyn History) -> Result<(Vec<f32>, usize)> {
    let (input, mut users, bias) = (values(weights, ITEM_IN)?, values(weights, USER)?, values(weights, HIDDEN_BIAS)?);
    let hidden = bias.len().max(1);
    users.par_chunks_exact_mut(hidden).enumerate().for_each(|(user, z)| {
        z.iter_mut().zip(&bias).for_each(|(z, bias)| *z += bias);
        for &item in history.items(user as u32) {
            let row = input.chunks_exact(hidden).nth(item as usize).unwrap_or_default();
            z.iter_mut().zip(row).for_each(|(z, w)| *z += w);
        }
        for z in z {
            *z = 1.0 / (1.0 + (-*z).exp());
        }
    });
    Ok((users, hidden))
}

fn values(weights: &Weights, name: &str) -> Result<Vec<f32>> {
    Ok(weights.get(name)?.flatten_all()?.to_vec1()?)
}
