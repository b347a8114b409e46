//! Pools of negatives: evaluation candidates, and optional training negatives.

use crate::artifacts::frames::{named, open};
use crate::data::frame::FrameMeta;
use crate::data::pool;
use crate::stage::{Artifact, ArtifactDir, Context, FileSpec, Result};

/// The file of evaluation candidates: `user_id` Int32, `item_id` List(Int32), ascending.
pub const EVAL: &str = "eval.parquet";
/// The file of training negatives: `user_id` Int32, `item_id` Int32, sorted.
pub const TRAIN: &str = "train.parquet";

/// The candidates that held-out positives are ranked against.
#[derive(Debug, Clone)]
pub struct Pool(pool::Pool);

impl Artifact for Pool {
    const KIND: &'static str = "pool";
    const FILES: &'static [FileSpec] = &[FileSpec::always(EVAL), FileSpec::maybe(TRAIN)];

    /// Reads the evaluation candidates; training negatives stay unread.
    fn load(dir: &ArtifactDir) -> Result<Self> {
        let file = open(dir, EVAL)?;
        pool::Pool::read(&file).map(Self).map_err(|error| named(dir, EVAL, error))
    }
}

impl Pool {
    /// The candidates of a user, ascending; `None` for a user without a list. See [`pool::Pool`].
    pub fn candidates(&self, user: u32) -> Option<&[u32]> {
        self.0.candidates(user)
    }

    /// All lists and the numbers of users and items.
    pub fn lists(&self) -> &pool::Pool {
        &self.0
    }

    /// The digest of the candidates: two results are comparable when theirs are equal.
    pub fn digest(dir: &ArtifactDir) -> Option<String> {
        dir.files.get(EVAL).map(|file| file.digest.clone())
    }

    /// Writes lists that were not drawn here, such as published ones.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(lists: &pool::Pool, meta: &FrameMeta, context: &Context<'_>) -> Result<()> {
        lists.write(context.create(EVAL)?, meta)?.finish()
    }
}
