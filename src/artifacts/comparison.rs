//! Results of several runs side by side: `results.parquet` and the same in `results.json`.

use std::collections::BTreeMap;

use polars::prelude::{Column, IntoColumn, NamedFrom, Series};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifacts::frames::save;
use crate::artifacts::metrics::Means;
use crate::data::frame::{self, FrameMeta};
use crate::stage::{Artifact, ArtifactDir, Context, Fault, FileSpec, Result};

/// The file for people and scripts.
const JSON: &str = "results.json";
/// The file for queries.
const TABLE: &str = "results.parquet";

/// All results, in the order in which the runs are connected, protocol by protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// One for each run and protocol.
    pub rows: Vec<Row>,
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
}

impl Comparison {
    /// Writes both files. The table has the columns `stage`, `axis_<name>` for each axis of any run, `protocol`,
    /// `n_users`, and each metric (`hr@10` as `hr_10`), null where a run has no such coordinate or metric.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, kind: &str, context: &Context<'_>) -> Result<()> {
        context.write_json(JSON, self)?;
        let frame = frame::frame(self.rows.len(), self.columns())?;
        save(context, TABLE, &frame, &FrameMeta::of(kind))
    }

    fn columns(&self) -> Vec<Column> {
        let text = |name: &str, of: fn(&Row) -> &str| {
            Series::new(name.into(), self.rows.iter().map(of).collect::<Vec<&str>>()).into_column()
        };
        let mut axes: Vec<&str> = self.rows.iter().flat_map(|row| row.cell.keys()).map(String::as_str).collect();
        axes.sort_unstable();
        axes.dedup();
        // In the order of their first appearance, so that `hr_5` comes before `hr_10`.
        let mut metrics: Vec<&str> = Vec::new();
        for (name, _) in self.rows.iter().flat_map(|row| row.metrics.iter()) {
            if !metrics.contains(&name) {
                metrics.push(name);
            }
        }
        let mut columns = vec![text("stage", |row| &row.stage)];
        columns.extend(axes.iter().map(|axis| {
            let values: Vec<Option<&Value>> = self.rows.iter().map(|row| row.cell.get(*axis)).collect();
            axis_column(&format!("axis_{axis}"), &values)
        }));
        columns.push(text("protocol", |row| &row.protocol));
        let users: Vec<i64> = self.rows.iter().map(|row| row.n_users as i64).collect();
        columns.push(Series::new("n_users".into(), users).into_column());
        columns.extend(metrics.iter().map(|name| {
            let values: Vec<Option<f64>> = self.rows.iter().map(|row| row.metrics.get(name)).collect();
            Series::new(name.replace('@', "_").into(), values).into_column()
        }));
        columns
    }
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
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let values: Vec<Option<String>> = values.iter().map(|value| value.map(text)).collect();
        Series::new(name, values)
    }
    .into_column()
}

impl Artifact for Comparison {
    const KIND: &'static str = "comparison";
    const FILES: &'static [FileSpec] = &[FileSpec::always(JSON), FileSpec::always(TABLE)];

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
        let columns = Comparison { rows }.columns();
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
