//! Drawing pools, straight into their files: a pool may exceed memory.

use std::io::Write;
use std::ops::Range;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::frame::{FrameMeta, ROW_GROUP};
use crate::pool::file::{list_batch, list_writer, pair_batch, pair_schema};
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
    /// From which items, and how likely each is.
    pub sampler: Sampler<'a>,
    /// With which random numbers; each user has a sequence.
    pub philox: Philox,
    /// How many negatives a user gets, or a positive.
    pub negatives: usize,
    /// What happens when there are not as many.
    pub short: ShortPool,
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
}

/// Draws `negatives` different candidates for each of `users` (ascending, distinct) and writes them as rows
/// `(user_id Int32, item_id List<Int32>)`, each list ascending. `advance` is told how many more users are done, and may
/// stop the work.
///
/// # Errors
/// When a user has too few items and that is to be an error, `out` cannot be written to, or `advance` says so.
pub fn write_eval<W: Write + Send>(
    users: &[u32],
    draw: Draw<'_>,
    out: W,
    meta: &FrameMeta,
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<(W, Drawn)> {
    /// Users for one thread at a time.
    const PIECE: usize = 256;
    /// Candidates drawn before they are written: a tenth of a second's work or less.
    const BATCH: usize = 1 << 21;
    let few = |user: &&u32| draw.sampler.unseen(**user) < draw.negatives;
    if let Some(user) = users.iter().find(few).filter(|_| draw.short == ShortPool::Error) {
        return Err(too_few(*user, draw.sampler.unseen(*user), draw.negatives));
    }
    let mut file = list_writer(out, meta, draw.negatives)?;
    let mut drawn = Drawn { users: users.len() as u64, ..Drawn::default() };
    for users in users.chunks((BATCH / draw.negatives.max(1)).clamp(1, ROW_GROUP)) {
        let batches = users.par_chunks(PIECE).map(|users| {
            let mut ends = Vec::with_capacity(users.len() + 1);
            let mut items = Vec::with_capacity(users.len().saturating_mul(draw.negatives).min(BATCH));
            ends.push(0);
            for &user in users {
                candidates(user, draw, &mut items);
                ends.push(items.len());
            }
            list_batch(users, &ends, &items)
        });
        let batches = batches.collect::<Result<Vec<_>>>()?;
        drawn.short += users.iter().filter(few).count() as u64;
        drawn.negatives += batches.iter().map(|(values, _)| values).sum::<u64>();
        file.write(batches.into_iter().map(|(_, batch)| batch))?;
        advance(users.len() as u64)?;
    }
    Ok((file.finish()?, drawn))
}

/// Appends a user's candidates, ascending.
fn candidates(user: u32, draw: Draw<'_>, out: &mut Vec<u32>) {
    let start = out.len();
    let mut words = draw.philox.sequence(u64::from(user));
    draw.sampler.distinct(user, draw.negatives, &mut words, out);
    let missing = draw.negatives - (out.len() - start);
    if missing > 0 && out.len() > start && draw.short == ShortPool::WithReplacement {
        draw.sampler.repeated(user, missing, &mut words, out);
        out[start..].sort_unstable();
    }
}

/// Draws `negatives` items for each training positive, with replacement, and writes them as rows
/// `(user_id Int32, item_id Int32)`, by user and then item. `positives` are the users of the training positives,
/// ascending. A user who has every item gets none. `advance` is told how many more rows are done, and may stop the work.
///
/// # Errors
/// As [`write_eval`], and when `positives` are not ascending.
pub fn write_train<W: Write + Send>(
    positives: &[u32],
    draw: Draw<'_>,
    out: W,
    meta: &FrameMeta,
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<(W, Drawn)> {
    /// Rows for one thread at a time.
    const PIECE: usize = 1 << 14;
    const BATCH: usize = 4 * ROW_GROUP;
    if !positives.is_sorted() {
        return Err(
            Fault::data("the training positives are not in the order of their users").help("make the split again")
        );
    }
    // Each user with the number of positives.
    let runs: Vec<(u32, usize)> = positives.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    let full = |run: &&(u32, usize)| draw.sampler.unseen(run.0) == 0;
    if let Some((user, _)) = runs.iter().find(full).filter(|_| draw.short == ShortPool::Error) {
        return Err(too_few(*user, 0, draw.negatives));
    }
    let mut file = StreamWriter::new(out, pair_schema(), meta)?;
    let mut drawn =
        Drawn { users: runs.len() as u64, short: runs.iter().filter(full).count() as u64, ..Drawn::default() };
    let weight = |run: &(u32, usize)| run.1.saturating_mul(draw.negatives);
    for batch in cuts(&runs, BATCH, weight) {
        let runs = &runs[batch];
        let pieces: Vec<Range<usize>> = cuts(runs, PIECE, weight).collect();
        let batches = pieces.into_par_iter().map(|piece| {
            let (mut users, mut items) = (Vec::new(), Vec::new());
            for run in &runs[piece] {
                if draw.sampler.unseen(run.0) > 0 {
                    let start = items.len();
                    let mut words = draw.philox.sequence(u64::from(run.0));
                    draw.sampler.repeated(run.0, weight(run), &mut words, &mut items);
                    items[start..].sort_unstable();
                    users.resize(items.len(), run.0);
                }
            }
            pair_batch(&users, &items)
        });
        let batches = batches.collect::<Result<Vec<_>>>()?;
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
        drawn.negatives += rows;
        file.write(batches)?;
        advance(rows)?;
    }
    Ok((file.finish()?, drawn))
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
