//! What the trainer needs of a way to compute training steps.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::model::Weights;
use crate::train::Result;

/// Samples of a step, side by side: `labels[k]` is 1 if user `users[k]` has item `items[k]`, else 0. For a pairwise loss
/// each positive is followed by its negative.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Dense ids of users.
    pub users: &'a [u32],
    /// Dense ids of items.
    pub items: &'a [u32],
    /// 1 or 0.
    pub labels: &'a [f32],
}

impl Batch<'_> {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// All that an engine must remember to go on later as if it had never stopped.
#[derive(Debug, Clone)]
pub struct State {
    /// The weights.
    pub weights: Weights,
    /// What the optimizer remembers, under its own names.
    pub moments: BTreeMap<String, Tensor>,
    /// How many steps were made.
    pub steps: u64,
}

/// A way to compute training steps: a model, a loss and an optimizer on some device.
///
/// All engines do the same mathematics. They may put work off as long as nobody can see it, which is why reading
/// weights takes them mutably.
pub trait Engine {
    /// The name under which the manifest says which engine it was.
    fn name(&self) -> &'static str;

    /// Makes one step with a learning rate, and gives the loss of the batch before it. The batch is not empty.
    /// `weights`, if asked for, gets how much each sample counted; see [`crate::loss::Asked::weights`].
    ///
    /// # Errors
    /// When the tensor library fails.
    fn step(&mut self, batch: Batch<'_>, learning_rate: f64, weights: Option<&mut [f32]>) -> Result<f64>;

    /// The logits of a batch at the current weights, without dropout, in place of what is in `out`.
    ///
    /// # Errors
    /// When the tensor library fails.
    fn logits(&mut self, batch: Batch<'_>, out: &mut Vec<f64>) -> Result<()>;

    /// Does all work that was put off. What follows may differ in the last bits from what would follow without, so that
    /// it has to be called at the same steps in every run, interrupted or not.
    ///
    /// # Errors
    /// When the tensor library fails.
    fn settle(&mut self) -> Result<()>;

    /// A copy of the weights, after [`Engine::settle`].
    ///
    /// # Errors
    /// When the tensor library fails.
    fn weights(&mut self) -> Result<Weights>;

    /// A copy of all that is needed to go on later, work that was put off included.
    ///
    /// # Errors
    /// When the tensor library fails.
    fn state(&mut self) -> Result<State>;

    /// Goes on from a state.
    ///
    /// # Errors
    /// When the state is not one of the same model and optimizer.
    fn restore(&mut self, state: &State) -> Result<()>;
}
