//! Tables of results, and their text for the terminal, Markdown, LaTeX and CSV.
//!
//! Numbers are rounded to the digits of their column; exact ties go to the even digit (IEEE 754). The best number of a
//! column is found before rounding, on the values as they are; equal values are all best. NaN and infinite values are
//! shown as `n/a` and are never best; in CSV they are empty fields.

mod csv;
mod latex;
mod markdown;
mod parts;
mod rank;
mod terminal;

use serde::Deserialize;
use serde::Serialize;

use crate::error::FigureError;
use crate::plot::Better;

pub use latex::Characters;
pub use latex::Latex;

/// A table of results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What the table shows.
    pub caption: String,
    /// The columns, from left to right.
    pub columns: Vec<Column>,
    /// The rows, from top to bottom; one cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// The row, from 0, that others are compared against. Only named in notes: see [`Table::against_baseline`].
    #[serde(default)]
    pub baseline: Option<usize>,
    /// Which test the p-values come from, and what is marked.
    #[serde(default)]
    pub significance: Option<Significance>,
    /// Further notes below the table.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The unit, shown in brackets after the name.
    #[serde(default)]
    pub unit: Option<String>,
    /// Which numbers are better: shown as an arrow, and the best is marked.
    #[serde(default)]
    pub better: Better,
    /// Decimals of its numbers, at most 12.
    #[serde(default)]
    pub digits: u8,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Nothing.
    Missing,
    /// A name.
    Text(String),
    /// A count.
    Integer(i64),
    /// A measurement.
    Number(Number),
}

/// A measurement, and what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// The value, or the mean of several.
    pub value: Option<f64>,
    /// The standard deviation, in the unit of the value.
    #[serde(default)]
    pub sd: Option<f64>,
    /// The ends of a confidence interval, in the unit of the value.
    #[serde(default)]
    pub interval: Option<(f64, f64)>,
    /// How many runs or users the value is the mean of.
    #[serde(default)]
    pub n: Option<u64>,
    /// The p-value of the test named in [`Table::significance`], corrected as it says.
    #[serde(default)]
    pub p: Option<f64>,
    /// The difference to the baseline, in the unit of the value.
    #[serde(default)]
    pub difference: Option<f64>,
    /// The change against the baseline in percent.
    #[serde(default)]
    pub change: Option<f64>,
}

impl Number {
    /// A value and nothing else.
    pub fn new(value: f64) -> Self {
        Self { value: Some(value), ..Self::default() }
    }

    /// A mean and the standard deviation of `n` runs.
    pub fn mean(value: f64, sd: f64, n: u64) -> Self {
        Self { value: Some(value), sd: Some(sd), n: Some(n), ..Self::default() }
    }

    /// The same number with a p-value.
    #[must_use]
    pub fn p(mut self, p: f64) -> Self {
        self.p = Some(p);
        self
    }
}

impl Cell {
    /// A cell with a name.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// Where p-values come from and which are marked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Significance {
    /// The test, such as "Wilcoxon signed-rank test over users".
    pub test: String,
    /// The alternative, such as "two-sided".
    pub alternative: String,
    /// The correction for several comparisons, such as "Holm, 12 comparisons".
    pub correction: String,
    /// p-values below this get `*`.
    pub level: f64,
    /// p-values below this get a dagger instead.
    #[serde(default)]
    pub strict: Option<f64>,
}

/// How strong the evidence is that a number differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    Star,
    Dagger,
}

impl Significance {
    pub(crate) fn mark(&self, p: Option<f64>) -> Mark {
        match p {
            Some(p) if self.strict.is_some_and(|strict| p < strict) => Mark::Dagger,
            Some(p) if p < self.level => Mark::Star,
            _ => Mark::None,
        }
    }
}

impl Table {
    /// The same table with `difference` and `change` of every number filled in against the baseline row: value minus
    /// baseline, and 100 times that over the size of the baseline. Where either value is missing or not finite, both are
    /// `None`; the change also where the baseline is zero. The baseline row itself has neither.
    ///
    /// # Errors
    /// [`FigureError::Baseline`] if there is no such row, [`FigureError::Shape`] for rows of the wrong length.
    pub fn against_baseline(mut self) -> Result<Self, FigureError> {
        self.check()?;
        let Some(baseline) = self.baseline else { return Ok(self) };
        let values: Vec<Option<f64>> = self.rows[baseline].iter().map(Cell::value).collect();
        for (at, row) in self.rows.iter_mut().enumerate() {
            for (cell, base) in row.iter_mut().zip(&values) {
                let Cell::Number(number) = cell else { continue };
                let value = number.value.filter(|value| value.is_finite());
                let difference = value.zip(*base).map(|(value, base)| value - base).filter(|_| at != baseline);
                number.difference = difference.filter(|difference| difference.is_finite());
                let change = |(difference, base): (f64, f64)| 100.0 * difference / base.abs();
                number.change = number.difference.zip(*base).map(change).filter(|change| change.is_finite());
            }
        }
        Ok(self)
    }

