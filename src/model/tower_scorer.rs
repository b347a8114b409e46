//! Scores of a [`Tower`] without candle's tensors.

use crate::model::scorer::{self, ScoreError, Scorer};
use crate::model::tower::{Head, Perceptron, Tables, Tower};
use crate::model::{Result, Weights};

/// A table of embeddings, row by row.
struct Rows {
    values: Vec<f32>,
    width: usize,
}

impl Rows {
    fn get(&self, what: &str, id: u32) -> scorer::Result<&[f32]> {
        let start = (id as usize).saturating_mul(self.width);
        let row = self.values.get(start..).and_then(|rest| rest.get(..self.width));
        row.ok_or_else(|| ScoreError::new(format!("the model has no {what} {id}")))
    }
}

/// A layer: weights `[outputs, inputs]`, and biases.
struct Dense {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// The tensors of a tower as plain numbers.
pub(super) struct TowerScorer {
    n_users: usize,
    n_items: usize,
    product: Option<[Rows; 2]>,
    perceptron: Option<([Rows; 2], Vec<Dense>)>,
    /// The weights of the head: those of the product, then those of the perceptron.
    head: Vec<f32>,
    bias: f32,
    item_bias: Option<Vec<f32>>,
}

impl TowerScorer {
    pub(super) fn new(tower: &Tower, weights: &Weights) -> Result<Self> {
        let values = |name: &str| -> Result<Vec<f32>> { Ok(weights.get(name)?.flatten_all()?.to_vec1()?) };
        let rows = |tables: &Tables| -> Result<[Rows; 2]> {
            let width = tables.width.max(1);
            Ok([Rows { values: values(tables.user)?, width }, Rows { values: values(tables.item)?, width }])
        };
        let layers = |perceptron: &Perceptron| -> Result<Vec<Dense>> {
            let dense = |layer: &crate::model::tower::Layer| {
                Ok(Dense { weight: values(&layer.weight)?, bias: values(&layer.bias)? })
            };
            perceptron.layers.iter().map(dense).collect()
        };
        let product = tower.product.as_ref().map(rows).transpose()?;
        let perceptron = match &tower.perceptron {
            Some(perceptron) => Some((rows(&perceptron.tables)?, layers(perceptron)?)),
            None => None,
        };
        let (head, bias) = match &tower.head {
            Head::Sum => (vec![1.0; tower.width()], 0.0),
            Head::Linear { weight, bias } => {
                let bias = bias.map(values).transpose()?.unwrap_or_default();
                (values(weight)?, bias.iter().sum())
            }
        };
        let tables = product.as_ref().or(perceptron.as_ref().map(|(tables, _)| tables));
        let count = |side: usize| tables.map_or(0, |tables| tables[side].values.len() / tables[side].width);
        let (n_users, n_items) = (count(0), count(1));
        let item_bias = tower.item_bias.map(values).transpose()?;
        Ok(Self { n_users, n_items, product, perceptron, head, bias, item_bias })
    }

    fn score(&self, user: u32, item: u32, scratch: &mut [Vec<f32>; 2]) -> scorer::Result<f32> {
        let mut sum = 0.0;
        let mut head = self.head.as_slice();
        if let Some([users, items]) = &self.product {
            let (own, rest) = head.split_at(users.width);
            let pairs = users.get("user", user)?.iter().zip(items.get("item", item)?);
            sum += own.iter().zip(pairs).map(|(h, (p, q))| h * (p * q)).sum::<f32>();
            head = rest;
        }
        if let Some(([users, items], layers)) = &self.perceptron {
            let [x, y] = scratch;
            x.clear();
            x.extend_from_slice(users.get("user", user)?);
            x.extend_from_slice(items.get("item", item)?);
            for Dense { weight, bias } in layers {
                y.clear();
                y.extend(weight.chunks_exact(x.len()).zip(bias).map(|(row, bias)| {
                    let sum: f32 = row.iter().zip(x.iter()).map(|(w, x)| w * x).sum();
                    (sum + bias).max(0.0)
                }));
                std::mem::swap(x, y);
            }
            sum += head.iter().zip(x.iter()).map(|(h, x)| h * x).sum::<f32>();
        }
        let own = self.item_bias.as_ref().and_then(|bias| bias.get(item as usize)).copied();
        Ok(sum + self.bias + own.unwrap_or(0.0))
    }
}

impl Scorer for TowerScorer {
    fn n_users(&self) -> usize {
        self.n_users
    }

    fn n_items(&self) -> usize {
        self.n_items
    }

    fn score_user(&self, user: u32, items: &[u32], out: &mut [f32]) -> scorer::Result<()> {
        let mut scratch = [Vec::new(), Vec::new()];
        for (score, &item) in out.iter_mut().zip(items) {
            *score = self.score(user, item, &mut scratch)?;
        }
        Ok(())
    }
}
