//! Interactions with raw ids, as the stages before `remap` hand them on.

use polars::prelude::DataFrame;

use crate::artifacts::frames::{read, save};
use crate::data::frame::FrameMeta;
use crate::stage::{Artifact, ArtifactDir, Context, FileSpec, Result};

const FILE: &str = "interactions.parquet";

/// Interactions with raw ids, sorted by user, time, item, rating and clean flag.
#[derive(Debug, Clone)]
pub struct Interactions {
    /// One row for each interaction; see [`crate::data::frame`] for the columns.
    pub frame: DataFrame,
    /// What the stage that wrote them knew about them.
    pub meta: FrameMeta,
}

impl Artifact for Interactions {
    const KIND: &'static str = "interactions";
    const FILES: &'static [FileSpec] = &[FileSpec::always(FILE)];

    fn load(dir: &ArtifactDir) -> Result<Self> {
        let (frame, meta) = read(dir, FILE, None)?;
        Ok(Self { frame, meta })
    }
}

impl Interactions {
    /// The name of the file, for stages that write it row by row.
    pub const FILE: &'static str = FILE;

    /// Writes interactions that are already sorted.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(frame: &DataFrame, meta: &FrameMeta, context: &Context<'_>) -> Result<()> {
        save(context, FILE, frame, meta)
    }
}
