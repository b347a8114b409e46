//! Scores of a [`Tower`] without candle's tensors.

use std::ops::Range;

use crate::kernel::rank::{self, Dense, Pairs, Parts};
use crate::model::scorer::{self, ScoreError, Scorer};
use crate::model::tower::{Head, Tables, Tower};
use crate::model::{Error, Result, Weights};

/// A model that is a product of embeddings, a perceptron over embeddings, or both, ready to score.
pub(super) struct TowerScorer(Pairs);

impl TowerScorer {
    pub(super) fn new(tower: &Tower, weights: &Weights) -> Result<Self> {
        let values = |name: &str| -> Result<Vec<f32>> { Ok(weights.get(name)?.flatten_all()?.to_vec1()?) };
        let both = |tables: &Tables| -> Result<[Vec<f32>; 2]> { Ok([values(tables.user)?, values(tables.item)?]) };
        let product = tower.product.as_ref().map(both).transpose()?;
        let embeddings = tower.perceptron.as_ref().map(|perceptron| both(&perceptron.tables)).transpose()?;
        let layers = tower.perceptron.iter().flat_map(|perceptron| &perceptron.layers);
        let layers: Vec<[Vec<f32>; 2]> =
            layers.map(|layer| Ok([values(&layer.weight)?, values(&layer.bias)?])).collect::<Result<_>>()?;
        let layers: Vec<Dense<'_>> = layers.iter().map(|[weight, bias]| Dense { weight, bias }).collect();
        let (head, bias) = match &tower.head {
            Head::Sum => (vec![1.0; tower.width()], 0.0),
            Head::Linear { weight, bias } => {
                let bias = bias.map(values).transpose()?.unwrap_or_default();
                (values(weight)?, bias.iter().sum())
            }
        };
        let item_bias = tower.item_bias.map(values).transpose()?;
        Self::of(&Parts {
            product: tower.product.as_ref().zip(product.as_ref()).map(|(tables, values)| parts(tables, values)),
            perceptron: tower
                .perceptron
                .as_ref()
                .zip(embeddings.as_ref())
                .map(|(perceptron, values)| (parts(&perceptron.tables, values), layers.as_slice())),
            head: &head,
            bias,
            item_bias: item_bias.as_deref(),
        })
    }

    pub(super) fn of(parts: &Parts<'_>) -> Result<Self> {
        Pairs::new(parts).map(Self).map_err(Error::failed)
    }
}

fn parts<'a>(tables: &Tables, [users, items]: &'a [Vec<f32>; 2]) -> rank::Tables<'a> {
    rank::Tables { users, items, width: tables.width }
}

impl Scorer for TowerScorer {
    fn n_users(&self) -> usize {
        self.0.n_users()
    }

    fn n_items(&self) -> usize {
        self.0.n_items()
    }

    fn score_user(&self, user: u32, items: &[u32], out: &mut [f32]) -> scorer::Result<()> {
        self.0.list(user, items, out).map_err(ScoreError::new)
    }

    fn score_tile(&self, users: &[u32], items: Range<u32>, out: &mut [f32]) -> scorer::Result<()> {
        self.0.tile(users, items, out).map_err(ScoreError::new)
    }
}

#[cfg(test)]
#[path = "tower_scorer_tests.rs"]
mod tests;
