//! Parquet files that are written as their rows are made, so that they may exceed memory.

mod columns;

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;

use crate::frame::{BUFFER, FrameMeta, ROW_GROUP, properties};
use crate::{Fault, Result};

use columns::Chunk;
pub(crate) use columns::{Batch, Values};

/// Writes batches of rows as Parquet, in row groups of [`ROW_GROUP`] rows, or another fixed number, whatever the
/// batches' lengths: the bytes depend on nothing but the rows and the footer. Rows wait in memory until their row group
/// is full, and row groups until the next are encoded.
pub(crate) struct StreamWriter<W: Write + Send, B: Batch = RecordBatch> {
    file: SerializedFileWriter<BufWriter<W>>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    waiting: VecDeque<B>,
    rows: usize,
    groups: usize,
    group_rows: usize,
    /// The columns of row groups that are encoded and not yet written.
    encoded: Vec<Chunk>,
}

impl<W: Write + Send, B: Batch> StreamWriter<W, B> {
    /// Starts a file with these columns: numbers, strings, and lists of Int32.
    ///
    /// # Errors
    /// When a column has a type that Parquet lacks, or `out` cannot be written to.
    pub(crate) fn new(out: W, schema: SchemaRef, meta: &FrameMeta) -> Result<Self> {
        Self::with_row_groups(out, schema, meta, ROW_GROUP)
    }

    /// The same with row groups of another length: for lists, a row of which is many values.
    ///
    /// # Errors
    /// As [`StreamWriter::new`].
    pub(crate) fn with_row_groups(out: W, schema: SchemaRef, meta: &FrameMeta, rows: usize) -> Result<Self> {
        let start = || {
            let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
            let properties = Arc::new(properties(&schema, meta)?);
            let out = BufWriter::with_capacity(BUFFER, out);
            let file = SerializedFileWriter::new(out, parquet_schema.root_schema_ptr(), properties)?;
            let factory = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema));
            Ok((file, factory))
        };
        let (file, factory) = start().map_err(|error| cannot_write(&error))?;
        let (waiting, encoded) = (VecDeque::new(), Vec::new());
        Ok(Self { file, factory, schema, waiting, rows: 0, groups: 0, group_rows: rows.max(1), encoded })
    }

    /// Adds rows. All row groups that become full are encoded in parallel, column by column, so it pays to add
    /// several row groups' rows at once; meanwhile those that became full before are written.
    ///
    /// # Errors
    /// When the columns are not those of the file, or it cannot be written to.
    pub(crate) fn write(&mut self, batches: impl IntoIterator<Item = B>) -> Result<()> {
        for batch in batches.into_iter().filter(|batch| batch.rows() > 0) {
            self.rows += batch.rows();
            self.waiting.push_back(batch);
        }
        let full = self.rows / self.group_rows;
        self.encode(full).map_err(|error| cannot_write(&error))
    }

    /// Where the file is written to.
    pub(crate) fn get_ref(&self) -> &W {
        self.file.inner().get_ref()
    }

    /// Writes what is left and the footer.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub(crate) fn finish(self) -> Result<W> {
        let rest = usize::from(self.rows > 0);
        let last = |mut this: Self| {
            this.encode(rest)?;
            let encoded = std::mem::take(&mut this.encoded);
            append(&mut this.file, encoded, this.schema.fields().len())?;
            this.file.into_inner()
        };
        let out = last(self).map_err(|error| cannot_write(&error))?;
        out.into_inner().map_err(|error| cannot_write(&error.into_error().into()))
    }

    fn encode(&mut self, groups: usize) -> Result<(), ParquetError> {
        if groups == 0 {
            return Ok(());
        }
        let mut tasks: Vec<(usize, Arc<Vec<B>>, ArrowColumnWriter)> = Vec::new();
        for group in 0..groups {
            let slices = Arc::new(self.next_group());
            let writers = self.factory.create_column_writers(self.groups + group)?;
            tasks.extend(writers.into_iter().enumerate().map(|(column, writer)| (column, Arc::clone(&slices), writer)));
        }
        let (file, schema) = (&mut self.file, &self.schema);
        let (columns, properties) = (schema.fields().len(), Arc::clone(file.properties()));
        let descriptors = file.schema_descr().columns().to_vec();
        let before = std::mem::take(&mut self.encoded);
        let (written, encoded) = rayon::join(
            || append(file, before, columns),
            || {
                let encode = |(column, slices, writer): (usize, Arc<Vec<B>>, ArrowColumnWriter)| {
                    let descriptor = descriptors.get(column).filter(|_| descriptors.len() == columns);
                    columns::encode(schema.field(column), descriptor, &properties, &slices, column, writer)
                };
                tasks.into_par_iter().with_max_len(1).map(encode).collect::<Result<_, ParquetError>>()
            },
        );
        written?;
        self.encoded = encoded?;
        self.groups += groups;
        Ok(())
    }

    /// Takes the next row group's rows from those that wait.
    fn next_group(&mut self) -> Vec<B> {
        let mut slices = Vec::new();
        let mut missing = self.group_rows.min(self.rows);
        self.rows -= missing;
        while missing > 0 {
            let Some(batch) = self.waiting.pop_front() else { break };
            let taken = batch.rows().min(missing);
            slices.push(batch.slice(0, taken));
            if taken < batch.rows() {
                self.waiting.push_front(batch.slice(taken, batch.rows() - taken));
            }
            missing -= taken;
        }
        slices
    }
}

