//! The stage `train`: fits a model to the training part of a split by gradients.

mod judge;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::Cell;
use std::time::Instant;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::artifacts::model::{Denoising, History, Model};
use crate::artifacts::pool::Pool;
use crate::artifacts::split::{Pairs as Rows, Split};
use crate::data::csr::Csr;
use crate::eval;
use crate::metric::Measure;
use crate::model::{self, Catalogue, Config, ModelSpec, Weights};
use crate::stage::{Class, Context, Fault, Output, ParamError, Port, Result, Stage, space};
use crate::stages::device::Gpu;
use crate::stages::train::judge::Judge;
use crate::train::{
    self, Criterion, Data, DenoisingRecord, OnDevice, Outcome, Pairs, Part, Recipe, Sampling, Training, Watch,
};

/// The parameters of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Train(pub Recipe);

impl JsonSchema for Train {
    fn schema_name() -> Cow<'static, str> {
        Recipe::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Recipe::json_schema(generator)
    }
}

/// What connected models cannot be, and what to do. Refused before anything runs; a stage that is run by itself says the same.
const TWO_BEGINNINGS: (&str, &str) = (
    "models are connected in a way that says not what to begin with",
    "connect either `start`, or both `gmf` and `mlp`",
);
const ONLY_NEUMF: (&str, &str) =
    ("only a model of kind `neumf` begins with a `gmf` and an `mlp`", "connect one model of the same kind as `start`");

