//! A model: weights that PyTorch can load, what is needed to use them again, and how training went.

use polars::prelude::{Column, IntoColumn, NamedFrom, Series};
use serde::{Deserialize, Serialize};

use crate::artifacts::frames::save;
use crate::artifacts::split::Split;
use crate::data::csr::Csr;
use crate::data::frame::{self, FrameMeta};
use crate::model::scorer::Scorer;
use crate::model::{self, Config, Summary, Weights};
use crate::stage::{Artifact, ArtifactDir, Context, Fault, FileSpec, Result};

/// The weights.
const WEIGHTS: &str = "model.safetensors";
/// Model, hyper-parameters, and the numbers of users and items.
const CONFIG: &str = "config.json";
/// Layers, shapes and parameter counts.
const SUMMARY: &str = "model.json";
/// Which rows the model has seen, and by which others it was chosen.
const TRAINED_ON: &str = "trained_on.json";
/// A row for each epoch and each validation, if the model was made by epochs.
const HISTORY: &str = "history.parquet";
/// What the loss did with noise, where that is known.
const DENOISING: &str = "denoising.parquet";

/// A trained model.
#[derive(Debug, Clone)]
pub struct Model {
    /// What is needed, beside the weights, to use the model.
    pub config: Config,
    /// Its weights, of type F32.
    pub weights: Weights,
    /// The digest of the training rows that it has seen, where that is known: see [`Split::train_digest`].
    pub trained_on: Option<String>,
    /// The part of the split that should only judge the model, and by which its epoch was chosen all the same: `test`.
    pub chosen_on: Option<String>,
    /// The digest of the training rows of the model that it began with, if they are others than its own.
    pub begun_on: Option<String>,
}

/// The content of `trained_on.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainedOn {
    train_digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chosen_on: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun_on: Option<String>,
}

/// The content of `history.parquet`, a row for each epoch and each validation: `epoch` (Int32, from 1), `step` (Int64),
/// `train_loss` (Float64, the mean over the samples since the row before), `valid_loss` and, if validation goes by a
/// metric, `valid_<metric>` (Float64, null where nothing was validated). No times: the same training has the same bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The epoch that was going on or had just ended, counted from 1.
    pub epoch: Vec<i32>,
    /// The number of steps made by then.
    pub step: Vec<i64>,
    /// The mean training loss since the row before.
    pub train_loss: Vec<f64>,
    /// The mean validation loss.
    pub valid_loss: Vec<Option<f64>>,
    /// The name of the column and the values of the metric by which validation goes.
    pub valid_metric: Option<(String, Vec<Option<f64>>)>,
}

impl History {
    fn into_columns(self) -> Vec<Column> {
        let mut columns = vec![
            Series::new("epoch".into(), self.epoch).into_column(),
            Series::new("step".into(), self.step).into_column(),
            Series::new("train_loss".into(), self.train_loss).into_column(),
            Series::new("valid_loss".into(), self.valid_loss).into_column(),
        ];
        columns.extend(self.valid_metric.map(|(name, values)| Series::new(name.into(), values).into_column()));
        columns
    }
}

