//! Steps: which kernels, in which order.

use bytemuck::{bytes_of, from_bytes};
use ncf_pipe_kernel::Optimizer;

use crate::ctx::{CLOCK_BYTES, Clock};
use crate::device::{Gemm, Launch};
use crate::plan::{CHUNK, Move};
use crate::{Error, Loss, Result, Trainer};

/// How far training has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// How many steps were made.
    pub steps: u64,
    /// The sum of the losses of samples (of pairs for a pairwise loss) since it was last set, by
    /// [`Trainer::begin_epoch`] or [`Trainer::set_loss`]; NaN if one of them was.
    pub loss: f64,
}

impl Trainer {
    /// Makes a step for each learning rate, as long as the epoch has samples, and returns how many. Does not wait.
    ///
    /// # Errors
    /// When a learning rate is negative, not finite, or as large as to decay all of a weight, or the device fails.
    pub fn run(&mut self, rates: &[f64]) -> Result<usize> {
        let decay = if let Optimizer::Adam(adam) = &self.settings.optimizer { adam.decay } else { 0.0 };
        if let Some(rate) = rates.iter().find(|rate| !(rate.is_finite() && **rate >= 0.0 && **rate * decay < 1.0)) {
            return Err(Error::refused(
                "learning_rate",
                format!("must be at least 0 and below 1 / weight decay, not {rate}"),
            ));
        }
        let steps = rates.len().min(usize::try_from(self.steps_left()).unwrap_or(usize::MAX));
        let mut rates = &rates[..steps];
        while !rates.is_empty() {
            if self.room() == 0 {
                self.settle()?;
            }
            let (span, rest) = rates.split_at(rates.len().min(self.room()));
            self.push(span)?;
            for chunk in span.chunks(CHUNK) {
                self.chunk(chunk.len() as u32)?;
            }
            rates = rest;
        }
        Ok(steps)
    }

    /// Waits for all steps.
    ///
    /// # Errors
    /// When the device failed at any of them.
    pub fn progress(&self) -> Result<Progress> {
        let bytes: Vec<u64> = self.read(self.ctx.clock, CLOCK_BYTES / 8)?;
        let clock: &Clock = from_bytes(bytemuck::cast_slice(&bytes));
        Ok(Progress { steps: clock.step, loss: clock.loss })
    }

    /// Users, items and labels of the next step, in the order in which it sums them. Nothing changes by it.
    ///
    /// # Errors
    /// When the device fails.
    pub fn batch(&self) -> Result<(Vec<u32>, Vec<u32>, Vec<f32>)> {
        self.group(0)?;
        let n = self.left().min(u64::from(self.settings.batch)) as usize * self.ctx.unit as usize;
        let mut ids = Vec::new();
        for side in &self.ctx.side {
            let slots: Vec<u32> = self.read(side.slots, n)?;
            let rows: Vec<u32> = self.read(side.rows, side.bound as usize)?;
            ids.push(slots.into_iter().map(|slot| rows.get(slot as usize).copied().unwrap_or(u32::MAX)).collect());
        }
        let (items, users) = (ids.pop().unwrap_or_default(), ids.pop().unwrap_or_default());
        Ok((users, items, self.read(self.ctx.labels, n)?))
    }

    /// Steps of a chunk, and the clock behind them.
    fn chunk(&mut self, steps: u32) -> Result<()> {
        if self.plan.graph && steps as usize == CHUNK {
            if self.graph.is_none() {
                let (this, device) = (&*self, self.device.clone());
                self.graph = device.record(&mut || this.launch_chunk(steps))?;
            }
            match &self.graph {
                Some(graph) => graph.replay()?,
                None => self.launch_chunk(steps)?,
            }
        } else {
            self.launch_chunk(steps)?;
        }
        self.sample = self.end.min(self.sample + u64::from(steps) * u64::from(self.settings.batch));
        Ok(())
    }

    fn launch_chunk(&self, steps: u32) -> Result<()> {
        for k in 0..steps {
            self.step(k)?;
        }
        self.launch("advance", Launch { grid: [1, 1], threads: 32, shared: 0 }, &[steps])
    }

    fn launch(&self, kernel: &'static str, shape: Launch, rest: &[u32]) -> Result<()> {
        let mut args = vec![bytes_of(&self.ctx)];
        args.extend(rest.iter().map(bytes_of));
        self.device.launch(kernel, shape, &args)
    }

    fn step(&self, k: u32) -> Result<()> {
        let (plan, c) = (&self.plan, &self.ctx);
        let bound = c.side[0].bound.max(c.side[1].bound) as usize;
        self.group(k)?;
        self.launch("gather", Launch::warps(bound, 2), &[k])?;
        if !plan.whole {
            self.layers_forward(k)?;
        }
        let tower = |pass: usize| Launch { shared: plan.shared[pass] as u32, ..Launch::blocks(c.n_parts, 1) };
        let whole = u32::from(plan.whole);
        self.launch("forward", tower(0), &[k, whole, plan.widest])?;
        if matches!(self.settings.loss, Loss::TCe { .. }) {
            self.launch("pick", Launch { grid: [1, 1], threads: 1024, shared: 0 }, &[k])?;
        }
        self.launch("backward", tower(1), &[k, whole, plan.widest])?;
        if !plan.whole {
            self.layers_backward(k)?;
        }
        // Before `weights`: gradients of rows need h as it was.
        self.launch("rows", Launch::warps(bound, 2), &[k, u32::from(plan.split)])?;
        let blocks = if plan.whole {
            (0..c.n_layers as usize).map(|l| c.widths[l].div_ceil(16) * c.widths[l + 1].div_ceil(16)).sum()
        } else {
            c.n_weights.div_ceil(256)
        };
        // One warp more, for the loss.
        self.launch("weights", Launch::blocks(blocks + (c.n_small + 1).div_ceil(8), 1), &[k, whole, blocks])?;
        if plan.rows == Move::Dense {
            self.settle_rows(k + 1)?;
        }
        Ok(())
    }

