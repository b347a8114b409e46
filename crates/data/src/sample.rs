//! Negative samples: items that a user has no positive for, drawn exactly and without rejection.
//!
//! A draw takes one random word. The word is mapped onto the mass of the items that are left when the user's own are
//! taken away, and a binary search over the user's sorted items finds the item there. So a draw costs the logarithm of
//! the row's length however dense the row is, it cannot loop, and draw number k is a function of the seed and k alone.

use std::hint::select_unpredictable;

use rayon::prelude::*;

use crate::csr::Csr;
use crate::proposal::Proposal;
use crate::rng::{Philox, Sequence, below};
use crate::{Fault, Result};

/// Stands in place of a negative for a user who has every item.
pub const NONE: u32 = u32::MAX;

/// The items outside one sorted row, ready to be drawn from.
#[derive(Debug, Clone)]
struct Complement<'a> {
    proposal: &'a Proposal,
    row: &'a [u32],
    /// For weights: the mass left before each item of the row, and the mass of the row before it.
    left: Vec<u64>,
    taken: Vec<u64>,
    mass: u64,
}

impl<'a> Complement<'a> {
    fn new(proposal: &'a Proposal, row: &'a [u32]) -> Self {
        let mut new = Self { proposal, row: &[], left: Vec::new(), taken: Vec::new(), mass: 0 };
        new.set(row);
        new
    }

    /// Takes the items of `row` away, and only those. They must be ascending, distinct and in range.
    fn set(&mut self, row: &'a [u32]) {
        self.row = row;
        let mut taken = row.len() as u64;
        if let Proposal::Weighted(weights) = self.proposal {
            self.left.clear();
            self.taken.clear();
            taken = 0;
            for &item in row {
                let (start, end) = weights.span(item);
                self.left.push(start - taken);
                self.taken.push(taken);
                taken += end - start;
            }
            self.taken.push(taken);
        }
        self.mass = self.proposal.total() - taken;
    }

    /// The item that a random word stands for; [`NONE`] when no item is left.
    #[inline]
    fn item(&self, word: u64) -> u32 {
        if self.mass == 0 {
            return NONE;
        }
        let mass = below(word, self.mass);
        match self.proposal {
            Proposal::Uniform { .. } => unseen(self.row, mass as u32),
            Proposal::Weighted(weights) => {
                let before = self.left.partition_point(|&left| left <= mass);
                weights.item_at(mass + self.taken[before])
            }
        }
    }

    /// [`Complement::item`] for each of the words.
    fn items(&self, words: &[u64], out: &mut [u32]) {
        const LANES: usize = 8;
        let mut done = 0;
        if matches!(self.proposal, Proposal::Uniform { .. }) && self.mass > 0 {
            for (words, out) in words.chunks_exact(LANES).zip(out.chunks_exact_mut(LANES)) {
                let ranks: [u32; LANES] = std::array::from_fn(|lane| below(words[lane], self.mass) as u32);
                out.copy_from_slice(&unseen_lanes(self.row, ranks));
            }
            done = words.len() - words.len() % LANES;
        }
        for (word, out) in words[done..].iter().zip(&mut out[done..]) {
            *out = self.item(*word);
        }
    }
}

/// Item number `rank` among those not in `row`.
#[inline]
fn unseen(row: &[u32], rank: u32) -> u32 {
    unseen_lanes(row, [rank])[0]
}

/// [`unseen`] for several ranks. The searches go in step, so that none waits for the memory of another, and without
/// branches, because a random rank makes each one unpredictable.
#[inline]
fn unseen_lanes<const LANES: usize>(row: &[u32], ranks: [u32; LANES]) -> [u32; LANES] {
    // row[k] - k items are left before row[k]. That does not descend, so a search finds how many items of the row come
    // before the wanted one.
    let mut before = [0u32; LANES];
    let mut size = row.len() as u32;
    while size > 0 {
        let half = size.div_ceil(2);
        for (before, rank) in before.iter_mut().zip(ranks) {
            let probe = *before + half - 1;
            *before = select_unpredictable(row[probe as usize] - probe <= rank, probe + 1, *before);
        }
        size -= half;
    }
    std::array::from_fn(|lane| ranks[lane] + before[lane])
}

