//! Results of several runs side by side, as tables for queries and for papers.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::{Column, IntoColumn, NamedFrom, Series};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifacts::cells::{distinct, shown};
use crate::artifacts::frames::save;
use crate::artifacts::metrics::Means;
use crate::data::frame::{self, FrameMeta};
use crate::stage::{Artifact, ArtifactDir, Context, Fault, FileSpec, Result};

/// The file for people and scripts.
const JSON: &str = "results.json";
/// The file for queries.
const TABLE: &str = "results.parquet";

/// The file of groups: runs that differ in nothing but their seed.
const GROUPS: &str = "groups.parquet";
/// The file of tests against the baseline.
const TESTS: &str = "tests.parquet";

/// All results, in the order in which the runs are connected, protocol by protocol.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The metrics that tables show, in their order.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// One for each run and protocol.
    pub rows: Vec<Row>,
    /// One for each group of runs and protocol.
    pub groups: Vec<Group>,
    /// One for each hypothesis about a group and the baseline.
    pub tests: Vec<Test>,
}

/// What one protocol found in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The name of the evaluating stage, with its cell.
    pub stage: String,
    /// The matrix coordinates of that stage, axis by axis.
    pub cell: BTreeMap<String, Value>,
    /// `full` or `sampled`.
    pub protocol: String,
    /// How many users the means are over.
    pub n_users: usize,
    /// The means.
    pub metrics: Means,
    /// Those of the popularity baseline, if the run has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub popularity: Option<Means>,
    /// What the lists of all users show as a whole, in the full protocol.
    #[serde(default, skip_serializing_if = "Means::is_empty")]
    pub lists: Means,
    /// The part of the split by which the epoch of the model was chosen and which judges it here as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_on: Option<String>,
    /// How long the evaluation took.
    pub seconds: f64,
    /// The key of the evaluation.
    pub key: String,
    /// How long the model took to be made.
    pub model_seconds: Option<f64>,
    /// The key of the stage that made the model.
    pub model_key: Option<String>,
}

impl Row {
    /// All figures in order: those of users first, then those of all lists together.
    pub fn figures(&self) -> impl Iterator<Item = (&str, Option<f64>)> {
        self.metrics.iter().chain(self.lists.iter())
    }

    /// The figure of this name.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).or_else(|| self.lists.get(name))
    }
}

/// Runs that differ in nothing but their seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// What tells it from the others: stage and coordinates.
    pub name: String,
    /// The evaluating stage, without its cell.
    pub stage: String,
    /// Its coordinates, without the seed.
    pub cell: BTreeMap<String, Value>,
    /// `full` or `sampled`.
    pub protocol: String,
    /// Whether others are compared with it.
    pub is_baseline: bool,
    /// How many runs it has.
    pub runs: usize,
    /// The mean time to make a model.
    pub model_seconds: Option<f64>,
    /// The metrics over the runs, in the order of the evaluation, then the figures of all lists together.
    pub metrics: Vec<Spread>,
}

/// A metric over the runs of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The metric.
    pub metric: String,
    /// How many runs have a value.
    pub n: usize,
    /// The mean over runs.
    pub mean: f64,
    /// The sample standard deviation over runs; none for a single run.
    pub sd: Option<f64>,
    /// The ends of the confidence interval of the mean (Student's t over runs).
    pub interval: Option<(f64, f64)>,
    /// Mean minus that of the baseline.
    pub difference: Option<f64>,
    /// The difference in per cent of the baseline's mean.
    pub percent: Option<f64>,
}

