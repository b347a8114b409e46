//! Scoring and ranking: all items for blocks of users, ranks by counting, and the best items of each user.
//!
//! Everything works on tiles, some users by some items, that stay in a core's cache; no matrix of users × items is ever
//! stored. Lanes of vectors run over items or over outputs of a layer, never over the terms of a sum, so that each runs
//! over them in their order, whatever else is computed beside it: a pair has the same score, to the last bit, in every tile, list, block and thread. Processors
//! with fused multiply-add round differently from those without.

#![expect(
    clippy::inline_always,
    reason = "instructions are chosen at run time: only inlined code is compiled for them"
)]

mod best;
mod count;
mod finite;
mod pairs;
mod panel;
mod perceptron;
mod product;
#[cfg(test)]
mod tests;

pub use best::Best;
pub use count::{Count, count};
pub use finite::position_not_finite;
pub use pairs::{Dense, Error, Pairs, Parts, Tables};
