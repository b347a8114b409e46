//! Log lines on standard error, above the progress bars.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_indicatif::IndicatifLayer;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::Global;

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
pub(super) fn draws_bars(global_quiet: bool) -> bool {
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
    let bars = IndicatifLayer::new();
    let writer = bars.get_stderr_writer();
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(io::stderr().is_terminal());
    let lines = match global.log_format {
        LogFormat::Text => lines.with_target(false).without_time().boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let drawn = (draws_bars(global.quiet) && global.log_format == LogFormat::Text).then_some(bars);
    // The HTTP client writes whole URLs into its log, with whatever credentials they have.
    let no_urls = filter_fn(|meta| !meta.target().starts_with("ureq"));
    tracing_subscriber::registry().with(filter).with(no_urls).with(lines).with(drawn).init();
}
