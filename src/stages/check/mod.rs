//! The stage `check`: a pipeline's own expectations over its metrics.

mod expect;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::checks::{self, Checks};
use crate::artifacts::metrics::{Means, Metrics, OF_POPULARITY, Protocol};
use crate::stage::{Artifact, Connected, Connections, Context, Fault, Input, Output, ParamError, Port, Result, Stage};
use crate::stages::check::expect::{Expectation, MetricName, Side};
use crate::stages::names::known;

/// Holds metrics against what is expected of them. A metric is named `stage.protocol.metric`, the stage with its cell
/// or a part of it (`evaluate[loss=bce].full.ndcg@10`); of several cells the mean is taken. `popularity.` before the
/// metric means that of the baseline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What should hold: `evaluate.sampled.hr@10 > 0.5`, `a.full.ndcg@10 ~= b.full.ndcg@10 within 1e-6`; the
    /// comparisons are `>`, `>=`, `<`, `<=`, `==`, and `~=` with `within`. Values that differ by less than a part in 10^12
    /// are equal.
    #[schemars(length(min = 1))]
    expect: Vec<String>,
    /// What happens when something does not hold.
    #[serde(default)]
    on_failure: OnFailure,
}

/// What happens when something does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnFailure {
    /// The stage fails, and what reads from it does not run.
    #[default]
    Fail,
    /// It is warned of.
    Warn,
}

impl Stage for Check {
    const KIND: &'static str = "check";
    const ABOUT: &'static str = "holds metrics against what is expected of them";
    const CHANGES: &'static [&'static str] = &["first version", "values that differ by rounding alone are equal"];
    const INPUTS: &'static [Port] = &[Port::many::<Metrics>("metrics")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Checks>("checks")];

    fn normalise(self) -> Result<Self, ParamError> {
        if self.expect.is_empty() {
            return Err(ParamError::new("expect", "nothing is expected")
                .help("try `expect: [\"evaluate.sampled.hr@10 > 0.5\"]`"));
        }
        for (place, text) in self.expect.iter().enumerate() {
            if let Err(misread) = Expectation::parse(text) {
                return Err(ParamError::new(&format!("expect.{place}"), misread.message).help(misread.help));
            }
        }
        Ok(self)
    }

    fn check_connected(&self, connected: Connections<'_>) -> Result<(), ParamError> {
        let runs = connected();
        let names: Vec<&str> = runs.iter().map(|run| run.stage.as_str()).collect();
        for (place, text) in self.expect.iter().enumerate() {
            let Ok(expectation) = Expectation::parse(text) else { continue };
            for side in [&expectation.left, &expectation.right] {
                if let Side::Metric(name) = side {
                    let found = find(name, &names);
                    let found =
                        found.and_then(|cells| cells.into_iter().try_for_each(|cell| will_have(&runs[cell], name)));
                    found.map_err(|fault| ParamError {
                        help: fault.help,
                        ..ParamError::new(&format!("expect.{place}"), format!("`{text}`: {}", fault.message))
                    })?;
                }
            }
        }
        Ok(())
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let runs: Vec<(&Input, Metrics)> =
            context.inputs("metrics").iter().map(|run| Ok((run, Metrics::load(&run.dir)?))).collect::<Result<_>>()?;
        let checks = self.expect.iter().map(|text| check(text, &runs)).collect::<Result<Vec<_>>>()?;
        let failed: Vec<&checks::Check> = checks.iter().filter(|check| !check.passed).collect();
        context.fact("checks", checks.len());
        context.fact("failed", failed.len());
        if !failed.is_empty() {
            let found: Vec<String> = failed.iter().map(|check| format!("\n  {}", found(check))).collect();
            let what = format!("{} of {} expectations do not hold:{}", failed.len(), checks.len(), found.concat());
            if self.on_failure == OnFailure::Fail {
                return Err(Fault::failed(what)
                    .help("look at what was trained; `on_failure: warn` goes on all the same and keeps the figures"));
            }
            context.warn(what);
        }
        Checks { passed: failed.is_empty(), checks }.write(context)
    }
}

