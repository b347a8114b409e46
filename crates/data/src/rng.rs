//! Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
//! 1, 2, 3", SC 2011).
//!
//! A block of 128 random bits is a pure function of a key and a counter, so any thread, in any order, on any device
//! draws the same numbers. The layout, which other implementations must follow to the bit:
//!
//! | word | content |
//! |---|---|
//! | key 0, key 1 | the seed's low and high 32 bits |
//! | counter 0, counter 1 | `index`'s low and high 32 bits |
//! | counter 2 | `sub` |
//! | counter 3 | the [`Stream`]'s number |
//!
//! A block `[x0, x1, x2, x3]` gives two 64-bit words: `x0 | x1 << 32`, then `x2 | x3 << 32`.

use crate::maths::{ln, sin_cos_turns};

/// What random numbers are for. Each purpose has blocks of its own, so that no two share a number.
///
/// The numbers are part of the file format: they never change and are never used again for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// Random splits.
    Split = 1,
    /// Evaluation candidates, by user.
    EvalPool = 2,
    /// Fixed training negatives, by user.
    TrainPool = 3,
    /// Negatives redrawn each epoch, by sample; `sub` is the epoch.
    Negatives = 4,
    /// The order of an epoch's samples; `sub` is the epoch.
    EpochOrder = 5,
    /// First weights of a model, by element; `sub` is the tensor.
    Init = 6,
    /// Dropout masks.
    Dropout = 7,
    /// Activity of synthetic users.
    SynthesizeActivity = 8,
    /// Tastes of synthetic users.
    SynthesizeUsers = 9,
    /// Latent vectors and popularity order of synthetic items.
    SynthesizeItems = 10,
    /// Choices, ratings and times of synthetic users, by user.
    SynthesizeRows = 11,
    /// Resampling in significance tests.
    Bootstrap = 12,
    /// Which known positives are extra feedback, by user; `sub` is the item.
    ExtraFeedback = 13,
}

/// A keyed source of random blocks. Copying it is free; it has no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
    stream: u32,
}

impl Philox {
    /// The blocks of a seed for one purpose.
    pub const fn new(seed: u64, stream: Stream) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], stream: stream as u32 }
    }

    /// The block at (`index`, `sub`).
    #[inline]
    pub const fn at(&self, index: u64, sub: u32) -> [u32; 4] {
        philox4x32_10([index as u32, (index >> 32) as u32, sub, self.stream], self.key)
    }

    /// The blocks at (`first`, `sub`) and those after it, one after the other in `out`: as [`Philox::at`], but several at a
    /// time, which the compiler makes vectors of.
    pub fn blocks(&self, first: u64, sub: u32, out: &mut [[u32; 4]]) {
        const N: usize = 8;
        let mut eights = out.chunks_exact_mut(N);
        for (index, eight) in (first..).step_by(N).zip(&mut eights) {
            let indices: [u64; N] = std::array::from_fn(|k| index + k as u64);
            let (mut c0, mut c1) = (indices.map(|index| index as u32), indices.map(|index| (index >> 32) as u32));
            let (mut c2, mut c3, [mut k0, mut k1]) = ([sub; N], [self.stream; N], self.key);
            for _ in 0..ROUNDS {
                for k in 0..N {
                    let (even, odd) = (u64::from(c0[k]) * MULTIPLIERS[0], u64::from(c2[k]) * MULTIPLIERS[1]);
                    c0[k] = (odd >> 32) as u32 ^ c1[k] ^ k0;
                    c2[k] = (even >> 32) as u32 ^ c3[k] ^ k1;
                    (c1[k], c3[k]) = (odd as u32, even as u32);
                }
                (k0, k1) = (k0.wrapping_add(WEYL[0]), k1.wrapping_add(WEYL[1]));
            }
            for (k, block) in eight.iter_mut().enumerate() {
                *block = [c0[k], c1[k], c2[k], c3[k]];
            }
        }
        let done = out.len() / N * N;
        for (index, block) in (first + done as u64..).zip(&mut out[done..]) {
            *block = self.at(index, sub);
        }
    }

    /// The two 64-bit words of the block at (`index`, `sub`).
    #[inline]
    pub const fn words(&self, index: u64, sub: u32) -> [u64; 2] {
        words_of(self.at(index, sub))
    }

    /// Word number `position` of the blocks (0, `sub`), (1, `sub`), …: one random 64-bit word for each element of a
    /// long array.
    #[inline]
    pub const fn word(&self, position: u64, sub: u32) -> u64 {
        let [even, odd] = self.words(position >> 1, sub);
        if position & 1 == 0 { even } else { odd }
    }

    /// The words of the blocks (`first`, `sub`), (`first + 1`, `sub`), …, as many as fit.
    pub fn fill(&self, first: u64, sub: u32, out: &mut [u64]) {
        let mut blocks = [[0; 4]; 16];
        for (index, out) in (first..).step_by(blocks.len()).zip(out.chunks_mut(2 * blocks.len())) {
            let blocks = &mut blocks[..out.len().div_ceil(2)];
            self.blocks(index, sub, blocks);
            for (pair, block) in out.chunks_mut(2).zip(blocks) {
                pair.copy_from_slice(&words_of(*block)[..pair.len()]);
            }
        }
    }

    /// The words of the blocks (`index`, 0), (`index`, 1), … one after the other: a sequence for one user or tensor.
    pub const fn sequence(self, index: u64) -> Sequence {
        Sequence { philox: self, index, block: 0, spare: None }
    }
}