/// The content of `denoising.parquet`, a row for each epoch: what a loss did with the training positives, where it is
/// known which of them are noise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Denoising {
    /// Whole numbers, Int64: the name of each column and its values.
    pub counts: Vec<(&'static str, Vec<i64>)>,
    /// Shares and means, Float64, null where they are not defined.
    pub values: Vec<(&'static str, Vec<Option<f64>>)>,
}

impl Denoising {
    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(self, kind: &str, context: &Context<'_>) -> Result<()> {
        let rows = self.counts.first().map_or(0, |(_, values)| values.len());
        let epochs: Vec<i32> = (1..).take(rows).collect();
        let mut columns = vec![Series::new("epoch".into(), epochs).into_column()];
        columns.extend(self.counts.into_iter().map(|(name, values)| Series::new(name.into(), values).into_column()));
        columns.extend(self.values.into_iter().map(|(name, values)| Series::new(name.into(), values).into_column()));
        save(context, DENOISING, &frame::frame(rows, columns)?, &FrameMeta::of(kind))
    }
}

impl Model {
    /// Writes all files; without a history if nothing was done by epochs.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, history: History, kind: &str, context: &Context<'_>) -> Result<()> {
        let mut file = context.create(WEIGHTS)?;
        file.put(&self.weights.to_file(&self.config).map_err(|error| failed(WEIGHTS, error))?)?;
        file.finish()?;
        context.write_json(CONFIG, &self.config)?;
        context.write_json(SUMMARY, &Summary::of(&self.config).map_err(|error| failed(SUMMARY, error))?)?;
        if let Some(train_digest) = self.trained_on.clone() {
            let (chosen_on, begun_on) = (self.chosen_on.clone(), self.begun_on.clone());
            context.write_json(TRAINED_ON, &TrainedOn { train_digest, chosen_on, begun_on })?;
        }
        if history.train_loss.is_empty() {
            return Ok(());
        }
        let meta = FrameMeta::of(kind).sized(self.config.n_users as usize, self.config.n_items as usize);
        save(context, HISTORY, &frame::frame(history.train_loss.len(), history.into_columns())?, &meta)
    }

    /// Refuses to be judged on a split that it was not trained on: its training rows may be what is held out there.
    ///
    /// # Errors
    /// When the training rows are known to be others than those of the split.
    pub fn check_split(&self, split: &Split) -> Result<()> {
        if self.trained_on.as_deref().is_none_or(|digest| digest == split.train_digest()) {
            return Ok(());
        }
        Err(Fault::data("the model was trained on other rows than those of the connected split").help(
            "connect the split that the model was trained on, or a part of it by `extra_feedback`: else it may have \
                 seen what is held out here",
        ))
    }

    /// A form of the model that scores fast. `train` is what users have in training, for models that look at it.
    ///
    /// # Errors
    /// When the weights are not those of the model.
    pub fn scorer(&self, train: &Csr) -> Result<Box<dyn Scorer + Send + Sync>> {
        self.config
            .model
            .scorer(self.config.catalogue(), &self.weights, &Trained(train))
            .map_err(|error| failed(WEIGHTS, error))
    }
}

/// What users have in training, as models see it.
pub struct Trained<'a>(pub &'a Csr);

impl model::History for Trained<'_> {
    fn items(&self, user: u32) -> &[u32] {
        self.0.row(user)
    }
}

fn failed(file: &str, error: model::Error) -> Fault {
    let failed = Fault::failed(format!("`{file}`: {error}"));
    match error.help {
        Some(help) => failed.help(help),
        None => failed,
    }
}