/// One hypothesis about a group and the baseline, tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// The group.
    pub group: String,
    /// The group that it is compared with.
    pub baseline: String,
    /// `full` or `sampled`.
    pub protocol: String,
    /// The metric.
    pub metric: String,
    /// What is paired: `users` or `seeds`.
    pub over: String,
    /// The test in words.
    pub test: String,
    /// `two-sided`, `greater` or `less`: the direction of the claim.
    pub alternative: String,
    /// What a small p-value speaks for.
    pub hypothesis: String,
    /// How many pairs.
    pub n: usize,
    /// Mean of the paired differences, group minus baseline.
    pub difference: Option<f64>,
    /// The ends of the confidence interval of the mean difference, where the test has one.
    pub interval: Option<(f64, f64)>,
    /// The test's statistic.
    pub statistic: Option<f64>,
    /// The p-value.
    pub p: Option<f64>,
    /// The p-value after the correction for the number of hypotheses.
    pub p_adjusted: Option<f64>,
    /// How p-values are corrected, and for how many hypotheses.
    pub correction: String,
    /// Whether the adjusted p-value is below the level.
    pub is_significant: Option<bool>,
    /// Cohen's d of the paired differences, mean over standard deviation.
    pub d_z: Option<f64>,
    /// The matched-pairs rank-biserial correlation.
    pub rank_biserial: Option<f64>,
    /// Why there is no p-value.
    pub why_not: Option<String>,
}

/// The test that marks in tables come from.
#[derive(Debug, Clone, Copy)]
pub struct Marking<'a> {
    over: &'a str,
    family: &'a str,
}

impl<'a> Marking<'a> {
    /// The first test over users if there is any, since seeds are few; else the first.
    pub fn of(tests: &'a [Test]) -> Option<Self> {
        let test = tests.iter().find(|test| test.over == "users").or(tests.first())?;
        Some(Self { over: &test.over, family: test.family() })
    }

    /// Whether the test is this one.
    pub fn is(&self, test: &Test) -> bool {
        (test.over.as_str(), test.family()) == (self.over, self.family)
    }
}

impl std::fmt::Display for Marking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} over {}", self.family, self.over)
    }
}

impl Test {
    /// The name of the test without what differs from group to group.
    fn family(&self) -> &str {
        self.test.split_once(',').map_or(&*self.test, |(name, _)| name)
    }
}

