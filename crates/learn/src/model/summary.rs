//! What `model.json` says: which layers a model has and how many parameters.

use serde::Serialize;

use crate::model::{Config, Result};

/// A learned tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Its name in PyTorch's `state_dict`.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// The number of its values.
    pub parameters: usize,
}

/// The layers of a model and their sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The name of the model in the literature.
    pub name: String,
    /// Its tensors, in the order of PyTorch's module.
    pub layers: Vec<Layer>,
    /// The number of all values.
    pub parameters: usize,
}

impl Summary {
    /// The summary of a model of this configuration.
    ///
    /// # Errors
    /// When the model is too large for any memory.
    pub fn of(config: &Config) -> Result<Self> {
        let layers = config
            .model
            .parameters(config.catalogue())
            .into_iter()
            .map(|p| Ok(Layer { parameters: p.count()?, name: p.name, shape: p.shape }))
            .collect::<Result<Vec<_>>>()?;
        let parameters = layers.iter().map(|layer| layer.parameters).sum();
        Ok(Self { name: config.model.name().to_owned(), layers, parameters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gmf, ModelSpec};

    #[test]
    fn the_summary_counts_every_parameter() {
        let config = Config { model: ModelSpec::Gmf(Gmf { factors: 32 }).into(), n_users: 942, n_items: 1447 };
        let summary = Summary::of(&config).unwrap();
        let layers: Vec<_> =
            summary.layers.iter().map(|l| (l.name.as_str(), l.shape.as_slice(), l.parameters)).collect();
        let expected: [(&str, &[usize], usize); 4] = [
            ("embed_user_GMF.weight", &[942, 32], 30_144),
            ("embed_item_GMF.weight", &[1447, 32], 46_304),
            ("predict_layer.weight", &[1, 32], 32),
            ("predict_layer.bias", &[1], 1),
        ];
        assert_eq!(layers, expected);
        assert_eq!(summary.parameters, 76_481);
    }

    #[test]
    fn a_model_too_large_for_any_memory_is_an_error() {
        let config = Config { model: ModelSpec::Gmf(Gmf { factors: u32::MAX }).into(), n_users: u32::MAX, n_items: 1 };
        assert!(Summary::of(&config).is_err());
    }
}
