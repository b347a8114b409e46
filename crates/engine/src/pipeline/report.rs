//! What a run did: the object that `run --json` prints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde::Serializer;
use serde_json::Value;

use crate::pipeline::graph::Cell;
use crate::stage::Class;

/// What became of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its output was there already.
    Fresh,
    /// It ran.
    Ran,
    /// It ran and failed, or could not start.
    Failed,
    /// It was not run, because something it needs failed or the run was stopped.
    Skipped,
}

/// JSON has no names that are no text: what cannot be told is left out of it.
#[allow(clippy::ref_option, reason = "the form that serde asks for")]
fn path<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

fn paths<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

/// Why a stage failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it is.
    pub class: Class,
    /// What is wrong.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

/// What became of one stage, or one cell of its matrix.
#[derive(Debug, Clone, Serialize)]
pub struct StageReport {
    /// Its name, with its cell.
    pub name: String,
    /// The name of the stage in the file.
    pub stage: String,
    /// Its matrix coordinates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cell: Cell,
    /// Its kind.
    pub kind: String,
    /// What became of it.
    pub status: Status,
    /// How long this took in this run.
    pub seconds: f64,
    /// Its key, once all its inputs are known.
    pub key: Option<String>,
    /// Where its output can be opened.
    #[serde(serialize_with = "path")]
    pub output: Option<PathBuf>,
    /// Why it was not fresh, field by field; or why it was skipped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// What it noted about its work.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
    /// What the user should know before trusting the result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the user can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Whose fault it is.
    #[serde(skip)]
    pub class: Option<Class>,
}

/// What a run did.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// The pipeline's name.
    pub pipeline: String,
    /// Whether everything asked for is there now.
    pub ok: bool,
    /// How long the run took.
    pub seconds: f64,
    /// Every stage that was asked for, producers first.
    pub stages: Vec<StageReport>,
    /// What is wrong with the run beside its stages, such as that it was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Directories below the outputs from which files were removed, because the pipeline no longer has their stages or
    /// cells.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "paths")]
    pub removed: Vec<PathBuf>,
}

impl RunReport {
    /// The class of the first failure, in the order of the graph.
    pub fn failure(&self) -> Option<Class> {
        self.stages.iter().find_map(|stage| stage.class)
    }

    /// How many stages ended this way.
    pub fn count(&self, status: Status) -> usize {
        self.stages.iter().filter(|stage| stage.status == status).count()
    }
}
