//! The loop over epochs and batches.

use std::path::Path;

use candle_core::DType;

use crate::data::csr::Csr;
use crate::loss::{Asked, Scored};
use crate::model::{History, Weights};
use crate::train::checkpoint::{self, Checkpoint};
use crate::train::engine::Engine;
use crate::train::history::{Verdict, judge};
use crate::train::samples::{Samples, Source};
use crate::train::{Data, EpochRecord, Error, Keep, Recipe, Reference, Result, first_weights};

/// Samples of a validation that are scored together.
const VALIDATION_BATCH: usize = 4096;

/// Who looks on while a model is trained.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Told the number of samples of the whole run, and how many of them an earlier run has done.
    pub start: &'a dyn Fn(u64, u64),
    /// Told how many more samples are done.
    pub advance: &'a dyn Fn(u64),
    /// Told how the training goes, in a few words.
    pub remark: &'a dyn Fn(&str),
    /// Asked after each step whether to stop.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// A trained model, and how it came about.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The weights, of type F32.
    pub weights: Weights,
    /// One record for each epoch.
    pub history: Vec<EpochRecord>,
    /// The epoch whose weights these are, counted from 1.
    pub epoch: usize,
    /// How many optimizer steps were made.
    pub steps: u64,
    /// How many samples this call trained on: less than the whole run if it was resumed.
    pub samples: u64,
    /// The epoch in which an earlier, interrupted run had stopped, counted from 1.
    pub resumed_in: Option<usize>,
    /// Training positives without negatives, because their user has every item.
    pub saturated: usize,
}

/// Trains a model on the processor with the reference engine.
///
/// With a directory for checkpoints, the run goes on where an interrupted one with the same settings, seed and data
/// stopped, and its result is the same to the last bit as if it had not been interrupted.
///
/// # Errors
/// When the data do not allow the work, training diverges, a checkpoint cannot be written, or the run is cancelled.
pub fn train(recipe: &Recipe, seed: u64, data: Data<'_>, scratch: Option<&Path>, watch: Watch<'_>) -> Result<Outcome> {
    let source = Source::new(data, recipe.negatives, recipe.exclude, seed)?;
    let validation = &recipe.validation;
    if data.valid.is_empty() && (validation.keep == Keep::Best || validation.patience.is_some()) {
        return Err(Error::data("`keep: best` and `patience` need validation rows, and the split has none")
            .help("split off rows for validation, or use `keep: last` without `patience`"));
    }
    let first = first_weights(&recipe.model, data.catalogue, seed, DType::F32)?;
    let history =
        Known(Csr::from_pairs(data.catalogue.n_users, data.catalogue.n_items, data.train.users, data.train.items)?);
    let engine = Reference::new(recipe, seed, &history, &first)?;
    let fingerprint = checkpoint::fingerprint(recipe, seed, &data);
    let scratch = scratch.map(|dir| (dir, fingerprint.as_str()));
    let validation = source.validation()?;
    Run { recipe, source, validation, engine: Box::new(engine), scratch, watch }.run()
}

/// What users have in training, as models see it.
struct Known(Csr);

impl History for Known {
    fn items(&self, user: u32) -> &[u32] {
        self.0.row(user)
    }
}

struct Run<'a> {
    recipe: &'a Recipe,
    source: Source<'a>,
    validation: Samples,
    engine: Box<dyn Engine + 'a>,
    /// Where checkpoints lie, and the fingerprint that they bear.
    scratch: Option<(&'a Path, &'a str)>,
    watch: Watch<'a>,
}

/// How far a run has come, beside what the engine remembers.
#[derive(Default)]
struct Progress {
    history: Vec<EpochRecord>,
    best: Option<Weights>,
    place: u64,
    loss_sum: f64,
    steps: u64,
    samples: u64,
}

