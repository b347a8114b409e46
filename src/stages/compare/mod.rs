//! The stage `compare`: results of several runs side by side.

mod groups;
mod known;
mod significance;
mod tables;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::cells::distinct;
use crate::artifacts::comparison::{Comparison, Row};
use crate::artifacts::metrics::{Metrics, is_of_lists, user_values};
use crate::stage::{Artifact, Connections, Context, Fault, Input, Measures, Output, ParamError, Port, Result, Stage};
use crate::stats::multiple::Correction;

use groups::Baseline;
use significance::{Kind, Over, TestSpec};

use crate::stages::names::{measured, refuse_unknown_repeat, seed};
use groups::Members;
use significance::Terms;

/// Puts the results of several runs side by side: every run, means over seeds, and tests against a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The axis of repetitions: runs that differ in nothing else are one group.
    #[serde(default = "seed")]
    repeat: String,
    /// What the other groups are compared with: the name of an evaluating stage, or coordinates that one group alone has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    baseline: Option<Baseline>,
    /// The metrics that the table shows and that are tested; all if none is given, but for the figures of all lists
    /// together (`coverage@10`), which are shown when they are asked for, and tested over seeds only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<String>,
    /// The tests against the baseline.
    #[serde(default = "default_tests")]
    tests: Vec<TestSpec>,
    /// How p-values are corrected for the number of hypotheses of a test.
    #[serde(default)]
    correction: Correction,
    /// The level of confidence intervals; a difference is significant when the corrected p-value is at most 1 minus it.
    #[serde(default = "level")]
    #[schemars(range(min = 0.5, max = 0.9999))]
    level: f64,
}

fn level() -> f64 {
    0.95
}

/// Whether it would be so with other seeds, and with other users.
fn default_tests() -> Vec<TestSpec> {
    vec![TestSpec::new(Over::Seeds, Kind::PairedT), TestSpec::new(Over::Users, Kind::Bootstrap)]
}

impl Default for Compare {
    fn default() -> Self {
        Self {
            repeat: seed(),
            baseline: None,
            metrics: Vec::new(),
            tests: default_tests(),
            correction: Correction::default(),
            level: level(),
        }
    }
}

