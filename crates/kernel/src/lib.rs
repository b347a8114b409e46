//! Numeric loops over plain slices: no tensors, no frames, no other room. Scoring and ranking are in [`rank`]; the rest
//! is training of GMF, MLP, NeuMF and matrix factorisation on the processor, forward, backward and optimizer as one.
//!
//! - A batch goes through the tower in tiles of samples that stay in the cache; the products are written for panels
//!   (`product`) and compiled for AVX-512, AVX2 and portable vectors, among which the processor chooses (`lanes`).
//! - A row of a table is read when a batch touches it, and only then brought up to date, exactly (`history`).
//! - The partition of the work and the order of all sums depend on the batch alone, so that results are the same to the
//!   last bit for any number of threads (`team`).
//!
//! This room imports no other, and is the only one with `unsafe`.

// What is not inlined into a dispatch is not compiled for its instruction set.
#![allow(clippy::inline_always)]

mod error;
mod gap;
mod group;
mod history;
mod lanes;
mod layer;
mod memory;
mod motion;
mod optimizer;
mod pace;
mod product;
pub mod rank;
mod rows;
mod shape;
mod state;
mod team;
#[cfg(test)]
mod tests;
mod tile;
mod tower;
#[cfg(test)]
mod twin;

pub use error::{Error, Result};
pub use memory::room;
pub use optimizer::{Adam, Optimizer, Sgd};
pub use shape::{Output, Shape, Tensor};
pub use state::State;
pub use tile::Dropout;
pub use tower::Tower;
