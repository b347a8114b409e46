//! Some samples of a batch on their way through the tower and back.

use pulp::Simd;

use crate::lanes::{LANES, PANEL, Row, Work, mul_add, reduce, vectors, vectors_mut};
use crate::layer::Layer;
use crate::memory::Lines;
use crate::optimizer::Dense;
use crate::product::{Finish, Product};
use crate::rows::{Side, Slopes};
use crate::shape::{Layout, Shape};

/// Samples of a tile. The partition of a batch depends on nothing else.
pub(super) const TILE: usize = 32;

/// Multipliers of a layer's inputs, 0 or 1/(1−p): called with the layer, the sample's place in the batch, and the place
/// to write them to, as many as the layer has inputs. It must give the same for the same arguments.
pub type Dropout<'a> = dyn Fn(usize, usize, &mut [f32]) + Sync + 'a;

/// What a step moves beside the tables.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) layers: Vec<Layer>,
    /// h: the products' part, then that of the tower, each filled up with zeros.
    pub(super) output: Dense,
    /// b, in the first lane.
    pub(super) bias: Dense,
}

/// A batch in both tables.
#[derive(Clone, Copy)]
pub(super) struct Sides<'a> {
    pub(super) shape: &'a Shape,
    pub(super) layout: &'a Layout,
    pub(super) users: &'a Side,
    pub(super) items: &'a Side,
}

impl<'a> Sides<'a> {
    /// The rows of a sample: the user's and the item's.
    #[inline(always)]
    fn rows(&self, sample: usize) -> (&'a [f32], &'a [f32]) {
        (self.users.now_of(sample), self.items.now_of(sample))
    }
}

/// The activations of some samples, and the gradients of their sum of losses.
#[derive(Debug, Default)]
pub(super) struct Tile {
    len: usize,
    /// `a_0` to `a_L`, each with its dropout: panels of [`TILE`] rows.
    inputs: Vec<Lines>,
    /// The multipliers of `a_0` to `a_{L−1}`, if there is dropout.
    masks: Vec<Lines>,
    /// For each layer, the gradients before the activation.
    slopes: Vec<Lines>,
    /// The gradients of `a_0`.
    input_slopes: Lines,
    /// The gradients of `h`, of `b` (first lane), and of each layer's bias.
    pub(super) output_sum: Vec<f32>,
    pub(super) bias_sum: Vec<f32>,
    pub(super) layer_sums: Vec<Vec<f32>>,
}

impl Tile {
    pub(super) fn new(weights: &Weights) -> Self {
        let panels = |n: usize| Lines::zeros(n * TILE * PANEL);
        let layers = &weights.layers;
        let mut inputs: Vec<_> = layers.iter().map(|layer| panels(layer.blocks.len())).collect();
        inputs.extend(layers.last().map(|layer| panels(layer.panels())));
        Self {
            len: 0,
            inputs,
            masks: Vec::new(),
            slopes: layers.iter().map(|layer| panels(layer.panels())).collect(),
            input_slopes: layers.first().map_or(Lines::default(), |layer| panels(layer.blocks.len())),
            output_sum: vec![0.0; weights.output.theta().len()],
            bias_sum: vec![0.0; LANES],
            layer_sums: layers.iter().map(|layer| vec![0.0; layer.panels() * PANEL]).collect(),
        }
    }

    /// A panel of the inputs of a layer, one row for each sample.
    #[inline(always)]
    pub(super) fn inputs(&self, layer: usize, panel: usize) -> &[Row] {
        &self.inputs[layer].rows()[panel * TILE..][..self.len]
    }

    /// A panel of the gradients of a layer's outputs before the activation, one row for each sample.
    #[inline(always)]
    pub(super) fn slopes(&self, layer: usize, panel: usize) -> &[Row] {
        &self.slopes[layer].rows()[panel * TILE..][..self.len]
    }

    /// Fetches `a_0`.
    #[inline(always)]
    fn fetch(&mut self, sides: Sides<'_>, start: usize) {
        let Layout { gmf, mlp, .. } = *sides.layout;
        let rows = self.inputs[0].rows_mut();
        for t in 0..self.len {
            let (user, item) = sides.rows(start + t);
            let chunks = user[gmf..gmf + mlp].as_chunks::<LANES>().0.iter();
            let chunks = chunks.chain(item[gmf..gmf + mlp].as_chunks::<LANES>().0);
            for (c, chunk) in chunks.enumerate() {
                let row = &mut rows[c * LANES / PANEL * TILE + t];
                row.as_chunks_mut::<LANES>().0[c % (PANEL / LANES)] = *chunk;
            }
        }
    }

