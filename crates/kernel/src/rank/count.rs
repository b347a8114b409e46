//! Ranks without sorting: how many scores are above a threshold, and how many at it.

use pulp::Simd;

use super::finite::{is_zero, not_finite};
use crate::lanes::{Work, dispatch};

/// How many scores are greater than a threshold, and how many equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that are greater.
    pub greater: usize,
    /// Those that are equal: 0.0 and −0.0 are.
    pub equal: usize,
}

/// From this number of thresholds on, one pass with a binary search for each score is cheaper than vectorised passes.
const MANY: usize = 96;
/// Scores for which counts of 32 bits suffice.
const PIECE: usize = 1 << 30;

/// Adds to `counts[t]` how many scores are greater than `thresholds[t]` and how many equal. The thresholds descend
/// strictly. Says whether all scores are finite; if not, the counts mean nothing.
///
/// Without thresholds it only looks whether the scores are finite.
pub fn count(thresholds: &[f32], scores: &[f32], counts: &mut [Count]) -> bool {
    if thresholds.len() >= MANY {
        search(thresholds, scores, counts);
        return dispatch(Passes { thresholds: &[], scores, counts: &mut [] });
    }
    scores.chunks(PIECE).fold(true, |finite, scores| {
        let counts = &mut *counts;
        dispatch(Passes { thresholds, scores, counts }) & finite
    })
}

struct Passes<'a> {
    thresholds: &'a [f32],
    scores: &'a [f32],
    counts: &'a mut [Count],
}

impl Work for Passes<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let Self { thresholds, scores, counts } = self;
        let (first, rest) = thresholds.split_at(thresholds.len() % 4);
        let finite = match *first {
            [a] => pass::<S, 1, true>(simd, [a], scores, counts),
            [a, b] => pass::<S, 2, true>(simd, [a, b], scores, counts),
            [a, b, c] => pass::<S, 3, true>(simd, [a, b, c], scores, counts),
            _ => pass::<S, 0, true>(simd, [], scores, counts),
        };
        let counts = counts.get_mut(first.len()..).unwrap_or_default();
        for (&four, counts) in rest.as_chunks::<4>().0.iter().zip(counts.chunks_mut(4)) {
            pass::<S, 4, false>(simd, four, scores, counts);
        }
        finite
    }
}

/// One pass over the scores for a few thresholds.
#[inline(always)]
fn pass<S: Simd, const N: usize, const CHECK: bool>(
    simd: S,
    thresholds: [f32; N],
    scores: &[f32],
    counts: &mut [Count],
) -> bool {
    let (body, tail) = S::as_simd_f32s(scores);
    let splat = thresholds.map(|threshold| simd.splat_f32s(threshold));
    let mut greater = [simd.splat_u32s(0); N];
    let mut equal = [simd.splat_u32s(0); N];
    let one = simd.splat_u32s(1);
    let mut watch = simd.splat_f32s(0.0);
    for &values in body {
        if CHECK {
            watch = not_finite(simd, values, watch);
        }
        for t in 0..N {
            let above = simd.greater_than_f32s(values, splat[t]);
            greater[t] = simd.select_u32s(above, simd.add_u32s(greater[t], one), greater[t]);
            let same = simd.equal_f32s(values, splat[t]);
            equal[t] = simd.select_u32s(same, simd.add_u32s(equal[t], one), equal[t]);
        }
    }
    let sum = |values: S::u32s| -> usize {
        let mut lanes = [0; 16];
        simd.partial_store_u32s(&mut lanes[..S::U32_LANES], values);
        lanes.iter().map(|&n| n as usize).sum()
    };
    for (t, count) in counts.iter_mut().take(N).enumerate() {
        let at = |scores: &[f32], is: fn(&f32, &f32) -> bool| scores.iter().filter(|x| is(x, &thresholds[t])).count();
        count.greater += sum(greater[t]) + at(tail, |x, y| x > y);
        count.equal += sum(equal[t]) + at(tail, |x, y| x == y);
    }
    !CHECK || (is_zero(simd, watch) && tail.iter().all(|score| score.is_finite()))
}

/// One pass over the scores, each put into its place between the thresholds.
fn search(thresholds: &[f32], scores: &[f32], counts: &mut [Count]) {
    let mut own = vec![Count::default(); thresholds.len()];
    for &score in scores {
        let place = thresholds.partition_point(|&threshold| threshold > score);
        // Below the last threshold there is nothing to count.
        if let (Some(&threshold), Some(count)) = (thresholds.get(place), own.get_mut(place)) {
            if threshold == score {
                count.equal += 1;
            } else {
                count.greater += 1;
            }
        }
    }
    let mut above = 0;
    for (count, own) in counts.iter_mut().zip(own) {
        above += own.greater;
        count.greater += above;
        count.equal += own.equal;
        above += own.equal;
    }
}
