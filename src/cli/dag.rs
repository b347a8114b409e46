//! `ncf-pipe dag`: draws the graph.

use clap::{Args, ValueEnum};

use crate::cli::common::FileArgs;
use crate::cli::exit::{OK, Outcome};
use crate::cli::print;
use crate::pipeline::{DrawFormat, draw};

/// Draw the graph of a pipeline
#[derive(Debug, Args)]
pub(super) struct DagArgs {
    #[command(flatten)]
    file: FileArgs,
    /// How to draw
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// A list, producers first
    #[default]
    Text,
    /// A Mermaid flowchart
    Mermaid,
    /// Graphviz
    Dot,
}

pub(super) fn main(args: &DagArgs) -> Outcome {
    let format = match args.format {
        Format::Text => DrawFormat::Text,
        Format::Mermaid => DrawFormat::Mermaid,
        Format::Dot => DrawFormat::Dot,
    };
    print::out(&draw(&args.file.graph()?, format));
    Ok(OK)
}
