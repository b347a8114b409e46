//! Drawing pools, straight into their files: a pool may exceed memory, and so may the positives that it leaves out.

use std::io::Write;
use std::ops::Range;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::csr::Csr;
use crate::frame::{FrameMeta, ROW_GROUP};
use crate::pool::file::{list_batch, list_writer, pair_batch, pair_schema};
use crate::proposal::Proposal;
use crate::rng::Philox;
use crate::sample::Sampler;
use crate::stream::StreamWriter;
use crate::{Fault, Result};

/// What happens when a user has fewer items left than are to be drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShortPool {
    /// The user gets all items that are left.
    #[default]
    Shorter,
    /// The user gets all items that are left, and some of them again.
    WithReplacement,
    /// It is an error.
    Error,
}

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Draw<'a> {
    /// How likely each item is.
    pub proposal: &'a Proposal,
    /// With which random numbers; each user has a sequence.
    pub philox: Philox,
    /// How many negatives a user gets, or a positive.
    pub negatives: usize,
    /// What happens when there are not as many.
    pub short: ShortPool,
}

/// Neighbouring users to draw for.
#[derive(Debug, Clone)]
pub struct Window {
    /// The user of the first row of `seen`.
    pub first: u32,
    /// What is not drawn for these users.
    pub seen: Csr,
    /// Those who are drawn for, ascending and distinct, and for how many positives each.
    pub users: Vec<(u32, usize)>,
}

/// What was drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Users.
    pub users: u64,
    /// Negatives, of all users together.
    pub negatives: u64,
    /// Users with fewer items left than were to be drawn.
    pub short: u64,
    /// Those of them with no item left.
    pub none: u64,
}

/// Candidates drawn before they are written: a tenth of a second's work or less.
const BATCH: usize = 1 << 21;

/// A pool for evaluation on its way into a file: rows `(user_id Int32, item_id List<Int32>)`, each list ascending.
pub struct EvalPool<'a, W: Write + Send> {
    file: StreamWriter<W>,
    draw: Draw<'a>,
    drawn: Drawn,
}

impl<'a, W: Write + Send> EvalPool<'a, W> {
    /// Starts the file.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn new(out: W, draw: Draw<'a>, meta: &FrameMeta) -> Result<Self> {
        Ok(Self { file: list_writer(out, meta, draw.negatives)?, draw, drawn: Drawn::default() })
    }

    /// Where the file is written to.
    pub fn get_ref(&self) -> &W {
        self.file.get_ref()
    }

    /// Draws different candidates for each user of the windows; all of them have to come after those before. `advance` is
    /// told how many more users are done, and may stop the work.
    ///
    /// # Errors
    /// When a user has too few items and that is to be an error, the file cannot be written to, or `advance` says so.
    pub fn add(&mut self, windows: &[Window], advance: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let draw = self.draw;
        // Users for one thread at a time, and for all before their candidates are written.
        let piece = (BATCH / 8 / draw.negatives.max(1)).clamp(1, 256);
        let at_once = (BATCH / draw.negatives.max(1) / piece).max(1);
        let samplers = samplers(windows, draw)?;
        let mut pieces = Vec::new();
        for (window, sampler) in windows.iter().zip(&samplers) {
            for &(user, _) in &window.users {
                let left = sampler.unseen(user - window.first);
                if left >= draw.negatives {
                    continue;
                }
                if draw.short == ShortPool::Error {
                    return Err(too_few(user, left, draw.negatives));
                }
                self.drawn.short += 1;
                self.drawn.none += u64::from(left == 0);
            }
            pieces.extend(window.users.chunks(piece).map(|users| (sampler, window.first, users)));
        }
        for pieces in pieces.chunks(at_once) {
            let batches = pieces.par_iter().map(|&(sampler, first, users): &(_, u32, &[(u32, usize)])| {
                let mut ends = Vec::with_capacity(users.len() + 1);
                let mut items = Vec::with_capacity(users.len().saturating_mul(draw.negatives).min(BATCH));
                ends.push(0);
                for &(user, _) in users {
                    candidates(sampler, user, user - first, draw, &mut items);
                    ends.push(items.len());
                }
                list_batch(&users.iter().map(|(user, _)| *user).collect::<Vec<_>>(), &ends, &items)
            });
            let batches = batches.collect::<Result<Vec<_>>>()?;
            let users = pieces.iter().map(|(.., users)| users.len() as u64).sum();
            self.drawn.users += users;
            self.drawn.negatives += batches.iter().map(|(values, _)| values).sum::<u64>();
            self.file.write(batches.into_iter().map(|(_, batch)| batch))?;
            advance(users)?;
        }
        Ok(())
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn finish(self) -> Result<(W, Drawn)> {
        Ok((self.file.finish()?, self.drawn))
    }
}

