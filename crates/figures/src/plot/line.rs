//! Line charts: series over a number, with bands.

use serde::Deserialize;
use serde::Serialize;

use crate::error::FigureError;
use crate::number;
use crate::plot::at_most;
use crate::plot::frame::Axis;
use crate::plot::frame::Frame;
use crate::plot::frame::Plan;
use crate::plot::frame::Side;
use crate::plot::legend::Entry;
use crate::plot::legend::Swatch;
use crate::plot::note;
use crate::plot::scale;
use crate::plot::scale::Ends;
use crate::plot::scale::Scale;
use crate::plot::sign;
use crate::plot::sign::point;
use crate::plot::style::Style;
use crate::plot::svg::clean;

/// More series than this cannot be told apart.
const MOST_SERIES: usize = 24;
/// A series has markers at about this many of its points, so that they do not run together.
const MARKERS: usize = 14;
/// A chart has tooltips at about this many points, so that a page stays small.
const TIPS: usize = 4000;

/// Series over a number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineChart {
    /// Shown above the chart.
    pub title: String,
    /// The horizontal axis: the epoch, or the swept parameter.
    pub x: Axis,
    /// The vertical axis: the metric.
    pub y: Axis,
    /// The lines, at most 24.
    pub series: Vec<Series>,
    /// What the ring around the best point means, in the legend; by default "best".
    #[serde(default)]
    pub best_label: Option<String>,
    /// What the bands mean, such as "± 1 sd over 10 seeds": part of the description.
    #[serde(default)]
    pub band_label: Option<String>,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in any order; they are joined from left to right.
    pub points: Vec<Point>,
    /// Where on the horizontal axis the best point is: it gets a ring.
    #[serde(default)]
    pub best: Option<f64>,
}

/// One point of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Its place on the horizontal axis.
    pub x: f64,
    /// Its value; `None` is a gap.
    pub y: Option<f64>,
    /// The lower end of its uncertainty.
    #[serde(default)]
    pub low: Option<f64>,
    /// The upper end of its uncertainty.
    #[serde(default)]
    pub high: Option<f64>,
}

impl Point {
    /// A point without uncertainty.
    pub fn new(x: f64, y: impl Into<Option<f64>>) -> Self {
        Self { x, y: y.into(), low: None, high: None }
    }

    /// The same point with `sd` below and above.
    #[must_use]
    pub fn spread(mut self, sd: f64) -> Self {
        (self.low, self.high) = (self.y.map(|y| y - sd), self.y.map(|y| y + sd));
        self
    }
}

/// A series whose values that cannot be shown are gaps.
struct Drawn {
    name: String,
    points: Vec<Point>,
    best: Option<f64>,
}

impl LineChart {
    pub(crate) fn svg(&self, style: &Style) -> Result<String, FigureError> {
        at_most(&self.title, "series", self.series.len(), MOST_SERIES)?;
        let mut left_out = 0;
        let series: Vec<Drawn> = self.series.iter().map(|series| self.prepare(series, &mut left_out)).collect();
        let points = || series.iter().flat_map(|series| &series.points);
        let shown = || points().filter(|point| point.y.is_some());
        let x = scale::range(shown().map(|point| point.x), self.x.scale);
        let y = scale::range(shown().flat_map(|point| [point.y, point.low, point.high]).flatten(), self.y.scale);
        let whole = shown().all(|point| point.x.fract() == 0.0);
        let bottom = Scale::new(self.x.scale, x, (style.width / 70.0) as usize, Ends::Data, whole);
        let left = Scale::new(self.y.scale, y, (style.height / 60.0) as usize, Ends::Ticks, false);
        let mut legend = Vec::new();
        if series.len() > 1 || series.iter().any(|series| !series.name.is_empty()) {
            let entry = |(at, series): (usize, &Drawn)| Entry { swatch: Swatch::Line(at), name: series.name.clone() };
            legend.extend(series.iter().enumerate().map(entry));
        }
        if series.iter().any(|series| best(series).is_some()) {
            legend.push(Entry { swatch: Swatch::Ring, name: clean(self.best_label.as_deref().unwrap_or("best")) });
        }
        let mut frame = Frame::new(Plan {
            style,
            title: &self.title,
            summary: self.summary(&series),
            legend,
            bottom: Side::Numbers { title: self.x.label(), scale: bottom },
            left: Side::Numbers { title: self.y.label(), scale: left },
            note: note(self.what_bands_are(&series), left_out),
            least: 0.0,
            right: 0.0,
            grid: true,
        });
        if shown().next().is_none() {
            frame.say("no data");
        }
        for (at, series) in series.iter().enumerate() {
            frame.svg.tag("g").attr("class", &sign::colour(at)).attr("data-series", &series.name).open();
            bands(&mut frame, series);
            frame.svg.close();
        }
        let tips = points().count().div_ceil(TIPS).max(1);
        for (at, series) in series.iter().enumerate() {
            frame.svg.tag("g").attr("class", &sign::colour(at)).attr("data-series", &series.name).open();
            lines(&mut frame, at, series);
            self.marks(&mut frame, at, series, tips);
            frame.svg.close();
        }
        Ok(frame.svg.finish())
    }

