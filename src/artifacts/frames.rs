//! Frames in and out of artifacts, with errors that name the file.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::Arc;

use polars::prelude::DataFrame;

use crate::data::frame::{Footer, FrameMeta, FrameWriter, ParquetFile, with_missing};
use crate::data::scan::{PIECE, PackedPieces, Scan, WAVE};
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
        let frame = held.pieces.whole(columns);
        return Ok((frame.map_err(|error| named(dir, name, error))?, held.meta.clone()));
    }
    let file = open(dir, name)?;
    let frame = file.read(columns).map_err(|error| named(dir, name, error))?;
    Ok((frame, file.meta().clone()))
}

/// Whether a Parquet file of an artifact has a column of this name.
///
/// # Errors
/// When the file is missing, damaged or not Parquet.
pub(super) fn has(dir: &ArtifactDir, name: &str, column: &str) -> Result<bool> {
    match dir.held::<Held>(name) {
        Some(held) => Ok(held.pieces.has(column)),
        None => Ok(open(dir, name)?.has(column)),
    }
}

/// A Parquet file of an artifact that is read piece by piece, as often as is needed; each time its bytes are checked
/// against their digest.
#[derive(Debug, Clone)]
pub struct Table {
    dir: ArtifactDir,
    name: &'static str,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Held(Arc<Held>),
    File(Box<Footer>),
}

impl Table {
    /// Looks at the end of the file, if it is not in memory.
    ///
    /// # Errors
    /// When the file is missing, damaged or not Parquet.
    pub(super) fn open(dir: &ArtifactDir, name: &'static str) -> Result<Self> {
        let source = if let Some(held) = dir.held::<Held>(name) {
            Source::Held(held)
        } else {
            let reader = dir.open(name)?;
            match Footer::read(reader.size(), &|place, buffer| reader.read_at(place, buffer)) {
                Ok(footer) => Source::File(Box::new(footer)),
                Err(error) => {
                    // A damaged file is made again; there is nothing to say about what it says.
                    reader.finish()?;
                    return Err(named(dir, name, error));
                }
            }
        };
        Ok(Self { dir: dir.clone(), name, source })
    }

    /// What the footer says about the content.
    pub fn meta(&self) -> &FrameMeta {
        match &self.source {
            Source::Held(held) => &held.meta,
            Source::File(footer) => footer.meta(),
        }
    }

    /// All rows in memory, each column in one piece.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn frame(&self) -> Result<DataFrame> {
        read(&self.dir, self.name, None).map(|(frame, _)| frame)
    }
}

impl Scan for Table {
    fn rows(&self) -> usize {
        match &self.source {
            Source::Held(held) => held.pieces.rows(),
            Source::File(footer) => footer.rows(),
        }
    }

    fn columns(&self) -> Vec<String> {
        match &self.source {
            Source::Held(held) => held.pieces.columns(),
            Source::File(footer) => footer.columns().to_vec(),
        }
    }

    fn optional(&self) -> BTreeSet<String> {
        match &self.source {
            Source::Held(held) => held.pieces.optional(),
            Source::File(footer) => footer.optional().clone(),
        }
    }

