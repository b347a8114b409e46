//! What can be wrong with data.

use std::fmt::Display;

/// The result of a data kernel.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether the data or the disk is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The data or a parameter does not allow the work.
    Data,
    /// Bytes could not be read or written.
    Io,
    /// The caller asked to stop.
    Cancelled,
}

/// An error that names the thing, says what is wrong and, in `help`, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Whether the data or the disk is at fault.
    pub kind: Kind,
    /// What is wrong.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

impl Error {
    /// The data or a parameter does not allow the work.
    pub fn data(message: impl Display) -> Self {
        Self { kind: Kind::Data, message: message.to_string(), help: None }
    }

    /// Bytes could not be read or written; `what` names the file and the action.
    pub fn io(what: impl Display, error: impl Display) -> Self {
        Self { kind: Kind::Io, message: format!("{what}: {error}"), help: None }
    }

    /// The caller asked to stop.
    pub fn cancelled() -> Self {
        Self { kind: Kind::Cancelled, message: "stopped on request".to_owned(), help: None }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}
