//! What surrounds the data: title, legend, axes, grid, note. It decides where the plot is.

use serde::Deserialize;
use serde::Serialize;

use crate::number;
use crate::plot::legend;
use crate::plot::legend::Entry;
use crate::plot::scale::Scale;
use crate::plot::scale::ScaleKind;
use crate::plot::style::LABEL;
use crate::plot::style::SMALL;
use crate::plot::style::Style;
use crate::plot::style::TITLE;
use crate::plot::svg::Svg;
use crate::plot::svg::clean;
use crate::plot::text;

/// What an axis measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Axis {
    /// Shown along the axis.
    pub title: String,
    /// Shown in brackets after the title, such as `s` or `%`.
    pub unit: Option<String>,
    /// Linear or logarithmic.
    pub scale: ScaleKind,
}

impl Axis {
    /// A linear axis without a unit.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// The same axis with a unit.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// The same axis, logarithmic.
    #[must_use]
    pub fn log(mut self) -> Self {
        self.scale = ScaleKind::Log;
        self
    }

    /// Title and unit.
    pub(crate) fn label(&self) -> String {
        match &self.unit {
            Some(unit) => clean(&format!("{} ({unit})", self.title)),
            None => clean(&self.title),
        }
    }
}

/// One of the two axes of a plot.
pub(crate) enum Side {
    Numbers { title: String, scale: Scale },
    Names { title: String, names: Vec<String> },
}

impl Side {
    fn title(&self) -> &str {
        match self {
            Self::Numbers { title, .. } | Self::Names { title, .. } => title,
        }
    }
}

/// What a frame is made of.
pub(crate) struct Plan<'a> {
    pub(crate) style: &'a Style,
    pub(crate) title: &'a str,
    /// For screen readers: what the chart shows, in words.
    pub(crate) summary: String,
    pub(crate) legend: Vec<Entry>,
    pub(crate) bottom: Side,
    pub(crate) left: Side,
    /// Shown below the chart: what is not shown.
    pub(crate) note: Option<String>,
    /// The plot is at least this high.
    pub(crate) least: f64,
    /// Room kept free at the right, for a bar of shades.
    pub(crate) right: f64,
    /// Whether lines go through the plot at the ticks.
    pub(crate) grid: bool,
}

/// An SVG in which title, legend and axes are drawn, and where the plot in it is.
pub(crate) struct Frame {
    pub(crate) svg: Svg,
    pub(crate) x0: f64,
    pub(crate) x1: f64,
    pub(crate) y0: f64,
    pub(crate) y1: f64,
    width: f64,
    bottom: Side,
    left: Side,
}

/// The names of a bottom axis, made to fit.
struct Names {
    lines: Vec<Vec<String>>,
    upright: bool,
    height: f64,
}

const LINE: f64 = 15.0;
const MARGIN: f64 = 14.0;
/// A name at the left takes at most this part of the width.
const LEFT_PART: f64 = 0.3;
const LONGEST_UPRIGHT: f64 = 120.0;

