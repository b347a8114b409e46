//! The trait that a stage kind implements, and the engine's erased view of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::stage::{Context, Output, ParamError, Port, Result};

/// A file outside the store whose content belongs to the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The top-level parameter that holds the path. In the key, the file's digest stands in its place, so that
    /// the same bytes under another path are the same input.
    pub param: &'static str,
    /// Which of the files that the parameter stands for, if it stands for several.
    pub part: Option<String>,
    /// The path, relative to the working directory.
    pub path: PathBuf,
}

impl Source {
    /// The file that a parameter names.
    pub fn new(param: &'static str, path: impl Into<PathBuf>) -> Self {
        Self { param, part: None, path: path.into() }
    }

    /// The file `name` in the directory that a parameter names.
    pub fn within(param: &'static str, directory: &Path, name: &str) -> Self {
        Self { param, part: Some(name.to_owned()), path: directory.join(name) }
    }

    /// What it is called in the key and in [`Context::source`]: `path`, or `local/u.data`.
    pub fn name(&self) -> String {
        self.part.as_ref().map_or_else(|| self.param.to_owned(), |part| format!("{}/{part}", self.param))
    }
}

/// A run that is connected to a stage, as far as it is known before anything has run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connected {
    /// The port that it is connected to.
    pub port: &'static str,
    /// The name of its stage, with its cell.
    pub stage: String,
    /// Its matrix coordinates, axis by axis.
    pub cell: BTreeMap<String, Value>,
    /// The axes of what it reads from itself, each once.
    pub axes: BTreeSet<String>,
    /// See [`Stage::measures`].
    pub measures: Option<Arc<Measures>>,
}

/// What is connected to a stage, if it asks: made when it is first asked for.
pub type Connections<'a> = &'a dyn Fn() -> Rc<[Connected]>;

/// Names of what is measured, by the way in which it is: metrics by protocol.
pub type Measures = BTreeMap<String, BTreeSet<String>>;

/// A kind of stage. The fields of the type are its parameters.
pub trait Stage: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The name used after `kind:`.
    const KIND: &'static str;
    /// What the stage does, in one line.
    const ABOUT: &'static str;
    /// One entry for each version, saying what changed in the bytes that the stage writes: the number of entries
    /// is the version that goes into the key.
    const CHANGES: &'static [&'static str];
    /// The input ports.
    const INPUTS: &'static [Port] = &[];
    /// The outputs; the first is what a plain `stage` reference means.
    const OUTPUTS: &'static [Output];
    /// Whether the stage also reports how its inputs were made, from [`crate::stage::Input::runs`]. Then that is part of
    /// its key, so that what it writes is still a function of its key.
    const KNOWS_RUNS: bool = false;

    /// Whether this stage, with these parameters, draws at random. Only then does the seed count.
    fn is_seeded(&self) -> bool {
        false
    }

    /// Fills in what is derived from other parameters (so that it is visible and in the key) and refuses what
    /// cannot work.
    ///
    /// # Errors
    /// Names the parameter that cannot work.
    fn normalise(self) -> Result<Self, ParamError> {
        Ok(self)
    }

    /// Refuses parameters that do not fit the input ports that are `connected`.
    ///
    /// # Errors
    /// Names the parameter that does not fit.
    fn check_inputs(&self, connected: &[&str]) -> Result<(), ParamError> {
        let _ = connected;
        Ok(())
    }

    /// Refuses parameters that name runs, or axes of runs, that are not connected. `connected` lists what is.
    ///
    /// # Errors
    /// Names the parameter that names one.
    fn check_connected(&self, connected: Connections<'_>) -> Result<(), ParamError> {
        let _ = connected;
        Ok(())
    }

    /// What will be measured, if that is known before anything has run: a stage that is asked for something else can be
    /// refused then. `connected` lists its inputs.
    fn measures(&self, connected: Connections<'_>) -> Option<Measures> {
        let _ = connected;
        None
    }

    /// Files outside the store whose bytes belong in the key.
    fn sources(&self) -> Vec<Source> {
        Vec::new()
    }

    /// The stage that stands for all with which this one may share what it leaves in [`Context::scratch`]: others that
    /// are made from the same inputs and only do more or less of the same. It outlives the stage, so that one that does
    /// more can go on where this one ended. Without it, only an interrupted run of the same stage finds it again.
    fn continues(&self) -> Option<Self> {
        None
    }

    /// How much work these parameters ask for, beside that of other parameters of this kind on the same inputs, such as
    /// the number of epochs: forecasts of time are in proportion to it.
    fn effort(&self) -> f64 {
        1.0
    }

    /// Does the work: reads inputs, writes files.
    ///
    /// # Errors
    /// Whatever stops the work; see [`crate::stage::Fault`].
    fn run(&self, context: &Context<'_>) -> Result<()>;
}

