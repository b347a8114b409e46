//! Kernels that prepare interaction data: reading, filtering, remapping, splitting, sampling.
//!
//! Frames are polars frames; the inner loops run over plain slices. This room imports no other room.

pub mod audit;
pub mod binarise;
pub mod columns;
pub mod csr;
pub mod dictionary;
pub mod extra_feedback;
pub mod filter;
pub mod frame;
pub mod given;
pub mod ids;
pub mod lists;
pub mod maths;
mod packed;
pub mod pool;
pub mod proposal;
pub mod read;
pub mod read_split;
pub mod remap;
pub mod rng;
mod row_group;
pub mod runs;
pub mod sample;
pub mod scan;
pub mod split;
mod stream;
pub mod synthesize;
mod thrift;

pub use ncf_pipe_fault::{Class, Fault, Result};
