//! The loop for engines that are given their batches: a thread draws them, and steps are made one by one.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use crate::train::checkpoint::Progress;
use crate::train::samples::{Samples, Source};
use crate::train::trainer::{Run, Runs, diverged};
use crate::train::{Error, Result};

/// Samples that are drawn ahead of training.
const AHEAD: usize = 1 << 20;
/// Samples that are handed over together. A thread that is woken for every batch would take a core from the step that is
/// being made, each time, and all others would wait for what it was doing. The epochs of tests are small, and come in bursts
/// all the same.
const BURST: usize = if cfg!(test) { 1 << 8 } else { 1 << 15 };

/// What the thread that draws samples hands over.
struct Burst {
    batches: Vec<Samples>,
    /// Whether the epoch has no more.
    ends_epoch: bool,
}

/// Draws epoch after epoch, from a place in the first, until nobody takes them any more.
fn draw(
    source: &Source<'_>,
    epochs: std::ops::Range<u32>,
    mut place: u64,
    batch: usize,
    out: &SyncSender<Result<Burst>>,
) {
    let size = (BURST / batch).max(1);
    for number in epochs {
        let mut epoch = match source.epoch(number, place) {
            Ok(epoch) => epoch,
            Err(error) => return drop(out.send(Err(error))),
        };
        place = 0;
        let mut ends_epoch = false;
        while !ends_epoch {
            let mut batches = Vec::with_capacity(size);
            while batches.len() < size && !ends_epoch {
                let mut samples = Samples::default();
                if epoch.next_batch(batch, &mut samples) {
                    batches.push(samples);
                } else {
                    ends_epoch = true;
                }
            }
            if out.send(Ok(Burst { batches, ends_epoch })).is_err() {
                return;
            }
        }
    }
}

impl Run<'_> {
    /// Trains to the end, on batches that another thread draws.
    pub(super) fn fed_epochs(&mut self) -> Result<()> {
        let (source, first, place) = (self.source, self.progress.epochs, self.progress.place);
        let (batch, epochs) = (self.recipe().batch_size as usize, self.recipe().epochs);
        thread::scope(|scope| {
            let (sender, drawn) = sync_channel((AHEAD / BURST.max(batch)).max(4));
            scope.spawn(move || draw(source, first..epochs, place, batch, &sender));
            // Leaving drops the receiver, which ends the thread.
            for burst in drawn {
                let Burst { batches, ends_epoch } = burst?;
                for samples in batches {
                    self.step(&samples)?;
                    if self.finished() {
                        return Ok(());
                    }
                }
                if ends_epoch {
                    self.end_epoch()?;
                }
                if self.finished() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn step(&mut self, samples: &Samples) -> Result<()> {
        let rate = self.rate(self.progress.steps);
        let Runs::Fed(engine) = &mut self.engine else {
            return Err(Error::failed("an engine that draws its batches was given one"));
        };
        let (recipe, batch) = (self.training.recipe, samples.batch());
        let clean = self.training.data.clean.filter(|_| recipe.loss.is_denoising());
        let mut weights = vec![0.0; if clean.is_some() { batch.len() } else { 0 }];
        let loss = engine.step(batch, rate, clean.map(|_| weights.as_mut_slice()))?;
        self.progress.steps += 1;
        if !loss.is_finite() {
            let Progress { epochs, steps, .. } = self.progress;
            return Err(diverged(format!("the loss is {loss} in epoch {}, step {steps}", epochs + 1)));
        }
        if let Some(clean) = clean {
            self.progress.denoising_now.count(clean, samples.origins(), &weights);
        }
        let units = if recipe.loss.is_pairwise() { batch.len() / 2 } else { batch.len() } as u64;
        self.progress.loss_sum += loss * units as f64;
        self.progress.loss_count += units;
        self.progress.place = samples.place();
        self.samples += batch.len() as u64;
        self.after_steps(units)?;
        Ok(())
    }
}
