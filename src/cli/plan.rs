//! `ncf-pipe plan`: what a run would do, and why.

use std::fmt::Write;

use clap::Args;

use crate::cli::Global;
use crate::cli::common::{FileArgs, WorldArgs, save_memo};
use crate::cli::exit::{BAD_INPUT, Failed, OK, Outcome};
use crate::cli::print;
use crate::cli::run::SelectArgs;
use crate::cli::table::{Table, bytes, seconds};
use crate::pipeline::{Graph, Plan, State, World, plan};

/// Say which stages are fresh, which would run, and why
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    world: WorldArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn main(global: &Global, args: &PlanArgs) -> Outcome {
    let graph = args.file.graph()?;
    let world = args.world.open(global)?;
    show(&graph, &world, &args.select, args.json)
}

/// Prints the plan; `run --dry-run` does the same.
pub(super) fn show(graph: &Graph, world: &World, select: &SelectArgs, json: bool) -> Outcome {
    let plan = plan(graph, world, &select.selection()).map_err(Failed::input)?;
    save_memo(&world.store);
    if json {
        print::json(&plan, false);
    } else {
        print::out(&text(&plan));
    }
    Ok(if plan.count(State::Error) > 0 { BAD_INPUT } else { OK })
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
    let counts = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut text = format!("{}\n{counts}\n", table.text());
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
