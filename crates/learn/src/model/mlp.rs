//! The multi-layer perceptron of neural collaborative filtering.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::tower::{Head, Perceptron, Tables, Tower};
use crate::model::{Family, Refused, widths};

/// The number of factors of the paper's experiments that are compared most.
pub(super) const FACTORS: u32 = 32;

/// A multi-layer perceptron over the concatenated embeddings (He et al. 2017, eq. 10), with ReLU after each layer:
///
/// ```python
/// self.embed_user_MLP = nn.Embedding(n_users, embedding)
/// self.embed_item_MLP = nn.Embedding(n_items, embedding)
/// self.MLP_layers = nn.Sequential(*[m for i, o in widths for m in (nn.Dropout(dropout), nn.Linear(i, o), nn.ReLU())])
/// self.predict_layer = nn.Linear(hidden[-1], 1)
/// return self.predict_layer(self.MLP_layers(torch.cat((u, v), -1))).view(-1)
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mlp {
    /// The width of the last layer, 32 by default; the one before is twice as wide, and so on. Not beside `hidden`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub factors: Option<u32>,
    /// The number of layers, 3 by default. Not beside `hidden`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 17))]
    pub layers: Option<u32>,
    /// The widths of the layers, first to last, in place of `factors` and `layers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<u32>>,
    /// The length of the embeddings; by default the width of the first layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub embedding: Option<u32>,
    /// The probability with which an input of a layer is dropped in training.
    #[serde(default)]
    pub dropout: f64,
}

impl Family for Mlp {
    fn name(&self) -> &'static str {
        "MLP"
    }

    fn normalise(&mut self) -> Result<(), Refused> {
        if self.factors.is_some() && self.hidden.is_some() {
            let message = "cannot be given beside `hidden`, whose last width it is".to_owned();
            return Err(Refused { field: "factors", message });
        }
        let factors = self.factors.take().unwrap_or(FACTORS);
        widths::check("factors", factors)?;
        widths::check_dropout(self.dropout)?;
        let (hidden, embedding) = widths::resolve(factors, self.layers.take(), self.hidden.take(), self.embedding)?;
        (self.hidden, self.embedding) = (Some(hidden), Some(embedding));
        Ok(())
    }

    fn tower(&self) -> Tower {
        Tower {
            product: None,
            perceptron: Some(perceptron(self.hidden.as_deref(), self.embedding, self.dropout)),
            head: Head::Linear { weight: "predict_layer.weight", bias: Some("predict_layer.bias") },
            item_bias: None,
            normal_init: false,
        }
    }
}

/// The perceptron of MLP and NeuMF, under the names of the reference implementation: its layers are every third module
/// of a `Sequential` of dropout, linear layer and ReLU.
pub(super) fn perceptron(hidden: Option<&[u32]>, embedding: Option<u32>, dropout: f64) -> Perceptron {
    let hidden = hidden.unwrap_or_default();
    let width = embedding.or(hidden.first().copied()).unwrap_or(FACTORS) as usize;
    let tables = Tables { user: "embed_user_MLP.weight", item: "embed_item_MLP.weight", width };
    widths::perceptron(tables, hidden, dropout, |number| format!("MLP_layers.{}", 3 * number + 1))
}
