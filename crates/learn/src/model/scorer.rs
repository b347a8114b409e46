//! What evaluation and recommendation need of a model: scores.

use std::fmt::Display;
use std::ops::Range;

/// The result of scoring.
pub type Result<T, E = ScoreError> = std::result::Result<T, E>;

/// Scoring failed inside the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScoreError {
    /// What is wrong, in lower case, with names in backticks.
    pub message: String,
}

impl ScoreError {
    /// Scoring failed for this reason.
    pub fn new(message: impl Display) -> Self {
        Self { message: message.to_string() }
    }
}

/// Gives every pair of a user and an item a number: the higher, the rather the item is recommended.
///
/// Only the order of one user's scores matters, so logits and probabilities are equally good. A pair has the same
/// score, to the last bit, in every method, whatever other pairs are asked for in the same call and whatever the number
/// of threads: ranks are found by comparing scores of several calls, and results could not be reproduced otherwise.
///
/// Ids are dense, below [`Scorer::n_users`] and [`Scorer::n_items`]; callers check this before they ask. Calls come
/// from several threads at once.
pub trait Scorer: Sync {
    /// The number of users that the model knows.
    fn n_users(&self) -> usize;

    /// The number of items that the model knows.
    fn n_items(&self) -> usize;

    /// Scores some items for one user: `out[j]` is the score of `items[j]`; both have the same length. An item may
    /// be listed more than once.
    ///
    /// # Errors
    /// When the model's arithmetic fails.
    fn score_user(&self, user: u32, items: &[u32], out: &mut [f32]) -> Result<()>;

    /// Scores a range of items for a block of users. `out` is `users.len()` × `items.len()`, row by row.
    ///
    /// Full ranking asks for all scores by this method, some dozens of users and about a thousand items at a time, the
    /// range beginning at a multiple of 1,024. The default asks [`Scorer::score_user`].
    ///
    /// # Errors
    /// When the model's arithmetic fails.
    fn score_tile(&self, users: &[u32], items: Range<u32>, out: &mut [f32]) -> Result<()> {
        let items: Vec<u32> = items.collect();
        // `max(1)`: without items there is nothing to score, and no rows of length 0 to walk.
        for (&user, row) in users.iter().zip(out.chunks_exact_mut(items.len().max(1))) {
            self.score_user(user, &items, row)?;
        }
        Ok(())
    }

    /// Scores all items for a block of users. `out` is `users.len()` × [`Scorer::n_items`], row by row.
    ///
    /// # Errors
    /// When the model's arithmetic fails.
    fn score_all(&self, users: &[u32], out: &mut [f32]) -> Result<()> {
        self.score_tile(users, 0..self.n_items() as u32, out)
    }
}