impl Stage for Compare {
    const KIND: &'static str = "compare";
    const ABOUT: &'static str = "puts the results of several runs side by side, with tests against a baseline";
    const CHANGES: &'static [&'static str] = &[
        "first version",
        "times and keys of runs, groups over seeds, tests against a baseline, tables",
        "coverage, Gini index and popularity of the lists of full ranking",
        "ties of means over seeds are ties, and users of different data are not paired",
        "`table.csv` is one table, with the protocol as its first column and the test in the headers of p-values",
        "Wilcoxon's test is exact for up to 50 differences that are not zero, ties among them",
    ];
    const INPUTS: &'static [Port] = &[Port::many::<Metrics>("runs")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Comparison>("results")];
    const KNOWS_RUNS: bool = true;

    /// The bootstrap draws.
    fn is_seeded(&self) -> bool {
        self.baseline.is_some() && self.tests.iter().any(|test| test.test == Kind::Bootstrap)
    }

    fn normalise(self) -> Result<Self, ParamError> {
        if !(0.5..=0.9999).contains(&self.level) {
            return Err(ParamError::new("level", format!("{} is not from 0.5 to 0.9999", self.level))
                .help("write 0.95 for intervals of 95 % and tests at 5 %"));
        }
        for (place, test) in self.tests.iter().enumerate() {
            if !(100..=1_000_000).contains(&test.resamples) {
                return Err(ParamError::new(&format!("tests.{place}.resamples"), "is not from 100 to 1,000,000")
                    .help("10,000 are enough for two digits of a p-value of 0.01"));
            }
        }
        Ok(self)
    }

    fn check_connected(&self, connected: Connections<'_>) -> Result<(), ParamError> {
        let connected = connected();
        refuse_unknown_repeat(&self.repeat, &connected)?;
        known::refuse_unknown_metrics(&self.metrics, &connected)?;
        match &self.baseline {
            Some(baseline) => known::refuse_unknown(baseline, &connected, &self.repeat),
            None => Ok(()),
        }
    }

    fn measures(&self, connected: Connections<'_>) -> Option<Measures> {
        measured(&connected())
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let runs: Vec<(&Input, Metrics)> =
            context.inputs("runs").iter().map(|run| Ok((run, Metrics::load(&run.dir)?))).collect::<Result<_>>()?;
        for warning in doubts(&runs) {
            context.warn(warning);
        }
        let (rows, of_run): (Vec<Row>, Vec<usize>) = runs
            .iter()
            .enumerate()
            .flat_map(|(place, (run, metrics))| rows(run, metrics).map(move |row| (row, place)))
            .unzip();
        let shown = self.shown(&rows)?;
        let mut found = groups::groups(&rows, &self.repeat, self.level)?;
        let mut tests = Vec::new();
        if let Some(baseline) = &self.baseline {
            let per_user = |row: usize, metric: &str| {
                let run = &runs[of_run[row]].0;
                user_values(&run.dir, &rows[row].protocol, metric)
            };
            let people = |row: usize| runs[of_run[row]].1.users_digest.as_deref();
            for protocol in distinct(rows.iter().map(|row| row.protocol.as_str())) {
                let known: Vec<groups::Known<'_>> = found.iter().map(Members::known).collect();
                let place = groups::find_baseline(&known, baseline, protocol)?;
                groups::differences(&mut found, place);
                let over_seeds = self.tests.iter().any(|test| test.over == Over::Seeds);
                let are_asked_for = self.tests != default_tests();
                if let Some(warning) = over_seeds.then(|| untested(&found, place, are_asked_for)).flatten() {
                    context.warn(warning);
                }
                for warning in over_seeds.then(|| unpaired(&found, place)).into_iter().flatten() {
                    context.warn(warning);
                }
                let terms = Terms {
                    rows: &rows,
                    per_user: &per_user,
                    people: &people,
                    metrics: &shown,
                    correction: self.correction,
                    level: self.level,
                    seed: context.seed(),
                    cancel: context.cancel(),
                };
                tests.extend(significance::test(&terms, &found, place, &self.tests)?);
            }
        }
        let groups = found.into_iter().map(|Members { group, .. }| group).collect();
        let comparison = Comparison { metrics: shown, rows, groups, tests };
        tables::write(&comparison, self.level, context)?;
        comparison.write(Self::KIND, context)
    }
}

/// Why there is no test over repetitions, where one is asked for or others have some: the baseline has a single run.
fn untested(found: &[Members], baseline: usize, is_asked_for: bool) -> Option<String> {
    let base = &found[baseline];
    let of_protocol = found.iter().filter(|members| members.group.protocol == base.group.protocol);
    let repeated = of_protocol.clone().any(|members| members.rows.len() > 1);
    (base.rows.len() == 1 && of_protocol.count() > 1 && (repeated || is_asked_for)).then(|| {
        format!(
            "protocol `{}`: no test over seeds was made: the baseline `{}` has one run; give it as many as the others, or take \
             another as `baseline`",
            base.group.protocol, base.group.name
        )
    })
}

/// Groups whose repetitions are not all those of the baseline: what is shown of them is of all, a test over repetitions of
/// those that both have.
fn unpaired(found: &[Members], baseline: usize) -> Vec<String> {
    let base = &found[baseline];
    let others = found.iter().enumerate().filter(|(place, members)| {
        *place != baseline
            && members.group.protocol == base.group.protocol
            && base.seeds.len().min(members.seeds.len()) > 1
    });
    let alone = |one: &Members, other: &Members| {
        let left: Vec<&str> = one.seeds.iter().filter(|seed| !other.seeds.contains(seed)).map(String::as_str).collect();
        (!left.is_empty()).then(|| format!("{} only of `{}`", left.join(", "), one.group.name))
    };
    let said = |members: &Members| {
        let sides: Vec<String> = [alone(members, base), alone(base, members)].into_iter().flatten().collect();
        (!sides.is_empty()).then(|| {
            format!(
                "protocol `{}`: repetitions {}: means and differences are of all of them, tests over seeds of those that both have",
                base.group.protocol,
                sides.join(", and ")
            )
        })
    };
    others.filter_map(|(_, members)| said(members)).collect()
}

