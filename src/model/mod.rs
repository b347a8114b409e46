//! Recommender models: what they learn, how it starts, and how scores come out of it.
//!
//! A model is one file with one type that holds the hyper-parameters and implements [`Architecture`], and one variant
//! of [`ModelSpec`]. Weights are candle tensors under the names that PyTorch gives them. This room imports no other
//! room; random bits come from the caller.

mod error;
pub mod file;
mod gmf;
mod parameter;
pub mod scorer;
mod spec;
mod summary;
mod weights;

pub use error::{Error, Refused, Result};
pub use gmf::Gmf;
pub use parameter::{Catalogue, Init, Parameter};
pub use spec::{Architecture, Config, ModelSpec};
pub use summary::{Layer, Summary};
pub use weights::Weights;
