//! What can go wrong on the way to a file. No message has a URL with its credentials.

use std::fmt::Display;

/// The result of fetching.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server was reached, and what it has is not what was asked for: another content, an archive that is not in
    /// order, a URL that leads nowhere.
    Data,
    /// The server could not be reached, or not for long enough.
    Network,
    /// A file on this machine could not be read or written.
    Io,
    /// The caller asked to stop.
    Cancelled,
}

/// An error that names the thing, says what is wrong and, in `help`, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of trouble it is.
    pub kind: Kind,
    /// What is wrong, in lower case, with names in backticks.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

impl Error {
    fn new(kind: Kind, message: impl Display) -> Self {
        Self { kind, message: message.to_string(), help: None }
    }

    pub(super) fn data(message: impl Display) -> Self {
        Self::new(Kind::Data, message)
    }

    pub(super) fn network(message: impl Display) -> Self {
        Self::new(Kind::Network, message)
    }

    /// `what` names the file and the action.
    pub(super) fn io(what: impl Display, error: impl Display) -> Self {
        Self::new(Kind::Io, format!("{what}: {error}"))
    }

    pub(super) fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "stopped on request")
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}