impl Compare {
    /// The metrics to show: those that are asked for, or all.
    ///
    /// # Errors
    /// When no run has one that is asked for.
    fn shown(&self, rows: &[Row]) -> Result<Vec<String>> {
        let mut all = distinct(rows.iter().flat_map(Row::figures).map(|(name, _)| name));
        if self.metrics.is_empty() {
            all.retain(|name| !is_of_lists(name));
            return Ok(all.into_iter().map(str::to_owned).collect());
        }
        match self.metrics.iter().find(|metric| !all.contains(&metric.as_str())) {
            Some(metric) => Err(Fault::data(format!("no run has the metric `{metric}`"))
                .help(format!("the runs have {}", all.join(", ")))),
            None => Ok(self.metrics.clone()),
        }
    }
}

fn rows(run: &Input, metrics: &Metrics) -> impl Iterator<Item = Row> {
    let own = run.runs.first();
    // What is evaluated is a model, or lists that another program or stage has made of one.
    let model = run
        .runs
        .iter()
        .skip(1)
        .find(|past| matches!(past.kind.as_str(), "train" | "fit" | "colliding_inference" | "recommend"));
    metrics.protocols.iter().map(move |(name, found)| Row {
        stage: run.stage.clone(),
        cell: run.cell.clone(),
        protocol: name.clone(),
        n_users: found.n_users,
        metrics: found.metrics.clone(),
        popularity: found.popularity.clone(),
        lists: found.lists.clone(),
        chosen_on: metrics.is_chosen_here().then(|| metrics.on.clone()),
        seconds: own.map_or(0.0, |past| past.seconds),
        key: own.map_or_else(String::new, |past| past.key.clone()),
        model_seconds: model.map(|past| past.seconds),
        model_key: model.map(|past| past.key.clone()),
    })
}

