//! The nearest neighbours of all items.

use rayon::prelude::*;

use crate::data::csr::Csr;
use crate::data::maths::ln;
use crate::fit::memory::zeros;
use crate::fit::{Result, Watch};
use crate::model::{Catalogue, ItemKnn, Weighting};

/// The ids and similarities of the neighbours of each item, [`ItemKnn::width`] an item, the most similar first and
/// equally similar ones by id. Short lists end with the item itself and the similarity 0.
pub(super) fn neighbours(knn: &ItemKnn, train: &Csr, watch: Watch<'_>) -> Result<(Vec<i32>, Vec<f32>)> {
    let n = train.n_items() as usize;
    let width = knn.width(Catalogue { n_users: train.n_users(), n_items: train.n_items() });
    let (mut index, mut similarity) = (zeros(n * width)?, zeros(n * width)?);
    (watch.start)(n as u64, "items");
    if width == 0 {
        return Ok((index, similarity));
    }
    let users_of = train.transpose();
    let scale = Scale::of(knn, train, &users_of);
    let lists = index.par_chunks_mut(width).zip(similarity.par_chunks_mut(width)).enumerate();
    lists.try_for_each_init(
        || Scratch { shared: vec![UNSEEN; n], nearest: Vec::new() },
        |scratch, (item, (index, similarity))| -> Result<()> {
            watch.check()?;
            scratch.search(&scale, train, &users_of, item as u32);
            scratch.sift(item as u32, knn.neighbours as usize);
            index.fill(item as i32);
            for (place, (other, value)) in scratch.nearest.iter().take(width).enumerate() {
                index[place] = *other as i32;
                similarity[place] = *value as f32;
            }
            (watch.advance)(1);
            Ok(())
        },
    )?;
    Ok((index, similarity))
}

/// What stands for an item that shares no user, until it does: no sum is negative.
const UNSEEN: f64 = -1.0;

/// What turns the users that two items share into their similarity; see [`Weighting`].
struct Scale {
    /// What each user adds for an item that two items share.
    of_user: Vec<f64>,
    /// What a sum is divided by, or multiplied with, for each of the two items.
    of_item: Vec<f64>,
    /// What is added to the denominator; `None` where there is none.
    shrink: Option<f64>,
}

impl Scale {
    fn of(knn: &ItemKnn, train: &Csr, users_of: &Csr) -> Self {
        let idf_squared = |user: u32| {
            let idf = ln(f64::from(train.n_items())) - ln(1.0 + train.row(user).len() as f64);
            idf * idf
        };
        let (users, items) = (0..train.n_users(), 0..train.n_items());
        let of_user: Vec<f64> = match knn.weighting {
            Weighting::Cosine {} => vec![1.0; users.len()],
            Weighting::TfIdf {} | Weighting::Bm25 { .. } => users.map(idf_squared).collect(),
        };
        let length = |item: u32| users_of.row(item).len() as f64;
        let mean = train.len() as f64 / items.len().max(1) as f64;
        let of_item: Vec<f64> = match knn.weighting {
            Weighting::Bm25 { k1, b } => {
                items.map(|item| (k1 + 1.0) / (k1 * (1.0 - b + b * length(item) / mean) + 1.0)).collect()
            }
            _ => items.map(|item| users_of.row(item).iter().map(|user| of_user[*user as usize]).sum()).collect(),
        };
        let shrink = (!matches!(knn.weighting, Weighting::Bm25 { .. })).then_some(knn.shrink);
        Self { of_user, of_item, shrink }
    }

    /// The similarity of two items whose common users add up to `sum`.
    fn similarity(&self, sum: f64, one: u32, other: u32) -> f64 {
        let both = self.of_item[one as usize] * self.of_item[other as usize];
        match self.shrink {
            // Users who tell nothing leave 0 above and below the line.
            Some(_) if sum == 0.0 => 0.0,
            // Equal fractions of whole numbers are equal to the last bit this way, so that ties are ties.
            Some(0.0) => (sum * sum / both).sqrt(),
            Some(shrink) => sum / (both.sqrt() + shrink),
            None => sum * both,
        }
    }
}

/// What one thread needs to look for neighbours.
struct Scratch {
    /// What the users whom each item shares with the one at hand add up to; [`UNSEEN`] between two searches.
    shared: Vec<f64>,
    nearest: Vec<(u32, f64)>,
}

impl Scratch {
    /// Brings all items that share a user with `item` into `nearest`.
    fn search(&mut self, scale: &Scale, train: &Csr, users_of: &Csr, item: u32) {
        self.nearest.clear();
        for &user in users_of.row(item) {
            let gain = scale.of_user[user as usize];
            for &other in train.row(user) {
                let sum = &mut self.shared[other as usize];
                if *sum < 0.0 {
                    *sum = 0.0;
                    self.nearest.push((other, 0.0));
                }
                *sum += gain;
            }
        }
        for (other, similarity) in &mut self.nearest {
            let sum = std::mem::replace(&mut self.shared[*other as usize], UNSEEN);
            *similarity = scale.similarity(sum, item, *other);
        }
    }

    /// Leaves the nearest `wanted`, in order, without the item itself.
    fn sift(&mut self, item: u32, wanted: usize) {
        self.nearest.retain(|(other, _)| *other != item);
        let order = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if wanted < self.nearest.len() {
            self.nearest.select_nth_unstable_by(wanted, order);
            self.nearest.truncate(wanted);
        }
        self.nearest.sort_unstable_by(order);
    }
}
