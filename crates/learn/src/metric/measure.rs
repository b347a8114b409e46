//! Metrics by name, as pipelines ask for them.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error as _, IntoDeserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::metric::{Ranking, auc, average_precision, hit_rate, ndcg, precision, recall, reciprocal_rank};

/// A family of ranking metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", remote = "Self")]
pub enum Metric {
    /// Hit rate: whether any positive is in the list.
    Hr,
    /// Normalised discounted cumulative gain.
    Ndcg,
    /// Share of the positives that is in the list.
    Recall,
    /// Share of the list that is positive.
    Precision,
    /// Mean reciprocal rank of the first positive: at each `k`, and of the whole ranking.
    Mrr,
    /// Mean average precision: at each `k`, and of the whole ranking.
    Map,
    /// Area under the ROC curve, of the whole ranking.
    Auc,
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Not this method: the one that `remote` derives.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if let Some(Measure { metric, k: Some(k) }) = Measure::parse(&name) {
            let family = metric.name();
            // What to do follows the line break.
            return Err(D::Error::custom(format!(
                "`{name}` is a metric and the length of a list\nwrite `metrics: [{family}]` and `k: [{k}]`"
            )));
        }
        Self::deserialize(name.into_deserializer())
    }
}

impl Metric {
    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hr => "hr",
            Self::Ndcg => "ndcg",
            Self::Recall => "recall",
            Self::Precision => "precision",
            Self::Mrr => "mrr",
            Self::Map => "map",
            Self::Auc => "auc",
        }
    }

    /// Whether it is computed at each length of the list (all but AUC).
    pub fn has_cut(self) -> bool {
        self != Self::Auc
    }

    fn has_whole(self) -> bool {
        matches!(self, Self::Mrr | Self::Map | Self::Auc)
    }
}

/// One number for each user: a metric, at the length `k` of the list or of the whole ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measure {
    metric: Metric,
    k: Option<NonZeroUsize>,
}

impl Measure {
    /// All that these metrics give at these lengths: metric by metric in the order given, `k` by `k`, the whole
    /// ranking last.
    pub fn of_all(metrics: &[Metric], lengths: &[NonZeroUsize]) -> Vec<Self> {
        let of_one = |&metric: &Metric| {
            let cuts = lengths.iter().filter(move |_| metric.has_cut()).map(move |&k| Self { metric, k: Some(k) });
            cuts.chain(metric.has_whole().then_some(Self { metric, k: None }))
        };
        metrics.iter().flat_map(of_one).collect()
    }

    /// The measure of this name, such as `ndcg@10` or `auc`.
    pub fn parse(name: &str) -> Option<Self> {
        let (family, k) = match name.split_once('@') {
            Some((family, k)) => (family, Some(k.parse().ok()?)),
            None => (name, None),
        };
        let all = [Metric::Hr, Metric::Ndcg, Metric::Recall, Metric::Precision, Metric::Mrr, Metric::Map, Metric::Auc];
        let metric = all.into_iter().find(|metric| metric.name() == family)?;
        let is_one = if k.is_some() { metric.has_cut() } else { metric.has_whole() };
        is_one.then_some(Self { metric, k })
    }

    /// The length of the list, if it is cut.
    pub fn k(&self) -> Option<NonZeroUsize> {
        self.k
    }

    /// The name in reports: `hr@10`, `auc`.
    pub fn name(&self) -> String {
        self.k.map_or_else(|| self.metric.name().to_owned(), |k| format!("{}@{k}", self.metric.name()))
    }

    /// The name of a column: `hr_10`, `auc`.
    pub fn column(&self) -> String {
        self.name().replace('@', "_")
    }

    /// The value for one user; `None` where it is not defined (AUC without negatives).
    pub fn of(&self, ranking: &Ranking) -> Option<f64> {
        match (self.metric, self.k) {
            (Metric::Hr, Some(k)) => Some(hit_rate(ranking, k)),
            (Metric::Ndcg, Some(k)) => Some(ndcg(ranking, k)),
            (Metric::Recall, Some(k)) => Some(recall(ranking, k)),
            (Metric::Precision, Some(k)) => Some(precision(ranking, k)),
            (Metric::Mrr, k) => Some(reciprocal_rank(ranking, k)),
            (Metric::Map, k) => Some(average_precision(ranking, k)),
            (Metric::Auc, _) => auc(ranking),
            // `of_all` makes no such measures.
            (Metric::Hr | Metric::Ndcg | Metric::Recall | Metric::Precision, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Metric; 7] =
        [Metric::Hr, Metric::Ndcg, Metric::Recall, Metric::Precision, Metric::Mrr, Metric::Map, Metric::Auc];

    fn measures(metrics: &[Metric], lengths: &[usize]) -> Vec<Measure> {
        let lengths: Vec<NonZeroUsize> = lengths.iter().filter_map(|&k| NonZeroUsize::new(k)).collect();
        Measure::of_all(metrics, &lengths)
    }

    #[test]
    fn names_say_the_metric_and_the_length() {
        let names: Vec<String> =
            measures(&[Metric::Hr, Metric::Mrr, Metric::Auc], &[5, 10]).iter().map(Measure::name).collect();
        assert_eq!(names, ["hr@5", "hr@10", "mrr@5", "mrr@10", "mrr", "auc"]);
        assert_eq!(measures(&[Metric::Hr], &[10])[0].column(), "hr_10");
    }

    #[test]
    fn names_are_read_back_and_others_are_not() {
        for measure in measures(&ALL, &[1, 50]) {
            assert_eq!(Measure::parse(&measure.name()), Some(measure));
        }
        for name in ["", "hr", "hr@", "hr@0", "hr@-1", "auc@10", "ndgc@10", "hr@10@5"] {
            assert_eq!(Measure::parse(name), None, "{name}");
        }
    }

    #[test]
    fn names_are_those_of_the_pipeline_file() {
        for metric in ALL {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
    }

    #[test]
    fn every_measure_has_the_value_of_its_formula() {
        let ranking = Ranking::by_counting(&mut [3.0, 1.0], &[4.0, 2.0, 1.0]).unwrap();
        let k = NonZeroUsize::new(2).unwrap();
        let values: Vec<Option<f64>> = measures(&ALL, &[2]).iter().map(|measure| measure.of(&ranking)).collect();
        let expected = [
            Some(hit_rate(&ranking, k)),
            Some(ndcg(&ranking, k)),
            Some(recall(&ranking, k)),
            Some(precision(&ranking, k)),
            Some(reciprocal_rank(&ranking, Some(k))),
            Some(reciprocal_rank(&ranking, None)),
            Some(average_precision(&ranking, Some(k))),
            Some(average_precision(&ranking, None)),
            auc(&ranking),
        ];
        assert_eq!(values, expected);
    }
}