fn samplers<'a>(windows: &'a [Window], draw: Draw<'a>) -> Result<Vec<Sampler<'a>>> {
    windows.iter().map(|window| Sampler::new(&window.seen, draw.proposal)).collect()
}

/// Appends the candidates of a user, who is number `row` of the sampler, ascending.
fn candidates(sampler: &Sampler<'_>, user: u32, row: u32, draw: Draw<'_>, out: &mut Vec<u32>) {
    let start = out.len();
    let mut words = draw.philox.sequence(u64::from(user));
    sampler.distinct(row, draw.negatives, &mut words, out);
    let missing = draw.negatives - (out.len() - start);
    if missing > 0 && out.len() > start && draw.short == ShortPool::WithReplacement {
        sampler.repeated(row, missing, &mut words, out);
        out[start..].sort_unstable();
    }
}

/// A pool for training on its way into a file: rows `(user_id Int32, item_id Int32)`, by user and then item.
pub struct TrainPool<'a, W: Write + Send> {
    file: StreamWriter<W>,
    draw: Draw<'a>,
    drawn: Drawn,
}

impl<'a, W: Write + Send> TrainPool<'a, W> {
    /// Starts the file.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn new(out: W, draw: Draw<'a>, meta: &FrameMeta) -> Result<Self> {
        Ok(Self { file: StreamWriter::new(out, pair_schema(), meta)?, draw, drawn: Drawn::default() })
    }

    /// Where the file is written to.
    pub fn get_ref(&self) -> &W {
        self.file.get_ref()
    }

    /// Draws negatives for each positive, with replacement; all users have to come after those before. A user who has every
    /// item gets none. `advance` is told how many more rows are done, and may stop the work.
    ///
    /// # Errors
    /// As [`EvalPool::add`].
    pub fn add(&mut self, windows: &[Window], advance: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        /// Rows for one thread at a time.
        const PIECE: usize = 1 << 14;
        const AT_ONCE: usize = 4 * ROW_GROUP;
        let draw = self.draw;
        let samplers = samplers(windows, draw)?;
        // The sampler of each user, the row in it, the user and the number of positives.
        let mut runs: Vec<(&Sampler<'_>, u32, u32, usize)> = Vec::new();
        for (window, sampler) in windows.iter().zip(&samplers) {
            for &(user, positives) in &window.users {
                let row = user - window.first;
                self.drawn.users += 1;
                if sampler.unseen(row) > 0 {
                    runs.push((sampler, row, user, positives));
                } else if draw.short == ShortPool::Error {
                    return Err(too_few(user, 0, draw.negatives));
                } else {
                    self.drawn.short += 1;
                    self.drawn.none += 1;
                }
            }
        }
        let weight = |run: &(&Sampler<'_>, u32, u32, usize)| run.3.saturating_mul(draw.negatives);
        for batch in cuts(&runs, AT_ONCE, weight) {
            let runs = &runs[batch];
            let pieces: Vec<Range<usize>> = cuts(runs, PIECE, weight).collect();
            let batches = pieces.into_par_iter().map(|piece| {
                let (mut users, mut items) = (Vec::new(), Vec::new());
                for run in &runs[piece] {
                    let (sampler, row, user, _) = *run;
                    let start = items.len();
                    let mut words = draw.philox.sequence(u64::from(user));
                    sampler.repeated(row, weight(run), &mut words, &mut items);
                    items[start..].sort_unstable();
                    users.resize(items.len(), user);
                }
                pair_batch(&users, &items)
            });
            let batches = batches.collect::<Result<Vec<_>>>()?;
            let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
            self.drawn.negatives += rows;
            self.file.write(batches)?;
            advance(rows)?;
        }
        Ok(())
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn finish(self) -> Result<(W, Drawn)> {
        Ok((self.file.finish()?, self.drawn))
    }
}

/// Ranges that cover `values`, each closed as soon as it weighs `limit`.
fn cuts<T>(values: &[T], limit: usize, weight: impl Fn(&T) -> usize) -> impl Iterator<Item = Range<usize>> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let first = next;
        let mut sum = 0usize;
        while next < values.len() && sum < limit {
            sum = sum.saturating_add(weight(&values[next]));
            next += 1;
        }
        (first < next).then_some(first..next)
    })
}

fn too_few(user: u32, left: usize, negatives: usize) -> Fault {
    Fault::data(format!("user {user} has {left} items left, too few to draw {negatives}")).help(
        "draw fewer, or let `short_pool` be `shorter` or `with_replacement`; `users.parquet` of the split has the raw id",
    )
}
