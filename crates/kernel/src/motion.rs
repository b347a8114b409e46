//! Bringing a row up to date: the arithmetic of [`Move`], vector by vector.

use pulp::Simd;

use crate::history::{Catch, History, Move};
use crate::lanes::{mul_add, root, vectors, vectors_mut};
use crate::optimizer::{Cell, Stepper};

/// Vectors whose sums are computed together, so that the steps are walked once for all of them.
const TOGETHER: usize = 4;

/// What a row missed, and where from.
#[derive(Clone, Copy)]
pub(super) struct Missed<'a> {
    pub(super) history: &'a History,
    pub(super) last: u32,
    pub(super) catch: Catch,
}

impl<'a> Missed<'a> {
    pub(super) fn new(history: &'a History, last: u32) -> Self {
        Self { history, last, catch: history.catch(last) }
    }
}

/// Writes θ as of now to `out`; the row stays as it is.
#[inline(always)]
pub(super) fn catch_up<S: Simd>(simd: S, missed: &Missed<'_>, row: &[f32], out: &mut [f32]) {
    let width = out.len();
    let (theta, rest) = row.split_at(width);
    let (first, second) = rest.split_at(width);
    let (theta, first, second) = (vectors::<S>(theta), vectors::<S>(first), vectors::<S>(second));
    let out = vectors_mut::<S>(out);
    match missed.catch.moves {
        Move::Keep => out.copy_from_slice(theta),
        Move::Series { shrink, center, sums } => {
            let [s0, s2, s3, s4, s5] = sums;
            let (s0, s2, s3) = (simd.splat_f32s(s0), simd.splat_f32s(s2), simd.splat_f32s(s3));
            let (s4, s5) = (simd.splat_f32s(s4), simd.splat_f32s(s5));
            let (shrink, center) = (simd.splat_f32s(shrink), simd.splat_f32s(center));
            let (one, epsilon) = (simd.splat_f32s(1.0), simd.splat_f32s(missed.history.epsilon()));
            for (((out, &theta), &m), &v) in out.iter_mut().zip(theta).zip(first).zip(second) {
                let scaled = simd.mul_f32s(root(simd, v), center);
                let r = simd.div_f32s(one, simd.add_f32s(scaled, epsilon));
                let w = simd.mul_f32s(scaled, r);
                let tail = mul_add(simd, w, mul_add(simd, w, mul_add(simd, w, s5, s4), s3), s2);
                let series = mul_add(simd, simd.mul_f32s(w, w), tail, s0);
                let moved = simd.mul_f32s(m, simd.mul_f32s(r, series));
                *out = simd.sub_f32s(simd.mul_f32s(shrink, theta), moved);
            }
        }
        Move::Terms { shrink } => {
            let shrink = simd.splat_f32s(shrink);
            let mut start = 0;
            while start < out.len() {
                let n = TOGETHER.min(out.len() - start);
                sum_terms(simd, missed, &second[start..start + n], &mut out[start..start + n]);
                for i in start..start + n {
                    let moved = simd.mul_f32s(first[i], out[i]);
                    out[i] = simd.sub_f32s(simd.mul_f32s(shrink, theta[i]), moved);
                }
                start += n;
            }
        }
        Move::Replay => {
            let (mut start, row) = (0, [theta, first, second]);
            while start < out.len() {
                start += match out.len() - start {
                    1 => put(&mut out[start..], replay::<S, 1>(simd, missed, row, start)),
                    2 | 3 => put(&mut out[start..], replay::<S, 2>(simd, missed, row, start)),
                    _ => put(&mut out[start..], replay::<S, TOGETHER>(simd, missed, row, start)),
                };
            }
        }
        Move::Linear(map) => {
            let [a, b] = [simd.splat_f32s(map[0]), simd.splat_f32s(map[1])];
            for ((out, &theta), &buf) in out.iter_mut().zip(theta).zip(first) {
                *out = mul_add(simd, a, theta, simd.mul_f32s(b, buf));
            }
        }
    }
}

