//! The settings of a training run.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::loss::LossSpec;
use crate::model::{ModelSpec, Refused};
use crate::train::Schedule;
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
    /// How the learning rate changes in the course of training.
    #[serde(default)]
    pub schedule: Schedule,
    /// How many times every positive is seen. When it is raised, training goes on from where it had ended.
    #[serde(default = "default_epochs")]
    #[schemars(range(min = 1))]
    pub epochs: u32,
    /// The number of samples of a step, positives and negatives together; for a pairwise loss the number of pairs.
    #[serde(default = "default_batch_size")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub batch_size: u32,
    /// How many negatives are drawn for each positive: 4 by default, 1 for a pairwise loss.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "at_least_one")]
    #[schemars(range(min = 1, max = 1000))]
    pub negatives: u32,
    /// How negatives are drawn.
    #[serde(default)]
    pub sampling: Sampling,
    /// Which of a user's positives are never drawn as negatives.
    #[serde(default)]
    pub exclude: Exclude,
    /// When and how the model is judged in between. Takes place where the split has validation rows.
    #[serde(default)]
    pub validation: Validation,
    /// The share of GMF where NeuMF begins with the weights of a trained GMF and a trained MLP, connected as `gmf` and
    /// `mlp`: its output weights are those of GMF times alpha beside those of the MLP times 1 − alpha (He et al. 2017,
    /// eq. 13); 0.5 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub pretrained_alpha: Option<f64>,
    /// What computes the steps. Not part of what is stored: all engines do the same mathematics.
    #[serde(default, skip_serializing)]
    pub engine: EngineChoice,
}

/// What computes training steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineChoice {
    /// The fastest that knows the model.
    #[default]
    Auto,
    /// candle's automatic differentiation with dense optimizers. Knows all models.
    Reference,
    /// Forward and backward pass in one, with sparse updates that equal dense ones. Knows all models but CDAE.
    Fused,
}

/// How negatives are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Whether they are drawn anew in each epoch, or once.
    pub redraw: bool,
    /// How likely each item is.
    pub distribution: Distribution,
    /// The exponent of popularity; 0.75 by default, and only with `distribution: popularity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16))]
    pub alpha: Option<f64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { redraw: true, distribution: Distribution::Uniform, alpha: None }
    }
}

/// How likely each item is to be drawn as a negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// All alike.
    #[default]
    Uniform,
    /// In proportion to max(training positives, 1) ^ alpha.
    Popularity,
}

/// The exponent of word2vec's negative sampling (Mikolov et al. 2013).
pub(super) const ALPHA: f64 = 0.75;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Zero stands for what is not given.
fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(D::Error::custom("must be between 1 and 1000, not 0")),
        n => Ok(n),
    }
}

fn default_epochs() -> u32 {
    20
}

fn default_batch_size() -> u32 {
    256
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

/// When and how the model is judged in between, and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Validation {
    /// How many epochs lie between two validations, 1 by default; the end of training is always validated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub every_epochs: Option<u32>,
    /// How many steps lie between two validations, in place of `every_epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub every_steps: Option<u64>,
    /// By what the model is judged: `loss`, on the validation positives, each with as many negatives as in training,
    /// drawn once; or a ranking metric such as `ndcg@10`, for validation positives ranked among all items that the user
    /// has not in training, or among the candidates that are connected as `candidates`.
    pub metric: Criterion,
    /// The part of the split by which the model is judged, `valid` by default. With `test`, the epoch is chosen by what
    /// should only judge it, as in many published experiments (He et al. 2017 among them), and the figures are better
    /// than they would be for new data: the model, its metrics and the tables say so.
    #[serde(skip_serializing_if = "Part::is_valid")]
    pub on: Part,
    /// After how many validations in a row without a better value training stops; without it, never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub patience: Option<u32>,
    /// Which weights are the result.
    pub keep: Keep,
}

impl Validation {
    /// Whether it decides which weights are the result.
    pub fn chooses(&self) -> bool {
        self.keep == Keep::Best || self.patience.is_some()
    }
}

/// A held-out part of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The validation part.
    #[default]
    Valid,
    /// The test part.
    Test,
}

impl Part {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    fn is_valid(&self) -> bool {
        *self == Self::Valid
    }
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            every_epochs: None,
            every_steps: None,
            metric: Criterion::Loss,
            on: Part::Valid,
            patience: None,
            keep: Keep::Last,
        }
    }
}

/// By what a model is judged in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Criterion {
    /// The loss on the validation samples: the smaller, the better.
    Loss,
    /// A ranking metric of this name: the larger, the better.
    Metric(String),
}

impl From<String> for Criterion {
    fn from(name: String) -> Self {
        if name == "loss" { Self::Loss } else { Self::Metric(name) }
    }
}

impl From<Criterion> for String {
    fn from(criterion: Criterion) -> Self {
        match criterion {
            Criterion::Loss => "loss".to_owned(),
            Criterion::Metric(name) => name,
        }
    }
}

/// Which weights are the result of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those of the best validation; the first of equally good ones.
    Best,
    /// Those at the end of training.
    Last,
}