/// Draws items that users do not have.
#[derive(Debug, Clone, Copy)]
pub struct Sampler<'a> {
    seen: &'a Csr,
    proposal: &'a Proposal,
}

impl<'a> Sampler<'a> {
    /// A sampler that never draws an item of the user's row in `seen`.
    ///
    /// # Errors
    /// When `seen` and `proposal` are not about the same number of items.
    pub fn new(seen: &'a Csr, proposal: &'a Proposal) -> Result<Self> {
        if seen.n_items() != proposal.n_items() {
            return Err(Fault::data(format!(
                "weights of {} items stand beside rows over {} items",
                proposal.n_items(),
                seen.n_items()
            )));
        }
        Ok(Self { seen, proposal })
    }

    /// How many items the user does not have.
    pub fn unseen(&self, user: u32) -> usize {
        self.seen.n_items() as usize - self.seen.row(user).len()
    }

    /// Draws `each` negatives for each user of `users` (a user may occur any number of times), independently and with
    /// replacement, into `out[k * each..(k + 1) * each]` for user number k: draw number j is word number j of `philox`
    /// at `sub`. A user who has every item gets [`NONE`]. Weighted draws are fastest when equal users are neighbours.
    ///
    /// # Errors
    /// When `out` does not have `each` places for each user.
    pub fn fill(&self, philox: Philox, sub: u32, users: &[u32], each: usize, out: &mut [u32]) -> Result<()> {
        /// Work for one thread: fixed, so that the draws do not depend on how many there are.
        const CHUNK: usize = 1 << 14;
        /// Words made at a time: even, so that no block of random bits is made twice.
        const WORDS: usize = 256;
        if users.len().checked_mul(each) != Some(out.len()) {
            return Err(Fault::data(format!("{} places for {} users with {each} draws each", out.len(), users.len())));
        }
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
            let mut words = [0; WORDS];
            let mut position = chunk * CHUNK;
            let mut of = users[position / each];
            let mut row = Complement::new(self.proposal, self.seen.row(of));
            for mut out in out.chunks_mut(WORDS) {
                philox.fill(position as u64 / 2, sub, &mut words);
                let mut words = &words[..out.len()];
                while !words.is_empty() {
                    // A run of draws for the same user.
                    let user = users[position / each];
                    let run = users[position / each..].iter().take(words.len()).take_while(|next| **next == user);
                    let length = (run.count() * each - position % each).min(words.len());
                    if user != of {
                        of = user;
                        row.set(self.seen.row(user));
                    }
                    let (places, rest) = std::mem::take(&mut out).split_at_mut(length);
                    row.items(&words[..length], places);
                    (out, words) = (rest, &words[length..]);
                    position += length;
                }
            }
        });
        Ok(())
    }

    /// Appends `n` draws with replacement for `user` to `out`.
    pub fn repeated(&self, user: u32, n: usize, words: &mut Sequence, out: &mut Vec<u32>) {
        let row = Complement::new(self.proposal, self.seen.row(user));
        out.extend((0..n).map(|_| row.item(words.next_u64())));
    }

    /// Appends `n` different items for `user` to `out`, ascending: all that the user does not have if those are fewer.
    ///
    /// The law is that of drawing one after the other, each time in proportion to the weights of the items not yet
    /// drawn. It takes as many draws as items are missing, keeps those that differ, and goes on without them: every
    /// round finds at least one, so there are at most `n` rounds; with equal weights each leaves about a third or less.
    pub fn distinct(&self, user: u32, n: usize, words: &mut Sequence, out: &mut Vec<u32>) {
        let seen = self.seen.row(user);
        let start = out.len();
        if n >= self.unseen(user) {
            let mut seen = seen.iter().peekable();
            out.extend((0..self.seen.n_items()).filter(|item| seen.next_if_eq(&item).is_none()));
            return;
        }
        let mut gone = seen.to_vec();
        loop {
            let first = out.len();
            let missing = n - (first - start);
            let row = Complement::new(self.proposal, &gone);
            out.extend((0..missing).map(|_| row.item(words.next_u64())));
            out[first..].sort_unstable();
            dedup_from(out, first);
            if out.len() - start == n {
                break;
            }
            gone = merge(&gone, &out[first..]);
        }
        out[start..].sort_unstable();
    }
}

