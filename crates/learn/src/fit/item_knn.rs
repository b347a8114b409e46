//! The nearest neighbours of all items.

use rayon::prelude::*;

use crate::data::csr::Csr;
use crate::fit::memory::zeros;
use crate::fit::{Result, Watch};
use crate::model::{Catalogue, ItemKnn};

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
    let lists = index.par_chunks_mut(width).zip(similarity.par_chunks_mut(width)).enumerate();
    lists.try_for_each_init(
        || Scratch { counts: vec![0; n], nearest: Vec::new() },
        |scratch, (item, (index, similarity))| -> Result<()> {
            watch.check()?;
            scratch.search(knn, train, &users_of, item as u32);
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

/// What one thread needs to look for neighbours.
struct Scratch {
    /// How many users each item shares with the one at hand; all zero between two searches.
    counts: Vec<u32>,
    nearest: Vec<(u32, f64)>,
}

impl Scratch {
    /// Brings all items that share a user with `item` into `nearest`, the nearest `knn.neighbours` in order.
    fn search(&mut self, knn: &ItemKnn, train: &Csr, users_of: &Csr, item: u32) {
        self.nearest.clear();
        for &user in users_of.row(item) {
            for &other in train.row(user) {
                let count = &mut self.counts[other as usize];
                if *count == 0 {
                    self.nearest.push((other, 0.0));
                }
                *count += 1;
            }
        }
        let users = |item: u32| users_of.row(item).len() as f64;
        for (other, similarity) in &mut self.nearest {
            let shared = std::mem::take(&mut self.counts[*other as usize]);
            *similarity = f64::from(shared) / ((users(item) * users(*other)).sqrt() + knn.shrink);
        }
        self.nearest.retain(|(other, _)| *other != item);
        let order = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let wanted = knn.neighbours as usize;
        if wanted < self.nearest.len() {
            self.nearest.select_nth_unstable_by(wanted, order);
            self.nearest.truncate(wanted);
        }
        self.nearest.sort_unstable_by(order);
    }
}
