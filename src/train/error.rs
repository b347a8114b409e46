//! What can stop training.

use std::fmt::Display;

use crate::data;
use crate::model;

/// The result of training.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why training stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Training itself failed, for example because it diverged.
    Failed,
    /// The data or the settings do not allow the work.
    Data,
    /// A checkpoint could not be written.
    Io,
    /// The caller asked to stop.
    Cancelled,
}

/// An error that names the thing, says what is wrong and, in `help`, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Why training stopped.
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

    /// Training itself failed.
    pub fn failed(message: impl Display) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The data or the settings do not allow the work.
    pub fn data(message: impl Display) -> Self {
        Self::new(Kind::Data, message)
    }

    /// A checkpoint could not be written; `what` names the file and the action.
    pub fn io(what: impl Display, error: impl Display) -> Self {
        Self::new(Kind::Io, format!("{what}: {error}"))
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
        Self { kind: Kind::Failed, message: error.message, help: error.help }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        model::Error::from(error).into()
    }
}

impl From<data::Error> for Error {
    fn from(error: data::Error) -> Self {
        let kind = match error.kind {
            data::error::Kind::Data => Kind::Data,
            data::error::Kind::Io => Kind::Io,
            data::error::Kind::Cancelled => Kind::Cancelled,
        };
        Self { kind, message: error.message, help: error.help }
    }
}