impl Frame {
    pub(crate) fn new(plan: Plan<'_>) -> Self {
        let Plan { style, title, summary, legend, mut bottom, mut left, note, least, right, grid } = plan;
        let width = style.width;
        let title = clean(title);
        let titles = text::wrap(&title, TITLE, width - 2.0 * MARGIN, 2, text::fit);
        let rows = legend::rows(&legend, width - 2.0 * MARGIN);
        let legend_height = rows.len() as f64 * legend::ROW;

        let left_room = match &left {
            Side::Numbers { scale, .. } => widest(scale.ticks.iter().map(|tick| tick.label.as_str())),
            Side::Names { names, .. } => {
                let room = width * LEFT_PART;
                widest(
                    names
                        .iter()
                        .flat_map(|name| text::wrap(name, LABEL, room, 2, text::fit_name))
                        .collect::<Vec<_>>()
                        .iter(),
                )
            }
        };
        let x0 = MARGIN + if left.title().is_empty() { 0.0 } else { LINE + 6.0 } + left_room + 8.0;
        let overhang = match &bottom {
            Side::Numbers { scale, .. } => widest(scale.ticks.last().iter().map(|tick| tick.label.as_str())) / 2.0,
            Side::Names { .. } => 0.0,
        };
        let x1 = width - MARGIN - right - 6.0_f64.max(overhang - MARGIN + 2.0);
        let across = (x1 - x0).max(20.0);
        if let Side::Numbers { scale, .. } = &mut bottom {
            let places = scale.clone();
            scale.thin(|ticks| {
                let at = |value| places.place(value).unwrap_or(0.0) * across;
                ticks.windows(2).all(|two| {
                    let half = |tick: usize| text::width(&two[tick].label, LABEL) / 2.0;
                    at(two[1].value) - at(two[0].value) > half(0) + half(1) + 10.0
                })
            });
        }
        let names = match &bottom {
            Side::Names { names, .. } => Some(fit_names(names, across / names.len().max(1) as f64)),
            Side::Numbers { .. } => None,
        };
        let under = names.as_ref().map_or(LINE, |names| names.height)
            + if bottom.title().is_empty() { 4.0 } else { LINE + 5.0 }
            + if note.is_some() { LINE } else { 0.0 }
            + MARGIN;
        let y0 = MARGIN + titles.len() as f64 * (TITLE + 5.0) + legend_height + 8.0;
        let spare = (legend_height - 2.0 * legend::ROW).max(0.0);
        let height = (style.height + spare).max(y0 + least.max(80.0) + under + 6.0);
        let y1 = height - under - 6.0;
        if let Side::Numbers { scale, .. } = &mut left {
            let (places, up) = (scale.clone(), y1 - y0);
            scale.thin(|ticks| {
                let at = |value| places.place(value).unwrap_or(0.0) * up;
                ticks.windows(2).all(|two| at(two[1].value) - at(two[0].value) > LINE)
            });
        }

        let mut svg = Svg::new();
        open(&mut svg, style, height, &title, &summary);
        for (at, line) in titles.iter().enumerate() {
            let y = MARGIN + TITLE - 2.0 + at as f64 * (TITLE + 5.0);
            let whole = if at + 1 == titles.len() && line.ends_with('…') { title.as_str() } else { line };
            svg.tag("text").attr("class", "ink title").at("x", MARGIN).at("y", y).label(line, whole);
        }
        legend::draw(&mut svg, &style.id, &rows, MARGIN, y0 - 8.0 - legend_height);
        let mut frame = Self { svg, x0, x1: x0 + across, y0, y1, width, bottom, left };
        frame.draw_bottom(names, grid);
        frame.draw_left(grid);
        frame.draw_titles(width, height - MARGIN - if note.is_some() { LINE } else { 0.0 });
        if let Some(note) = note {
            let shown = text::fit(&note, SMALL, width - 2.0 * MARGIN);
            let tag = frame.svg.tag("text").attr("class", "mut small").at("x", MARGIN).at("y", height - MARGIN + 4.0);
            tag.label(&shown, &note);
        }
        frame
    }

