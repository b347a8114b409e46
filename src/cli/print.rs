//! Writing to standard output and standard error. A reader that goes away ends the program quietly.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use miette::{GraphicalReportHandler, GraphicalTheme};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::cli::terminal;
use crate::config::{Problem, Problems};

/// Whether the reader of standard output has gone away.
static GONE: AtomicBool = AtomicBool::new(false);

/// The number of things, with their name in the singular or, with an `s`, in the plural.
pub(super) fn counted(n: usize, name: &str) -> String {
    format!("{n} {name}{}", if n == 1 { "" } else { "s" })
}

/// Writes to standard output, as it is.
pub(super) fn out(text: &str) {
    if GONE.load(Ordering::Relaxed) {
        return;
    }
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        if error.kind() != io::ErrorKind::BrokenPipe && !is_gone(&error, &stdout) {
            self::error(&format!("cannot write to standard output: {error}"), None);
            std::process::exit(i32::from(super::exit::IO));
        }
        // `ncf-pipe … | head` closes the pipe early, a terminal may go away: nothing more is to be said there, but the
        // exit code still counts.
        GONE.store(true, Ordering::Relaxed);
    }
}

/// Whether it was a terminal that went away: it no longer says that it is one.
fn is_gone(error: &io::Error, stream: &impl AsFd) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
        && rustix::fs::fstat(stream)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice)
}

/// Writes a line to standard output.
pub(super) fn line(text: &str) {
    out(&format!("{text}\n"));
}

/// Writes a value as one line of JSON, or indented, to standard output.
pub(super) fn json(value: &impl serde::Serialize, pretty: bool) {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    match text {
        Ok(text) => line(&text),
        // Reports and schemas have string keys, finite numbers and names that are text, which is all that JSON asks for.
        Err(error) => {
            self::error(&format!("cannot write this as JSON: {error}"), Some("leave out `--json`"));
            std::process::exit(i32::from(super::exit::IO));
        }
    }
}

/// Writes a line to standard error, past the progress bars.
pub(super) fn note(text: &str) {
    terminal::past_bars(|| {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    });
}

/// Writes an error and what to do about it.
pub(super) fn error(message: &str, help: Option<&str>) {
    let (red, cyan, plain) =
        if io::stderr().is_terminal() { ("\x1b[31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
    note(&format!("{red}error{plain}: {message}"));
    if let Some(help) = help {
        note(&format!("  {cyan}help{plain}: {help}"));
    }
}

/// Writes the errors of a pipeline file with the lines that they point at.
pub(super) fn problems(problems: &Problems) {
    problems.iter().for_each(problem);
}

/// Writes an error or a warning about a pipeline file with the line that it points at.
pub(super) fn problem(problem: &Problem) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
    let mut text = String::new();
    if handler.render_report(&mut text, problem).is_err() {
        text = problem.to_string();
    }
    note(text.trim_end_matches('\n'));
}

/// Where the store is, if the command line does not say it.
pub(super) const STORE: &str = "NCF_PIPE_STORE";

/// Writes what clap has to say: usage errors, help or the version.
pub(super) fn clap(error: &clap::Error) {
    use clap::error::{ContextKind, ContextValue};
    // Nobody is left to tell when the stream is gone.
    let _ = error.print();
    let of_store =
        matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if arg.starts_with("--store"));
    if of_store && std::env::var_os(STORE).is_some_and(|value| value.is_empty()) {
        note(&format!("\nThe environment variable {STORE} is empty: unset it, or let it name a directory."));
    }
}