/// Removes repeated neighbours from `first` on.
fn dedup_from(values: &mut Vec<u32>, first: usize) {
    let mut kept = first;
    for k in first..values.len() {
        if kept == first || values[kept - 1] != values[k] {
            values[kept] = values[k];
            kept += 1;
        }
    }
    values.truncate(kept);
}

/// Two ascending slices as one.
fn merge(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(&x), Some(&y)) = (a.peek(), b.peek()) {
        out.push(*if x <= y { a.next().unwrap_or(x) } else { b.next().unwrap_or(y) });
    }
    out.extend(a);
    out.extend(b);
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::proposal::Weights;
    use crate::rng::Stream;

    const UNIFORM: Proposal = Proposal::Uniform { n_items: 12 };

    fn csr(rows: &[BTreeSet<u32>]) -> Csr {
        let pairs = rows.iter().enumerate().flat_map(|(u, row)| row.iter().map(move |&i| (u as u32, i)));
        let (users, items): (Vec<u32>, Vec<u32>) = pairs.unzip();
        Csr::from_pairs(rows.len() as u32, 12, &users, &items).unwrap()
    }

    fn weighted(alpha: f64) -> Proposal {
        Proposal::Weighted(Weights::popularity(&[900, 1, 40, 0, 7, 7, 300, 12, 1, 0, 55, 2], alpha).unwrap())
    }

    fn distinct(seen: &Csr, proposal: &Proposal, user: u32, n: usize, seed: u64) -> Vec<u32> {
        let mut out = Vec::new();
        let mut words = Philox::new(seed, Stream::EvalPool).sequence(u64::from(user));
        Sampler::new(seen, proposal).unwrap().distinct(user, n, &mut words, &mut out);
        out
    }

    /// Chi-square against given probabilities stays within five standard deviations of its mean.
    fn assert_law(counts: &[u64], probabilities: &[f64]) {
        let total = counts.iter().sum::<u64>() as f64;
        let mut chi = 0.0;
        let mut freedom = -1.0;
        for (&count, &p) in counts.iter().zip(probabilities) {
            if p == 0.0 {
                assert_eq!(count, 0);
            } else {
                chi += (count as f64 - total * p).powi(2) / (total * p);
                freedom += 1.0;
            }
        }
        assert!((chi - freedom).abs() < 5.0 * (2.0f64 * freedom).sqrt(), "chi-square {chi} with {freedom}");
    }

    proptest! {
        #[test]
        fn ranks_name_the_unseen_items_in_order(row in prop::collection::btree_set(0u32..12, 0..12)) {
            let seen: Vec<u32> = row.iter().copied().collect();
            let expected: Vec<u32> = (0..12).filter(|i| !row.contains(i)).collect();
            let found: Vec<u32> = (0..expected.len() as u32).map(|rank| unseen(&seen, rank)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn every_mass_falls_on_the_unseen_item_that_owns_it(row in prop::collection::btree_set(0u32..12, 0..12), alpha in 0.0..2.0) {
            let proposal = weighted(alpha);
            let Proposal::Weighted(weights) = &proposal else { unreachable!() };
            let seen: Vec<u32> = row.iter().copied().collect();
            let complement = Complement::new(&proposal, &seen);
            // The first and the last word of each item's share, by plain addition.
            let mut end = 0;
            for item in (0..12u32).filter(|item| !row.contains(item)) {
                let start = end;
                end += weights.span(item).1 - weights.span(item).0;
                for mass in [start, end - 1] {
                    let word = ((u128::from(mass) << 64).div_ceil(u128::from(complement.mass))) as u64;
                    prop_assert_eq!(complement.item(word), item);
                }
            }
            prop_assert_eq!(end, complement.mass);
        }

        #[test]
        fn draws_are_never_seen_items(rows in prop::collection::vec(prop::collection::btree_set(0u32..12, 0..=12), 1..6), seed: u64, popular: bool) {
            let seen = csr(&rows);
            let proposal = if popular { weighted(0.75) } else { UNIFORM };
            let sampler = Sampler::new(&seen, &proposal).unwrap();
            let users: Vec<u32> = (0..rows.len() as u32).rev().chain(0..rows.len() as u32).collect();
            let mut out = vec![0; users.len() * 3];
            sampler.fill(Philox::new(seed, Stream::Negatives), 1, &users, 3, &mut out).unwrap();
            for (user, drawn) in users.iter().zip(out.chunks(3)) {
                let row = &rows[*user as usize];
                for item in drawn {
                    let fits = if row.len() == 12 { *item == NONE } else { *item < 12 && !row.contains(item) };
                    prop_assert!(fits);
                }
            }
        }

        #[test]
        fn distinct_draws_are_ascending_unseen_and_as_many_as_there_can_be(rows in prop::collection::vec(prop::collection::btree_set(0u32..12, 0..=12), 1..4), n in 0usize..20, seed: u64, popular: bool) {
            let seen = csr(&rows);
            let proposal = if popular { weighted(2.0) } else { UNIFORM };
            for (user, row) in rows.iter().enumerate() {
                let drawn = distinct(&seen, &proposal, user as u32, n, seed);
                prop_assert_eq!(drawn.len(), n.min(12 - row.len()));
                prop_assert!(drawn.is_sorted_by(|a, b| a < b));
                prop_assert!(drawn.iter().all(|item| *item < 12 && !row.contains(item)));
            }
        }
    }

    #[test]
    fn uniform_draws_reach_each_unseen_item_equally_often() {
        let seen = csr(&[BTreeSet::from([0, 3, 4, 11])]);
        let mut out = vec![0; 80_000];
        let sampler = Sampler::new(&seen, &UNIFORM).unwrap();
        sampler.fill(Philox::new(1, Stream::Negatives), 0, &[0], out.len(), &mut out).unwrap();
        let mut counts = [0; 12];
        for &item in &out {
            counts[item as usize] += 1;
        }
        let law: Vec<f64> = (0..12).map(|i| if [0, 3, 4, 11].contains(&i) { 0.0 } else { 0.125 }).collect();
        assert_law(&counts, &law);
    }

    #[test]
    fn popular_draws_follow_the_power_of_the_counts() {
        let seen = csr(&[BTreeSet::from([0, 5])]);
        let proposal = weighted(0.75);
        let mut out = vec![0; 200_000];
        let sampler = Sampler::new(&seen, &proposal).unwrap();
        sampler.fill(Philox::new(2, Stream::Negatives), 0, &[0], out.len(), &mut out).unwrap();
        let mut counts = [0; 12];
        for &item in &out {
            counts[item as usize] += 1;
        }
        let mut law = [900f64, 1., 40., 1., 7., 7., 300., 12., 1., 1., 55., 2.].map(|count| count.powf(0.75));
        (law[0], law[5]) = (0.0, 0.0);
        let total: f64 = law.iter().sum();
        assert_law(&counts, &law.map(|weight| weight / total));
    }

    /// Uniform subsets of 3 of the 6 unseen items: all 20 equally often.
    #[test]
    fn distinct_uniform_draws_reach_each_subset_equally_often() {
        let seen = csr(&[BTreeSet::from([0, 2, 4, 6, 8, 10])]);
        let mut subsets: Vec<Vec<u32>> = (0..40_000).map(|seed| distinct(&seen, &UNIFORM, 0, 3, seed)).collect();
        subsets.sort_unstable();
        let counts: Vec<u64> = subsets.chunk_by(|a, b| a == b).map(|same| same.len() as u64).collect();
        assert_eq!(counts.len(), 20);
        assert_law(&counts, &[0.05; 20]);
    }

    /// Drawing one after the other: P({i, j}) = p_i p_j / (1 - p_i) + p_j p_i / (1 - p_j).
    #[test]
    fn distinct_weighted_draws_follow_successive_sampling() {
        let seen = csr(&[(4..12).collect()]);
        let proposal = Proposal::Weighted(Weights::popularity(&[8, 4, 2, 1, 5, 5, 5, 5, 5, 5, 5, 5], 1.0).unwrap());
        let p = [8.0 / 15.0, 4.0 / 15.0, 2.0 / 15.0, 1.0 / 15.0];
        let mut counts = [0; 16];
        for seed in 0..60_000 {
            let drawn = distinct(&seen, &proposal, 0, 2, seed);
            counts[(drawn[0] * 4 + drawn[1]) as usize] += 1;
        }
        let law: Vec<f64> = (0..16)
            .map(|k| (k / 4, k % 4))
            .map(|(i, j)| if i < j { p[i] * p[j] * (1.0 / (1.0 - p[i]) + 1.0 / (1.0 - p[j])) } else { 0.0 })
            .collect();
        assert_law(&counts, &law);
    }

    #[test]
    fn heavy_heads_and_whole_catalogues_end() {
        let n = 300;
        let counts: Vec<u32> = (0..n).map(|i| if i == 0 { u32::MAX } else { 1 }).collect();
        let proposal = Proposal::Weighted(Weights::popularity(&counts, 16.0).unwrap());
        let seen = Csr::from_pairs(1, n, &[], &[]).unwrap();
        for k in [1, 99, 299, 300, 1000] {
            assert_eq!(distinct(&seen, &proposal, 0, k, 3).len(), k.min(300));
        }
    }

    #[test]
    fn draws_do_not_depend_on_threads_or_on_what_is_asked_beside_them() {
        let n_items = 5_003;
        let users: Vec<u32> = (0..60_000).map(|k| k / 30).collect();
        let items: Vec<u32> = (0..60_000u32).map(|k| k.wrapping_mul(2_654_435_761) % n_items).collect();
        let seen = Csr::from_pairs(2_000, n_items, &users, &items).unwrap();
        for proposal in
            [Proposal::Uniform { n_items }, Proposal::Weighted(Weights::popularity(&seen.item_counts(), 0.75).unwrap())]
        {
            let sampler = Sampler::new(&seen, &proposal).unwrap();
            let draw = |users: &[u32]| {
                let mut out = vec![0; users.len() * 3];
                sampler.fill(Philox::new(9, Stream::Negatives), 4, users, 3, &mut out).unwrap();
                out
            };
            let alone = draw(&users);
            assert_eq!(draw(&users[..777]), alone[..777 * 3]);
            for threads in [1, 2, 4] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                assert!(pool.install(|| draw(&users)) == alone);
            }
        }
    }

    #[test]
    fn wrong_shapes_are_refused() {
        let seen = csr(&[BTreeSet::new()]);
        let few = Proposal::Uniform { n_items: 3 };
        assert!(Sampler::new(&seen, &few).is_err());
        let sampler = Sampler::new(&seen, &UNIFORM).unwrap();
        assert!(sampler.fill(Philox::new(0, Stream::Negatives), 0, &[0], 2, &mut [0; 3]).is_err());
    }
}