impl Comparison {
    /// Writes the files. `results.parquet` has the columns `stage`, `axis_<name>` for each axis of any run, `protocol`,
    /// `n_users`, each metric (`hr@10` as `hr_10`), null where a run has no such coordinate or metric, and then `seconds`,
    /// `key`, `model_seconds` and `model_key`. `groups.parquet` is long: a row for each group, protocol and metric.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, kind: &str, context: &Context<'_>) -> Result<()> {
        context.write_json(JSON, self)?;
        let meta = FrameMeta::of(kind);
        save(context, TABLE, &frame::frame(self.rows.len(), self.columns())?, &meta)?;
        let groups: usize = self.groups.iter().map(|group| group.metrics.len()).sum();
        save(context, GROUPS, &frame::frame(groups, self.group_columns())?, &meta)?;
        save(context, TESTS, &frame::frame(self.tests.len(), self.test_columns())?, &meta)
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns = vec![text("stage", self.rows.iter().map(|row| row.stage.as_str()))];
        columns.extend(axes(self.rows.iter().map(|row| &row.cell)));
        let metrics = distinct(self.rows.iter().flat_map(Row::figures).map(|(name, _)| name));
        columns.push(text("protocol", self.rows.iter().map(|row| row.protocol.as_str())));
        columns.push(whole("n_users", self.rows.iter().map(|row| row.n_users)));
        columns.extend(
            metrics.iter().map(|name| number(&name.replace('@', "_"), self.rows.iter().map(|row| row.figure(name)))),
        );
        columns.push(number("seconds", self.rows.iter().map(|row| Some(row.seconds))));
        columns.push(text("key", self.rows.iter().map(|row| row.key.as_str())));
        columns.push(number("model_seconds", self.rows.iter().map(|row| row.model_seconds)));
        columns.push(maybe_text("model_key", self.rows.iter().map(|row| row.model_key.as_deref())));
        columns
    }

    fn group_columns(&self) -> Vec<Column> {
        let long = || self.groups.iter().flat_map(|group| group.metrics.iter().map(move |spread| (group, spread)));
        let mut columns = vec![text("group", long().map(|(group, _)| group.name.as_str()))];
        columns.push(text("stage", long().map(|(group, _)| group.stage.as_str())));
        columns.extend(axes(long().map(|(group, _)| &group.cell)));
        columns.extend([
            text("protocol", long().map(|(group, _)| group.protocol.as_str())),
            truth("is_baseline", long().map(|(group, _)| Some(group.is_baseline))),
            text("metric", long().map(|(_, spread)| spread.metric.as_str())),
            whole("n", long().map(|(_, spread)| spread.n)),
            number("mean", long().map(|(_, spread)| Some(spread.mean))),
            number("sd", long().map(|(_, spread)| spread.sd)),
            number("ci_low", long().map(|(_, spread)| spread.interval.map(|ends| ends.0))),
            number("ci_high", long().map(|(_, spread)| spread.interval.map(|ends| ends.1))),
            number("difference", long().map(|(_, spread)| spread.difference)),
            number("percent", long().map(|(_, spread)| spread.percent)),
            number("model_seconds", long().map(|(group, _)| group.model_seconds)),
        ]);
        columns
    }

    fn test_columns(&self) -> Vec<Column> {
        let all = || self.tests.iter();
        vec![
            text("group", all().map(|test| test.group.as_str())),
            text("baseline", all().map(|test| test.baseline.as_str())),
            text("protocol", all().map(|test| test.protocol.as_str())),
            text("metric", all().map(|test| test.metric.as_str())),
            text("over", all().map(|test| test.over.as_str())),
            text("test", all().map(|test| test.test.as_str())),
            text("alternative", all().map(|test| test.alternative.as_str())),
            text("hypothesis", all().map(|test| test.hypothesis.as_str())),
            whole("n", all().map(|test| test.n)),
            number("difference", all().map(|test| test.difference)),
            number("ci_low", all().map(|test| test.interval.map(|ends| ends.0))),
            number("ci_high", all().map(|test| test.interval.map(|ends| ends.1))),
            number("statistic", all().map(|test| test.statistic)),
            number("p", all().map(|test| test.p)),
            number("p_adjusted", all().map(|test| test.p_adjusted)),
            text("correction", all().map(|test| test.correction.as_str())),
            truth("is_significant", all().map(|test| test.is_significant)),
            number("d_z", all().map(|test| test.d_z)),
            number("rank_biserial", all().map(|test| test.rank_biserial)),
            maybe_text("why_not", all().map(|test| test.why_not.as_deref())),
        ]
    }
}

fn text<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Column {
    Series::new(name.into(), values.collect::<Vec<&str>>()).into_column()
}

fn maybe_text<'a>(name: &str, values: impl Iterator<Item = Option<&'a str>>) -> Column {
    Series::new(name.into(), values.collect::<Vec<Option<&str>>>()).into_column()
}

fn number(name: &str, values: impl Iterator<Item = Option<f64>>) -> Column {
    Series::new(name.into(), values.collect::<Vec<Option<f64>>>()).into_column()
}

fn truth(name: &str, values: impl Iterator<Item = Option<bool>>) -> Column {
    Series::new(name.into(), values.collect::<Vec<Option<bool>>>()).into_column()
}

fn whole(name: &str, values: impl Iterator<Item = usize>) -> Column {
    Series::new(name.into(), values.map(|value| value as i64).collect::<Vec<i64>>()).into_column()
}

/// A column for each axis that any cell has.
fn axes<'a>(cells: impl Iterator<Item = &'a BTreeMap<String, Value>>) -> Vec<Column> {
    let cells: Vec<&BTreeMap<String, Value>> = cells.collect();
    let names: BTreeSet<&String> = cells.iter().flat_map(|cell| cell.keys()).collect();
    let column = |axis: &String| {
        let values: Vec<Option<&Value>> = cells.iter().map(|cell| cell.get(axis)).collect();
        axis_column(&format!("axis_{axis}"), &values)
    };
    names.into_iter().map(column).collect()
}

