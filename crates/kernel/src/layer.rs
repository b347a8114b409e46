//! A layer of the tower: its weights, in the two forms that the products need, and its gradient.

use pulp::Simd;

use crate::lanes::{LANES, PANEL, Row, Square, Work, dispatch, mul_add, transpose, vectors, vectors_mut};
use crate::memory::Lines;
use crate::optimizer::{Dense, Rule};
use crate::tile::Tile;

/// Blocks whose gradients are summed together in registers, where there are enough.
pub(super) const TOGETHER: usize = 2;
/// Samples that are added in one go.
const SAMPLES: usize = 8;
/// Tiles whose samples are summed in registers before they are added to the gradient: as many as stay in the cache
/// that is closest.
const TILES: usize = 4;
/// Parts of a batch whose gradients are summed apart at most: more would not stay in the cache together.
const PARTS: usize = 2;

/// The tiles of a batch of so many that are a part: a core sums the gradients of what it has made itself, and of the
/// parts' sums it reads only those of the weights that it steps. Which parts there are depends on nothing else.
pub(super) fn part_of(tiles: usize) -> usize {
    tiles.div_ceil(PARTS).max(TILES)
}

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
    transposed: Lines,
    /// The inputs that there are, [`PANEL`] except in the last block.
    inputs: usize,
    /// The gradient, part by part of a batch: outputs × [`PANEL`].
    gradients: Vec<Lines>,
}

impl Layer {
    /// All zeros; `inputs` is filled up to whole vectors.
    pub(super) fn zeros(inputs: usize, outputs: usize) -> Self {
        let panels = outputs.div_ceil(PANEL);
        let blocks = (0..inputs.div_ceil(PANEL)).map(|p| {
            let inputs = PANEL.min(inputs - p * PANEL);
            Block {
                weight: Dense::zeros(outputs * PANEL),
                transposed: Lines::zeros(panels * inputs * PANEL),
                inputs,
                gradients: vec![Lines::zeros(outputs * PANEL)],
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
        self.blocks.iter_mut().for_each(|block| dispatch(Transpose { block, outputs }));
    }
}

impl Block {
    /// Where the gradients of so many parts go.
    pub(super) fn gradients(&mut self, parts: usize) -> impl Iterator<Item = &mut Lines> {
        while self.gradients.len() < parts {
            self.gradients.push(self.gradients[0].clone());
        }
        self.gradients[..parts].iter_mut()
    }

    /// Rows of W for products with gradients: panel `n` of the outputs.
    #[inline(always)]
    pub(super) fn rows(&self, n: usize) -> &[Row] {
        let rows = self.weight.theta().as_chunks::<PANEL>().0;
        &rows[n * PANEL..rows.len().min((n + 1) * PANEL)]
    }

    /// Rows of Wᵀ for products with activations: panel `n` of the outputs.
    #[inline(always)]
    pub(super) fn columns(&self, n: usize) -> &[Row] {
        &self.transposed.as_chunks::<PANEL>().0[n * self.inputs..(n + 1) * self.inputs]
    }

    #[inline(always)]
    fn transpose<S: Simd>(&mut self, simd: S, outputs: usize) {
        let rows = self.weight.parts[0].as_chunks::<PANEL>().0;
        let panels = self.transposed.as_chunks_mut::<PANEL>().0.chunks_exact_mut(self.inputs);
        for (panel, rows) in panels.zip(rows[..outputs].chunks(PANEL)) {
            // The inputs of the last block need not fill whole vectors.
            for (i, columns) in panel.chunks_mut(LANES).enumerate() {
                for (o, rows) in rows.chunks(LANES).enumerate() {
                    let mut square: Square = [[0.0; LANES]; LANES];
                    for (square, row) in square.iter_mut().zip(rows) {
                        *square = row.as_chunks::<LANES>().0[i];
                    }
                    transpose(simd, &mut square);
                    for (square, column) in square.iter().zip(&mut *columns) {
                        column.as_chunks_mut::<LANES>().0[o] = *square;
                    }
                }
            }
        }
    }
}

struct Transpose<'a> {
    block: &'a mut Block,
    outputs: usize,
}

impl Work for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.block.transpose(simd, self.outputs);
    }
}

/// The gradients of some blocks in a part of a batch, summed over its samples in their order.
pub(super) struct BlockSum<'a> {
    /// Those of blocks that follow each other, at most [`TOGETHER`].
    pub(super) out: Vec<&'a mut Lines>,
    pub(super) tiles: &'a [Tile],
    pub(super) layer: usize,
    /// Which panel of the inputs the first of them is.
    pub(super) panel: usize,
    pub(super) outputs: usize,
}

impl Work for BlockSum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for (round, tiles) in self.tiles.chunks(TILES).enumerate() {
            let of = Sum { tiles, layer: self.layer, panel: self.panel, outputs: self.outputs, first: round == 0 };
            match (&mut self.out[..], S::F32_LANES) {
                ([one, two], 16) => of.add_to::<S, 4, 2, 2>(simd, [one, two]),
                (blocks, lanes) => {
                    for (k, block) in blocks.iter_mut().enumerate() {
                        let of = Sum { panel: self.panel + k, ..of };
                        match lanes {
                            16 => of.add_to::<S, 8, 1, 2>(simd, [block]),
                            8 => of.add_halves(simd, block),
                            _ => of.add_to::<S, 1, 1, 8>(simd, [block]),
                        }
                    }
                }
            }
        }
    }
}

