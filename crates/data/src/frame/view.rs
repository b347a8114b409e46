//! Columns of a frame as plain slices.

use polars::prelude::{
    BooleanType, ChunkedArray, DataFrame, DataType, Int32Type, Int64Type, PolarsNumericType, StringChunked,
};
use rayon::prelude::*;

use crate::dictionary::RawValues;
use crate::runs::Runs;
use crate::{Fault, Result};

/// Whether the frame has a column of this name.
pub fn has(frame: &DataFrame, name: &str) -> bool {
    frame.column(name).is_ok()
}

fn missing_values(name: &str) -> Fault {
    Fault::data(format!("column `{name}` has missing values")).help("drop the incomplete rows before reading the file")
}

fn wrong_type(frame: &DataFrame, name: &str, expected: &DataType) -> Fault {
    match frame.column(name) {
        Ok(column) => Fault::data(format!("column `{name}` has the type {}, not {expected}", column.dtype())),
        Err(_) => no_column(name, frame.get_column_names().iter().map(|name| name.as_str())),
    }
}

/// The error for a column that is not among these.
pub fn no_column<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Fault {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let error = Fault::data(format!("there is no column `{name}`"));
    if names.is_empty() { error } else { error.help(format!("the columns are {}", names.join(", "))) }
}

fn typed<'a, T: PolarsNumericType>(frame: &'a DataFrame, name: &str) -> Option<&'a ChunkedArray<T>> {
    frame.column(name).ok()?.as_materialized_series().unpack::<T>().ok()
}

/// The values of a numeric column, one for each row.
///
/// # Errors
/// When there is no such column of this type, when it has missing values, or when it lies in more than one piece
/// (frames read by [`crate::frame::read_parquet`] never do).
pub fn slice<'a, T: PolarsNumericType>(frame: &'a DataFrame, name: &str) -> Result<&'a [T::Native]> {
    let column = typed::<T>(frame, name).ok_or_else(|| wrong_type(frame, name, &T::get_static_dtype()))?;
    if column.null_count() > 0 {
        return Err(missing_values(name));
    }
    if column.is_empty() {
        return Ok(&[]);
    }
    column.cont_slice().map_err(|_| Fault::data(format!("column `{name}` lies in more than one piece")))
}

/// The values of a Boolean column, one for each row.
///
/// # Errors
/// When there is no such column, or it has missing values.
pub fn bools(frame: &DataFrame, name: &str) -> Result<Vec<bool>> {
    let column =
        frame.column(name).ok().and_then(|column| column.as_materialized_series().unpack::<BooleanType>().ok());
    let column = column.ok_or_else(|| wrong_type(frame, name, &DataType::Boolean))?;
    if column.null_count() > 0 {
        return Err(missing_values(name));
    }
    Ok(column.iter().map(|value| value == Some(true)).collect())
}

/// The dense ids of an Int32 column, all of them below `n`.
///
/// # Errors
/// When there is no such column, when it has missing values, or when an id is negative or not below `n`.
pub fn dense_ids(frame: &DataFrame, name: &str, n: usize) -> Result<Vec<u32>> {
    let ids = slice::<Int32Type>(frame, name)?;
    check_ids(ids, name, n)?;
    Ok(ids.par_iter().map(|&id| id as u32).collect())
}

/// Refuses ids of the column `name` that are negative or not below `n`.
pub(crate) fn check_ids(ids: &[i32], name: &str, n: usize) -> Result<()> {
    let outside = |id: i32| usize::try_from(id).map_or(true, |id| id >= n);
    let Some(row) = first_row(ids, outside) else { return Ok(()) };
    let id = ids[row];
    Err(Fault::data(format!("column `{name}` has the id {id}, which is not in 0..{n}"))
        .help("make the file again with `remap`"))
}

/// The first row whose value is `wrong`, looked for in parallel.
pub(crate) fn first_row<T: Copy + Sync>(values: &[T], wrong: impl Fn(T) -> bool + Sync) -> Option<usize> {
    const BLOCK: usize = 1 << 16;
    // Whole blocks without an early exit are what the compiler can vectorise.
    let block = values.par_chunks(BLOCK).position_first(|block| block.iter().fold(false, |any, &v| any | wrong(v)))?;
    values.iter().enumerate().skip(block * BLOCK).find(|&(_, &value)| wrong(value)).map(|(row, _)| row)
}

/// A column of raw ids.
#[derive(Debug, Clone)]
pub enum RawIds<'a> {
    /// Whole numbers.
    Int(&'a [i64]),
    /// Strings, in one piece, none missing.
    Str(&'a StringChunked),
}

impl RawIds<'_> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(ids) => ids.len(),
            Self::Str(ids) => ids.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The runs of equal ids.
    ///
    /// # Errors
    /// When the ids are not ascending.
    pub fn runs(&self) -> Result<Runs> {
        match self {
            Self::Int(ids) => Runs::of(ids.len(), |row| ids[row]),
            Self::Str(ids) => Runs::of(ids.len(), |row| ids.get(row)),
        }
    }

    /// The ids of these rows.
    pub fn gather(&self, rows: &[usize]) -> RawValues {
        match self {
            Self::Int(ids) => RawValues::Int(rows.iter().map(|&row| ids[row]).collect()),
            Self::Str(ids) => {
                RawValues::Str(rows.iter().map(|&row| ids.get(row).unwrap_or_default().to_owned()).collect())
            }
        }
    }

    /// The id of a row, for a message.
    pub fn show(&self, row: usize) -> String {
        match self {
            Self::Int(ids) => format!("`{}`", ids[row]),
            Self::Str(ids) => format!("`{}`", printable(ids.get(row).unwrap_or_default())),
        }
    }
}

/// A text of the data as a person writes it, without what a terminal would obey.
pub fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// The raw ids of a column.
///
/// # Errors
/// When there is no such column, when its type is neither Int64 nor String, or when it has missing values.
pub fn raw_ids<'a>(frame: &'a DataFrame, name: &str) -> Result<RawIds<'a>> {
    let column =
        frame.column(name).map_err(|_| no_column(name, frame.get_column_names().iter().map(|name| name.as_str())))?;
    match column.dtype() {
        DataType::Int64 => slice::<Int64Type>(frame, name).map(RawIds::Int),
        DataType::String => {
            if column.null_count() > 0 {
                return Err(missing_values(name));
            }
            column
                .as_materialized_series()
                .str()
                .map(RawIds::Str)
                .map_err(|_| wrong_type(frame, name, &DataType::String))
        }
        other => Err(Fault::data(format!("column `{name}` has the type {other}; raw ids are Int64 or String"))
            .help("connect a stage that gives raw ids, such as `read` or `filter`")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_terminal_obeys_is_escaped_and_nothing_else() {
        assert_eq!(super::printable("O'Neil \"caf\u{e9}\" \u{1b}[31m"), "O'Neil \"caf\u{e9}\" \\u{1b}[31m");
    }
}
