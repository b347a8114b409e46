//! Heat maps: a grid of two swept parameters, with the value in each cell.

use serde::Deserialize;
use serde::Serialize;

use crate::error::FigureError;
use crate::number;
use crate::plot::at_most;
use crate::plot::frame::Axis;
use crate::plot::frame::Frame;
use crate::plot::frame::Plan;
use crate::plot::frame::Side;
use crate::plot::note;
use crate::plot::scale;
use crate::plot::scale::Ends;
use crate::plot::scale::Scale;
use crate::plot::shade;
use crate::plot::style::LABEL;
use crate::plot::style::SMALL;
use crate::plot::style::Style;
use crate::plot::svg::clean;
use crate::plot::text;

const MOST_CELLS: usize = 2500;
/// The bar of shades: its distance from the plot, its width, and the width of its labels.
const BAR: (f64, f64, f64) = (14.0, 14.0, 56.0);

/// A grid of values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeatMap {
    /// Shown above the chart.
    pub title: String,
    /// What the columns are.
    pub x: String,
    /// The names of the columns, from left to right.
    pub columns: Vec<String>,
    /// What the rows are.
    pub y: String,
    /// The names of the rows, from top to bottom.
    pub rows: Vec<String>,
    /// What the cells hold. The scale of shades is always linear.
    pub value: Axis,
    /// One row of values for each of `rows`, one value for each of `columns`; `None` is missing. At most 2,500.
    pub cells: Vec<Vec<Option<f64>>>,
    /// Decimals of the numbers in cells; by default four significant digits.
    #[serde(default)]
    pub digits: Option<u8>,
    /// Which value is best: that cell gets a frame.
    #[serde(default)]
    pub better: Better,
}

/// Which values are better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Higher values.
    Higher,
    /// Lower values.
    Lower,
    /// Neither.
    #[default]
    None,
}

