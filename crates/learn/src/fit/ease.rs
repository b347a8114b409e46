//! The closed form of EASE^R: one symmetric matrix, inverted.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor;
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::prelude::{IntoConst, Mat, MatMut, MatRef, ReborrowMut};
use faer::{Accum, Par, Spec};
use rayon::prelude::*;

use crate::data::csr::Csr;
use crate::fit::Watch;
use crate::fit::memory::zeros;
use crate::fit::{Error, Result};
use crate::model::Ease;

/// How many columns one task takes: enough for products that keep the processor busy.
const BLOCK: usize = 128;

/// The matrix `B`, row by row: `B_ij = −P_ij / P_jj` for `i ≠ j`, else 0, with `P = (Xᵀ X + λ I)⁻¹`.
pub(super) fn matrix(ease: &Ease, train: &Csr, watch: Watch<'_>) -> Result<Vec<f32>> {
    let n = train.n_items() as usize;
    let mut matrix = zeros(n * n)?;
    if n == 0 {
        return Ok(matrix);
    }
    (watch.start)(3 * n as u64, "items");
    let mut gram = gram(train, ease.regularisation, watch)?;
    factorise(MatMut::from_column_major_slice_mut(&mut gram, n, n), watch)?;
    let diagonal = invert(MatRef::from_column_major_slice(&gram, n, n), &mut matrix, watch)?;
    drop(gram);
    weigh(&mut matrix, &diagonal);
    Ok(matrix)
}

/// The lower half of `Xᵀ X + λ I`, column by column.
fn gram(train: &Csr, lambda: f64, watch: Watch<'_>) -> Result<Vec<f64>> {
    let n = train.n_items() as usize;
    let users_of = train.transpose();
    let mut gram: Vec<f64> = zeros(n * n)?;
    gram.par_chunks_mut(n).enumerate().try_for_each(|(column, values)| -> Result<()> {
        watch.check()?;
        for &user in users_of.row(column as u32) {
            let row = train.row(user);
            for &item in &row[row.partition_point(|item| (*item as usize) < column)..] {
                values[item as usize] += 1.0;
            }
        }
        values[column] += lambda;
        (watch.advance)(1);
        Ok(())
    })?;
    Ok(gram)
}

/// Replaces the lower half of a symmetric matrix by its Cholesky factor, block by block of columns.
fn factorise(mut matrix: MatMut<'_, f64>, watch: Watch<'_>) -> Result<()> {
    let n = matrix.nrows();
    for start in (0..n).step_by(BLOCK) {
        watch.check()?;
        let width = BLOCK.min(n - start);
        let (_, _, _, rest) = matrix.rb_mut().split_at_mut(start, start);
        let (mut corner, _, mut below, mut right) = rest.split_at_mut(width, width);
        let mut memory = MemBuffer::new(factor::cholesky_in_place_scratch::<f64>(width, Par::Seq, Spec::default()));
        factor::cholesky_in_place(
            corner.rb_mut(),
            factor::LltRegularization::default(),
            Par::Seq,
            MemStack::new(&mut memory),
            Spec::default(),
        )
        .map_err(|_| Error::failed("EASE's matrix is singular").help("use more `regularisation`"))?;
        let corner = corner.into_const();
        below.rb_mut().par_row_chunks_mut(BLOCK).for_each(|rows| {
            solve_lower_triangular_in_place(corner, rows.transpose_mut(), Par::Seq);
        });
        let below = below.into_const();
        right.rb_mut().par_col_chunks_mut(BLOCK).enumerate().for_each(|(number, columns)| {
            let (top, width) = (number * BLOCK, columns.ncols());
            let (_, columns) = columns.split_at_row_mut(top);
            let (left, right) = (below.subrows(top, below.nrows() - top), below.subrows(top, width));
            matmul(columns, Accum::Add, left, right.transpose(), -1.0, Par::Seq);
        });
        (watch.advance)(width as u64);
    }
    Ok(())
}

/// The lower half of the inverse of `L Lᵀ`, column by column into `out`, and its diagonal.
fn invert(factor: MatRef<'_, f64>, out: &mut [f32], watch: Watch<'_>) -> Result<Vec<f64>> {
    let n = factor.nrows();
    let parts = out.par_chunks_mut(n * BLOCK).enumerate().map(|(number, out)| {
        watch.check()?;
        // Columns from `start` on have zeros above it, and what is above it in the solution is not asked for: so the
        // rows from `start` on are a problem of their own.
        let (start, width) = (number * BLOCK, out.len() / n);
        let size = n - start;
        let mut solution = Mat::<f64>::zeros(size, width);
        (0..width).for_each(|k| solution[(k, k)] = 1.0);
        let factor = factor.submatrix(start, start, size, size);
        solve_lower_triangular_in_place(factor, solution.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(factor.transpose(), solution.as_mut(), Par::Seq);
        for (k, column) in out.chunks_exact_mut(n).enumerate() {
            for (value, solved) in column[start..].iter_mut().zip(solution.col_as_slice(k)) {
                *value = *solved as f32;
            }
        }
        (watch.advance)(width as u64);
        Ok((0..width).map(|k| solution[(k, k)]).collect::<Vec<f64>>())
    });
    Ok(parts.collect::<Result<Vec<_>>>()?.concat())
}

/// Makes `B`, row by row, of the lower half of `P`, column by column: `P_ij` with `i ≥ j` stands where `B_ji` belongs.
fn weigh(matrix: &mut [f32], diagonal: &[f64]) {
    /// Squares of this side are turned over one after the other, because the far half is walked down columns.
    const SIDE: usize = 64;
    let n = diagonal.len();
    for top in (0..n).step_by(SIDE) {
        for left in (top..n).step_by(SIDE) {
            for row in top..n.min(top + SIDE) {
                for column in left.max(row + 1)..n.min(left + SIDE) {
                    let value = f64::from(matrix[row * n + column]);
                    matrix[row * n + column] = (-value / diagonal[column]) as f32;
                    matrix[column * n + row] = (-value / diagonal[row]) as f32;
                }
            }
        }
    }
    (0..n).for_each(|item| matrix[item * n + item] = 0.0);
}