impl Run<'_> {
    fn run(mut self) -> Result<Outcome> {
        let mut progress = Progress::default();
        let mut resumed_in = None;
        if let Some(found) = self.scratch.and_then(|(dir, fingerprint)| Checkpoint::load(dir, fingerprint)) {
            self.engine.restore(&found.state)?;
            resumed_in = Some(found.history.len() + 1);
            let Checkpoint { state, history, best, place, loss_sum } = found;
            progress = Progress { history, best, place, loss_sum, steps: state.steps, samples: 0 };
        }
        let total = u64::from(self.recipe.epochs).saturating_mul(self.source.len());
        let done = progress.history.len() as u64 * self.source.len() + progress.place;
        (self.watch.start)(total, done.min(total));
        while !self.finished(&progress) {
            self.epoch(&mut progress)?;
            if !self.finished(&progress) {
                self.save(&progress)?;
            }
        }
        let best = self.verdict(&progress).best.filter(|_| self.recipe.validation.keep == Keep::Best);
        let weights = match progress.best {
            Some(weights) => weights,
            None => self.engine.weights()?,
        };
        weights.check_finite().map_err(|error| diverged(&error.message))?;
        Ok(Outcome {
            weights,
            epoch: best.map_or(progress.history.len(), |epoch| epoch + 1),
            history: progress.history,
            steps: progress.steps,
            samples: progress.samples,
            resumed_in,
            saturated: self.source.saturated(),
        })
    }

    fn verdict(&self, progress: &Progress) -> Verdict {
        judge(&progress.history, self.recipe.validation.patience)
    }

    fn finished(&self, progress: &Progress) -> bool {
        progress.history.len() >= self.recipe.epochs as usize || self.verdict(progress).stop
    }

    /// Trains for what is left of the current epoch, and validates.
    fn epoch(&mut self, progress: &mut Progress) -> Result<()> {
        let number = progress.history.len() as u32;
        let mut epoch = self.source.epoch(number, progress.place)?;
        let mut samples = Samples::default();
        while epoch.next_batch(self.recipe.batch_size as usize, &mut samples) {
            let batch = samples.batch();
            progress.steps += 1;
            let loss = self.engine.step(batch, self.recipe.optimizer.learning_rate(), None)?;
            if !loss.is_finite() {
                return Err(diverged(format!("the loss is {loss} in epoch {}, step {}", number + 1, progress.steps)));
            }
            progress.loss_sum += loss * batch.len() as f64;
            progress.place = epoch.place();
            progress.samples += batch.len() as u64;
            (self.watch.advance)(batch.len() as u64);
            if (self.watch.cancelled)() {
                self.save(progress)?;
                return Err(Error::cancelled());
            }
        }
        let valid_loss = self.validate(number)?;
        let train_loss = progress.loss_sum / self.source.len() as f64;
        progress.history.push(EpochRecord { train_loss, valid_loss });
        (progress.place, progress.loss_sum) = (0, 0.0);
        let is_best = self.verdict(progress).best == Some(number as usize);
        if self.recipe.validation.keep == Keep::Best && is_best {
            progress.best = Some(self.engine.weights()?);
        }
        let validation = valid_loss.map_or(String::new(), |loss| format!(", validation {loss:.4}"));
        let epochs = self.recipe.epochs;
        (self.watch.remark)(&format!("epoch {}/{epochs}: loss {train_loss:.4}{validation}", number + 1));
        Ok(())
    }

    /// The mean loss of the validation samples, if there are any and it is time.
    fn validate(&mut self, epoch: u32) -> Result<Option<f64>> {
        let last = epoch + 1 == self.recipe.epochs;
        let due = last || (epoch + 1).is_multiple_of(self.recipe.validation.every_epochs);
        if !due || self.validation.batch().is_empty() {
            return Ok(None);
        }
        let (mut sum, mut logits) = (0.0, Vec::new());
        for batch in self.validation.batches(VALIDATION_BATCH) {
            self.engine.logits(batch, &mut logits)?;
            let scored = Scored { logits: &logits, labels: batch.labels, step: 0 };
            sum += self.recipe.loss.evaluate(scored, Asked::default()) * batch.len() as f64;
        }
        let loss = sum / self.validation.batch().len() as f64;
        if !loss.is_finite() {
            return Err(diverged(format!("the validation loss is {loss} after epoch {}", epoch + 1)));
        }
        Ok(Some(loss))
    }

    fn save(&mut self, progress: &Progress) -> Result<()> {
        let Some((dir, fingerprint)) = self.scratch else { return Ok(()) };
        let Progress { history, best, place, loss_sum, .. } = progress;
        let (history, best, state) = (history.clone(), best.clone(), self.engine.state()?);
        Checkpoint { state, history, best, place: *place, loss_sum: *loss_sum }.save(dir, fingerprint)
    }
}

fn diverged(what: impl std::fmt::Display) -> Error {
    Error::failed(format!("training diverged: {what}")).help("lower `optimizer.learning_rate`")
}

#[cfg(test)]
#[path = "trainer_tests.rs"]
mod tests;
