//! Groups of bars with error bars.

use serde::Deserialize;
use serde::Serialize;

use crate::error::FigureError;
use crate::number;
use crate::plot::at_most;
use crate::plot::frame::Axis;
use crate::plot::frame::Frame;
use crate::plot::frame::Plan;
use crate::plot::frame::Side;
use crate::plot::legend;
use crate::plot::legend::Entry;
use crate::plot::legend::Swatch;
use crate::plot::note;
use crate::plot::scale;
use crate::plot::scale::Ends;
use crate::plot::scale::Scale;
use crate::plot::scale::ScaleKind;
use crate::plot::sign;
use crate::plot::style::SMALL;
use crate::plot::style::Style;
use crate::plot::svg::clean;
use crate::plot::text;

const MOST_SERIES: usize = 24;
const MOST_BARS: usize = 600;

/// Bars in groups: one group a category, one bar a series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BarChart {
    /// Shown above the chart.
    pub title: String,
    /// What the groups are, such as "number of negatives".
    pub category: String,
    /// The names of the groups.
    pub groups: Vec<String>,
    /// What the bars measure.
    pub value: Axis,
    /// The bars, at most 24 series and 600 bars.
    pub series: Vec<BarSeries>,
    /// Upright for short names, lying for long ones.
    #[serde(default)]
    pub orientation: Orientation,
    /// What the error bars mean, such as "± 1 sd over 10 seeds": part of the description.
    #[serde(default)]
    pub error_label: Option<String>,
}

/// Which way bars and boxes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// Names below, values upwards.
    #[default]
    Vertical,
    /// Names at the left, values to the right.
    Horizontal,
}

/// The bars of one colour, one for each group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BarSeries {
    /// Its name in the legend.
    pub name: String,
    /// One bar for each group.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// Its length; `None` is missing.
    pub value: Option<f64>,
    /// The lower end of its error bar.
    #[serde(default)]
    pub low: Option<f64>,
    /// The upper end of its error bar.
    #[serde(default)]
    pub high: Option<f64>,
}

impl Bar {
    /// A bar without an error bar.
    pub fn new(value: impl Into<Option<f64>>) -> Self {
        Self { value: value.into(), low: None, high: None }
    }

    /// The same bar with `sd` below and above.
    #[must_use]
    pub fn spread(mut self, sd: f64) -> Self {
        (self.low, self.high) = (self.value.map(|v| v - sd), self.value.map(|v| v + sd));
        self
    }
}