    fn draw_bottom(&mut self, names: Option<Names>, grid: bool) {
        let (x0, x1, y0, y1) = (self.x0, self.x1, self.y0, self.y1);
        match &self.bottom {
            Side::Numbers { scale, .. } => {
                for tick in &scale.ticks {
                    let x = x0 + scale.place(tick.value).unwrap_or(0.0) * (x1 - x0);
                    if grid {
                        line(&mut self.svg, "grid", x, y0, x, y1);
                    }
                    line(&mut self.svg, "axis", x, y1, x, y1 + 4.0);
                    let tag = self.svg.tag("text").attr("class", "mut").attr("text-anchor", "middle");
                    tag.at("x", x).at("y", y1 + 4.0 + LABEL).text(&tick.label);
                }
            }
            Side::Names { names: full, .. } => {
                let Some(fitted) = names else { return };
                let slot = (x1 - x0) / full.len().max(1) as f64;
                let every = if fitted.upright { (LINE / slot).ceil().max(1.0) as usize } else { 1 };
                for (at, name) in full.iter().enumerate().step_by(every) {
                    let x = x0 + (at as f64 + 0.5) * slot;
                    let lines = &fitted.lines[at];
                    for (row, shown) in lines.iter().enumerate() {
                        let whole = if text::is_cut(shown) { name } else { shown };
                        let tag = self.svg.tag("text").attr("class", "mut");
                        if fitted.upright {
                            let (x, y) = (number::coord(x + 4.0), number::coord(y1 + 8.0));
                            let turn = format!("translate({x} {y}) rotate(-90)");
                            tag.attr("text-anchor", "end").attr("transform", &turn).label(shown, whole);
                        } else {
                            let y = y1 + 4.0 + LABEL + row as f64 * LINE;
                            tag.attr("text-anchor", "middle").at("x", x).at("y", y).label(shown, whole);
                        }
                    }
                }
            }
        }
        line(&mut self.svg, "axis", x0, y1, x1, y1);
    }

    fn draw_left(&mut self, grid: bool) {
        let (x0, x1, y0, y1) = (self.x0, self.x1, self.y0, self.y1);
        match &self.left {
            Side::Numbers { scale, .. } => {
                for tick in &scale.ticks {
                    let y = y1 - scale.place(tick.value).unwrap_or(0.0) * (y1 - y0);
                    if grid {
                        line(&mut self.svg, "grid", x0, y, x1, y);
                    }
                    line(&mut self.svg, "axis", x0 - 4.0, y, x0, y);
                    let tag = self.svg.tag("text").attr("class", "mut").attr("text-anchor", "end");
                    tag.at("x", x0 - 7.0).at("y", y + 4.0).text(&tick.label);
                }
            }
            Side::Names { names, .. } => {
                let slot = (y1 - y0) / names.len().max(1) as f64;
                let room = self.width * LEFT_PART;
                let most = if slot >= 2.0 * LINE { 2 } else { 1 };
                let every = (LINE / slot).ceil().max(1.0) as usize;
                for (at, name) in names.iter().enumerate().step_by(every) {
                    let middle = y0 + (at as f64 + 0.5) * slot;
                    let lines = text::wrap(name, LABEL, room, most, text::fit_name);
                    let first = middle + 4.0 - (lines.len().saturating_sub(1)) as f64 * LINE / 2.0;
                    for (row, shown) in lines.iter().enumerate() {
                        let whole = if text::is_cut(shown) { name } else { shown };
                        let tag = self.svg.tag("text").attr("class", "mut").attr("text-anchor", "end");
                        tag.at("x", x0 - 7.0).at("y", first + row as f64 * LINE).label(shown, whole);
                    }
                }
            }
        }
        line(&mut self.svg, "axis", x0, y0, x0, y1);
    }

    fn draw_titles(&mut self, width: f64, bottom: f64) {
        let title = self.bottom.title();
        if !title.is_empty() {
            let shown = text::fit(title, LABEL, width - 2.0 * MARGIN);
            let half = text::width(&shown, LABEL) / 2.0;
            let x = f64::midpoint(self.x0, self.x1).clamp(MARGIN + half, (width - MARGIN - half).max(MARGIN + half));
            let tag = self.svg.tag("text").attr("class", "ink").attr("text-anchor", "middle");
            tag.at("x", x).at("y", bottom).label(&shown, title);
        }
        let title = self.left.title();
        if !title.is_empty() {
            let shown = text::fit(title, LABEL, self.y1 - self.y0);
            let (x, y) = (MARGIN + LABEL - 2.0, f64::midpoint(self.y0, self.y1));
            let turn = format!("translate({} {}) rotate(-90)", number::coord(x), number::coord(y));
            let tag = self.svg.tag("text").attr("class", "ink").attr("text-anchor", "middle");
            tag.attr("transform", &turn).label(&shown, title);
        }
    }

