//! Drawing distributions: histogram, cumulative curve, boxes.

use crate::number;
use crate::plot::bar::Orientation;
use crate::plot::distribution::Distribution;
use crate::plot::distribution::Sorted;
use crate::plot::distribution::describe;
use crate::plot::frame::Frame;
use crate::plot::frame::Plan;
use crate::plot::frame::Side;
use crate::plot::frame::line;
use crate::plot::legend::Entry;
use crate::plot::legend::Swatch;
use crate::plot::note;
use crate::plot::quantile::Five;
use crate::plot::quantile::quantile;
use crate::plot::scale;
use crate::plot::scale::Ends;
use crate::plot::scale::Scale;
use crate::plot::scale::ScaleKind;
use crate::plot::sign;
use crate::plot::sign::point;
use crate::plot::style::Style;
use crate::plot::svg::clean;

const MOST_BINS: usize = 60;
/// Beyond this many different places, points outside the whiskers are thinned evenly.
const MOST_OUTSIDE: usize = 150;

fn legend(samples: &[Sorted], swatch: fn(usize) -> Swatch) -> Vec<Entry> {
    if samples.len() < 2 && samples.iter().all(|sample| sample.name.is_empty()) {
        return Vec::new();
    }
    samples.iter().enumerate().map(|(at, sample)| Entry { swatch: swatch(at), name: sample.name.clone() }).collect()
}

fn range(samples: &[Sorted]) -> Option<(f64, f64)> {
    scale::range(samples.iter().flat_map(|sample| sample.values.iter().copied()), ScaleKind::Linear)
}

/// A number of bins by the rule of Freedman and Diaconis (1981) for the largest sample, from 5 to 60.
fn bins(samples: &[Sorted], (lo, hi): (f64, f64)) -> usize {
    let Some(values) = samples.iter().map(|sample| &sample.values).max_by_key(|values| values.len()) else { return 5 };
    let spread = quantile(values, 0.75).unwrap_or(0.0) - quantile(values, 0.25).unwrap_or(0.0);
    let width = 2.0 * spread / (values.len() as f64).cbrt();
    let count = if width > 0.0 { (hi - lo) / width } else { (values.len() as f64).log2() + 1.0 };
    (count.ceil() as usize).clamp(5, MOST_BINS)
}

/// The share of each sample in bins whose edges are nice numbers; edges belong to the bin on their right, and the last
/// edge to the last bin.
fn shares(samples: &[Sorted]) -> (Vec<f64>, Vec<Vec<usize>>) {
    let range = range(samples);
    let count = range.map_or(5, |range| bins(samples, range));
    let fine = Scale::new(ScaleKind::Linear, range, count.min(20), Ends::Ticks, false);
    let mut edges: Vec<f64> = fine.ticks.iter().map(|tick| tick.value).collect();
    if count > 25 {
        let halves = |two: &[f64]| [two[0], f64::midpoint(two[0], two[1])];
        let last = edges.last().copied();
        edges = edges.windows(2).flat_map(halves).chain(last).collect();
    }
    let counts = samples
        .iter()
        .map(|sample| {
            let mut counts = vec![0; edges.len().saturating_sub(1)];
            for value in &sample.values {
                let at = edges.partition_point(|edge| edge <= value).saturating_sub(1);
                let last = counts.len().saturating_sub(1);
                if let Some(count) = counts.get_mut(at.min(last)) {
                    *count += 1;
                }
            }
            counts
        })
        .collect();
    (edges, counts)
}

