//! What can stop a fit.

use std::fmt::Display;

use crate::model;

/// The result of fitting.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why fitting stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The arithmetic failed.
    Failed,
    /// The data or the settings do not allow the work.
    Data,
    /// The caller asked to stop.
    Cancelled,
}

/// An error that names the thing, says what is wrong and, in `help`, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Why fitting stopped.
    pub kind: Kind,
    /// What is wrong.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

impl Error {
    fn new(kind: Kind, message: impl Display) -> Self {
        Self { kind, message: message.to_string(), help: None }
    }

    /// The arithmetic failed.
    pub fn failed(message: impl Display) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The data or the settings do not allow the work.
    pub fn data(message: impl Display) -> Self {
        Self::new(Kind::Data, message)
    }

    /// The caller asked to stop.
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "stopped on request")
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}

impl From<model::Error> for Error {
    fn from(error: model::Error) -> Self {
        Self { help: error.help.clone(), ..Self::failed(error) }
    }
}
