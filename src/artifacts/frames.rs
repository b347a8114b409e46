//! Frames in and out of artifacts, with errors that name the file.

use polars::prelude::DataFrame;

use crate::data::error::Kind;
use crate::data::frame::{FrameMeta, ParquetFile, write_parquet};
use crate::data::{self};
use crate::stage::{ArtifactDir, Context, Result, StageError};

/// Opens a Parquet file of an artifact; its bytes are checked against their digest.
///
/// # Errors
/// When the file is missing, damaged or not Parquet.
pub(super) fn open(dir: &ArtifactDir, name: &str) -> Result<ParquetFile> {
    ParquetFile::open(dir.read(name)?).map_err(|error| named(dir, name, error))
}

/// Reads columns of a Parquet file of an artifact, or all, and what its footer says.
///
/// # Errors
/// When the file is missing, damaged or not Parquet, or a column is missing.
pub(super) fn read(dir: &ArtifactDir, name: &str, columns: Option<&[&str]>) -> Result<(DataFrame, FrameMeta)> {
    let file = open(dir, name)?;
    let frame = file.read(columns).map_err(|error| named(dir, name, error))?;
    Ok((frame, file.into_meta()))
}

/// Writes a frame as a file of the output.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn save(context: &Context<'_>, name: &str, frame: &DataFrame, meta: &FrameMeta) -> Result<()> {
    let mut file = context.create(name)?;
    match write_parquet(frame, &mut file, meta) {
        Ok(()) => file.finish(),
        Err(error) if error.kind == Kind::Io => Err(file.error(&error)),
        Err(error) => Err(error.into()),
    }
}

/// Copies a file of an input, whose bytes the store then has only once.
///
/// # Errors
/// When it cannot be read or written.
pub(super) fn copy(dir: &ArtifactDir, name: &str, context: &Context<'_>) -> Result<()> {
    let bytes = dir.read(name)?;
    let mut file = context.create(name)?;
    file.put(&bytes)?;
    file.finish()
}

/// The error with the file and the stage that wrote it.
pub(super) fn named(dir: &ArtifactDir, name: &str, error: data::Error) -> StageError {
    let message = format!("`{name}` of stage `{}`: {}", dir.producer, error.message);
    data::Error { message, ..error }.into()
}