    /// Draws the multipliers of a layer's inputs, and applies them.
    fn drop_out(&mut self, sides: Sides<'_>, start: usize, layer: usize, dropout: &Dropout<'_>) {
        let (shape, mlp) = (sides.shape, sides.layout.mlp);
        let width = if layer == 0 { 2 * shape.mlp } else { shape.hidden[layer - 1] };
        if self.masks.len() <= layer {
            self.masks.push(Lines::zeros(self.inputs[layer].len()));
        }
        let mut multipliers = vec![0.0; width];
        // The second half of the first layer's inputs begins at a whole vector.
        let halves = if layer == 0 { [(0, shape.mlp), (mlp, shape.mlp)] } else { [(0, width), (width, 0)] };
        let (masks, inputs) = (self.masks[layer].rows_mut(), self.inputs[layer].rows_mut());
        for t in 0..self.len {
            dropout(layer, start + t, &mut multipliers);
            let mut rest = multipliers.as_slice();
            for (mut k, mut len) in halves {
                while len > 0 {
                    let n = len.min(PANEL - k % PANEL);
                    let (now, later) = rest.split_at(n);
                    let (row, columns) = (k / PANEL * TILE + t, k % PANEL..k % PANEL + n);
                    masks[row][columns.clone()].copy_from_slice(now);
                    inputs[row][columns].iter_mut().zip(now).for_each(|(x, multiplier)| *x *= multiplier);
                    (k, len, rest) = (k + n, len - n, later);
                }
            }
        }
    }
}

/// From the rows of the tables to logits.
pub(super) struct Forward<'a> {
    pub(super) sides: Sides<'a>,
    pub(super) weights: &'a Weights,
    pub(super) tile: &'a mut Tile,
    /// The first sample of the tile.
    pub(super) start: usize,
    pub(super) dropout: Option<&'a Dropout<'a>>,
    pub(super) logits: &'a mut [f32],
}

impl Work for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { sides, weights, tile, start, dropout, logits } = self;
        tile.len = logits.len();
        if !weights.layers.is_empty() {
            tile.fetch(sides, start);
        }
        if dropout.is_none() {
            tile.masks.clear();
        }
        for (l, layer) in weights.layers.iter().enumerate() {
            if let Some(dropout) = dropout {
                tile.drop_out(sides, start, l, dropout);
            }
            let (inputs, outputs) = tile.inputs.split_at_mut(l + 1);
            let (inputs, bias) = (inputs[l].rows(), layer.bias.theta().as_chunks::<PANEL>().0);
            let left = |p: usize| &inputs[p * TILE..(p + 1) * TILE];
            let right = |p: usize, n: usize| layer.blocks[p].columns(n);
            let product = Product { left, right, inner: layer.blocks.len() };
            product.rows(simd, tile.len, layer.panels(), Activate { bias, out: outputs[0].rows_mut() });
        }
        let Layout { gmf, mlp, item_bias, .. } = *sides.layout;
        let (h, rest) = weights.output.theta().split_at(gmf);
        let (h, rest) = (vectors::<S>(h), rest.as_chunks::<PANEL>().0);
        let last = tile.inputs.last().map_or(&[][..], Lines::rows);
        for (t, logit) in logits.iter_mut().enumerate() {
            let (user, item) = sides.rows(start + t);
            // Lane by lane of 16, whatever the vectors: the same sums everywhere.
            let mut sums = [simd.splat_f32s(0.0); LANES];
            let (p, q) = (vectors::<S>(&user[..gmf]), vectors::<S>(&item[..gmf]));
            for (k, ((&p, &q), &h)) in p.iter().zip(q).zip(h).enumerate() {
                let sum = &mut sums[k % (LANES / S::F32_LANES)];
                *sum = mul_add(simd, simd.mul_f32s(h, p), q, *sum);
            }
            for (panel, h) in last.chunks_exact(TILE).zip(rest) {
                for (k, (&a, &h)) in vectors::<S>(&panel[t]).iter().zip(vectors::<S>(h)).enumerate() {
                    let sum = &mut sums[k % (LANES / S::F32_LANES)];
                    *sum = mul_add(simd, h, a, *sum);
                }
            }
            *logit = reduce(simd, &mut sums) + weights.bias.theta()[0];
            if item_bias {
                *logit += item[gmf + mlp];
            }
        }
    }
}

