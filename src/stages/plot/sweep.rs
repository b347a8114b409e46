//! A metric of a comparison: against a parameter, as bars, over a grid.

use serde_json::Value;

use crate::artifacts::cells::{Cell, distinct, labels, shown, values};
use crate::artifacts::comparison::{Comparison, Group, Spread};
use crate::artifacts::metrics::is_of_lists;
use crate::figures::plot::{Axis, Bar, BarChart, BarSeries, Better, Chart, HeatMap, LineChart, Point, Series};
use crate::stage::{Fault, Result};
use crate::stages::plot::{Bars, Heat, Sweep, Title, axis, nothing};

/// Values of an axis with what was measured there.
type Points<'a> = Vec<(&'a Value, &'a Spread)>;

/// The groups that have the metric, in one protocol.
fn groups<'a>(results: &'a Comparison, metric: &str, protocol: Option<&str>) -> Result<Vec<(&'a Group, &'a Spread)>> {
    let mut protocols: Vec<&str> = results.groups.iter().map(|group| group.protocol.as_str()).collect();
    protocols.sort_unstable();
    protocols.dedup();
    let protocol = match (protocol, &protocols[..]) {
        (Some(protocol), _) if protocols.contains(&protocol) => protocol,
        (Some(protocol), _) => return Err(nothing(format!("no result is of the protocol `{protocol}`"), &protocols)),
        (None, [one]) => one,
        (None, _) => {
            return Err(Fault::data(format!("results are of the protocols {}", protocols.join(" and ")))
                .help("say which: `protocol: full` or `protocol: sampled`"));
        }
    };
    let of = |group: &'a Group| Some((group, group.metrics.iter().find(|spread| spread.metric == metric)?));
    let found: Vec<_> = results.groups.iter().filter(|group| group.protocol == protocol).filter_map(of).collect();
    if found.is_empty() {
        let mut there: Vec<&str> =
            results.groups.iter().flat_map(|group| &group.metrics).map(|spread| spread.metric.as_str()).collect();
        there.sort_unstable();
        there.dedup();
        return Err(nothing(format!("no result has the metric `{metric}`"), &there));
    }
    Ok(found)
}

/// The groups by the value of an axis: one list for each combination of the others, named after it.
fn by_axis<'a>(found: &[(&'a Group, &'a Spread)], x: &str) -> Result<Vec<(String, Points<'a>)>> {
    let mut lists: Vec<(String, Cell, Points<'_>)> = Vec::new();
    for (group, spread) in found {
        let Some(value) = group.cell.get(x) else { continue };
        let mut rest = group.cell.clone();
        rest.remove(x);
        match lists.iter_mut().find(|(stage, cell, _)| *stage == group.stage && *cell == rest) {
            Some((.., list)) => list.push((value, spread)),
            None => lists.push((group.stage.clone(), rest, vec![(value, spread)])),
        }
    }
    if lists.is_empty() {
        let mut there: Vec<&str> = found.iter().flat_map(|(group, _)| group.cell.keys()).map(String::as_str).collect();
        there.sort_unstable();
        there.dedup();
        return Err(nothing(format!("no result is of a matrix with the axis `{x}`"), &there));
    }
    let names = labels(lists.iter().map(|(stage, cell, _)| (stage.as_str(), cell)));
    Ok(names.into_iter().zip(lists).map(|(name, (.., list))| (name, list)).collect())
}

/// The groups that have a place on an axis.
fn with_axis<'a>(found: &[(&'a Group, &'a Spread)], x: &str) -> Vec<(&'a Group, &'a Spread)> {
    found.iter().filter(|(group, _)| group.cell.contains_key(x)).copied().collect()
}

/// What a title says of the protocol, which is one for all.
fn ranking(found: &[(&Group, &Spread)]) -> String {
    found.first().map_or_else(String::new, |(group, _)| format!(", {} ranking", group.protocol))
}

/// What bands and error bars mean, if there are any.
fn deviation(found: &[(&Group, &Spread)]) -> Option<String> {
    let runs = || found.iter().map(|(group, _)| group.runs);
    let (least, most) = (runs().min()?, runs().max()?);
    let runs = if least == most { most.to_string() } else { format!("{least} to {most}") };
    (most > 1).then(|| format!("± 1 standard deviation over {runs} runs"))
}

/// The groups that a figure along an axis cannot show, as they have no place on it.
pub(super) fn left_out(results: &Comparison, x: &str) -> Option<String> {
    let without = results.groups.iter().filter(|group| !group.cell.contains_key(x));
    let names = distinct(without.map(|group| group.name.as_str()));
    (!names.is_empty()).then(|| format!("not in the figure, having no `{x}`: {}", names.join(", ")))
}

