//! From YAML text to a pipeline spec.
//!
//! This room knows the language (names, params, references, matrices, inputs) and no stage kinds: what is not a
//! fixed key of a stage is a parameter of its kind, kept as a tree whose every value has a place in the file.
//!
//! # Two readers that must agree
//! The values are those of `serde_yaml`, which on its own reads some files wrongly: of two stages with the same
//! name it silently keeps the last, tags are ignored, a byte order mark is misread, half a megabyte of nested
//! braces takes most of a minute, and nothing after parsing knows where it was written. So the text first goes
//! through `saphyr-parser`, a separate implementation that reports every event with its place. The scan refuses
//! what must not reach `serde_yaml` (nesting, aliases, tags, duplicates, words with two readings) and keeps the
//! shape of the file; then `serde_yaml` reads the values, and both trees are walked together. Where they differ
//! the file is refused: two independent readers that disagree mean that a third tool could read it in a third
//! way, and a pipeline must have one meaning. It also means that a bug in either shows as an error with a place,
//! never as a wrong experiment.

mod label;
mod load;
mod matrix;
mod names;
mod node;
mod params;
mod problem;
mod reference;
mod sample;
mod scalar;
mod scan;
mod schema;
mod search;
mod secrets;
#[cfg(test)]
mod snapshots;
mod source;
mod stage;
mod syntax;
#[cfg(test)]
mod tests;
mod text;
mod view;
mod yaml;

pub use label::{axis_labels, cell_label};
pub use load::{Pipeline, load, parse};
pub use matrix::{Axis, Cell, MAX_CELLS, Matrix};
pub use names::{is_called, is_param_name, is_stage_name, suggest};
pub use params::{Param, Params};
pub use problem::{Problem, Problems};
pub use schema::{KindSchema, PortSchema, schema};
pub use source::{Source, Span, Spanned};
pub use stage::{InputSpec, Reference, Resolved, STAGE_KEYS, StageSpec};
