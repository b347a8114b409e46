//! What users have, kept by scorers that sum over it.

use crate::model::scorer::{self, ScoreError};
use crate::model::{Catalogue, Error, History, Result};

/// A copy of a history, for scorers that outlive it.
pub(super) struct Seen {
    n_items: u32,
    /// Row `u` is `items[offsets[u]..offsets[u + 1]]`.
    offsets: Vec<usize>,
    items: Vec<u32>,
}

impl Seen {
    pub(super) fn of(history: &dyn History, Catalogue { n_users, n_items }: Catalogue) -> Result<Self> {
        let mut offsets = vec![0];
        let mut items = Vec::new();
        for user in 0..n_users {
            items.extend_from_slice(history.items(user));
            offsets.push(items.len());
        }
        match items.iter().find(|item| **item >= n_items) {
            Some(item) => Err(Error::failed(format!("a user has item {item}, and the model knows {n_items} items"))),
            None => Ok(Self { n_items, offsets, items }),
        }
    }

    pub(super) fn n_users(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn n_items(&self) -> usize {
        self.n_items as usize
    }

    /// The items of a user, ascending.
    pub(super) fn row(&self, user: u32) -> scorer::Result<&[u32]> {
        let bounds = self.offsets.get(user as usize..).and_then(|rest| rest.first_chunk::<2>());
        let &[start, end] = bounds.ok_or_else(|| ScoreError::new(format!("the model has no user {user}")))?;
        Ok(&self.items[start..end])
    }
}

/// Refuses an item that the model does not know.
pub(super) fn check_items(items: &[u32], n_items: usize) -> scorer::Result<()> {
    match items.iter().find(|item| **item as usize >= n_items) {
        Some(item) => Err(ScoreError::new(format!("the model has no item {item}"))),
        None => Ok(()),
    }
}
