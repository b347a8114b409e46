//! What the readers of Parquet share, of users' files and of frames: where the footer is, row groups out of bytes in memory, and
//! a guard around decoders.

use std::fmt::Display;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::push_decoder::ParquetPushDecoderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, FooterTail, ParquetMetaData, ParquetMetaDataReader};

use crate::thrift::{Fields, Kind, Shape, Thrift};
use crate::{Fault, Result};

/// What every Parquet file begins with.
pub(crate) const MAGIC: &[u8] = b"PAR1";
/// The bytes at the end of a file that tell where its footer begins.
pub(crate) const TAIL: usize = 8;

/// The error for a file that is not sound, which names the file; called with what is wrong.
pub(crate) type Damaged<'a> = &'a dyn Fn(&dyn Display) -> Fault;

/// The place of the footer in a file of `size` bytes with such an end.
///
/// # Errors
/// When the end is none of Parquet, or the footer would begin before the file.
pub(crate) fn footer(size: u64, tail: [u8; TAIL], damaged: Damaged<'_>) -> Result<Range<u64>> {
    let length = FooterTail::try_new(&tail).map_err(|error| damaged(&error))?.metadata_length() as u64;
    let end = size.checked_sub(TAIL as u64).ok_or_else(|| damaged(&"it is too short"))?;
    let start = end.checked_sub(length).ok_or_else(|| damaged(&"its footer is longer than the file"))?;
    Ok(start..end)
}

/// How deep columns may be nested: the decoder goes down by calls.
const DEEPEST: usize = 100;

/// Decodes a footer, without its length and magic, whose schema it has looked at before: the decoder sets memory aside for as
/// many children as a column states, and goes as deep as they are nested, which ends the process.
///
/// # Errors
/// When it is damaged, or columns are nested too deep. May panic on damaged files: see [`guarded`].
pub(crate) fn metadata(footer: &[u8], damaged: Damaged<'_>) -> Result<ParquetMetaData> {
    let schema = look_at_schema(Thrift::new(footer)).ok_or_else(|| damaged(&"its schema cannot be read"))?;
    schema.map_err(|reason| damaged(&reason))?;
    ParquetMetaDataReader::decode_metadata(footer).map_err(|error| damaged(&error))
}

/// `LogicalType`, a union of what is empty but for some.
const LOGICAL_TYPE: Fields = {
    const TIME: Shape =
        Shape::Struct(&[(1, Shape::Bool), (2, Shape::Struct(&[(1, NOTHING), (2, NOTHING), (3, NOTHING)]))]);
    &[
        (1, NOTHING),
        (2, NOTHING),
        (3, NOTHING),
        (4, NOTHING),
        (5, Shape::Struct(&[(1, Shape::Int), (2, Shape::Int)])),
        (6, NOTHING),
        (7, TIME),
        (8, TIME),
        (10, Shape::Struct(&[(1, Shape::Byte), (2, Shape::Bool)])),
        (11, NOTHING),
        (12, NOTHING),
        (13, NOTHING),
        (14, NOTHING),
        (15, NOTHING),
        (16, Shape::Struct(&[(1, Shape::Byte)])),
        (17, Shape::Struct(&[(1, Shape::Binary)])),
        (18, Shape::Struct(&[(1, Shape::Binary), (2, Shape::Int)])),
        (19, NOTHING),
    ]
};
const NOTHING: Shape = Shape::Struct(&[]);

/// `SchemaElement`, a node of a schema.
const NODE: Fields = &[
    (1, Shape::Int),
    (2, Shape::Int),
    (3, Shape::Int),
    (4, Shape::Binary),
    (CHILDREN, Shape::Int),
    (6, Shape::Int),
    (7, Shape::Int),
    (8, Shape::Int),
    (9, Shape::Int),
    (10, Shape::Struct(LOGICAL_TYPE)),
];
const CHILDREN: i16 = 5;

