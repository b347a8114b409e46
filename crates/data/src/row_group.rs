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
use parquet::file::metadata::FooterTail;

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
                    let stated = metadata.metadata().row_group(index).num_rows();
                    let what = || damaged(&format!("row group {index} has {found} rows instead of {stated}"));
                    return if found == stated { Ok(()) } else { Err(what()) };
                }
            }
        }
    }
}
