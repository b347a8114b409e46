//! What stops a piece of work: whose fault it is, what is wrong, and what to do about it.
//!
//! One vocabulary for every room below the command line, which turns a [`Class`] into an exit code.

mod remedy;

use std::fmt::Display;
use std::path::PathBuf;

pub use remedy::{free_bytes, is_short_of_room, reading_remedy, remedy, space, who_may_read};

/// The result of a piece of work.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// Whose fault an error is; it decides the exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The stage itself failed, for example because training diverged (exit code 1).
    Failed,
    /// The pipeline or the data is not usable as it is (exit code 2).
    Data,
    /// Reading or writing files failed (exit code 3).
    Io,
    /// The run was asked to stop (exit code 130 or 143).
    Cancelled,
}

/// A stored file whose bytes are not those that were published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedFile {
    /// Where the file lies in the store.
    pub path: PathBuf,
    /// The stage that wrote it.
    pub producer: String,
}

/// An error that names the thing, says what is wrong and, in `help`, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Whose fault it is.
    pub class: Class,
    /// What is wrong, in lower case, with names in backticks.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
    /// The stored input that turned out damaged, if that is the reason: the engine then makes it anew.
    pub damaged: Option<DamagedFile>,
}

impl Fault {
    fn new(class: Class, message: impl Display) -> Self {
        Self { class, message: message.to_string(), help: None, damaged: None }
    }

    /// The stage failed (exit code 1).
    pub fn failed(message: impl Display) -> Self {
        Self::new(Class::Failed, message)
    }

    /// The data or the parameters do not allow the work (exit code 2).
    pub fn data(message: impl Display) -> Self {
        Self::new(Class::Data, message)
    }

    /// A file could not be read or written (exit code 3). `what` names the file and the action.
    pub fn io(what: impl Display, error: impl Display) -> Self {
        Self::new(Class::Io, format!("{what}: {error}"))
    }

    /// The run was asked to stop.
    pub fn cancelled() -> Self {
        Self::new(Class::Cancelled, "stopped on request")
    }

    /// The stored `file` written by stage `producer` does not have the bytes that were published.
    pub fn damaged(file: DamagedFile) -> Self {
        let message = format!("stored file `{}` of stage `{}` is damaged", file.path.display(), file.producer);
        Self { damaged: Some(file), ..Self::new(Class::Io, message) }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}

/// What is wrong with work that takes more memory than there is, or none: `work` is what takes it, as in `training GMF`.
pub fn too_much(work: &str, needed: u64, there: u64) -> Option<String> {
    let text = || format!("{work} takes about {} of memory, and there are {}", size(needed), size(there));
    (needed > there).then(text)
}

/// Three digits, as in `1.25 GB`.
fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    let decimals = match value {
        _ if unit == "B" => 0,
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_no_fault_and_what_does_not_is_told_in_three_digits() {
        assert_eq!(too_much("x", 5, 5), None);
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (9_996, "10.0 kB"),
            (99_960, "100 kB"),
            (999_600, "1.00 MB"),
            (12_345_678, "12.3 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        let message = too_much("training GMF", 2_000_000_000, 1_000_000).unwrap();
        assert_eq!(message, "training GMF takes about 2.00 GB of memory, and there are 1.00 MB");
    }
}
