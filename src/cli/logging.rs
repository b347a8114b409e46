//! Log lines on standard error, above the progress bars.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::Global;
use crate::cli::terminal;

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Whether progress is drawn as bars.
fn draws_bars(global_quiet: bool) -> bool {
    io::stderr().is_terminal() && !global_quiet && std::env::var_os("NO_PROGRESS").is_none()
}

/// Starts logging. `NCF_PIPE_LOG` takes a filter such as `debug` or `ncf_pipe::train=trace`.
pub(super) fn start(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => "warn,ncf_pipe=info",
        (_, 1) => "warn,ncf_pipe=debug",
        _ => "info,ncf_pipe=trace",
    };
    let filter = EnvFilter::try_from_env("NCF_PIPE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    if draws_bars(global.quiet) && global.log_format == LogFormat::Text {
        terminal::draw_bars();
    }
    let lines = tracing_subscriber::fmt::layer().with_writer(|| terminal::Above).with_ansi(io::stderr().is_terminal());
    let lines = match global.log_format {
        LogFormat::Text => lines.with_target(false).without_time().boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // The HTTP client writes whole URLs into its log, with whatever credentials they have.
    let no_urls = filter_fn(|meta| !meta.target().starts_with("ureq"));
    tracing_subscriber::registry().with(filter).with(no_urls).with(lines).init();
}
