//! Recommender models: what they learn, how it starts, and how scores come out of it.
//!
//! A model is one file with one type that holds the hyper-parameters and implements [`Architecture`] and, if gradients
//! train it, [`Trainable`]; and one variant of [`ModelSpec`], or of [`FitSpec`] for those that need no gradients. Those
//! built of the parts of a [`tower::Tower`] say only how. Weights are candle tensors under the names that PyTorch gives
//! them. This room imports `kernel` only; random bits come from the caller.

mod bags;
mod cdae;
mod colliding;
mod ease;
mod error;
pub mod file;
mod gmf;
mod ials;
mod input;
mod item_knn;
mod kinds;
mod mf;
mod mlp;
mod neumf;
mod neumf_d2l;
mod parameter;
pub mod parts;
mod popularity;
mod pretrained;
mod range;
pub mod scorer;
pub mod sealed;
mod seen;
mod spec;
mod summary;
pub mod tower;
mod tower_scorer;
mod user_vectors;
mod weights;
mod widths;

pub use cdae::Cdae;
pub use colliding::{Average, Colliding};
pub use ease::Ease;
pub use error::{Error, Refused, Result};
pub use gmf::Gmf;
pub use ials::Ials;
pub use input::{History, Input, NoHistory, Noise};
pub use item_knn::{ItemKnn, Weighting};
pub use kinds::{AnyModel, FitSpec};
pub use mf::Mf;
pub use mlp::Mlp;
pub use neumf::NeuMf;
pub use neumf_d2l::NeuMfD2l;
pub use parameter::{Catalogue, Init, Parameter, Values};
pub use popularity::{ByCount, Popularity};
pub use pretrained::pretrained;
pub use spec::{Architecture, Config, Family, ModelSpec, Trainable};
pub use summary::{Layer, Summary};
pub use user_vectors::UserVectors;
pub use weights::Weights;
