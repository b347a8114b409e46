//! The loop over epochs and batches.

mod fed;
mod whole;

use std::path::Path;

use candle_core::DType;

use crate::data::csr::Csr;
use crate::gpu::Offer;
use crate::loss::{Asked, Scored};
use crate::model::sealed::Due;
use crate::model::{History, Weights};
use crate::train::checkpoint::{self, Checkpoint, Progress};
use crate::train::cuda::{self, Place};
use crate::train::engine::{Engine, Epochs, OnDevice, Steps};
use crate::train::history::{Verdict, judge};
use crate::train::recipe::EngineChoice;
use crate::train::resume;
use crate::train::samples::{Samples, Source};
use crate::train::{
    Criterion, Data, DenoisingRecord, Error, Fused, Keep, Recipe, Record, Reference, Result, first_weights,
};

/// Samples of a validation whose loss is computed together; even, so that pairs stay together.
const VALIDATION_BATCH: usize = 4096;

/// Gives the value of the ranking metric by which a model with these weights is judged; the device is the GPU that the
/// model is trained on, which can do it.
pub type Judge<'a> = dyn Fn(&Weights, Option<&OnDevice>) -> Result<f64> + 'a;

/// Who looks on while a model is trained.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Told the number of samples of the whole run, and how many of them an earlier run has done.
    pub start: &'a dyn Fn(u64, u64),
    /// Told how many more samples are done.
    pub advance: &'a dyn Fn(u64),
    /// Told how the training goes, in a few words.
    pub remark: &'a dyn Fn(&str),
    /// Told every row of the history, also those of the run that this one continues.
    pub record: &'a dyn Fn(&Record),
    /// Asked after each step whether to stop.
    pub cancelled: &'a dyn Fn() -> bool,
    /// Asked after each step how often a checkpoint was asked for: another answer than before has one written.
    pub saves: &'a dyn Fn() -> u64,
}

/// A training run.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// The settings, normalised.
    pub recipe: &'a Recipe,
    /// What everything drawn follows from.
    pub seed: u64,
    /// The data.
    pub data: Data<'a>,
    /// The first weights, of type F32, where they are not drawn.
    pub start: Option<&'a Weights>,
    /// Computes the ranking metric of the settings, if validation goes by one.
    pub judge: Option<&'a Judge<'a>>,
    /// How many bytes of a GPU's memory that takes.
    pub judge_bytes: usize,
    /// A GPU to train on where it can do all that is asked for; without one, the processor.
    pub gpu: Option<Offer<'a>>,
    /// Where checkpoints lie.
    pub scratch: Option<&'a Path>,
    /// Who looks on.
    pub watch: Watch<'a>,
}

/// A trained model, and how it came about.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The weights, of type F32.
    pub weights: Weights,
    /// A record for each epoch and each validation.
    pub history: Vec<Record>,
    /// What the loss did with noise, epoch by epoch; empty where noise is not known.
    pub denoising: Vec<DenoisingRecord>,
    /// The number of the record whose weights these are.
    pub kept: usize,
    /// How many optimizer steps were made.
    pub steps: u64,
    /// How many samples this call trained on: less than the whole run if it was resumed.
    pub samples: u64,
    /// The epoch in which an earlier run had stopped, counted from 1.
    pub resumed_in: Option<u32>,
    /// How many negatives of an epoch are missing, because users have every item or the pool has too few.
    pub missing_negatives: u64,
    /// The name of the engine.
    pub engine: &'static str,
    /// The names of all engines that made steps, where an earlier run had another one; in the order of their first steps.
    pub engines: Vec<String>,
    /// The name of the GPU, if it was one.
    pub gpu: Option<String>,
    /// Why it was none although one was offered.
    pub not_on_gpu: Option<String>,
}

/// What users have in training, as models see it.
struct Known(Csr);

impl History for Known {
    fn items(&self, user: u32) -> &[u32] {
        self.0.row(user)
    }
}

