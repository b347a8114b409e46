//! The best items of a user without sorting all of them.

use pulp::Simd;

use crate::lanes::{Work, dispatch};

/// Room for candidates beside the best ones: the more, the less often they are sifted, and the later the threshold
/// rises.
const ROOM: usize = 64;

/// The items with the greatest scores, found tile by tile.
///
/// Keeps all that may still be among the best in a buffer, and the score that is to be beaten; when the buffer is full,
/// a selection in linear time leaves the best ones in it. Most scores cost a comparison only.
#[derive(Debug, Clone)]
pub struct Best {
    k: usize,
    /// What a score must be greater than.
    floor: f32,
    /// Scores and items, so that greater is better: the score in the upper half, the complement of the item below.
    keys: Vec<u64>,
}

impl Best {
    /// The `k` best of none as yet.
    pub fn new(k: usize) -> Self {
        Self { k, floor: f32::NEG_INFINITY, keys: Vec::new() }
    }

    /// How many bytes one needs at most.
    pub fn bytes(k: usize) -> usize {
        // A vector that grows may have twice the room that it uses.
        2 * size_of::<u64>() * capacity(k)
    }

    /// Looks at the scores of the items `first`, `first + 1` and so on, which must come after all items that were
    /// offered before. Negative infinity says that an item is not to be had; all others must be finite.
    pub fn offer(&mut self, first: u32, scores: &[f32]) {
        if self.k > 0 {
            dispatch(Offer { best: self, first, scores });
        }
    }

    /// Gives the best items, descending by score, those with equal scores ascending by id, to `take`, and starts anew.
    pub fn finish(&mut self, mut take: impl FnMut(u32, f32)) {
        self.sift();
        self.keys.sort_unstable_by(|x, y| y.cmp(x));
        for key in self.keys.drain(..) {
            take(!(key as u32), score(key));
        }
        self.floor = f32::NEG_INFINITY;
    }

    /// Leaves the `k` best.
    fn sift(&mut self) {
        if self.keys.len() <= self.k || self.k == 0 {
            return;
        }
        let (_, &mut last, _) = self.keys.select_nth_unstable_by(self.k - 1, |x, y| y.cmp(x));
        self.keys.truncate(self.k);
        // Later items have greater ids, so an equal score is not enough.
        self.floor = score(last);
    }

    #[inline(always)]
    fn push(&mut self, item: u32, score: f32) {
        self.keys.push(key(item, score));
        if self.keys.len() >= capacity(self.k) {
            self.sift();
        }
    }
}

fn capacity(k: usize) -> usize {
    k.saturating_add(k.max(ROOM))
}

#[inline(always)]
fn key(item: u32, score: f32) -> u64 {
    // Adding 0 makes −0.0 equal to 0.0.
    let bits = (score + 0.0).to_bits();
    // The order of floats is that of their bits, but the other way round below 0.
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(!item)
}

#[inline(always)]
fn score(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

struct Offer<'a> {
    best: &'a mut Best,
    first: u32,
    scores: &'a [f32],
}

impl Work for Offer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { best, first, scores } = self;
        let (body, tail) = S::as_simd_f32s(scores);
        let mut item = first;
        for (&values, row) in body.iter().zip(scores.chunks_exact(S::F32_LANES)) {
            let mut above = bits(simd, simd.greater_than_f32s(values, simd.splat_f32s(best.floor)));
            while above != 0 {
                let place = above.trailing_zeros();
                above &= above - 1;
                // The threshold may have risen since.
                if let Some(&score) = row.get(place as usize).filter(|score| **score > best.floor) {
                    best.push(item + place, score);
                }
            }
            item += S::F32_LANES as u32;
        }
        for (item, &score) in (item..).zip(tail) {
            if score > best.floor {
                best.push(item, score);
            }
        }
    }
}

/// The lanes in which the mask is set, the first one in the lowest bit.
#[inline(always)]
fn bits<S: Simd>(simd: S, mask: S::m32s) -> u32 {
    if size_of::<S::m32s>() == size_of::<u16>() {
        // AVX-512 has masks that are bits; `pulp::Simd::first_true_m32s` would give the last lane of them.
        return u32::from(bytemuck::cast::<S::m32s, u16>(mask));
    }
    #[cfg(target_arch = "x86_64")]
    {
        use std::any::Any;
        let any: &dyn Any = &simd;
        if let Some(v3) = any.downcast_ref::<pulp::x86::V3>() {
            let signs = simd.select_u32s(mask, simd.splat_u32s(u32::MAX), simd.splat_u32s(0));
            return v3.avx._mm256_movemask_ps(bytemuck::cast(signs)).cast_unsigned();
        }
    }
    let mut lanes = [0; 16];
    simd.partial_store_u32s(&mut lanes[..S::U32_LANES], simd.select_u32s(mask, simd.splat_u32s(1), simd.splat_u32s(0)));
    lanes.iter().rev().fold(0, |bits, &lane| bits << 1 | lane)
}
