//! The structures of `kernels/common.cuh` and `kernels/rank.cu`, field by field. A test compares their sizes.

use bytemuck::{Pod, Zeroable};

/// The most layers that the kernels know.
pub(crate) const MAX_LAYERS: usize = 16;
/// Samples of a tile of the tower kernels.
pub(crate) const TILE: usize = 8;
/// Keys that a block of the sort owns.
pub(crate) const SORT_TILE: usize = 4096;

/// The size of `Ctx`.
pub const CTX_BYTES: usize = size_of::<Ctx>();
/// The size of `Clock`.
pub const CLOCK_BYTES: usize = size_of::<Clock>();
/// The size of `Rank`.
pub const RANK_BYTES: usize = size_of::<Rank>();

#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Side {
    pub(crate) theta: u64,
    pub(crate) first: u64,
    pub(crate) second: u64,
    pub(crate) last: u64,
    pub(crate) now: u64,
    pub(crate) carry: u64,
    pub(crate) keys: [u64; 2],
    pub(crate) samples: [u64; 2],
    pub(crate) ids: u64,
    pub(crate) sorted: u64,
    pub(crate) rows: u64,
    pub(crate) starts: u64,
    pub(crate) slots: u64,
    pub(crate) count: u64,
    pub(crate) hist: u64,
    pub(crate) half: u64,
    pub(crate) drow: u64,
    pub(crate) n_rows: u32,
    pub(crate) width: u32,
    pub(crate) bound: u32,
    pub(crate) pad: u32,
}

#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Clock {
    pub(crate) loss: f64,
    pub(crate) step: u64,
    pub(crate) base: u64,
    pub(crate) sample: u64,
    pub(crate) end: u64,
    pub(crate) n: u64,
    pub(crate) left: u64,
    pub(crate) right: u64,
    pub(crate) keys: [u64; 8],
    pub(crate) missing: u64,
    pub(crate) seed: [u32; 2],
    pub(crate) sub: u32,
    pub(crate) pad: u32,
}

#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Ctx {
    pub(crate) side: [Side; 2],
    pub(crate) train: [u64; 2],
    pub(crate) seen_starts: u64,
    pub(crate) seen_items: u64,
    pub(crate) fixed: u64,
    pub(crate) missing: u64,
    pub(crate) mass_starts: u64,
    pub(crate) mass_left: u64,
    pub(crate) clock: u64,
    pub(crate) size: u64,
    pub(crate) root: u64,
    pub(crate) shrink: u64,
    pub(crate) power1: u64,
    pub(crate) power2: u64,
    pub(crate) w: u64,
    pub(crate) w1: u64,
    pub(crate) w2: u64,
    pub(crate) wt: u64,
    pub(crate) grad: u64,
    pub(crate) act: [u64; MAX_LAYERS + 1],
    pub(crate) dz: [u64; MAX_LAYERS],
    pub(crate) dx: u64,
    pub(crate) labels: u64,
    pub(crate) logits: u64,
    pub(crate) slopes: u64,
    pub(crate) parts: u64,
    pub(crate) loss_parts: u64,
    pub(crate) losses: u64,
    pub(crate) picked: u64,
    pub(crate) log_beta1: f64,
    pub(crate) log_beta2: f64,
    pub(crate) loss_parameters: [f64; 3],
    pub(crate) dropout: f64,
    pub(crate) positives: u64,
    pub(crate) loss_steps: u64,
    pub(crate) widths: [u32; MAX_LAYERS + 1],
    pub(crate) weight_at: [u32; MAX_LAYERS],
    pub(crate) bias_at: [u32; MAX_LAYERS],
    pub(crate) n_layers: u32,
    pub(crate) n_weights: u32,
    pub(crate) n_small: u32,
    pub(crate) head_at: u32,
    pub(crate) gmf: u32,
    pub(crate) mlp: u32,
    pub(crate) last_width: u32,
    pub(crate) item_bias: u32,
    pub(crate) learned: u32,
    pub(crate) affine: u32,
    pub(crate) batch: u32,
    pub(crate) unit: u32,
    pub(crate) each: u32,
    pub(crate) n_items: u32,
    pub(crate) n_parts: u32,
    pub(crate) part: u32,
    pub(crate) tiles: u32,
    pub(crate) window: u32,
    pub(crate) sgd: u32,
    pub(crate) nesterov: u32,
    pub(crate) replay: u32,
    pub(crate) decays: u32,
    pub(crate) loss: u32,
    pub(crate) l2: f32,
    pub(crate) beta1: f32,
    pub(crate) keep1: f32,
    pub(crate) beta2: f32,
    pub(crate) keep2: f32,
    pub(crate) epsilon: f32,
    pub(crate) momentum: f32,
    pub(crate) kept: f32,
    // 49 + 31 numbers of 32 bits: an even count leaves no padding.
}

#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Rank {
    pub(crate) theta: [u64; 2],
    pub(crate) w: u64,
    pub(crate) width: [u32; 2],
    pub(crate) n_items: u32,
    pub(crate) gmf: u32,
    pub(crate) mlp: u32,
    pub(crate) hidden: u32,
    pub(crate) last_width: u32,
    pub(crate) bias_at: u32,
    pub(crate) head_at: u32,
    pub(crate) bias: u32,
    pub(crate) item_bias: u32,
    pub(crate) pad: u32,
    pub(crate) rows: u64,
    pub(crate) weighted: u64,
    pub(crate) halves: [u64; 2],
    pub(crate) scores: u64,
    pub(crate) act: u64,
    pub(crate) users: u64,
    pub(crate) list_users: u64,
    pub(crate) list_items: u64,
    pub(crate) positive_starts: u64,
    pub(crate) positives: u64,
    pub(crate) found: u64,
    pub(crate) counts: u64,
    pub(crate) bad: u64,
}