/// `R(√v)` term by term: `r · Σ_j c_j / (1 + w·δ_j)`, around the first `d`.
#[inline(always)]
fn sum_terms<S: Simd>(simd: S, missed: &Missed<'_>, second: &[S::f32s], out: &mut [S::f32s]) {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let epsilon = simd.splat_f32s(missed.history.epsilon());
    let mut terms = missed.history.terms(missed.last);
    let center = simd.splat_f32s(terms.center());
    let mut near = [(zero, zero); TOGETHER];
    let mut sums = [zero; TOGETHER];
    for (near, &v) in near.iter_mut().zip(second) {
        let scaled = simd.mul_f32s(root(simd, v), center);
        let r = simd.div_f32s(one, simd.add_f32s(scaled, epsilon));
        *near = (simd.mul_f32s(scaled, r), r);
    }
    while let Some(four) = terms.next_four() {
        let mut all = [(zero, zero); 4];
        for (place, (c, delta)) in all.iter_mut().zip(four) {
            *place = (simd.splat_f32s(c), simd.splat_f32s(delta));
        }
        for (sum, &(w, _)) in sums.iter_mut().zip(&near) {
            // One division for four fractions; all denominators are near 1.
            let (p, q) = (all[0], all[1]);
            let (pd, qd) = (mul_add(simd, w, p.1, one), mul_add(simd, w, q.1, one));
            let (left, left_d) = (mul_add(simd, p.0, qd, simd.mul_f32s(q.0, pd)), simd.mul_f32s(pd, qd));
            let (p, q) = (all[2], all[3]);
            let (pd, qd) = (mul_add(simd, w, p.1, one), mul_add(simd, w, q.1, one));
            let (right, right_d) = (mul_add(simd, p.0, qd, simd.mul_f32s(q.0, pd)), simd.mul_f32s(pd, qd));
            let numerator = mul_add(simd, left, right_d, simd.mul_f32s(right, left_d));
            *sum = simd.add_f32s(*sum, simd.div_f32s(numerator, simd.mul_f32s(left_d, right_d)));
        }
    }
    for ((out, &sum), &(_, r)) in out.iter_mut().zip(&sums).zip(&near) {
        *out = simd.mul_f32s(sum, r);
    }
}

/// The missed steps one by one, with no gradient but the penalty's, of `N` vectors of θ, `m` and `v`. A step waits for the
/// one before it, so that several vectors take little longer than one. What is too small to count is cleared once.
#[inline(always)]
fn replay<S: Simd, const N: usize>(
    simd: S,
    missed: &Missed<'_>,
    row: [&[S::f32s]; 3],
    start: usize,
) -> [Cell<S::f32s>; N] {
    let zero = simd.splat_f32s(0.0);
    let mut cells = [Cell { theta: zero, first: zero, second: zero }; N];
    for (k, cell) in cells.iter_mut().enumerate() {
        *cell = Cell { theta: row[0][start + k], first: row[1][start + k], second: row[2][start + k] };
    }
    let rules = missed.history.rules(missed.last);
    for rule in rules {
        let rule = rule.vectors(simd);
        for cell in &mut cells {
            *cell = rule.step(simd, *cell, zero);
        }
    }
    if let Some(rule) = rules.last() {
        let rule = rule.vectors(simd);
        for cell in &mut cells {
            *cell = rule.clear(simd, *cell);
        }
    }
    cells
}

/// Writes θ, and says of how many vectors.
#[inline(always)]
fn put<V: Copy, const N: usize>(out: &mut [V], cells: [Cell<V>; N]) -> usize {
    for (out, cell) in out.iter_mut().zip(cells) {
        *out = cell.theta;
    }
    N
}

/// Writes θ, `m` and `v` of `N` vectors after the missed steps, and says of how many.
#[inline(always)]
fn replay_all<S: Simd, const N: usize>(simd: S, missed: &Missed<'_>, row: [&mut [S::f32s]; 3], start: usize) -> usize {
    let [theta, first, second] = row;
    let cells: [_; N] = replay(simd, missed, [theta, first, second], start);
    for (k, cell) in cells.into_iter().enumerate() {
        (theta[start + k], first[start + k], second[start + k]) = (cell.theta, cell.first, cell.second);
    }
    N
}

/// Brings a whole row up to date, and writes its θ to `out` as well.
#[inline(always)]
pub(super) fn settle<S: Simd>(simd: S, missed: &Missed<'_>, row: &mut [f32], out: &mut [f32]) {
    let width = out.len();
    if missed.catch.moves == Move::Replay {
        let (theta, rest) = row.split_at_mut(width);
        let (first, second) = rest.split_at_mut(width);
        let (theta, first, second) = (vectors_mut::<S>(theta), vectors_mut::<S>(first), vectors_mut::<S>(second));
        let mut start = 0;
        while start < theta.len() {
            let row = [&mut *theta, &mut *first, &mut *second];
            start += match row[0].len() - start {
                1 => replay_all::<S, 1>(simd, missed, row, start),
                2 | 3 => replay_all::<S, 2>(simd, missed, row, start),
                _ => replay_all::<S, TOGETHER>(simd, missed, row, start),
            };
        }
        vectors_mut::<S>(out).copy_from_slice(theta);
        return;
    }
    catch_up(simd, missed, row, out);
    let [a, b] = [simd.splat_f32s(missed.catch.carry[0]), simd.splat_f32s(missed.catch.carry[1])];
    let linear = matches!(missed.catch.moves, Move::Linear(_));
    let (theta, rest) = row.split_at_mut(width);
    let (first, second) = rest.split_at_mut(width);
    for (i, m) in vectors_mut::<S>(first).iter_mut().enumerate() {
        *m = if linear { mul_add(simd, a, vectors::<S>(theta)[i], simd.mul_f32s(b, *m)) } else { simd.mul_f32s(a, *m) };
    }
    if !linear {
        for v in vectors_mut::<S>(second) {
            *v = simd.mul_f32s(b, *v);
        }
    }
    theta.copy_from_slice(out);
}
