//! Training: settings, first weights, samples, engines, optimizers, checkpoints, and the loop over them.
//!
//! Everything drawn is a function of the seed and of what it is drawn for, so that every engine on any number of
//! threads sees the same samples in the same order, and an interrupted run goes on as if nothing had happened.

mod carried;
mod checkpoint;
mod cuda;
mod denoising;
pub mod engine;
mod fused;
mod history;
mod init;
mod memory;
mod noise;
pub mod optimizer;
mod recipe;
mod reference;
mod resume;
mod samples;
mod schedule;
#[cfg(test)]
mod torch;
mod trainer;

pub use crate::gpu::{Card, Lender, Offer, Precision};
pub use crate::model::{Error, Result};
pub use denoising::DenoisingRecord;
pub use engine::OnDevice;
pub use fused::Fused;
pub use history::Record;
pub use init::first_weights;
pub use memory::bytes_needed;
pub use ncf_pipe_fault::Class;
pub use recipe::{Criterion, Distribution, EngineChoice, Exclude, Keep, Part, Recipe, Sampling, Validation};
pub use reference::Reference;
pub use samples::{Data, Pairs};
pub use schedule::{Decay, Schedule};
pub use trainer::{Judge, Outcome, Training, Watch};
