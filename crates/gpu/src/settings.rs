//! What is to be trained, on what.

use ncf_pipe_kernel::{Optimizer, Shape};

use crate::device::Precision;
use crate::plan::Move;
use crate::rank::Rows;

/// A loss; the formulas are those of the processor's room `loss`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Binary cross-entropy.
    Bce,
    /// Focal loss (Lin et al. 2017).
    Focal {
        /// How much less samples count that the model gets right.
        gamma: f64,
        /// The weight of positives.
        alpha: f64,
    },
    /// Truncated cross-entropy (Wang et al. 2021).
    TCe {
        /// The share of a batch that is dropped in the end.
        max_drop_rate: f64,
        /// The number of steps until then.
        steps: u64,
        /// The power of `max_drop_rate` to which the share grows.
        exponent: f64,
    },
    /// Reweighted cross-entropy (Wang et al. 2021).
    RCe {
        /// How much less unlikely samples count.
        beta: f64,
    },
    /// Bayesian personalised ranking (Rendle et al. 2009), over pairs.
    Bpr {
        /// Whether the gradient is that of the sum over the pairs, not of their mean.
        sum: bool,
    },
}

impl Loss {
    /// Whether samples come in pairs of a positive and a negative.
    pub fn is_pairwise(&self) -> bool {
        matches!(self, Self::Bpr { .. })
    }

    /// Its number in `loss.cu`, and its parameters there.
    pub(crate) fn encode(&self) -> (u32, [f64; 3], u64) {
        match *self {
            Self::Bce => (0, [0.0; 3], 0),
            Self::Focal { gamma, alpha } => (1, [alpha, gamma, 0.0], 0),
            Self::TCe { max_drop_rate, steps, exponent } => {
                // `np.linspace(0, max_drop_rate ** exponent, steps)`; one point is its start.
                let by = if steps <= 1 { 0.0 } else { max_drop_rate.powf(exponent) / (steps - 1) as f64 };
                (2, [max_drop_rate, by, 0.0], steps)
            }
            Self::RCe { beta } => (3, [beta, 0.0, 0.0], 0),
            Self::Bpr { sum } => (4 + u32::from(sum), [0.0; 3], 0),
        }
    }
}

/// What is to be trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The model.
    pub shape: Shape,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The loss.
    pub loss: Loss,
    /// The probability with which an input of a layer is dropped.
    pub dropout: f64,
    /// Samples of a step, or pairs for a pairwise loss.
    pub batch: u32,
    /// Negatives of each positive.
    pub negatives: u32,
    /// The seed of all draws.
    pub seed: u64,
    /// How cuBLAS multiplies; only large batches use it.
    pub precision: Precision,
    /// How rows move that a batch does not touch; `None` for what is estimated to be fastest.
    pub rows: Option<Move>,
}

/// What a model is trained on.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The users of the positives. The order counts.
    pub users: &'a [u32],
    /// Their items.
    pub items: &'a [u32],
    /// The items of each user that are never drawn as negatives, ascending and distinct; empty rows for no filter.
    pub seen: Rows<'a>,
    /// Negatives that are not drawn, `negatives` for each positive, with `u32::MAX` where there is none.
    pub fixed: Option<&'a [u32]>,
    /// Whole-number weights of items as `data::proposal::Weights` has them: the weight of all items before each, and of
    /// all. Without them all items are drawn alike.
    pub weights: Option<&'a [u64]>,
    /// Whether negatives are drawn anew in each epoch.
    pub redraw: bool,
}
