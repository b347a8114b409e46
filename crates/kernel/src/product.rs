//! Products of activations or gradients with weights, over panels.
//!
//! A matrix is stored as panels of [`PANEL`] columns: panel after panel, and in each of them row after row. What the
//! inner loops read is so always contiguous, whatever the widths of a model, and no part of a matrix evicts another
//! from the cache because their addresses differ by a power of two.

use pulp::Simd;

use crate::lanes::{PANEL, Row, mul_add, vectors};
use crate::tile::TILE;

/// Rows that strips of six may take: what is left of a whole tile is strips of four, so that they end with it however many
/// of its rows there are.
const SIXES: usize = if TILE % 6 == 4 { TILE - 4 } else { TILE - 8 };
const _: () = assert!(SIXES.is_multiple_of(6) && TILE.is_multiple_of(8));

/// What becomes of the rows of a product.
pub(super) trait Finish<S: Simd> {
    /// Takes the sums of some vectors of a row of a panel, from vector `first` on.
    fn row<const NV: usize>(&mut self, simd: S, panel: usize, first: usize, row: usize, sums: [S::f32s; NV]);
}

/// The sides of a product: `Σ_p Σ_k left(p)[r][k] · right(p, n)[k]`, for rows `r` and panels `n`.
///
/// `left(p)` is the `p`-th panel of the left side, with the rows of a whole tile, within which all strips end;
/// `right(p, n)` are those rows of the `n`-th panel of the right side that it meets.
pub(super) struct Product<L, R> {
    pub(super) left: L,
    pub(super) right: R,
    /// How many panels the left side has.
    pub(super) inner: usize,
}

impl<'a, L: Fn(usize) -> &'a [Row], R: Fn(usize, usize) -> &'a [Row]> Product<L, R> {
    /// Gives `finish` the first `rows` rows of all `panels` of the product.
    #[inline(always)]
    pub(super) fn rows<S: Simd>(&self, simd: S, rows: usize, panels: usize, mut finish: impl Finish<S>) {
        let mut n = 0;
        // Two panels together need fewer loads for as many products. AVX-512 has registers for that.
        while S::F32_LANES == 16 && n + 1 < panels {
            let mut start = 0;
            while start + 6 <= rows.min(SIXES) {
                self.strip::<S, 6, 2, 2>(simd, start, [n, 0], &mut finish);
                start += 6;
            }
            while start < rows {
                self.strip::<S, 4, 2, 2>(simd, start, [n, 0], &mut finish);
                start += 4;
            }
            n += 2;
        }
        while n < panels {
            match S::F32_LANES {
                16 => {
                    for start in (0..rows).step_by(8) {
                        self.strip::<S, 8, 1, 2>(simd, start, [n, 0], &mut finish);
                    }
                }
                // AVX2 has half as many registers, and latencies as long: halves of a panel make the most sums.
                8 => {
                    self.half(simd, rows, [n, 0], &mut finish);
                    self.half(simd, rows, [n, 2], &mut finish);
                }
                _ => {
                    for start in 0..rows {
                        self.strip::<S, 1, 1, 8>(simd, start, [n, 0], &mut finish);
                    }
                }
            }
            n += 1;
        }
    }

    /// Half of panel `n`, two vectors from vector `first` on.
    #[inline(always)]
    fn half<S: Simd>(&self, simd: S, rows: usize, [n, first]: [usize; 2], finish: &mut impl Finish<S>) {
        let mut start = 0;
        while start + 6 <= rows.min(SIXES) {
            self.strip::<S, 6, 1, 2>(simd, start, [n, first], finish);
            start += 6;
        }
        while start < rows {
            self.strip::<S, 4, 1, 2>(simd, start, [n, first], finish);
            start += 4;
        }
    }

    /// `MR` rows of `NP` panels from panel `n` on, in each `NV` vectors from vector `first` on: as many sums as there are
    /// registers for.
    #[inline(always)]
    fn strip<S: Simd, const MR: usize, const NP: usize, const NV: usize>(
        &self,
        simd: S,
        start: usize,
        [n, first]: [usize; 2],
        finish: &mut impl Finish<S>,
    ) {
        let mut acc = [[[simd.splat_f32s(0.0); NV]; NP]; MR];
        // Rows past the last are sums of what an earlier batch has left, and finished all the same: nobody reads them.
        for p in 0..self.inner {
            let Some(left) = (self.left)(p).get(start..).and_then(|left| left.first_chunk::<MR>()) else { return };
            let right: [&[Row]; NP] = std::array::from_fn(|h| (self.right)(p, n + h));
            // A number of rows that is known beforehand makes a loop without ends to look for.
            if right[0].len() == PANEL {
                acc = add(simd, left, right.map(|right| &right[..PANEL]), [PANEL, first], acc);
            } else {
                acc = add(simd, left, right, [right[0].len().min(PANEL), first], acc);
            }
        }
        for (r, acc) in acc.into_iter().enumerate() {
            for (h, acc) in acc.into_iter().enumerate() {
                finish.row(simd, n + h, first, start + r, acc);
            }
        }
    }
}

/// Adds the products of the first `len` columns of the left side with as many rows of the right side.
#[inline(always)]
fn add<S: Simd, const MR: usize, const NP: usize, const NV: usize>(
    simd: S,
    left: &[Row; MR],
    right: [&[Row]; NP],
    [len, first]: [usize; 2],
    mut acc: [[[S::f32s; NV]; NP]; MR],
) -> [[[S::f32s; NV]; NP]; MR] {
    for k in 0..len {
        let mut b = [[simd.splat_f32s(0.0); NV]; NP];
        for (b, right) in b.iter_mut().zip(&right) {
            b.copy_from_slice(&vectors::<S>(&right[k])[first..first + NV]);
        }
        for r in 0..MR {
            let x = simd.splat_f32s(left[r][k]);
            for h in 0..NP {
                for v in 0..NV {
                    acc[r][h][v] = mul_add(simd, x, b[h][v], acc[r][h][v]);
                }
            }
        }
    }
    acc
}
