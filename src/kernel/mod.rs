//! Numeric loops over plain slices: no tensors, no frames, no other room.

pub mod rank;