impl Stage for Train {
    const KIND: &'static str = "train";
    const ABOUT: &'static str = "fits a model to the training part of a split by gradients";
    const CHANGES: &'static [&'static str] = &[
        "first version",
        "the history has the step of each row",
        "losses by vectors: other last bits in the history, and now and then in the weights",
        "gradients of batches above 256 are summed in two halves: other last bits in the weights",
        "dropout draws other numbers; Adam adds squares of gradients in another order, CDAE its inputs",
        "a model that began with one of other rows says so",
        "a pool that was drawn for another split is refused",
        "gradients of h and of biases are summed by 32 samples: other last bits in the weights",
    ];
    const INPUTS: &'static [Port] = &[
        Port::one::<Split>("split"),
        Port::optional::<Pool>("pool"),
        Port::optional::<Model>("start"),
        Port::optional::<Model>("gmf"),
        Port::optional::<Model>("mlp"),
        Port::optional::<Pool>("candidates"),
    ];
    const OUTPUTS: &'static [Output] = &[Output::of::<Model>("model")];

    fn is_seeded(&self) -> bool {
        true
    }

    fn normalise(mut self) -> Result<Self, ParamError> {
        self.0.normalise().map_err(|(path, message)| ParamError::new(&path, message))?;
        if let Criterion::Metric(name) = &self.0.validation.metric
            && Measure::parse(name).is_none()
        {
            let message = format!("`{name}` is neither `loss` nor a metric");
            return Err(
                ParamError::new("validation.metric", message).help("use one such as `ndcg@10`, `hr@10` or `auc`")
            );
        }
        Ok(self)
    }

    fn check_inputs(&self, connected: &[&str]) -> Result<(), ParamError> {
        let [start, gmf, mlp, pool] = ["start", "gmf", "mlp", "pool"].map(|port| connected.contains(&port));
        if gmf != mlp || (start && gmf) {
            return Err(ParamError::new("model", TWO_BEGINNINGS.0).help(TWO_BEGINNINGS.1));
        }
        if gmf && !matches!(self.0.model, ModelSpec::NeuMf(_)) {
            return Err(ParamError::new("model", ONLY_NEUMF.0).help(ONLY_NEUMF.1));
        }
        if self.0.pretrained_alpha.is_some() && !gmf {
            return Err(ParamError::new("pretrained_alpha", "no models are connected as `gmf` and `mlp`")
                .help("connect them, `inputs: {gmf: STAGE, mlp: STAGE}`, or leave `pretrained_alpha` out"));
        }
        if pool && self.0.sampling != Sampling::default() {
            return Err(ParamError::new("sampling", "the negatives are those of the connected `pool`, drawn already")
                .help("leave `sampling` out, or set it where the pool is drawn, or disconnect `pool`"));
        }
        Ok(())
    }

    /// A run that is made longer goes on where the shorter one ended.
    fn continues(&self) -> Option<Self> {
        (!self.0.schedule.needs_end()).then(|| Self(Recipe { epochs: 1, ..self.0.clone() }))
    }

    fn effort(&self) -> f64 {
        f64::from(self.0.epochs)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let split: Split = context.input("split")?;
        let recipe = &self.0;
        let catalogue = Catalogue { n_users: split.n_users, n_items: split.n_items };
        let Catalogue { n_users, n_items } = catalogue;
        context.memory().check(
            train::bytes_needed(recipe, catalogue, split.train.users.len()),
            &format!("training {} with {n_users} users and {n_items} items", recipe.model.name()),
            "use fewer `factors`, keep fewer users and items (`filter`), use `optimizer: {kind: sgd}`, which remembers \
             nothing, or give it more memory (`run --memory`)",
        )?;
        let Beginning { weights: start, chosen_on: start_chosen_on, begun_on } = beginning(recipe, &split, context)?;
        let judge = Judge::new(recipe, &split, context)?;
        let clean = if recipe.loss.is_denoising() { split.train_clean()? } else { None };
        let pool = pool(&split, &judge.train, context)?;
        let data = Data {
            catalogue,
            train: Pairs { users: &split.train.users, items: &split.train.items },
            valid: pairs(judge.part),
            test: pairs(if recipe.validation.on == Part::Valid { &split.test } else { &split.valid }),
            clean: clean.as_deref(),
            pool: pool.as_ref().map(|(users, items)| Pairs { users, items }),
        };
        let chosen_on = (recipe.validation.on == Part::Test && recipe.validation.chooses()).then(|| "test".to_owned());
        let chosen_on = chosen_on.or(start_chosen_on);
        let started = Instant::now();
        let gpu = Gpu::of(context);
        let outcome = fit(recipe, &judge, data, start.as_ref(), gpu.as_ref(), context)?;
        note(&outcome, started.elapsed().as_secs_f64(), context);
        if outcome.missing_negatives > 0 {
            context.warn(missing(recipe, outcome.missing_negatives, &data, context));
        }
        if let (Some(gpu), Some(name)) = (&gpu, &outcome.gpu) {
            gpu.note(name, context);
        }
        if !outcome.denoising.is_empty() {
            denoising(&outcome.denoising).write(Self::KIND, context)?;
        }
        let history = history(recipe, &outcome);
        let Catalogue { n_users, n_items } = data.catalogue;
        let config = Config { model: recipe.model.clone().into(), n_users, n_items };
        let trained_on = Some(split.train_digest().to_owned());
        Model { config, weights: outcome.weights, trained_on, chosen_on, begun_on }.write(history, Self::KIND, context)
    }
}

fn pairs(rows: &Rows) -> Pairs<'_> {
    Pairs { users: &rows.users, items: &rows.items }
}

/// What training begins with.
#[derive(Default)]
struct Beginning {
    /// Those of models that are connected.
    weights: Option<Weights>,
    /// The part of the split by which one of those was chosen that is not for it.
    chosen_on: Option<String>,
    /// The digest of the rows of one of those, if they are others than those of the split.
    begun_on: Option<String>,
}

