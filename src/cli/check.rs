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
    let cells = if nodes == stages { String::new() } else { format!(", {nodes} runs") };
    print::line(&format!("{}: {stages} stages{cells}, no errors", args.file.file.display()));
    Ok(OK)
}