    /// The points from left to right, with gaps for what cannot be shown.
    fn prepare(&self, series: &Series, left_out: &mut usize) -> Drawn {
        let mut keep = |value: Option<f64>| {
            let kept = value.and_then(|value| self.y.scale.shows(value));
            *left_out += usize::from(value.is_some() && kept.is_none());
            kept
        };
        let mut points: Vec<Point> = series
            .points
            .iter()
            .map(|point| Point { x: point.x, y: keep(point.y), low: keep(point.low), high: keep(point.high) })
            .collect();
        let before = points.len();
        points.retain(|point| self.x.scale.shows(point.x).is_some());
        *left_out += before - points.len();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Drawn { name: clean(&series.name), points, best: series.best }
    }

    /// What the bands are, if there are any.
    fn what_bands_are(&self, series: &[Drawn]) -> Option<String> {
        let mut points = series.iter().flat_map(|series| &series.points);
        let label =
            self.band_label.as_ref().filter(|_| points.any(|point| point.low.is_some() && point.high.is_some()))?;
        Some(format!("Bands: {}.", clean(label)))
    }

    fn summary(&self, series: &[Drawn]) -> String {
        let mut words =
            format!("Line chart of {} against {}, {} series.", self.y.label(), self.x.label(), series.len());
        if let Some(marks) = self.what_bands_are(series) {
            words.push_str(&format!(" {marks}"));
        }
        for series in series {
            let name = if series.name.is_empty() { "unnamed" } else { &series.name };
            let shown: Vec<(f64, f64)> = series.points.iter().filter_map(|point| Some((point.x, point.y?))).collect();
            let (Some(first), Some(last)) = (shown.first(), shown.last()) else {
                words.push_str(&format!(" {name}: no data."));
                continue;
            };
            let human = number::human;
            words.push_str(&format!(
                " {name}: {} points, {} at {} to {} at {}",
                shown.len(),
                human(first.1),
                human(first.0),
                human(last.1),
                human(last.0)
            ));
            let least = shown.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(*first);
            let most = shown.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(*first);
            words.push_str(&format!(
                "; lowest {} at {}, highest {} at {}",
                human(least.1),
                human(least.0),
                human(most.1),
                human(most.0)
            ));
            if let Some(point) = best(series) {
                words.push_str(&format!("; best at {}", human(point.x)));
            }
            words.push('.');
        }
        words
    }

