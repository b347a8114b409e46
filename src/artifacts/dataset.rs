//! Interactions with dense ids, and the raw ids behind them.

use crate::artifacts::frames::{copy, named, read, save};
use crate::data::frame::{FrameMeta, ITEM, RAW_ITEM, RAW_USER, USER};
use crate::data::remap::{Remapped, check_count};
use crate::stage::{Artifact, ArtifactDir, Context, FileSpec, Result};

const INTERACTIONS: &str = "interactions.parquet";
pub(super) const USERS: &str = "users.parquet";
pub(super) const ITEMS: &str = "items.parquet";

/// Interactions with dense ids, sorted by user, time and item, and the raw ids behind them.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The interactions and both tables of ids.
    pub frames: Remapped,
    dir: ArtifactDir,
}

impl Artifact for Dataset {
    const KIND: &'static str = "dataset";
    const FILES: &'static [FileSpec] =
        &[FileSpec::always(INTERACTIONS), FileSpec::always(USERS), FileSpec::always(ITEMS)];

    fn load(dir: &ArtifactDir) -> Result<Self> {
        let (interactions, _) = read(dir, INTERACTIONS, None)?;
        let (users, _) = read(dir, USERS, Some(&[USER, RAW_USER]))?;
        let (items, _) = read(dir, ITEMS, Some(&[ITEM, RAW_ITEM]))?;
        for (name, table) in [(USERS, &users), (ITEMS, &items)] {
            check_count(table.height(), "ids").map_err(|error| named(dir, name, error))?;
        }
        Ok(Self { frames: Remapped { interactions, users, items }, dir: dir.clone() })
    }
}

impl Dataset {
    /// Writes all files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(frames: &Remapped, kind: &str, context: &Context<'_>) -> Result<()> {
        let meta = FrameMeta::of(kind).sized(frames.users.height(), frames.items.height());
        save(context, INTERACTIONS, &frames.interactions, &meta)?;
        save(context, USERS, &frames.users, &meta)?;
        save(context, ITEMS, &frames.items, &meta)
    }

    /// Hands the tables of raw ids on, byte for byte.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn copy_ids(&self, context: &Context<'_>) -> Result<()> {
        copy(&self.dir, USERS, context)?;
        copy(&self.dir, ITEMS, context)
    }
}