const fn words_of([a, b, c, d]: [u32; 4]) -> [u64; 2] {
    [a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32]
}

const ROUNDS: usize = 10;
const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Philox4x32 with 10 rounds: 128 random bits from a counter and a key.
#[inline]
pub const fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    let mut round = 0;
    while round < ROUNDS {
        let even = c0 as u64 * MULTIPLIERS[0];
        let odd = c2 as u64 * MULTIPLIERS[1];
        (c0, c1, c2, c3) = ((odd >> 32) as u32 ^ c1 ^ k0, odd as u32, (even >> 32) as u32 ^ c3 ^ k1, even as u32);
        (k0, k1) = (k0.wrapping_add(WEYL[0]), k1.wrapping_add(WEYL[1]));
        round += 1;
    }
    [c0, c1, c2, c3]
}

/// A number below `n` (0 when `n` is 0): the high half of `word` times `n`. Its bias is below n / 2^64 (Lemire, "Fast
/// random integer generation in an interval", 2019), and it takes exactly one word, which rejection would not.
#[inline]
pub const fn below(word: u64, n: u64) -> u64 {
    ((word as u128 * n as u128) >> 64) as u64
}

/// A number in [0, 1) from the word's high 53 bits.
#[inline]
pub const fn unit_f64(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A number in [0, 1) from the high 24 bits.
#[inline]
pub const fn unit_f32(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
}

/// Two independent standard normal numbers (Box and Muller, 1958), in double precision, the same on every platform
/// (see [`crate::maths`]).
#[inline]
pub fn normal_pair(words: [u64; 2]) -> [f64; 2] {
    // 1 - u lies in (0, 1], where the logarithm is finite.
    let radius = (-2.0 * ln(1.0 - unit_f64(words[0]))).sqrt();
    let (sin, cos) = sin_cos_turns(unit_f64(words[1]));
    [radius * cos, radius * sin]
}

/// Random words one after the other; see [`Philox::sequence`]. It repeats after 2^33 words.
#[derive(Debug, Clone)]
pub struct Sequence {
    philox: Philox,
    index: u64,
    block: u32,
    spare: Option<u64>,
}

impl Sequence {
    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        if let Some(word) = self.spare.take() {
            return word;
        }
        let [first, second] = self.philox.words(self.index, self.block);
        self.block = self.block.wrapping_add(1);
        self.spare = Some(second);
        first
    }

    /// A number below `n`; see [`below`].
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        below(self.next_u64(), n)
    }

    /// A number in [0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        unit_f64(self.next_u64())
    }

    /// Two standard normal numbers; see [`normal_pair`].
    #[inline]
    pub fn normal_pair(&mut self) -> [f64; 2] {
        let first = self.next_u64();
        normal_pair([first, self.next_u64()])
    }

    /// Brings the values into random order (Fisher and Yates; Durstenfeld, 1964).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// A random permutation of 0..n of which any part can be asked for, in any order, by any thread.
