//! What a model is trained on: positives, and the negatives drawn beside them.

use crate::data::csr::Csr;
use crate::data::proposal::Proposal;
use crate::data::rng::{Permutation, Philox, Stream};
use crate::data::sample::{NONE, Sampler};
use crate::model::Catalogue;
use crate::train::engine::Batch;
use crate::train::{Error, Exclude, Result};

/// Positives: user `users[k]` has item `items[k]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pairs<'a> {
    /// Dense ids of users.
    pub users: &'a [u32],
    /// Dense ids of items.
    pub items: &'a [u32],
}

impl Pairs<'_> {
    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

/// The data of a run.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The users and items that there are.
    pub catalogue: Catalogue,
    /// What the model learns from. The order counts: it is the order in which negatives are drawn.
    pub train: Pairs<'a>,
    /// What it is validated on between epochs; may be empty.
    pub valid: Pairs<'a>,
    /// What it will be tested on, known here only so that it can be kept out of the negatives; may be empty.
    pub test: Pairs<'a>,
}

/// The negatives of the validation come from where no epoch draws its own.
const VALIDATION: u32 = u32::MAX;

/// Draws a run's samples.
#[derive(Debug)]
pub(super) struct Source<'a> {
    data: Data<'a>,
    each: usize,
    exclude: Exclude,
    seed: u64,
    /// What is never drawn as a negative in training.
    seen: Csr,
    /// Positives of users who have every item, and so no negatives.
    saturated: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(data: Data<'a>, each: u32, exclude: Exclude, seed: u64) -> Result<Self> {
        if data.train.is_empty() {
            return Err(Error::data("the split has no training rows").help("filter less, or split off fewer rows"));
        }
        let seen = match exclude {
            Exclude::Train => union(&data, &[data.train])?,
            Exclude::All => union(&data, &[data.train, data.valid, data.test])?,
        };
        let all = data.catalogue.n_items as usize;
        let saturated = data.train.users.iter().filter(|&&user| seen.row(user).len() == all).count();
        Ok(Self { data, each: each as usize, exclude, seed, seen, saturated })
    }

    /// The number of samples of an epoch.
    pub(super) fn len(&self) -> u64 {
        let positives = self.data.train.len() as u64;
        positives + (positives - self.saturated as u64) * self.each as u64
    }

    /// The number of training positives that have no negatives, because the user has every item.
    pub(super) fn saturated(&self) -> usize {
        self.saturated
    }

    /// The samples of an epoch, from place `place` of its order on.
    pub(super) fn epoch(&self, epoch: u32, place: u64) -> Result<Epoch<'a>> {
        let negatives = self.draw(&self.seen, self.data.train.users, epoch)?;
        let places = (self.data.train.len() + negatives.len()) as u64;
        let order = Permutation::new(Philox::new(self.seed, Stream::EpochOrder), epoch, places);
        Ok(Epoch { positives: self.data.train, negatives, each: self.each, order, place })
    }

    /// The validation samples, the same at each call: every positive, followed by its negatives. Those avoid what is
    /// known by then, the validation positives among it.
    pub(super) fn validation(&self) -> Result<Samples> {
        let Data { train, valid, .. } = self.data;
        let mut samples = Samples::default();
        if valid.is_empty() {
            return Ok(samples);
        }
        let negatives = match self.exclude {
            Exclude::Train => self.draw(&union(&self.data, &[train, valid])?, valid.users, VALIDATION)?,
            Exclude::All => self.draw(&self.seen, valid.users, VALIDATION)?,
        };
        for (k, (&user, &item)) in valid.users.iter().zip(valid.items).enumerate() {
            samples.push(user, item, 1.0);
            for &negative in negatives[k * self.each..][..self.each].iter().filter(|&&item| item != NONE) {
                samples.push(user, negative, 0.0);
            }
        }
        Ok(samples)
    }

    fn draw(&self, seen: &Csr, users: &[u32], sub: u32) -> Result<Vec<u32>> {
        let count = users.len().checked_mul(self.each).filter(|count| *count <= isize::MAX as usize / 4);
        let count = count.ok_or_else(|| Error::data("an epoch has more negatives than memory has addresses"))?;
        let philox = Philox::new(self.seed, Stream::Negatives);
        let mut negatives = vec![NONE; count];
        let proposal = Proposal::Uniform { n_items: self.data.catalogue.n_items };
        Sampler::new(seen, &proposal)?.fill(philox, sub, users, self.each, &mut negatives)?;
        Ok(negatives)
    }
}