    /// Draws the batch and sorts it by row.
    fn group(&self, k: u32) -> Result<()> {
        let (plan, c) = (&self.plan, &self.ctx);
        if plan.small_sort {
            let padded = plan.padded();
            let threads = padded.min(1024);
            let shared = (8 * padded + 4 * threads) as u32;
            let shape = Launch { grid: [2, 1], threads: threads as u32, shared };
            return self.launch("group_small", shape, &[k, padded as u32]);
        }
        let tiles = Launch::blocks(c.tiles, 2);
        let scan = Launch { grid: [1, 2], threads: 1024, shared: 0 };
        self.launch("draw", Launch::threads(plan.samples), &[k])?;
        for pass in 0..plan.passes {
            self.launch("radix_count", tiles, &[k, pass])?;
            self.launch("scan", scan, &[256 * c.tiles])?;
            self.launch("radix_scatter", tiles, &[k, pass])?;
        }
        self.launch("heads_count", tiles, &[k])?;
        self.launch("scan", scan, &[c.tiles])?;
        self.launch("heads_write", tiles, &[k])
    }

    fn gemm(&self, gemm: Gemm) -> Result<()> {
        self.device.gemm(&gemm, self.settings.precision)
    }

    /// The part of a side of the first layer's weights (or their gradients, which lie alike), and the distance of rows.
    fn half(&self, weights: u64, side: usize) -> (u64, u32) {
        (weights + 4 * u64::from(self.ctx.weight_at[0]) + 4 * (side as u64) * u64::from(self.ctx.mlp), 2 * self.ctx.mlp)
    }

    /// Activations of all layers by cuBLAS.
    fn layers_forward(&self, k: u32) -> Result<()> {
        let c = &self.ctx;
        let layers = c.n_layers as usize;
        if layers == 0 {
            return Ok(());
        }
        let elements = |l: usize| Launch::threads(self.plan.samples * c.widths[l] as usize);
        if self.plan.split {
            for (s, side) in c.side.iter().enumerate() {
                let (w, pitch) = self.half(c.w, s);
                self.gemm(Gemm {
                    size: [side.bound, c.widths[1], c.mlp],
                    a: (side.now + 4 * u64::from(c.gmf), side.width, false),
                    b: (w, pitch, true),
                    c: (side.half, c.widths[1]),
                    beta: 0.0,
                })?;
            }
            self.launch("join", elements(1), &[k])?;
        } else {
            self.launch("inputs", elements(0), &[k])?;
        }
        for l in usize::from(self.plan.split)..layers {
            let (inputs, outputs) = (c.widths[l], c.widths[l + 1]);
            self.gemm(Gemm {
                size: [c.batch, outputs, inputs],
                a: (c.act[l], inputs, false),
                b: (c.w + 4 * u64::from(c.weight_at[l]), inputs, true),
                c: (c.act[l + 1], outputs),
                beta: 0.0,
            })?;
            self.launch("activate", elements(l + 1), &[k, l as u32 + 1])?;
        }
        Ok(())
    }

    /// Gradients of all layers by cuBLAS, from those of the last one's outputs.
    fn layers_backward(&self, k: u32) -> Result<()> {
        let c = &self.ctx;
        for l in (0..c.n_layers as usize).rev() {
            self.launch("column_sums", Launch::blocks(c.n_parts, 1), &[k, l as u32])?;
            if l == 0 && self.plan.split {
                break;
            }
            let (inputs, outputs) = (c.widths[l], c.widths[l + 1]);
            self.gemm(Gemm {
                size: [outputs, inputs, c.batch],
                a: (c.dz[l], outputs, true),
                b: (c.act[l], inputs, false),
                c: (c.grad + 4 * u64::from(c.weight_at[l]), inputs),
                beta: 0.0,
            })?;
            self.gemm(Gemm {
                size: [c.batch, inputs, outputs],
                a: (c.dz[l], outputs, false),
                b: (c.w + 4 * u64::from(c.weight_at[l]), inputs, false),
                c: (if l == 0 { c.dx } else { c.dz[l - 1] }, inputs),
                beta: 0.0,
            })?;
            self.launch("cut_slopes", Launch::threads(self.plan.samples * inputs as usize), &[k, l as u32])?;
        }
        if c.n_layers == 0 || !self.plan.split {
            return Ok(());
        }
        for (s, side) in c.side.iter().enumerate() {
            let hidden = c.widths[1];
            let blocks = Launch { grid: [side.bound.div_ceil(8), hidden.div_ceil(32)], threads: 256, shared: 0 };
            self.launch("run_sums", blocks, &[s as u32])?;
            let (grad, w) = (self.half(c.grad, s), self.half(c.w, s));
            let now = (side.now + 4 * u64::from(c.gmf), side.width, false);
            self.gemm(Gemm {
                size: [hidden, c.mlp, side.bound],
                a: (side.half, hidden, true),
                b: now,
                c: grad,
                beta: 0.0,
            })?;
            self.gemm(Gemm {
                size: [side.bound, c.mlp, hidden],
                a: (side.half, hidden, false),
                b: (w.0, w.1, false),
                c: (side.drow, c.mlp),
                beta: 0.0,
            })?;
        }
        Ok(())
    }
}
