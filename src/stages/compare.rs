//! The stage `compare`: results of several runs side by side.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::comparison::{Comparison, Row};
use crate::artifacts::metrics::Metrics;
use crate::stage::{Artifact, Context, Input, Output, Port, Result, Stage};

/// Puts the results of several runs side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compare {}

impl Stage for Compare {
    const KIND: &'static str = "compare";
    const ABOUT: &'static str = "puts the results of several runs side by side";
    const CHANGES: &'static [&'static str] = &["first version"];
    const INPUTS: &'static [Port] = &[Port::many::<Metrics>("runs")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Comparison>("results")];

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let runs: Vec<(&Input, Metrics)> =
            context.inputs("runs").iter().map(|run| Ok((run, Metrics::load(&run.dir)?))).collect::<Result<_>>()?;
        for warning in doubts(&runs) {
            context.warn(warning);
        }
        let comparison = Comparison { rows: runs.iter().flat_map(|(run, metrics)| rows(run, metrics)).collect() };
        comparison.write(Self::KIND, context)
    }
}

fn rows(run: &Input, metrics: &Metrics) -> impl Iterator<Item = Row> {
    metrics.protocols.iter().map(|(name, found)| Row {
        stage: run.stage.clone(),
        cell: run.cell.clone(),
        protocol: name.clone(),
        n_users: found.n_users,
        metrics: found.metrics.clone(),
        popularity: found.popularity.clone(),
    })
}

/// Why these results should not be compared, run by run against the first.
fn doubts(runs: &[(&Input, Metrics)]) -> Vec<String> {
    let Some(((first, reference), others)) = runs.split_first() else { return Vec::new() };
    let mut doubts = Vec::new();
    for (run, metrics) in others {
        let mut doubt = |what: &str| doubts.push(format!("`{}` and `{}` differ in {what}", first.stage, run.stage));
        if metrics.on != reference.on {
            doubt("the part of the split that they are evaluated on");
        } else if metrics.counts != reference.counts {
            doubt("the users, items or positives that they are evaluated on");
        }
        for (name, found) in &metrics.protocols {
            let Some(other) = reference.protocols.get(name) else { continue };
            if found.mask != other.mask {
                doubt(&format!("what the protocol `{name}` masks"));
            }
        }
        let digests = (&metrics.pool_digest, &reference.pool_digest);
        if let (Some(one), Some(other)) = digests
            && one != other
        {
            doubt("the candidates that positives are ranked against");
        }
    }
    doubts
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
}
