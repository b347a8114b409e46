//! Pools of negatives: evaluation candidates, and optional training negatives.

use crate::artifacts::frames::{named, open, read};
use crate::data::frame::{FrameMeta, ITEM, USER, dense_ids};
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

    /// The training negatives, user by user, and the numbers of users and items; `None` for a pool without any.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn training(dir: &ArtifactDir) -> Result<Option<(Vec<u32>, Vec<u32>)>> {
        if !dir.has(TRAIN) {
            return Ok(None);
        }
        let (frame, meta) = read(dir, TRAIN, Some(&[USER, ITEM]))?;
        let bound = |n: Option<u64>| n.map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let users = dense_ids(&frame, USER, bound(meta.n_users));
        let items = dense_ids(&frame, ITEM, bound(meta.n_items));
        let (users, items) = users.and_then(|users| Ok((users, items?))).map_err(|error| named(dir, TRAIN, error))?;
        Ok(Some((users, items)))
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
