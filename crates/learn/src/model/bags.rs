//! Weighted sums of the rows of a table as a candle operation: what PyTorch's `EmbeddingBag` with `per_sample_weights`
//! computes.
//!
//! Out of candle's own operations, looking up each row, weighting and adding them up takes several passes over a tensor
//! with a row for each entry of each bag, and the gradient as many; all of them on one thread.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;

/// Which rows are summed, and by which weights.
#[derive(Debug, Clone, Default)]
pub(super) struct Bags {
    /// Bag `b` is the entries `ends[b - 1]..ends[b]`.
    ends: Vec<usize>,
    rows: Vec<u32>,
    weights: Vec<f32>,
}

impl Bags {
    /// Adds a bag of rows. Those of weight 0 are left out.
    pub(super) fn push(&mut self, rows: &[u32], weights: &[f32]) {
        for (&row, &weight) in rows.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
            self.rows.push(row);
            self.weights.push(weight);
        }
        self.ends.push(self.rows.len());
    }

    /// The sums, `[bags, width]`, of a table `[rows, width]`; differentiable by the table. They do not depend on the number
    /// of threads.
    pub(super) fn sums(self, table: &Tensor) -> Result<Tensor> {
        table.contiguous()?.apply_op1(self)
    }

    fn bag(&self, bag: usize) -> impl Iterator<Item = (u32, f32)> {
        let start = bag.checked_sub(1).map_or(0, |before| self.ends[before]);
        let entries = start..self.ends[bag];
        self.rows[entries.clone()].iter().copied().zip(self.weights[entries].iter().copied())
    }

    /// For each row of the table the bags that it is in, with its weights, in their order.
    fn by_row(&self, n_rows: usize) -> Result<Self> {
        let mut ends = vec![0_usize; n_rows];
        for &row in &self.rows {
            match ends.get_mut(row as usize) {
                Some(n) => *n += 1,
                None => bail!("a bag has row {row} of a table of {n_rows}"),
            }
        }
        let mut next = 0;
        for end in &mut ends {
            // Where the row's entries begin, for now.
            next += std::mem::replace(end, next);
        }
        let (mut bags, mut weights) = (vec![0; self.rows.len()], vec![0.0; self.rows.len()]);
        for bag in 0..self.ends.len() {
            for (row, weight) in self.bag(bag) {
                let place = &mut ends[row as usize];
                (bags[*place], weights[*place]) = (bag as u32, weight);
                *place += 1;
            }
        }
        Ok(Self { ends, rows: bags, weights })
    }

    /// The sums of the rows of a table that lies row by row, which has all the rows that are asked for.
    fn sums_of<T: WithDType>(&self, table: &[T], width: usize) -> Vec<T> {
        let mut out = vec![T::zero(); self.ends.len() * width];
        let sums = out.par_chunks_exact_mut(width).enumerate().with_min_len(8);
        sums.for_each(|(bag, sum)| {
            for (row, weight) in self.bag(bag) {
                let (row, weight) = (&table[row as usize * width..][..width], T::from_f64(f64::from(weight)));
                sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += weight * x);
            }
        });
        out
    }

    fn gradient<T: WithDType>(&self, table: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (n_rows, width) = table.dims2()?;
        let grad = grad.flatten_all()?.to_vec1::<T>()?;
        Tensor::from_vec(self.by_row(n_rows)?.sums_of(&grad, width), (n_rows, width), table.device())
    }
}

impl CustomOp1 for Bags {
    fn name(&self) -> &'static str {
        "sums-of-bags"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (Some((start, end)), &[n_rows, width]) = (layout.contiguous_offsets(), layout.dims()) else {
            bail!("bags are of the rows of a contiguous table");
        };
        if let Some(row) = self.rows.iter().find(|row| **row as usize >= n_rows) {
            bail!("a bag has row {row} of a table of {n_rows}");
        }
        let sums = match table {
            CpuStorage::F32(table) => CpuStorage::F32(self.sums_of(&table[start..end], width)),
            CpuStorage::F64(table) => CpuStorage::F64(self.sums_of(&table[start..end], width)),
            _ => bail!("bags are of a table of type f32 or f64"),
        };
        Ok((sums, Shape::from((self.ends.len(), width))))
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(match table.dtype() {
            DType::F32 => self.gradient::<f32>(table, grad)?,
            DType::F64 => self.gradient::<f64>(table, grad)?,
            other => bail!("bags have no gradient of type {other:?}"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// Bags with rows that are in several of them, twice in one, or in none; one bag is empty.
    const BAGS: [&[(u32, f32)]; 4] = [&[(0, 1.0), (3, 2.0), (0, -0.5)], &[], &[(4, 0.0), (3, 0.25)], &[(5, 1.0)]];

    fn bags() -> Bags {
        let mut bags = Bags::default();
        for bag in BAGS {
            let (rows, weights): (Vec<u32>, Vec<f32>) = bag.iter().copied().unzip();
            bags.push(&rows, &weights);
        }
        bags
    }

    fn table(n_rows: usize, width: usize) -> Var {
        let values = (0..n_rows * width).map(|k| (k as f64 * 1.7).sin()).collect();
        Var::from_tensor(&Tensor::from_vec(values, (n_rows, width), &Device::Cpu).unwrap()).unwrap()
    }

    #[test]
    fn sums_and_gradients_are_those_of_candles_own_operations() {
        let (table, bags) = (table(7, 3), bags());
        let picked = |bag: &[(u32, f32)]| {
            let mut dense = [0.0_f64; 7];
            for &(row, weight) in bag {
                dense[row as usize] += f64::from(weight);
            }
            dense
        };
        let dense = Tensor::new(&BAGS.map(picked), &Device::Cpu).unwrap();
        let (ours, theirs) = (bags.sums(&table).unwrap(), dense.matmul(&table).unwrap());
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let slopes = Tensor::from_vec((0..12).map(|k| f64::from(k) - 5.5).collect(), (4, 3), &Device::Cpu).unwrap();
        let gradient = |t: &Tensor| {
            let store = (t * &slopes).unwrap().sum_all().unwrap().backward().unwrap();
            flat(store.get(&table).unwrap())
        };
        for (ours, theirs) in [(flat(&ours), flat(&theirs)), (gradient(&ours), gradient(&theirs))] {
            assert_eq!(ours.len(), theirs.len());
            assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-14), "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn rows_outside_of_the_table_are_errors() {
        assert!(bags().sums(&table(5, 3)).is_err());
        assert!(bags().sums(&table(6, 3)).is_ok());
        assert!(bags().sums(&Tensor::zeros((6, 3), DType::U32, &Device::Cpu).unwrap()).is_err());
    }
}
