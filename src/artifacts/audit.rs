//! What an audit of a split found: `audit.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::stage::{Artifact, ArtifactDir, Context, Fault, FileSpec, Result};

const FILE: &str = "audit.json";

/// The content of `audit.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Whether no problem was found, of whatever weight.
    pub clean: bool,
    /// The part of the split that is ranked: `test` or `valid`.
    pub on: String,
    /// Users in the data.
    pub users: usize,
    /// Items in the data.
    pub items: usize,
    /// Interactions by part.
    pub rows: BTreeMap<String, usize>,
    /// All problems that were looked for, found or not.
    pub problems: Vec<Problem>,
    /// What could not be looked for, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_checked: BTreeMap<String, String>,
}

/// A kind of problem, and how often it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Its name, as under `on_problem`.
    pub problem: String,
    /// What was counted.
    pub about: String,
    /// What happens when there is one: `fail`, `warn` or `ignore`.
    pub action: String,
    /// How often it was found.
    pub count: u64,
    /// With how many users.
    pub users: u64,
    /// The first few, in raw ids.
    pub examples: Vec<Value>,
}

impl Audit {
    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, context: &Context<'_>) -> Result<()> {
        context.write_json(FILE, self)
    }
}

impl Artifact for Audit {
    const KIND: &'static str = "audit";
    const FILES: &'static [FileSpec] = &[FileSpec::always(FILE)];

    fn load(dir: &ArtifactDir) -> Result<Self> {
        serde_json::from_slice(&dir.read(FILE)?).map_err(|error| {
            Fault::data(format!("`{FILE}` of stage `{}` is not what this program writes: {error}", dir.producer))
                .help(format!("run it again with `--force {}`", dir.producer))
        })
    }
}