fn beginning(recipe: &Recipe, split: &Split, context: &Context<'_>) -> Result<Beginning> {
    let start: Option<Model> = context.optional("start")?;
    let (gmf, mlp): (Option<Model>, Option<Model>) = (context.optional("gmf")?, context.optional("mlp")?);
    let fits = |name: &str, model: &Model| {
        if (model.config.n_users, model.config.n_items) == (split.n_users, split.n_items) {
            if model.trained_on.as_deref().is_some_and(|digest| digest != split.train_digest()) {
                context.warn(format!(
                    "the model connected as `{name}` was trained on other rows than the training part of this split: if those \
                     are of other ids, it begins with what it knows of others; if the held-out rows are among them, the \
                     figures are better than for new data"
                ));
            }
            return Ok(());
        }
        Err(Fault::data(format!("the model connected as `{name}` has other numbers of users or items than the split"))
            .help("connect a model that was trained on the same ids"))
    };
    match (start, gmf, mlp) {
        (None, None, None) => Ok(Beginning::default()),
        (Some(start), None, None) => {
            fits("start", &start)?;
            if start.config.model != recipe.model.clone().into() {
                let found = serde_json::to_string(&start.config.model).unwrap_or_default();
                return Err(Fault::data(format!("the model connected as `start` is {found}, which is another model"))
                    .help("give this stage the same `model`"));
            }
            let begun_on = elsewhere(&start, split);
            Ok(Beginning { weights: Some(start.weights), chosen_on: start.chosen_on, begun_on })
        }
        (None, Some(gmf), Some(mlp)) => {
            fits("gmf", &gmf)?;
            fits("mlp", &mlp)?;
            let ModelSpec::NeuMf(neumf) = &recipe.model else {
                return Err(Fault::data(ONLY_NEUMF.0).help(ONLY_NEUMF.1));
            };
            let parts = [(&gmf.config, &gmf.weights), (&mlp.config, &mlp.weights)];
            let weights = model::pretrained(neumf, parts, recipe.pretrained_alpha.unwrap_or(0.5));
            let weights = weights.map_err(|error| {
                let help = error.help.clone().unwrap_or_default();
                Fault::data(&error).help(help)
            })?;
            let begun_on = elsewhere(&gmf, split).or_else(|| elsewhere(&mlp, split));
            Ok(Beginning { weights: Some(weights), chosen_on: gmf.chosen_on.or(mlp.chosen_on), begun_on })
        }
        _ => Err(Fault::data(TWO_BEGINNINGS.0).help(TWO_BEGINNINGS.1)),
    }
}

/// The digest of rows that the model, or the one that it began with, was trained on, if they are not those of the split.
fn elsewhere(model: &Model, split: &Split) -> Option<String> {
    let mut known = model.trained_on.iter().chain(&model.begun_on);
    known.find(|digest| digest.as_str() != split.train_digest()).cloned()
}

/// The training negatives of the pool, if one is connected.
fn pool(split: &Split, train: &Csr, context: &Context<'_>) -> Result<Option<(Vec<u32>, Vec<u32>)>> {
    let Some(pool) = context.inputs("pool").first() else { return Ok(None) };
    let negatives = Pool::training(&pool.dir, split, train)?;
    negatives.map(Some).ok_or_else(|| {
        Fault::data(format!("the pool of stage `{}` has no training negatives", pool.stage))
            .help("add `train: {negatives: 4}` to that stage, or leave `pool` out to draw them in each epoch")
    })
}

fn fit(
    recipe: &Recipe,
    judge: &Judge<'_>,
    data: Data<'_>,
    start: Option<&Weights>,
    gpu: Option<&Gpu>,
    context: &Context<'_>,
) -> Result<Outcome> {
    let progress = context.progress();
    let metric = match &recipe.validation.metric {
        Criterion::Metric(name) => format!("valid_{name}"),
        Criterion::Loss => String::new(),
    };
    let watch = Watch {
        start: &|total, done| {
            progress.start(Some(total), "samples");
            progress.advance(done);
        },
        advance: &|samples| progress.advance(samples),
        remark: &|text| progress.remark(text),
        record: &|record| {
            let values = [
                ("train_loss", Some(record.train_loss)),
                ("valid_loss", record.valid_loss),
                (&*metric, record.valid_metric),
            ];
            let values: Vec<(&str, f64)> = values.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
            progress.point(record.step, &values);
        },
        cancelled: &|| context.cancel().is_cancelled(),
        saves: &|| context.cancel().saves(),
    };
    // The full error of a judge, which the trainer only passes through.
    let stopped = Cell::new(None);
    let by = |weights: &Weights, on: Option<&OnDevice>| {
        judge.value(weights, on, context).map_err(|error| {
            let message = error.to_string();
            stopped.set(Some(error));
            train::Error::failed(message)
        })
    };
    let by_metric = matches!(recipe.validation.metric, Criterion::Metric(_));
    let tower = recipe.model.tower();
    let judge_bytes = tower.map_or(0, |tower| judge.task(|task| eval::device_bytes(&tower, data.catalogue, task)));
    let training = Training {
        recipe,
        seed: context.seed(),
        data,
        start,
        judge: by_metric.then_some(&by),
        judge_bytes: if by_metric { judge_bytes } else { 0 },
        gpu: gpu.map(Gpu::offer),
        scratch: Some(context.scratch()),
        watch,
    };
    training.run().map_err(|error| {
        let fault = stopped.take().unwrap_or_else(|| error.into());
        if fault.class == Class::Io { fault.help(space(context.scratch(), None)) } else { fault }
    })
}