/// From the slopes of the losses to the gradients of `a_0`, and the sums of those of `h`, `b` and the biases.
pub(super) struct Backward<'a> {
    pub(super) sides: Sides<'a>,
    pub(super) weights: &'a Weights,
    pub(super) tile: &'a mut Tile,
    /// The first sample of the tile.
    pub(super) start: usize,
    /// d(loss)/d(logit) of the samples of the tile.
    pub(super) slopes: &'a [f32],
}

impl Work for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { sides, weights, tile, start, slopes } = self;
        let gmf = sides.layout.gmf;
        tile.output_sum.fill(0.0);
        for (t, &slope) in slopes.iter().enumerate() {
            let (user, item) = sides.rows(start + t);
            let slope = simd.splat_f32s(slope);
            let sums = vectors_mut::<S>(&mut tile.output_sum[..gmf]).iter_mut();
            for ((sum, &p), &q) in sums.zip(vectors::<S>(&user[..gmf])).zip(vectors::<S>(&item[..gmf])) {
                *sum = mul_add(simd, simd.mul_f32s(slope, p), q, *sum);
            }
        }
        tile.bias_sum[0] = slopes.iter().sum();
        let Some(depth) = weights.layers.len().checked_sub(1) else { return };
        let h = weights.output.theta()[gmf..].as_chunks::<PANEL>().0;
        let sums = tile.output_sum[gmf..].as_chunks_mut::<PANEL>().0;
        let (inputs, slopes_of) = (tile.inputs[depth + 1].rows(), tile.slopes[depth].rows_mut());
        let last = inputs.chunks_exact(TILE).zip(slopes_of.chunks_exact_mut(TILE));
        let zero = simd.splat_f32s(0.0);
        for (((inputs, out), h), sums) in last.zip(h).zip(sums) {
            let (h, sums) = (vectors::<S>(h), vectors_mut::<S>(sums));
            for ((input, out), &slope) in inputs.iter().zip(out).zip(slopes) {
                let slope = simd.splat_f32s(slope);
                let cells = vectors::<S>(input).iter().zip(vectors_mut::<S>(out));
                for (((&a, out), &h), sum) in cells.zip(h).zip(&mut *sums) {
                    *sum = mul_add(simd, slope, a, *sum);
                    let active = simd.greater_than_f32s(a, zero);
                    *out = simd.select_f32s(active, simd.mul_f32s(slope, h), zero);
                }
            }
        }
        for l in (0..=depth).rev() {
            let layer = &weights.layers[l];
            let (before, slopes) = tile.slopes.split_at_mut(l);
            let (slopes, before) = (slopes[0].rows(), before.last_mut().unwrap_or(&mut tile.input_slopes));
            for (sums, slopes) in tile.layer_sums[l].as_chunks_mut::<PANEL>().0.iter_mut().zip(slopes.chunks(TILE)) {
                sums.fill(0.0);
                let sums = vectors_mut::<S>(sums);
                for slope in &slopes[..tile.len] {
                    for (sum, &slope) in sums.iter_mut().zip(vectors::<S>(slope)) {
                        *sum = simd.add_f32s(*sum, slope);
                    }
                }
            }
            let left = |n: usize| &slopes[n * TILE..(n + 1) * TILE];
            let right = |n: usize, p: usize| layer.blocks[p].rows(n);
            let product = Product { left, right, inner: layer.panels() };
            let mask = tile.masks.get(l).map(Lines::rows);
            let active = (l > 0).then_some(tile.inputs[l].rows());
            product.rows(simd, tile.len, layer.blocks.len(), Pass { mask, active, out: before.rows_mut() });
        }
    }
}

/// Adds the bias and activates.
pub(super) struct Activate<'a> {
    pub(super) bias: &'a [Row],
    /// Panels of [`TILE`] rows.
    pub(super) out: &'a mut [Row],
}

