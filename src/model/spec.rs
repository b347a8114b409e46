//! The closed set of models, and what each of them has to say of itself.

use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::scorer::Scorer;
use crate::model::{Catalogue, Error, Gmf, Parameter, Refused, Result, Weights};

/// What a model is: its parameters, and the way from ids to logits.
pub trait Architecture {
    /// Its name in the literature.
    fn name(&self) -> &'static str;

    /// Refuses hyper-parameters that make no model.
    ///
    /// # Errors
    /// Names the hyper-parameter.
    fn check(&self) -> Result<(), Refused>;

    /// The tensors that it learns, in the order in which PyTorch's module declares them.
    fn parameters(&self, catalogue: Catalogue) -> Vec<Parameter>;

    /// The logits of a batch of pairs, `[batch]`, from ids of type U32, `[batch]` each. Differentiable.
    ///
    /// # Errors
    /// When a weight is missing or the tensor library fails, for example at an id outside of the catalogue.
    fn logits(&self, weights: &Weights, users: &Tensor, items: &Tensor) -> Result<Tensor>;

    /// A form of the model that scores fast. It takes weights of type F32 and keeps a copy.
    ///
    /// # Errors
    /// When a weight is missing or the tensor library fails.
    fn scorer(&self, weights: &Weights) -> Result<Box<dyn Scorer + Send + Sync>>;
}

/// A model and its hyper-parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelSpec {
    /// Generalised matrix factorisation.
    Gmf(Gmf),
}

impl std::ops::Deref for ModelSpec {
    type Target = dyn Architecture;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Gmf(model) => model,
        }
    }
}

/// All that is needed, beside the weights, to use a trained model again: the content of `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The model and its hyper-parameters.
    pub model: ModelSpec,
    /// The number of users that it was built for.
    pub n_users: u32,
    /// The number of items that it was built for.
    pub n_items: u32,
}

impl Config {
    /// The users and items that the model was built for.
    pub fn catalogue(&self) -> Catalogue {
        Catalogue { n_users: self.n_users, n_items: self.n_items }
    }

    /// Compact JSON.
    pub fn to_json(&self) -> String {
        // A plain struct with string keys and finite numbers always has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads `config.json` and refuses hyper-parameters that make no model.
    ///
    /// # Errors
    /// When the bytes are not such JSON.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let config: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::new(format!("not a usable model configuration: {error}")))?;
        config.model.check().map_err(|Refused { field, message }| {
            Error::new(format!("not a usable model configuration: `{field}` {message}"))
        })?;
        for parameter in config.model.parameters(config.catalogue()) {
            parameter.count()?;
        }
        Ok(config)
    }
}