impl Recipe {
    /// The settings of the paper for a model (He et al. 2017, section 4.1), normalised.
    ///
    /// # Errors
    /// See [`Recipe::normalise`].
    pub fn of(model: ModelSpec) -> Result<Self, (String, String)> {
        let mut recipe = Self {
            model,
            loss: LossSpec::default(),
            optimizer: OptimizerSpec::default(),
            schedule: Schedule::default(),
            epochs: default_epochs(),
            batch_size: default_batch_size(),
            negatives: 0,
            sampling: Sampling::default(),
            exclude: Exclude::default(),
            validation: Validation::default(),
            pretrained_alpha: None,
            engine: EngineChoice::default(),
        };
        recipe.normalise()?;
        Ok(recipe)
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
        self.schedule.check().map_err(below("schedule"))?;
        let refused = |path: &str, message: String| Err((path.to_owned(), message));
        match (self.sampling.distribution, self.sampling.alpha) {
            (Distribution::Uniform, Some(_)) => {
                return refused("sampling.alpha", "has a meaning only with `distribution: popularity`".to_owned());
            }
            (Distribution::Popularity, None) => self.sampling.alpha = Some(ALPHA),
            (Distribution::Popularity, Some(alpha)) if !(0.0..=16.0).contains(&alpha) => {
                return refused("sampling.alpha", format!("must be between 0 and 16, not {alpha}"));
            }
            _ => {}
        }
        if self.negatives == 0 {
            self.negatives = if self.loss.is_pairwise() { 1 } else { 4 };
        }
        let validation = &mut self.validation;
        if validation.every_epochs.is_some() && validation.every_steps.is_some() {
            return refused("validation.every_steps", "cannot be given beside `every_epochs`".to_owned());
        }
        if validation.every_steps.is_none() {
            validation.every_epochs.get_or_insert(1);
        }
        if let Some(alpha) = self.pretrained_alpha.filter(|alpha| !(0.0..=1.0).contains(alpha)) {
            return refused("pretrained_alpha", format!("must be between 0 and 1, not {alpha}"));
        }
        if self.engine == EngineChoice::Fused && self.model.tower().is_none() {
            let message = format!("`fused` does not know {}; use `auto` or `reference`", self.model.name());
            return refused("engine", message);
        }
        let counts = [
            ("epochs", u64::from(self.epochs), u64::from(u32::MAX - 2)),
            ("batch_size", u64::from(self.batch_size), 1 << 24),
            ("negatives", u64::from(self.negatives), 1000),
            ("validation.every_epochs", u64::from(validation.every_epochs.unwrap_or(1)), u64::from(u32::MAX)),
            ("validation.every_steps", validation.every_steps.unwrap_or(1), u64::MAX),
            ("validation.patience", u64::from(validation.patience.unwrap_or(1)), u64::from(u32::MAX)),
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
        let mut recipe = parse(r#"{"model":{"kind":"gmf"}}"#).unwrap();
        assert_eq!(recipe.normalise(), Ok(()));
        assert_eq!(
            serde_json::to_value(&recipe).unwrap(),
            serde_json::json!({
                "model": {"kind": "gmf", "factors": 32},
                "loss": {"kind": "bce"},
                "optimizer": {
                    "kind": "adam", "learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "l2": 0.0
                },
                "schedule": {"warmup_steps": 0, "decay": {"kind": "constant"}},
                "epochs": 20, "batch_size": 256, "negatives": 4,
                "sampling": {"redraw": true, "distribution": "uniform"}, "exclude": "train",
                "validation": {"every_epochs": 1, "metric": "loss", "keep": "last"},
            })
        );
        assert_eq!(parse(&serde_json::to_string(&recipe).unwrap()).unwrap(), recipe);
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
            r#"{"model":{"kind":"gmf"},"negatives":0}"#,
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
            ("optimizer.weight_decay", r#"{"model":{"kind":"gmf"},"optimizer":{"kind":"adamw","weight_decay":1000}}"#),
            ("optimizer.l2", r#"{"model":{"kind":"gmf"},"optimizer":{"kind":"adam","l2":-1}}"#),
            ("epochs", r#"{"model":{"kind":"gmf"},"epochs":0}"#),
            ("batch_size", r#"{"model":{"kind":"gmf"},"batch_size":0}"#),
            ("negatives", r#"{"model":{"kind":"gmf"},"negatives":1001}"#),
            ("validation.every_epochs", r#"{"model":{"kind":"gmf"},"validation":{"every_epochs":0}}"#),
            ("validation.every_steps", r#"{"model":{"kind":"gmf"},"validation":{"every_steps":0}}"#),
            ("validation.every_steps", r#"{"model":{"kind":"gmf"},"validation":{"every_steps":1,"every_epochs":1}}"#),
            ("sampling.alpha", r#"{"model":{"kind":"gmf"},"sampling":{"alpha":1}}"#),
            ("sampling.alpha", r#"{"model":{"kind":"gmf"},"sampling":{"distribution":"popularity","alpha":17}}"#),
            (
                "schedule.decay.every",
                r#"{"model":{"kind":"gmf"},"schedule":{"decay":{"kind":"step","every":0,"factor":1}}}"#,
            ),
            ("loss.gamma", r#"{"model":{"kind":"gmf"},"loss":{"kind":"focal","gamma":-1}}"#),
            ("model.hidden", r#"{"model":{"kind":"neumf","hidden":[]}}"#),
            ("pretrained_alpha", r#"{"model":{"kind":"neumf"},"pretrained_alpha":2}"#),
            ("engine", r#"{"model":{"kind":"cdae"},"engine":"fused"}"#),
            ("validation.patience", r#"{"model":{"kind":"gmf"},"validation":{"patience":0}}"#),
        ] {
            assert_eq!(parse(text).unwrap().normalise().unwrap_err().0, path);
        }
    }
}
