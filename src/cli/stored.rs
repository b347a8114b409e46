//! What is stored of a pipeline as it is now: manifests and artifacts of fresh stages. Nothing runs for it.

use std::collections::BTreeMap;

use crate::cache::{Lookup, Manifest, OutputEntry, StageKey};
use crate::cli::Global;
use crate::cli::common::{FileArgs, WorldArgs, save_memo};
use crate::cli::exit::Failed;
use crate::pipeline::{Graph, Node, NodeId, Plan, Selection, State, World, plan};
use crate::stage::{ArtifactDir, FileRef};

/// A pipeline, its plan, and what is stored of it.
pub(super) struct Stored {
    pub(super) graph: Graph,
    pub(super) world: World,
    pub(super) plan: Plan,
    manifests: BTreeMap<String, Manifest>,
}

impl Stored {
    /// Plans the pipeline, or the stages of these names and what they need, and reads the manifests of what is fresh.
    pub(super) fn open(global: &Global, file: &FileArgs, world: &WorldArgs, only: &[String]) -> Result<Self, Failed> {
        let graph = file.graph()?;
        let world = world.open(global)?;
        let selection = Selection { only: only.to_vec(), force: Vec::new() };
        let plan = plan(&graph, &world, &selection).map_err(Failed::input)?;
        save_memo(&world.store);
        let fresh = plan.stages.iter().filter(|stage| stage.state == State::Fresh);
        let manifest = |key: &str| match world.store.lookup(&StageKey::parse(key)?) {
            Lookup::Hit(manifest) => Some(manifest),
            _ => None,
        };
        let manifests =
            fresh.filter_map(|stage| Some((stage.name.clone(), manifest(stage.key.as_deref()?)?))).collect();
        Ok(Self { graph, world, plan, manifests })
    }

    /// All nodes of the plan, producers first.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        let planned = |node: &Node| self.plan.stages.iter().any(|stage| stage.name == node.name());
        self.graph.order().iter().map(|id| (*id, self.graph.node(*id))).filter(move |(_, node)| planned(node))
    }

    /// The manifest of a node that is fresh.
    pub(super) fn manifest(&self, node: &Node) -> Option<&Manifest> {
        self.manifests.get(&node.name())
    }

    /// The artifact of this kind that a fresh node has written.
    pub(super) fn artifact(&self, node: &Node, kind: &str) -> Option<ArtifactDir> {
        let output = node.kind.outputs.iter().find(|output| output.kind == kind)?;
        Some(self.dir(node, self.manifest(node)?.outputs.get(output.name)?))
    }

    fn dir(&self, node: &Node, entry: &OutputEntry) -> ArtifactDir {
        let file = |(name, file): (&String, &crate::cache::FileEntry)| {
            let path = self.world.store.blob_path(&file.digest);
            (name.clone(), FileRef { path, digest: file.digest.to_string(), size: file.size })
        };
        ArtifactDir::new(node.name(), entry.files.iter().map(file).collect())
    }
}
