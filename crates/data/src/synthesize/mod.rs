//! Synthetic interactions with a truth to recover: latent tastes, Zipf popularity, ratings, times, false positives.
//!
//! Users and items have vectors of `factors` standard normal numbers; the affinity of a pair is their inner product
//! over the square root of `factors`, which is about standard normal too. A user meets items in proportion to
//! rank^-`zipf` and takes one with probability logistic(`taste` · (affinity - 3/4)), never the same twice. The rating is
//! the star whose limits hold affinity plus noise, where the limits are set so that [`SHARES`] come out. A false
//! positive is taken in the same way, with the sign of the affinity turned, and rated 4 or 5 all the same.
//!
//! A user's rows are a function of the seed and the user alone. So users can be made in any order, by any thread, and
//! never all at once: the memory needed is that of the items' vectors and one number a user.

mod activity;
mod write;

use std::fmt::Display;
use std::ops::Range;

use rayon::prelude::*;

use crate::maths::{logistic, pow};
use crate::proposal::Weights;
use crate::rng::{Permutation, Philox, Sequence, Stream, below, normal_pair};
use crate::{Fault, Result};

pub use write::{Summary, SyntheticIds, write};

/// The shares of 1 to 5 stars among ratings that follow taste: about those of MovieLens 100K, with 57 % at 4 or more.
pub const SHARES: [f64; 5] = [0.06, 0.11, 0.26, 0.35, 0.22];

/// What to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Users, each with at least one row.
    pub users: u32,
    /// Items; an unpopular one may stay without a row.
    pub items: u32,
    /// Rows, exactly: at least one and on average at most half the items a user.
    pub interactions: u64,
    /// Length of the latent vectors.
    pub factors: u32,
    /// Exponent of popularity's power law; 0 makes all items alike.
    pub zipf: f64,
    /// How much affinity decides beside popularity; 0 is not at all.
    pub taste: f64,
    /// Standard deviation of the noise between affinity and rating.
    pub noise: f64,
    /// Share of the rows that are false positives, below 1.
    pub false_positives: f64,
    /// The first second of the time span.
    pub start: i64,
    /// The length of the time span.
    pub days: u32,
    /// The seed.
    pub seed: u64,
}

/// Some users' rows, by user, then time, then item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// Users, from 0.
    pub users: Vec<u32>,
    /// Items, from 0.
    pub items: Vec<u32>,
    /// 1 to 5 stars.
    pub ratings: Vec<f32>,
    /// Seconds.
    pub timestamps: Vec<i64>,
    /// False for a false positive.
    pub clean: Vec<bool>,
}

/// Makes rows; see [`crate::synthesize`].
#[derive(Debug, Clone)]
pub struct Generator {
    spec: Spec,
    /// The row numbers where users begin; one more than there are users.
    starts: Vec<u64>,
    /// Weights of the items in order of popularity. So are all tables: the few items that are proposed most lie
    /// together and stay in the cache.
    popularity: Weights,
    /// Ids of the items.
    ids: Vec<u32>,
    /// Vectors of the items, each filled up with zeros to `width`.
    vectors: Vec<f32>,
    width: usize,
    /// The probability of taking an item, in parts of 2^20, for each step of affinity.
    accept: Vec<u32>,
    /// What affinity and noise must reach for 2, 3, 4 and 5 stars.
    limits: [f32; 4],
}

/// What one thread needs at hand.
struct Desk {
    /// The last user, counted from 1, who took each item, by rank.
    taken_by: Vec<u32>,
    taste: Vec<f32>,
    picks: Vec<Pick>,
    rows: Vec<(i64, Pick)>,
}

#[derive(Debug, Clone, Copy)]
struct Pick {
    /// Rank, then id.
    item: u32,
    /// Affinity, then affinity and noise, then stars.
    score: f32,
    clean: bool,
}

/// Products that are added up side by side. Fixed, because the order of additions is part of the result.
const LANES: usize = 8;