/// Looks at the schema in `FileMetaData`, which is a list of the nodes of a tree, after the version. `None` is what is none.
fn look_at_schema(mut thrift: Thrift<'_>) -> Option<Result<(), &'static str>> {
    if thrift.field(0)? != (1, Kind::I32) {
        return None;
    }
    thrift.integer()?;
    if thrift.field(1)? != (2, Kind::LIST) {
        return None;
    }
    let (Kind::STRUCT, n) = thrift.list()? else { return None };
    // How many children are still to come, level by level.
    let mut open: Vec<i64> = Vec::new();
    for later in (0..n as i64).rev() {
        let mut children = 0;
        thrift.structure(NODE, &mut |place, value| {
            if place == [0, CHILDREN] {
                children = value;
            }
        })?;
        if children > later {
            return Some(Err("a column states more children than there are"));
        }
        if let Some(last) = open.last_mut() {
            *last -= 1;
        }
        if children > 0 {
            open.push(children);
        }
        if open.len() > DEEPEST {
            return Some(Err("its columns are nested too deep"));
        }
        while open.last().is_some_and(|rest| *rest <= 0) {
            open.pop();
        }
    }
    Some(Ok(()))
}

const STATISTICS: Shape = Shape::Struct(&[
    (1, Shape::Binary),
    (2, Shape::Binary),
    (3, Shape::Long),
    (4, Shape::Long),
    (5, Shape::Binary),
    (6, Shape::Binary),
    (7, Shape::Bool),
    (8, Shape::Bool),
    (9, Shape::Long),
]);

/// `PageHeader`.
const PAGE: Fields = &[
    (1, Shape::Int),
    (2, Shape::Int),
    (3, Shape::Int),
    (4, Shape::Int),
    (5, Shape::Struct(&[(1, Shape::Int), (2, Shape::Int), (3, Shape::Int), (4, Shape::Int), (5, STATISTICS)])),
    (6, NOTHING),
    (DICTIONARY, Shape::Struct(&[(1, Shape::Int), (2, Shape::Int), (3, Shape::Bool)])),
    (
        8,
        Shape::Struct(&[
            (1, Shape::Int),
            (2, Shape::Int),
            (3, Shape::Int),
            (4, Shape::Int),
            (5, Shape::Int),
            (6, Shape::Int),
            (7, Shape::Bool),
            (8, STATISTICS),
        ]),
    ),
];
const DICTIONARY: i16 = 7;

/// Refuses a column whose dictionary states more values than it has bytes: the decoder would set memory aside for them.
fn look_at_pages(chunk: &[u8], column: &ColumnChunkMetaData, damaged: Damaged<'_>) -> Result<()> {
    let mut rest = chunk;
    while !rest.is_empty() {
        let mut header = Thrift::new(rest);
        let (mut unpacked, mut packed, mut values) = (0, 0, 0);
        let read = header.structure(PAGE, &mut |place, value| match place {
            [0, 2] => unpacked = value,
            [0, 3] => packed = value,
            [DICTIONARY, 1] => values = value,
            _ => {}
        });
        let next = read.and_then(|()| header.rest().get(usize::try_from(packed).ok()?..));
        let name = || column.column_path().string();
        let next = next.ok_or_else(|| damaged(&format!("a page of column `{}` cannot be read", name())))?;
        let bytes = if column.compression() == Compression::UNCOMPRESSED { packed } else { unpacked };
        if values > bytes {
            let what = format!("the dictionary of column `{}` states {values} values in {bytes} bytes", name());
            return Err(damaged(&what));
        }
        rest = next;
    }
    Ok(())
}

/// Turns panics into errors: decoders have been seen to panic on damaged files.
pub(crate) fn guarded<T>(damaged: Damaged<'_>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damaged(&"its bytes cannot be decoded")))
}

/// A row group that a footer speaks of.
pub(crate) struct RowGroup<'a> {
    pub(crate) metadata: &'a ArrowReaderMetadata,
    /// Which of the file's row groups it is.
    pub(crate) index: usize,
    pub(crate) damaged: Damaged<'a>,
}

impl RowGroup<'_> {
    /// Gives `each` its rows, at most `rows` at a time, with the columns at the places `wanted`, in the order of the file.
    /// `bytes` are those at a place in the file, if they are there: a footer may lie.
    ///
    /// # Errors
    /// When the bytes do not hold what the footer states, and when `each` gives one. May panic on damaged files: see
    /// [`guarded`].
    pub(crate) fn decode<'a>(
        &self,
        wanted: impl IntoIterator<Item = usize>,
        rows: usize,
        bytes: impl Fn(&Range<u64>) -> Option<&'a [u8]>,
        mut each: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let Self { metadata, index, damaged } = *self;
        let outside = || damaged(&"a column lies outside of the file");
        let wanted: Vec<usize> = wanted.into_iter().collect();
        let group = metadata.metadata().row_group(index);
        for (leaf, column) in group.columns().iter().enumerate() {
            if wanted.contains(&metadata.parquet_schema().get_column_root_idx(leaf)) {
                let (start, length) = column.byte_range();
                // What is not there is refused when the decoder asks for it.
                if let Some(chunk) = start.checked_add(length).and_then(|end| bytes(&(start..end))) {
                    look_at_pages(chunk, column, damaged)?;
                }
            }
        }
        let mut decoder = ParquetPushDecoderBuilder::new_with_metadata(metadata.clone())
            .with_row_groups(vec![index])
            .with_projection(ProjectionMask::roots(metadata.parquet_schema(), wanted))
            .with_batch_size(rows.max(1))
            .build()
            .map_err(|error| damaged(&error))?;
        let mut asked = Vec::new();
        let mut found = 0;
        loop {
            match decoder.try_decode().map_err(|error| damaged(&error))? {
                DecodeResult::Data(batch) => {
                    found += batch.num_rows() as i64;
                    each(&batch)?;
                }
                DecodeResult::NeedsData(ranges) if ranges != asked => {
                    let data = ranges.iter().map(|range| Some(bytes(range)?.to_vec().into()));
                    let data = data.collect::<Option<_>>().ok_or_else(outside)?;
                    asked.clone_from(&ranges);
                    decoder.push_ranges(ranges, data).map_err(|error| damaged(&error))?;
                }
                // Asking for the same bytes again would go on for ever.
                DecodeResult::NeedsData(_) => return Err(outside()),
                DecodeResult::Finished => {
                    let stated = group.num_rows();
                    let what = || damaged(&format!("row group {index} has {found} rows instead of {stated}"));
                    return if found == stated { Ok(()) } else { Err(what()) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
