//! Neural matrix factorisation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::gmf;
use crate::model::mlp::{FACTORS, perceptron};
use crate::model::tower::{Head, Tower};
use crate::model::{Family, Refused, widths};

/// Neural matrix factorisation (He et al. 2017, eq. 12): GMF and MLP side by side, each with embeddings of its own, and
/// one linear layer over both:
///
/// ```python
/// gmf = self.embed_user_GMF(user) * self.embed_item_GMF(item)
/// mlp = self.MLP_layers(torch.cat((self.embed_user_MLP(user), self.embed_item_MLP(item)), -1))
/// return self.predict_layer(torch.cat((gmf, mlp), -1)).view(-1)
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeuMf {
    /// The length of the embeddings of GMF, and, without `hidden`, the width of the last layer of the MLP.
    #[serde(default = "default_factors")]
    #[schemars(range(min = 1, max = 65_536))]
    pub factors: u32,
    /// The number of layers of the MLP, 3 by default. Not beside `hidden`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 17))]
    pub layers: Option<u32>,
    /// The widths of the layers of the MLP, first to last, in place of `layers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<u32>>,
    /// The length of the embeddings of the MLP; by default the width of its first layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub embedding: Option<u32>,
    /// The probability with which an input of a layer is dropped in training.
    #[serde(default)]
    pub dropout: f64,
}

fn default_factors() -> u32 {
    FACTORS
}

impl Family for NeuMf {
    fn name(&self) -> &'static str {
        "NeuMF"
    }

    fn normalise(&mut self) -> Result<(), Refused> {
        widths::check("factors", self.factors)?;
        widths::check_dropout(self.dropout)?;
        let (layers, hidden) = (self.layers.take(), self.hidden.take());
        let (hidden, embedding) = widths::resolve(self.factors, layers, hidden, self.embedding)?;
        (self.hidden, self.embedding) = (Some(hidden), Some(embedding));
        Ok(())
    }

    fn tower(&self) -> Tower {
        Tower {
            product: Some(gmf::tables(self.factors)),
            perceptron: Some(perceptron(self.hidden.as_deref(), self.embedding, self.dropout)),
            head: Head::Linear { weight: "predict_layer.weight", bias: Some("predict_layer.bias") },
            item_bias: None,
            normal_init: false,
        }
    }
}
