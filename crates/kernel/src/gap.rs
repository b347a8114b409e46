//! Sums over the steps that a row has missed under Adam: see [`super::history`] for the formulas.

use crate::history::Move;
use crate::optimizer::Adam;

/// Powers of `d` whose sums are kept.
pub(super) const ORDERS: usize = 7;
/// What is small against a rounding error of f32.
const TINY: f64 = 1.0 / (1 << 30) as f64;

/// A step of the past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past {
    /// The learning rate.
    pub(super) rate: f64,
    /// `lr / (1 − β1^i)`.
    pub(super) size: f64,
    /// `1 / √(1 − β2^i)`.
    pub(super) root: f64,
    /// `1 − lr · decay`.
    pub(super) shrink: f64,
    /// Its reciprocal.
    pub(super) per_shrink: f64,
    /// `size · root^k` for each order `k`.
    pub(super) terms: [f64; ORDERS],
}

/// Steps of the past as fractions.
pub(super) struct Terms<'a> {
    pub(super) past: &'a [Past],
    /// `β1` and `√β2`.
    pub(super) ratios: [f64; 2],
    /// `d_1` but for `√β2`, which all `d` are divided by.
    pub(super) center: f64,
    /// What `c_j`, `d_j` and the shrinks after `j` have come to.
    pub(super) state: [f64; 3],
}

impl Terms<'_> {
    /// What `δ` is relative to.
    #[inline(always)]
    pub(super) fn center(&self) -> f32 {
        (self.center * self.ratios[1]) as f32
    }

    /// `c` and `δ` of the next four steps, with 0 after the last.
    #[inline(always)]
    pub(super) fn next_four(&mut self) -> Option<[(f32, f32); 4]> {
        if self.past.is_empty() {
            return None;
        }
        let n = self.past.len().min(4);
        let (four, rest) = self.past.split_at(n);
        let mut out = [(0.0, 0.0); 4];
        let [mut one, mut two, mut after] = self.state;
        let per_center = 1.0 / self.center;
        for (out, past) in out.iter_mut().zip(four) {
            one *= self.ratios[0];
            two *= self.ratios[1];
            after *= past.per_shrink;
            *out = ((past.size * one * after) as f32, (past.root * two * per_center - 1.0) as f32);
        }
        (self.state, self.past) = ([one, two, after], rest);
        Some(out)
    }
}

/// `β1^j`, `β2^j` and `β2^{j/2}`.
pub(super) fn powers(adam: &Adam, j: usize) -> [f64; 3] {
    let j = j as f64;
    [adam.beta1.powf(j), adam.beta2.powf(j), adam.beta2.powf(j / 2.0)]
}

/// How many missed steps count for `θ`: `β1^j` of later ones is too small.
pub(super) fn window(adam: &Adam) -> usize {
    if adam.beta1 == 0.0 { 0 } else { (TINY.ln() / adam.beta1.ln()).ceil() as usize }
}

/// Whether missed steps have no closed form: with L2 in the gradient, or if `v` decays so much faster than `m` that the
/// `d_j` are far from each other.
pub(super) fn replays(adam: &Adam) -> bool {
    adam.l2 > 0.0 || adam.beta2.powf(window(adam) as f64 / 2.0) < 1e-4
}

/// `Σ_j c_j d_j^k` for each order `k`.
pub(super) struct Sums {
    /// `β1 · β2^{k/2}`.
    pub(super) ratios: [f64; ORDERS],
    pub(super) values: [f64; ORDERS],
    /// The product of the shrinks of the steps so far.
    pub(super) shrink: f64,
}

impl Sums {
    pub(super) fn new(adam: &Adam) -> Self {
        let root = adam.beta2.sqrt();
        Self { ratios: std::array::from_fn(|k| adam.beta1 * root.powi(k as i32)), values: [0.0; ORDERS], shrink: 1.0 }
    }

    /// Puts a step before those of the sums so far.
    pub(super) fn put_before(&mut self, past: &Past) {
        for ((sum, ratio), term) in self.values.iter_mut().zip(&self.ratios).zip(&past.terms) {
            *sum = ratio * (*sum + term * self.shrink);
        }
        self.shrink *= past.shrink;
    }

    /// The series, if its remainder is small enough; `roots` are the first and the last `d_j`, the greatest and the least.
    pub(super) fn series(&self, roots: [f64; 2], shrink: f32) -> Option<Move> {
        let s0 = self.values[0];
        if s0 == 0.0 {
            return Some(Move::Series { shrink, center: 1.0, sums: [0.0; 5] });
        }
        let center = self.values[1] / s0;
        let (per_center, mut scale) = (1.0 / center, 1.0 / s0);
        let u: [f64; ORDERS] = std::array::from_fn(|k| {
            let moment = self.values[k] * scale;
            scale *= per_center;
            moment
        });
        // Central moments from raw ones; what cancels is some 1e−15 of S_0.
        let s2 = u[2] - 1.0;
        let s3 = u[3] - 3.0 * u[2] + 2.0;
        let s4 = u[4] - 4.0 * u[3] + 6.0 * u[2] - 3.0;
        let s5 = u[5] - 5.0 * u[4] + 10.0 * u[3] - 10.0 * u[2] + 4.0;
        let s6 = u[6] - 6.0 * u[5] + 15.0 * u[4] - 20.0 * u[3] + 15.0 * u[2] - 5.0;
        let farthest = roots.iter().map(|root| (root * per_center - 1.0).abs()).fold(0.0, f64::max);
        let small = farthest < 1.0 && s6 <= TINY * (1.0 - farthest);
        let sums = [s0, s0 * s2, -s0 * s3, s0 * s4, -s0 * s5].map(|sum| sum as f32);
        small.then_some(Move::Series { shrink, center: center as f32, sums })
    }
}