/// A column of Booleans, whole numbers, numbers or, where nothing narrower holds all values, text.
fn axis_column(name: &str, values: &[Option<&Value>]) -> Column {
    fn all<'a, T>(values: &[Option<&'a Value>], of: impl Fn(&'a Value) -> Option<T>) -> Option<Vec<Option<T>>> {
        values.iter().map(|value| value.map_or(Some(None), |value| of(value).map(Some))).collect()
    }
    let name = name.into();
    if let Some(values) = all(values, Value::as_bool) {
        Series::new(name, values)
    } else if let Some(values) = all(values, Value::as_i64) {
        Series::new(name, values)
    } else if let Some(values) = all(values, Value::as_f64) {
        Series::new(name, values)
    } else {
        let values: Vec<Option<String>> = values.iter().map(|value| value.map(shown)).collect();
        Series::new(name, values)
    }
    .into_column()
}

impl Artifact for Comparison {
    const KIND: &'static str = "comparison";
    const FILES: &'static [FileSpec] = &[
        FileSpec::always(JSON),
        FileSpec::always(TABLE),
        FileSpec::always(GROUPS),
        FileSpec::always(TESTS),
        FileSpec::always("table.txt"),
        FileSpec::always("table.md"),
        FileSpec::always("table.tex"),
        FileSpec::always("table.csv"),
    ];

    fn load(dir: &ArtifactDir) -> Result<Self> {
        let bytes = dir.read(JSON)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Fault::data(format!("`{JSON}` of stage `{}` is not what this program writes: {error}", dir.producer))
                .help(format!("run it again with `--force {}`", dir.producer))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::DataType;
    use serde_json::json;

    fn row(stage: &str, cell: Value, metrics: &[(&str, f64)]) -> Row {
        Row {
            stage: stage.to_owned(),
            cell: serde_json::from_value(cell).unwrap(),
            protocol: "sampled".to_owned(),
            n_users: 7,
            metrics: metrics.iter().map(|(name, mean)| ((*name).to_owned(), Some(*mean))).collect(),
            popularity: None,
            lists: Means::default(),
            chosen_on: None,
            seconds: 0.5,
            key: "k".to_owned(),
            model_seconds: None,
            model_key: None,
        }
    }

    fn described(columns: &[Column]) -> Vec<(&str, DataType, usize)> {
        columns.iter().map(|column| (column.name().as_str(), column.dtype().clone(), column.null_count())).collect()
    }

    #[test]
    fn axes_and_metrics_of_all_runs_become_columns() {
        let rows = vec![
            row("a", json!({"loss": "bce", "factors": 8}), &[("hr@5", 0.5), ("hr@10", 0.6)]),
            row("b", json!({"loss": "bce", "rate": 0.5, "factors": 16}), &[("hr@10", 0.7), ("auc", 0.9)]),
        ];
        let columns = Comparison { rows, ..Comparison::default() }.columns();
        let expected = [
            ("stage", DataType::String, 0),
            ("axis_factors", DataType::Int64, 0),
            ("axis_loss", DataType::String, 0),
            ("axis_rate", DataType::Float64, 1),
            ("protocol", DataType::String, 0),
            ("n_users", DataType::Int64, 0),
            ("hr_5", DataType::Float64, 1),
            ("hr_10", DataType::Float64, 0),
            ("auc", DataType::Float64, 1),
            ("seconds", DataType::Float64, 0),
            ("key", DataType::String, 0),
            ("model_seconds", DataType::Float64, 2),
            ("model_key", DataType::String, 2),
        ];
        assert_eq!(described(&columns), expected);
    }

    #[test]
    fn an_axis_has_the_narrowest_type_that_holds_all_its_values() {
        let dtype = |values: &[Value]| {
            let values: Vec<Option<&Value>> = values.iter().map(Some).collect();
            axis_column("axis", &values).dtype().clone()
        };
        assert_eq!(dtype(&[json!(true), json!(false)]), DataType::Boolean);
        assert_eq!(dtype(&[json!(1), json!(-2)]), DataType::Int64);
        assert_eq!(dtype(&[json!(1), json!(0.5)]), DataType::Float64);
        assert_eq!(dtype(&[json!(1), json!("gmf")]), DataType::String);
        assert_eq!(dtype(&[json!([8, 4]), json!([16])]), DataType::String);
    }
}
