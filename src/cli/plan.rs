//! `ncf-pipe plan`: what a run would do, and why.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Args;

use crate::artifacts::cells::stage_of;
use crate::cli::Global;
use crate::cli::common::{FileArgs, WorldArgs, by_stage, save_memo};
use crate::cli::exit::{BAD_INPUT, Failed, OK, Outcome};
use crate::cli::print;
use crate::cli::run::SelectArgs;
use crate::cli::table::{Table, bytes, seconds};
use crate::pipeline::{Graph, Plan, PlannedStage, State, World, plan};

/// More stages than this with one reason are counted.
const MOST_NAMED: usize = 6;

/// Say which stages are fresh, which would run, and why
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    world: WorldArgs,
    /// Only what is not fresh, by reason: each change once, with all stages that it concerns
    #[arg(long, conflicts_with = "json")]
    why: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn main(global: &Global, args: &PlanArgs) -> Outcome {
    let graph = args.file.graph()?;
    let world = args.world.open(global)?;
    let how = match (args.json, args.why) {
        (true, _) => How::Json,
        (false, true) => How::Reasons,
        (false, false) => How::Table,
    };
    show(&graph, &world, &args.select, how)
}

/// What to print of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Table,
    Reasons,
    Json,
}

/// Prints the plan; `run --dry-run` does the same.
pub(super) fn show(graph: &Graph, world: &World, select: &SelectArgs, how: How) -> Outcome {
    let plan = plan(graph, world, &select.selection()).map_err(Failed::input)?;
    save_memo(&world.store);
    match how {
        How::Json => print::json(&answer(&plan), false),
        How::Table => print::out(&text(&plan)),
        How::Reasons => print::out(&reasons(&plan)),
    }
    Ok(if plan.count(State::Error) > 0 { BAD_INPUT } else { OK })
}

/// The plan as JSON, which says like all answers whether all is well, and else what is not.
fn answer(plan: &Plan) -> serde_json::Value {
    let mut answer = serde_json::json!(plan);
    let failed = plan.stages.iter().find(|stage| stage.state == State::Error);
    answer["ok"] = failed.is_none().into();
    if let Some(stage) = failed {
        answer["error"] = format!("stage `{}` ({}): {}", stage.name, stage.kind, stage.why.join("; ")).into();
    }
    answer
}

/// What is not fresh, by reason. A change of one value may concern hundreds of cells, and is one change.
fn reasons(plan: &Plan) -> String {
    let mut found: Vec<(&[String], Vec<&str>)> = Vec::new();
    let mut places: BTreeMap<&[String], usize> = BTreeMap::new();
    let has_reason = |stage: &&PlannedStage| !matches!(stage.state, State::Fresh | State::Unknown);
    for stage in plan.stages.iter().filter(has_reason) {
        let place = *places.entry(&stage.why).or_insert_with(|| {
            found.push((&stage.why, Vec::new()));
            found.len() - 1
        });
        found[place].1.push(&stage.name);
    }
    let mut text = String::new();
    for (why, stages) in found {
        let more = stages.len().saturating_sub(MOST_NAMED);
        let named = stages[..stages.len() - more].join(", ");
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let _ = writeln!(text, "{}\n    {named}{more}\n", why.join("\n"));
    }
    // What only waits has no reason of its own.
    let waiting = plan.stages.iter().filter(|stage| stage.state == State::Unknown);
    let waiting = by_stage(waiting.map(|stage| stage_of(&stage.name)));
    if !waiting.is_empty() {
        let _ = writeln!(text, "known once what they read is there\n    {waiting}\n");
    }
    text + &counts(plan) + "\n"
}

/// How many stages of each state.
fn counts(plan: &Plan) -> String {
    let count = |state, text: &str| match plan.count(state) {
        0 => None,
        n => Some(format!("{n} {text}")),
    };
    let parts = [
        count(State::Fresh, "fresh"),
        count(State::Stale, "to run"),
        count(State::Unknown, "known once the stages above them have run"),
        count(State::Error, "that cannot run"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn text(plan: &Plan) -> String {
    let (all, unknown) = plan.forecast();
    let forecasts = all.runs > 0;
    let mut heading = vec!["stage", "kind", "state"];
    heading.extend(forecasts.then_some(["expected", "to write"]).into_iter().flatten());
    heading.push("why");
    let mut table = Table::new(&heading);
    for stage in &plan.stages {
        let state = match stage.state {
            State::Fresh => "fresh",
            State::Stale => "stale",
            State::Unknown => "unknown",
            State::Error => "error",
        };
        let mut row = vec![stage.name.clone(), stage.kind.clone(), state.to_owned()];
        if forecasts {
            let shown = stage.forecast.map(|it| [seconds(it.seconds), bytes(it.bytes)]);
            row.extend(shown.unwrap_or_default());
        }
        row.push(stage.why.join("\n"));
        table.row(row);
    }
    let mut text = format!("{}\n{}\n", table.text(), counts(plan));
    if forecasts {
        let rest = if unknown == 0 { String::new() } else { format!(", without {unknown} whose kind has never run") };
        let _ = writeln!(
            text,
            "expected from earlier runs: {} of work, {} to write{rest}",
            seconds(all.seconds),
            bytes(all.bytes)
        );
    }
    text
}