fn check(text: &str, runs: &[(&Input, Metrics)]) -> Result<checks::Check> {
    // `normalise` has read all of them.
    let expectation = Expectation::parse(text).map_err(|misread| Fault::data(misread.message).help(misread.help))?;
    let value = |side: &Side| match side {
        Side::Number(value) => Ok(checks::Value { value: *value, stages: Vec::new() }),
        Side::Metric(name) => {
            look_up(name, runs).map_err(|error| Fault { message: format!("`{text}`: {}", error.message), ..error })
        }
    };
    let (left, right) = (value(&expectation.left)?, value(&expectation.right)?);
    let passed = expectation.comparison.holds(left.value, right.value);
    Ok(checks::Check { expect: text.to_owned(), passed, left, right })
}

/// The value of a metric, or the mean of those of all cells that the name fits.
fn look_up(name: &MetricName, runs: &[(&Input, Metrics)]) -> Result<checks::Value> {
    let names: Vec<&str> = runs.iter().map(|(run, _)| run.stage.as_str()).collect();
    let cells: Vec<&(&Input, Metrics)> = find(name, &names)?.into_iter().map(|place| &runs[place]).collect();
    let values: Vec<f64> = cells.iter().map(|(run, metrics)| mean(name, &run.stage, metrics)).collect::<Result<_>>()?;
    let value = values.iter().sum::<f64>() / values.len() as f64;
    Ok(checks::Value { value, stages: cells.iter().map(|(run, _)| run.stage.clone()).collect() })
}

/// The places of the runs, by their names, that a metric is of.
fn find(name: &MetricName, runs: &[&str]) -> Result<Vec<usize>> {
    let of_stage: Vec<usize> = (0..runs.len()).filter(|place| split(runs[*place]).0 == name.stage).collect();
    if of_stage.is_empty() {
        let stages = runs.iter().map(|run| split(run).0);
        return Err(Fault::data(format!("no connected stage is called `{}`", name.stage)).help(known(
            &name.stage,
            "connected to `metrics`",
            stages,
        )));
    }
    let fitting = |same: fn(&str, &str) -> bool| {
        let fits = |place: &usize| fits(runs[*place], name, same);
        of_stage.iter().copied().filter(fits).collect::<Vec<_>>()
    };
    // As it is written first: a matrix may have both `1` and `1.0`.
    let cells =
        [fitting(|wanted, axis| wanted == axis), fitting(same_value)].into_iter().find(|cells| !cells.is_empty());
    cells.ok_or_else(|| {
        let wanted = name.cell.as_deref().unwrap_or_default();
        let all = of_stage.iter().map(|place| split(runs[*place]).1);
        if all.clone().all(str::is_empty) {
            return Fault::data(format!("`{}` has no cells, and `[{wanted}]` names one", name.stage))
                .help(format!("write `{}` without brackets", name.stage));
        }
        Fault::data(format!("no cell of `{}` is `{wanted}`", name.stage)).help(known(wanted, "the cells are", all))
    })
}

/// The stage and the cell in `evaluate[loss=bce,seed=1]`.
fn split(stage: &str) -> (&str, &str) {
    stage.split_once('[').map_or((stage, ""), |(stage, cell)| (stage, cell.trim_end_matches(']')))
}

/// Whether the coordinates in the name, all or some, are those of the run.
fn fits(run: &str, name: &MetricName, same: fn(&str, &str) -> bool) -> bool {
    let cell = split(run).1;
    let has = |wanted: &str| cell.split(',').any(|axis| same(wanted, axis));
    name.cell.as_deref().is_none_or(|wanted| wanted == cell || wanted.split(',').all(has))
}

