//! Pools of negatives: drawn once, stored, and shared by all that is compared.

mod draw;
mod file;

use rayon::prelude::*;

use crate::csr::Csr;
use crate::{Fault, Result};

pub use draw::{Draw, Drawn, EvalPool, ShortPool, TrainPool, Window};

/// The candidates that users' held-out positives are ranked against.
///
/// A list may hold an item twice (published pools do). It may also hold a held-out positive of its user, if it was
/// drawn that way: whoever ranks a positive must leave it out of its own candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    n_users: u32,
    n_items: u32,
    /// Ascending and distinct.
    users: Vec<u32>,
    /// The list of `users[k]` is `items[offsets[k]..offsets[k + 1]]`.
    offsets: Vec<usize>,
    items: Vec<u32>,
}

impl Pool {
    /// Lists of items, one for each of `users`: that of `users[k]` is `items[offsets[k]..offsets[k + 1]]`.
    ///
    /// # Errors
    /// When users or the items of a list are not ascending, ids are not below `n_users` and `n_items`, or the offsets
    /// do not fit.
    pub fn new(n_users: u32, n_items: u32, users: Vec<u32>, offsets: Vec<usize>, items: Vec<u32>) -> Result<Self> {
        if let Some((before, user)) = users.iter().zip(users.iter().skip(1)).find(|(before, user)| before >= user) {
            return Err(Fault::data(format!("user {user} comes after user {before}, not in ascending order")));
        }
        if let Some(user) = users.last().filter(|user| **user >= n_users) {
            return Err(Fault::data(format!("user id {user} is not below the number of users, {n_users}")));
        }
        let ends = (offsets.first(), offsets.last());
        if offsets.len() != users.len() + 1 || ends != (Some(&0), Some(&items.len())) || !offsets.is_sorted() {
            return Err(Fault::data(format!("offsets do not cut {} items into {} lists", items.len(), users.len())));
        }
        let pool = Self { n_users, n_items, users, offsets, items };
        for (user, list) in pool.rows() {
            if !list.is_sorted() {
                return Err(Fault::data(format!("the candidates of user {user} are not in ascending order")));
            }
            if let Some(item) = list.last().filter(|item| **item >= n_items) {
                return Err(Fault::data(format!(
                    "item id {item}, a candidate of user {user}, is not below the number of items, {n_items}"
                )));
            }
        }
        Ok(pool)
    }

    /// How many users the data has, with or without candidates.
    pub fn n_users(&self) -> u32 {
        self.n_users
    }

    /// How many items the data has.
    pub fn n_items(&self) -> u32 {
        self.n_items
    }

    /// How many users have a list.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether no user has a list.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The candidates of a user, ascending; `None` for a user without a list.
    pub fn candidates(&self, user: u32) -> Option<&[u32]> {
        let k = self.users.binary_search(&user).ok()?;
        Some(&self.items[self.offsets[k]..self.offsets[k + 1]])
    }

    /// How many candidates are among these interactions of their user, and the first of them: user and item.
    pub fn among(&self, known: &Csr) -> (u64, Option<(u32, u32)>) {
        let of = |k: usize| {
            let (user, list) = (self.users[k], &self.items[self.offsets[k]..self.offsets[k + 1]]);
            let row = if user < known.n_users() { known.row(user) } else { &[] };
            let mut found = (0, None);
            let mut add = |item: u32, times: usize| {
                found.0 += times as u64;
                found.1 = found.1.or((times > 0).then_some((user, item)));
            };
            // Those of the shorter are looked up in the longer, so that large pools cost little beside their ranking.
            if row.len() < list.len() {
                for &item in row {
                    let later = &list[list.partition_point(|candidate| *candidate < item)..];
                    add(item, later.iter().take_while(|candidate| **candidate == item).count());
                }
            } else {
                for item in list {
                    add(*item, usize::from(row.binary_search(item).is_ok()));
                }
            }
            found
        };
        let lists = (0..self.users.len()).into_par_iter().with_min_len(64).map(of);
        lists.reduce(|| (0, None), |one, other| (one.0 + other.0, one.1.or(other.1)))
    }

    /// All lists, by user.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[u32])> {
        let lists = self.offsets.windows(2).map(|bounds| &self.items[bounds[0]..bounds[1]]);
        self.users.iter().copied().zip(lists)
    }
}

#[cfg(test)]
mod tests;
