//! Figures for papers and reports: charts as SVG and PNG, tables for the terminal, Markdown, LaTeX and CSV.
//!
//! Everything is a pure function of plain data: no clock, no random numbers, no fonts or files of the machine. The same
//! data gives the same bytes.
//!
//! - [`plot`]: [`plot::Chart`] holds a line chart, grouped bars, a heat map or distributions; [`plot::Chart::svg`] draws.
//! - [`table`]: [`table::Table`] holds captions, columns and cells; one method a format.

#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "text is what is made here; its speed does not matter"
)]

mod error;
mod number;
pub mod plot;
pub mod table;

pub use error::FigureError;
