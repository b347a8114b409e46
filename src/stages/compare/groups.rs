//! Runs that differ in nothing but their seed, and what their metrics have in common.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::artifacts::cells::{Cell, group, labels};
use crate::artifacts::comparison::{Group, Row, Spread};
use crate::stage::{Fault, Result};
use crate::stats::summary::summarise;

/// The runs of a group by position among all runs, with the seed that each has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Members {
    pub(super) group: Group,
    /// Positions among the rows, in their order.
    pub(super) rows: Vec<usize>,
    /// The value on the axis of repetitions, as JSON; empty where a run has none.
    pub(super) seeds: Vec<String>,
}

/// Puts runs together that have the same stage, protocol and coordinates but for `repeat`, in the order of the first of
/// each.
pub(super) fn groups(rows: &[Row], repeat: &str, level: f64) -> Result<Vec<Members>> {
    let together = group(rows.iter().map(|row| (row.stage.as_str(), &row.cell, row.protocol.as_str())), repeat);
    let seed = |row: &usize| rows[*row].cell.get(repeat).map_or_else(String::new, Value::to_string);
    let members = |(stage, cell, places): (String, Cell, Vec<usize>)| Members {
        seeds: places.iter().map(seed).collect(),
        group: Group {
            name: String::new(),
            stage,
            cell,
            protocol: rows[places[0]].protocol.clone(),
            is_baseline: false,
            runs: places.len(),
            model_seconds: None,
            metrics: Vec::new(),
        },
        rows: places,
    };
    let mut found: Vec<Members> = together.into_iter().map(members).collect();
    let names = labels(found.iter().map(|members| (members.group.stage.as_str(), &members.group.cell)));
    for (members, name) in found.iter_mut().zip(names) {
        members.group.name = name;
    }
    for members in &mut found {
        let of = |place: &usize| &rows[*place];
        let times: Option<Vec<f64>> = members.rows.iter().map(|place| of(place).model_seconds).collect();
        members.group.model_seconds = times.map(|times| times.iter().sum::<f64>() / times.len().max(1) as f64);
        let names = of(&members.rows[0]).figures().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        for metric in names {
            let values: Vec<f64> = members.rows.iter().filter_map(|place| of(place).figure(&metric)).collect();
            if values.is_empty() {
                continue;
            }
            let summary = summarise(&values, level).map_err(Fault::failed)?;
            members.group.metrics.push(Spread {
                metric,
                n: summary.n,
                mean: summary.mean,
                sd: summary.sd,
                interval: summary.interval.map(|interval| (interval.low, interval.high)),
                difference: None,
                percent: None,
            });
        }
    }
    Ok(found)
}

/// What a group is known by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) name: &'a str,
    pub(super) stage: &'a str,
    pub(super) cell: &'a Cell,
    pub(super) protocol: &'a str,
}

impl Members {
    pub(super) fn known(&self) -> Known<'_> {
        let Group { name, stage, cell, protocol, .. } = &self.group;
        Known { name, stage, cell, protocol }
    }
}

/// Which group others are compared with, by the stage or by coordinates that one group alone has.
///
/// # Errors
/// When none has them, or several.
pub(super) fn find_baseline(found: &[Known<'_>], baseline: &Baseline, protocol: &str) -> Result<usize> {
    let matching = |of: Option<&str>, same: fn(&Value, &Value) -> bool| {
        let matches = |group: &Known<'_>| match baseline {
            Baseline::Stage(stage) => group.stage == stage || group.name == stage,
            Baseline::Cell(cell) => {
                cell.iter().all(|(axis, value)| group.cell.get(axis).is_some_and(|other| same(value, other)))
            }
        };
        let places = found.iter().enumerate();
        let places = places.filter(|(_, group)| of.is_none_or(|of| group.protocol == of) && matches(group));
        places.map(|(place, _)| place).collect::<Vec<usize>>()
    };
    // As they are written first: a matrix may have both `1` and `1.0`.
    let exact = matching(Some(protocol), |one, other| one == other);
    let places = if exact.is_empty() { matching(Some(protocol), same) } else { exact };
    let names = |places: &[usize]| {
        let names: Vec<String> = places.iter().take(5).map(|place| format!("`{}`", found[*place].name)).collect();
        names.join(", ") + if places.len() > 5 { ", …" } else { "" }
    };
    match places[..] {
        [place] => Ok(place),
        [] if !matching(None, same).is_empty() => {
            Err(Fault::data(format!("the `baseline` has no results of the protocol `{protocol}`, which others have")).help(
                "compare runs of the same protocols: an evaluation is of `sampled` with a `pool`, and of `full` without one \
                 or with `full: true`",
            ))
        }
        [] => {
            let all: Vec<usize> = (0..found.len()).filter(|place| found[*place].protocol == protocol).collect();
            Err(Fault::data("no run is the `baseline`")
                .help(format!("give the stage or the coordinates of one of {}", names(&all))))
        }
        _ => Err(Fault::data(format!("{} groups of runs are the `baseline`: {}", places.len(), names(&places)))
            .help("give more coordinates, so that one group is left")),
    }
}