impl<S: Simd> Finish<S> for Activate<'_> {
    #[inline(always)]
    fn row<const NV: usize>(&mut self, simd: S, panel: usize, first: usize, row: usize, sums: [S::f32s; NV]) {
        let zero = simd.splat_f32s(0.0);
        let (bias, out) = (&self.bias[panel], &mut self.out[panel * TILE + row]);
        let places = first..first + NV;
        let out = vectors_mut::<S>(out)[places.clone()].iter_mut();
        let cells = out.zip(sums).zip(&vectors::<S>(bias)[places]);
        for ((out, sum), &c) in cells {
            let z = simd.add_f32s(sum, c);
            // As in PyTorch, NaN stays NaN.
            *out = simd.select_f32s(simd.less_than_f32s(z, zero), zero, z);
        }
    }
}

/// Takes gradients of a layer's inputs back through their dropout and their activation.
struct Pass<'a> {
    mask: Option<&'a [Row]>,
    /// The inputs, if they are activations.
    active: Option<&'a [Row]>,
    out: &'a mut [Row],
}

impl<S: Simd> Finish<S> for Pass<'_> {
    #[inline(always)]
    fn row<const NV: usize>(&mut self, simd: S, panel: usize, first: usize, row: usize, mut sums: [S::f32s; NV]) {
        let (row, places) = (panel * TILE + row, first..first + NV);
        if let Some(mask) = self.mask {
            for (sum, &mask) in sums.iter_mut().zip(&vectors::<S>(&mask[row])[places.clone()]) {
                *sum = simd.mul_f32s(*sum, mask);
            }
        }
        if let Some(active) = self.active {
            let zero = simd.splat_f32s(0.0);
            for (sum, &a) in sums.iter_mut().zip(&vectors::<S>(&active[row])[places.clone()]) {
                *sum = simd.select_f32s(simd.greater_than_f32s(a, zero), *sum, zero);
            }
        }
        for (out, sum) in vectors_mut::<S>(&mut self.out[row])[places].iter_mut().zip(sums) {
            *out = sum;
        }
    }
}

/// The gradients of the rows of one table.
pub(super) struct RowSlopes<'a> {
    pub(super) layout: Layout,
    /// d(loss)/d(logit) of all samples.
    pub(super) slopes: &'a [f32],
    /// h as it was in the forward pass.
    pub(super) output: &'a [f32],
    pub(super) tiles: &'a [Tile],
    /// The other table.
    pub(super) other: &'a Side,
    /// Where this table's part of `a_0` begins.
    pub(super) column: usize,
}

impl Slopes for RowSlopes<'_> {
    #[inline(always)]
    fn sum<S: Simd>(&self, simd: S, members: &[u32], out: &mut [f32]) {
        let Layout { gmf, mlp, .. } = self.layout;
        out.fill(0.0);
        let (products, rest) = out.split_at_mut(gmf);
        let (inputs, bias) = rest.split_at_mut(mlp);
        let (products, lines) = (vectors_mut::<S>(products), inputs.as_chunks_mut::<LANES>().0);
        for &sample in members {
            let sample = sample as usize;
            let slope = simd.splat_f32s(self.slopes[sample]);
            for (sum, &other) in products.iter_mut().zip(vectors::<S>(&self.other.now_of(sample)[..gmf])) {
                *sum = mul_add(simd, slope, other, *sum);
            }
            let (rows, t) = (self.tiles[sample / TILE].input_slopes.rows(), sample % TILE);
            for (i, line) in lines.iter_mut().enumerate() {
                let column = self.column + i * LANES;
                let slopes = &rows[column / PANEL * TILE + t][column % PANEL..][..LANES];
                for (sum, &slope) in vectors_mut::<S>(line).iter_mut().zip(vectors::<S>(slopes)) {
                    *sum = simd.add_f32s(*sum, slope);
                }
            }
            // Of the line of the bias, only the first lane is in use.
            if let Some(bias) = bias.first_mut() {
                *bias += self.slopes[sample];
            }
        }
        for (sum, &h) in products.iter_mut().zip(vectors::<S>(&self.output[..gmf])) {
            *sum = simd.mul_f32s(*sum, h);
        }
    }
}
