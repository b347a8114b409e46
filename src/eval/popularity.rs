//! The baseline without which no result means anything.

use std::ops::Range;

use crate::model::scorer::{Result, Scorer};

/// Recommends to everybody what most users have.
#[derive(Debug, Clone, PartialEq)]
pub struct Popularity {
    n_users: usize,
    scores: Vec<f32>,
}

impl Popularity {
    /// The baseline for items that `counts` users have, item by item.
    ///
    /// The score of an item is the number of distinct smaller counts: the same order and the same ties as the counts,
    /// but exact in an `f32`, which the counts would not be above 2^24.
    pub fn new(n_users: usize, counts: &[u32]) -> Self {
        let mut distinct = counts.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let scores = counts.iter().map(|count| distinct.partition_point(|other| other < count) as f32).collect();
        Self { n_users, scores }
    }
}

impl Scorer for Popularity {
    fn n_users(&self) -> usize {
        self.n_users
    }

    fn n_items(&self) -> usize {
        self.scores.len()
    }

    fn score_user(&self, _: u32, items: &[u32], out: &mut [f32]) -> Result<()> {
        for (&item, score) in items.iter().zip(out) {
            *score = self.scores.get(item as usize).copied().unwrap_or(0.0);
        }
        Ok(())
    }

    fn score_tile(&self, _: &[u32], items: Range<u32>, out: &mut [f32]) -> Result<()> {
        let scores = self.scores.get(items.start as usize..items.end as usize).unwrap_or_default();
        // `max(1)`: without items there is nothing to write.
        out.chunks_exact_mut(scores.len().max(1)).for_each(|row| row.copy_from_slice(scores));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_and_the_ties_are_those_of_the_counts() {
        let popularity = Popularity::new(1, &[5, 0, 16_777_217, 5, 16_777_216]);
        let mut scores = [0.0; 5];
        popularity.score_user(0, &[0, 1, 2, 3, 4], &mut scores).unwrap();
        assert_eq!(scores, [1.0, 0.0, 3.0, 1.0, 2.0]);
    }

    #[test]
    fn all_users_get_the_same_scores() {
        let popularity = Popularity::new(2, &[1, 3]);
        let mut scores = [9.0; 4];
        popularity.score_all(&[0, 1], &mut scores).unwrap();
        assert_eq!(scores, [0.0, 1.0, 0.0, 1.0]);
    }
}