impl BarChart {
    pub(crate) fn svg(&self, style: &Style) -> Result<String, FigureError> {
        at_most(&self.title, "series", self.series.len(), MOST_SERIES)?;
        at_most(&self.title, "bars", self.series.len().max(1) * self.groups.len(), MOST_BARS)?;
        for series in &self.series {
            if series.bars.len() != self.groups.len() {
                return Err(FigureError::Shape {
                    place: format!("series `{}` of chart `{}`", clean(&series.name), clean(&self.title)),
                    what: "bars",
                    found: series.bars.len(),
                    expected: self.groups.len(),
                });
            }
        }
        let kind = self.value.scale;
        let mut left_out = 0;
        let series: Vec<(String, Vec<Bar>)> = self
            .series
            .iter()
            .map(|series| (clean(&series.name), series.bars.iter().map(|bar| keep(bar, kind, &mut left_out)).collect()))
            .collect();
        let values = series.iter().flat_map(|(_, bars)| bars).flat_map(|bar| [bar.value, bar.low, bar.high]).flatten();
        let mut range = scale::range(values, kind);
        if kind == ScaleKind::Linear {
            range = range.map(|(lo, hi)| (lo.min(0.0), hi.max(0.0)));
        } else {
            range = range.map(|(lo, hi)| (lo / 1.5, hi));
        }
        let names: Vec<String> = self.groups.iter().map(|name| clean(name)).collect();
        let upright = self.orientation == Orientation::Vertical;
        let count = if upright { style.height / 60.0 } else { style.width / 90.0 };
        let scale = Scale::new(kind, range, count as usize, Ends::Ticks, false);
        let base = scale.base();
        let numbers = Side::Numbers { title: self.value.label(), scale };
        let groups = Side::Names { title: clean(&self.category), names: names.clone() };
        let (bottom, left) = if upright { (groups, numbers) } else { (numbers, groups) };
        let least = if upright { 0.0 } else { names.len() as f64 * (series.len() as f64 * 9.0 + 12.0).max(20.0) };
        let named = series.len() > 1 || series.iter().any(|(name, _)| !name.is_empty());
        let entry = |(at, (name, _)): (usize, &(String, _))| Entry { swatch: Swatch::Patch(at), name: name.clone() };
        let mut frame = Frame::new(Plan {
            style,
            title: &self.title,
            summary: self.summary(&names, &series),
            legend: if named { series.iter().enumerate().map(entry).collect() } else { Vec::new() },
            bottom,
            left,
            note: note(self.what_error_bars_are(&series), left_out),
            least,
            right: if upright { 0.0 } else { 24.0 },
            grid: true,
        });
        if series.iter().all(|(_, bars)| bars.iter().all(|bar| bar.value.is_none())) {
            frame.say("no data");
        }
        let values = series.iter().flat_map(|(_, bars)| bars).filter_map(|bar| bar.value);
        let digits = digits(values.clone());
        let longest = digits.map_or(0.0, |digits| {
            let long = |value| text::width(&number::thousands(&number::fixed(value, digits)), SMALL);
            values.map(long).fold(0.0, f64::max)
        });
        let fits = |width: f64| if upright { longest <= width - 1.0 } else { width > SMALL };
        sign::hatchings(&mut frame.svg, &style.id, series.len());
        for (at, (name, bars)) in series.iter().enumerate() {
            frame.svg.tag("g").attr("class", &sign::colour(at)).attr("data-series", name).open();
            for (group, bar) in bars.iter().enumerate() {
                let (start, slot) = frame.slot(group);
                let width = (slot * 0.8 / series.len() as f64).min(90.0);
                let offset = (slot - width * series.len() as f64) / 2.0;
                let start = start + offset + at as f64 * width;
                let place = Place { start, width, base, upright, digits: digits.filter(|_| fits(width)) };
                self.draw(&mut frame, &style.id, at, (name, &names[group]), bar, &place);
            }
            frame.svg.close();
        }
        Ok(frame.svg.finish())
    }

    fn draw(&self, frame: &mut Frame, id: &str, at: usize, (name, group): (&str, &str), bar: &Bar, place: &Place) {
        let along = |value: f64| if place.upright { frame.y(value) } else { frame.x(value) };
        let gap = (place.width * 0.06).min(2.0);
        let (start, width) = (place.start + gap, place.width - 2.0 * gap);
        let middle = start + width / 2.0;
        let Some(value) = bar.value else {
            if let Some(zero) = along(place.base) {
                missing(frame, place.upright, middle, zero, &format!("{group}, {name}: missing"));
            }
            return;
        };
        let (Some(from), Some(to)) = (along(place.base), along(value)) else { return };
        let ends = (bar.low.and_then(along), bar.high.and_then(along));
        let tag = frame.svg.tag("g").attr("class", "pt").attr("data-group", group).data("value", bar.value);
        tag.data("low", bar.low).data("high", bar.high).open();
        frame.svg.title(&self.tip(name, group, bar, value));
        let (low, length) = (from.min(to), (from - to).abs().max(0.5));
        let area = if place.upright { [start, low, width, length] } else { [low, start, length, width] };
        legend::patch(&mut frame.svg, id, at, area);
        let end = |ends: [f64; 3]| {
            if place.upright == (value < place.base) {
                ends.into_iter().fold(f64::NEG_INFINITY, f64::max)
            } else {
                ends.into_iter().fold(f64::INFINITY, f64::min)
            }
        };
        let mut far = end([to; 3]);
        if let (Some(a), Some(b)) = ends {
            let cap = (width * 0.3).min(6.0);
            let path = if place.upright {
                format!(
                    "M{middle:.2} {a:.2}V{b:.2}M{:.2} {a:.2}h{:.2}M{:.2} {b:.2}h{:.2}",
                    middle - cap,
                    2.0 * cap,
                    middle - cap,
                    2.0 * cap
                )
            } else {
                format!(
                    "M{a:.2} {middle:.2}H{b:.2}M{a:.2} {:.2}v{:.2}M{b:.2} {:.2}v{:.2}",
                    middle - cap,
                    2.0 * cap,
                    middle - cap,
                    2.0 * cap
                )
            };
            frame.svg.tag("path").attr("class", "err edge").attr("d", &path).leaf();
            far = end([to, a, b]);
        }
        if let Some(digits) = place.digits {
            let shown = number::minus(&number::thousands(&number::fixed(value, digits)));
            let (anchor, x, y) = match (place.upright, value < place.base) {
                (true, false) => ("middle", middle, far - 4.0),
                (true, true) => ("middle", middle, far + SMALL + 1.0),
                (false, false) => ("start", far + 5.0, middle + 3.7),
                (false, true) => ("end", far - 5.0, middle + 3.7),
            };
            let tag = frame.svg.tag("text").attr("class", "ink small").attr("text-anchor", anchor);
            tag.at("x", x).at("y", y).text(&shown);
        }
        frame.svg.close();
    }

