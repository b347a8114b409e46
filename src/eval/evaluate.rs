//! All users, in parallel.

use rayon::prelude::*;

use crate::data::csr::Csr;
use crate::eval::error::{Error, Result};
use crate::eval::protocol::Task;
use crate::eval::table::{Row, Table};
use crate::model::scorer::Scorer;

/// The most users that are scored at once.
const BLOCK_USERS: usize = 64;
/// The most scores that one thread holds, as long as one user's fit: 2 MiB, which stays in a cache.
const BLOCK_SCORES: usize = 1 << 19;

/// How the caller follows an evaluation. Both functions may be called from any thread.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// So many more users are done.
    pub advance: &'a (dyn Fn(u64) + Sync),
    /// Whether to stop.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The evaluated users, ascending: one row each in the tables.
    pub users: Vec<u32>,
    /// The sampled protocol, if it was asked for.
    pub sampled: Option<Table>,
    /// The full protocol, if it was asked for.
    pub full: Option<Table>,
}

/// Scores all users with held-out positives and ranks these by the protocols of the task. When both are asked for,
/// each user is scored once.
///
/// # Errors
/// When model, positives and candidates do not belong together, no user has a positive, a score is not finite, the
/// model fails, or the caller asked to stop.
pub fn evaluate(scorer: &dyn Scorer, task: &Task<'_>, watch: &Watch<'_>) -> Result<Evaluation> {
    let positives = task.positives;
    check_shape("users", scorer.n_users(), positives.n_users())?;
    check_shape("items", scorer.n_items(), positives.n_items())?;
    let users: Vec<u32> = (0..positives.n_users()).filter(|&user| !positives.row(user).is_empty()).collect();
    if users.is_empty() {
        return Err(Error::NoPositives);
    }
    let n_items = scorer.n_items();
    let block = (BLOCK_SCORES / n_items.max(1)).clamp(1, BLOCK_USERS);
    let blocks: Vec<Result<Block>> = users
        .par_chunks(block)
        .map_init(Vec::new, |scores, users| {
            if (watch.stop)() {
                return Err(Error::Cancelled);
            }
            let rows = match task.full {
                Some(masks) => {
                    scores.resize(users.len() * n_items, 0.0);
                    rank_by_rows(scorer, task, masks, users, scores)
                }
                None => rank_by_lists(scorer, task, users, scores),
            };
            (watch.advance)(users.len() as u64);
            rows
        })
        .collect();
    let mut sampled = Vec::new();
    let mut full = Vec::new();
    // In order, so that of several errors always the same one is reported.
    for block in blocks {
        let block = block?;
        sampled.extend(block.sampled);
        full.extend(block.full);
    }
    let measures = task.measures.len();
    Ok(Evaluation {
        users,
        sampled: task.sampled.map(|_| Table::from_rows(measures, sampled)),
        full: task.full.map(|_| Table::from_rows(measures, full)),
    })
}

/// The rows of a block of users.
#[derive(Debug, Default)]
struct Block {
    sampled: Vec<Row>,
    full: Vec<Row>,
}

/// Scores all items for the users; the sampled protocol, if asked for, takes its scores out of these.
fn rank_by_rows(
    scorer: &dyn Scorer,
    task: &Task<'_>,
    masks: &[&Csr],
    users: &[u32],
    scores: &mut [f32],
) -> Result<Block> {
    scorer.score_all(users, scores)?;
    let mut block = Block::default();
    // There are items, since there are positives.
    for (&user, row) in users.iter().zip(scores.chunks_exact_mut(scorer.n_items())) {
        check_finite(user, row, |place| place as u32)?;
        if let Some(candidates) = task.sampled {
            let at = |item: u32| row.get(item as usize).copied().unwrap_or(f32::NAN);
            let (negatives, irregular) = task.negatives(candidates, user)?;
            let negatives: Vec<f32> = negatives.map(at).collect();
            let positives: Vec<f32> = task.positives.row(user).iter().map(|&item| at(item)).collect();
            block.sampled.push(task.rank_sampled(&positives, &negatives, irregular));
        }
        block.full.extend(task.rank_full(masks, user, row));
    }
    Ok(block)
}

/// Scores positives and candidates only.
fn rank_by_lists(scorer: &dyn Scorer, task: &Task<'_>, users: &[u32], scores: &mut Vec<f32>) -> Result<Block> {
    let mut block = Block::default();
    let Some(candidates) = task.sampled else { return Ok(block) };
    let mut items = Vec::new();
    for &user in users {
        let positives = task.positives.row(user);
        let (negatives, irregular) = task.negatives(candidates, user)?;
        items.clear();
        items.extend_from_slice(positives);
        items.extend(negatives);
        scores.clear();
        scores.resize(items.len(), 0.0);
        scorer.score_user(user, &items, scores)?;
        check_finite(user, scores, |place| items[place])?;
        let (positives, negatives) = scores.split_at(positives.len());
        block.sampled.push(task.rank_sampled(positives, negatives, irregular));
    }
    Ok(block)
}

fn check_shape(what: &'static str, model: usize, data: u32) -> Result<()> {
    let data = data as usize;
    if model == data { Ok(()) } else { Err(Error::Shape { what, model, data }) }
}

fn check_finite(user: u32, scores: &[f32], item: impl Fn(usize) -> u32) -> Result<()> {
    // One branch-free pass; the search for the culprit is rare.
    if scores.iter().fold(true, |all, score| all & score.is_finite()) {
        return Ok(());
    }
    match scores.iter().position(|score| !score.is_finite()) {
        Some(place) => Err(Error::NotFinite { user, item: item(place), score: scores[place] }),
        None => Ok(()),
    }
}