pub(crate) fn histogram(chart: &Distribution, style: &Style, samples: &[Sorted], left_out: usize) -> String {
    let (edges, counts) = shares(samples);
    let percent = |count: usize, sample: usize| 100.0 * count as f64 / samples[sample].values.len().max(1) as f64;
    let most = counts.iter().enumerate().flat_map(|(at, row)| row.iter().map(move |&count| percent(count, at)));
    let most = most.fold(0.0, f64::max);
    let ends = edges.first().copied().zip(edges.last().copied());
    let bottom = Scale::new(ScaleKind::Linear, ends, (style.width / 80.0) as usize, Ends::Data, false);
    let up = Scale::new(ScaleKind::Linear, Some((0.0, if most > 0.0 { most } else { 100.0 })), 6, Ends::Ticks, false);
    let mut frame = Frame::new(Plan {
        style,
        title: &chart.title,
        summary: chart.summary("Histogram", samples),
        legend: legend(samples, if samples.len() == 1 { Swatch::Patch } else { Swatch::Line }),
        bottom: Side::Numbers { title: chart.value.label(), scale: bottom },
        left: Side::Numbers { title: format!("share of {} (%)", chart.counted()), scale: up },
        note: note(None, left_out),
        least: 0.0,
        right: 0.0,
        grid: true,
    });
    if samples.iter().all(|sample| sample.values.is_empty()) {
        frame.say("no data");
        return frame.svg.finish();
    }
    let alone = samples.len() == 1;
    for (at, sample) in samples.iter().enumerate().filter(|(_, sample)| !sample.values.is_empty()) {
        frame.svg.tag("g").attr("class", &sign::colour(at)).attr("data-series", &sample.name).open();
        let mut outline = String::new();
        let mut middles = Vec::new();
        for (bin, &count) in counts[at].iter().enumerate() {
            let share = percent(count, at);
            let (Some(x0), Some(x1), Some(y)) = (frame.x(edges[bin]), frame.x(edges[bin + 1]), frame.y(share)) else {
                continue;
            };
            outline.push_str(&format!("{}{}L{}", if bin == 0 { "M" } else { "L" }, point(x0, y), point(x1, y)));
            middles.push((x0 + (x1 - x0) * (at as f64 + 1.0) / (samples.len() as f64 + 1.0), y));
            let (from, to) = (number::human(edges[bin]), number::human(edges[bin + 1]));
            let tip = format!("{}: {from} to {to}: {} % ({count})", sample.name, number::significant(share, 3));
            let gap = if alone { 0.5 } else { 0.0 };
            let tag = frame.svg.tag("rect").attr("class", if alone { "mk pt" } else { "hit pt" });
            let tag =
                tag.data("from", Some(edges[bin])).data("to", Some(edges[bin + 1])).data("count", Some(count as f64));
            let tag = tag.at("x", x0 + gap).at("y", y).at("width", (x1 - x0 - 2.0 * gap).max(0.5));
            tag.at("height", frame.y1 - y).tip(tip.trim_start_matches(": "));
        }
        if !alone {
            sign::dashed(frame.svg.tag("path").attr("class", "ln").attr("d", &outline), at).leaf();
            for (x, y) in middles {
                frame.svg.tag("path").attr("class", "mk").attr("d", &sign::marker(at, x, y, 3.4)).leaf();
            }
        }
        frame.svg.close();
    }
    frame.svg.finish()
}

