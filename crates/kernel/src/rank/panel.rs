//! The product that everything is made of: a few rows with a panel of columns.

use pulp::Simd;

use crate::lanes::{self, LANES, Square, mul_add, transpose};

/// The number of columns of a panel; its lanes are items, or outputs of a layer.
pub(super) const PANEL: usize = 32;
/// The number of rows that are multiplied with a panel at once: users, or outputs of a layer.
pub(super) const STRIP: usize = 8;

/// A row of a panel, on a cache line of its own.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Row(pub(super) [f32; PANEL]);

impl Row {
    pub(super) const ZERO: Self = Self([0.0; PANEL]);
}

/// A column of [`STRIP`] rows.
pub(super) type Strip = [f32; STRIP];

/// The rows in strips, column by column; missing rows of the last strip are 0.
pub(super) fn strips(rows: &[&[f32]], width: usize) -> Vec<Strip> {
    let mut strips = Vec::with_capacity(rows.len().div_ceil(STRIP) * width);
    for rows in rows.chunks(STRIP) {
        let start = strips.len();
        strips.resize(start + width, [0.0; STRIP]);
        for (r, row) in rows.iter().enumerate() {
            for (strip, &value) in strips[start..].iter_mut().zip(*row) {
                strip[r] = value;
            }
        }
    }
    strips
}

/// The columns of a row-major matrix of this width, in panels: panel after panel, each of them row `k` of all its
/// columns after row `k - 1`. Missing columns of the last panel are 0. A column of the panels is a row of the matrix.
pub(super) fn panels(matrix: &[f32], width: usize) -> Vec<Row> {
    let n = matrix.len() / width;
    let mut panels = vec![Row::ZERO; n.div_ceil(PANEL) * width];
    for (panel, rows) in panels.chunks_exact_mut(width).zip(matrix.chunks(PANEL * width)) {
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (out, &value) in panel.iter_mut().zip(row) {
                out.0[lane] = value;
            }
        }
    }
    panels
}

/// The vectors of a row.
#[inline(always)]
pub(super) fn vectors<S: Simd>(row: &Row) -> &[S::f32s] {
    S::as_simd_f32s(&row.0).0
}

/// The vectors of a row, to be written.
#[inline(always)]
pub(super) fn vectors_mut<S: Simd>(row: &mut Row) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(&mut row.0).0
}

/// Calls `finish(r, sums)` for each row `r` of the strip, with `sums[c] = Σ_k left[k][r] · right[k][c]`. Each sum runs
/// over `k` in its order.
#[inline(always)]
pub(super) fn strip_times_panel<S: Simd>(
    simd: S,
    left: &[Strip],
    right: &[Row],
    finish: impl FnMut(usize, &[S::f32s]),
) {
    // As many sums at once as there are registers for.
    match S::F32_LANES {
        16 => blocks::<S, 8, 2>(simd, left, right, finish),
        8 => blocks::<S, 2, 4>(simd, left, right, finish),
        _ => blocks::<S, 1, 8>(simd, left, right, finish),
    }
}

#[inline(always)]
fn blocks<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    left: &[Strip],
    right: &[Row],
    mut finish: impl FnMut(usize, &[S::f32s]),
) {
    for block in 0..STRIP / MR {
        let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
        for (left, right) in left.iter().zip(right) {
            let Some(b) = vectors::<S>(right).first_chunk::<NV>() else { continue };
            let a = &left.as_chunks::<MR>().0[block];
            for r in 0..MR {
                let x = simd.splat_f32s(a[r]);
                for v in 0..NV {
                    sums[r][v] = mul_add(simd, x, b[v], sums[r][v]);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            finish(block * MR + r, sums);
        }
    }
}

/// Adds the inner products of some rows with the same weights, `Σ_k weights[k] · rows[r][k]`, to `sums[r]`, each sum over
/// `k` in its order. `line(r, c)` gives the columns from `c` · [`LANES`] on of row `r`; columns without a weight may be
/// anything.
#[inline(always)]
pub(super) fn add_dots<S: Simd>(
    simd: S,
    weights: &[f32],
    line: impl Fn(usize, usize) -> [f32; LANES],
    sums: &mut [f32; LANES],
) {
    let sums = lanes::vectors_mut::<S>(sums);
    for (c, weights) in weights.chunks(LANES).enumerate() {
        let mut square: Square = std::array::from_fn(|r| line(r, c));
        transpose(simd, &mut square);
        for (x, &weight) in square.iter().zip(weights) {
            let weight = simd.splat_f32s(weight);
            for (sum, &x) in sums.iter_mut().zip(lanes::vectors::<S>(x)) {
                *sum = mul_add(simd, weight, x, *sum);
            }
        }
    }
}
