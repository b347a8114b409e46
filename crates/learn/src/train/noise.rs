//! The random numbers of dropout.

use crate::data::rng::{Philox, Stream};
use crate::model::Noise;

/// Blocks that are drawn together.
const BLOCKS: usize = 32;

/// What is dropped in one training step: a function of seed, step and place alone, so that every engine on any number
/// of threads drops the same, and a resumed run too.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepNoise {
    philox: Philox,
    step: u64,
}

impl StepNoise {
    /// What is dropped in the step before which `step` others were made.
    pub(super) fn new(seed: u64, step: u64) -> Self {
        Self { philox: Philox::new(seed, Stream::Dropout), step }
    }
}

impl Noise for StepNoise {
    fn multipliers(&self, site: usize, _: usize, p: f64, out: &mut [f32]) {
        self.fill(site, 0, p, out);
    }
}

impl StepNoise {
    /// The multipliers of one row of [`Noise::multipliers`], whose width is that of `out`.
    pub(super) fn row(&self, site: usize, row: usize, p: f64, out: &mut [f32]) {
        self.fill(site, row as u64 * out.len() as u64, p, out);
    }

    /// The place `i` of a site is dropped if number `i % 4` of the block (`i / 4`, `site`) is below `2^32 p`.
    fn fill(&self, site: usize, from: u64, p: f64, out: &mut [f32]) {
        let (kept, bound) = ((1.0 / (1.0 - p)) as f32, (p * (1_u64 << 32) as f64) as u32);
        let draw = |x: u32| if x < bound { 0.0 } else { kept };
        // A step's places and the steps have 32 bits each; after 2^32 steps they would begin to repeat.
        let first = (self.step << 32) + from;
        let (mut blocks, mut index, mut skipped, mut rest) = ([[0; 4]; BLOCKS], first / 4, (first % 4) as usize, out);
        while !rest.is_empty() {
            let blocks = &mut blocks[..(skipped + rest.len()).div_ceil(4).min(BLOCKS)];
            self.philox.blocks(index, site as u32, blocks);
            let numbers = &blocks.as_flattened()[skipped..];
            let (now, later) = rest.split_at_mut(numbers.len().min(rest.len()));
            now.iter_mut().zip(numbers).for_each(|(out, &x)| *out = draw(x));
            (index, skipped, rest) = (index + BLOCKS as u64, 0, later);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, step: u64, site: usize) -> Vec<f32> {
        let mut out = vec![9.0; 20_000];
        StepNoise::new(seed, step).multipliers(site, 50, 0.3, &mut out);
        out
    }

    #[test]
    fn the_asked_share_is_dropped_and_the_mean_is_kept() {
        let out = drawn(1, 0, 0);
        let dropped = out.iter().filter(|x| **x == 0.0).count() as f64 / 20_000.0;
        // Five standard errors of a share of .3 among 20,000.
        assert!((dropped - 0.3).abs() < 5.0 * (0.3_f64 * 0.7 / 20_000.0).sqrt(), "{dropped}");
        assert!(out.iter().all(|x| *x == 0.0 || *x == (1.0 / 0.7_f64) as f32));
    }

    #[test]
    fn a_row_is_a_part_of_the_whole() {
        let all = drawn(1, 2, 3);
        // Rows that begin anywhere in a block, and those that are shorter than one.
        for width in [1, 2, 3, 5, 50, 129, 131] {
            let mut row = vec![9.0; width];
            for k in 0..9 {
                StepNoise::new(1, 2).row(3, k, 0.3, &mut row);
                assert_eq!(row, all[k * width..(k + 1) * width], "{width} {k}");
            }
        }
    }

    #[test]
    fn seeds_steps_and_places_are_told_apart() {
        assert_eq!(drawn(1, 2, 3), drawn(1, 2, 3));
        assert_ne!(drawn(1, 2, 3), drawn(2, 2, 3));
        assert_ne!(drawn(1, 2, 3), drawn(1, 3, 3));
        assert_ne!(drawn(1, 2, 3), drawn(1, 2, 4));
    }
}