pub(crate) fn ecdf(chart: &Distribution, style: &Style, samples: &[Sorted], left_out: usize) -> String {
    let bottom = Scale::new(chart.value.scale, range(samples), (style.width / 80.0) as usize, Ends::Data, false);
    let up = Scale::new(ScaleKind::Linear, Some((0.0, 100.0)), 5, Ends::Ticks, false);
    let mut frame = Frame::new(Plan {
        style,
        title: &chart.title,
        summary: chart.summary("Cumulative distribution", samples),
        legend: legend(samples, Swatch::Line),
        bottom: Side::Numbers { title: chart.value.label(), scale: bottom },
        left: Side::Numbers { title: format!("share of {} at or below (%)", chart.counted()), scale: up },
        note: note(None, left_out),
        least: 0.0,
        right: 0.0,
        grid: true,
    });
    if samples.iter().all(|sample| sample.values.is_empty()) {
        frame.say("no data");
    }
    for (at, sample) in samples.iter().enumerate().filter(|(_, sample)| !sample.values.is_empty()) {
        frame.svg.tag("g").attr("class", &sign::colour(at)).attr("data-series", &sample.name).open();
        let path = steps(&frame, &sample.values);
        sign::dashed(frame.svg.tag("path").attr("class", "ln").attr("d", &path), at).leaf();
        let mut before = None;
        for step in 0..=20 {
            let part = f64::from(step) / 20.0;
            let Some(value) = quantile(&sample.values, part).filter(|value| before != Some(*value)) else { continue };
            before = Some(value);
            let up_to = sample.values.partition_point(|other| *other <= value);
            let share = 100.0 * up_to as f64 / sample.values.len() as f64;
            let (Some(x), Some(y)) = (frame.x(value), frame.y(share)) else { continue };
            let tag = frame.svg.tag("g").attr("class", "pt").data("x", Some(value)).data("y", Some(share));
            tag.open();
            let share = number::significant(share, 3);
            let tip = format!("{}: {share} % at or below {}", sample.name, number::human(value));
            frame.svg.title(tip.trim_start_matches(": "));
            frame.svg.tag("circle").attr("class", "hit").at("cx", x).at("cy", y).at("r", 7.0).leaf();
            if (step as usize + at).is_multiple_of(4) {
                frame.svg.tag("path").attr("class", "mk").attr("d", &sign::marker(at, x, y, 3.4)).leaf();
            }
            frame.svg.close();
        }
        frame.svg.close();
    }
    frame.svg.finish()
}

/// The steps of a cumulative curve, exact at every fourth of a pixel: more cannot be seen.
fn steps(frame: &Frame, values: &[f64]) -> String {
    let mut path = String::new();
    let mut column = None;
    let mut height = frame.y1;
    let total = values.len().max(1) as f64;
    for (count, value) in values.iter().enumerate() {
        let (Some(x), Some(y)) = (frame.x(*value), frame.y(100.0 * (count + 1) as f64 / total)) else { continue };
        let here = (x * 4.0).round() as i64;
        if column == Some(here) {
            height = y;
            continue;
        }
        let x = here as f64 / 4.0;
        if column.is_none() {
            path.push_str(&format!("M{}", point(x, height)));
        } else {
            path.push_str(&format!("V{}H{}", number::coord(height), number::coord(x)));
        }
        column = Some(here);
        height = y;
    }
    path.push_str(&format!("V{}H{}", number::coord(height), number::coord(frame.x1)));
    path
}

pub(crate) fn boxes(
    chart: &Distribution,
    style: &Style,
    samples: &[Sorted],
    left_out: usize,
    orientation: Orientation,
) -> String {
    let upright = orientation == Orientation::Vertical;
    let count = if upright { style.height / 60.0 } else { style.width / 90.0 };
    let scale = Scale::new(chart.value.scale, range(samples), count as usize, Ends::Ticks, false);
    let numbers = Side::Numbers { title: chart.value.label(), scale };
    let names = Side::Names { title: String::new(), names: samples.iter().map(|s| s.name.clone()).collect() };
    let (bottom, left) = if upright { (names, numbers) } else { (numbers, names) };
    let mut summary = chart.summary("Box plots", samples);
    summary.push_str(" The line in a box is the median, the diamond the mean.");
    let mut frame = Frame::new(Plan {
        style,
        title: &chart.title,
        summary,
        legend: Vec::new(),
        bottom,
        left,
        note: note(None, left_out),
        least: if upright { 0.0 } else { samples.len() as f64 * 26.0 },
        right: 0.0,
        grid: true,
    });
    if samples.iter().all(|sample| sample.values.is_empty()) {
        frame.say("no data");
    }
    for (at, sample) in samples.iter().enumerate() {
        let Some(five) = Five::of(&sample.values) else { continue };
        let (start, slot) = frame.slot(at);
        let tag =
            frame.svg.tag("g").attr("class", &format!("pt {}", sign::colour(at))).attr("data-series", &sample.name);
        let tag =
            tag.data("n", Some(five.count as f64)).data("mean", Some(five.mean)).data("median", Some(five.median));
        let tag = tag.data("q1", Some(five.q1)).data("q3", Some(five.q3));
        tag.data("low", Some(five.low)).data("high", Some(five.high)).open();
        let tip = format!("{}: {}", sample.name, describe(&five, &chart.counted()));
        frame.svg.title(tip.trim_start_matches(": "));
        one_box(&mut frame, &five, start + slot / 2.0, (slot * 0.5).min(64.0), upright);
        outside(&mut frame, sample, &five, start + slot / 2.0, upright);
        frame.svg.close();
    }
    frame.svg.finish()
}

