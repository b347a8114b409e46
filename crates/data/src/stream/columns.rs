//! From the rows of a row group to the bytes of one of its columns.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{self as types, DataType as ArrowType, Field};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::column::writer::{ColumnCloseResult, ColumnWriterImpl, get_column_writer, get_typed_column_writer};
use parquet::data_type::{DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::reader::ChunkReader;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Rows on their way into a file.
pub(crate) trait Batch: Clone + Send + Sync {
    /// How many there are.
    fn rows(&self) -> usize;

    /// Some neighbouring rows; nothing is copied.
    fn slice(&self, from: usize, rows: usize) -> Self;

    /// The values of a column.
    ///
    /// # Errors
    /// When there is no such column, or none of a type that can be written.
    fn values(&self, column: usize) -> Result<Values<'_>, ParquetError>;
}

/// The values of a column: a slice of numbers if none is missing.
pub(crate) enum Values<'a> {
    /// Int8.
    I8(&'a [i8]),
    /// Int32.
    I32(&'a [i32]),
    /// Int64.
    I64(&'a [i64]),
    /// Float32.
    F32(&'a [f32]),
    /// Float64.
    F64(&'a [f64]),
    /// Anything.
    Any(ArrayRef),
}

impl Batch for RecordBatch {
    fn rows(&self) -> usize {
        self.num_rows()
    }

    fn slice(&self, from: usize, rows: usize) -> Self {
        Self::slice(self, from, rows)
    }

    fn values(&self, column: usize) -> Result<Values<'_>, ParquetError> {
        let array = self.columns().get(column).ok_or_else(other_columns)?;
        if array.null_count() > 0 {
            return Ok(Values::Any(array.clone()));
        }
        Ok(match array.data_type() {
            ArrowType::Int8 => Values::I8(array.as_primitive::<types::Int8Type>().values()),
            ArrowType::Int32 => Values::I32(array.as_primitive::<types::Int32Type>().values()),
            ArrowType::Int64 => Values::I64(array.as_primitive::<types::Int64Type>().values()),
            ArrowType::Float32 => Values::F32(array.as_primitive::<types::Float32Type>().values()),
            ArrowType::Float64 => Values::F64(array.as_primitive::<types::Float64Type>().values()),
            _ => Values::Any(array.clone()),
        })
    }
}

/// The encoded values of a column in a row group.
pub(super) enum Chunk {
    Arrow(ArrowColumnChunk),
    Plain(Vec<u8>, ColumnCloseResult),
}

impl Chunk {
    /// Writes it as the next column.
    pub(super) fn append_to<W: Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        /// Bytes as the library reads them: their type is that of the bytes that it reads from a file.
        fn reader<R: From<Vec<u8>>>(bytes: Vec<u8>, _: impl Fn(&File) -> Result<R, ParquetError>) -> R {
            bytes.into()
        }
        match self {
            Self::Arrow(chunk) => chunk.append_to_row_group(group),
            Self::Plain(bytes, close) => group.append_column(&reader(bytes, |file| file.get_bytes(0, 0)), close),
        }
    }
}

/// Encodes column number `column` of the rows. Columns of numbers of which none may be missing go straight into their
/// encoding, from where they lie; `writer` takes all others, for which there may be no one `descriptor`.
pub(super) fn encode<B: Batch>(
    field: &Field,
    descriptor: Option<&ColumnDescPtr>,
    properties: &WriterPropertiesPtr,
    slices: &[B],
    column: usize,
    writer: ArrowColumnWriter,
) -> Result<Chunk, ParquetError> {
    if let Some(descriptor) = descriptor.filter(|_| !field.is_nullable()) {
        let place = (descriptor, properties);
        let values = slices.iter().map(|slice| slice.values(column));
        match field.data_type() {
            ArrowType::Int8 => {
                return plain::<Int32Type>(place, values, |feed, values| match &values {
                    Values::I8(values) => feed.put_all(values, i32::from),
                    Values::Any(array) => feed.put_all(numbers::<types::Int8Type>(array)?, i32::from),
                    _ => Err(other_columns()),
                });
            }
            ArrowType::Int32 => {
                return plain::<Int32Type>(place, values, |feed, values| match &values {
                    Values::I32(values) => feed.put(values),
                    Values::Any(array) => feed.put(numbers::<types::Int32Type>(array)?),
                    _ => Err(other_columns()),
                });
            }
            ArrowType::Int64 => {
                return plain::<Int64Type>(place, values, |feed, values| match &values {
                    Values::I64(values) => feed.put(values),
                    Values::Any(array) => feed.put(numbers::<types::Int64Type>(array)?),
                    _ => Err(other_columns()),
                });
            }
            ArrowType::Float32 => {
                return plain::<FloatType>(place, values, |feed, values| match &values {
                    Values::F32(values) => feed.put(values),
                    Values::Any(array) => feed.put(numbers::<types::Float32Type>(array)?),
                    _ => Err(other_columns()),
                });
            }
            ArrowType::Float64 => {
                return plain::<DoubleType>(place, values, |feed, values| match &values {
                    Values::F64(values) => feed.put(values),
                    Values::Any(array) => feed.put(numbers::<types::Float64Type>(array)?),
                    _ => Err(other_columns()),
                });
            }
            _ => {}
        }
    }
    with_arrow(field, slices, column, writer).map(Chunk::Arrow)
}

/// What a batch of other columns than the file's leads to.
fn other_columns() -> ParquetError {
    ParquetError::General("rows with other columns than those before".to_owned())
}

/// The numbers of an array that lay in more than one piece.
fn numbers<T: types::ArrowPrimitiveType>(array: &ArrayRef) -> Result<&[T::Native], ParquetError> {
    let numbers = array.as_primitive_opt::<T>().filter(|numbers| numbers.null_count() == 0);
    numbers.map(|numbers| numbers.values().as_ref()).ok_or_else(other_columns)
}

fn with_arrow<B: Batch>(
    field: &Field,
    slices: &[B],
    column: usize,
    mut writer: ArrowColumnWriter,
) -> Result<ArrowColumnChunk, ParquetError> {
    fn of<T: types::ArrowPrimitiveType>(values: &[T::Native]) -> ArrayRef {
        Arc::new(PrimitiveArray::<T>::from_iter_values(values.iter().copied()))
    }
    let array = |slice: &B| {
        Ok::<_, ParquetError>(match slice.values(column)? {
            Values::I8(values) => of::<types::Int8Type>(values),
            Values::I32(values) => of::<types::Int32Type>(values),
            Values::I64(values) => of::<types::Int64Type>(values),
            Values::F32(values) => of::<types::Float32Type>(values),
            Values::F64(values) => of::<types::Float64Type>(values),
            Values::Any(array) => array,
        })
    };
    let arrays: Vec<ArrayRef> = slices.iter().map(array).collect::<Result<_, _>>()?;
    if arrays
        .iter()
        .any(|array| array.data_type() != field.data_type() || !field.is_nullable() && array.null_count() > 0)
    {
        return Err(other_columns());
    }
    // In one piece, because the ends of pages depend on how values are handed over.
    let values = concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
    for leaf in compute_leaves(field, &values)? {
        writer.write(&leaf)?;
    }
    writer.close()
}

fn plain<'a, T: DataType>(
    (descriptor, properties): (&ColumnDescPtr, &WriterPropertiesPtr),
    slices: impl Iterator<Item = Result<Values<'a>, ParquetError>>,
    put: impl Fn(&mut Feed<'_, T>, Values<'a>) -> Result<(), ParquetError>,
) -> Result<Chunk, ParquetError>
where
    T::T: Copy,
{
    let mut out = TrackedWrite::new(Vec::new());
    let pages = Box::new(SerializedPageWriter::new(&mut out));
    let writer = get_typed_column_writer(get_column_writer(descriptor.clone(), properties.clone(), pages));
    let step = properties.write_batch_size();
    let mut feed = Feed { writer, step, held: Vec::with_capacity(step) };
    for values in slices {
        put(&mut feed, values?)?;
    }
    let close = feed.close()?;
    Ok(Chunk::Plain(out.into_inner()?, close))
}

/// Hands values over in steps of one length, however they arrive, because the ends of pages depend on the steps.
struct Feed<'a, T: DataType> {
    writer: ColumnWriterImpl<'a, T>,
    step: usize,
    /// Less than a step.
    held: Vec<T::T>,
}

impl<T: DataType> Feed<'_, T>
where
    T::T: Copy,
{
    fn put(&mut self, values: &[T::T]) -> Result<(), ParquetError> {
        let missing = if self.held.is_empty() { 0 } else { self.step - self.held.len() };
        let (first, rest) = values.split_at(missing.min(values.len()));
        self.held.extend_from_slice(first);
        if self.held.len() == self.step {
            self.flush()?;
        }
        let (now, later) = rest.split_at(rest.len() - rest.len() % self.step);
        if !now.is_empty() {
            self.writer.write_batch(now, None, None)?;
        }
        self.held.extend_from_slice(later);
        Ok(())
    }

    fn put_all<U: Copy>(&mut self, values: &[U], value: impl Fn(U) -> T::T) -> Result<(), ParquetError> {
        let mut rest = values;
        while !rest.is_empty() {
            let (first, more) = rest.split_at((self.step - self.held.len()).min(rest.len()));
            self.held.extend(first.iter().map(|&one| value(one)));
            if self.held.len() == self.step {
                self.flush()?;
            }
            rest = more;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        self.writer.write_batch(&self.held, None, None)?;
        self.held.clear();
        Ok(())
    }

    fn close(mut self) -> Result<ColumnCloseResult, ParquetError> {
        if !self.held.is_empty() {
            self.flush()?;
        }
        self.writer.close()
    }
}
