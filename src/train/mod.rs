//! Training: settings, first weights, samples, engines, optimizers, checkpoints, and the loop over them.
//!
//! Everything drawn is a function of the seed and of what it is drawn for, so that every engine on any number of
//! threads sees the same samples in the same order, and an interrupted run goes on as if nothing had happened.

mod checkpoint;
pub mod engine;
mod error;
mod history;
mod init;
mod noise;
pub mod optimizer;
mod recipe;
mod reference;
mod samples;
mod schedule;
mod trainer;

pub use error::{Error, Kind, Result};
pub use history::EpochRecord;
pub use init::first_weights;
pub use recipe::{Exclude, Keep, Recipe, Validation, ValidationMetric};
pub use reference::Reference;
pub use samples::{Data, Pairs};
pub use schedule::{Decay, Schedule};
pub use trainer::{Outcome, Watch, train};
