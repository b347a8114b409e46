//! `ncf-pipe completions`: shell completion.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::exit::OK;
use crate::cli::print;

/// Print a shell completion script
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn main<C: CommandFactory>(args: &CompletionsArgs) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "ncf-pipe", &mut script);
    print::out(&String::from_utf8_lossy(&script));
    OK
}