/// Whether two coordinates are of the same axis and of the same value, as `gamma=0` and `gamma=0.0` are.
fn same_value(wanted: &str, axis: &str) -> bool {
    let parts = |text: &str| {
        let (name, value) = text.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().parse::<f64>().ok()?))
    };
    wanted == axis || parts(wanted).is_some_and(|wanted| parts(axis) == Some(wanted))
}

/// Refuses a metric that the run will not have, where that is known.
fn will_have(run: &Connected, name: &MetricName) -> Result<()> {
    let (Some(there), stage) = (run.measures.as_deref(), &run.stage) else { return Ok(()) };
    let names = there.get(&name.protocol).ok_or_else(|| no_protocol(name, stage, there.keys()))?;
    let of = |name: &'_ &String| name.starts_with(OF_POPULARITY);
    let (of_baseline, own): (Vec<&String>, Vec<&String>) = names.iter().partition(of);
    if name.popularity && of_baseline.is_empty() {
        return Err(no_popularity(stage));
    }
    // The baseline has the same metrics.
    if own.contains(&&name.metric) {
        return Ok(());
    }
    let elsewhere = there.iter().find(|(_, names)| names.contains(&name.metric)).map(|(protocol, _)| protocol.as_str());
    Err(no_metric(name, stage, own.into_iter().map(String::as_str), elsewhere))
}

fn no_protocol<'a>(name: &MetricName, stage: &str, there: impl Iterator<Item = &'a String>) -> Fault {
    let error = Fault::data(format!("`{stage}` has no protocol `{}`", name.protocol));
    error.help(known(&name.protocol, "its protocols are", there.map(String::as_str)))
}

fn no_popularity(stage: &str) -> Fault {
    Fault::data(format!("`{stage}` has no popularity baseline"))
        .help("only `evaluate` makes one, with `popularity_baseline: true`")
}

/// `elsewhere` is another protocol that has it.
fn no_metric<'a>(
    name: &MetricName,
    stage: &str,
    there: impl Iterator<Item = &'a str>,
    elsewhere: Option<&str>,
) -> Fault {
    let error = Fault::data(format!("`{stage}` has no metric `{}` in the protocol `{}`", name.metric, name.protocol));
    if let Some(other) = elsewhere {
        return error.help(format!("its protocol `{other}` has it"));
    }
    let help = known(&name.metric, "its metrics are", there);
    error.help(format!("{help}; `metrics` and `k` of that stage say which are computed"))
}

fn mean(name: &MetricName, stage: &str, metrics: &Metrics) -> Result<f64> {
    let protocols = &metrics.protocols;
    let found = protocols.get(&name.protocol).ok_or_else(|| no_protocol(name, stage, protocols.keys()))?;
    let (means, lists): (&Means, Option<&Means>) = if name.popularity {
        let means = found.popularity.as_ref().ok_or_else(|| no_popularity(stage))?;
        (means, found.popularity_lists.as_ref())
    } else {
        (&found.metrics, Some(&found.lists))
    };
    let all = || means.iter().chain(lists.into_iter().flat_map(Means::iter));
    match all().find(|(metric, _)| *metric == name.metric) {
        Some((_, Some(value))) => Ok(value),
        Some((metric, None)) => Err(Fault::data(format!("`{metric}` of `{stage}` is not defined for any user"))
            .help("look at `undefined` in its `metrics.json`")),
        None => {
            let has = |found: &Protocol| {
                found.metrics.iter().chain(found.lists.iter()).any(|(other, _)| other == name.metric)
            };
            let elsewhere = protocols.iter().find(|(_, found)| has(found)).map(|(protocol, _)| protocol.as_str());
            Err(no_metric(name, stage, all().map(|(metric, _)| metric), elsewhere))
        }
    }
}

/// An expectation and both values, for a message.
fn found(check: &checks::Check) -> String {
    let side = |side: &checks::Value| match side.stages.len() {
        0 | 1 => side.value.to_string(),
        n => format!("{} (mean of {n} cells)", side.value),
    };
    format!("`{}`: {} against {}", check.expect, side(&check.left), side(&check.right))
}