/// A stage with its parameters, its type erased.
pub trait DynStage: Send + Sync {
    /// All parameters, defaults filled in.
    fn params(&self) -> Value;
    /// See [`Stage::check_inputs`].
    ///
    /// # Errors
    /// As [`Stage::check_inputs`].
    fn check_inputs(&self, connected: &[&str]) -> Result<(), ParamError>;
    /// See [`Stage::check_connected`].
    ///
    /// # Errors
    /// As [`Stage::check_connected`].
    fn check_connected(&self, connected: Connections<'_>) -> Result<(), ParamError>;
    /// See [`Stage::measures`].
    fn measures(&self, connected: Connections<'_>) -> Option<Measures>;
    /// See [`Stage::sources`].
    fn sources(&self) -> Vec<Source>;
    /// See [`Stage::is_seeded`].
    fn is_seeded(&self) -> bool;
    /// The parameters of [`Stage::continues`].
    fn continues(&self) -> Option<Value>;
    /// See [`Stage::effort`].
    fn effort(&self) -> f64;
    /// See [`Stage::run`].
    ///
    /// # Errors
    /// As [`Stage::run`].
    fn run(&self, context: &Context<'_>) -> Result<()>;
}

impl<S: Stage> DynStage for S {
    fn params(&self) -> Value {
        // Parameter types are plain structs and enums with string keys: `non_finite` numbers become null, which
        // the key refuses.
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    fn check_inputs(&self, connected: &[&str]) -> Result<(), ParamError> {
        Stage::check_inputs(self, connected)
    }

    fn check_connected(&self, connected: Connections<'_>) -> Result<(), ParamError> {
        Stage::check_connected(self, connected)
    }

    fn measures(&self, connected: Connections<'_>) -> Option<Measures> {
        Stage::measures(self, connected)
    }

    fn sources(&self) -> Vec<Source> {
        Stage::sources(self)
    }

    fn is_seeded(&self) -> bool {
        Stage::is_seeded(self)
    }

    fn continues(&self) -> Option<Value> {
        Stage::continues(self).map(|stage| stage.params())
    }

    fn effort(&self) -> f64 {
        Stage::effort(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        Stage::run(self, context)
    }
}

/// A row of the registry: everything the engine knows of a stage kind.
#[derive(Debug, Clone, Copy)]
pub struct StageKind {
    /// The name used after `kind:`.
    pub name: &'static str,
    /// What the stage does, in one line.
    pub about: &'static str,
    /// See [`Stage::CHANGES`].
    pub changes: &'static [&'static str],
    /// The input ports.
    pub inputs: &'static [Port],
    /// The outputs.
    pub outputs: &'static [Output],
    /// See [`Stage::KNOWS_RUNS`].
    pub knows_runs: bool,
    /// The JSON Schema of the parameters.
    pub schema: fn() -> schemars::Schema,
    /// Turns parameters into a stage.
    pub decode: fn(Value) -> Result<Box<dyn DynStage>, ParamError>,
}

impl StageKind {
    /// The row of a stage kind.
    pub const fn of<S: Stage>() -> Self {
        Self {
            name: S::KIND,
            about: S::ABOUT,
            changes: S::CHANGES,
            inputs: S::INPUTS,
            outputs: S::OUTPUTS,
            knows_runs: S::KNOWS_RUNS,
            schema: || schemars::SchemaGenerator::default().into_root_schema_for::<S>(),
            decode: decode::<S>,
        }
    }

    /// The version that goes into the key.
    pub const fn version(&self) -> usize {
        self.changes.len()
    }

    /// The port of this name.
    pub fn input(&self, name: &str) -> Option<&'static Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    /// The output of this name.
    pub fn output(&self, name: &str) -> Option<&'static Output> {
        self.outputs.iter().find(|output| output.name == name)
    }
}

fn decode<S: Stage>(params: Value) -> Result<Box<dyn DynStage>, ParamError> {
    let stage: S = serde_path_to_error::deserialize(params).map_err(|error| {
        let path = error.path().iter().map(ToString::to_string).collect();
        let message = error.into_inner().to_string();
        // A type that reads itself says what to do after a line break: serde's errors have no other place for it.
        match message.split_once('\n') {
            Some((message, help)) => ParamError { path, message: message.to_owned(), help: Some(help.to_owned()) },
            None => ParamError { path, message, help: None },
        }
    })?;
    Ok(Box::new(stage.normalise()?))
}

/// The stage kinds that a program offers.
#[derive(Debug, Clone, Copy)]
pub struct Registry {
    kinds: &'static [StageKind],
}

impl Registry {
    /// A registry of these kinds.
    pub const fn new(kinds: &'static [StageKind]) -> Self {
        Self { kinds }
    }

    /// All kinds, in catalogue order.
    pub fn kinds(&self) -> &'static [StageKind] {
        self.kinds
    }

    /// The kind of this name.
    pub fn get(&self, name: &str) -> Option<&'static StageKind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }
}
