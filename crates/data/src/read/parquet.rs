//! Rows of Parquet files, row group by row group.
//!
//! What the file's writer declared as a type is believed, what it wrote is checked: ranges, missing values, and the
//! soundness of the bytes, on which the decoder may panic.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Fields, Float32Type, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;
use rayon::prelude::*;

use crate::read::batches::Hooks;
use crate::read::field::{self, Id, IdRule};
use crate::read::layout::Layout;
use crate::read::options::{Options, Role, TimestampUnit};
use crate::read::table::{Block, Builder, Row, Shape};
use crate::read::{Reading, finish};
use crate::row_group::{self, MAGIC, RowGroup, guarded};
use crate::{Fault, Result};

/// Rows that are decoded together.
const ROWS: usize = 1 << 15;
/// Rows that a thread may hold that are not packed yet: 40 MB.
const SHARE: u64 = 1 << 20;
/// What a Parquet file begins and ends with whose footer is encrypted.
const ENCRYPTED: &[u8] = b"PARE";

/// Reads a Parquet file that lies in memory. `name` is its name for messages.
///
/// # Errors
/// When the bytes are not a sound Parquet file, a column is missing or has a type that does not fit, when there are bad
/// rows (unless they are to be skipped), and when there are no interactions at all.
pub fn read_parquet(bytes: &[u8], name: &str, options: &Options, hooks: Hooks<'_>) -> Result<Reading> {
    let metadata = guarded(&|reason| damaged(name, reason), || footer(bytes, name))?;
    let fields: Vec<String> = metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
    let layout = Layout::of(&fields, &Options { header: true, ..options.clone() }, name)?;
    let kind = IdRule::Kind(options.ids);
    let parser = Parser { shape: Shape::new(kind, kind, layout.has), layout, unit: options.timestamp_unit, name };
    for (field, role) in metadata.schema().fields().iter().zip(&parser.layout.roles) {
        if let Some(role) = role {
            parser.check_type(*role, field.name(), field.data_type())?;
        }
    }

    let groups: Vec<(usize, u64)> = metadata
        .metadata()
        .row_groups()
        .iter()
        .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
        .enumerate()
        .collect();
    let total = groups.iter().fold(0_u64, |total, (_, rows)| total.saturating_add(*rows));
    let mut builder = Builder::new(&parser.shape, 0, hooks.spill);
    let damaged = |reason: &dyn Display| damaged(name, reason);
    let whole = |rows: u64| total as f64 / rows.max(1) as f64;
    let threads = rayon::current_num_threads();
    let most = SHARE * threads as u64;
    let mut rest = groups.as_slice();
    while let Some((first, _)) = rest.split_first() {
        if (hooks.cancelled)() {
            return Err(Fault::cancelled());
        }
        // As many row groups at a time as there are threads, and fewer where they are large; a larger one a part at a time.
        let mut rows = 0_u64;
        let fits = rest.iter().take(threads).take_while(|(_, more)| {
            rows = rows.saturating_add(*more);
            rows <= most
        });
        let (wave, later) = rest.split_at(fits.count().max(1));
        let rows = wave.iter().fold(0_u64, |total, (_, rows)| total.saturating_add(*rows));
        if rows > most {
            let absorb = &mut |blocks: Vec<Block>| builder.absorb(blocks, whole(SHARE));
            guarded(&damaged, || parser.group(bytes, &metadata, first.0, absorb))?;
        } else {
            let read = |&(group, _): &(usize, u64)| {
                let mut found = Vec::new();
                let keep = &mut |blocks: Vec<Block>| {
                    found.extend(blocks);
                    Ok(())
                };
                guarded(&damaged, || parser.group(bytes, &metadata, group, keep))?;
                Ok(found)
            };
            let blocks: Vec<Vec<Block>> = wave.par_iter().with_max_len(1).map(read).collect::<Result<_>>()?;
            builder.absorb(blocks.into_iter().flatten().collect(), whole(rows))?;
        }
        (hooks.advance)((bytes.len() as f64 * rows as f64 / total.max(1) as f64) as u64);
        rest = later;
    }
    finish(builder, 0, name, options, "row")
}

