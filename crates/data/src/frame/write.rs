//! Frames to Parquet.
//!
//! The `parquet` crate writes them, with every column of several row groups encoded at once: polars' own writer
//! compresses on one thread and offers no choice of encoding.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, PrimitiveBuilder, StringViewArray};
use arrow::datatypes::{self as types, ArrowNativeType, DataType as ArrowType, Field, Schema, SchemaRef};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use polars::prelude::{
    Column, DataFrame, DataType, Float32Type, Float64Type, Int8Type, Int32Type, Int64Type, PolarsError,
    PolarsNumericType, Series,
};

use crate::frame::FrameMeta;
use crate::stream::{Batch, StreamWriter, Values};
use crate::{Fault, Result};

/// Rows of a row group, except the last of a file: what DuckDB, pyarrow and polars like to read in parallel.
pub const ROW_GROUP: usize = 131_072;

/// What is handed to `out` at a time: enough for it to hash on several threads.
pub(crate) const BUFFER: usize = 4 << 20;

/// Writes the frame as Parquet: zstd, row groups of [`ROW_GROUP`] rows with statistics, and `meta` in the footer. The
/// bytes depend on nothing but the values and `meta`.
///
/// Columns of Int8, Int32, Int64, Float32, Float64, Boolean and String can be written.
///
/// # Errors
/// When a column has another type, or when `out` cannot be written to.
pub fn write_parquet(frame: &DataFrame, out: impl Write + Send, meta: &FrameMeta) -> Result<()> {
    /// Row groups copied and encoded at once: work for all threads, and little memory.
    const AT_ONCE: usize = 16;
    let mut file = FrameWriter::new(out, frame, &with_missing(frame), meta)?;
    let groups = frame.height().div_ceil(ROW_GROUP);
    for first in (0..groups).step_by(AT_ONCE) {
        let slices =
            (first..groups.min(first + AT_ONCE)).map(|group| frame.slice((group * ROW_GROUP) as i64, ROW_GROUP));
        file.write(&slices.collect::<Vec<_>>())?;
    }
    file.finish().map(drop)
}

/// The columns of the frame that have missing values.
pub fn with_missing(frame: &DataFrame) -> BTreeSet<String> {
    let missing = frame.columns().iter().filter(|column| column.null_count() > 0);
    missing.map(|column| column.name().to_string()).collect()
}

/// Writes frames one after the other as one Parquet file, as [`write_parquet`] writes one frame of all their rows.
pub struct FrameWriter<W: Write + Send> {
    file: StreamWriter<W, DataFrame>,
}

impl<W: Write + Send> FrameWriter<W> {
    /// Starts a file with the columns of `like`, of which `optional` may have missing values.
    ///
    /// # Errors
    /// When a column has a type that cannot be written, or `out` cannot be written to.
    pub fn new(out: W, like: &DataFrame, optional: &BTreeSet<String>, meta: &FrameMeta) -> Result<Self> {
        let fields = like.columns().iter().map(|column| field(column, optional.contains(column.name().as_str())));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?));
        Ok(Self { file: StreamWriter::new(out, schema, meta)? })
    }

    /// Adds rows; it pays to add several row groups' rows at once.
    ///
    /// # Errors
    /// When the columns are not those of the file, or it cannot be written to.
    pub fn write(&mut self, frames: &[DataFrame]) -> Result<()> {
        self.file.write(frames.iter().cloned())
    }

    /// Where the file is written to.
    pub fn get_ref(&self) -> &W {
        self.file.get_ref()
    }

    /// Writes what is left and the footer.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn finish(self) -> Result<W> {
        self.file.finish()
    }
}

