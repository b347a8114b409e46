//! `ncf-pipe check`: validates without touching data.

use clap::Args;

use crate::cli::common::FileArgs;
use crate::cli::exit::{OK, Outcome};
use crate::cli::print;

/// Check a pipeline without touching any data
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    file: FileArgs,
}

pub(super) fn main(args: &CheckArgs) -> Outcome {
    let graph = args.file.graph()?;
    let (stages, nodes) = (graph.stages().len(), graph.len());
    let cells = if nodes == stages { String::new() } else { format!(", {}", print::counted(nodes, "run")) };
    print::line(&format!("{}: {}{cells}, no errors", args.file.file.display(), print::counted(stages, "stage")));
    Ok(OK)
}
