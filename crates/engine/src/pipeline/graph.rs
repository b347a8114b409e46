//! The graph of a pipeline: one node for each stage, or for each cell of a stage's matrix.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};
use serde_json::Value;

use crate::config::{axis_labels, cell_label};
use crate::stage::{DynStage, Measures, Output, Port, Source, StageKind};

/// The matrix coordinates of a node, axis by axis; empty for a stage without a matrix above it.
pub type Cell = BTreeMap<String, Value>;

/// A node of the graph.
pub type NodeId = NodeIndex;

/// A connection into a node.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The input port.
    pub port: &'static Port,
    /// The producing node.
    pub from: NodeId,
    /// Which of its outputs.
    pub output: &'static Output,
}

/// A stage to run, with its parameters resolved.
pub struct Node {
    /// The name of the stage in the file.
    pub stage: String,
    /// Its matrix coordinates.
    pub cell: Cell,
    /// Its kind.
    pub kind: &'static StageKind,
    /// The stage itself.
    pub work: Box<dyn DynStage>,
    /// All parameters, defaults filled in.
    pub params: Value,
    /// The seed it runs with.
    pub seed: u64,
    /// Files outside the store that it reads.
    pub sources: Vec<Source>,
    /// The pipeline's param that gives a parameter its whole value, by parameter.
    pub set_by: BTreeMap<String, String>,
    /// What is connected, port by port in the kind's order; several wires for a port that gathers.
    pub inputs: Vec<Wire>,
    /// What it will measure, if that is known.
    pub measures: Option<Arc<Measures>>,
}

impl Node {
    /// The name in messages and reports: `train`, or `train[factors=8,seed=1]`.
    pub fn name(&self) -> String {
        if self.cell.is_empty() { self.stage.clone() } else { format!("{}[{}]", self.stage, cell_label(&self.cell)) }
    }

    /// Whether a person means this node by `train`, by its whole name, or by coordinates in any order, all or some, as in
    /// `train[seed=1]`.
    pub fn is_called(&self, name: &str) -> bool {
        if self.stage == name || self.name() == name {
            return true;
        }
        let Some((stage, cell)) = name.strip_suffix(']').and_then(|name| name.split_once('[')) else { return false };
        let own = axis_labels(&self.cell);
        self.stage == stage && cell.split(',').all(|axis| own.iter().any(|own| own == axis.trim()))
    }

    /// The directory below the outputs: `demo/train`, or `demo/train/factors=8,seed=1`.
    pub fn view_path(&self, pipeline: &str) -> PathBuf {
        let mut path = Path::new(pipeline).join(&self.stage);
        if !self.cell.is_empty() {
            path.push(cell_label(&self.cell));
        }
        path
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("name", &self.name()).field("kind", &self.kind.name).finish_non_exhaustive()
    }
}

/// A checked pipeline: every stage decoded, every connection typed, no cycle.
#[derive(Debug)]
pub struct Graph {
    /// The pipeline's name.
    pub pipeline: String,
    pub(super) dag: DiGraph<Node, ()>,
    /// All nodes, producers before consumers, otherwise in file order.
    pub(super) order: Vec<NodeId>,
}

impl Graph {
    /// All nodes, producers before consumers.
    pub fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.dag[id]
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is nothing to run. A built graph has at least one node.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The nodes that read what `id` writes.
    pub fn consumers(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.dag.neighbors_directed(id, petgraph::Direction::Outgoing)
    }

    /// The nodes that `id` reads from, each once.
    pub fn producers(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.dag.neighbors_directed(id, petgraph::Direction::Incoming)
    }

    /// The nodes of a stage, in cell order.
    pub fn cells<'a>(&'a self, stage: &'a str) -> impl Iterator<Item = NodeId> + 'a {
        self.order.iter().copied().filter(move |id| self.dag[*id].stage == stage)
    }

    /// The names of all stages, each once, producers first.
    pub fn stages(&self) -> Vec<&str> {
        // The cells of a stage follow one another.
        let mut names: Vec<&str> = self.order.iter().map(|id| self.dag[*id].stage.as_str()).collect();
        names.dedup();
        names
    }
}
