//! `ncf-pipe compare`: results side by side.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Args;
use serde_json::json;

use crate::artifacts::comparison::Comparison;
use crate::artifacts::metrics::{Means, Metrics, names, protocols};
use crate::cli::Global;
use crate::cli::common::{FileArgs, WorldArgs, not_run, same};
use crate::cli::exit::{Failed, OK, Outcome};
use crate::cli::print;
use crate::cli::stored::Stored;
use crate::cli::table::{Table, seconds};
use crate::pipeline::{Graph, Node};
use crate::stage::Artifact;

/// Show results side by side: those of the pipeline's `compare` stages, or of all evaluations
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    /// Only these stages; each is a `compare` stage, an evaluation, or one cell of it as `evaluate[factors=8]`
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    #[command(flatten)]
    world: WorldArgs,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn main(global: &Global, args: &CompareArgs) -> Outcome {
    let stored = Stored::open(global, &args.file, &args.world, &args.stages)?;
    let wanted = |node: &Node| args.stages.is_empty() || args.stages.iter().any(|name| node.is_called(name));
    let gives = |node: &Node| {
        node.kind.outputs.iter().any(|output| output.kind == Comparison::KIND || output.kind == Metrics::KIND)
    };
    for wanted in &args.stages {
        let meant = stored.nodes().map(|(_, node)| node).find(|node| node.is_called(wanted));
        if let Some(node) = meant.filter(|node| !gives(node)) {
            let what = format!("stage `{}` ({}) is no comparison and no evaluation", node.stage, node.kind.name);
            return Err(Failed::input(what).help(with_results(&stored.graph, gives)));
        }
    }
    let nodes = || stored.nodes().map(|(_, node)| node).filter(|node| wanted(node));
    let mut comparisons = Vec::new();
    for node in nodes() {
        if let Some(dir) = stored.artifact(node, Comparison::KIND) {
            let text = String::from_utf8_lossy(&dir.read("table.txt")?).into_owned();
            let warnings = stored.manifest(node).map(|manifest| manifest.warnings.clone()).unwrap_or_default();
            comparisons.push((node.name(), Comparison::load(&dir)?, text, warnings));
        }
    }
    let mut evaluations = Vec::new();
    if comparisons.is_empty() {
        for node in nodes() {
            if let (Some(dir), Some(manifest)) = (stored.artifact(node, Metrics::KIND), stored.manifest(node)) {
                evaluations.push((node.name(), Metrics::load(&dir)?, manifest.seconds));
            }
        }
    }
    if comparisons.is_empty() && evaluations.is_empty() {
        return Err(Failed::input("there are no results yet: no evaluation of the pipeline has run as it is now")
            .help(format!("run it first: `{}`", same("run", global, &args.file, &args.world))));
    }
    if args.json {
        let comparisons: BTreeMap<&String, &Comparison> =
            comparisons.iter().map(|(name, found, ..)| (name, found)).collect();
        let evaluations: BTreeMap<&String, &Metrics> =
            evaluations.iter().map(|(name, found, _)| (name, found)).collect();
        print::json(&json!({"comparisons": comparisons, "evaluations": evaluations}), false);
        return Ok(OK);
    }
    for (name, _, text, warnings) in &comparisons {
        print::out(&format!("{name}\n\n{text}\n"));
        for warning in warnings {
            print::note(&format!("warning: {warning}"));
        }
    }
    print::out(&side_by_side(&evaluations));
    let unmade = |node: &Node| stored.planned(node).is_some_and(|stage| stage.key.is_none());
    let missing = nodes().filter(|node| unmade(node)).count();
    if missing > 0 {
        let plan = same("plan", global, &args.file, &args.world);
        print::note(&format!("{}; `{plan}` says why", not_run(missing)));
    }
    Ok(OK)
}

/// The stages whose results can be shown, by name.
fn with_results(graph: &Graph, gives: impl Fn(&Node) -> bool) -> String {
    let nodes = graph.order().iter().map(|id| graph.node(*id)).filter(|node| gives(node));
    let mut names: Vec<String> = nodes.map(|node| format!("`{}`", node.stage)).collect();
    names.dedup();
    if names.is_empty() {
        return "the pipeline has no stage that is: `evaluate` makes results, and `compare` puts them side by side"
            .to_owned();
    }
    format!("stages that are: {}", names.join(", "))
}

/// A table for each protocol: a row for each evaluation.
fn side_by_side(evaluations: &[(String, Metrics, f64)]) -> String {
    let mut out = String::new();
    let protocols = protocols(evaluations.iter().map(|(_, found, _)| found)).into_iter();
    for (protocol, of_lists) in protocols.flat_map(|protocol| [(protocol, false), (protocol, true)]) {
        let of =
            || evaluations.iter().filter_map(|(name, found, time)| Some((name, found.protocols.get(protocol)?, time)));
        let all: Vec<&Means> = of().map(|(_, found, _)| found.figures(of_lists)).collect();
        let names = names(all.iter().copied());
        if names.is_empty() {
            continue;
        }
        let mut table = Table::new(&[&["stage"][..], &names, &["time"]].concat());
        for ((stage, _, time), means) in of().zip(&all) {
            let value = |name: &&str| means.get(name).map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
            let cells = std::iter::once(stage.clone()).chain(names.iter().map(value)).chain([seconds(*time)]);
            table.row(cells);
        }
        table.numbers_from(1);
        let lists = if of_lists { ", the lists of all users together" } else { "" };
        let _ = write!(out, "{protocol} ranking{lists}\n{}\n\n", table.text());
    }
    out
}