fn union(data: &Data<'_>, parts: &[Pairs<'_>]) -> Result<Csr> {
    let parts: Vec<_> = parts.iter().map(|pairs| (pairs.users, pairs.items)).collect();
    Ok(Csr::union(data.catalogue.n_users, data.catalogue.n_items, &parts)?)
}

/// Samples side by side.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    users: Vec<u32>,
    items: Vec<u32>,
    labels: Vec<f32>,
}

impl Samples {
    fn push(&mut self, user: u32, item: u32, label: f32) {
        self.users.push(user);
        self.items.push(item);
        self.labels.push(label);
    }

    fn clear(&mut self) {
        self.users.clear();
        self.items.clear();
        self.labels.clear();
    }

    /// The samples in pieces of at most `size`.
    pub(super) fn batches(&self, size: usize) -> impl Iterator<Item = Batch<'_>> {
        let columns = self.users.chunks(size).zip(self.items.chunks(size)).zip(self.labels.chunks(size));
        columns.map(|((users, items), labels)| Batch { users, items, labels })
    }

    /// All samples as one batch.
    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { users: &self.users, items: &self.items, labels: &self.labels }
    }
}

/// One pass over all positives and as many fresh negatives for each as asked for, in random order.
#[derive(Debug)]
pub(super) struct Epoch<'a> {
    positives: Pairs<'a>,
    /// Those of positive `k` begin at `k · each`; [`NONE`] where the user has every item.
    negatives: Vec<u32>,
    each: usize,
    order: Permutation,
    place: u64,
}