/// A line for each combination of the other parameters, with a band of one standard deviation over seeds.
pub(super) fn line(of: &Sweep, title: Title<'_>, results: &Comparison) -> Result<Chart> {
    let found = groups(results, &of.metric, of.protocol.as_deref())?;
    let along = with_axis(&found, &of.x);
    let lists = by_axis(&found, &of.x)?;
    if lists.iter().flat_map(|(_, list)| list).any(|(value, _)| !value.is_number()) {
        return Err(Fault::data(format!("the axis `{}` has values that are no numbers", of.x))
            .help("draw it as bars: `figure: {kind: bars, …}`"));
    }
    let series = lists.into_iter().map(|(name, list)| {
        let points = list.iter().filter_map(|(value, spread)| {
            let point = Point::new(value.as_f64()?, spread.mean);
            Some(spread.sd.map_or(point, |sd| point.spread(sd)))
        });
        let points: Vec<Point> = points.collect();
        Series { name, points, best: None }
    });
    Ok(Chart::Line(LineChart {
        title: title(format!("{} by {}{}", of.metric, of.x, ranking(&found))),
        x: axis(&of.x, of.log_x),
        y: Axis::new(of.metric.clone()),
        series: series.collect(),
        best_label: None,
        band_label: deviation(&along),
    }))
}

/// Groups of bars, with error bars of one standard deviation over seeds.
pub(super) fn bars(of: &Bars, title: Title<'_>, results: &Comparison) -> Result<Chart> {
    let found = groups(results, &of.metric, of.protocol.as_deref())?;
    let bar = |spread: &Spread| {
        let bar = Bar::new(spread.mean);
        spread.sd.map_or(bar, |sd| bar.spread(sd))
    };
    let (category, names, series) = match &of.x {
        None => {
            let names = labels(found.iter().map(|(group, _)| (group.stage.as_str(), &group.cell)));
            let bars = found.iter().map(|(_, spread)| bar(spread)).collect();
            ("", names, vec![BarSeries { name: of.metric.clone(), bars }])
        }
        Some(x) => {
            let values = values(found.iter().map(|(group, _)| &group.cell), x);
            let series = by_axis(&found, x)?.into_iter().map(|(name, list)| {
                let of_value = |value: &Value| list.iter().find(|(other, _)| *other == value);
                let bars =
                    values.iter().map(|value| of_value(value).map_or_else(Bar::default, |(_, spread)| bar(spread)));
                BarSeries { name, bars: bars.collect() }
            });
            (x.as_str(), values.iter().map(shown).collect(), series.collect())
        }
    };
    let default = of.x.as_ref().map_or_else(|| of.metric.clone(), |x| format!("{} by {x}", of.metric));
    let default = default + &ranking(&found);
    let along = of.x.as_ref().map_or_else(|| found.clone(), |x| with_axis(&found, x));
    Ok(Chart::Bar(BarChart {
        title: title(default),
        category: category.to_owned(),
        groups: names,
        value: Axis::new(of.metric.clone()),
        series,
        error_label: deviation(&along),
        ..BarChart::default()
    }))
}

/// A grid of means.
pub(super) fn heat(of: &Heat, title: Title<'_>, results: &Comparison) -> Result<Chart> {
    let found = groups(results, &of.metric, of.protocol.as_deref())?;
    let cells = || found.iter().map(|(group, _)| &group.cell);
    let (columns, rows) = (values(cells(), &of.x), values(cells(), &of.y));
    for (axis, values) in [(&of.x, &columns), (&of.y, &rows)] {
        if values.is_empty() {
            let there: Vec<&str> = cells().flat_map(|cell| cell.keys()).map(String::as_str).collect();
            return Err(nothing(format!("no result is of a matrix with the axis `{axis}`"), &there));
        }
    }
    let mut grid = vec![vec![None; columns.len()]; rows.len()];
    for (group, spread) in &found {
        let place = |axis: &String, values: &[Value]| {
            group.cell.get(axis).and_then(|value| values.iter().position(|other| other == value))
        };
        let (Some(column), Some(row)) = (place(&of.x, &columns), place(&of.y, &rows)) else { continue };
        if grid[row][column].replace(spread.mean).is_some() {
            return Err(Fault::data(format!(
                "several results have the same `{}` and `{}`: other parameters vary as well",
                of.x, of.y
            ))
            .help("compare only the runs that differ in these two, or draw lines or bars"));
        }
    }
    Ok(Chart::Heat(HeatMap {
        title: title(format!("{}{}", of.metric, ranking(&found))),
        x: of.x.clone(),
        columns: columns.iter().map(shown).collect(),
        y: of.y.clone(),
        rows: rows.iter().map(shown).collect(),
        value: Axis::new(of.metric.clone()),
        cells: grid,
        digits: None,
        better: if is_of_lists(&of.metric) { Better::None } else { Better::Higher },
    }))
}
