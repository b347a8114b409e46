//! Runs: what one stage, or one cell of a matrix, did.

use serde::Deserialize;
use serde::Serialize;

use crate::model::graph::State;
use crate::model::table::Better;

/// What one stage, or one cell of a matrix, did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Its name, for example `train[gamma=2,alpha=0.25,seed=3]`.
    pub name: String,
    /// The name of its stage, which may be a node of the graph.
    pub stage: String,
    /// The coordinates of its cell, for example `("gamma", "2")`; empty outside of a matrix.
    pub parameters: Vec<(String, String)>,
    /// Its key in full.
    pub key: String,
    /// What became of it.
    pub state: State,
    /// How long it ran, in seconds.
    pub seconds: Option<f64>,
    /// The most memory that it used, in bytes.
    pub peak_memory: Option<u64>,
    /// Where it ran, for example `cpu`.
    pub device: String,
    /// Which engine ran it, for example `fused`.
    pub engine: String,
    /// Its seed.
    pub seed: Option<u64>,
    /// What was measured on it.
    pub metrics: Vec<Metric>,
    /// Its full configuration with all defaults, as YAML or JSON.
    pub configuration: String,
    /// Where its manifest lies.
    pub manifest: String,
    /// What it said when it failed.
    pub error: String,
}

/// A metric of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name, for example `ndcg@10`.
    pub name: String,
    /// Its value; none or NaN where it could not be measured. JSON has no NaN and reads it back as none.
    pub value: Option<f64>,
    /// Digits after the point; none for the shortest text that has the value.
    #[serde(default)]
    pub digits: Option<u8>,
    /// Which values are the good ones.
    #[serde(default)]
    pub better: Option<Better>,
}
