//! Products of activations or gradients with weights, over panels.
//!
//! A matrix is stored as panels of [`PANEL`] columns: panel after panel, and in each of them row after row. What the
//! inner loops read is so always contiguous, whatever the widths of a model, and no part of a matrix evicts another
//! from the cache because their addresses differ by a power of two.

use pulp::Simd;

use crate::lanes::{PANEL, Row, mul_add, vectors};

/// What becomes of the rows of a product.
pub(super) trait Finish<S: Simd> {
    /// Takes the sums of row `row`, [`PANEL`] of them.
    fn row<const NV: usize>(&mut self, simd: S, row: usize, sums: [S::f32s; NV]);
}

/// Gives `finish` the sums `Σ_p Σ_k left_p[r][k] · right_p[k]` for the first `rows` rows `r`.
///
/// `left(p)` is the `p`-th panel of the left side, whose number of rows is a multiple of 8; `right(p)` are those rows
/// of the right side that it meets, one panel wide.
#[inline(always)]
pub(super) fn times_panel<'a, S: Simd>(
    simd: S,
    rows: usize,
    panels: usize,
    left: impl Fn(usize) -> &'a [Row],
    right: impl Fn(usize) -> &'a [Row],
    finish: impl Finish<S>,
) {
    // As many sums as there are registers for.
    match S::F32_LANES {
        16 => strips::<S, 8, 2>(simd, rows, panels, left, right, finish),
        8 => strips::<S, 2, 4>(simd, rows, panels, left, right, finish),
        _ => strips::<S, 1, 8>(simd, rows, panels, left, right, finish),
    }
}

#[inline(always)]
fn strips<'a, S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    rows: usize,
    panels: usize,
    left: impl Fn(usize) -> &'a [Row],
    right: impl Fn(usize) -> &'a [Row],
    mut finish: impl Finish<S>,
) {
    for strip in 0..rows.div_ceil(MR) {
        let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
        for p in 0..panels {
            let a = &left(p).as_chunks::<MR>().0[strip];
            for (k, b) in (0..PANEL).zip(right(p)) {
                let b: &[S::f32s; NV] = vectors::<S>(b).first_chunk().expect("a panel has NV vectors");
                for r in 0..MR {
                    let x = simd.splat_f32s(a[r][k]);
                    for v in 0..NV {
                        acc[r][v] = mul_add(simd, x, b[v], acc[r][v]);
                    }
                }
            }
        }
        // Rows past the last are sums of what an earlier batch has left, and finished all the same: nobody reads them.
        for (r, acc) in acc.into_iter().enumerate() {
            finish.row(simd, strip * MR + r, acc);
        }
    }
}
