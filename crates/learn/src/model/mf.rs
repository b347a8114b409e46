//! Matrix factorisation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::mlp::FACTORS;
use crate::model::tower::{Head, Tables, Tower};
use crate::model::{Family, Refused, widths};

/// Matrix factorisation: `p_u · q_i + b_i`. With the loss `bpr` it is BPR-MF (Rendle et al. 2009, section 4.3.1); with
/// a pointwise loss it is the tuned dot product that Rendle et al. (2020) compare NeuMF with.
///
/// ```python
/// self.user_factors, self.item_factors = nn.Embedding(n_users, factors), nn.Embedding(n_items, factors)
/// self.item_bias = nn.Embedding(n_items, 1)
/// return (self.user_factors(u) * self.item_factors(i)).sum(-1) + self.item_bias(i).squeeze(-1)
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mf {
    /// The length of the embeddings.
    #[serde(default = "default_factors")]
    #[schemars(range(min = 1, max = 65_536))]
    pub factors: u32,
    /// Whether each item has a bias.
    #[serde(default = "default_bias")]
    pub item_bias: bool,
}

fn default_factors() -> u32 {
    FACTORS
}

fn default_bias() -> bool {
    true
}

impl Family for Mf {
    fn name(&self) -> &'static str {
        "MF"
    }

    fn normalise(&mut self) -> Result<(), Refused> {
        widths::check("factors", self.factors)
    }

    fn tower(&self) -> Tower {
        let width = self.factors as usize;
        Tower {
            product: Some(Tables { user: "user_factors.weight", item: "item_factors.weight", width }),
            perceptron: None,
            head: Head::Sum,
            item_bias: self.item_bias.then_some("item_bias.weight"),
            normal_init: false,
        }
    }
}