impl Training<'_> {
    /// Trains a model.
    ///
    /// With a directory for checkpoints, the run goes on where one with the same seed, data and settings but for the
    /// number of epochs has stopped or ended, and its result is the same to the last bit as if it had gone through, if
    /// both were on the processor or both on the same kind of GPU; from one to the other it is the same but for rounding.
    ///
    /// # Errors
    /// When the data do not allow the work, training diverges, a checkpoint cannot be written, or the run is cancelled.
    pub fn run(&self) -> Result<Outcome> {
        let Self { recipe, seed, data, .. } = *self;
        let source = Source::new(data, recipe, seed)?;
        let rules = &recipe.validation;
        let needs_validation =
            rules.keep == Keep::Best || rules.patience.is_some() || matches!(rules.metric, Criterion::Metric(_));
        if data.valid.is_empty() && needs_validation {
            return Err(Error::data(
                "`keep: best`, `patience` and a ranking `metric` need validation rows, and the split has none",
            )
            .help("split off rows for validation, or use `keep: last` without `patience` and `metric`"));
        }
        let first = match self.start {
            Some(weights) => weights.snapshot()?,
            None => first_weights(&recipe.model, data.catalogue, seed, DType::F32)?,
        };
        let (n_users, n_items) = (data.catalogue.n_users, data.catalogue.n_items);
        let history = Known(Csr::from_pairs(n_users, n_items, data.train.users, data.train.items)?);
        let (_lent, not_on_gpu, engine) = match cuda::place(self, &source, &first)? {
            Place::Gpu(lent, engine) => (Some(lent), None, Runs::Whole(engine)),
            Place::Processor(reason) => (None, reason, Runs::Fed(on_processor(self, &history, &first)?)),
        };
        if let Some(reason) = &not_on_gpu {
            tracing::info!("trains on the processor: {reason}");
        }
        let fingerprint = checkpoint::fingerprint(recipe, engine.get().form(), seed, &data, self.start);
        let validation = source.validation()?;
        let progress = Progress::default();
        let due = Due::from_now((self.watch.saves)());
        let run = Run { training: *self, source: &source, validation, engine, fingerprint, progress, samples: 0, due };
        Ok(Outcome { not_on_gpu, ..run.run()? })
    }
}

/// The engine on the processor that the settings ask for.
fn on_processor<'a>(training: &Training<'_>, history: &'a Known, first: &Weights) -> Result<Box<dyn Steps + 'a>> {
    let Training { recipe, seed, data, .. } = *training;
    let fused = match recipe.engine {
        EngineChoice::Auto => recipe.model.tower().is_some(),
        EngineChoice::Fused => true,
        EngineChoice::Reference => false,
    };
    Ok(if fused {
        Box::new(Fused::new(recipe, data.catalogue, seed, first, rayon::current_num_threads())?)
    } else {
        Box::new(Reference::new(recipe, seed, history, first)?)
    })
}

/// An engine, by who draws its batches.
enum Runs<'a> {
    /// A thread of ours does.
    Fed(Box<dyn Steps + 'a>),
    /// It does so itself.
    Whole(Box<dyn Epochs + 'a>),
}

impl<'a> Runs<'a> {
    fn get(&self) -> &(dyn Engine + 'a) {
        match self {
            Self::Fed(engine) => engine.as_ref(),
            Self::Whole(engine) => engine.as_ref(),
        }
    }

    fn get_mut(&mut self) -> &mut (dyn Engine + 'a) {
        match self {
            Self::Fed(engine) => engine.as_mut(),
            Self::Whole(engine) => engine.as_mut(),
        }
    }
}

/// A run that is going on.
struct Run<'a> {
    training: Training<'a>,
    source: &'a Source<'a>,
    validation: Samples,
    engine: Runs<'a>,
    /// What checkpoints of this run bear.
    fingerprint: String,
    progress: Progress,
    /// How many samples this run has trained on.
    samples: u64,
    /// When the next checkpoint is.
    due: Due,
}

