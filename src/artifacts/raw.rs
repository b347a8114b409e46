//! Raw ids: from what people write to dense ids, and back.

use std::collections::BTreeMap;

use polars::prelude::{DataFrame, Int32Type};
use serde_json::Value;

use crate::data::frame::{RawIds, raw_ids, slice};
use crate::data::{self};
use crate::stage::Result;

/// A table from dense ids to raw ids.
#[derive(Debug, Clone)]
pub struct RawTable {
    frame: DataFrame,
    raw: &'static str,
}

impl RawTable {
    /// Wraps a frame of two columns: dense ids from 0 without gaps, and raw ids.
    ///
    /// # Errors
    /// When the frame is something else.
    pub(super) fn new(frame: DataFrame, dense: &str, raw: &'static str) -> Result<Self> {
        raw_ids(&frame, raw)?;
        if !slice::<Int32Type>(&frame, dense)?.iter().copied().eq(0..frame.height() as i32) {
            let error = data::Fault::data(format!("the ids in column `{dense}` do not count from 0 without gaps"));
            return Err(error.help("make the split again"));
        }
        Ok(Self { frame, raw })
    }

    fn ids(&self) -> Option<RawIds<'_>> {
        // `new` has looked.
        raw_ids(&self.frame, self.raw).ok()
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dense id of a raw id that is written like this. An integer has one form only: `007` is not 7.
    pub fn find(&self, text: &str) -> Option<u32> {
        let row = match self.ids()? {
            RawIds::Int(ids) => {
                let wanted: i64 = text.parse().ok().filter(|id: &i64| id.to_string() == text)?;
                ids.iter().position(|id| *id == wanted)
            }
            RawIds::Str(ids) => ids.iter().position(|id| id == Some(text)),
        };
        row.map(|row| row as u32)
    }

    /// The raw id of a dense one, as JSON: a number or a string.
    pub fn value(&self, id: u32) -> Value {
        // A column of strings has no place past its end to ask for.
        match self.ids().filter(|ids| (id as usize) < ids.len()) {
            Some(RawIds::Int(ids)) => Value::from(ids[id as usize]),
            Some(RawIds::Str(ids)) => ids.get(id as usize).map_or(Value::Null, Value::from),
            None => Value::Null,
        }
    }

    /// The raw id of a dense one, in backticks, for a message.
    pub fn show(&self, id: u32) -> String {
        match self.ids() {
            Some(ids) if (id as usize) < ids.len() => ids.show(id as usize),
            _ => format!("`{id}`"),
        }
    }

    /// For looking up many raw ids.
    pub fn index(&self) -> RawIndex<'_> {
        match self.ids() {
            Some(RawIds::Int(ids)) => RawIndex::Int(ids.iter().copied().zip(0..).collect()),
            Some(RawIds::Str(ids)) => RawIndex::Str(ids.iter().map(Option::unwrap_or_default).zip(0..).collect()),
            None => RawIndex::Int(BTreeMap::new()),
        }
    }

    /// A few raw ids, for a message.
    pub fn examples(&self) -> String {
        let shown: Vec<String> = (0..self.len().min(3) as u32).map(|id| self.show(id)).collect();
        if shown.is_empty() { "there are none".to_owned() } else { format!("such as {}", shown.join(", ")) }
    }
}

/// From raw ids to dense ones.
#[derive(Debug, Clone)]
pub enum RawIndex<'a> {
    /// Raw ids that are integers.
    Int(BTreeMap<i64, u32>),
    /// Raw ids that are strings.
    Str(BTreeMap<&'a str, u32>),
}

impl RawIndex<'_> {
    /// The dense id of a raw id that was read as an integer.
    pub fn of_int(&self, id: i64) -> Option<u32> {
        match self {
            Self::Int(ids) => ids.get(&id).copied(),
            Self::Str(ids) => ids.get(id.to_string().as_str()).copied(),
        }
    }

    /// The dense id of a raw id that was read as a string. An integer has one form only.
    pub fn of_text(&self, id: &str) -> Option<u32> {
        match self {
            Self::Int(ids) => {
                let number = id.parse::<i64>().ok().filter(|number| number.to_string() == id)?;
                ids.get(&number).copied()
            }
            Self::Str(ids) => ids.get(id).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn integers_are_found_in_their_one_form() {
        let frame = df!("user_id" => [0, 1, 2], "raw_user_id" => [-7_i64, 42, 900]).unwrap();
        let table = RawTable::new(frame, "user_id", "raw_user_id").unwrap();
        assert_eq!((table.find("42"), table.find("-7")), (Some(1), Some(0)));
        for text in ["042", "+42", "42.0", " 42", "", "43", "99999999999999999999"] {
            assert_eq!(table.find(text), None, "{text}");
        }
        let index = table.index();
        assert_eq!(
            (index.of_int(900), index.of_int(7), index.of_text("42"), index.of_text("042")),
            (Some(2), None, Some(1), None)
        );
        assert_eq!((table.value(2), table.show(0)), (900.into(), "`-7`".to_owned()));
        assert_eq!(table.examples(), "such as `-7`, `42`, `900`");
    }

    #[test]
    fn strings_are_found_as_they_are() {
        let frame = df!("item_id" => [0, 1], "raw_item_id" => ["042", "B 1"]).unwrap();
        let table = RawTable::new(frame, "item_id", "raw_item_id").unwrap();
        assert_eq!((table.find("042"), table.find("42"), table.find("B 1")), (Some(0), None, Some(1)));
        let index = table.index();
        assert_eq!((index.of_text("042"), index.of_text("42"), index.of_int(42)), (Some(0), None, None));
        assert_eq!((table.value(1), table.value(7), table.show(7)), ("B 1".into(), Value::Null, "`7`".to_owned()));
    }

    #[test]
    fn ids_with_gaps_are_refused() {
        let frame = df!("item_id" => [0, 2], "raw_item_id" => ["a", "b"]).unwrap();
        let error = RawTable::new(frame, "item_id", "raw_item_id").unwrap_err();
        assert_eq!(error.message, "the ids in column `item_id` do not count from 0 without gaps");
    }
}