/// Affinity is cut into steps of 1/64 from -8 to 8, so that a proposal costs no exponential.
const STEPS: usize = 1024;
const STEPS_PER_UNIT: f64 = 64.0;
const LOWEST: f64 = -8.0;

impl Generator {
    /// Prepares what all users share.
    ///
    /// # Errors
    /// When the numbers do not go together.
    pub fn new(spec: Spec) -> Result<Self> {
        spec.check().map_err(|(name, message)| Fault::data(format!("`{name}`: {message}")))?;
        let starts = activity::starts(&spec)?;
        let philox = Philox::new(spec.seed, Stream::SynthesizeItems);
        let weights = (0..spec.items).into_par_iter().map(|rank| pow(f64::from(rank) + 1.0, -spec.zipf)).collect();
        let popularity = Weights::proportional(weights)?;
        // A vector takes the blocks from sub = 0 on, and the order the last sub.
        let order = Permutation::new(philox, u32::MAX, u64::from(spec.items));
        let ids = (0..spec.items).into_par_iter().map(|rank| order.get(u64::from(rank)) as u32).collect();
        let width = (spec.factors as usize).next_multiple_of(LANES);
        let mut vectors = reserved(spec.items as usize, width, "items")?;
        vectors.resize(spec.items as usize * width, 0.0);
        let scale = f64::from(spec.factors).sqrt().recip();
        vectors.par_chunks_mut(width).enumerate().for_each(|(rank, vector)| {
            normals(philox, rank as u64, scale, &mut vector[..spec.factors as usize]);
        });
        let accept = (0..STEPS)
            .map(|step| (step as f64 + 0.5) / STEPS_PER_UNIT + LOWEST)
            .map(|affinity| (logistic(spec.taste * (affinity - 0.75)) * f64::from(1u32 << 20)) as u32)
            .collect();
        let mut new = Self { spec, starts, popularity, ids, vectors, width, accept, limits: [0.0; 4] };
        new.limits = new.star_limits();
        Ok(new)
    }

    /// The row numbers where users begin: one more entry than there are users.
    pub fn starts(&self) -> &[u64] {
        &self.starts
    }

    /// All users, cut where about `rows` rows are together; one user is never cut.
    pub fn cuts(&self, users: Range<u32>, rows: u64) -> impl Iterator<Item = Range<u32>> {
        let mut next = users.start;
        std::iter::from_fn(move || {
            let first = next;
            let end = self.starts[first as usize..=users.end as usize]
                .partition_point(|&start| start < self.starts[first as usize] + rows.max(1));
            next = (first + end as u32).min(users.end);
            (first < users.end).then_some(first..next)
        })
    }

    /// The rows of these users, made in parallel, in pieces that follow each other.
    pub fn rows(&self, users: Range<u32>) -> Vec<Rows> {
        /// Rows in a piece: fixed, though they would be the same with any other.
        const PIECE: u64 = 1 << 14;
        let pieces: Vec<Range<u32>> = self.cuts(users, PIECE).collect();
        pieces.into_par_iter().map_init(|| self.desk(), |desk, users| self.piece(users, desk)).collect()
    }

    fn piece(&self, users: Range<u32>, desk: &mut Desk) -> Rows {
        let mut rows = Rows::default();
        for user in users {
            self.user(user, desk);
            rows.users.extend(std::iter::repeat_n(user, desk.rows.len()));
            rows.items.extend(desk.rows.iter().map(|(_, pick)| pick.item));
            rows.ratings.extend(desk.rows.iter().map(|(_, pick)| pick.score));
            rows.timestamps.extend(desk.rows.iter().map(|(time, _)| *time));
            rows.clean.extend(desk.rows.iter().map(|(_, pick)| pick.clean));
        }
        rows
    }