    /// Markers, rings, and a tooltip for each point.
    fn marks(&self, frame: &mut Frame, at: usize, series: &Drawn, tips: usize) {
        let places: Vec<(Point, f64, f64)> =
            series.points.iter().filter_map(|point| Some((*point, frame.x(point.x)?, frame.y(point.y?)?))).collect();
        let every = places.len().div_ceil(MARKERS).max(1);
        let best = best(series);
        for (count, (point, x, y)) in places.iter().enumerate() {
            let is_best = best.is_some_and(|best| best == *point);
            let marked = is_best || (count + at).is_multiple_of(every) || places.len() <= MARKERS;
            if !marked && count % tips > 0 {
                continue;
            }
            let tag = frame.svg.tag("g").attr("class", "pt").data("x", Some(point.x)).data("y", point.y);
            tag.data("low", point.low).data("high", point.high).open();
            frame.svg.title(&self.tip(&series.name, point, is_best));
            frame.svg.tag("circle").attr("class", "hit").at("cx", *x).at("cy", *y).at("r", 7.0).leaf();
            if marked {
                frame.svg.tag("path").attr("class", "mk").attr("d", &sign::marker(at, *x, *y, 3.6)).leaf();
            }
            if is_best {
                let tag = frame.svg.tag("circle").attr("class", "edge").at("cx", *x).at("cy", *y).at("r", 7.5);
                tag.attr("fill", "none").attr("stroke-width", "1.8").leaf();
            }
            frame.svg.close();
        }
    }

    fn tip(&self, name: &str, point: &Point, is_best: bool) -> String {
        let mut words = String::new();
        if !name.is_empty() {
            words.push_str(name);
            words.push_str(": ");
        }
        words.push_str(&format!("{} {}", clean(&self.y.title), point.y.map_or_else(String::new, number::human)));
        if let (Some(low), Some(high)) = (point.low, point.high) {
            words.push_str(&format!(" ({} to {})", number::human(low), number::human(high)));
        }
        words.push_str(&format!(" at {} {}", clean(&self.x.title), number::human(point.x)));
        if is_best {
            words.push_str(&format!(", {}", clean(self.best_label.as_deref().unwrap_or("best"))));
        }
        words
    }
}

/// The first point at the best place that has a value.
fn best(series: &Drawn) -> Option<Point> {
    series.best.and_then(|x| series.points.iter().find(|point| point.x == x && point.y.is_some()).copied())
}

/// The areas between low and high, one for each run of points without a gap.
fn bands(frame: &mut Frame, series: &Drawn) {
    let place = |point: &Point| {
        point.y?;
        Some((frame.x(point.x)?, frame.y(point.low?)?, frame.y(point.high?)?))
    };
    let places: Vec<Option<(f64, f64, f64)>> = series.points.iter().map(place).collect();
    for run in places.split(Option::is_none) {
        let run: Vec<(f64, f64, f64)> = run.iter().flatten().copied().collect();
        if let [(x, low, high)] = run[..] {
            let (low, high) = (point(x, low), point(x, high));
            // A line without length cannot be drawn.
            if low == high {
                continue;
            }
            let path = format!("M{low}L{high}");
            frame.svg.tag("path").attr("class", "err").attr("stroke", "currentColor").attr("d", &path).leaf();
        } else if run.len() > 1 {
            let upper = run.iter().map(|&(x, _, high)| point(x, high));
            let lower = run.iter().rev().map(|&(x, low, _)| point(x, low));
            let path = format!("M{}Z", upper.chain(lower).collect::<Vec<_>>().join("L"));
            frame.svg.tag("path").attr("class", "band").attr("d", &path).leaf();
        }
    }
}

/// The lines, one for each run of points without a gap. A point alone has its marker only.
fn lines(frame: &mut Frame, at: usize, series: &Drawn) {
    let place = |point: &Point| Some((frame.x(point.x)?, frame.y(point.y?)?));
    let places: Vec<Option<(f64, f64)>> = series.points.iter().map(place).collect();
    for run in places.split(Option::is_none).filter(|run| run.len() > 1) {
        let run: Vec<String> = run.iter().flatten().map(|&(x, y)| point(x, y)).collect();
        let path = format!("M{}", run.join("L"));
        sign::dashed(frame.svg.tag("path").attr("class", "ln").attr("d", &path), at).leaf();
    }
}
