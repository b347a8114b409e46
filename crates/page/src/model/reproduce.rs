//! How to get the same results again.

use serde::Deserialize;
use serde::Serialize;

/// How to get the same results again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reproduce {
    /// What to run, in order.
    pub commands: Vec<Command>,
    /// Names and versions: program, compiler, libraries, operating system, processor.
    pub versions: Vec<(String, String)>,
    /// The data that went in.
    pub data: Vec<DataSet>,
}

/// A command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// What it is for.
    pub purpose: String,
    /// What to type; may be several lines.
    pub line: String,
}

/// Data that went in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSet {
    /// Its name, for example a file.
    pub name: String,
    /// The digest of its content, with the name of the function, for example `blake3:…`.
    pub digest: String,
    /// Its size in bytes.
    pub bytes: Option<u64>,
    /// Where it comes from. Shown as text, never as a link.
    pub source: String,
}
