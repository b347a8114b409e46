//! Which expectations over metrics hold: `checks.json`.

use serde::{Deserialize, Serialize};

use crate::stage::{Artifact, ArtifactDir, Context, Fault, FileSpec, Result};

const FILE: &str = "checks.json";

/// The content of `checks.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checks {
    /// Whether all of them hold.
    pub passed: bool,
    /// One for each expectation, in the order of the pipeline file.
    pub checks: Vec<Check>,
}

/// An expectation, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The expectation as it is written in the pipeline file.
    pub expect: String,
    /// Whether it holds.
    pub passed: bool,
    /// What stands on the left.
    pub left: Value,
    /// What stands on the right.
    pub right: Value,
}

/// A side of an expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// The number; for a metric of several cells, their mean.
    pub value: f64,
    /// The cells of a matrix that the mean is over, by their names; empty for a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<String>,
}

impl Checks {
    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, context: &Context<'_>) -> Result<()> {
        context.write_json(FILE, self)
    }
}

impl Artifact for Checks {
    const KIND: &'static str = "checks";
    const FILES: &'static [FileSpec] = &[FileSpec::always(FILE)];

    fn load(dir: &ArtifactDir) -> Result<Self> {
        serde_json::from_slice(&dir.read(FILE)?).map_err(|error| {
            Fault::data(format!("`{FILE}` of stage `{}` is not what this program writes: {error}", dir.producer))
                .help(format!("run it again with `--force {}`", dir.producer))
        })
    }
}
