//! What stops a piece of work: whose fault it is, what is wrong, and what to do about it.
//!
//! One vocabulary for every room below the command line, which turns a [`Class`] into an exit code.

use std::fmt::Display;
use std::path::PathBuf;

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