fn damaged(name: &str, reason: &dyn Display) -> Fault {
    Fault::data(format!("`{name}` is not a sound Parquet file: {reason}"))
        .help("make the file again with the program that wrote it")
}

/// The bytes at a place that a footer, which may lie, points to.
fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> Option<&'a [u8]> {
    bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

/// What the footer says.
fn footer(bytes: &[u8], name: &str) -> Result<ArrowReaderMetadata> {
    let damaged = |reason: &dyn Display| damaged(name, reason);
    if bytes.starts_with(ENCRYPTED) && bytes.ends_with(ENCRYPTED) {
        return Err(Fault::data(format!("`{name}` is encrypted")).help("write it without encryption"));
    }
    if !bytes.starts_with(MAGIC) {
        return Err(Fault::data(format!("`{name}` is not a Parquet file: it does not begin with `PAR1`"))
            .help("check `format`: is it text, as `csv` or `tsv`?"));
    }
    let tail = bytes.last_chunk().ok_or_else(|| damaged(&"it is too short"))?;
    let place = row_group::footer(bytes.len() as u64, *tail, &damaged)?;
    let footer = slice(bytes, &place).ok_or_else(|| damaged(&"it is too short"))?;
    let metadata = Arc::new(row_group::metadata(footer, &damaged)?);
    // Without the hints of arrow writers, columns have the plain types of the Parquet schema.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let fault = |error: ParquetError| damaged(&error);
    let plain = ArrowReaderMetadata::try_new(metadata.clone(), options.clone()).map_err(fault)?;
    match in_seconds(&plain) {
        Some(schema) => ArrowReaderMetadata::try_new(metadata, options.with_schema(schema)).map_err(fault),
        None => Ok(plain),
    }
}

/// The schema with seconds in the columns that hold times in 96 bits, if there are any: they reach farther than 64 bits of
/// nanoseconds, in which those before 1677 and after 2262 would be other times.
fn in_seconds(metadata: &ArrowReaderMetadata) -> Option<SchemaRef> {
    let leaves = metadata.parquet_schema();
    // Those by themselves; what is nested is no time of an interaction.
    let is_long = |column: &ColumnDescPtr| {
        column.physical_type() == Type::INT96 && column.max_rep_level() == 0 && column.path().parts().len() == 1
    };
    let long = leaves.columns().iter().enumerate().filter(|(_, column)| is_long(column));
    let long: BTreeSet<usize> = long.map(|(leaf, _)| leaves.get_column_root_idx(leaf)).collect();
    let seconds = |field: &Field| Arc::new(field.clone().with_data_type(DataType::Timestamp(TimeUnit::Second, None)));
    let fields = metadata.schema().fields().iter().enumerate();
    let fields = fields.map(|(root, field)| if long.contains(&root) { seconds(field) } else { field.clone() });
    (!long.is_empty()).then(|| Arc::new(Schema::new(fields.collect::<Fields>())))
}

/// Turns row groups into blocks of rows.
struct Parser<'a> {
    layout: Layout,
    shape: Shape,
    unit: TimestampUnit,
    name: &'a str,
}

