//! The baseline without which no result means anything.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::scorer::{self, Scorer};
use crate::model::seen::check_items;
use crate::model::{Architecture, Catalogue, Error, History, Parameter, Refused, Result, Weights};

const COUNTS: &str = "item_counts";

/// Recommends to everybody what most users have in training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Popularity {}

impl Popularity {
    /// The weights for items that `counts` users have, item by item.
    ///
    /// # Errors
    /// When the counts are not those of the catalogue's items.
    pub fn weights(&self, catalogue: Catalogue, counts: &[u32]) -> Result<Weights> {
        let counts = counts.iter().map(|&count| i32::try_from(count)).collect::<Result<Vec<_>, _>>();
        let counts = counts.map_err(|_| Error::failed("an item has more users than there are ids"))?;
        Weights::of(vec![], vec![(COUNTS, counts)], &self.parameters(catalogue))
    }
}

impl Architecture for Popularity {
    fn name(&self) -> &'static str {
        "popularity"
    }

    fn normalise(&mut self) -> Result<(), Refused> {
        Ok(())
    }

    fn parameters(&self, catalogue: Catalogue) -> Vec<Parameter> {
        vec![Parameter::whole(COUNTS, &[catalogue.n_items as usize])]
    }

    fn scorer(
        &self,
        catalogue: Catalogue,
        weights: &Weights,
        _: &dyn History,
    ) -> Result<Box<dyn Scorer + Send + Sync>> {
        let counts = weights.whole(COUNTS)?.into_iter().map(u32::try_from).collect::<Result<Vec<_>, _>>();
        let counts = counts.map_err(|_| Error::failed(format!("tensor `{COUNTS}` has a negative number")))?;
        Ok(Box::new(ByCount::new(catalogue.n_users as usize, &counts)))
    }
}

/// Scores items by how many users have them.
#[derive(Debug, Clone, PartialEq)]
pub struct ByCount {
    n_users: usize,
    scores: Vec<f32>,
}

impl ByCount {
    /// Scores for items that `counts` users have, item by item.
    ///
    /// The score of an item is its count; where one is above 2^24, which an `f32` does not hold exactly, it is the number
    /// of distinct smaller counts: the same order and the same ties.
    pub fn new(n_users: usize, counts: &[u32]) -> Self {
        const EXACT: u32 = 1 << 24;
        if counts.iter().all(|&count| count <= EXACT) {
            return Self { n_users, scores: counts.iter().map(|&count| count as f32).collect() };
        }
        let mut distinct = counts.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let scores = counts.iter().map(|count| distinct.partition_point(|other| other < count) as f32).collect();
        Self { n_users, scores }
    }
}

impl Scorer for ByCount {
    fn n_users(&self) -> usize {
        self.n_users
    }

    fn n_items(&self) -> usize {
        self.scores.len()
    }

    fn score_user(&self, _: u32, items: &[u32], out: &mut [f32]) -> scorer::Result<()> {
        check_items(items, self.scores.len())?;
        for (&item, score) in items.iter().zip(out) {
            *score = self.scores[item as usize];
        }
        Ok(())
    }

    fn score_tile(&self, _: &[u32], items: Range<u32>, out: &mut [f32]) -> scorer::Result<()> {
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
        let popularity = ByCount::new(1, &[5, 0, 16_777_217, 5, 16_777_216]);
        let mut scores = [0.0; 5];
        popularity.score_user(0, &[0, 1, 2, 3, 4], &mut scores).unwrap();
        assert_eq!(scores, [1.0, 0.0, 3.0, 1.0, 2.0]);
    }

    #[test]
    fn all_users_get_the_same_scores() {
        let popularity = ByCount::new(2, &[1, 3]);
        let mut scores = [9.0; 4];
        popularity.score_all(&[0, 1], &mut scores).unwrap();
        assert_eq!(scores, [1.0, 3.0, 1.0, 3.0]);
    }
}