    fn waves(&self, columns: Option<&[&str]>, each: &mut dyn FnMut(Vec<DataFrame>) -> Result<()>) -> Result<()> {
        match &self.source {
            Source::Held(held) => held.pieces.waves(columns, each),
            Source::File(footer) => {
                let mut reader = self.dir.open(self.name)?;
                match footer.waves(&mut reader, columns, each) {
                    Ok(()) => reader.finish(),
                    // What a damaged file holds is not worth reporting.
                    Err(error) if error.class == Class::Data => reader.finish().and(Err(error)),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// Writes a frame as a file of the output.
///
/// # Errors
/// When the file cannot be written, or the run is asked to stop.
pub(super) fn save(context: &Context<'_>, name: &'static str, frame: &DataFrame, meta: &FrameMeta) -> Result<()> {
    let mut sink = Sink::new(context, name, meta, with_missing(frame));
    for first in (0..frame.height().max(1)).step_by(WAVE) {
        let last = frame.height().min(first + WAVE);
        let slices = (first..last.max(first + 1)).step_by(PIECE);
        sink.encode(&slices.map(|row| frame.slice(row as i64, PIECE.min(last - row))).collect::<Vec<_>>())?;
    }
    sink.hold(std::slice::from_ref(frame));
    sink.finish()
}

/// A file of the output that takes rows as they are made, and keeps them in memory for the next stage while there is
/// room.
pub struct Sink<'a> {
    context: &'a Context<'a>,
    name: &'static str,
    meta: FrameMeta,
    optional: BTreeSet<String>,
    /// Begins with the first rows, which tell the columns.
    writer: Option<FrameWriter<Stoppable<'a>>>,
    rows: usize,
    /// What is kept, and how many bytes that is.
    held: Option<(PackedPieces, u64)>,
}

impl<'a> Sink<'a> {
    /// A file with this footer; `optional` are the columns that may have missing values.
    pub(super) fn new(
        context: &'a Context<'a>,
        name: &'static str,
        meta: &FrameMeta,
        optional: BTreeSet<String>,
    ) -> Self {
        let held = Some((PackedPieces::new(optional.clone()), 0));
        Self { context, name, meta: meta.clone(), optional, writer: None, rows: 0, held }
    }

    /// Adds frames of whole users; the first has to tell the columns, even if it has no rows.
    ///
    /// # Errors
    /// When the file cannot be written, or the run is asked to stop.
    pub fn write(&mut self, frames: &[DataFrame]) -> Result<()> {
        self.encode(frames)?;
        self.hold(frames);
        Ok(())
    }

    /// How many rows were written.
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn encode(&mut self, frames: &[DataFrame]) -> Result<()> {
        let Some(first) = frames.first() else { return Ok(()) };
        let cancel = self.context.cancel();
        cancel.check()?;
        self.rows += frames.iter().map(DataFrame::height).sum::<usize>();
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let file = Stoppable { file: self.context.create(self.name)?, cancel };
                none.insert(FrameWriter::new(file, first, &self.optional, &self.meta)?)
            }
        };
        writer.write(frames).map_err(|error| failure(error, writer.get_ref()))
    }

    fn hold(&mut self, frames: &[DataFrame]) {
        let room = self.context.memory().room();
        let fits = self.held.as_mut().is_some_and(|(held, bytes)| {
            *bytes += if room > 0 { held.push(frames) } else { 0 };
            room > 0 && *bytes <= room
        });
        if !fits {
            self.held = None;
        }
    }

    /// Makes the file durable.
    ///
    /// # Errors
    /// When nothing was written, the file cannot be written, or the run is asked to stop.
    pub fn finish(self) -> Result<()> {
        let Self { context, name, meta, writer, held, .. } = self;
        let writer = writer.ok_or_else(|| Fault::failed(format!("nothing was written to `{name}`")))?;
        // A finished writer cannot tell the file any more.
        let failed = writer.get_ref().file.error(&"");
        let written = writer.finish();
        context.cancel().check()?;
        let file = written.map_err(|error| match error.class {
            Class::Io => Fault { message: failed.message + &error.message, ..failed },
            _ => error,
        })?;
        let digest = file.file.seal()?;
        if let Some((pieces, bytes)) = held {
            context.memory().keep(&digest, bytes, Arc::new(Held { pieces, meta }));
        }
        Ok(())
    }
}

fn failure(error: Fault, file: &Stoppable<'_>) -> Fault {
    if file.cancel.is_cancelled() {
        return Fault::cancelled();
    }
    if error.class == Class::Io { file.file.error(&error) } else { error }
}

/// Rows that were written in this run, as reading the file back would give them.
#[derive(Debug)]
struct Held {
    pieces: PackedPieces,
    meta: FrameMeta,
}

/// A file that takes no more bytes once the run is asked to stop.
struct Stoppable<'a> {
    file: OutFile,
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
    let mut from = dir.open(name)?;
    let mut file = context.create(name)?;
    let mut buffer = vec![0; 4 << 20];
    loop {
        context.cancel().check()?;
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => file.put(&buffer[..n])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(from.error(&error)),
        }
    }
    from.finish()?;
    file.finish()
}

/// The error with the file and the stage that wrote it.
pub(super) fn named(dir: &ArtifactDir, name: &str, error: Fault) -> Fault {
    let message = format!("`{name}` of stage `{}`: {}", dir.producer, error.message);
    Fault { message, ..error }
}
