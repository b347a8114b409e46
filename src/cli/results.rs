//! What a run ends with: a line for each stage, and the metrics.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::artifacts::metrics::{Means, Metrics, Protocol};
use crate::cli::table::{Table, seconds};
use crate::pipeline::{Graph, RunReport, Status};
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
    blocks.extend(protocols(graph, report).iter().map(|(protocol, runs)| metrics(protocol, runs)));
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
        let output = stage.output.as_ref().map_or_else(String::new, |path| shown(path));
        table.row([stage.name.clone(), stage.kind.clone(), status.to_owned(), time, output]);
    }
    table.text() + "\n"
}

/// A path as a person in this directory would write it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let near = here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    near.strip_prefix(".").unwrap_or(near).display().to_string()
}

/// The evaluations of the run, by protocol.
fn protocols(graph: &Graph, report: &RunReport) -> BTreeMap<String, Vec<(String, String, Protocol)>> {
    let mut found: BTreeMap<String, Vec<(String, String, Protocol)>> = BTreeMap::new();
    for (id, stage) in graph.order().iter().filter_map(|id| {
        let name = graph.node(*id).name();
        report.stages.iter().find(|stage| stage.name == name).map(|stage| (id, stage))
    }) {
        let kinds = graph.node(*id).kind.outputs;
        if !kinds.iter().any(|output| output.kind == Metrics::KIND) {
            continue;
        }
        // The view was made a moment ago; if it is gone already, there is nothing to show.
        let text = stage.output.as_ref().and_then(|dir| fs::read(dir.join("metrics.json")).ok());
        let Some(metrics) = text.and_then(|text| serde_json::from_slice::<Metrics>(&text).ok()) else { continue };
        for (name, protocol) in metrics.protocols {
            found.entry(name).or_default().push((stage.name.clone(), metrics.on.clone(), protocol));
        }
    }
    found
}

/// Leaves out what would only widen the table: recall where it equals the hit rate, as with one positive a user, and
/// cut-off forms of metrics that are also given for the whole ranking. `metrics.json` has all of them.
fn is_shown(runs: &[(String, String, Protocol)], name: &str) -> bool {
    let means = || runs.iter().map(|(_, _, protocol)| &protocol.metrics);
    match name.split_once('@') {
        Some(("recall", k)) => means().any(|means| means.get(name) != means.get(&format!("hr@{k}"))),
        Some((family @ ("mrr" | "map"), _)) => means().any(|means| means.get(family).is_none()),
        _ => true,
    }
}

fn metrics(protocol: &str, runs: &[(String, String, Protocol)]) -> String {
    let Some((_, on, first)) = runs.first() else { return String::new() };
    let names: Vec<&str> = first.metrics.iter().map(|(name, _)| name).filter(|name| is_shown(runs, name)).collect();
    let mut table = Table::new(&[&[""][..], &names].concat());
    let cells = |label: &str, means: &Means| -> Vec<String> {
        let value = |name: &&str| means.get(name).map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
        std::iter::once(label.to_owned()).chain(names.iter().map(value)).collect()
    };
    for (stage, _, protocol) in runs {
        table.row(cells(stage, &protocol.metrics));
    }
    // The baseline is the same for all models on one split; a run over several splits shows each.
    let mut shown: Vec<&Means> = Vec::new();
    for (_, _, protocol) in runs {
        if let Some(popularity) = protocol.popularity.as_ref().filter(|means| !shown.contains(means)) {
            table.row(cells("popularity", popularity));
            shown.push(popularity);
        }
    }
    table.numbers_from(1);
    let range = first.candidates;
    let candidates =
        if range.min == range.max { range.max.to_string() } else { format!("{} to {}", range.min, range.max) };
    format!("{protocol} ranking on {on}: {} users, {candidates} candidates each\n{}\n", first.n_users, table.text())
}