impl Artifact for Model {
    const KIND: &'static str = "model";
    const FILES: &'static [FileSpec] = &[
        FileSpec::always(WEIGHTS),
        FileSpec::always(CONFIG),
        FileSpec::always(SUMMARY),
        FileSpec::maybe(HISTORY),
        FileSpec::maybe(TRAINED_ON),
        FileSpec::maybe(DENOISING),
    ];

    /// Reads configuration and weights, and refuses weights that are not those of the configuration.
    fn load(dir: &ArtifactDir) -> Result<Self> {
        let unusable = |file: &str, error: model::Error| {
            Fault::data(format!("`{file}` of stage `{}`: {error}", dir.producer))
                .help(format!("run it again with `--force {}`", dir.producer))
        };
        let config = Config::from_json(&dir.read(CONFIG)?).map_err(|error| unusable(CONFIG, error))?;
        let weights = Weights::from_file(&dir.read(WEIGHTS)?, &config).map_err(|error| unusable(WEIGHTS, error))?;
        let trained_on = dir.has(TRAINED_ON).then(|| dir.read(TRAINED_ON)).transpose()?;
        let trained_on = trained_on.map(|bytes| serde_json::from_slice::<TrainedOn>(&bytes)).transpose();
        let trained_on = trained_on.map_err(|error| {
            Fault::data(format!("`{TRAINED_ON}` of stage `{}`: {error}", dir.producer))
                .help(format!("run it again with `--force {}`", dir.producer))
        })?;
        let (trained_on, chosen_on, begun_on) =
            trained_on.map_or((None, None, None), |seen| (Some(seen.train_digest), seen.chosen_on, seen.begun_on));
        Ok(Self { config, weights, trained_on, chosen_on, begun_on })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::stage::{ContextParts, FileRef, Written};

    fn context(out: &Path) -> Context<'static> {
        Context::new(ContextParts::in_dir(out))
    }

    fn gmf() -> Model {
        let json = r#"{"model": {"kind": "gmf", "factors": 2}, "n_users": 3, "n_items": 4}"#;
        let config = Config::from_json(json.as_bytes()).unwrap();
        let tensors = config.model.parameters(config.catalogue()).into_iter().map(|parameter| {
            let ones = candle_core::Tensor::ones(parameter.shape, candle_core::DType::F32, &candle_core::Device::Cpu);
            (parameter.name, ones.unwrap())
        });
        Model {
            weights: Weights::from_tensors(tensors.collect()),
            config,
            trained_on: Some("ab".to_owned()),
            chosen_on: None,
            begun_on: None,
        }
    }

    fn written(out: &Path) -> ArtifactDir {
        let context = context(out);
        let history = History {
            epoch: vec![1, 2],
            step: vec![10, 20],
            train_loss: vec![0.5, 0.25],
            valid_loss: vec![None, Some(0.75)],
            valid_metric: Some(("valid_ndcg_10".to_owned(), vec![None, Some(0.1)])),
        };
        gmf().write(history, "train", &context).unwrap();
        ArtifactDir::written("train", out, context.into_results().0)
    }

    #[test]
    fn a_model_is_read_back_and_scores() {
        let out = tempfile::tempdir().unwrap();
        let dir = written(out.path());
        assert!(Model::FILES.iter().all(|file| dir.has(file.name) || file.name == DENOISING));
        let model = Model::load(&dir).unwrap();
        assert_eq!((&model.config, model.trained_on.as_deref()), (&gmf().config, Some("ab")));
        let scorer = model.scorer(&Csr::union(0, 0, &[]).unwrap()).unwrap();
        let mut scores = [0.0; 2];
        scorer.score_user(2, &[0, 3], &mut scores).unwrap();
        assert_eq!(scores, [3.0, 3.0]);
    }

    #[test]
    fn the_history_has_a_row_for_each_epoch_and_null_where_nothing_was_validated() {
        let out = tempfile::tempdir().unwrap();
        let bytes = written(out.path()).read(HISTORY).unwrap();
        let (frame, meta) = frame::read_parquet(bytes, None).unwrap();
        assert_eq!((meta.kind.as_str(), meta.n_users, meta.n_items), ("train", Some(3), Some(4)));
        let column = |name: &str| frame.column(name).unwrap().as_materialized_series().clone();
        assert_eq!(column("epoch").i32().unwrap().into_no_null_iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(column("train_loss").f64().unwrap().into_no_null_iter().collect::<Vec<_>>(), [0.5, 0.25]);
        assert_eq!(column("valid_loss").f64().unwrap().iter().collect::<Vec<_>>(), [None, Some(0.75)]);
        assert_eq!(column("valid_ndcg_10").f64().unwrap().iter().collect::<Vec<_>>(), [None, Some(0.1)]);
        assert_eq!(column("step").i64().unwrap().into_no_null_iter().collect::<Vec<_>>(), [10, 20]);
    }

    #[test]
    fn the_summary_lists_layers_and_counts() {
        let out = tempfile::tempdir().unwrap();
        let text = written(out.path()).read(SUMMARY).unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!((&summary["name"], &summary["parameters"]), (&"GMF".into(), &17.into()));
        assert_eq!(summary["layers"][1]["shape"], serde_json::json!([4, 2]));
    }

    #[test]
    fn weights_of_another_model_are_refused_with_the_stage_to_run_again() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut dir = written(one.path());
        let context = context(two.path());
        let mut other = gmf().config;
        other.n_items = 5;
        context.write_json(CONFIG, &other).unwrap();
        let Written { name, digest, size } = context.into_results().0.remove(0);
        dir.files.insert(name, FileRef { path: two.path().join(CONFIG), digest, size });
        let error = Model::load(&dir).unwrap_err();
        assert!(error.message.contains("`embed_item_GMF.weight` is f32 [4, 2] instead of f32 [5, 2]"), "{error}");
        assert!(error.help.unwrap().contains("--force train"));
    }
}