/// Writes row groups of so many columns.
fn append<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    chunks: Vec<Chunk>,
    columns: usize,
) -> Result<(), ParquetError> {
    let mut chunks = chunks.into_iter().peekable();
    while chunks.peek().is_some() {
        let mut group = file.next_row_group()?;
        for chunk in chunks.by_ref().take(columns.max(1)) {
            chunk.append_to(&mut group)?;
        }
        group.close()?;
    }
    Ok(())
}

fn cannot_write(error: &ParquetError) -> Fault {
    // What the system said, where that is the reason; whoever knows the file adds its name.
    match error.source().and_then(|error| error.downcast_ref::<io::Error>()) {
        Some(system) => Fault::io("cannot write Parquet", system),
        None => Fault::io("cannot write Parquet", error),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, Int32Array, ListArray, StringArray};
    use arrow::datatypes::{DataType, Field, Int32Type, Schema};

    use super::*;

    fn batch(rows: std::ops::Range<usize>) -> RecordBatch {
        let users: ArrayRef = Arc::new(rows.clone().map(|k| k as i32 / 3).collect::<Int32Array>());
        let names: ArrayRef = Arc::new(rows.clone().map(|k| Some(format!("n{}", k % 100))).collect::<StringArray>());
        let lists = rows.map(|k| Some((0..k % 4).map(move |j| Some((k + j) as i32)).collect::<Vec<_>>()));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
        let fields = [("user_id", &users), ("name", &names), ("list", &lists)];
        let fields: Vec<Field> =
            fields.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), false)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![users, names, lists]).unwrap()
    }

    fn file(cuts: &[usize]) -> Vec<u8> {
        let mut writer = StreamWriter::new(Vec::new(), batch(0..0).schema(), &FrameMeta::of("test")).unwrap();
        for cut in cuts.windows(2) {
            writer.write([batch(cut[0]..cut[1])]).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn an_error_of_the_system_is_said_in_its_own_words() {
        // ENOSPC, as the library wraps it.
        let error = ParquetError::External(Box::new(io::Error::from_raw_os_error(28)));
        let said = cannot_write(&error).message;
        assert_eq!(said, format!("cannot write Parquet: {}", io::Error::from_raw_os_error(28)));
    }

    #[test]
    fn bytes_do_not_depend_on_how_rows_arrive() {
        let n = 2 * ROW_GROUP + 77;
        let at_once = file(&[0, n]);
        assert!(at_once == file(&[0, 0, 5, 100, ROW_GROUP - 1, ROW_GROUP + 1, 2 * ROW_GROUP, n]));
        for threads in [1, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| file(&[0, n])) == at_once);
        }
        assert_eq!(DataType::Int32, batch(0..1).schema().field(0).data_type().clone());
    }

    #[test]
    fn a_file_without_rows_is_a_file() {
        assert_eq!(file(&[0]), file(&[0, 0]));
        assert!(file(&[0]).starts_with(b"PAR1"));
    }
}
