//! Synthetic interactions as a Parquet file.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::frame::{CLEAN, FrameMeta, ITEM, RATING, ROW_GROUP, TIMESTAMP, USER};
use crate::stream::StreamWriter;
use crate::synthesize::{Generator, Rows, Spec};
use crate::{Fault, Result};

/// How raw ids look. Both kinds sort as their numbers do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyntheticIds {
    /// 1, 2, 3, ….
    #[default]
    Integer,
    /// `u001`, `u002`, … and `i001`, …, all of the same length.
    String,
}

/// What was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows, as asked for.
    pub rows: u64,
    /// Rows with 4 or 5 stars.
    pub high_ratings: u64,
    /// Rows that are false positives.
    pub false_positives: u64,
}

/// Writes all rows to `out`, in canonical order (users ascending, then time, then item). `advance` is told of every
/// few hundred thousand rows and may stop the work.
///
/// # Errors
/// When the numbers of `spec` do not go together, `out` cannot be written to, or `advance` says so.
pub fn write<W: Write + Send>(
    spec: &Spec,
    ids: SyntheticIds,
    out: W,
    meta: &FrameMeta,
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<(W, Summary)> {
    /// Rows made before they are written: enough work for all threads, done in a tenth of a second or less.
    const BATCH: u64 = 4 * ROW_GROUP as u64;
    let generator = Generator::new(spec.clone())?;
    let mut file = StreamWriter::new(out, schema(ids), meta)?;
    let mut summary = Summary::default();
    let name = Names { ids, user_digits: digits(spec.users), item_digits: digits(spec.items) };
    for users in generator.cuts(0..spec.users, BATCH) {
        let pieces = generator.rows(users);
        let before = summary.rows;
        for rows in &pieces {
            summary.rows += rows.users.len() as u64;
            summary.high_ratings += rows.ratings.iter().filter(|rating| **rating >= 4.0).count() as u64;
            summary.false_positives += rows.clean.iter().filter(|clean| !**clean).count() as u64;
        }
        let batches: Vec<RecordBatch> = pieces.into_par_iter().map(|rows| batch(rows, name)).collect::<Result<_>>()?;
        file.write(batches)?;
        advance(summary.rows - before)?;
    }
    Ok((file.finish()?, summary))
}

#[derive(Debug, Clone, Copy)]
struct Names {
    ids: SyntheticIds,
    user_digits: usize,
    item_digits: usize,
}

fn digits(most: u32) -> usize {
    most.max(1).ilog10() as usize + 1
}

fn schema(ids: SyntheticIds) -> SchemaRef {
    let id = match ids {
        SyntheticIds::Integer => DataType::Int64,
        SyntheticIds::String => DataType::Utf8,
    };
    Arc::new(Schema::new(vec![
        Field::new(USER, id.clone(), false),
        Field::new(ITEM, id, false),
        Field::new(RATING, DataType::Float32, false),
        Field::new(TIMESTAMP, DataType::Int64, false),
        Field::new(CLEAN, DataType::Boolean, false),
    ]))
}

fn batch(rows: Rows, names: Names) -> Result<RecordBatch> {
    let raw = |ids: &[u32], letter: char, width: usize| -> ArrayRef {
        let numbers = ids.iter().map(|id| i64::from(*id) + 1);
        match names.ids {
            SyntheticIds::Integer => Arc::new(numbers.collect::<Int64Array>()),
            SyntheticIds::String => {
                Arc::new(StringArray::from_iter_values(numbers.map(|id| format!("{letter}{id:0width$}"))))
            }
        }
    };
    let columns = vec![
        raw(&rows.users, 'u', names.user_digits),
        raw(&rows.items, 'i', names.item_digits),
        Arc::new(Float32Array::from(rows.ratings)),
        Arc::new(Int64Array::from(rows.timestamps)),
        Arc::new(BooleanArray::from(rows.clean)),
    ];
    RecordBatch::try_new(schema(names.ids), columns).map_err(Fault::data)
}