/// Why these results should not be compared: each kind of doubt once, with the first two runs that raise it and their
/// number.
fn doubts(runs: &[(&Input, Metrics)]) -> Vec<String> {
    let Some(((first, reference), others)) = runs.split_first() else { return Vec::new() };
    let mut doubts: Vec<(String, &str, usize)> = Vec::new();
    for (run, metrics) in others {
        let mut doubt = |what: String| match doubts.iter_mut().find(|(other, ..)| *other == what) {
            Some((_, _, runs)) => *runs += 1,
            None => doubts.push((what, &run.stage, 1)),
        };
        if let (Some(one), Some(other)) = (&metrics.users_digest, &reference.users_digest)
            && one != other
        {
            doubt("the data that they are evaluated on: equal user ids are different users".to_owned());
        } else if metrics.on != reference.on {
            doubt("the part of the split that they are evaluated on".to_owned());
        } else if metrics.counts != reference.counts {
            doubt("the users, items or positives that they are evaluated on".to_owned());
        }
        if metrics.is_chosen_here() != reference.is_chosen_here() {
            doubt("whether their epochs were chosen by the part that judges them".to_owned());
        }
        for (name, found) in &metrics.protocols {
            let Some(other) = reference.protocols.get(name) else { continue };
            if found.mask != other.mask {
                doubt(format!("what the protocol `{name}` masks"));
            }
        }
        let digests = (&metrics.pool_digest, &reference.pool_digest);
        if let (Some(one), Some(other)) = digests
            && one != other
        {
            doubt("the candidates that positives are ranked against".to_owned());
        }
    }
    let said = doubts.into_iter().map(|(what, run, runs)| {
        let more = match runs - 1 {
            0 => String::new(),
            1 => ", and so does 1 more".to_owned(),
            more => format!(", and so do {more} more"),
        };
        format!("`{}` and `{run}` differ in {what}{more}", first.stage)
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::metrics::tests::sampled;
    use crate::stage::ArtifactDir;
    use std::collections::BTreeMap;

    fn input(stage: &str, factors: u32) -> Input {
        Input {
            stage: stage.to_owned(),
            cell: [("factors".to_owned(), factors.into())].into(),
            dir: ArtifactDir::new(stage.to_owned(), BTreeMap::new()),
            runs: Vec::new(),
        }
    }

    #[test]
    fn each_run_and_protocol_is_a_row() {
        let mut metrics = sampled(0.5, "ab");
        let protocol = metrics.protocols["sampled"].clone();
        metrics.protocols.insert("full".to_owned(), protocol);
        let rows: Vec<Row> = rows(&input("evaluate[factors=8]", 8), &metrics).collect();
        let names: Vec<(&str, &str)> = rows.iter().map(|row| (row.stage.as_str(), row.protocol.as_str())).collect();
        assert_eq!(names, [("evaluate[factors=8]", "full"), ("evaluate[factors=8]", "sampled")]);
        assert_eq!(rows[1].cell["factors"], 8);
        assert_eq!(rows[1].metrics.get("hr@10"), Some(0.5));
    }

    #[test]
    fn runs_with_the_same_candidates_and_users_raise_no_doubt() {
        let (a, b) = (input("a", 8), input("b", 16));
        assert_eq!(doubts(&[(&a, sampled(0.5, "ab")), (&b, sampled(0.6, "ab"))]), [""; 0]);
    }

    #[test]
    fn other_candidates_or_users_raise_a_doubt() {
        let (a, b) = (input("a", 8), input("b", 16));
        let expected = ["`a` and `b` differ in the candidates that positives are ranked against"];
        assert_eq!(doubts(&[(&a, sampled(0.5, "ab")), (&b, sampled(0.5, "cd"))]), expected);
        let mut other = sampled(0.5, "ab");
        other.counts.evaluated = 1;
        let expected = ["`a` and `b` differ in the users, items or positives that they are evaluated on"];
        assert_eq!(doubts(&[(&a, sampled(0.5, "ab")), (&b, other)]), expected);
    }

    #[test]
    fn models_that_were_chosen_by_what_judges_them_raise_a_doubt_beside_others() {
        let (a, b) = (input("a", 8), input("b", 16));
        let chosen = Metrics { chosen_on: Some("test".to_owned()), ..sampled(0.5, "ab") };
        let expected = ["`a` and `b` differ in whether their epochs were chosen by the part that judges them"];
        assert_eq!(doubts(&[(&a, sampled(0.5, "ab")), (&b, chosen.clone())]), expected);
        assert_eq!(doubts(&[(&a, chosen.clone()), (&b, chosen.clone())]), [""; 0]);
        assert_eq!(rows(&a, &chosen).next().unwrap().chosen_on.as_deref(), Some("test"));
        // What was chosen by the test part is judged soundly by another.
        let elsewhere = Metrics { on: "valid".to_owned(), ..chosen };
        assert_eq!(rows(&a, &elsewhere).next().unwrap().chosen_on, None);
    }

    #[test]
    fn tests_over_seeds_that_are_not_made_are_warned_of() {
        let row = |stage: &str, seed: u32| groups::tests::row(stage, serde_json::json!({"seed": seed}), 0.5);
        let found = |rows: &[Row]| groups::groups(rows, "seed", 0.95).unwrap();
        let repeated = found(&[row("one", 1), row("two", 1), row("two", 2)]);
        let said = untested(&repeated, 0, false).unwrap();
        assert!(
            said.contains("no test over seeds was made: the baseline `one seed=1` has one run")
                || said.contains("`one`"),
            "{said}"
        );
        assert_eq!(untested(&repeated, 1, true), None);
        // Nothing is repeated: only who asked for the test is told.
        let single = found(&[row("one", 1), row("two", 1)]);
        assert_eq!(untested(&single, 0, false), None);
        assert!(untested(&single, 0, true).is_some());
    }
}
