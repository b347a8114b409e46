//! Rows that stay in memory for later, packed.

use std::collections::BTreeSet;

use polars::prelude::{
    Column, DataFrame, DataType, Float32Type, Int8Type, Int32Type, Int64Type, IntoColumn, NamedFromOwned,
    PolarsNumericType, Series,
};
use rayon::prelude::*;

use crate::Result;
use crate::frame::{self, USER};
use crate::packed::{Floats, Narrow};
use crate::scan::{Pieces, Scan, WAVE};

/// Rows in memory, in frames of whole users, in as few bytes as their values need. They are unpacked as they are looked at.
#[derive(Debug, Clone, Default)]
pub struct PackedPieces {
    frames: Vec<Packed>,
    optional: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Packed {
    rows: usize,
    columns: Vec<(String, Values)>,
}

#[derive(Debug, Clone)]
enum Values {
    Int8(Narrow),
    Int32(Narrow),
    Int64(Narrow),
    Float32(Floats),
    Other(Column),
}

impl PackedPieces {
    /// No rows; `optional` are the columns that may have missing values.
    pub fn new(optional: BTreeSet<String>) -> Self {
        Self { frames: Vec::new(), optional }
    }

    /// Adds frames of whole users; all must have the same columns. Returns about how many bytes they take.
    pub fn push(&mut self, frames: &[DataFrame]) -> u64 {
        let packed: Vec<Packed> = frames.par_iter().with_max_len(1).map(Packed::of).collect();
        let bytes = packed.iter().map(Packed::bytes).sum();
        self.frames.extend(packed);
        bytes
    }

    /// These columns of all rows, or all, as one frame, each column in one piece.
    ///
    /// # Errors
    /// When a column is missing.
    pub fn whole(&self, columns: Option<&[&str]>) -> Result<DataFrame> {
        self.check(columns)?;
        let frames = self.frames.par_iter().with_max_len(1).map(|packed| match columns {
            Some(wanted) => packed.frame(wanted.iter().filter_map(|name| packed.find(name))),
            None => packed.frame(packed.columns.iter()),
        });
        Pieces::new(frames.collect::<Result<_>>()?, BTreeSet::new()).whole()
    }

    fn check(&self, wanted: Option<&[&str]>) -> Result<()> {
        match wanted.unwrap_or_default().iter().find(|name| !self.has(name)) {
            Some(missing) => Err(frame::no_column(missing, self.columns().iter().map(String::as_str))),
            None => Ok(()),
        }
    }
}

impl Scan for PackedPieces {
    fn rows(&self) -> usize {
        self.frames.iter().map(|packed| packed.rows).sum()
    }

    fn columns(&self) -> Vec<String> {
        self.frames
            .first()
            .map(|packed| packed.columns.iter().map(|(name, _)| name.clone()).collect())
            .unwrap_or_default()
    }

    fn optional(&self) -> BTreeSet<String> {
        self.optional.clone()
    }

    fn waves(&self, columns: Option<&[&str]>, each: &mut dyn FnMut(Vec<DataFrame>) -> Result<()>) -> Result<()> {
        self.check(columns)?;
        let wanted = |name: &str| name == USER || columns.is_none_or(|columns| columns.contains(&name));
        let mut rest = self.frames.as_slice();
        while !rest.is_empty() {
            let mut rows = 0;
            let ends = rest.iter().position(|packed| {
                rows += packed.rows;
                rows >= WAVE
            });
            let (wave, later) = rest.split_at(ends.map_or(rest.len(), |end| end + 1));
            rest = later;
            let unpack = |packed: &Packed| packed.frame(packed.columns.iter().filter(|(name, _)| wanted(name)));
            let frames = wave.par_iter().with_max_len(1).map(unpack).collect::<Result<_>>()?;
            Pieces::new(frames, BTreeSet::new()).waves(None, each)?;
        }
        Ok(())
    }
}

impl Packed {
    fn of(frame: &DataFrame) -> Self {
        let columns = frame.columns().iter().map(|column| (column.name().to_string(), Values::of(column)));
        Self { rows: frame.height(), columns: columns.collect() }
    }

    fn find(&self, name: &str) -> Option<&(String, Values)> {
        self.columns.iter().find(|(own, _)| own == name)
    }

    fn frame<'a>(&self, columns: impl Iterator<Item = &'a (String, Values)>) -> Result<DataFrame> {
        frame::frame(self.rows, columns.map(|(name, values)| values.column(name)).collect())
    }

    fn bytes(&self) -> u64 {
        self.columns.iter().map(|(_, values)| values.bytes(self.rows)).sum()
    }
}