impl Epoch<'_> {
    /// How far the order has been walked.
    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// Fills `out` with the next `size` samples, or what is left of them; false if nothing is left.
    pub(super) fn next_batch(&mut self, size: usize, out: &mut Samples) -> bool {
        out.clear();
        while out.labels.len() < size && self.place < self.order.len() {
            let sample = self.order.get(self.place) as usize;
            self.place += 1;
            // Positives are numbered first, then the negatives.
            match sample.checked_sub(self.positives.len()) {
                None => out.push(self.positives.users[sample], self.positives.items[sample], 1.0),
                Some(k) if self.negatives[k] == NONE => {}
                Some(k) => out.push(self.positives.users[k / self.each], self.negatives[k], 0.0),
            }
        }
        !out.labels.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const USERS: [u32; 6] = [0, 0, 0, 1, 2, 2];
    const ITEMS: [u32; 6] = [0, 1, 2, 0, 3, 1];

    fn data(n_items: u32) -> Data<'static> {
        Data {
            catalogue: Catalogue { n_users: 4, n_items },
            train: Pairs { users: &USERS, items: &ITEMS },
            valid: Pairs { users: &[0, 1], items: &[3, 1] },
            test: Pairs { users: &[1], items: &[2] },
        }
    }

    fn epoch(source: &Source<'_>, epoch: u32, size: usize) -> Vec<(u32, u32, u32)> {
        let (mut epoch, mut batch, mut out) = (source.epoch(epoch, 0).unwrap(), Samples::default(), Vec::new());
        while epoch.next_batch(size, &mut batch) {
            let Batch { users, items, labels } = batch.batch();
            assert!(labels.len() <= size);
            out.extend(users.iter().zip(items).zip(labels).map(|((&u, &i), &y)| (u, i, y as u32)));
        }
        out
    }

    #[test]
    fn an_epoch_has_each_positive_once_and_the_asked_number_of_negatives_for_it() {
        let source = Source::new(data(8), 3, Exclude::Train, 1).unwrap();
        let samples = epoch(&source, 0, 5);
        assert_eq!((samples.len(), source.len()), (24, 24));
        let mut positives: Vec<_> = samples.iter().filter(|s| s.2 == 1).map(|s| (s.0, s.1)).collect();
        positives.sort_unstable();
        let mut expected: Vec<_> = USERS.into_iter().zip(ITEMS).collect();
        expected.sort_unstable();
        assert_eq!(positives, expected);
        let mut negatives = BTreeMap::new();
        samples.iter().filter(|s| s.2 == 0).for_each(|s| *negatives.entry(s.0).or_insert(0) += 1);
        assert_eq!(negatives, [(0, 9), (1, 3), (2, 6)].into());
        assert!(samples.iter().filter(|s| s.2 == 0).all(|s| !expected.contains(&(s.0, s.1))));
    }

    #[test]
    fn epochs_differ_but_do_not_depend_on_the_batch_size() {
        let source = Source::new(data(8), 3, Exclude::Train, 1).unwrap();
        assert_eq!(epoch(&source, 0, 5), epoch(&source, 0, 24));
        assert_ne!(epoch(&source, 0, 5), epoch(&source, 1, 5));
        assert_ne!(epoch(&source, 0, 5), epoch(&Source::new(data(8), 3, Exclude::Train, 2).unwrap(), 0, 5));
    }

    #[test]
    fn an_epoch_can_be_entered_in_the_middle() {
        let source = Source::new(data(8), 3, Exclude::Train, 1).unwrap();
        let (mut whole, mut samples) = (source.epoch(0, 0).unwrap(), Samples::default());
        whole.next_batch(7, &mut samples);
        let mut rest = source.epoch(0, whole.place()).unwrap();
        let mut other = Samples::default();
        while whole.next_batch(7, &mut samples) {
            assert!(rest.next_batch(7, &mut other));
            assert_eq!((&samples.users, &samples.items), (&other.users, &other.items));
        }
        assert!(!rest.next_batch(7, &mut other));
    }

    #[test]
    fn held_out_positives_are_negatives_or_not_as_asked() {
        let held_out = |exclude| {
            let source = Source::new(data(5), 4, exclude, 1).unwrap();
            let drawn = (0..50).flat_map(|e| epoch(&source, e, 64)).filter(|s| s.2 == 0);
            drawn.filter(|s| [(0, 3), (1, 1), (1, 2)].contains(&(s.0, s.1))).count()
        };
        assert!(held_out(Exclude::Train) > 0);
        assert_eq!(held_out(Exclude::All), 0);
    }

    #[test]
    fn a_user_with_every_item_has_no_negatives_and_is_counted() {
        let source = Source::new(
            Data { catalogue: Catalogue { n_users: 4, n_items: 3 }, valid: Pairs::default(), ..data(3) },
            2,
            Exclude::Train,
            1,
        );
        assert!(source.is_err(), "item 3 is outside of a catalogue of 3");
        let (users, items) = ([0, 0, 0, 1], [0, 1, 2, 0]);
        let small = Data { train: Pairs { users: &users, items: &items }, valid: Pairs::default(), ..data(3) };
        let source = Source::new(small, 2, Exclude::Train, 1).unwrap();
        assert_eq!((source.saturated(), source.len()), (3, 6));
        let samples = epoch(&source, 0, 4);
        assert_eq!(samples.len(), 6);
        assert!(samples.iter().all(|s| s.2 == 1 || s.0 == 1));
    }

    #[test]
    fn validation_samples_are_the_same_each_time_and_avoid_what_is_known_by_then() {
        let source = Source::new(data(5), 4, Exclude::Train, 1).unwrap();
        let (one, two) = (source.validation().unwrap(), source.validation().unwrap());
        assert_eq!((&one.users, &one.items, &one.labels), (&two.users, &two.items, &two.labels));
        assert_eq!(one.labels, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        // User 0 has items 0 to 2 and now 3: only item 4 is left.
        assert_eq!(one.items[..5], [3, 4, 4, 4, 4]);
        assert!(one.items[6..].iter().all(|item| [2, 3, 4].contains(item)));
    }

    #[test]
    fn no_training_rows_are_an_error() {
        let empty = Data { train: Pairs::default(), ..data(5) };
        assert!(Source::new(empty, 4, Exclude::Train, 1).unwrap_err().message.contains("no training rows"));
    }
}
