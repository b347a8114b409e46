//! The items that a model recommends to each user.

use crate::artifacts::dataset::{ITEMS, USERS};
use crate::artifacts::frames::{named, open};
use crate::artifacts::split::Split;
use crate::data::frame::FrameMeta;
use crate::data::lists::{ListRows, Lists, write_lists};
use crate::data::{self};
use crate::stage::Class;
use crate::stage::{Artifact, ArtifactDir, Context, FileSpec, Result};

/// `user_id` Int32, `item_id` Int32, `rank` Int32 from 1, `score` Float32; sorted by user and rank.
const FILE: &str = "recommendations.parquet";

/// The items that a model recommends to each user. Ids are dense; beside the lists lie the tables of raw ids of the
/// split, byte for byte.
#[derive(Debug, Clone)]
pub struct Recommendations {
    /// The list of each user.
    pub lists: Lists,
    dir: ArtifactDir,
}

impl Artifact for Recommendations {
    const KIND: &'static str = "recommendations";
    const FILES: &'static [FileSpec] = &[FileSpec::always(FILE), FileSpec::always(USERS), FileSpec::always(ITEMS)];

    /// Reads the lists; scores and raw ids stay unread.
    fn load(dir: &ArtifactDir) -> Result<Self> {
        let lists = Lists::read(&open(dir, FILE)?).map_err(|error| named(dir, FILE, error))?;
        Ok(Self { lists, dir: dir.clone() })
    }
}

impl Recommendations {
    /// Writes the rows that `next` gives, user by user until it gives none, and the tables of raw ids of the split.
    ///
    /// # Errors
    /// Those of `next`, and when a file cannot be written.
    pub fn write(
        split: &Split,
        meta: &FrameMeta,
        context: &Context<'_>,
        mut next: impl FnMut() -> Result<Option<Vec<ListRows>>>,
    ) -> Result<()> {
        let mut file = context.create(FILE)?;
        let mut stopped = None;
        let written = write_lists(&mut file, meta, &mut || {
            next().map_err(|error| {
                stopped = Some(error);
                data::Fault::cancelled()
            })
        })
        .map(drop);
        match (stopped, written) {
            (None, Err(error)) if error.class == Class::Io => return Err(file.error(&error)),
            (Some(error), _) | (None, Err(error)) => return Err(error),
            (None, Ok(())) => file.finish()?,
        }
        split.copy_ids(context)
    }

    /// Whether both are about the same users and items, as far as the tables of raw ids tell.
    pub fn same_ids(&self, other: &Self) -> bool {
        let table = |dir: &ArtifactDir, name: &str| dir.files.get(name).map(|file| file.digest.clone());
        [USERS, ITEMS].iter().all(|name| table(&self.dir, name) == table(&other.dir, name))
    }
}