impl Values {
    fn of(column: &Column) -> Self {
        fn slice<P: PolarsNumericType>(series: &Series) -> Option<&[P::Native]> {
            series.unpack::<P>().ok()?.cont_slice().ok()
        }
        // Readers count on columns in one piece; those that are already so are shared, not copied.
        let series = column.as_materialized_series().rechunk();
        let packed = match series.dtype() {
            _ if series.null_count() > 0 => None,
            DataType::Int8 => slice::<Int8Type>(&series).map(|values| Self::Int8(Narrow::of(values))),
            DataType::Int32 => slice::<Int32Type>(&series).map(|values| Self::Int32(Narrow::of(values))),
            DataType::Int64 => slice::<Int64Type>(&series).map(|values| Self::Int64(Narrow::of(values))),
            DataType::Float32 => slice::<Float32Type>(&series).map(|values| Self::Float32(Floats::of(values))),
            _ => None,
        };
        packed.unwrap_or_else(|| Self::Other(series.into_column()))
    }

    fn column(&self, name: &str) -> Column {
        fn numbers<T>(packed: &Narrow, value: impl Fn(i64) -> T) -> Vec<T> {
            let mut values = Vec::with_capacity(packed.len());
            packed.append(0..packed.len(), &mut values, value);
            values
        }
        let name = name.into();
        match self {
            Self::Int8(packed) => Series::from_vec(name, numbers(packed, |value| value as i8)).into_column(),
            Self::Int32(packed) => Series::from_vec(name, numbers(packed, |value| value as i32)).into_column(),
            Self::Int64(packed) => Series::from_vec(name, numbers(packed, |value| value)).into_column(),
            Self::Float32(packed) => {
                let mut values = Vec::with_capacity(packed.len());
                packed.append(0..packed.len(), &mut values);
                Series::from_vec(name, values).into_column()
            }
            Self::Other(column) => column.clone(),
        }
    }

    fn bytes(&self, rows: usize) -> u64 {
        /// A string in a column: its view, and a share in the text, which rows with the same id have in common.
        const STRING: usize = 24;
        let bytes = match self {
            Self::Int8(packed) | Self::Int32(packed) | Self::Int64(packed) => packed.bytes(),
            Self::Float32(packed) => packed.bytes(),
            Self::Other(column) => {
                let width = match column.dtype() {
                    DataType::Boolean | DataType::Int8 => 1,
                    DataType::Int32 | DataType::Float32 => 4,
                    DataType::String => STRING,
                    _ => 8,
                };
                width * rows
            }
        };
        bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;
    use crate::scan::cut;

    fn rows() -> DataFrame {
        let n = 3000_i64;
        df!(
            "user_id" => (0..n).map(|row| (row / 7) as i32).collect::<Vec<_>>(),
            "item_id" => (0..n).map(|row| row * row % 70_001 - 5).collect::<Vec<_>>(),
            "rating" => (0..n).map(|row| (row % 9) as f32 / 2.0).collect::<Vec<_>>(),
            "label" => vec![1_i8; n as usize],
            "clean" => (0..n).map(|row| row % 3 == 0).collect::<Vec<_>>(),
            "name" => (0..n).map(|row| format!("n{}", row % 11)).collect::<Vec<_>>(),
            "missing" => (0..n).map(|row| (row % 5 > 0).then_some(row)).collect::<Vec<_>>(),
        )
        .unwrap()
    }

    #[test]
    fn rows_come_back_in_whole_users_and_small() {
        let frame = rows();
        let mut packed = PackedPieces::new(BTreeSet::from(["missing".to_owned()]));
        let bytes = packed.push(&cut(&frame, 100).unwrap());
        // One byte of a user, two or four of an item, one of a rating, none of a label; and what is not packed.
        assert!(bytes < 3000 * (1 + 4 + 1 + 1 + 24 + 8), "{bytes}");
        assert_eq!((packed.rows(), packed.columns().len()), (3000, 7));
        assert!(packed.whole(None).unwrap().equals_missing(&frame));
        let some = packed.whole(Some(&["rating", "user_id"])).unwrap();
        assert!(some.equals(&frame.select(["rating", "user_id"]).unwrap()));
        assert!(packed.whole(Some(&["nothing"])).is_err());
        let mut seen = Vec::new();
        packed
            .waves(Some(&["item_id"]), &mut |frames| {
                seen.extend(frames);
                Ok(())
            })
            .unwrap();
        let seen = Pieces::new(seen, BTreeSet::new()).whole().unwrap();
        assert!(seen.equals(&frame.select(["user_id", "item_id"]).unwrap()));
    }
}