    fn desk(&self) -> Desk {
        Desk {
            taken_by: vec![0; self.spec.items as usize],
            taste: vec![0.0; self.width],
            picks: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// One user's rows, into `desk.rows`.
    fn user(&self, user: u32, desk: &mut Desk) {
        let spec = &self.spec;
        let n = (self.starts[user as usize + 1] - self.starts[user as usize]) as usize;
        let mut words = Philox::new(spec.seed, Stream::SynthesizeRows).sequence(u64::from(user));
        self.pick(user, n, spec.false_positives, &mut words, desk);
        for pick in &mut desk.picks {
            let stars = if pick.clean {
                1 + self.limits.iter().filter(|limit| pick.score >= **limit).count() as u64
            } else {
                4 + words.below(2)
            };
            pick.score = stars as f32;
            pick.item = self.ids[pick.item as usize];
        }
        // Popular items tend to be picked first. Without this, the last item in time, which leave-one-out tests on,
        // would be an unpopular one.
        words.shuffle(&mut desk.picks);
        // A user joins in the first three quarters of the span, and is active for a part of what is left.
        let span = f64::from(spec.days) * 86_400.0;
        let joined = words.unit() * 0.75 * span;
        let step = (span - joined) * (0.05 + 0.95 * words.unit()) / n as f64;
        desk.rows.clear();
        desk.rows.extend(desk.picks.iter().enumerate().map(|(k, pick)| {
            let seconds = joined + (k as f64 + words.unit()) * step;
            (spec.start + seconds as i64, *pick)
        }));
        desk.rows.sort_unstable_by_key(|(time, pick)| (*time, pick.item));
    }

    /// Chooses `n` different items, into `desk.picks`, with affinity and noise as their score.
    fn pick(&self, user: u32, n: usize, false_positives: f64, words: &mut Sequence, desk: &mut Desk) {
        let spec = &self.spec;
        normals(
            Philox::new(spec.seed, Stream::SynthesizeUsers),
            u64::from(user),
            1.0,
            &mut desk.taste[..spec.factors as usize],
        );
        desk.picks.clear();
        // About seven proposals are needed for a pick. A user of many items runs out of popular ones: then what is
        // missing is filled up without regard to taste.
        let mut proposals = 64 + 32 * n as u64;
        while desk.picks.len() < n {
            let clean = words.unit() >= false_positives;
            let (item, affinity) = loop {
                let word = words.next_u64();
                let item = if proposals > 0 {
                    self.popularity.item(word)
                } else {
                    free(&desk.taken_by, below(word, u64::from(spec.items)) as u32, user)
                };
                if desk.taken_by[item as usize] == user + 1 {
                    proposals = proposals.saturating_sub(1);
                    continue;
                }
                let affinity = self.affinity(&desk.taste, item);
                if proposals == 0 || self.accepts(if clean { affinity } else { -affinity }, word) {
                    break (item, affinity);
                }
                proposals -= 1;
            };
            desk.taken_by[item as usize] = user + 1;
            desk.picks.push(Pick { item, score: affinity, clean });
        }
        for pair in desk.picks.chunks_mut(2) {
            for (pick, noise) in pair.iter_mut().zip(words.normal_pair()) {
                pick.score += (spec.noise * noise) as f32;
            }
        }
    }

    /// Whether an item of this affinity is taken. The low 20 bits of the word decide: they are not those that chose the
    /// item, because the weights add up to about 2^44 only.
    fn accepts(&self, affinity: f32, word: u64) -> bool {
        let step = ((f64::from(affinity) - LOWEST) * STEPS_PER_UNIT) as usize;
        (word as u32 & 0xf_ffff) < self.accept[step.min(STEPS - 1)]
    }

    fn affinity(&self, taste: &[f32], item: u32) -> f32 {
        let start = item as usize * self.width;
        let mut sums = [0f32; LANES];
        let vector = &self.vectors[start..start + self.width];
        for (a, b) in taste.chunks_exact(LANES).zip(vector.chunks_exact(LANES)) {
            for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum += a * b;
            }
        }
        sums.iter().sum()
    }

    /// The quantiles that divide a sample of scores as [`SHARES`] says.
    fn star_limits(&self) -> [f32; 4] {
        const USERS: u64 = 512;
        const ROWS: usize = 1024;
        let users = u64::from(self.spec.users);
        let sample = users.min(USERS);
        let mut desk = self.desk();
        let mut scores = Vec::new();
        for k in 0..sample {
            let user = (k * users / sample) as u32;
            let n = (self.starts[user as usize + 1] - self.starts[user as usize]) as usize;
            let mut words = Philox::new(self.spec.seed, Stream::SynthesizeRows).sequence(u64::from(user));
            self.pick(user, n.min(ROWS), 0.0, &mut words, &mut desk);
            scores.extend(desk.picks.iter().map(|pick| pick.score));
        }
        scores.sort_unstable_by(f32::total_cmp);
        let mut below = 0.0;
        [0, 1, 2, 3].map(|star| {
            below += SHARES[star];
            scores[((below * scores.len() as f64) as usize).min(scores.len() - 1)]
        })
    }
}

/// The first item from `from` on, in a circle, that `user` has not taken. There is one: at most half are taken.
fn free(taken_by: &[u32], from: u32, user: u32) -> u32 {
    let from = from as usize;
    let is_free = |by: &u32| *by != user + 1;
    let after = taken_by[from..].iter().position(is_free).map(|steps| from + steps);
    after.or_else(|| taken_by[..from].iter().position(is_free)).unwrap_or(from) as u32
}

/// Fills `out` with normal numbers of standard deviation `scale`: two from each of the blocks (`index`, 0), ….
fn normals(philox: Philox, index: u64, scale: f64, out: &mut [f32]) {
    for (sub, pair) in (0..).zip(out.chunks_mut(2)) {
        for (out, normal) in pair.iter_mut().zip(normal_pair(philox.words(index, sub))) {
            *out = (scale * normal) as f32;
        }
    }
}

/// An empty vector with room for `rows` times `width` numbers.
fn reserved(rows: usize, width: usize, what: &str) -> Result<Vec<f32>> {
    let mut new = Vec::new();
    let room = rows.checked_mul(width).filter(|room| new.try_reserve_exact(*room).is_ok());
    if room.is_none() {
        return Err(Fault::data(format!("no memory for {rows} {what} with {width} numbers each")));
    }
    Ok(new)
}

impl Spec {
    /// Whether the numbers go together.
    ///
    /// # Errors
    /// The name of the field that does not, and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        const MAX: u32 = i32::MAX as u32;
        let expect = |fits: bool, name, value: &dyn Display, range: &dyn Display| {
            if fits { Ok(()) } else { Err((name, format!("{value} is not {range}"))) }
        };
        let within = |name, value: f64, most: f64| {
            expect((0.0..=most).contains(&value), name, &value, &format_args!("from 0 to {most}"))
        };
        expect((1..=MAX).contains(&self.users), "users", &self.users, &format_args!("from 1 to {MAX}"))?;
        expect((2..=MAX).contains(&self.items), "items", &self.items, &format_args!("from 2 to {MAX}"))?;
        let (least, most) = (u64::from(self.users), u64::from(self.users) * u64::from(self.items / 2));
        let range = format_args!("from {least} (one for each user) to {most} (half the items for each user)");
        expect((least..=most).contains(&self.interactions), "interactions", &self.interactions, &range)?;
        expect((1..=4096).contains(&self.factors), "factors", &self.factors, &"from 1 to 4096")?;
        within("zipf", self.zipf, 10.0)?;
        within("taste", self.taste, 100.0)?;
        within("noise", self.noise, 100.0)?;
        let share = (0.0..1.0).contains(&self.false_positives);
        expect(share, "false_positives", &self.false_positives, &"a share from 0 to below 1")?;
        expect((1..=100_000).contains(&self.days), "days", &self.days, &"from 1 to 100000")?;
        expect(self.start.unsigned_abs() <= 1 << 40, "start", &self.start, &"a time in seconds since 1970")
    }
}

#[cfg(test)]
mod tests;