///
/// It is a Feistel network over pairs (l, r) with l < a, r < b, a·b >= n, that is applied again while the result is
/// not below n (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). Above a few hundred, a·b
/// exceeds n by less than a, so that a second application is rare. It was chosen over sorting by random keys because it needs no memory, no
/// second pass over the data and no barrier: an epoch can be read in its order while it is being drawn.
#[derive(Debug, Clone, Copy)]
pub struct Permutation {
    n: u64,
    left: u64,
    right: u64,
    keys: [u64; Self::ROUNDS],
}

impl Permutation {
    const ROUNDS: usize = 8;
    /// Over fewer values a side, eight rounds do not reach all orders equally often (a chi-square test sees it).
    const MIN_SIDE: u64 = 16;

    /// The permutation of 0..n with the round keys in the blocks (0, `sub`), (1, `sub`), … of `philox`. `n` is at most
    /// 2^62.
    pub fn new(philox: Philox, sub: u32, n: u64) -> Self {
        let left = (n.isqrt() + 1).max(Self::MIN_SIDE);
        Self {
            n,
            left,
            right: n.div_ceil(left).max(Self::MIN_SIDE),
            keys: std::array::from_fn(|k| philox.word(k as u64, sub)),
        }
    }

    /// How many numbers it permutes.
    pub fn len(&self) -> u64 {
        self.n
    }

    /// Whether it permutes nothing.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Where `index`, which must be below n, goes. An `index` outside stays where it is.
    #[inline]
    pub fn get(&self, index: u64) -> u64 {
        if index >= self.n {
            return index;
        }
        let mut value = index;
        loop {
            [value] = self.network([value]);
            if value < self.n {
                return value;
            }
        }
    }

    /// [`Permutation::get`] of `first`, `first + 1`, …, as many as fit: several at a time, so that none waits for the
    /// products of another.
    pub fn fill(&self, first: u64, out: &mut [u64]) {
        const LANES: usize = 8;
        let (lanes, rest) = out.as_chunks_mut::<LANES>();
        let mut index = first;
        for lanes in lanes {
            let indices: [u64; LANES] = std::array::from_fn(|lane| index + lane as u64);
            index += LANES as u64;
            // As long as a·b exceeds n by little, nearly all values are below n at once.
            *lanes = self.network(indices);
            for (value, index) in lanes.iter_mut().zip(indices) {
                if *value >= self.n || index >= self.n {
                    *value = self.get(index);
                }
            }
        }
        rest.iter_mut().zip(index..).for_each(|(value, index)| *value = self.get(index));
    }

    /// The network once.
    #[inline]
    fn network<const LANES: usize>(&self, values: [u64; LANES]) -> [u64; LANES] {
        let mut sides = values.map(|value| (value / self.right, value % self.right));
        for pair in self.keys.chunks_exact(2) {
            for (l, r) in &mut sides {
                *l = add(*l, below(mix(*r ^ pair[0]), self.left), self.left);
                *r = add(*r, below(mix(*l ^ pair[1]), self.right), self.right);
            }
        }
        sides.map(|(l, r)| l * self.right + r)
    }
}

/// a + b modulo n, for a, b < n.
#[inline]
const fn add(a: u64, b: u64, n: u64) -> u64 {
    let sum = a + b;
    if sum >= n { sum - n } else { sum }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
#[inline]
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
#[path = "rng_tests.rs"]
mod tests;
