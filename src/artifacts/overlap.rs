//! How far recommendations agree, and how they spread: `overlap.json`, and the same as tables.

use std::collections::BTreeMap;

use polars::prelude::{Column, IntoColumn, NamedFrom, Series};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifacts::frames::save;
use crate::data::frame::{self, FrameMeta};
use crate::stage::{Artifact, ArtifactDir, Context, Fault, FileSpec, Result};

const JSON: &str = "overlap.json";
/// A row for each pair of recommendations and each `k`.
const PAIRS: &str = "overlap.parquet";
/// A row for each of the recommendations and each `k`.
const LISTS: &str = "lists.parquet";

/// The content of `overlap.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// The persistence of rank-biased overlap.
    pub p: f64,
    /// Each pair of recommendations, `k` by `k`.
    pub pairs: Vec<PairRow>,
    /// Each of the recommendations, `k` by `k`.
    pub lists: Vec<ListsRow>,
}

/// How far two recommendations agree: means over users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairRow {
    /// The stage that made the one, with its cell.
    pub one: String,
    /// The stage that made the other.
    pub other: String,
    /// How many items of each list are looked at.
    pub k: usize,
    /// Users with a list of either.
    pub users: usize,
    /// Users with a list of one only, who count as without agreement.
    pub of_one_only: usize,
    /// `|A ∩ B| / k`.
    pub overlap: f64,
    /// `|A ∩ B| / |A ∪ B|`.
    pub jaccard: f64,
    /// Rank-biased overlap.
    pub rank_biased_overlap: f64,
    /// The share of users with the same items in the same order.
    pub identical: f64,
}

/// How recommendations spread over the catalogue, and how popular they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListsRow {
    /// The stage that made them, with its cell.
    pub stage: String,
    /// The matrix coordinates of that stage, axis by axis.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cell: BTreeMap<String, Value>,
    /// How many items of each list are looked at.
    pub k: usize,
    /// Users with a list.
    pub users: usize,
    /// Users whose list is shorter than `k`.
    pub short: usize,
    /// The share of the catalogue that is recommended to anybody.
    pub coverage: Option<f64>,
    /// The Gini index of exposure over the catalogue.
    pub gini: Option<f64>,
    /// How many users have a recommended item in training, on average; with a split only, as what follows.
    pub popularity: Option<f64>,
    /// The place of a recommended item by popularity, from 1, on average.
    pub popularity_rank: Option<f64>,
    /// The self-information of a recommended item in bits, on average.
    pub novelty: Option<f64>,
}

impl Overlap {
    /// Writes all files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, kind: &str, context: &Context<'_>) -> Result<()> {
        context.write_json(JSON, self)?;
        let meta = FrameMeta::of(kind);
        save(context, PAIRS, &frame::frame(self.pairs.len(), self.pair_columns())?, &meta)?;
        save(context, LISTS, &frame::frame(self.lists.len(), self.list_columns())?, &meta)
    }

    fn pair_columns(&self) -> Vec<Column> {
        let rows = &self.pairs;
        vec![
            text("one", rows, |row| &row.one),
            text("other", rows, |row| &row.other),
            count("k", rows, |row| row.k),
            count("users", rows, |row| row.users),
            count("of_one_only", rows, |row| row.of_one_only),
            number("overlap", rows, |row| Some(row.overlap)),
            number("jaccard", rows, |row| Some(row.jaccard)),
            number("rank_biased_overlap", rows, |row| Some(row.rank_biased_overlap)),
            number("identical", rows, |row| Some(row.identical)),
        ]
    }

    fn list_columns(&self) -> Vec<Column> {
        let rows = &self.lists;
        vec![
            text("stage", rows, |row| &row.stage),
            count("k", rows, |row| row.k),
            count("users", rows, |row| row.users),
            count("short", rows, |row| row.short),
            number("coverage", rows, |row| row.coverage),
            number("gini", rows, |row| row.gini),
            number("popularity", rows, |row| row.popularity),
            number("popularity_rank", rows, |row| row.popularity_rank),
            number("novelty", rows, |row| row.novelty),
        ]
    }
}

fn text<R>(name: &str, rows: &[R], of: fn(&R) -> &String) -> Column {
    Series::new(name.into(), rows.iter().map(|row| of(row).as_str()).collect::<Vec<&str>>()).into_column()
}

fn count<R>(name: &str, rows: &[R], of: fn(&R) -> usize) -> Column {
    Series::new(name.into(), rows.iter().map(|row| of(row) as i64).collect::<Vec<i64>>()).into_column()
}

fn number<R>(name: &str, rows: &[R], of: fn(&R) -> Option<f64>) -> Column {
    Series::new(name.into(), rows.iter().map(of).collect::<Vec<Option<f64>>>()).into_column()
}

impl Artifact for Overlap {
    const KIND: &'static str = "overlap";
    const FILES: &'static [FileSpec] = &[FileSpec::always(JSON), FileSpec::always(PAIRS), FileSpec::always(LISTS)];

    fn load(dir: &ArtifactDir) -> Result<Self> {
        serde_json::from_slice(&dir.read(JSON)?).map_err(|error| {
            Fault::data(format!("`{JSON}` of stage `{}` is not what this program writes: {error}", dir.producer))
                .help(format!("run it again with `--force {}`", dir.producer))
        })
    }
}