/// How columns are stored. Whole numbers are stored as differences (`DELTA_BINARY_PACKED`), which suits sorted ids and
/// times and costs a fraction of the time that a dictionary of them takes; everything else through a dictionary while
/// that pays.
///
/// # Errors
/// Never, unless the `parquet` crate changes its levels of compression.
pub(crate) fn properties(schema: &Schema, meta: &FrameMeta) -> Result<WriterProperties, ParquetError> {
    let footer = meta.pairs().into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        // Level 3 takes a fifth longer and saves nothing on these columns.
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(footer));
    for field in schema.fields() {
        let (path, whole) = match field.data_type() {
            ArrowType::List(_) => (ColumnPath::new(vec![field.name().clone(), "list".into(), ELEMENT.into()]), true),
            other => (ColumnPath::new(vec![field.name().clone()]), other.is_integer()),
        };
        if whole {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(properties.build())
}

/// The name that the Parquet format gives to the values of a list.
pub(crate) const ELEMENT: &str = "element";

fn field(column: &Column, optional: bool) -> Result<Field> {
    let kind = match column.dtype() {
        DataType::Int8 => ArrowType::Int8,
        DataType::Int32 => ArrowType::Int32,
        DataType::Int64 => ArrowType::Int64,
        DataType::Float32 => ArrowType::Float32,
        DataType::Float64 => ArrowType::Float64,
        DataType::Boolean => ArrowType::Boolean,
        DataType::String => ArrowType::Utf8View,
        other => {
            return Err(Fault::data(format!("column `{}` of type {other} cannot be written", column.name())));
        }
    };
    Ok(Field::new(column.name().as_str(), kind, optional))
}

impl Batch for DataFrame {
    fn rows(&self) -> usize {
        self.height()
    }

    fn slice(&self, from: usize, rows: usize) -> Self {
        Self::slice(self, from as i64, rows)
    }

    fn values(&self, column: usize) -> Result<Values<'_>, ParquetError> {
        fn plain<P: PolarsNumericType>(series: &Series) -> Option<&[P::Native]> {
            series.unpack::<P>().ok()?.cont_slice().ok()
        }
        let column =
            self.columns().get(column).ok_or_else(|| ParquetError::General("a column is missing".to_owned()))?;
        let series = column.as_materialized_series();
        let found = match series.dtype() {
            _ if series.null_count() > 0 => None,
            DataType::Int8 => plain::<Int8Type>(series).map(Values::I8),
            DataType::Int32 => plain::<Int32Type>(series).map(Values::I32),
            DataType::Int64 => plain::<Int64Type>(series).map(Values::I64),
            DataType::Float32 => plain::<Float32Type>(series).map(Values::F32),
            DataType::Float64 => plain::<Float64Type>(series).map(Values::F64),
            _ => None,
        };
        let any = || array(column).map(Values::Any).map_err(|error| ParquetError::External(Box::new(error)));
        found.map_or_else(any, Ok)
    }
}

/// The same values for the `parquet` crate.
fn array(column: &Column) -> Result<ArrayRef, PolarsError> {
    let series = column.as_materialized_series();
    Ok(match series.dtype() {
        DataType::Int8 => Arc::new(numbers::<Int8Type, types::Int8Type>(series)?),
        DataType::Int32 => Arc::new(numbers::<Int32Type, types::Int32Type>(series)?),
        DataType::Int64 => Arc::new(numbers::<Int64Type, types::Int64Type>(series)?),
        DataType::Float32 => Arc::new(numbers::<Float32Type, types::Float32Type>(series)?),
        DataType::Float64 => Arc::new(numbers::<Float64Type, types::Float64Type>(series)?),
        DataType::Boolean => Arc::new(series.bool()?.iter().collect::<BooleanArray>()),
        _ => Arc::new(series.str()?.iter().collect::<StringViewArray>()),
    })
}

fn numbers<P, A>(series: &Series) -> Result<PrimitiveArray<A>, PolarsError>
where
    P: PolarsNumericType,
    P::Native: ArrowNativeType,
    A: ArrowPrimitiveType<Native = P::Native>,
{
    let column = series.unpack::<P>()?;
    if column.null_count() > 0 {
        let mut builder = PrimitiveBuilder::with_capacity(column.len());
        column.iter().for_each(|value| builder.append_option(value));
        return Ok(builder.finish());
    }
    let mut values = Vec::with_capacity(column.len());
    for piece in column.downcast_iter() {
        values.extend_from_slice(piece.values());
    }
    Ok(PrimitiveArray::new(values.into(), None))
}
