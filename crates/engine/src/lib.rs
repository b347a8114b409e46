//! The engine of ncf-pipe: everything about pipelines that knows no stage kind.
//!
//! - [`config`] reads a pipeline file: names, params, references, matrices, and a place for every value.
//! - [`stage`] is the contract that a stage kind fulfils.
//! - [`pipeline`] connects stages by type, plans, and runs what is stale.
//! - [`cache`] is the content-addressed store behind it, and the list of what makes a stage run again.

pub mod cache;
pub mod config;
pub mod pipeline;
pub mod stage;
