//! What a run ends with: a line for each stage, and the metrics.

use std::collections::BTreeMap;
use std::fs;

use crate::artifacts::metrics::{Means, Metrics, Protocol, names};
use crate::cli::common::near;
use crate::cli::table::{Table, seconds};
use crate::pipeline::{Graph, RunReport, StageReport, Status};
use crate::stage::Artifact;

/// A run with more stages than this is summed up in one line.
const MOST_LISTED: usize = 40;

/// The summary for people.
pub(super) fn summary(graph: &Graph, report: &RunReport) -> String {
    let mut blocks = Vec::new();
    if report.stages.len() <= MOST_LISTED {
        blocks.push(stages(report));
    }
    let parts =
        [(Status::Fresh, "fresh"), (Status::Ran, "ran"), (Status::Failed, "failed"), (Status::Skipped, "not run")];
    let counts: Vec<String> = parts
        .iter()
        .map(|(status, word)| (report.count(*status), word))
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    blocks.push(format!("{}: {} in {}\n", report.pipeline, counts.join(", "), seconds(report.seconds)));
    blocks.extend(evaluations(graph, report).iter().map(|(terms, runs)| metrics(terms, runs)));
    blocks.join("\n")
}

fn stages(report: &RunReport) -> String {
    let mut table = Table::new(&["stage", "kind", "", "time", "output"]);
    for stage in &report.stages {
        let status = match stage.status {
            Status::Fresh => "fresh",
            Status::Ran => "ran",
            Status::Failed => "failed",
            Status::Skipped => "not run",
        };
        let time = if stage.status == Status::Ran { seconds(stage.seconds) } else { String::new() };
        let output = stage.output.as_ref().map_or_else(String::new, |path| near(path));
        table.row([stage.name.clone(), stage.kind.clone(), status.to_owned(), time, output]);
    }
    table.text() + "\n"
}

/// What has to be the same for figures to stand in one table: protocol, part, whether the models were chosen by it, mask
/// and candidates.
type Terms = (String, String, Option<String>, Option<String>);

/// An evaluation: the name of its stage, and what it found.
type Run = (String, Protocol);

/// The evaluations of the run, by what makes them comparable.
fn evaluations(graph: &Graph, report: &RunReport) -> BTreeMap<Terms, Vec<Run>> {
    let by_name: BTreeMap<&str, &StageReport> =
        report.stages.iter().map(|stage| (stage.name.as_str(), stage)).collect();
    let mut found: BTreeMap<Terms, Vec<Run>> = BTreeMap::new();
    for node in graph.order().iter().map(|id| graph.node(*id)) {
        let name = node.name();
        let evaluates = node.kind.outputs.iter().any(|output| output.kind == Metrics::KIND);
        let Some(stage) = by_name.get(name.as_str()).filter(|_| evaluates) else { continue };
        // The view was made a moment ago; if it is gone already, there is nothing to show.
        let text = stage.output.as_ref().and_then(|dir| fs::read(dir.join("metrics.json")).ok());
        let Some(metrics) = text.and_then(|text| serde_json::from_slice::<Metrics>(&text).ok()) else { continue };
        let chosen = if metrics.is_chosen_here() { ", by which their epochs were chosen" } else { "" };
        for (protocol, result) in metrics.protocols {
            let pool = (protocol == "sampled").then(|| metrics.pool_digest.clone()).flatten();
            let terms = (protocol, format!("{}{chosen}", metrics.on), result.mask.clone(), pool);
            found.entry(terms).or_default().push((name.clone(), result));
        }
    }
    found
}

/// Leaves out what would only widen the table: recall where it equals the hit rate, as with one positive a user, and
/// cut-off forms of metrics that are also given for the whole ranking. `metrics.json` has all of them.
fn is_shown(runs: &[Run], name: &str) -> bool {
    let means = || runs.iter().map(|(_, result)| &result.metrics);
    match name.split_once('@') {
        Some(("recall", k)) => means().any(|means| means.get(name) != means.get(&format!("hr@{k}"))),
        Some((family @ ("mrr" | "map"), _)) => means().any(|means| means.get(family).is_none()),
        _ => true,
    }
}

fn metrics(terms: &Terms, runs: &[Run]) -> String {
    let (protocol, on, mask, _) = terms;
    let mut names = names(runs.iter().map(|(_, result)| &result.metrics));
    names.retain(|name| is_shown(runs, name));
    let mut table = Table::new(&[&[""][..], &names].concat());
    let cells = |label: String, means: &Means| -> Vec<String> {
        let value = |name: &&str| means.get(name).map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
        std::iter::once(label).chain(names.iter().map(value)).collect()
    };
    for (stage, result) in runs {
        table.row(cells(stage.clone(), &result.metrics));
    }
    // On one split the baseline is the same for all models, and stands once.
    let mut baselines: Vec<(&str, &Means)> = Vec::new();
    for (stage, result) in runs {
        if let Some(means) =
            result.popularity.as_ref().filter(|means| baselines.iter().all(|(_, other)| other != means))
        {
            baselines.push((stage, means));
        }
    }
    let one = baselines.len() == 1;
    for (stage, means) in baselines {
        table.row(cells(if one { "popularity".to_owned() } else { format!("popularity ({stage})") }, means));
    }
    table.numbers_from(1);
    let range = |least: fn(&Protocol) -> usize, most: fn(&Protocol) -> usize| {
        let least = runs.iter().map(|(_, result)| least(result)).min().unwrap_or(0);
        let most = runs.iter().map(|(_, result)| most(result)).max().unwrap_or(0);
        if least == most { most.to_string() } else { format!("{least} to {most}") }
    };
    let users = range(|result| result.n_users, |result| result.n_users);
    let candidates = range(|result| result.candidates.min as usize, |result| result.candidates.max as usize);
    let mask = mask.as_ref().map_or_else(String::new, |mask| format!(", mask {mask}"));
    format!("{protocol} ranking on {on}{mask}: {users} users, {candidates} candidates each\n{}\n", table.text())
}