/// What the manifest keeps of a run beside its files: here, and only here, may be times.
fn note(outcome: &Outcome, seconds: f64, context: &Context<'_>) {
    context.fact("engine", outcome.engine);
    if outcome.engines.len() > 1 {
        context.fact("engines", outcome.engines.clone());
    }
    if let Some(reason) = &outcome.not_on_gpu {
        context.fact("not_on_gpu", reason.as_str());
    }
    context.fact("steps", outcome.steps);
    context.fact("samples", outcome.samples);
    context.fact("training_seconds", seconds);
    context.fact("samples_per_second", (outcome.samples as f64 / seconds.max(1e-9)).round());
    if let Some(last) = outcome.history.last() {
        context.fact("epochs", last.epoch);
        context.fact("train_loss", last.train_loss);
        if let Some(loss) = last.valid_loss {
            context.fact("valid_loss", loss);
        }
    }
    if let Some(kept) = outcome.history.get(outcome.kept) {
        context.fact("epoch_kept", kept.epoch);
        context.fact("step_kept", kept.step);
    }
    if let Some(epoch) = outcome.resumed_in {
        context.fact("resumed_in_epoch", epoch);
    }
}

/// Why negatives are missing, and what to do where that is known.
fn missing(recipe: &Recipe, missing: u64, data: &Data<'_>, context: &Context<'_>) -> String {
    // The most that the pool can have for a positive: users who have nearly every item have fewer.
    let each = data.pool.map(|pool| pool.users.len().div_ceil(data.train.users.len().max(1)));
    match (each, context.inputs("pool").first()) {
        (Some(each), Some(pool)) if each > 0 && each < recipe.negatives as usize => format!(
            "{missing} negatives an epoch are missing: the pool has {each} for each positive, and `negatives` is {}; set \
             `negatives: {each}` here, or `train: {{negatives: {}}}` in the stage `{}`",
            recipe.negatives, recipe.negatives, pool.stage
        ),
        _ => {
            format!(
                "{missing} negatives an epoch are missing, because users have every item or the pool has too few for them"
            )
        }
    }
}

fn history(recipe: &Recipe, outcome: &Outcome) -> History {
    let rows = &outcome.history;
    let metric = match &recipe.validation.metric {
        Criterion::Loss => None,
        Criterion::Metric(name) => Measure::parse(name),
    };
    History {
        epoch: rows.iter().map(|row| row.epoch as i32).collect(),
        step: rows.iter().map(|row| row.step as i64).collect(),
        train_loss: rows.iter().map(|row| row.train_loss).collect(),
        valid_loss: rows.iter().map(|row| row.valid_loss).collect(),
        valid_metric: metric
            .map(|metric| (format!("valid_{}", metric.column()), rows.iter().map(|row| row.valid_metric).collect())),
    }
}

fn denoising(records: &[DenoisingRecord]) -> Denoising {
    let count = |of: fn(&DenoisingRecord) -> u64| records.iter().map(|record| of(record) as i64).collect();
    let value = |of: fn(&DenoisingRecord) -> Option<f64>| records.iter().map(of).collect();
    Denoising {
        counts: vec![
            ("positives", count(|record| record.positives)),
            ("noisy", count(|record| record.noisy)),
            ("dropped", count(|record| record.dropped)),
            ("dropped_noisy", count(|record| record.dropped_noisy)),
        ],
        values: vec![
            ("precision", value(DenoisingRecord::precision)),
            ("recall", value(DenoisingRecord::recall)),
            ("noise_rate", value(DenoisingRecord::noise_rate)),
            ("mean_weight_noisy", value(|record| record.mean_weights()[0])),
            ("mean_weight_clean", value(|record| record.mean_weights()[1])),
        ],
    }
}