/// A step of a block by the sum of its gradients in the parts of a batch, in their order.
pub(super) struct BlockStep<'a> {
    pub(super) block: &'a mut Block,
    pub(super) rule: &'a Rule,
    pub(super) parts: usize,
    pub(super) outputs: usize,
}

impl Work for BlockStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { block, rule, parts, outputs } = self;
        let Some((gradient, others)) = block.gradients.split_first_mut() else { return };
        if parts == 0 {
            gradient.fill(0.0);
        }
        for other in others.iter().take(parts.saturating_sub(1)) {
            for (sum, &other) in vectors_mut::<S>(gradient).iter_mut().zip(vectors::<S>(other)) {
                *sum = simd.add_f32s(*sum, other);
            }
        }
        block.weight.step_with(simd, rule, gradient);
        block.transpose(simd, outputs);
    }
}

/// `Σ_t dz[t][o] · a[t]` over the samples of some tiles.
struct Sum<'a> {
    tiles: &'a [Tile],
    layer: usize,
    panel: usize,
    outputs: usize,
    /// Whether nothing was summed before.
    first: bool,
}

impl Sum<'_> {
    /// Adds it to the gradients of `NP` blocks, `MR` rows at a time in registers, of whole panels.
    #[inline(always)]
    fn add_to<S: Simd, const MR: usize, const NP: usize, const NV: usize>(&self, simd: S, mut out: [&mut Lines; NP]) {
        for o in (0..self.outputs).step_by(MR) {
            self.strip::<S, MR, NP, NV>(simd, [o, 0], &mut out);
        }
    }

    /// Adds it to the gradients of a block, by vectors of which a panel has four: four rows of half of it at a time.
    #[inline(always)]
    fn add_halves<S: Simd>(&self, simd: S, block: &mut Lines) {
        for o in (0..self.outputs).step_by(4) {
            self.strip::<S, 4, 1, 2>(simd, [o, 0], &mut [block]);
            self.strip::<S, 4, 1, 2>(simd, [o, 2], &mut [block]);
        }
    }

    /// Adds it to the rows `o..o + MR`, or as many as there are, in each panel to `NV` vectors from vector `first` on.
    #[inline(always)]
    fn strip<S: Simd, const MR: usize, const NP: usize, const NV: usize>(
        &self,
        simd: S,
        [o, first]: [usize; 2],
        out: &mut [&mut Lines; NP],
    ) {
        let mut acc = [[[simd.splat_f32s(0.0); NV]; NP]; MR];
        let columns = [o % PANEL, first];
        for tile in self.tiles {
            let slopes = tile.slopes(self.layer, o / PANEL);
            let inputs: [&[Row]; NP] = std::array::from_fn(|h| tile.inputs(self.layer, self.panel + h));
            // A number of samples that is known beforehand keeps the sums in their registers.
            let (whole, rest) = slopes.as_chunks::<SAMPLES>();
            for (k, slopes) in whole.iter().enumerate() {
                acc = add(simd, slopes, inputs.map(|inputs| &inputs[k * SAMPLES..][..SAMPLES]), columns, acc);
            }
            acc = add(simd, rest, inputs.map(|inputs| &inputs[whole.len() * SAMPLES..]), columns, acc);
        }
        for (h, out) in out.iter_mut().enumerate() {
            let rows = out[o * PANEL..self.outputs.min(o + MR) * PANEL].chunks_exact_mut(PANEL);
            for (row, acc) in rows.zip(&acc) {
                let row = &mut vectors_mut::<S>(row)[first..first + NV];
                for (out, &acc) in row.iter_mut().zip(&acc[h]) {
                    *out = if self.first { acc } else { simd.add_f32s(*out, acc) };
                }
            }
        }
    }
}

/// Adds the products of some samples.
#[inline(always)]
fn add<S: Simd, const MR: usize, const NP: usize, const NV: usize>(
    simd: S,
    slopes: &[Row],
    inputs: [&[Row]; NP],
    [column, first]: [usize; 2],
    mut acc: [[[S::f32s; NV]; NP]; MR],
) -> [[[S::f32s; NV]; NP]; MR] {
    for (k, slope) in slopes.iter().enumerate() {
        let slope = &slope[column..column + MR];
        let mut input = [[simd.splat_f32s(0.0); NV]; NP];
        for (input, inputs) in input.iter_mut().zip(&inputs) {
            input.copy_from_slice(&vectors::<S>(&inputs[k])[first..first + NV]);
        }
        for r in 0..MR {
            let x = simd.splat_f32s(slope[r]);
            for h in 0..NP {
                for v in 0..NV {
                    acc[r][h][v] = mul_add(simd, x, input[h][v], acc[r][h][v]);
                }
            }
        }
    }
    acc
}
