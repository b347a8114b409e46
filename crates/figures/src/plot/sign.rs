//! What tells series apart besides colour: markers, dashes, hatching.

use crate::plot::style::SERIES_COLOURS;
use crate::plot::svg::Svg;
use crate::plot::svg::Tag;

/// Markers and hatchings repeat after 8, colours after 7: pairs of both repeat after 56.
const SHAPES: usize = 8;

/// The class that gives series `at` its colour.
pub(crate) fn colour(at: usize) -> String {
    format!("c{}", at % SERIES_COLOURS)
}

/// The dashes of series `at`: none for the first seven, then a pattern for each further seven.
fn dashes(at: usize) -> Option<&'static str> {
    [None, Some("7 4"), Some("2 3"), Some("9 3 2 3")][(at / SERIES_COLOURS) % 4]
}

/// Adds the dashes of series `at` to a line.
pub(crate) fn dashed(tag: Tag<'_>, at: usize) -> Tag<'_> {
    match dashes(at) {
        Some(pattern) => tag.attr("stroke-dasharray", pattern),
        None => tag,
    }
}

/// The outline of the marker of series `at` around `(x, y)`, about `2 r` wide.
pub(crate) fn marker(at: usize, x: f64, y: f64, r: f64) -> String {
    let polygon = |corners: &[(f64, f64)]| {
        let mut path = String::new();
        for (count, (dx, dy)) in corners.iter().enumerate() {
            path.push(if count == 0 { 'M' } else { 'L' });
            path.push_str(&point(x + dx * r, y + dy * r));
        }
        path.push('Z');
        path
    };
    match at % SHAPES {
        0 => circle(x, y, r),
        1 => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        2 => polygon(&[(0.0, -1.2), (1.1, 0.85), (-1.1, 0.85)]),
        3 => polygon(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
        4 => polygon(&[(0.0, 1.2), (1.1, -0.85), (-1.1, -0.85)]),
        5 => polygon(&cross(0.38, 1.25)),
        6 => polygon(&cross(0.38, 1.25).map(|(x, y)| ((x - y) * 0.75, (x + y) * 0.75))),
        _ => polygon(&[(-1.3, -0.7), (1.3, -0.7), (1.3, 0.7), (-1.3, 0.7)]),
    }
}

/// A plus sign: arms `2 thin` wide and `long` long.
fn cross(thin: f64, long: f64) -> [(f64, f64); 12] {
    [
        (-thin, -long),
        (thin, -long),
        (thin, -thin),
        (long, -thin),
        (long, thin),
        (thin, thin),
        (thin, long),
        (-thin, long),
        (-thin, thin),
        (-long, thin),
        (-long, -thin),
        (-thin, -thin),
    ]
}

fn circle(x: f64, y: f64, r: f64) -> String {
    let (left, right) = (point(x - r, y), point(x + r, y));
    let r = crate::number::coord(r);
    format!("M{left}A{r} {r} 0 1 1 {right}A{r} {r} 0 1 1 {left}Z")
}

/// `x y` for paths.
pub(crate) fn point(x: f64, y: f64) -> String {
    format!("{} {}", crate::number::coord(x), crate::number::coord(y))
}

/// The patterns that hatch bars; the first series is plain.
pub(crate) fn hatchings(svg: &mut Svg, id: &str, series: usize) {
    if series < 2 {
        return;
    }
    svg.tag("defs").open();
    for at in 1..series.min(SHAPES) {
        let lines = match at {
            1 => "M-2 8L8 -2M4 10L10 4",
            2 => "M-2 0L8 10M4 -2L10 4",
            3 => "M0 2L8 2M0 6L8 6",
            4 => "M2 0L2 8M6 0L6 8",
            5 => "M0 4L8 4M4 0L4 8",
            6 => "M0 0L8 8M8 0L0 8",
            _ => "M1 4L4 4M5 1L8 1",
        };
        svg.tag("pattern")
            .attr("id", &format!("{id}-h{at}"))
            .attr("width", "8")
            .attr("height", "8")
            .attr("patternUnits", "userSpaceOnUse")
            .open();
        svg.tag("path").attr("class", "rim").attr("d", lines).attr("fill", "none").attr("stroke-width", "1.4").leaf();
        svg.close();
    }
    svg.close();
}

/// The fill that hatches series `at`, over its colour.
pub(crate) fn hatching(id: &str, at: usize) -> Option<String> {
    (!at.is_multiple_of(SHAPES)).then(|| format!("url(#{id}-h{})", at % SHAPES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_series_differ_in_more_than_colour() {
        for a in 0..20 {
            for b in 0..a {
                assert_ne!((colour(a), a % SHAPES), (colour(b), b % SHAPES));
                if colour(a) == colour(b) {
                    assert_ne!(dashes(a), dashes(b), "{a} and {b}");
                }
            }
        }
    }
}
