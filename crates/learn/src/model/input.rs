//! What a model is asked: pairs, and what it may know beside them.

use candle_core::Tensor;

/// The items that each user has in training.
pub trait History: Sync {
    /// The items of a user, in ascending order; none for a user that is not known.
    fn items(&self, user: u32) -> &[u32];
}

/// A history in which nobody has anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHistory;

impl History for NoHistory {
    fn items(&self, _: u32) -> &[u32] {
        &[]
    }
}

/// Where the random multipliers of dropout come from. They depend on the step and on their place alone, so that every
/// engine drops the same.
pub trait Noise {
    /// Fills `out`, `rows` × `width` row by row, with 0 at probability `p` and else `1 / (1 − p)`. `site` tells the
    /// places in the model apart at which numbers are dropped.
    fn multipliers(&self, site: usize, width: usize, p: f64, out: &mut [f32]);
}

/// A batch of pairs.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Dense ids of users, of type U32, `[batch]`.
    pub users: &'a Tensor,
    /// Dense ids of items, of type U32, `[batch]`.
    pub items: &'a Tensor,
    /// Dropout, in training only.
    pub noise: Option<&'a dyn Noise>,
    /// What users have in training.
    pub history: &'a dyn History,
}

impl<'a> Input<'a> {
    /// Pairs without dropout, for a model that needs no history.
    pub fn pairs(users: &'a Tensor, items: &'a Tensor) -> Self {
        Self { users, items, noise: None, history: &NoHistory }
    }
}