    /// The place of a number on the bottom axis.
    pub(crate) fn x(&self, value: f64) -> Option<f64> {
        match &self.bottom {
            Side::Numbers { scale, .. } => scale.place(value).map(|place| self.x0 + place * (self.x1 - self.x0)),
            Side::Names { .. } => None,
        }
    }

    /// The place of a number on the left axis.
    pub(crate) fn y(&self, value: f64) -> Option<f64> {
        match &self.left {
            Side::Numbers { scale, .. } => scale.place(value).map(|place| self.y1 - place * (self.y1 - self.y0)),
            Side::Names { .. } => None,
        }
    }

    /// Where the slot of a name starts on the axis with names, and how long each slot is.
    pub(crate) fn slot(&self, at: usize) -> (f64, f64) {
        match (&self.bottom, &self.left) {
            (Side::Names { names, .. }, _) => {
                let slot = (self.x1 - self.x0) / names.len().max(1) as f64;
                (self.x0 + at as f64 * slot, slot)
            }
            (_, Side::Names { names, .. }) => {
                let slot = (self.y1 - self.y0) / names.len().max(1) as f64;
                (self.y0 + at as f64 * slot, slot)
            }
            _ => (self.x0, 0.0),
        }
    }

    /// A sentence in the middle of the plot, where there is nothing else.
    pub(crate) fn say(&mut self, words: &str) {
        let (x, y) = (f64::midpoint(self.x0, self.x1), f64::midpoint(self.y0, self.y1));
        let shown = text::fit(words, LABEL, self.x1 - self.x0);
        let tag = self.svg.tag("text").attr("class", "mut").attr("text-anchor", "middle").at("x", x).at("y", y);
        tag.label(&shown, words);
    }
}

/// Opens the `<svg>` element, with title, description, style sheet and background.
fn open(svg: &mut Svg, style: &Style, height: f64, title: &str, summary: &str) {
    let id = &style.id;
    svg.tag("svg")
        .attr("xmlns", "http://www.w3.org/2000/svg")
        .attr("id", id)
        .attr("role", "img")
        .attr("aria-labelledby", &format!("{id}-title {id}-desc"))
        .attr("viewBox", &format!("0 0 {} {}", number::coord(style.width), number::coord(height)))
        .at("width", style.width)
        .at("height", height)
        .open();
    let name = if title.is_empty() { "Chart" } else { title };
    svg.tag("title").attr("id", &format!("{id}-title")).text(name);
    svg.tag("desc").attr("id", &format!("{id}-desc")).text(summary);
    svg.style(&style.css());
    svg.tag("rect").attr("class", "bg").attr("width", "100%").attr("height", "100%").leaf();
}

/// A straight line of a class, one pixel wide.
pub(crate) fn line(svg: &mut Svg, class: &str, x0: f64, y0: f64, x1: f64, y1: f64) {
    svg.tag("line").attr("class", class).at("x1", x0).at("y1", y0).at("x2", x1).at("y2", y1).leaf();
}

fn widest<T: AsRef<str>>(labels: impl Iterator<Item = T>) -> f64 {
    labels.map(|label| text::width(label.as_ref(), LABEL)).fold(0.0, f64::max)
}

/// Names for slots of a width: in up to three lines if all fit, else upright.
fn fit_names(names: &[String], slot: f64) -> Names {
    let room = slot - 8.0;
    let lines: Vec<Vec<String>> = names.iter().map(|name| text::wrap(name, LABEL, room, 3, text::fit_name)).collect();
    let cut = lines.iter().flatten().any(|line| text::is_cut(line));
    if !cut || room >= 60.0 {
        let most = lines.iter().map(Vec::len).max().unwrap_or(1).max(1);
        return Names { lines, upright: false, height: most as f64 * LINE };
    }
    let lines: Vec<Vec<String>> = names.iter().map(|name| vec![text::fit_name(name, LABEL, LONGEST_UPRIGHT)]).collect();
    let height = widest(lines.iter().flatten()) + 6.0;
    Names { lines, upright: true, height }
}
