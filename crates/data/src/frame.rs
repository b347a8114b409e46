//! Interactions as polars frames: their columns, and how they become Parquet and come back.
//!
//! Files and frames use the same columns: `user_id`, `item_id` (Int64 or String while raw, Int32 once dense), and
//! where known `rating` (Float32), `timestamp` (Int64, seconds), `label` (Int8) and `clean` (Boolean: a true
//! positive). No column that a kernel reads has missing values.

mod footer;
mod groups;
mod meta;
mod read;
mod series;
#[cfg(test)]
mod tests;
mod view;
mod write;

use polars::prelude::{
    ChunkTake, Column, DataFrame, IdxCa, IntoColumn, IntoSeries, NamedFrom, NamedFromOwned, NewChunkedArray,
    PolarsError, Series, StringChunked,
};

use crate::columns::{Columns, IdColumn};
use crate::{Fault, Result};

pub use footer::Footer;
pub use meta::FrameMeta;
pub use read::{ParquetFile, read_parquet};
pub use view::{RawIds, bools, dense_ids, has, no_column, printable, raw_ids, slice};
pub(crate) use view::{check_ids, first_row};
pub(crate) use write::{BUFFER, ELEMENT, properties};
pub use write::{FrameWriter, ROW_GROUP, with_missing, write_parquet};

/// The user of an interaction.
pub const USER: &str = "user_id";
/// The item of an interaction.
pub const ITEM: &str = "item_id";
/// The rating, where there is one.
pub const RATING: &str = "rating";
/// When it happened, in seconds.
pub const TIMESTAMP: &str = "timestamp";
/// 1 for a positive.
pub const LABEL: &str = "label";
/// Whether the interaction is known to be a true positive.
pub const CLEAN: &str = "clean";
/// The id that a user had in the source.
pub const RAW_USER: &str = "raw_user_id";
/// The id that an item had in the source.
pub const RAW_ITEM: &str = "raw_item_id";

/// The most users, or items, that Int32 ids can name.
pub const MAX_IDS: usize = i32::MAX as usize;

/// A frame with the same rows. Integer ids, ratings and times move without a copy.
///
/// # Errors
/// When the columns differ in length.
pub fn from_columns(columns: Columns) -> Result<DataFrame> {
    let rows = columns.len();
    let mut out = vec![ids(USER, columns.user)?, ids(ITEM, columns.item)?];
    out.extend(columns.rating.map(|values| Series::from_vec(RATING.into(), values).into_column()));
    out.extend(columns.timestamp.map(|values| Series::from_vec(TIMESTAMP.into(), values).into_column()));
    out.extend(columns.label.map(|values| Series::from_vec(LABEL.into(), values).into_column()));
    out.extend(columns.clean.map(|values| Series::new(CLEAN.into(), values).into_column()));
    frame(rows, out)
}

fn ids(name: &str, ids: IdColumn) -> Result<Column> {
    match ids {
        IdColumn::Int(values) => Ok(Series::from_vec(name.into(), values).into_column()),
        IdColumn::Str(ids) => {
            if ids.values.len() > ids.codes.len() {
                // A few rows of many: only their own strings.
                let own = ids.codes.iter().map(|&code| ids.values[code as usize].as_str());
                return Ok(StringChunked::from_iter_values(name.into(), own).into_series().into_column());
            }
            // Taken from the distinct values, so that long strings are stored once.
            let values = StringChunked::from_iter_values(name.into(), ids.values.iter().map(String::as_str));
            let codes = IdxCa::from_vec(name.into(), ids.codes);
            let taken = values.take(&codes).map_err(|error| polars_error(&error))?;
            Ok(taken.into_series().into_column())
        }
    }
}

/// A frame of these columns.
///
/// # Errors
/// When a column does not have `rows` rows or a name comes twice.
pub fn frame(rows: usize, columns: Vec<Column>) -> Result<DataFrame> {
    DataFrame::new(rows, columns).map_err(|error| polars_error(&error))
}

/// What polars has against the data.
pub fn polars_error(error: &PolarsError) -> Fault {
    Fault::data(format!("polars cannot work with this data: {error}"))
}