    fn tip(&self, name: &str, group: &str, bar: &Bar, value: f64) -> String {
        let mut words = if name.is_empty() { format!("{group}: ") } else { format!("{group}, {name}: ") };
        words.push_str(&number::human(value));
        if let Some(unit) = &self.value.unit {
            words.push_str(&format!(" {}", clean(unit)));
        }
        if let (Some(low), Some(high)) = (bar.low, bar.high) {
            words.push_str(&format!(" ({} to {})", number::human(low), number::human(high)));
        }
        words
    }

    /// What the error bars are, if there are any.
    fn what_error_bars_are(&self, series: &[(String, Vec<Bar>)]) -> Option<String> {
        let mut bars = series.iter().flat_map(|(_, bars)| bars);
        let label = self.error_label.as_ref().filter(|_| bars.any(|bar| bar.low.is_some() && bar.high.is_some()))?;
        Some(format!("Error bars: {}.", clean(label)))
    }

    fn summary(&self, names: &[String], series: &[(String, Vec<Bar>)]) -> String {
        let mut words = format!(
            "Bar chart of {} by {}, {} groups, {} series.",
            self.value.label(),
            clean(&self.category),
            names.len(),
            series.len()
        );
        if let Some(marks) = self.what_error_bars_are(series) {
            words.push_str(&format!(" {marks}"));
        }
        for (name, bars) in series {
            let values: Vec<String> = names
                .iter()
                .zip(bars)
                .map(|(group, bar)| format!("{group} {}", bar.value.map_or_else(|| "missing".into(), number::human)))
                .collect();
            let name = if name.is_empty() { "Values" } else { name };
            words.push_str(&format!(" {name}: {}.", values.join(", ")));
        }
        words
    }
}

/// Where a bar stands on the axis with names, and where it starts on the other.
struct Place {
    start: f64,
    width: f64,
    base: f64,
    upright: bool,
    /// The decimals of the number beside the bar; `None` where numbers do not fit.
    digits: Option<usize>,
}

/// The decimals that give every value three significant digits or all it has; `None` if that is long.
fn digits(values: impl Iterator<Item = f64> + Clone) -> Option<usize> {
    let largest = values.clone().map(f64::abs).fold(0.0, f64::max);
    let needed = |value: f64| {
        let text = number::significant(value, 3);
        text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
    };
    let digits = values.map(needed).max().unwrap_or(0);
    (largest < 1e9 && digits <= 6).then_some(digits)
}

/// A bar whose numbers that cannot be shown are missing.
fn keep(bar: &Bar, kind: ScaleKind, left_out: &mut usize) -> Bar {
    let mut one = |value: Option<f64>| {
        let kept = value.and_then(|value| kind.shows(value));
        *left_out += usize::from(value.is_some() && kept.is_none());
        kept
    };
    Bar { value: one(bar.value), low: one(bar.low), high: one(bar.high) }
}

/// Says that a value is missing.
fn missing(frame: &mut Frame, upright: bool, middle: f64, zero: f64, words: &str) {
    let (x, y) = if upright { (middle, zero - 4.0) } else { (zero + 14.0, middle + 4.0) };
    let tag = frame.svg.tag("text").attr("class", "mut").attr("text-anchor", "middle").attr("data-missing", "true");
    tag.at("x", x).at("y", y).label("n/a", words);
}