    /// Aligned text, as wide as `width` columns of a terminal if that can be: first names are cut, then columns move
    /// to blocks below. Numbers are never cut. The best are marked with `▲`; marks of significance follow the number.
    ///
    /// # Errors
    /// [`FigureError::Baseline`] and [`FigureError::Shape`].
    pub fn terminal(&self, width: usize) -> Result<String, FigureError> {
        self.check()?;
        Ok(terminal::render(self, width))
    }

    /// A table in GitHub's Markdown; the best numbers are bold.
    ///
    /// # Errors
    /// [`FigureError::Baseline`] and [`FigureError::Shape`].
    pub fn markdown(&self) -> Result<String, FigureError> {
        self.check()?;
        Ok(markdown::render(self))
    }

    /// A `table` environment with rules of the package `booktabs`; the best numbers are bold.
    ///
    /// # Errors
    /// [`FigureError::Baseline`] and [`FigureError::Shape`].
    pub fn latex(&self, options: &Latex) -> Result<String, FigureError> {
        self.check()?;
        Ok(latex::render(self, options))
    }

    /// CSV by RFC 4180, with a header: each column has its value in full precision, and further columns `… sd`, `… low`,
    /// `… high`, `… n`, `… p`, `… difference` and `… change %` where any of its cells has one.
    /// Text is written as it is; a spreadsheet may take text that starts with `=` for a formula.
    ///
    /// # Errors
    /// [`FigureError::Baseline`], [`FigureError::Shape`] and [`FigureError::Csv`].
    pub fn csv(&self) -> Result<String, FigureError> {
        self.check()?;
        csv::render(self)
    }

    fn check(&self) -> Result<(), FigureError> {
        for (at, row) in self.rows.iter().enumerate() {
            if row.len() != self.columns.len() {
                return Err(FigureError::Shape {
                    place: format!("row {at} of table `{}`", self.caption),
                    what: "cells",
                    found: row.len(),
                    expected: self.columns.len(),
                });
            }
        }
        match self.baseline {
            Some(row) if row >= self.rows.len() => {
                Err(FigureError::Baseline { table: self.caption.clone(), row, rows: self.rows.len() })
            }
            _ => Ok(()),
        }
    }

    /// The name of the baseline row: its first text.
    pub(crate) fn baseline_name(&self) -> Option<&str> {
        let row = self.rows.get(self.baseline?)?;
        row.iter().find_map(|cell| if let Cell::Text(text) = cell { Some(text.as_str()) } else { None })
    }
}

impl Cell {
    /// The finite value of a number or count.
    pub(crate) fn value(&self) -> Option<f64> {
        match self {
            Self::Number(number) => number.value.filter(|value| value.is_finite()),
            Self::Integer(count) => Some(*count as f64),
            Self::Missing | Self::Text(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[f64], baseline: usize) -> Table {
        Table {
            columns: vec![Column { name: "m".into(), digits: 2, ..Column::default() }],
            rows: values.iter().map(|&value| vec![Cell::Number(Number::new(value))]).collect(),
            baseline: Some(baseline),
            ..Table::default()
        }
    }

    /// Seed 000: `improvement = (fl - bce) / bce * 100`; with 0.5 and 0.625: 25 %.
    #[test]
    fn change_is_in_percent_of_the_baseline() {
        let table = column(&[0.5, 0.625, f64::NAN], 0).against_baseline().unwrap();
        let got: Vec<_> = table
            .rows
            .iter()
            .map(|row| if let Cell::Number(n) = &row[0] { (n.difference, n.change) } else { (None, None) })
            .collect();
        assert_eq!(got, [(None, None), (Some(0.125), Some(25.0)), (None, None)]);
    }

    #[test]
    fn no_change_is_given_against_zero() {
        let table = column(&[0.0, 1.0], 0).against_baseline().unwrap();
        let Cell::Number(number) = &table.rows[1][0] else { panic!() };
        assert_eq!((number.difference, number.change), (Some(1.0), None));
    }

    #[test]
    fn a_baseline_or_a_row_that_is_not_there_is_an_error() {
        assert!(column(&[1.0], 1).markdown().is_err());
        let mut table = column(&[1.0], 0);
        table.rows[0].push(Cell::Missing);
        assert!(table.csv().unwrap_err().to_string().contains("row 0"));
    }
}
