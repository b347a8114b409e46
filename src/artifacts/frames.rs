//! Frames in and out of artifacts, with errors that name the file.

use std::io::{self, Write};
use std::sync::Arc;

use polars::prelude::DataFrame;

use crate::data::frame::{FrameMeta, ParquetFile, no_column, write_parquet};
use crate::data::{self};
use crate::stage::Class;
use crate::stage::{ArtifactDir, Cancel, Context, Fault, OutFile, Result};

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
    if let Some(held) = dir.held::<Held>(name) {
        let frame = held.select(columns).map_err(|error| named(dir, name, error))?;
        return Ok((frame, held.meta.clone()));
    }
    let file = open(dir, name)?;
    let frame = file.read(columns).map_err(|error| named(dir, name, error))?;
    Ok((frame, file.into_meta()))
}

/// Whether a Parquet file of an artifact has a column of this name.
///
/// # Errors
/// When the file is missing, damaged or not Parquet.
pub(super) fn has(dir: &ArtifactDir, name: &str, column: &str) -> Result<bool> {
    match dir.held::<Held>(name) {
        Some(held) => Ok(data::frame::has(&held.frame, column)),
        None => Ok(open(dir, name)?.has(column)),
    }
}

/// Writes a frame as a file of the output.
///
/// # Errors
/// When the file cannot be written, or the run is asked to stop.
pub(super) fn save(context: &Context<'_>, name: &str, frame: &DataFrame, meta: &FrameMeta) -> Result<()> {
    let mut file = context.create(name)?;
    let written = write_parquet(frame, Stoppable { file: &mut file, cancel: context.cancel() }, meta);
    context.cancel().check()?;
    match written {
        Ok(()) => {
            let digest = file.seal()?;
            let held = Held::new(frame, meta);
            context.memory().keep(&digest, held.frame.estimated_size() as u64, Arc::new(held));
            Ok(())
        }
        Err(error) if error.class == Class::Io => Err(file.error(&error)),
        Err(error) => Err(error),
    }
}

/// A frame that was written in this run, as reading the file back would give it.
struct Held {
    frame: DataFrame,
    meta: FrameMeta,
}

impl Held {
    fn new(frame: &DataFrame, meta: &FrameMeta) -> Self {
        // Readers count on columns in one piece; those that are already so are shared, not copied.
        let mut frame = frame.clone();
        frame.rechunk_mut_par();
        Self { frame, meta: meta.clone() }
    }

    fn select(&self, columns: Option<&[&str]>) -> Result<DataFrame> {
        let names = self.frame.get_column_names();
        match columns {
            None => Ok(self.frame.clone()),
            Some(wanted) => match wanted.iter().find(|column| !names.iter().any(|name| name.as_str() == **column)) {
                Some(missing) => Err(no_column(missing, names.iter().map(|name| name.as_str()))),
                None => self.frame.select(wanted.iter().copied()).map_err(Fault::data),
            },
        }
    }
}

/// A file that takes no more bytes once the run is asked to stop.
struct Stoppable<'a> {
    file: &'a mut OutFile,
    cancel: &'a Cancel,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("stopped on request"));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
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
pub(super) fn named(dir: &ArtifactDir, name: &str, error: Fault) -> Fault {
    let message = format!("`{name}` of stage `{}`: {}", dir.producer, error.message);
    Fault { message, ..error }
}
