//! What can be wrong with a model or its file.

use std::fmt::Display;

/// The result of building, saving, loading or running a model.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names the thing, says what is wrong and, in `help`, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

impl Error {
    /// Something is wrong with a model.
    pub fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), help: None }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::new(format!("tensor library: {error}"))
    }
}

/// A hyper-parameter that a model, loss or optimizer refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The name of the hyper-parameter.
    pub field: &'static str,
    /// What is wrong with its value.
    pub message: String,
}
