//! The perceptron over two embeddings, its first layer split into what depends on the user and what on the item:
//! `W₁[u ; v] + c = W_u u + (W_v v + c)`. Either half is computed once for each user and item, not for each pair.

use pulp::Simd;
use rayon::prelude::*;

use super::pairs::{Dense, Error, Tables};
use super::panel::{PANEL, Row, STRIP, add_dots, panels, strip_times_panel, strips, vectors, vectors_mut};
use super::product::row;
use crate::lanes::{self, LANES, Work, dispatch, prefetch};
use crate::memory::Lines;
use crate::product;
use crate::tile::{Activate, TILE};

const _: () = assert!(PANEL == TILE && PANEL == lanes::PANEL && PANEL.is_multiple_of(STRIP));

/// Halves that a thread computes at a time.
const BLOCK: usize = 256;

/// A perceptron, ready to score.
#[derive(Debug)]
pub(super) struct Perceptron {
    pub(super) users: Half,
    pub(super) items: Half,
    /// All layers but the first.
    layers: Vec<Layer>,
    /// The weights of the last layer's outputs.
    head: Vec<f32>,
    /// The panels of the widest layer.
    widest: usize,
}

/// What one side contributes to the first layer.
#[derive(Debug)]
pub(super) struct Half {
    /// The columns of this side of the weights, in panels of outputs.
    weights: Vec<Row>,
    /// What is added, panel by panel.
    bias: Vec<Row>,
    /// The length of the embeddings.
    width: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// The half of each id, filled up to whole panels.
    Ready(Vec<Row>),
    /// The embeddings: there is no room for the halves.
    Table(Vec<f32>),
}

/// A layer, in panels of its outputs.
#[derive(Debug)]
struct Layer {
    inputs: usize,
    weights: Lines,
    bias: Lines,
}

/// What the layers write into: panels of [`TILE`] rows, one for each item.
pub(super) struct Scratch {
    x: Lines,
    y: Lines,
}

impl Perceptron {
    pub(super) fn new(tables: &Tables<'_>, layers: &[Dense<'_>], head: &[f32], budget: usize) -> Self {
        let (first, later) = match layers.split_first() {
            Some((first, later)) => (*first, later),
            None => (Dense { weight: &[], bias: &[] }, layers),
        };
        let none = vec![0.0; first.bias.len()];
        let width = tables.width;
        let items = Half::new(tables.items, width, first.weight, 1, first.bias, budget);
        let users = Half::new(tables.users, width, first.weight, 0, &none, budget.saturating_sub(items.bytes()));
        let layers = later.iter().map(|dense| {
            let inputs = dense.weight.len() / dense.bias.len().max(1);
            Layer { inputs, weights: lines(&panels(dense.weight, inputs.max(1))), bias: lines(&panels(dense.bias, 1)) }
        });
        let layers: Vec<Layer> = layers.collect();
        let widest = layers.iter().map(|layer| layer.bias.rows().len()).fold(items.size(), usize::max);
        Self { users, items, layers, head: head.to_vec(), widest }
    }

    pub(super) fn scratch(&self) -> Scratch {
        let panels = || Lines::zeros(self.widest * TILE * PANEL);
        Scratch { x: panels(), y: panels() }
    }

    /// `Σ_o h_o · relu(…relu(user + item)…)_o` of up to [`TILE`] items, given by their halves; what it is for more than
    /// there are is of no use.
    #[inline(always)]
    pub(super) fn rows<S: Simd>(&self, simd: S, user: &[Row], items: &[&[Row]], scratch: &mut Scratch) -> Row {
        let zero = simd.splat_f32s(0.0);
        let (mut x, mut y) = (&mut scratch.x, &mut scratch.y);
        for (r, item) in items.iter().take(TILE).enumerate() {
            for ((x, item), own) in x.rows_mut().chunks_exact_mut(TILE).zip(*item).zip(user) {
                let both = vectors::<S>(item).iter().zip(vectors::<S>(own));
                for (x, (&item, &own)) in lanes::vectors_mut::<S>(&mut x[r]).iter_mut().zip(both) {
                    *x = simd.max_f32s(simd.add_f32s(item, own), zero);
                }
            }
        }
        for layer in &self.layers {
            let (rows, weights) = (x.rows(), layer.weights.rows());
            let left = |p: usize| &rows[p * TILE..(p + 1) * TILE];
            let right = |p: usize, n: usize| {
                let end = layer.inputs.min((p + 1) * PANEL);
                &weights[n * layer.inputs..][p * PANEL..end]
            };
            let product = product::Product { left, right, inner: layer.inputs.div_ceil(PANEL) };
            let bias = layer.bias.rows();
            product.rows(simd, items.len().min(TILE), bias.len(), Activate { bias, out: y.rows_mut() });
            std::mem::swap(&mut x, &mut y);
        }
        let mut sums = Row::ZERO;
        for (weights, x) in self.head.chunks(PANEL).zip(x.rows().chunks_exact(TILE)) {
            for (rows, sums) in x.as_chunks::<LANES>().0.iter().zip(sums.0.as_chunks_mut::<LANES>().0) {
                add_dots(simd, weights, |r, c| rows[r].as_chunks::<LANES>().0[c], sums);
            }
        }
        sums
    }
}

