//! What an evaluation found: means in `metrics.json`, the values of each user in `per_user.parquet`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use polars::prelude::{Column, Int32Type, IntoColumn, NamedFrom, Series};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::artifacts::cells::distinct;
use crate::artifacts::frames::{read, save};
use crate::data::frame::{self, FrameMeta, USER};
use crate::stage::{Artifact, ArtifactDir, Context, Fault, FileSpec, Result};

/// The file of means.
const MEANS: &str = "metrics.json";
/// The file of values by user.
const PER_USER: &str = "per_user.parquet";

/// The content of `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The part of the split that was held out: `test` or `valid`.
    pub on: String,
    /// What each protocol found: `full`, `sampled` or both.
    pub protocols: BTreeMap<String, Protocol>,
    /// Who was evaluated.
    pub counts: UserCounts,
    /// How equal scores are treated.
    pub tie_rule: String,
    /// BLAKE3 of the file of sampled candidates, in hexadecimal: equal digests mean comparable sampled results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_digest: Option<String>,
    /// BLAKE3 of the raw ids of users, in hexadecimal: with equal digests, equal ids in `per_user.parquet` are the same
    /// users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_digest: Option<String>,
    /// The part of the split by which the epoch of the model was chosen, if it is not for that: `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_on: Option<String>,
}

/// The protocols of several evaluations, each once, sorted.
pub fn protocols<'a>(evaluations: impl Iterator<Item = &'a Metrics>) -> BTreeSet<&'a String> {
    evaluations.flat_map(|found| found.protocols.keys()).collect()
}

/// What one protocol found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// How many candidates a positive was ranked among, itself included.
    pub candidates: Range,
    /// What was masked, in the full protocol: `none`, `train` or `train_valid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// How many users the means are over.
    pub n_users: usize,
    /// The means of the model.
    pub metrics: Means,
    /// The means of recommending to everybody what is popular in training, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub popularity: Option<Means>,
    /// What the lists of all users show as a whole, in the full protocol, at each `k`: `coverage`, `gini`, `arp` and
    /// `popularity_lift`. Properties of the whole, of which no user has a value.
    #[serde(default, skip_serializing_if = "Means::is_empty")]
    pub lists: Means,
    /// The same of recommending to everybody what is popular in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub popularity_lists: Option<Means>,
    /// For how many users a metric is not defined (AUC without negatives): its mean leaves them out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub undefined: BTreeMap<String, usize>,
}

impl Protocol {
    /// The metrics of users, or the figures of all lists together.
    pub fn figures(&self, of_lists: bool) -> &Means {
        if of_lists { &self.lists } else { &self.metrics }
    }
}

/// The least, the mean and the greatest of some counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The least.
    pub min: u32,
    /// The mean.
    pub mean: f64,
    /// The greatest.
    pub max: u32,
}

impl Range {
    /// The range of some counts; all 0 if there are none.
    pub fn of(counts: &[u32]) -> Self {
        let sum: u64 = counts.iter().copied().map(u64::from).sum();
        Self {
            min: counts.iter().copied().min().unwrap_or(0),
            mean: sum as f64 / counts.len().max(1) as f64,
            max: counts.iter().copied().max().unwrap_or(0),
        }
    }
}

/// Who was evaluated, and who could hardly be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCounts {
    /// Users in the data.
    pub users: usize,
    /// Items in the data.
    pub items: usize,
    /// Users with a held-out positive.
    pub evaluated: usize,
    /// Users without one, who are in no mean.
    pub without_positive: usize,
    /// Held-out positives.
    pub positives: usize,
    /// Evaluated users without any training interaction.
    pub cold_users: usize,
    /// Held-out items that nobody has in training.
    pub cold_items: usize,
    /// Held-out positives whose item is one of these.
    pub cold_positives: usize,
}

/// Means by the name of the metric (`hr@10`), in the order of the pipeline file; `None` where no user has a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Means(Vec<(String, Option<f64>)>);

impl Means {
    /// The mean of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.iter().find(|(other, _)| *other == name).and_then(|(_, mean)| mean)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All means in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<f64>)> {
        self.0.iter().map(|(name, mean)| (name.as_str(), *mean))
    }
}

/// The names of the metrics of several runs, each once, in the order of their first appearance, so that `hr@5` comes
/// before `hr@10`.
pub fn names<'a>(runs: impl Iterator<Item = &'a Means>) -> Vec<&'a str> {
    distinct(runs.flat_map(|means| means.iter().map(|(name, _)| name)))
}

impl FromIterator<(String, Option<f64>)> for Means {
    fn from_iter<T: IntoIterator<Item = (String, Option<f64>)>>(means: T) -> Self {
        Self(means.into_iter().collect())
    }
}

