//! The stage kinds that ship: one thin file each, parameters and calls into kernels.

use crate::stage::{Registry, StageKind};
use crate::train::Recipe;

mod binarise;
mod compare;
mod evaluate;
mod fetch;
mod filter;
mod fit;
mod negative_pool;
mod read;
mod read_split;
mod remap;
mod split;
mod synthesize;
mod train;

pub use binarise::Binarise;
pub use compare::Compare;
pub use evaluate::Evaluate;
pub use fetch::{Fetch, RemoteFile};
pub use filter::Filter;
pub use fit::Fit;
pub use negative_pool::NegativePool;
pub use read::Read;
pub use read_split::ReadSplit;
pub use remap::Remap;
pub use split::SplitStage;
pub use synthesize::Synthesize;

/// All stage kinds, in the order in which a pipeline uses them.
pub static STAGES: Registry = Registry::new(&[
    StageKind::of::<Fetch>(),
    StageKind::of::<Read>(),
    StageKind::of::<ReadSplit>(),
    StageKind::of::<Synthesize>(),
    StageKind::of::<Binarise>(),
    StageKind::of::<Filter>(),
    StageKind::of::<Remap>(),
    StageKind::of::<SplitStage>(),
    StageKind::of::<NegativePool>(),
    StageKind::of::<Recipe>(),
    StageKind::of::<Fit>(),
    StageKind::of::<Evaluate>(),
    StageKind::of::<Compare>(),
]);
