//! The settings of a training run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::LossSpec;
use crate::model::{ModelSpec, Refused};
use crate::train::optimizer::OptimizerSpec;

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The model and its hyper-parameters.
    pub model: ModelSpec,
    /// The loss.
    #[serde(default)]
    pub loss: LossSpec,
    /// The optimizer.
    #[serde(default)]
    pub optimizer: OptimizerSpec,
    /// How many times every positive is seen.
    #[serde(default = "default_epochs")]
    #[schemars(range(min = 1))]
    pub epochs: u32,
    /// The number of samples of a step, positives and negatives together.
    #[serde(default = "default_batch_size")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub batch_size: u32,
    /// How many negatives are drawn for each positive; they are drawn anew in each epoch, uniformly over the items.
    #[serde(default = "default_negatives")]
    #[schemars(range(min = 1, max = 1000))]
    pub negatives: u32,
    /// Which of a user's positives are never drawn as negatives.
    #[serde(default)]
    pub exclude: Exclude,
    /// When and how the model is judged between epochs. Takes place where the split has validation rows.
    #[serde(default)]
    pub validation: Validation,
}

fn default_epochs() -> u32 {
    20
}

fn default_batch_size() -> u32 {
    256
}

fn default_negatives() -> u32 {
    4
}

/// Which of a user's positives are never drawn as negatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exclude {
    /// Those that the model is trained on: what is known at that time.
    #[default]
    Train,
    /// Those held out for validation and test as well.
    All,
}

/// When and how the model is judged between epochs, and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Validation {
    /// How many epochs lie between two validations; the last epoch is always validated.
    #[schemars(range(min = 1))]
    pub every_epochs: u32,
    /// By what the model is judged.
    pub metric: ValidationMetric,
    /// After how many validations in a row without a better value training stops; without it, never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub patience: Option<u32>,
    /// Which weights are the result.
    pub keep: Keep,
}

impl Default for Validation {
    fn default() -> Self {
        Self { every_epochs: 1, metric: ValidationMetric::Loss, patience: None, keep: Keep::Last }
    }
}

/// By what a model is judged between epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValidationMetric {
    /// The loss on the validation positives, each with as many negatives as in training, drawn once.
    Loss,
}

/// Which weights are the result of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those of the best validation; the first of equally good ones.
    Best,
    /// Those after the last epoch.
    Last,
}

impl Recipe {
    /// The settings of the paper for a model (He et al. 2017, section 4.1).
    pub fn of(model: ModelSpec) -> Self {
        Self {
            model,
            loss: LossSpec::default(),
            optimizer: OptimizerSpec::default(),
            epochs: default_epochs(),
            batch_size: default_batch_size(),
            negatives: default_negatives(),
            exclude: Exclude::default(),
            validation: Validation::default(),
        }
    }

    /// Writes out what follows from the settings that were given, and refuses settings that cannot work, with the path to
    /// the setting.
    ///
    /// # Errors
    /// The dotted path of the setting, and what is wrong with it.
    pub fn normalise(&mut self) -> Result<(), (String, String)> {
        let below = |prefix: &str| {
            let prefix = prefix.to_owned();
            move |refused: Refused| (format!("{prefix}.{}", refused.field), refused.message)
        };
        self.model.normalise().map_err(below("model"))?;
        self.loss.check().map_err(|refused| (format!("loss.{}", refused.field), refused.message))?;
        self.optimizer.check().map_err(below("optimizer"))?;
        let counts = [
            ("epochs", self.epochs, u32::MAX - 1),
            ("batch_size", self.batch_size, 1 << 24),
            ("negatives", self.negatives, 1000),
            ("validation.every_epochs", self.validation.every_epochs, u32::MAX),
            ("validation.patience", self.validation.patience.unwrap_or(1), u32::MAX),
        ];
        match counts.into_iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            Some((name, value, most)) => Err((name.to_owned(), format!("must be between 1 and {most}, not {value}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Recipe, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn defaults_are_those_of_the_paper_and_are_written_out() {
        let recipe = parse(r#"{"model":{"kind":"gmf"}}"#).unwrap();
        assert_eq!(
            serde_json::to_value(&recipe).unwrap(),
            serde_json::json!({
                "model": {"kind": "gmf", "factors": 32},
                "loss": {"kind": "bce"},
                "optimizer": {
                    "kind": "adam", "learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "l2": 0.0
                },
                "epochs": 20, "batch_size": 256, "negatives": 4, "exclude": "train",
                "validation": {"every_epochs": 1, "metric": "loss", "keep": "last"},
            })
        );
        assert_eq!(parse(&serde_json::to_string(&recipe).unwrap()).unwrap(), recipe);
        assert_eq!(recipe.clone().normalise(), Ok(()));
    }

    #[test]
    fn unknown_keys_and_kinds_are_refused() {
        for text in [
            "{}",
            r#"{"model":{"kind":"gmf"},"epoch":3}"#,
            r#"{"model":{"kind":"gmf","layers":3}}"#,
            r#"{"model":{"kind":"svd"}}"#,
            r#"{"model":{"kind":"gmf"},"optimizer":{"kind":"adam","lr":1}}"#,
            r#"{"model":{"kind":"gmf"},"validation":{"every":1}}"#,
            r#"{"model":{"kind":"gmf"},"exclude":"test"}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_named_by_their_path() {
        for (path, text) in [
            ("model.factors", r#"{"model":{"kind":"gmf","factors":0}}"#),
            ("optimizer.learning_rate", r#"{"model":{"kind":"gmf"},"optimizer":{"kind":"adam","learning_rate":0}}"#),
            ("optimizer.beta2", r#"{"model":{"kind":"gmf"},"optimizer":{"kind":"adam","beta2":1}}"#),
            ("optimizer.l2", r#"{"model":{"kind":"gmf"},"optimizer":{"kind":"adam","l2":-1}}"#),
            ("epochs", r#"{"model":{"kind":"gmf"},"epochs":0}"#),
            ("batch_size", r#"{"model":{"kind":"gmf"},"batch_size":0}"#),
            ("negatives", r#"{"model":{"kind":"gmf"},"negatives":1001}"#),
            ("validation.every_epochs", r#"{"model":{"kind":"gmf"},"validation":{"every_epochs":0}}"#),
            ("validation.patience", r#"{"model":{"kind":"gmf"},"validation":{"patience":0}}"#),
        ] {
            assert_eq!(parse(text).unwrap().normalise().unwrap_err().0, path);
        }
    }
}