impl Serialize for Means {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Means {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Means;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("numbers by the name of a metric")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Means, A::Error> {
                let mut means = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    means.push(entry);
                }
                Ok(Means(means))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Whether this is the name of a figure of the lists of all users, as `coverage@10`: no user has a value of it, and what
/// is better depends on what is wanted.
pub fn is_of_lists(name: &str) -> bool {
    name.split('@').next().is_some_and(|figure| OF_LISTS.contains(&figure))
}

/// Figures of the lists of all users together.
pub const OF_LISTS: [&str; 4] = ["coverage", "gini", "arp", "popularity_lift"];

/// What stands before the names of metrics of the popularity baseline.
pub const OF_POPULARITY: &str = "popularity.";

/// The content of `per_user.parquet`: a row for each evaluated user, ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PerUser {
    /// Dense ids.
    pub users: Vec<u32>,
    /// Int32 columns by name.
    pub counts: Vec<(String, Vec<u32>)>,
    /// Float64 columns by name, null where a value is not defined.
    pub values: Vec<(String, Vec<Option<f64>>)>,
}

impl PerUser {
    fn into_columns(self) -> Vec<Column> {
        // Ids and counts are at most the number of users or items, which fits an Int32.
        let ints = |values: Vec<u32>| -> Vec<i32> { values.into_iter().map(|value| value as i32).collect() };
        let mut columns = vec![Series::new(USER.into(), ints(self.users)).into_column()];
        columns
            .extend(self.counts.into_iter().map(|(name, values)| Series::new(name.into(), ints(values)).into_column()));
        columns.extend(self.values.into_iter().map(|(name, values)| Series::new(name.into(), values).into_column()));
        columns
    }
}

impl Metrics {
    /// Whether the model was chosen by what judges it here, so that its figures are better than for new data.
    pub fn is_chosen_here(&self) -> bool {
        self.chosen_on.as_deref() == Some(self.on.as_str())
    }

    /// Writes both files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, per_user: PerUser, kind: &str, context: &Context<'_>) -> Result<()> {
        context.write_json(MEANS, self)?;
        let meta = FrameMeta::of(kind).sized(self.counts.users, self.counts.items);
        let frame = frame::frame(per_user.users.len(), per_user.into_columns())?;
        save(context, PER_USER, &frame, &meta)
    }
}

/// The values of a metric by dense user id, without users for whom it is not defined.
pub type UserValues = Vec<(u32, f64)>;

/// Reads a column of `per_user.parquet`, such as `hr@10` of the protocol `sampled`.
///
/// # Errors
/// When the file cannot be read or has no such metric.
pub fn user_values(dir: &ArtifactDir, protocol: &str, metric: &str) -> Result<UserValues> {
    let column = format!("{protocol}_{}", metric.replace('@', "_"));
    let (frame, _) = read(dir, PER_USER, Some(&[USER, &column]))?;
    let users = frame::slice::<Int32Type>(&frame, USER)?;
    let values = frame.column(&column).and_then(|values| values.f64()).map_err(Fault::data)?;
    Ok(users.iter().zip(values.iter()).filter_map(|(user, value)| Some((u32::try_from(*user).ok()?, value?))).collect())
}

impl Artifact for Metrics {
    const KIND: &'static str = "metrics";
    const FILES: &'static [FileSpec] = &[FileSpec::always(MEANS), FileSpec::always(PER_USER)];

    /// Reads the means only.
    fn load(dir: &ArtifactDir) -> Result<Self> {
        let bytes = dir.read(MEANS)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Fault::data(format!("`{MEANS}` of stage `{}` is not what this program writes: {error}", dir.producer))
                .help(format!("run it again with `--force {}`", dir.producer))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A result of the sampled protocol whose only metric is `hr@10`.
    pub(crate) fn sampled(hit_rate: f64, pool: &str) -> Metrics {
        let protocol = Protocol {
            candidates: Range { min: 100, mean: 100.0, max: 100 },
            mask: None,
            n_users: 2,
            metrics: [("hr@10".to_owned(), Some(hit_rate))].into_iter().collect(),
            popularity: None,
            lists: Means::default(),
            popularity_lists: None,
            undefined: BTreeMap::new(),
        };
        Metrics {
            on: "test".to_owned(),
            protocols: [("sampled".to_owned(), protocol)].into(),
            counts: UserCounts {
                users: 3,
                items: 4,
                evaluated: 2,
                without_positive: 1,
                positives: 2,
                cold_users: 0,
                cold_items: 0,
                cold_positives: 0,
            },
            tie_rule: "expected".to_owned(),
            pool_digest: Some(pool.to_owned()),
            users_digest: None,
            chosen_on: None,
        }
    }

    #[test]
    fn means_keep_their_order_in_json() {
        let means: Means = [("hr@5", Some(0.1)), ("hr@10", Some(0.5)), ("auc", None)]
            .map(|(name, mean)| (name.to_owned(), mean))
            .into_iter()
            .collect();
        let text = serde_json::to_string(&means).unwrap();
        assert_eq!(text, r#"{"hr@5":0.1,"hr@10":0.5,"auc":null}"#);
        assert_eq!(serde_json::from_str::<Means>(&text).unwrap(), means);
        assert_eq!((means.get("hr@10"), means.get("auc"), means.get("hr@1")), (Some(0.5), None, None));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let metrics = sampled(0.25, "ab");
        let text = serde_json::to_string_pretty(&metrics).unwrap();
        assert_eq!(serde_json::from_str::<Metrics>(&text).unwrap(), metrics);
    }

    #[test]
    fn a_range_has_least_mean_and_greatest() {
        assert_eq!(Range::of(&[3, 1, 5]), Range { min: 1, mean: 3.0, max: 5 });
        assert_eq!(Range::of(&[]), Range { min: 0, mean: 0.0, max: 0 });
    }
}