/// The same rows, for products.
fn lines(rows: &[Row]) -> Lines {
    let mut lines = Lines::zeros(rows.len() * PANEL);
    for (line, row) in lines.rows_mut().iter_mut().zip(rows) {
        *line = row.0;
    }
    lines
}

impl Half {
    /// `side` is 0 for the first half of the inputs and 1 for the second.
    fn new(table: &[f32], width: usize, weight: &[f32], side: usize, bias: &[f32], budget: usize) -> Self {
        let own: Vec<f32> = weight.chunks_exact(width).skip(side).step_by(2).flatten().copied().collect();
        let mut half =
            Self { weights: panels(&own, width), bias: panels(bias, 1), width, values: Values::Table(Vec::new()) };
        let n = table.len() / width;
        let size = half.bias.len();
        let bytes = n.checked_mul(size * size_of::<Row>());
        if bytes.is_none_or(|bytes| bytes > budget) || size == 0 {
            half.values = Values::Table(table.to_vec());
            return half;
        }
        let mut values = vec![Row::ZERO; n * size];
        values.par_chunks_mut(BLOCK * size).zip(table.par_chunks(BLOCK * width)).for_each(|(out, rows)| {
            let rows: Vec<&[f32]> = rows.chunks_exact(width).collect();
            dispatch(Halves { half: &half, rows: &rows, out });
        });
        half.values = Values::Ready(values);
        half
    }

    fn bytes(&self) -> usize {
        match &self.values {
            Values::Ready(values) => size_of_val(values.as_slice()),
            Values::Table(_) => 0,
        }
    }

    /// How many panels of outputs there are.
    #[inline(always)]
    pub(super) fn size(&self) -> usize {
        self.bias.len()
    }

    /// Asks for the half of an id, where it is computed in advance.
    #[inline(always)]
    pub(super) fn prefetch(&self, id: u32) {
        if let Values::Ready(values) = &self.values
            && let Some(half) = row(values, self.size(), id)
        {
            for line in half.iter().flat_map(|row| row.0.as_chunks::<LANES>().0) {
                prefetch(line.as_ptr());
            }
        }
    }

    /// The halves of these ids, one after the other, in place or in `room`. `missing` makes the error of an id that
    /// there is not.
    #[inline(always)]
    pub(super) fn rows<'a, S: Simd>(
        &'a self,
        simd: S,
        ids: impl Iterator<Item = u32> + Clone,
        missing: impl Fn(u32) -> Error,
        room: &'a mut Vec<Row>,
    ) -> Result<Vec<&'a [Row]>, Error> {
        match &self.values {
            Values::Ready(values) => ids.map(|id| row(values, self.size(), id).ok_or_else(|| missing(id))).collect(),
            Values::Table(table) => {
                let rows = ids.map(|id| row(table, self.width, id).ok_or_else(|| missing(id)));
                let rows: Vec<&[f32]> = rows.collect::<Result<_, _>>()?;
                room.clear();
                room.resize(rows.len() * self.size(), Row::ZERO);
                Halves { half: self, rows: &rows, out: room }.run(simd);
                Ok(room.chunks_exact(self.size().max(1)).collect())
            }
        }
    }
}

/// Computes the halves of embeddings.
struct Halves<'a> {
    half: &'a Half,
    rows: &'a [&'a [f32]],
    out: &'a mut [Row],
}

impl Work for Halves<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { half, rows, out } = self;
        let size = half.size();
        for (rows, out) in rows.chunks(STRIP).zip(out.chunks_mut(STRIP * size)) {
            let strip = strips(rows, half.width);
            for (panel, (weights, bias)) in half.weights.chunks_exact(half.width).zip(&half.bias).enumerate() {
                strip_times_panel(simd, &strip, weights, |r, sums| {
                    let Some(out) = out.get_mut(r * size + panel) else { return };
                    for ((out, &sum), &bias) in vectors_mut::<S>(out).iter_mut().zip(sums).zip(vectors::<S>(bias)) {
                        *out = simd.add_f32s(sum, bias);
                    }
                });
            }
        }
    }
}
