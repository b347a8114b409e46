//! A layer of the tower: its weights, in the two forms that the products need, and its gradient.

use pulp::Simd;

use crate::lanes::{PANEL, Row, Work, mul_add, vectors, vectors_mut};
use crate::optimizer::{Dense, Rule};
use crate::tile::Tile;

/// Outputs whose gradients are summed together in registers.
const STRIP: usize = 8;
/// Tiles whose samples are summed in registers before they are added to the gradient: as many as stay in the cache
/// that is closest.
const TILES: usize = 2;

/// `a ↦ W a + c`.
#[derive(Debug)]
pub(super) struct Layer {
    /// The number of outputs, which has no padding in a block.
    pub(super) outputs: usize,
    /// W by panels of its columns, the inputs.
    pub(super) blocks: Vec<Block>,
    /// c, filled up to whole panels.
    pub(super) bias: Dense,
}

/// A panel of W: some inputs and all outputs.
#[derive(Debug)]
pub(super) struct Block {
    /// outputs × [`PANEL`], row-major, and what the optimizer remembers of it.
    pub(super) weight: Dense,
    /// The same transposed, as panels of outputs: panel after panel, the inputs of this block row after row.
    transposed: Vec<Row>,
    /// The inputs that there are, [`PANEL`] except in the last block.
    inputs: usize,
    gradient: Vec<f32>,
}

impl Layer {
    /// All zeros; `inputs` is filled up to whole vectors.
    pub(super) fn zeros(inputs: usize, outputs: usize) -> Self {
        let panels = outputs.div_ceil(PANEL);
        let blocks = (0..inputs.div_ceil(PANEL)).map(|p| {
            let inputs = PANEL.min(inputs - p * PANEL);
            Block {
                weight: Dense::zeros(outputs * PANEL),
                transposed: vec![[0.0; PANEL]; panels * inputs],
                inputs,
                gradient: vec![0.0; outputs * PANEL],
            }
        });
        Self { outputs, blocks: blocks.collect(), bias: Dense::zeros(panels * PANEL) }
    }

    /// The panels of the outputs.
    pub(super) fn panels(&self) -> usize {
        self.outputs.div_ceil(PANEL)
    }

    /// Brings the transposed weights up to date.
    pub(super) fn transpose(&mut self) {
        let outputs = self.outputs;
        self.blocks.iter_mut().for_each(|block| block.transpose(outputs));
    }
}

impl Block {
    /// Rows of W for products with gradients: panel `n` of the outputs.
    #[inline(always)]
    pub(super) fn rows(&self, n: usize) -> &[Row] {
        let rows = self.weight.theta().as_chunks::<PANEL>().0;
        &rows[n * PANEL..rows.len().min((n + 1) * PANEL)]
    }

    /// Rows of Wᵀ for products with activations: panel `n` of the outputs.
    #[inline(always)]
    pub(super) fn columns(&self, n: usize) -> &[Row] {
        &self.transposed[n * self.inputs..(n + 1) * self.inputs]
    }

    #[inline(always)]
    fn transpose(&mut self, outputs: usize) {
        let rows = self.weight.parts[0].as_chunks::<PANEL>().0;
        let panels = self.transposed.chunks_exact_mut(self.inputs);
        for (panel, rows) in panels.zip(rows[..outputs].chunks(PANEL)) {
            for (o, row) in rows.iter().enumerate() {
                for (column, &w) in panel.iter_mut().zip(row) {
                    column[o] = w;
                }
            }
        }
    }
}

/// A step of a block: sums its gradient over all samples, in their order, and applies it.
pub(super) struct BlockStep<'a> {
    pub(super) block: &'a mut Block,
    pub(super) rule: &'a Rule,
    pub(super) tiles: &'a [Tile],
    pub(super) layer: usize,
    /// Which panel of the inputs this is.
    pub(super) panel: usize,
    pub(super) outputs: usize,
}

impl Work for BlockStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.tiles.is_empty() {
            self.block.gradient.fill(0.0);
        }
        for (round, tiles) in self.tiles.chunks(TILES).enumerate() {
            for strip in 0..self.outputs.div_ceil(STRIP) {
                let rows = STRIP.min(self.outputs - strip * STRIP);
                let out = &mut self.block.gradient[strip * STRIP * PANEL..][..rows * PANEL];
                match S::F32_LANES {
                    16 => sum::<S, 8, 2>(simd, tiles, self.layer, self.panel, strip * STRIP, round == 0, out),
                    8 => sum::<S, 2, 4>(simd, tiles, self.layer, self.panel, strip * STRIP, round == 0, out),
                    _ => sum::<S, 1, 8>(simd, tiles, self.layer, self.panel, strip * STRIP, round == 0, out),
                }
            }
        }
        self.block.weight.step_with(simd, self.rule, &self.block.gradient);
        self.block.transpose(self.outputs);
    }
}

/// Adds `Σ_t dz[t][o] · a[t]` over the samples of the tiles to the rows `o` of the gradient, from output `start` on.
#[inline(always)]
fn sum<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    tiles: &[Tile],
    layer: usize,
    panel: usize,
    start: usize,
    first: bool,
    out: &mut [f32],
) {
    for (strip, out) in out.chunks_mut(MR * PANEL).enumerate() {
        let o = start + strip * MR;
        let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
        for tile in tiles {
            let slopes = tile.slopes(layer, o / PANEL);
            for (slope, input) in slopes.iter().zip(tile.inputs(layer, panel)) {
                let slope = &slope.as_chunks::<MR>().0[o % PANEL / MR];
                let input: &[S::f32s; NV] = vectors::<S>(input).first_chunk().expect("a panel has NV vectors");
                for r in 0..MR {
                    let x = simd.splat_f32s(slope[r]);
                    for v in 0..NV {
                        acc[r][v] = mul_add(simd, x, input[v], acc[r][v]);
                    }
                }
            }
        }
        for (row, acc) in out.chunks_exact_mut(PANEL).zip(&acc) {
            for (out, &acc) in vectors_mut::<S>(row).iter_mut().zip(acc) {
                *out = if first { acc } else { simd.add_f32s(*out, acc) };
            }
        }
    }
}
