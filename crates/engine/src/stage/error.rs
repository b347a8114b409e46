//! What a stage kind may refuse.

use std::fmt::Display;

/// A parameter that a stage kind refuses, with the path to it below the stage (`["loss", "gamma"]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamError {
    /// Keys from the stage down to the value; empty for the stage itself.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

impl ParamError {
    /// Refuses the parameter `name`.
    pub fn new(name: &str, message: impl Display) -> Self {
        let path = name.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Self { path, message: message.to_string(), help: None }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}