impl Parser<'_> {
    /// Refuses types that cannot be what the column is.
    fn check_type(&self, role: Role, column: &str, kind: &DataType) -> Result<()> {
        use DataType::{Boolean, Date32, Date64, LargeUtf8, Timestamp, Utf8, Utf8View};
        let fits = match role {
            Role::User | Role::Item => kind.is_integer() || matches!(kind, Utf8 | LargeUtf8 | Utf8View),
            Role::Rating => kind.is_numeric(),
            Role::Timestamp => {
                kind.is_integer() || kind.is_floating() || matches!(kind, Timestamp(..) | Date32 | Date64)
            }
            Role::Clean => kind.is_integer() || *kind == Boolean,
        };
        if fits {
            return Ok(());
        }
        let wanted = match role {
            Role::User => "user ids are integers or strings",
            Role::Item => "item ids are integers or strings",
            Role::Rating => "ratings are numbers",
            Role::Timestamp => "timestamps are timestamps or integers",
            Role::Clean => "clean flags are booleans, or 0 and 1",
        };
        let what = format!("column `{column}` of `{}` has type {kind}, but {wanted}", self.name);
        Err(Fault::data(what).help("change the type where the file is made, or name another column under `columns`"))
    }

    /// Gives `absorb` the rows of a row group in their order, some at a time.
    fn group(
        &self,
        bytes: &[u8],
        metadata: &ArrowReaderMetadata,
        group: usize,
        absorb: &mut dyn FnMut(Vec<Block>) -> Result<()>,
    ) -> Result<()> {
        let damaged = |reason: &dyn Display| damaged(self.name, reason);
        let wanted = self.layout.roles.iter().enumerate().filter_map(|(place, role)| role.map(|_| place));
        let group = RowGroup { metadata, index: group, damaged: &damaged };
        let mut blocks = Vec::new();
        let add = |batch: &RecordBatch| {
            blocks.push(self.batch(batch)?);
            if blocks.len() as u64 >= SHARE / ROWS as u64 { absorb(std::mem::take(&mut blocks)) } else { Ok(()) }
        };
        group.decode(wanted, ROWS, |range| slice(bytes, range), add)?;
        absorb(blocks)
    }

    fn batch(&self, batch: &RecordBatch) -> Result<Block> {
        let fault = |error: &dyn Display| damaged(self.name, error);
        let mut columns = [const { None }; 5];
        // The projection keeps the order of the file.
        for (role, array) in self.layout.roles.iter().flatten().zip(batch.columns()) {
            columns[*role as usize] = Some(Values::of(*role, array).map_err(|error| fault(&error))?);
        }
        let [Some(user), Some(item), rating, timestamp, clean] = columns else {
            return Err(fault(&"a column is missing"));
        };
        let mut block = Block::new(&self.shape);
        for row in 0..batch.num_rows() {
            match self.row([&user, &item], [rating.as_ref(), timestamp.as_ref(), clean.as_ref()], row) {
                Ok(row) => block.push(row),
                Err(what) => block.log.push_bad(b"", || what),
            }
        }
        Ok(block)
    }

    fn row<'a>(&self, ids: [&'a Values; 2], others: [Option<&Values>; 3], row: usize) -> Result<Row<'a>, String> {
        let fault = |role: Role| move |what: String| format!("{} {what}", role.name());
        let mut out = Row {
            user: ids[0].id(row, self.shape.user).map_err(fault(Role::User))?,
            item: ids[1].id(row, self.shape.item).map_err(fault(Role::Item))?,
            ..Row::default()
        };
        let [rating, timestamp, clean] = others;
        if let Some(values) = rating {
            out.rating = values.rating(row).map_err(fault(Role::Rating))?;
        }
        if let Some(values) = timestamp {
            out.timestamp = values.timestamp(row, self.unit).map_err(fault(Role::Timestamp))?;
        }
        if let Some(values) = clean {
            out.clean = values.flag(row).map_err(fault(Role::Clean))?;
        }
        Ok(out)
    }
}

/// A column in one of the few types that all others are widened to.
struct Values {
    array: ArrayRef,
    meaning: Meaning,
    /// As they stand in the file, for messages.
    stored: ArrayRef,
}

/// What the values of an array are.
#[derive(Clone, Copy)]
enum Meaning {
    /// `Int64`.
    Int,
    /// `UInt64`.
    Unsigned,
    /// `Float32`.
    Single,
    /// `Float64`.
    Double,
    /// `LargeUtf8`.
    Text,
    /// `Boolean`.
    Flag,
    /// `Int64`: so many in a second, since 1970.
    Time(i64),
    /// `Int64`: days since 1970.
    Days,
}

