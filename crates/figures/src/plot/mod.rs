//! Charts as SVG text, from plain data that serde reads and writes.
//!
//! The SVG is written here, not by a plotting library: every mark has a tooltip (`<title>`) and `data-*` attributes,
//! colours are CSS custom properties that follow the page or the reader's system, and the text for screen readers is
//! made from the data. Libraries such as plotters write bare shapes with colours in them.
//!
//! What is missing (`null`) is a gap. What cannot be drawn (NaN, infinite, beyond 1e300, not positive on a logarithmic
//! axis) is left out, and a note below the chart says how many values were.

mod bar;
mod distribution;
mod frame;
mod heat;
mod legend;
mod line;
#[cfg(feature = "png")]
mod png;
mod quantile;
mod scale;
mod shade;
mod sign;
mod spread;
mod style;
mod svg;
mod text;
mod widths;

use serde::Deserialize;
use serde::Serialize;

use crate::error::FigureError;

pub use bar::Bar;
pub use bar::BarChart;
pub use bar::BarSeries;
pub use bar::Orientation;
pub use distribution::Distribution;
pub use distribution::Sample;
pub use distribution::View;
pub use frame::Axis;
pub use heat::Better;
pub use heat::HeatMap;
pub use line::LineChart;
pub use line::Point;
pub use line::Series;
pub use scale::ScaleKind;
pub use style::Style;
pub use style::Theme;
pub(crate) use svg::clean;

/// Any chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Chart {
    /// Series over a number: learning curves, a metric against a swept parameter.
    Line(LineChart),
    /// Groups of bars with error bars.
    Bar(BarChart),
    /// A grid of two swept parameters.
    Heat(HeatMap),
    /// How values are distributed: histogram, cumulative curve or boxes.
    Distribution(Distribution),
}

impl Chart {
    /// The chart as an SVG document that can stand alone or inside an HTML page.
    ///
    /// # Errors
    /// [`FigureError::Id`] and [`FigureError::Size`] for a style out of range, [`FigureError::Shape`] for parts of
    /// different lengths, [`FigureError::TooMany`] for more than can be shown legibly.
    pub fn svg(&self, style: &Style) -> Result<String, FigureError> {
        style.check()?;
        match self {
            Self::Line(chart) => chart.svg(style),
            Self::Bar(chart) => chart.svg(style),
            Self::Heat(chart) => chart.svg(style),
            Self::Distribution(chart) => chart.svg(style),
        }
    }

    /// The same picture as a PNG file, `scale` times as large; all themes but [`Theme::Dark`] become
    /// [`Theme::Light`].
    /// All text is in the embedded DejaVu Sans: no font of the machine is used.
    ///
    /// # Errors
    /// Those of [`Chart::svg`], [`FigureError::Size`] for a scale outside 0.25 to 8, and [`FigureError::Pixels`] for a
    /// picture of more than 64 million pixels.
    #[cfg(feature = "png")]
    pub fn png(&self, style: &Style, scale: f64) -> Result<Vec<u8>, FigureError> {
        let theme = if style.theme == Theme::Dark { Theme::Dark } else { Theme::Light };
        let style = Style { theme, ..style.clone() };
        png::draw(&self.svg(&style)?, &style, scale)
    }
}

/// The note below a picture: what its bands or error bars are, and how many values cannot be drawn on their axis.
fn note(marks: Option<String>, left_out: usize) -> Option<String> {
    let left_out = match left_out {
        0 => None,
        1 => Some(String::from("1 value is not shown: it is not finite, too large, or not positive on a log axis.")),
        n => Some(format!("{n} values are not shown: not finite, too large, or not positive on a log axis.")),
    };
    let parts: Vec<String> = marks.into_iter().chain(left_out).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Refuses more than `max` of something.
fn at_most(chart: &str, what: &'static str, count: usize, max: usize) -> Result<(), FigureError> {
    if count > max {
        return Err(FigureError::TooMany { chart: clean(chart), what, count, max });
    }
    Ok(())
}
