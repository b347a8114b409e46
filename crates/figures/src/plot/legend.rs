//! The legend: rows above the plot, so that it never covers data.

use crate::plot::sign;
use crate::plot::style::LABEL;
use crate::plot::svg::Svg;
use crate::plot::text;

/// The height of a row in pixels.
pub(crate) const ROW: f64 = 19.0;
const SWATCH: f64 = 30.0;
const LONGEST: f64 = 230.0;

/// What stands beside a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swatch {
    /// A line with the marker of a series.
    Line(usize),
    /// A hatched box of a series.
    Patch(usize),
    /// The ring around a best point.
    Ring,
}

/// A line of the legend.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) swatch: Swatch,
    pub(crate) name: String,
}

/// An entry, its text made to fit, and its place in the row.
pub(crate) struct Placed {
    entry: Entry,
    shown: String,
    x: f64,
}

/// Entries in rows of at most `width` pixels.
pub(crate) fn rows(entries: &[Entry], width: f64) -> Vec<Vec<Placed>> {
    let mut rows: Vec<Vec<Placed>> = Vec::new();
    let mut x = f64::INFINITY;
    for entry in entries {
        let shown = text::fit_name(&entry.name, LABEL, LONGEST.min(width - SWATCH));
        let needed = SWATCH + text::width(&shown, LABEL);
        if x + needed > width {
            rows.push(Vec::new());
            x = 0.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push(Placed { entry: entry.clone(), shown, x });
        }
        x += needed + 16.0;
    }
    rows
}

/// Draws the rows below `(x, y)`.
pub(crate) fn draw(svg: &mut Svg, id: &str, rows: &[Vec<Placed>], x: f64, y: f64) {
    for (row, entries) in rows.iter().enumerate() {
        let middle = y + (row as f64 + 0.5) * ROW;
        for placed in entries {
            let left = x + placed.x;
            swatch(svg, id, placed.entry.swatch, left, middle);
            let tag = svg.tag("text").attr("class", "ink").at("x", left + SWATCH - 5.0).at("y", middle + 4.0);
            tag.label(&placed.shown, &placed.entry.name);
        }
    }
}

fn swatch(svg: &mut Svg, id: &str, swatch: Swatch, x: f64, y: f64) {
    match swatch {
        Swatch::Line(at) => {
            svg.group(&sign::colour(at));
            let path = format!("M{}L{}", sign::point(x, y), sign::point(x + 21.0, y));
            sign::dashed(svg.tag("path").attr("class", "ln").attr("d", &path), at).leaf();
            svg.tag("path").attr("class", "mk").attr("d", &sign::marker(at, x + 10.5, y, 3.6)).leaf();
            svg.close();
        }
        Swatch::Patch(at) => {
            svg.group(&sign::colour(at));
            patch(svg, id, at, [x + 2.0, y - 6.5, 18.0, 13.0]);
            svg.close();
        }
        Swatch::Ring => {
            let tag = svg.tag("circle").attr("class", "edge").at("cx", x + 10.5).at("cy", y).at("r", 6.5);
            tag.attr("fill", "none").attr("stroke-width", "1.8").leaf();
        }
    }
}

/// A box in the colour of its group, hatched as series `at`: `[x, y, width, height]`.
pub(crate) fn patch(svg: &mut Svg, id: &str, at: usize, [x, y, width, height]: [f64; 4]) {
    let boxed = |svg: &mut Svg, fill: &str| {
        let tag = svg.tag("rect").at("x", x).at("y", y).at("width", width).at("height", height);
        tag.attr("fill", fill).leaf();
    };
    boxed(svg, "currentColor");
    if let Some(fill) = sign::hatching(id, at) {
        boxed(svg, &fill);
    }
}
