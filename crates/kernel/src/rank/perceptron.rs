//! The perceptron over two embeddings, its first layer split into what depends on the user and what on the item:
//! `W₁[u ; v] + c = W_u u + (W_v v + c)`. Either half is computed once for each user and item, not for each pair.

use pulp::Simd;
use rayon::prelude::*;

use super::pairs::{Dense, Error, Tables};
use super::panel::{
    PANEL, Row, STRIP, Strip, add_dots, panels, row_times_panel, rows_times_panel, strip_times_panel, strips, vectors,
    vectors_mut,
};
use super::product::row;
use crate::lanes::{Work, dispatch};

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
    /// The widest layer, in whole strips.
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

/// A layer: weights in strips of outputs, and biases.
#[derive(Debug)]
struct Layer {
    inputs: usize,
    weights: Vec<Strip>,
    bias: Vec<f32>,
    /// The weights again, in panels of outputs, for lists.
    panels: Vec<Row>,
    bias_panels: Vec<Row>,
}

/// What the layers of one panel write into.
pub(super) struct Scratch {
    x: Vec<Row>,
    y: Vec<Row>,
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
            let rows: Vec<&[f32]> = dense.weight.chunks_exact(inputs.max(1)).collect();
            Layer {
                inputs,
                weights: strips(&rows, inputs),
                bias: dense.bias.to_vec(),
                panels: panels(dense.weight, inputs.max(1)),
                bias_panels: panels(dense.bias, 1),
            }
        });
        let layers: Vec<Layer> = layers.collect();
        let widest = layers.iter().map(|layer| layer.bias.len()).chain([first.bias.len()]).max().unwrap_or(0);
        Self { users, items, layers, head: head.to_vec(), widest: widest.next_multiple_of(STRIP) }
    }

    pub(super) fn scratch(&self) -> Scratch {
        Scratch { x: vec![Row::ZERO; self.widest], y: vec![Row::ZERO; self.widest] }
    }

    /// Gives `Σ_o h_o · relu(…relu(user + item)…)_o` for the items of a panel to `finish`. `items` holds the halves of
    /// the items, output by output.
    #[inline(always)]
    pub(super) fn panel<S: Simd>(
        &self,
        simd: S,
        user: &[Row],
        items: &[Row],
        scratch: &mut Scratch,
        finish: impl FnOnce(&[S::f32s]),
    ) {
        let zero = simd.splat_f32s(0.0);
        let Scratch { x, y } = scratch;
        let user = user.iter().flat_map(|row| &row.0);
        for ((x, items), &own) in x.iter_mut().zip(items).zip(user) {
            let own = simd.splat_f32s(own);
            for (x, &item) in vectors_mut::<S>(x).iter_mut().zip(vectors::<S>(items)) {
                *x = simd.max_f32s(simd.add_f32s(item, own), zero);
            }
        }
        let (mut x, mut y) = (x, y);
        for layer in &self.layers {
            let blocks = layer.weights.chunks_exact(layer.inputs.max(1));
            for ((weights, bias), y) in blocks.zip(layer.bias.chunks(STRIP)).zip(y.chunks_exact_mut(STRIP)) {
                strip_times_panel(simd, weights, &x[..layer.inputs], |r, sums| {
                    let bias = simd.splat_f32s(bias.get(r).copied().unwrap_or(0.0));
                    for (y, &sum) in vectors_mut::<S>(&mut y[r]).iter_mut().zip(sums) {
                        *y = simd.max_f32s(simd.add_f32s(sum, bias), zero);
                    }
                });
            }
            std::mem::swap(&mut x, &mut y);
        }
        row_times_panel(simd, &self.head, x, finish);
    }
}

impl Perceptron {
    pub(super) fn list_scratch(&self) -> Scratch {
        let size = STRIP * self.widest.div_ceil(PANEL);
        Scratch { x: vec![Row::ZERO; size], y: vec![Row::ZERO; size] }
    }

    /// The same as [`Perceptron::panel`] for a few items that do not lie side by side, given by their halves.
    #[inline(always)]
    pub(super) fn rows<S: Simd>(
        &self,
        simd: S,
        user: &[Row],
        items: &[&[Row]; STRIP],
        scratch: &mut Scratch,
    ) -> [f32; STRIP] {
        let zero = simd.splat_f32s(0.0);
        let (mut x, mut y) = (&mut scratch.x, &mut scratch.y);
        let stride = self.widest.div_ceil(PANEL);
        for (x, items) in x.chunks_exact_mut(stride).zip(items) {
            for ((x, item), own) in x.iter_mut().zip(*items).zip(user) {
                let both = vectors::<S>(item).iter().zip(vectors::<S>(own));
                for (x, (&item, &own)) in vectors_mut::<S>(x).iter_mut().zip(both) {
                    *x = simd.max_f32s(simd.add_f32s(item, own), zero);
                }
            }
        }
        for layer in &self.layers {
            let rows: [&[Row]; STRIP] = std::array::from_fn(|r| &x[r * stride..(r + 1) * stride]);
            let blocks = layer.panels.chunks_exact(layer.inputs.max(1)).zip(&layer.bias_panels);
            for (panel, (weights, bias)) in blocks.enumerate() {
                rows_times_panel(simd, &rows, weights, |r, sums| {
                    let out = vectors_mut::<S>(&mut y[r * stride + panel]).iter_mut();
                    for ((y, &sum), &bias) in out.zip(sums).zip(vectors::<S>(bias)) {
                        *y = simd.max_f32s(simd.add_f32s(sum, bias), zero);
                    }
                });
            }
            std::mem::swap(&mut x, &mut y);
        }
        let mut sums = [0.0; STRIP];
        for (panel, weights) in self.head.chunks(PANEL).enumerate() {
            let rows = std::array::from_fn(|r| x[r * stride + panel].0.as_slice());
            add_dots::<S>(weights, &rows, &mut sums);
        }
        sums
    }
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

/// Writes the halves of up to 32 items output by output, as [`Perceptron::panel`] reads them.
#[inline(always)]
pub(super) fn transpose(rows: &[&[Row]], out: &mut [Row]) {
    for (block, out) in out.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
        for (lane, row) in rows.iter().take(PANEL).enumerate() {
            let Some(Row(row)) = row.get(block) else { continue };
            for k in 0..PANEL {
                out[k].0[lane] = row[k];
            }
        }
    }
}
