//! What the end of a Parquet file says, and the row groups that it speaks of.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_empty_array};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Repetition;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use crate::frame::{FrameMeta, no_column};
use crate::row_group::{self, MAGIC, RowGroup, TAIL, guarded};
use crate::{Fault, Result};

/// What the end of a Parquet file says about the rest.
#[derive(Debug, Clone)]
pub struct Footer {
    metadata: ArrowReaderMetadata,
    meta: FrameMeta,
    columns: Vec<String>,
    optional: BTreeSet<String>,
    rows: usize,
    /// What has been decoded, and where in the file it begins.
    bytes: Vec<u8>,
    start: u64,
}

impl Footer {
    /// Reads it from the end of a file of `size` bytes, which must begin as Parquet does; `read` fills a buffer from a place in
    /// the file.
    ///
    /// # Errors
    /// When it cannot be read, or is not that of a sound Parquet file.
    pub fn read(size: u64, read: &dyn Fn(u64, &mut [u8]) -> io::Result<()>) -> Result<Self> {
        let fill = |place: u64, length: usize| {
            let mut bytes = vec![0; length];
            read(place, &mut bytes).map_err(|error| Fault::io("cannot read Parquet", error))?;
            Ok::<_, Fault>(bytes)
        };
        if size < 12 {
            return Err(damaged(&"it is too short"));
        }
        if fill(0, MAGIC.len())? != MAGIC {
            return Err(damaged(&"it does not begin with `PAR1`"));
        }
        let tail = fill(size - TAIL as u64, TAIL)?;
        let tail = *tail.first_chunk().ok_or_else(|| damaged(&"it is too short"))?;
        let start = row_group::footer(size, tail, &damaged)?.start;
        let bytes = fill(start, (size - start) as usize)?;
        guarded(&damaged, || Self::of(bytes, start))
    }

    fn of(bytes: Vec<u8>, start: u64) -> Result<Self> {
        let metadata = checked(&bytes[..bytes.len() - TAIL], start)?;
        let file = metadata.file_metadata();
        let pairs = file.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
        let meta = FrameMeta::from_pairs(pairs.iter().map(|pair| (pair.key.as_str(), pair.value.as_deref())))?;
        let fields = file.schema().get_fields();
        let columns = fields.iter().map(|field| field.name().to_owned()).collect();
        let optional = fields.iter().filter(|field| {
            let info = field.get_basic_info();
            info.has_repetition() && info.repetition() != Repetition::REQUIRED
        });
        let optional = optional.map(|field| field.name().to_owned()).collect();
        let rows = metadata.row_groups().iter().map(|group| group.num_rows() as usize).sum();
        // Without the hints of arrow writers, columns have the plain types of the Parquet schema.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(|error| damaged(&error))?;
        Ok(Self { metadata, meta, columns, optional, rows, bytes, start })
    }

    /// What it says about the content.
    pub fn meta(&self) -> &FrameMeta {
        &self.meta
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The columns that may have missing values.
    pub fn optional(&self) -> &BTreeSet<String> {
        &self.optional
    }

    /// Its bytes, and where in the file they begin.
    pub(super) fn bytes(&self) -> (u64, &[u8]) {
        (self.start, &self.bytes)
    }

    /// The row groups.
    pub(super) fn groups(&self) -> &[RowGroupMetaData] {
        self.metadata.metadata().row_groups()
    }

    /// The places of these columns in the file.
    ///
    /// # Errors
    /// When one is missing.
    pub(super) fn places(&self, columns: &[&str]) -> Result<Vec<usize>> {
        let place = |name: &&str| {
            let place = self.columns.iter().position(|column| column == name);
            place.ok_or_else(|| no_column(name, self.columns.iter().map(String::as_str)))
        };
        columns.iter().map(place).collect()
    }

    /// The columns at these places, without rows.
    pub(super) fn nothing(&self, wanted: &[usize]) -> Vec<ArrayRef> {
        let schema = self.metadata.schema();
        wanted.iter().map(|&place| new_empty_array(schema.field(place).data_type())).collect()
    }

    /// The rows of a row group, in the columns at these places. `bytes` are those of the file from `start` on.
    ///
    /// # Errors
    /// When they do not hold what the footer states.
    pub(super) fn decode(&self, group: usize, start: u64, bytes: &[u8], wanted: &[usize]) -> Result<Vec<ArrayRef>> {
        let slice = |range: &Range<u64>| {
            let (from, to) = (range.start.checked_sub(start)?, range.end.checked_sub(start)?);
            bytes.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
        };
        // All rows together: a batch has the columns in the order of the file.
        let rows = self.groups()[group].num_rows() as usize;
        let column = |place: &usize| wanted.iter().filter(|other| *other < place).count();
        let mut found = self.nothing(wanted);
        guarded(&damaged, || {
            let group = RowGroup { metadata: &self.metadata, index: group, damaged: &damaged };
            group.decode(wanted.iter().copied(), rows, slice, |batch| {
                found = wanted.iter().map(|place| batch.column(column(place)).clone()).collect();
                Ok(())
            })
        })?;
        match found.first() {
            Some(column) if column.len() != rows => Err(damaged(&"a row group is in pieces")),
            _ => Ok(found),
        }
    }
}

pub(super) fn damaged(reason: &dyn Display) -> Fault {
    Fault::data(format!("the bytes are not a sound Parquet file: {reason}"))
        .help("make the file again with the program that wrote it")
}

/// Decodes a footer that begins at `start` in the file, and checks what a decoder would otherwise believe: that sizes and
/// places lie within the file, so that a lie cannot ask for more memory than there is.
fn checked(bytes: &[u8], start: u64) -> Result<ParquetMetaData> {
    let metadata = row_group::metadata(bytes, &damaged)?;
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
                return Err(damaged(&format!("column `{}` lies outside the file", column.column_path().string())));
            }
        }
    }
    if rows != metadata.file_metadata().num_rows() {
        return Err(damaged(&"its row groups do not add up to its rows"));
    }
    Ok(metadata)
}