/// Whether two coordinates are the same; numbers by value.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && other.is_number() && one.as_f64() == other.as_f64())
}

/// What others are compared with.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(super) enum Baseline {
    /// The name of an evaluating stage, or of a group.
    Stage(String),
    /// Coordinates, such as `{gamma: 0, alpha: 0.5}`.
    Cell(BTreeMap<String, Value>),
}

/// Fills in how each group differs from the baseline.
pub(super) fn differences(found: &mut [Members], baseline: usize) {
    let base = found[baseline].group.clone();
    for members in found.iter_mut().filter(|members| members.group.protocol == base.protocol) {
        members.group.is_baseline = members.group.name == base.name;
        if members.group.is_baseline {
            continue;
        }
        for spread in &mut members.group.metrics {
            let Some(other) = base.metrics.iter().find(|other| other.metric == spread.metric) else { continue };
            let difference = spread.mean - other.mean;
            spread.difference = Some(difference);
            // In per cent of nothing, no number is right.
            spread.percent = (other.mean != 0.0).then(|| 100.0 * difference / other.mean.abs());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::artifacts::metrics::Means;

    pub(in super::super) fn row(stage: &str, cell: Value, value: f64) -> Row {
        Row {
            stage: stage.to_owned(),
            cell: serde_json::from_value(cell).unwrap(),
            protocol: "sampled".to_owned(),
            n_users: 3,
            metrics: [("hr@10".to_owned(), Some(value))].into_iter().collect(),
            popularity: None,
            lists: Means::default(),
            chosen_on: None,
            seconds: 0.1,
            key: "k".to_owned(),
            model_seconds: Some(value),
            model_key: None,
        }
    }

    fn found() -> Vec<Members> {
        let rows = [
            row("e[gamma=0,seed=1]", json!({"gamma": 0, "seed": 1}), 0.5),
            row("e[gamma=2,seed=1]", json!({"gamma": 2, "seed": 1}), 0.4),
            row("e[gamma=0,seed=2]", json!({"gamma": 0, "seed": 2}), 0.7),
        ];
        groups(&rows, "seed", 0.95).unwrap()
    }

    #[test]
    fn runs_that_differ_in_their_seed_are_one_group() {
        let found = found();
        let names: Vec<&str> = found.iter().map(|members| members.group.name.as_str()).collect();
        assert_eq!(names, ["gamma=0", "gamma=2"]);
        assert_eq!((&found[0].rows[..], &found[0].seeds[..]), (&[0, 2][..], &["1".to_owned(), "2".to_owned()][..]));
        let spread = &found[0].group.metrics[0];
        // sd of (0.5, 0.7) is 0.2 / sqrt(2); the mean of two values has 1 degree of freedom, t = 12.7062.
        assert!((spread.mean - 0.6).abs() < 1e-12 && (spread.sd.unwrap() - 0.2 / 2f64.sqrt()).abs() < 1e-12);
        assert!((spread.interval.unwrap().1 - (0.6 + 12.706_204_736 * 0.1)).abs() < 1e-8);
        assert_eq!(found[1].group.metrics[0].sd, None);
    }

    #[test]
    fn a_baseline_is_one_group() {
        let found = found();
        let known: Vec<Known<'_>> = found.iter().map(Members::known).collect();
        let find_baseline = |baseline: &Baseline| find_baseline(&known, baseline, "sampled");
        let cell = |value: Value| Baseline::Cell(serde_json::from_value(value).unwrap());
        assert_eq!(find_baseline(&cell(json!({"gamma": 2}))).unwrap(), 1);
        assert_eq!(find_baseline(&cell(json!({"gamma": 2.0}))).unwrap(), 1);
        let error = find_baseline(&cell(json!({"gamma": 3}))).unwrap_err();
        assert!(error.help.unwrap().contains("`gamma=0`, `gamma=2`"));
        let error = find_baseline(&Baseline::Stage("e".to_owned())).unwrap_err();
        assert_eq!(error.message, "2 groups of runs are the `baseline`: `gamma=0`, `gamma=2`");
    }

    #[test]
    fn differences_are_to_the_baseline() {
        let mut found = found();
        differences(&mut found, 0);
        let spread = &found[1].group.metrics[0];
        assert!(
            (spread.difference.unwrap() + 0.2).abs() < 1e-12 && (spread.percent.unwrap() + 100.0 / 3.0).abs() < 1e-9
        );
        assert!(found[0].group.is_baseline && found[0].group.metrics[0].difference.is_none());
    }
}
