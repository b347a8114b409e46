//! Item-based nearest neighbours.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::range::check_range;
use crate::model::scorer::{self, Scorer};
use crate::model::seen::{Seen, check_items};
use crate::model::{Architecture, Catalogue, Error, History, Init, Parameter, Refused, Result, Weights};

const INDEX: &str = "neighbours.index";
const SIMILARITY: &str = "neighbours.similarity";

/// Item-based nearest neighbours: an item's score is the sum of its similarities to those of its `neighbours` that the
/// user has in training (Deshpande & Karypis 2004; the neighbours are those of the scored item, as in
/// Ferrari Dacrema et al. 2019). The similarity is the cosine of the sets of users `U_i` and `U_j` that have the items
/// in training, damped where few users speak for it: `|U_i ∩ U_j| / (√(|U_i| |U_j|) + shrink)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemKnn {
    /// How many neighbours an item has. Of equally similar ones, those with smaller ids.
    #[serde(default = "default_neighbours")]
    #[schemars(range(min = 1, max = 65_536))]
    pub neighbours: u32,
    /// What is added to the denominator.
    #[serde(default)]
    pub shrink: f64,
}

/// In the middle of what Ferrari Dacrema et al. (2019) try: 5 to 800.
fn default_neighbours() -> u32 {
    100
}

impl ItemKnn {
    /// How many neighbours are stored for each item: not more than there are others.
    pub fn width(&self, catalogue: Catalogue) -> usize {
        (self.neighbours as usize).min((catalogue.n_items as usize).saturating_sub(1))
    }

    /// The weights of lists of [`ItemKnn::width`] neighbours, item by item. What fills up a list that is too short has
    /// the similarity 0.
    ///
    /// # Errors
    /// When the lists have another length.
    pub fn weights(&self, catalogue: Catalogue, index: Vec<i32>, similarity: Vec<f32>) -> Result<Weights> {
        Weights::of(vec![(SIMILARITY, similarity)], vec![(INDEX, index)], &self.parameters(catalogue))
    }
}

impl Architecture for ItemKnn {
    fn name(&self) -> &'static str {
        "item-kNN"
    }

    fn normalise(&mut self) -> Result<(), Refused> {
        if !(1..=65_536).contains(&self.neighbours) {
            let message = format!("must be between 1 and 65536, not {}", self.neighbours);
            return Err(Refused { field: "neighbours", message });
        }
        check_range("shrink", self.shrink, 0.0..=1e12)
    }

    fn parameters(&self, catalogue: Catalogue) -> Vec<Parameter> {
        let shape = [catalogue.n_items as usize, self.width(catalogue)];
        vec![Parameter::whole(INDEX, &shape), Parameter::new(SIMILARITY, &shape, Init::Zeros)]
    }

    fn scorer(
        &self,
        catalogue: Catalogue,
        weights: &Weights,
        history: &dyn History,
    ) -> Result<Box<dyn Scorer + Send + Sync>> {
        let seen = Seen::of(history, catalogue)?;
        Ok(Box::new(KnnScorer::new(seen, self.width(catalogue), &weights.whole(INDEX)?, &weights.real(SIMILARITY)?)?))
    }
}

/// Adds up, for each item of a user, its similarities to the items whose neighbour it is.
struct KnnScorer {
    seen: Seen,
    /// The items whose neighbour is item `i` are `entries[offsets[i]..offsets[i + 1]]`, with their similarities.
    offsets: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

impl KnnScorer {
    fn new(seen: Seen, width: usize, index: &[i32], similarity: &[f32]) -> Result<Self> {
        let n = seen.n_items();
        let mut offsets = vec![0; n + 1];
        let mut pairs = Vec::new();
        // `max(1)`: a single item has no neighbours.
        for (item, (index, similarity)) in
            (0_u32..).zip(index.chunks(width.max(1)).zip(similarity.chunks(width.max(1))))
        {
            for (&neighbour, &similarity) in index.iter().zip(similarity).filter(|pair| *pair.1 != 0.0) {
                let neighbour = usize::try_from(neighbour).ok().filter(|neighbour| *neighbour < n);
                let neighbour = neighbour.ok_or_else(|| Error::failed(format!("tensor `{INDEX}` names no item")))?;
                offsets[neighbour + 1] += 1;
                pairs.push((neighbour, item, similarity));
            }
        }
        for item in 0..n {
            offsets[item + 1] += offsets[item];
        }
        let mut next = offsets.clone();
        let mut entries = vec![(0, 0.0); pairs.len()];
        for (neighbour, item, similarity) in pairs {
            entries[next[neighbour]] = (item, similarity);
            next[neighbour] += 1;
        }
        Ok(Self { seen, offsets, entries })
    }

    /// The scores of a range of items.
    fn fill(&self, user: u32, items: &Range<u32>, out: &mut [f32]) -> scorer::Result<()> {
        out.fill(0.0);
        for &own in self.seen.row(user)? {
            // Ascending by item.
            let entries = &self.entries[self.offsets[own as usize]..self.offsets[own as usize + 1]];
            let entries = &entries[entries.partition_point(|entry| entry.0 < items.start)..];
            for &(item, similarity) in entries.iter().take_while(|entry| entry.0 < items.end) {
                out[(item - items.start) as usize] += similarity;
            }
        }
        Ok(())
    }
}

impl Scorer for KnnScorer {
    fn n_users(&self) -> usize {
        self.seen.n_users()
    }

    fn n_items(&self) -> usize {
        self.seen.n_items()
    }

    fn score_user(&self, user: u32, items: &[u32], out: &mut [f32]) -> scorer::Result<()> {
        check_items(items, self.n_items())?;
        let mut all = vec![0.0; self.n_items()];
        self.fill(user, &(0..self.n_items() as u32), &mut all)?;
        for (score, &item) in out.iter_mut().zip(items) {
            *score = all[item as usize];
        }
        Ok(())
    }

    fn score_tile(&self, users: &[u32], items: Range<u32>, out: &mut [f32]) -> scorer::Result<()> {
        // `max(1)`: without items there is nothing to score.
        for (&user, scores) in users.iter().zip(out.chunks_exact_mut(items.len().max(1))) {
            self.fill(user, &items, scores)?;
        }
        Ok(())
    }
}
