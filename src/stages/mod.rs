//! The stage kinds that ship: one thin file each, parameters and calls into kernels.

use crate::stage::{Registry, StageKind};

mod ask;
mod audit;
mod binarise;
mod check;
mod colliding_inference;
mod compare;
mod device;
mod evaluate;
mod evaluate_lists;
mod extra_feedback;
mod fetch;
mod filter;
mod fit;
mod names;
mod negative_pool;
mod overlap;
mod plot;
mod read;
mod read_split;
mod recommend;
mod remap;
mod split;
mod synthesize;
mod train;

// For `cli`, which shows texts of the data too.
pub use crate::data::frame::printable;
pub use ask::{Predicted, Recommended, RecommendedItem, Trained};
pub use audit::Audit;
pub use binarise::Binarise;
pub use check::Check;
pub use colliding_inference::CollidingInference;
pub use compare::Compare;
pub use device::check_device;
pub use evaluate::Evaluate;
pub use evaluate_lists::EvaluateLists;
pub use extra_feedback::ExtraFeedback;
pub use fetch::{Fetch, RemoteFile};
pub use filter::Filter;
pub use fit::Fit;
pub use negative_pool::NegativePool;
pub use overlap::Overlap;
pub use plot::{Plot, learning_curves};
pub use read::Read;
pub use read_split::ReadSplit;
pub use recommend::Recommend;
pub use remap::Remap;
pub use split::SplitStage;
pub use synthesize::Synthesize;
pub use train::Train;

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
    StageKind::of::<Audit>(),
    StageKind::of::<ExtraFeedback>(),
    StageKind::of::<Train>(),
    StageKind::of::<Fit>(),
    StageKind::of::<CollidingInference>(),
    StageKind::of::<Evaluate>(),
    StageKind::of::<EvaluateLists>(),
    StageKind::of::<Compare>(),
    StageKind::of::<Plot>(),
    StageKind::of::<Check>(),
    StageKind::of::<Recommend>(),
    StageKind::of::<Overlap>(),
]);

#[cfg(test)]
mod tests;
