//! Recommender experiments as a pipeline: one YAML file from raw ratings to an evaluated model.
//!
//! The program `ncf-pipe` is a thin shell around this library. A tour of its rooms, in the order in which a run passes
//! through them:
//!
//! - [`config`] reads a pipeline file: names, params, references, matrices, and a place for every value.
//! - [`stage`] is the contract that a stage kind fulfils; [`stages`] are the kinds that ship, listed in
//!   [`stages::STAGES`].
//! - [`pipeline`] is the engine: it connects stages by type, plans, and runs what is stale.
//! - [`cache`] is the content-addressed store behind it, and the list of what makes a stage run again.
//! - [`artifacts`] are the typed values that cross a stage boundary, each a few open files.
//! - [`fetch`] gets files from the network; [`data`] prepares interactions with polars; [`model`], [`loss`] and [`train`]
//!   train models with candle at the border and [`kernel`] inside, [`fit`] makes those that need no gradients;
//!   [`metric`] and [`eval`] measure them, [`stats`] tells differences from chance.
//! - [`cli`] is the command line, the only room that prints.
//!
//! A stage of one's own is a type that implements [`stage::Stage`] and a row in a [`stage::Registry`]: see
//! `examples/own_stage.rs`.

pub use ncf_pipe_data as data;
pub use ncf_pipe_engine::{cache, config, pipeline, stage};
pub use ncf_pipe_figures as figures;
pub use ncf_pipe_kernel as kernel;
pub use ncf_pipe_learn::{eval, fit, loss, metric, model, train};
pub use ncf_pipe_page as page;
pub use ncf_pipe_stats as stats;

pub mod artifacts;
pub mod cli;
pub mod fetch;
pub mod stages;
