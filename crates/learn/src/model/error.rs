//! What can stop work on a model.

use std::fmt::Display;

use ncf_pipe_fault::{Class, Fault};

/// The result of building, training, saving, loading or running a model.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A [`Fault`] under a name of this crate, so that the tensor library's errors turn into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Whose fault it is.
    pub class: Class,
    /// What is wrong.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

impl Error {
    fn new(class: Class, message: impl Display) -> Self {
        Self { class, message: message.to_string(), help: None }
    }

    /// The work itself failed, for example because training diverged.
    pub fn failed(message: impl Display) -> Self {
        Self::new(Class::Failed, message)
    }

    /// The data or the settings do not allow the work.
    pub fn data(message: impl Display) -> Self {
        Self::new(Class::Data, message)
    }

    /// A file could not be read or written; `what` names the file and the action.
    pub fn io(what: impl Display, error: impl Display) -> Self {
        Self::new(Class::Io, format!("{what}: {error}"))
    }

    /// The caller asked to stop.
    pub fn cancelled() -> Self {
        Fault::cancelled().into()
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self { class: fault.class, message: fault.message, help: fault.help }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { class: error.class, message: error.message, help: error.help, damaged: None }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::failed(format!("tensor library: {error}"))
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