impl Values {
    fn of(role: Role, array: &ArrayRef) -> Result<Self, ArrowError> {
        let kind = array.data_type();
        let (meaning, wide) = match kind {
            // The rating is a float in the end, whatever it was.
            _ if role == Role::Rating => (Meaning::Single, DataType::Float32),
            DataType::UInt64 => (Meaning::Unsigned, DataType::UInt64),
            DataType::Boolean => (Meaning::Flag, DataType::Boolean),
            DataType::Timestamp(TimeUnit::Second, _) => (Meaning::Time(1), DataType::Int64),
            DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => (Meaning::Time(1_000), DataType::Int64),
            DataType::Timestamp(TimeUnit::Microsecond, _) => (Meaning::Time(1_000_000), DataType::Int64),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => (Meaning::Time(1_000_000_000), DataType::Int64),
            DataType::Date32 => (Meaning::Days, DataType::Int64),
            kind if kind.is_floating() => (Meaning::Double, DataType::Float64),
            kind if kind.is_integer() => (Meaning::Int, DataType::Int64),
            _ => (Meaning::Text, DataType::LargeUtf8),
        };
        Ok(Self { array: cast(array, &wide)?, meaning, stored: array.clone() })
    }

    fn present(&self, row: usize) -> Result<(), String> {
        if self.array.is_null(row) { Err("is missing".to_owned()) } else { Ok(()) }
    }

    /// An integer within 64 bits with a sign.
    fn integer(&self, row: usize) -> Result<i64, String> {
        self.present(row)?;
        match self.meaning {
            Meaning::Int | Meaning::Time(_) | Meaning::Days => Ok(self.array.as_primitive::<Int64Type>().value(row)),
            Meaning::Unsigned => {
                let value = self.array.as_primitive::<UInt64Type>().value(row);
                i64::try_from(value).map_err(|_| format!("{value} is past 64 bits with a sign"))
            }
            Meaning::Double => {
                let value = self.array.as_primitive::<Float64Type>().value(row);
                field::integral(value).ok_or_else(|| format!("{value:?} is not a whole number"))
            }
            Meaning::Single | Meaning::Text | Meaning::Flag => Err("is not an integer".to_owned()),
        }
    }

    fn id(&self, row: usize, rule: IdRule) -> Result<Id<'_>, String> {
        if !matches!(self.meaning, Meaning::Text) {
            return self.integer(row).map(Id::Int);
        }
        self.present(row)?;
        let text = self.array.as_string::<i64>().value(row);
        if text.contains('\0') {
            return Err("holds a NUL byte".to_owned());
        }
        rule.parse(text.as_bytes())
    }

    fn rating(&self, row: usize) -> Result<f32, String> {
        self.present(row)?;
        // All ratings are made singles.
        let value = self.array.as_primitive::<Float32Type>().value(row);
        field::finite(value).map_err(|()| {
            let stored = array_value_to_string(&self.stored, row).unwrap_or_else(|_| value.to_string());
            format!("{stored} is not a finite number of single precision")
        })
    }

    fn timestamp(&self, row: usize, unit: TimestampUnit) -> Result<i64, String> {
        let value = self.integer(row)?;
        match self.meaning {
            Meaning::Time(per_second) => Ok(value.div_euclid(per_second)),
            // 32 bits of days are far from 64 bits of seconds.
            Meaning::Days => Ok(value * 86_400),
            _ => Ok(field::seconds(value, unit)),
        }
    }

    fn flag(&self, row: usize) -> Result<bool, String> {
        if matches!(self.meaning, Meaning::Flag) {
            self.present(row)?;
            return Ok(self.array.as_boolean().value(row));
        }
        match self.integer(row)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(format!("{value} is none of 0 and 1")),
        }
    }
}

#[cfg(test)]
mod tests;
