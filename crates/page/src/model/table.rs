//! Tables of results.

use serde::Deserialize;
use serde::Serialize;

/// A table. The first column names the rows and stays in sight while the table scrolls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its title, after `Table 1.`.
    pub title: String,
    /// What the numbers are, how they came about, what marks mean. Plain text.
    #[serde(default)]
    pub caption: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Explains the heading; shown on hover, focus and touch.
    #[serde(default)]
    pub tooltip: String,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Text.
    #[default]
    Text,
    /// Numbers.
    Number {
        /// Digits after the point; none for the shortest text that has the value.
        #[serde(default)]
        digits: Option<u8>,
        /// Which values are the good ones: the best of the column is set in bold.
        #[serde(default)]
        better: Option<Better>,
    },
}

/// Which values of a metric are the good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Higher values, as with a hit rate.
    Higher,
    /// Lower values, as with a loss.
    Lower,
}

/// A cell: text in a column of text, a value in a column of numbers. JSON has no NaN and reads it back as no value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cell {
    /// The text; in a column of numbers it stands for a value that is missing, for example `n/a`.
    pub text: String,
    /// The value, for columns of numbers. Without one the cell is empty and sorts last, as NaN does.
    pub value: Option<f64>,
    /// Its standard deviation, shown after `±`.
    pub sd: Option<f64>,
    /// A mark of significance, for example `*`, set as a superscript.
    pub mark: String,
    /// Shown on hover, focus and touch, for example `p = 0.003 (Wilcoxon, Holm)`.
    pub tooltip: String,
}

impl Cell {
    /// A cell of text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A cell with a value.
    #[must_use]
    pub fn number(value: f64) -> Self {
        Self { value: Some(value), ..Self::default() }
    }
}
