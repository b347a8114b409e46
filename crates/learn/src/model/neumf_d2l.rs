//! The variant of NeuMF in "Dive into Deep Learning".

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::tower::{Head, Tables, Tower};
use crate::model::{Family, Refused, widths};

/// Neural matrix factorisation as in "Dive into Deep Learning" (Zhang et al. 2023, section 21.6): embeddings of one
/// length in both parts, no bias at the output, and all weights drawn from N(0, 0.01²):
///
/// ```python
/// self.P, self.Q = nn.Embedding(n_users, factors), nn.Embedding(n_items, factors)
/// self.U, self.V = nn.Embedding(n_users, factors), nn.Embedding(n_items, factors)
/// self.mlp = nn.Sequential(*[m for i, o in widths for m in (nn.Linear(i, o), nn.ReLU())])
/// self.prediction_layer = nn.Linear(factors + hidden[-1], 1, bias=False)
/// gmf, mlp = self.P(u) * self.Q(i), self.mlp(torch.cat([self.U(u), self.V(i)], dim=1))
/// return self.prediction_layer(torch.cat([gmf, mlp], dim=1))
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeuMfD2l {
    /// The length of all embeddings.
    #[serde(default = "default_factors")]
    #[schemars(range(min = 1, max = 65_536))]
    pub factors: u32,
    /// The widths of the layers, first to last.
    #[serde(default = "default_hidden")]
    pub hidden: Vec<u32>,
}

fn default_factors() -> u32 {
    10
}

fn default_hidden() -> Vec<u32> {
    vec![10, 10, 10]
}

impl Family for NeuMfD2l {
    fn name(&self) -> &'static str {
        "NeuMF (D2L)"
    }

    fn normalise(&mut self) -> Result<(), Refused> {
        widths::check("factors", self.factors)?;
        widths::resolve(self.factors, None, Some(self.hidden.clone()), Some(self.factors)).map(drop)
    }

    fn tower(&self) -> Tower {
        let width = self.factors as usize;
        let tables = Tables { user: "U.weight", item: "V.weight", width };
        Tower {
            product: Some(Tables { user: "P.weight", item: "Q.weight", width }),
            perceptron: Some(widths::perceptron(tables, &self.hidden, 0.0, |number| format!("mlp.{}", 2 * number))),
            head: Head::Linear { weight: "prediction_layer.weight", bias: None },
            item_bias: None,
            normal_init: true,
        }
    }
}