impl Run<'_> {
    fn recipe(&self) -> &Recipe {
        self.training.recipe
    }

    fn run(mut self) -> Result<Outcome> {
        let mut resumed_in = None;
        let epochs = self.recipe().epochs;
        if let Some(dir) = self.training.scratch
            && let Some(Checkpoint { state, progress }) = Checkpoint::load(dir, &self.fingerprint)
            && (progress.epochs, progress.place) <= (epochs, 0)
        {
            // One that bears the digest of this run and cannot be of it was forged, or written by another build.
            let fits = resume::check(&progress, self.source, &self.training);
            match fits.and_then(|()| self.engine.get_mut().restore(&state)) {
                Ok(()) => {
                    let epoch = (progress.epochs + 1).min(epochs);
                    tracing::info!("goes on from the checkpoint of an earlier run, in epoch {epoch} of {epochs}");
                    resumed_in = Some(epoch);
                    self.progress = progress;
                }
                Err(error) => tracing::warn!(%error, "the checkpoint cannot be of this run; training starts anew"),
            }
        }
        let total = u64::from(epochs).saturating_mul(self.source.len());
        let done = u64::from(self.progress.epochs) * self.source.len() + self.progress.place;
        (self.training.watch.start)(total, done.min(total));
        self.progress.history.iter().for_each(self.training.watch.record);
        if !self.finished() {
            let name = self.engine.get().name();
            if let Some(before) = self.progress.engines.last().filter(|before| *before != name) {
                tracing::info!(
                    "goes on with the engine `{name}` where `{before}` had stopped: the same but for rounding"
                );
            }
            if self.progress.engines.iter().all(|engine| engine != name) {
                self.progress.engines.push(name.to_owned());
            }
            match &self.engine {
                Runs::Fed(_) => self.fed_epochs()?,
                Runs::Whole(_) => self.whole_epochs()?,
            }
            self.save()?;
        }
        self.conclude(resumed_in)
    }

    fn verdict(&self) -> Verdict {
        judge(&self.progress.history, self.recipe().validation.patience)
    }

    /// Whether nothing is left to do: asked between epochs only, where it can be.
    fn finished(&self) -> bool {
        self.progress.place == 0 && (self.progress.epochs >= self.recipe().epochs || self.verdict().stop)
    }

    /// The learning rate of a step, counted from 0.
    fn rate(&self, step: u64) -> f64 {
        let recipe = self.training.recipe;
        let steps_an_epoch = self.source.len().div_ceil(u64::from(recipe.batch_size));
        recipe.optimizer.learning_rate() * recipe.schedule.factor(step, steps_an_epoch * u64::from(recipe.epochs))
    }

    /// What follows steps on so many samples: a validation if one is due, a checkpoint, the end. Says whether there is a
    /// new record.
    fn after_steps(&mut self, units: u64) -> Result<bool> {
        (self.training.watch.advance)(units);
        let every = self.recipe().validation.every_steps;
        let due = every.is_some_and(|every| self.progress.steps.is_multiple_of(every));
        if due {
            self.record(true)?;
        }
        if (self.training.watch.cancelled)() {
            self.save()?;
            return Err(Error::cancelled());
        }
        if due && self.verdict().stop {
            // The rest of the epoch is left out.
            self.finish_epoch()?;
        }
        if self.due.is_now((self.training.watch.saves)()) {
            self.save()?;
        }
        Ok(due)
    }

    fn end_epoch(&mut self) -> Result<()> {
        let due =
            self.recipe().validation.every_epochs.is_some_and(|every| (self.progress.epochs + 1).is_multiple_of(every));
        self.record(due)?;
        self.finish_epoch()?;
        if let Some(last) = self.progress.history.last() {
            let valid = last.valid_loss.map_or(String::new(), |loss| format!(", validation {loss:.4}"));
            let metric = last.valid_metric.map_or(String::new(), |value| format!(", metric {value:.4}"));
            let (epoch, epochs, loss) = (last.epoch, self.recipe().epochs, last.train_loss);
            (self.training.watch.remark)(&format!("epoch {epoch}/{epochs}: loss {loss:.4}{valid}{metric}"));
        }
        Ok(())
    }

    /// Counts the epoch as done, whether all of it was walked or patience ended it.
    fn finish_epoch(&mut self) -> Result<()> {
        self.engine.get_mut().settle()?;
        if self.training.data.clean.is_some() && self.recipe().loss.is_denoising() {
            let record = std::mem::take(&mut self.progress.denoising_now);
            self.progress.denoising.push(record);
        }
        self.progress.epochs += 1;
        self.progress.place = 0;
        Ok(())
    }

    /// Keeps the mean loss since the last record, if there were samples, and what validation finds, if it is due.
    fn record(&mut self, validate: bool) -> Result<()> {
        self.engine.get_mut().settle()?;
        let Progress { epochs, steps, loss_sum, loss_count, .. } = self.progress;
        if loss_count == 0 {
            return Ok(());
        }
        let train_loss = loss_sum / loss_count as f64;
        let mut record = Record { epoch: epochs + 1, step: steps, train_loss, valid_loss: None, valid_metric: None };
        if validate {
            self.validate(&mut record)?;
        }
        (self.progress.loss_sum, self.progress.loss_count) = (0.0, 0);
        self.progress.history.push(record);
        (self.training.watch.record)(&record);
        if self.recipe().validation.keep == Keep::Best && self.verdict().best == Some(self.progress.history.len() - 1) {
            self.progress.best = Some(self.engine.get_mut().weights()?);
        }
        Ok(())
    }

    /// Fills in the mean loss of the validation samples, if there are any, and the metric, if validation goes by one.
    fn validate(&mut self, record: &mut Record) -> Result<()> {
        if self.validation.batch().is_empty() {
            return Ok(());
        }
        let (mut sum, mut logits) = (0.0, Vec::new());
        let engine = self.engine.get_mut();
        for samples in self.validation.batches(engine.samples_at_once()) {
            engine.logits(samples, &mut logits)?;
            // Some losses look at all samples of a batch, which must not depend on the engine.
            let batches = logits.chunks(VALIDATION_BATCH).zip(samples.labels.chunks(VALIDATION_BATCH));
            for (logits, labels) in batches {
                let scored = Scored { logits, labels, step: record.step };
                sum += self.training.recipe.loss.evaluate(scored, Asked::default()) * labels.len() as f64;
            }
        }
        let loss = sum / self.validation.batch().len() as f64;
        if !loss.is_finite() {
            return Err(diverged(format!("the validation loss is {loss} after step {}", record.step)));
        }
        record.valid_loss = Some(loss);
        if let Some(judge) = self.training.judge {
            let weights = self.engine.get_mut().weights()?;
            record.valid_metric = Some(judge(&weights, self.engine.get().device().as_ref())?);
        }
        Ok(())
    }

    /// Validates the end, which may not be due, so that nothing of it must go into the checkpoint of a run that may be
    /// made longer; and chooses the weights.
    fn conclude(mut self, resumed_in: Option<u32>) -> Result<Outcome> {
        let last = self.progress.history.len().checked_sub(1);
        let last = last.ok_or_else(|| Error::failed("training ended before its first step"))?;
        let mut record = self.progress.history[last];
        if record.valid_loss.is_none() {
            self.validate(&mut record)?;
            self.progress.history[last] = record;
            if record.valid_loss.is_some() {
                (self.training.watch.record)(&record);
            }
        }
        let best = self.verdict().best.filter(|_| self.recipe().validation.keep == Keep::Best);
        let weights = match self.progress.best.take() {
            Some(weights) if best.is_some_and(|best| best < last) => weights,
            _ => self.engine.get_mut().weights()?,
        };
        weights.check_finite().map_err(|error| diverged(&error.message))?;
        Ok(Outcome {
            weights,
            kept: best.unwrap_or(last),
            denoising: self.progress.denoising,
            steps: self.progress.steps,
            history: self.progress.history,
            samples: self.samples,
            resumed_in,
            missing_negatives: self.source.missing(),
            engine: self.engine.get().name(),
            engines: self.progress.engines,
            gpu: self.engine.get().device().map(|on| on.device.name()),
            not_on_gpu: None,
        })
    }

    fn save(&mut self) -> Result<()> {
        let Some(dir) = self.training.scratch else { return Ok(()) };
        let checkpoint = Checkpoint { state: self.engine.get_mut().state()?, progress: self.progress.clone() };
        checkpoint.save(dir, &self.fingerprint)?;
        self.due = Due::from_now((self.training.watch.saves)());
        Ok(())
    }
}

fn diverged(what: impl std::fmt::Display) -> Error {
    Error::failed(format!("training diverged: {what}")).help("lower `optimizer.learning_rate`")
}

#[cfg(test)]
#[path = "trainer_tests.rs"]
mod tests;
