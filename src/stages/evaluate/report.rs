//! From the tables of an evaluation to what is written and said about it.

use std::collections::BTreeMap;

use crate::artifacts::metrics::{Means, OF_LISTS, PerUser, Protocol, Range};
use crate::data::csr::Csr;
use crate::eval::{Evaluation, Reached, Table};
use crate::metric::Measure;

/// What was found for the model and the baseline, with the names of the columns.
pub(super) struct Found<'a> {
    /// The measures of all tables, in order.
    pub(super) measures: &'a [Measure],
    /// The lengths of the lists.
    pub(super) lengths: &'a [usize],
    /// The model.
    pub(super) model: &'a Evaluation,
    /// The popularity baseline, ranked for the same users by the same protocols.
    pub(super) popularity: Option<&'a Evaluation>,
    /// What the full protocol masks.
    pub(super) mask: &'static str,
}

impl Found<'_> {
    /// The protocols that were asked for, by name.
    fn tables(&self) -> impl Iterator<Item = (&'static str, &Table)> {
        [("sampled", &self.model.sampled), ("full", &self.model.full)]
            .into_iter()
            .filter_map(|(name, table)| Some((name, table.as_ref()?)))
    }

    /// Means over users, protocol by protocol.
    pub(super) fn protocols(&self) -> BTreeMap<String, Protocol> {
        let popularity = |name: &str| match name {
            "full" => self.popularity?.full.as_ref(),
            _ => self.popularity?.sampled.as_ref(),
        };
        self.tables()
            .map(|(name, table)| {
                let protocol = Protocol {
                    candidates: Range::of(table.candidates()),
                    mask: (name == "full").then(|| self.mask.to_owned()),
                    n_users: self.model.users.len(),
                    metrics: self.means(table),
                    popularity: popularity(name).map(|table| self.means(table)),
                    lists: if name == "full" { self.lists(self.model) } else { Means::default() },
                    popularity_lists: self.popularity.filter(|_| name == "full").map(|found| self.lists(found)),
                    undefined: self.undefined(table),
                };
                (name.to_owned(), protocol)
            })
            .collect()
    }

    fn means(&self, table: &Table) -> Means {
        let mean = |(place, measure): (usize, &Measure)| (measure.name(), table.mean(place).map(|(mean, _)| mean));
        self.measures.iter().enumerate().map(mean).collect()
    }

    /// What the lists of all users show, figure by figure and length by length.
    fn lists(&self, found: &Evaluation) -> Means {
        type Figure = fn(&Reached) -> Option<f64>;
        let figures: [Figure; OF_LISTS.len()] = [
            |reached| reached.spread.coverage,
            |reached| reached.spread.gini,
            |reached| Some(reached.bias?.popularity),
            |reached| reached.bias?.lift,
        ];
        let at_each = |(name, figure): (&str, Figure)| {
            let name = name.to_owned();
            let lengths = self.lengths.iter().zip(&found.reached);
            lengths.map(move |(k, reached)| (format!("{name}@{k}"), figure(reached))).collect::<Vec<_>>()
        };
        OF_LISTS.into_iter().zip(figures).flat_map(at_each).collect()
    }

    fn undefined(&self, table: &Table) -> BTreeMap<String, usize> {
        let users = self.model.users.len();
        let missing = |place| users - table.mean(place).map_or(0, |(_, defined)| defined);
        let all = self.measures.iter().enumerate().map(|(place, measure)| (measure.name(), missing(place)));
        all.filter(|(_, missing)| *missing > 0).collect()
    }

    /// The values of each user: `user_id`, `positives`, and for each protocol `<protocol>_candidates`,
    /// `<protocol>_rank` and `<protocol>_<metric>`.
    pub(super) fn per_user(&self, positives: &Csr) -> PerUser {
        let held_out = self.model.users.iter().map(|&user| positives.row(user).len() as u32).collect();
        let mut out = PerUser {
            users: self.model.users.clone(),
            counts: vec![("positives".to_owned(), held_out)],
            values: Vec::new(),
        };
        for (name, table) in self.tables() {
            out.counts.push((format!("{name}_candidates"), table.candidates().to_vec()));
            out.values.push((format!("{name}_rank"), table.ranks().iter().copied().map(Some).collect()));
            for (place, measure) in self.measures.iter().enumerate() {
                out.values.push((format!("{name}_{}", measure.column()), table.column(place).to_vec()));
            }
        }
        out
    }

    /// What the user should know before trusting the numbers.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let longest = self.measures.iter().filter_map(Measure::k).map(usize::from).max().unwrap_or(0);
        let users = self.model.users.len();
        for (name, table) in self.tables() {
            let short = table.candidates().iter().filter(|candidates| (**candidates as usize) < longest).count();
            if short > 0 {
                warnings.push(format!(
                    "protocol `{name}`: {short} of {users} users have fewer than {longest} candidates (the fewest: {}), \
                     so a list of that length holds all of them",
                    Range::of(table.candidates()).min,
                ));
            }
            match (name, table.irregular()) {
                (_, 0) => {}
                ("full", n) => warnings.push(format!(
                    "protocol `full`: {n} held-out positives are also among the masked items; they were ranked all the same"
                )),
                (_, n) => warnings.push(format!(
                    "protocol `{name}`: {n} candidates are held-out positives of their user; they were left out"
                )),
            }
            for (metric, missing) in self.undefined(table) {
                warnings.push(format!(
                    "protocol `{name}`: `{metric}` is not defined for {missing} of {users} users, who have no negative \
                     candidate; its mean leaves them out"
                ));
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::eval::{Audience, Fame, Popularity, Task, Watch, evaluate};
    use crate::metric::Metric;

    /// Two users, four items, of which the first is the most popular. User 0 holds out item 0, user 1 items 1 and 3;
    /// user 1 has seen items 0 and 3.
    fn check(look: impl Fn(&Found<'_>, &Csr)) {
        let positives = Csr::from_pairs(2, 4, &[0, 1, 1], &[0, 1, 3]).unwrap();
        let seen = Csr::from_pairs(2, 4, &[1, 1], &[0, 3]).unwrap();
        let measures = Measure::of_all(&[Metric::Hr, Metric::Auc], &[1, 2].map(|k| NonZeroUsize::new(k).unwrap()));
        let candidates = |user: u32| Some(if user == 0 { [].as_slice() } else { &[1, 2] });
        // In training, items 0 and 3 have one user each.
        let fame = Fame::new(2, seen.item_counts());
        let lengths = [1, 2];
        let task = Task {
            positives: &positives,
            sampled: Some(&candidates),
            full: Some(&[&seen]),
            measures: &measures,
            audience: Some(Audience { lengths: &lengths, fame: &fame, train: &seen }),
        };
        let watch = Watch { advance: &|_| (), stop: &|| false };
        let model = evaluate(&Popularity::new(2, &[4, 3, 2, 1]), &task, &watch).unwrap();
        let baseline = evaluate(&Popularity::new(2, &[1, 2, 3, 4]), &task, &watch).unwrap();
        let found =
            Found { measures: &measures, lengths: &lengths, model: &model, popularity: Some(&baseline), mask: "train" };
        look(&found, &positives);
    }

    #[test]
    fn each_protocol_has_the_means_of_model_and_baseline() {
        check(|found, _| {
            let protocols = found.protocols();
            let full = &protocols["full"];
            assert_eq!((full.n_users, full.mask.as_deref()), (2, Some("train")));
            // User 0 ranks item 0 among 4; user 1 ranks items 1 and 3 among 1, 2 and 3.
            assert_eq!(full.candidates, Range { min: 3, mean: 3.5, max: 4 });
            let means: Vec<(&str, Option<f64>)> = full.metrics.iter().collect();
            assert_eq!(means, [("hr@1", Some(1.0)), ("hr@2", Some(1.0)), ("auc", Some(0.75))]);
            let baseline: Vec<Option<f64>> = full.popularity.as_ref().unwrap().iter().map(|one| one.1).collect();
            assert_eq!(baseline, [Some(0.5), Some(0.5), Some(0.25)]);
            assert_eq!(protocols["sampled"].undefined, [("auc".to_owned(), 1)].into());
            assert_eq!(protocols["sampled"].mask, None);
        });
    }

    #[test]
    fn the_lists_of_full_ranking_are_described_as_a_whole() {
        check(|found, _| {
            let protocols = found.protocols();
            let lists: Vec<(&str, f64)> =
                protocols["full"].lists.iter().map(|(name, value)| (name, value.unwrap())).collect();
            // User 0 has the items 0, 1, 2, 3 in this order, user 1 the items 1 and 2: item 3 is held out, but masked as
            // well. At 1: 0 and 1; at 2: 0, 1 and 1, 2.
            // Counts 1, 1, 0, 0: Σ (2j − 5) x_j = 1 + 3 over 4 · 2. Counts 1, 2, 1, 0: −1 + 1 + 6 over 4 · 4.
            let expected = [
                ("coverage@1", 0.5),
                ("coverage@2", 0.75),
                ("gini@1", 0.5),
                ("gini@2", 0.375),
                // Item 0 has one user in training, items 1 and 2 none.
                ("arp@1", 0.5),
                ("arp@2", 0.25),
                // User 1 has items of one user each in training and is recommended items of none.
                ("popularity_lift@1", -1.0),
                ("popularity_lift@2", -1.0),
            ];
            assert_eq!(lists, expected);
            let baseline = protocols["full"].popularity_lists.as_ref().unwrap();
            // User 0 has item 3 first, user 1, for whom it is masked, item 2.
            assert_eq!(baseline.get("coverage@1"), Some(0.5));
            assert!(protocols["sampled"].lists.is_empty() && protocols["sampled"].popularity_lists.is_none());
        });
    }

    #[test]
    fn each_user_has_a_value_for_each_protocol_and_metric() {
        check(|found, positives| {
            let table = found.per_user(positives);
            assert_eq!(table.users, [0, 1]);
            let counts = [("positives", [1, 2]), ("sampled_candidates", [1, 2]), ("full_candidates", [4, 3])];
            assert_eq!(table.counts, counts.map(|(name, values)| (name.to_owned(), values.to_vec())));
            let names: Vec<&str> = table.values.iter().map(|(name, _)| name.as_str()).collect();
            let sampled = ["sampled_rank", "sampled_hr_1", "sampled_hr_2", "sampled_auc"];
            assert_eq!(names[..4], sampled);
            assert_eq!(names[4..], ["full_rank", "full_hr_1", "full_hr_2", "full_auc"]);
            assert_eq!(table.values[0].1, [Some(1.0), Some(1.5)]);
            assert_eq!(table.values[3].1, [None, Some(0.5)]);
        });
    }

    #[test]
    fn doubts_about_the_numbers_are_said() {
        check(|found, _| {
            let expected = [
                "protocol `sampled`: 1 of 2 users have fewer than 2 candidates (the fewest: 1), so a list of that length \
                 holds all of them",
                "protocol `sampled`: 1 candidates are held-out positives of their user; they were left out",
                "protocol `sampled`: `auc` is not defined for 1 of 2 users, who have no negative candidate; its mean \
                 leaves them out",
                "protocol `full`: 1 held-out positives are also among the masked items; they were ranked all the same",
            ];
            assert_eq!(found.warnings(), expected);
        });
    }
}