/// A box of a width around `middle`, with whiskers, median and mean.
fn one_box(frame: &mut Frame, five: &Five, middle: f64, width: f64, upright: bool) {
    let along = |value: f64| if upright { frame.y(value) } else { frame.x(value) };
    let places = [five.low, five.q1, five.median, five.q3, five.high, five.mean].map(along);
    let [Some(low), Some(q1), Some(median), Some(q3), Some(high), Some(mean)] = places else { return };
    let half = width / 2.0;
    let stroke = |frame: &mut Frame, class: &str, across: [f64; 2], along: [f64; 2]| {
        if upright {
            line(&mut frame.svg, class, across[0], along[0], across[1], along[1]);
        } else {
            line(&mut frame.svg, class, along[0], across[0], along[1], across[1]);
        }
    };
    for (from, to) in [(low, q1), (q3, high)] {
        stroke(frame, "edge", [middle; 2], [from, to]);
    }
    for end in [low, high] {
        stroke(frame, "edge", [middle - half / 2.0, middle + half / 2.0], [end; 2]);
    }
    let (start, length) = (q1.min(q3), (q1 - q3).abs().max(1.0));
    let [x, y, w, h] =
        if upright { [middle - half, start, width, length] } else { [start, middle - half, length, width] };
    let tag = frame.svg.tag("rect").attr("class", "mk edge").at("x", x).at("y", y).at("width", w).at("height", h);
    tag.leaf();
    stroke(frame, "median", [middle - half, middle + half], [median; 2]);
    let (x, y) = if upright { (middle, mean) } else { (mean, middle) };
    frame.svg.tag("path").attr("class", "gap edge").attr("d", &sign::marker(3, x, y, 4.0)).leaf();
}

/// The values beyond the whiskers, one ring for each place that can be told apart.
fn outside(frame: &mut Frame, sample: &Sorted, five: &Five, middle: f64, upright: bool) {
    let beyond = sample.values.iter().copied().filter(|value| *value < five.low || *value > five.high);
    let mut places: Vec<(i64, f64, usize)> = Vec::new();
    for value in beyond {
        let Some(place) = (if upright { frame.y(value) } else { frame.x(value) }) else { continue };
        let here = place.round() as i64;
        match places.last_mut() {
            Some((last, _, count)) if *last == here => *count += 1,
            _ => places.push((here, value, 1)),
        }
    }
    let every = places.len().div_ceil(MOST_OUTSIDE).max(1);
    for (place, value, count) in places.into_iter().step_by(every) {
        let place = place as f64;
        let (x, y) = if upright { (middle, place) } else { (place, middle) };
        let tag = frame
            .svg
            .tag("circle")
            .attr("class", "ln thin")
            .data("value", Some(value))
            .data("count", Some(count as f64));
        let tip = if count == 1 {
            format!("{}: {}", clean(&sample.name), number::human(value))
        } else {
            format!("{}: {count} values near {}", clean(&sample.name), number::human(value))
        };
        tag.at("cx", x).at("cy", y).at("r", 2.2).tip(&tip);
    }
}
