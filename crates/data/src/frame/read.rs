//! Frames from Parquet.

use std::io::Cursor;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};
use polars::prelude::{DataFrame, ParquetReader, SerReader};
use rayon::prelude::*;

use crate::frame::{FrameMeta, view};
use crate::{Fault, Result};

/// A Parquet file in memory. Its columns are decoded when they are asked for.
#[derive(Debug, Clone)]
pub struct ParquetFile {
    bytes: Vec<u8>,
    meta: FrameMeta,
    columns: Vec<String>,
    /// The rows of each row group.
    groups: Vec<usize>,
}

impl ParquetFile {
    /// Reads the footer.
    ///
    /// # Errors
    /// When the bytes are not a Parquet file, or one of a newer version of this program.
    pub fn open(bytes: Vec<u8>) -> Result<Self> {
        let footer = guarded(|| footer(&bytes))?;
        let file = footer.file_metadata();
        let pairs = file.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
        let meta = FrameMeta::from_pairs(pairs.iter().map(|pair| (pair.key.as_str(), pair.value.as_deref())))?;
        let columns = file.schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
        let groups = footer.row_groups().iter().map(|group| group.num_rows() as usize).collect();
        Ok(Self { bytes, meta, columns, groups })
    }

    /// What the footer says about the content.
    pub fn meta(&self) -> &FrameMeta {
        &self.meta
    }

    /// The same, with the bytes let go.
    pub fn into_meta(self) -> FrameMeta {
        self.meta
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.groups.iter().sum()
    }

    /// Whether there is a column of this name.
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// Decodes these columns, or all. Each lies in one piece.
    ///
    /// # Errors
    /// When a column is missing or damaged.
    pub fn read(&self, columns: Option<&[&str]>) -> Result<DataFrame> {
        self.decode(columns, 0..self.rows())
    }

    /// Decodes these columns and hands them on by row groups, in their order, of which only as many as there are threads are
    /// in memory at a time. A file without rows gives a frame without rows.
    ///
    /// # Errors
    /// When a column is missing or damaged, or `each` fails.
    pub fn each_group(&self, columns: &[&str], mut each: impl FnMut(&DataFrame) -> Result<()>) -> Result<()> {
        if self.rows() == 0 {
            return each(&self.read(Some(columns))?);
        }
        let groups = self.groups.iter().scan(0, |end, rows| {
            *end += rows;
            Some(*end - rows..*end)
        });
        let groups: Vec<Range<usize>> = groups.filter(|rows| !rows.is_empty()).collect();
        for wave in groups.chunks(rayon::current_num_threads()) {
            let frames = wave.par_iter().map(|rows| self.decode(Some(columns), rows.clone()));
            for frame in frames.collect::<Vec<_>>() {
                each(&frame?)?;
            }
        }
        Ok(())
    }

    fn decode(&self, columns: Option<&[&str]>, rows: Range<usize>) -> Result<DataFrame> {
        if let Some(missing) = columns.unwrap_or_default().iter().find(|name| !self.has(name)) {
            return Err(view::no_column(missing, self.columns.iter().map(String::as_str)));
        }
        let wanted: Vec<String> = match columns {
            Some(names) => names.iter().map(|&name| name.to_owned()).collect(),
            None => self.columns.clone(),
        };
        let part = (rows.len() < self.rows()).then_some((rows.start, rows.len()));
        let frame = guarded(|| {
            ParquetReader::new(Cursor::new(self.bytes.as_slice()))
                .with_columns(Some(wanted))
                .with_slice(part)
                .set_rechunk(true)
                .finish()
                .map_err(|error| damaged(&error))
        })?;
        // polars trusts the footer here, so that a damaged file could give columns of several lengths.
        if frame.height() != rows.len() || frame.columns().iter().any(|column| column.len() != rows.len()) {
            return Err(damaged(&"its columns do not have the rows that its footer states"));
        }
        Ok(frame)
    }
}

/// Reads columns of a Parquet file, or all of them, and what its footer says.
///
/// # Errors
/// As [`ParquetFile::open`] and [`ParquetFile::read`].
pub fn read_parquet(bytes: Vec<u8>, columns: Option<&[&str]>) -> Result<(DataFrame, FrameMeta)> {
    let file = ParquetFile::open(bytes)?;
    Ok((file.read(columns)?, file.meta))
}

pub(super) fn damaged(reason: &dyn std::fmt::Display) -> Fault {
    Fault::data(format!("the bytes are not a sound Parquet file: {reason}"))
        .help("make the file again with the program that wrote it")
}

/// Turns panics into errors: decoders have been seen to panic on damaged files.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damaged(&"a column cannot be decoded")))
}

/// Reads the footer and checks what a decoder would otherwise believe: that sizes and places lie within the file, so
/// that a lie in the footer cannot ask for more memory than there is.
fn footer(bytes: &[u8]) -> Result<ParquetMetaData> {
    const TAIL: usize = 8;
    const MAGIC: &[u8; 4] = b"PAR1";
    let tail: [u8; TAIL] = match bytes.last_chunk::<TAIL>() {
        Some(tail) if bytes.starts_with(MAGIC) && bytes.len() >= MAGIC.len() + TAIL => *tail,
        _ => return Err(damaged(&"it does not begin and end with `PAR1`")),
    };
    let length = FooterTail::try_new(&tail).map_err(|error| damaged(&error))?.metadata_length();
    let end = bytes.len() - TAIL;
    let start = end.checked_sub(length).ok_or_else(|| damaged(&"its footer is longer than the file"))?;
    checked(&bytes[start..end], start as u64)
}

/// Decodes a footer that begins at `start` in the file, and checks what it states.
pub(super) fn checked(bytes: &[u8], start: u64) -> Result<ParquetMetaData> {
    let metadata = ParquetMetaDataReader::decode_metadata(bytes).map_err(|error| damaged(&error))?;
    let mut rows = 0i64;
    for group in metadata.row_groups() {
        // More rows than this in one row group are a lie, and a decoder would set memory aside for them.
        if !(0..=i64::from(i32::MAX)).contains(&group.num_rows()) {
            return Err(damaged(&"a row group has an impossible number of rows"));
        }
        rows += group.num_rows();
        for column in group.columns() {
            let first = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let last = first.checked_add(column.compressed_size());
            if first < 0 || column.compressed_size() < 0 || last.is_none_or(|last| last as u64 > start) {
                return Err(damaged(&format!("column `{}` lies outside the file", column.column_path())));
            }
        }
    }
    if rows != metadata.file_metadata().num_rows() {
        return Err(damaged(&"its row groups do not add up to its rows"));
    }
    Ok(metadata)
}
