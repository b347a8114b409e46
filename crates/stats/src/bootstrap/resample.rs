//! Resampled means, drawn by counter or at given positions.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::Rng;
use chacha20::rand_core::SeedableRng;
use rayon::prelude::*;

use crate::bootstrap::check_sum;
use crate::error::Result;
use crate::error::StatsError;
use crate::sample;

/// Positions that are drawn before they are looked up; a multiple of [`LANES`].
const BLOCK: usize = 1024;
/// Independent sums, so that an addition need not wait for the one before.
const LANES: usize = 8;

/// The largest number of resamples: what is asked for must fit in memory.
pub const MOST_RESAMPLES: usize = 100_000_000;

/// Means of `count` resamples of `values`, each drawn with replacement.
///
/// Resample `r` draws from the ChaCha8 stream with number `r` and a key made of the seed (little-endian) and
/// `ncf-pipe/stats/bootstrap`: what it draws depends neither on the other resamples nor on threads.
///
/// # Errors
/// No value, more than 2³² − 1 of them, one that is not finite, fewer than two resamples or more than
/// [`MOST_RESAMPLES`], or a sum beyond the range of f64.
pub fn resample_means(values: &[f64], count: usize, seed: u64) -> Result<Vec<f64>> {
    sample::check_count("bootstrap", 1, values)?;
    sample::check_finite("values", values)?;
    check_sum(values)?;
    if count < 2 {
        return Err(StatsError::TooFew { what: "number of resamples", needed: 2, got: count });
    }
    if count > MOST_RESAMPLES {
        let remedy = "a hundred thousand resamples are plenty";
        return Err(StatsError::TooMany { what: "number of resamples", limit: MOST_RESAMPLES, got: count, remedy });
    }
    let Ok(n) = u32::try_from(values.len()) else {
        let remedy = "draw a sample of them first";
        return Err(StatsError::TooMany { what: "bootstrap", limit: u32::MAX as usize, got: values.len(), remedy });
    };
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..].copy_from_slice(b"ncf-pipe/stats/bootstrap");
    let mut means = Vec::new();
    (0..count)
        .into_par_iter()
        .map_init(
            || [0u32; BLOCK],
            |positions, resample| {
                let mut stream = ChaCha8Rng::from_seed(key);
                stream.set_stream(resample as u64);
                let mut sum = Sum::default();
                let mut left = values.len();
                while left > 0 {
                    let block = &mut positions[..left.min(BLOCK)];
                    for position in block.iter_mut() {
                        *position = below(n, || stream.next_u32());
                    }
                    sum.add(values, block);
                    left -= block.len();
                }
                sum.total() / f64::from(n)
            },
        )
        .collect_into_vec(&mut means);
    Ok(means)
}

/// Means of the resamples whose positions are given: `indices` has one row of `values.len()` positions for each, row by
/// row. For comparison with other programs.
///
/// # Errors
/// No value, one that is not finite, positions that are out of range or no whole rows, or a sum beyond the range of f64.
pub fn means_at(values: &[f64], indices: &[u32]) -> Result<Vec<f64>> {
    sample::check_count("bootstrap", 1, values)?;
    sample::check_finite("values", values)?;
    check_sum(values)?;
    let n = values.len();
    if let Some(position) = indices.iter().position(|&i| i as usize >= n) {
        return Err(StatsError::Indices { n, position });
    }
    if !indices.len().is_multiple_of(n) {
        return Err(StatsError::Indices { n, position: indices.len() });
    }
    Ok(indices
        .chunks_exact(n)
        .map(|row| {
            let mut sum = Sum::default();
            row.chunks(BLOCK).for_each(|block| sum.add(values, block));
            sum.total() / n as f64
        })
        .collect())
}

/// A number below `n`, each with the same chance (Lemire 2019, Fast random integer generation in an interval).
#[inline]
fn below(n: u32, mut word: impl FnMut() -> u32) -> u32 {
    let mut product = u64::from(word()) * u64::from(n);
    if (product as u32) < n {
        let threshold = n.wrapping_neg() % n;
        while (product as u32) < threshold {
            product = u64::from(word()) * u64::from(n);
        }
    }
    (product >> 32) as u32
}

/// A sum in a fixed order: position `i` of a resample belongs to lane `i mod LANES`.
#[derive(Default)]
struct Sum {
    lanes: [f64; LANES],
}

impl Sum {
    /// Adds the values at `positions`; all but the last call have a multiple of [`LANES`] of them.
    #[inline]
    fn add(&mut self, values: &[f64], positions: &[u32]) {
        let chunks = positions.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, &position) in self.lanes.iter_mut().zip(chunk) {
                *lane += values[position as usize];
            }
        }
        for (lane, &position) in self.lanes.iter_mut().zip(rest) {
            *lane += values[position as usize];
        }
    }

    fn total(&self) -> f64 {
        self.lanes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_would_favour_some_numbers_are_drawn_again() {
        // For n = 3·2^30 the low half of word·n is (3·word mod 4)·2^30, and 2^32 mod n = 2^30: words 0 and 4 are too low,
        // 3 is just high enough.
        let drawn = |words: &[u32]| {
            let mut words = words.iter();
            let number = below(3 << 30, || *words.next().unwrap());
            (number, words.len())
        };
        assert_eq!(drawn(&[3, 9]), (2, 1)); // 9·2^30 / 2^32
        assert_eq!(drawn(&[0, 4, 1, 9]), (0, 1)); // 3·2^30 / 2^32
    }
}