impl HeatMap {
    pub(crate) fn svg(&self, style: &Style) -> Result<String, FigureError> {
        self.check()?;
        let mut left_out = 0;
        let mut keep = |value: &Option<f64>| {
            let kept = value.and_then(number::plottable);
            left_out += usize::from(value.is_some() && kept.is_none());
            kept
        };
        let cells: Vec<Vec<Option<f64>>> = self.cells.iter().map(|row| row.iter().map(&mut keep).collect()).collect();
        let names = |names: &[String]| names.iter().map(|name| clean(name)).collect::<Vec<_>>();
        let (columns, rows) = (names(&self.columns), names(&self.rows));
        let shown = || cells.iter().flatten().filter_map(|cell| *cell);
        let best = match self.better {
            Better::Higher => shown().reduce(f64::max),
            Better::Lower => shown().reduce(f64::min),
            Better::None => None,
        };
        let mut frame = Frame::new(Plan {
            style,
            title: &self.title,
            summary: self.summary(&columns, &rows, &cells, best),
            legend: Vec::new(),
            bottom: Side::Names { title: clean(&self.x), names: columns.clone() },
            left: Side::Names { title: clean(&self.y), names: rows.clone() },
            note: note(None, left_out),
            least: rows.len() as f64 * 16.0,
            right: BAR.0 + BAR.1 + BAR.2,
            grid: false,
        });
        if columns.is_empty() || rows.is_empty() {
            frame.say("no data");
            return Ok(frame.svg.finish());
        }
        let range = scale::range(shown(), scale::ScaleKind::Linear);
        let scale = Scale::new(scale::ScaleKind::Linear, range, 5, Ends::Data, false);
        let place = |value: f64| {
            let (lo, hi) = range.filter(|(lo, hi)| lo < hi).unwrap_or((scale.lo, scale.hi));
            ((value / 2.0 - lo / 2.0) / (hi / 2.0 - lo / 2.0)).clamp(0.0, 1.0)
        };
        let grid = Grid::new(&frame, columns.len(), rows.len());
        let texts: Vec<String> = shown().map(|value| self.number(value)).collect();
        let widest = texts.iter().map(|text| text::width(text, LABEL)).fold(0.0, f64::max);
        let size = [LABEL, SMALL]
            .into_iter()
            .find(|size| widest * size / LABEL <= grid.width - 6.0 && *size + 2.0 <= grid.height);
        let mut marks = Vec::new();
        for (row, values) in cells.iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                let (x, y) = grid.at(column, row);
                let tag = frame.svg.tag("g").attr("class", "pt").attr("data-x", &columns[column]);
                let tag = tag.attr("data-y", &rows[row]).data("value", *value);
                let Some(value) = *value else {
                    tag.attr("data-missing", "true").open();
                    frame.svg.title(&self.tip(&columns[column], &rows[row], None));
                    grid.blank(&mut frame, x, y);
                    frame.svg.close();
                    continue;
                };
                tag.open();
                frame.svg.title(&self.tip(&columns[column], &rows[row], Some(value)));
                let colour = shade::shade(place(value));
                let tag = frame.svg.tag("rect").attr("class", "cell").at("x", x).at("y", y);
                let tag = tag.at("width", grid.width).at("height", grid.height);
                tag.attr("fill", &shade::hex(colour)).leaf();
                if let Some(size) = size {
                    let ink = if shade::wants_white(colour) { "ondark" } else { "onlight" };
                    let tag = frame.svg.tag("text").attr("class", ink).attr("text-anchor", "middle");
                    let tag = tag.at("x", x + grid.width / 2.0).at("y", y + grid.height / 2.0 + size * 0.36);
                    tag.at("font-size", size).text(&self.number(value));
                }
                frame.svg.close();
                if Some(value) == best {
                    marks.push((x, y, if shade::wants_white(colour) { "#ffffff" } else { "#000000" }));
                }
            }
        }
        for (x, y, ink) in marks {
            let inset = (grid.width.min(grid.height) * 0.08).clamp(1.0, 3.0);
            let tag = frame.svg.tag("rect").at("x", x + inset).at("y", y + inset).at("width", grid.width - 2.0 * inset);
            let tag = tag.at("height", grid.height - 2.0 * inset).attr("fill", "none").attr("stroke", ink);
            tag.attr("stroke-width", "2").attr("data-best", "true").attr("pointer-events", "none").leaf();
        }
        self.bar(&mut frame, &scale, range, place);
        Ok(frame.svg.finish())
    }

    fn check(&self) -> Result<(), FigureError> {
        at_most(&self.title, "cells", self.rows.len().saturating_mul(self.columns.len()), MOST_CELLS)?;
        at_most(&self.title, "rows", self.rows.len(), 200)?;
        at_most(&self.title, "columns", self.columns.len(), 200)?;
        if self.cells.len() != self.rows.len() {
            return Err(FigureError::Shape {
                place: format!("heat map `{}`", clean(&self.title)),
                what: "rows of cells",
                found: self.cells.len(),
                expected: self.rows.len(),
            });
        }
        for (row, cells) in self.cells.iter().enumerate() {
            if cells.len() != self.columns.len() {
                return Err(FigureError::Shape {
                    place: format!("row `{}` of heat map `{}`", clean(&self.rows[row]), clean(&self.title)),
                    what: "cells",
                    found: cells.len(),
                    expected: self.columns.len(),
                });
            }
        }
        Ok(())
    }

    fn number(&self, value: f64) -> String {
        match self.digits {
            Some(digits) if value.abs() < 1e9 => {
                number::minus(&number::thousands(&number::fixed(value, usize::from(digits.min(12)))))
            }
            _ => number::significant(value, 4),
        }
    }

    fn tip(&self, column: &str, row: &str, value: Option<f64>) -> String {
        let value = value.map_or_else(|| String::from("missing"), number::human);
        format!("{} at {} {column}, {} {row}: {value}", clean(&self.value.title), clean(&self.x), clean(&self.y))
    }

    fn summary(&self, columns: &[String], rows: &[String], cells: &[Vec<Option<f64>>], best: Option<f64>) -> String {
        let mut words = format!(
            "Heat map of {} by {} ({} columns) and {} ({} rows).",
            self.value.label(),
            clean(&self.x),
            columns.len(),
            clean(&self.y),
            rows.len()
        );
        for (name, values) in rows.iter().zip(cells) {
            let values: Vec<String> = columns
                .iter()
                .zip(values)
                .map(|(column, value)| format!("{column} {}", value.map_or_else(|| "missing".into(), number::human)))
                .collect();
            words.push_str(&format!(" {name}: {}.", values.join(", ")));
            if words.len() > 20_000 {
                words.push_str(" And more rows.");
                break;
            }
        }
        if let Some(best) = best {
            words.push_str(&format!(" Best: {}.", number::human(best)));
        }
        words
    }

    /// The bar that says which shade is which value.
    fn bar(&self, frame: &mut Frame, scale: &Scale, range: Option<(f64, f64)>, place: impl Fn(f64) -> f64) {
        if range.is_none() {
            return;
        }
        let (x, y0, y1) = (frame.x1 + BAR.0, frame.y0, frame.y1);
        let steps = 32;
        let step = (y1 - y0) / f64::from(steps);
        frame.svg.tag("g").attr("class", "shades").open();
        for at in 0..steps {
            let fill = shade::hex(shade::shade((f64::from(at) + 0.5) / f64::from(steps)));
            let y = y1 - f64::from(at + 1) * step;
            let tag = frame
                .svg
                .tag("rect")
                .attr("class", "cell")
                .at("x", x)
                .at("y", y)
                .at("width", BAR.1)
                .at("height", step + 0.4);
            tag.attr("fill", &fill).leaf();
        }
        let (lo, hi) = range.unwrap_or_default();
        let ticks = scale.ticks.iter().filter(|tick| lo == hi || (lo..=hi).contains(&tick.value));
        for tick in ticks {
            let y = y1 - place(tick.value) * (y1 - y0);
            let label = text::fit(&tick.label, LABEL, BAR.2 - 4.0);
            let tag = frame.svg.tag("text").attr("class", "mut").at("x", x + BAR.1 + 5.0).at("y", y + 4.0);
            tag.label(&label, &tick.label);
        }
        let title = self.value.label();
        let shown = text::fit(&title, LABEL, y1 - y0);
        let (tx, ty) = (number::coord(x + BAR.1 + BAR.2 + 2.0), number::coord(f64::midpoint(y0, y1)));
        let tag = frame.svg.tag("text").attr("class", "ink").attr("text-anchor", "middle");
        tag.attr("transform", &format!("translate({tx} {ty}) rotate(-90)")).label(&shown, &title);
        frame.svg.close();
    }
}

/// Where cells are.
struct Grid {
    x0: f64,
    y0: f64,
    width: f64,
    height: f64,
}

impl Grid {
    fn new(frame: &Frame, columns: usize, rows: usize) -> Self {
        Self {
            x0: frame.x0,
            y0: frame.y0,
            width: (frame.x1 - frame.x0) / columns as f64,
            height: (frame.y1 - frame.y0) / rows as f64,
        }
    }

    fn at(&self, column: usize, row: usize) -> (f64, f64) {
        (self.x0 + column as f64 * self.width, self.y0 + row as f64 * self.height)
    }

    /// A missing cell: the colour of the grid, crossed out.
    fn blank(&self, frame: &mut Frame, x: f64, y: f64) {
        let tag = frame.svg.tag("rect").attr("class", "gridfill").at("x", x).at("y", y);
        tag.at("width", self.width).at("height", self.height).leaf();
        let (right, bottom) = (x + self.width, y + self.height);
        let path = format!("M{x:.2} {y:.2}L{right:.2} {bottom:.2}M{right:.2} {y:.2}L{x:.2} {bottom:.2}");
        frame.svg.tag("path").attr("class", "axis").attr("d", &path).leaf();
    }
}
