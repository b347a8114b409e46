//! Finds a trained model, and the split that it was trained on, through a pipeline.

use clap::Args;

use crate::artifacts::cells::shown;
use crate::artifacts::model::Model;
use crate::artifacts::split::Split;
use crate::cli::Global;
use crate::cli::common::{FileArgs, WorldArgs, quoted, same};
use crate::cli::exit::Failed;
use crate::cli::stored::Stored;
use crate::pipeline::{Graph, Node, State};
use crate::stage::{Artifact, ArtifactDir};
use crate::stages::Trained;

/// Which model, and for whom.
#[derive(Debug, Args)]
pub(super) struct TrainedArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    /// The stage that trained the model, or one cell of it as `train[factors=8]`
    #[arg(value_name = "STAGE")]
    stage: String,
    /// The user, by the id that the data has
    #[arg(short, long, value_name = "ID", allow_hyphen_values = true)]
    pub(super) user: String,
    #[command(flatten)]
    world: WorldArgs,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// A model that was found.
pub(super) struct Found {
    /// The name of the pipeline.
    pub(super) pipeline: String,
    /// The name of the stage that trained it, with its cell.
    pub(super) stage: String,
    /// The model.
    pub(super) trained: Trained,
}

impl TrainedArgs {
    /// Finds and reads the model. Nothing runs for it.
    pub(super) fn open(&self, global: &Global) -> Result<Found, Failed> {
        let stored = Stored::open(global, &self.file, &self.world, std::slice::from_ref(&self.stage))?;
        let graph = &stored.graph;
        let node = self.node(graph)?;
        if !node.kind.outputs.iter().any(|output| output.kind == Model::KIND) {
            return Err(Failed::input(format!("stage `{}` ({}) trains no model", node.name(), node.kind.name))
                .help(models(graph)));
        }
        let Some(split) = node.inputs.iter().find(|wire| wire.output.kind == Split::KIND) else {
            return Err(Failed::input(format!("stage `{}` reads no split, so its raw ids are not known", node.name()))
                .help(models(graph)));
        };
        let model = self.artifact(global, &stored, node, Model::KIND)?;
        let split = self.artifact(global, &stored, graph.node(split.from), Split::KIND)?;
        let trained = Trained::load(&model, &split).map_err(|error| {
            let again = error.damaged.is_some().then(|| self.command(global, &node.name()));
            match again {
                Some(command) => Failed::from(error).help(format!("`{command}` makes it again")),
                None => error.into(),
            }
        })?;
        Ok(Found { pipeline: stored.graph.pipeline.clone(), stage: node.name(), trained })
    }

    /// The one node that is meant.
    fn node<'a>(&self, graph: &'a Graph) -> Result<&'a Node, Failed> {
        let nodes = graph.order().iter().map(|id| graph.node(*id));
        let named: Vec<&Node> = nodes.filter(|node| node.is_called(&self.stage)).collect();
        match named.as_slice() {
            [node] => Ok(node),
            // `plan` has refused names that do not exist.
            cells => {
                let names: Vec<String> = cells.iter().take(12).map(|node| quoted(&node.name())).collect();
                let more = if cells.len() > names.len() { ", …" } else { "" };
                Err(Failed::input(format!("stage `{}` has {} cells", self.stage, cells.len()))
                    .help(format!("say which: {}{more}", names.join(", "))))
            }
        }
    }

    /// An output of a stage that is fresh.
    fn artifact(&self, global: &Global, stored: &Stored, node: &Node, kind: &str) -> Result<ArtifactDir, Failed> {
        let name = node.name();
        if stored.manifest(node).is_none() {
            // Producers come first: the one where it begins, not those that wait for it.
            let first = stored.plan.stages.iter().find(|stage| stage.state != State::Fresh);
            let whose =
                first.filter(|stage| stage.name != name).map_or_else(String::new, |s| format!("`{}`: ", s.name));
            let why = first.map_or_else(String::new, |stage| stage.why.join("; "));
            let failed = Failed::input(format!("stage `{name}` has not run as the pipeline is now: {whose}{why}"));
            let can_run = first.is_none_or(|stage| stage.state != State::Error);
            let first = if can_run { "run it first" } else { "put that right, then run it" };
            return Err(failed.help(format!("{first}: `{}`", self.command(global, &name))));
        }
        stored.artifact(node, kind).ok_or_else(|| {
            Failed::input(format!("stage `{name}` wrote no {kind}")).help(format!(
                "run it again: `{} --force {}`",
                self.command(global, &name),
                quoted(&name)
            ))
        })
    }

    /// The command that makes a stage fresh.
    fn command(&self, global: &Global, stage: &str) -> String {
        format!("{} --only {}", same("run", global, &self.file, &self.world), quoted(stage))
    }
}

fn models(graph: &Graph) -> String {
    let trains = |node: &&Node| node.kind.outputs.iter().any(|output| output.kind == Model::KIND);
    let mut names: Vec<&str> =
        graph.order().iter().map(|id| graph.node(*id)).filter(trains).map(|node| node.stage.as_str()).collect();
    names.dedup();
    if names.is_empty() {
        return "the pipeline has no stage that trains one".to_owned();
    }
    format!("stages that do: {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
}

/// What to know about scores for somebody of whom the model has seen nothing.
pub(super) fn doubt(user: &serde_json::Value, train_items: usize) -> Option<String> {
    let nothing = || {
        let user = shown(user);
        format!("warning: the model has learnt nothing about user `{user}`, who has no training interactions")
    };
    (train_items == 0).then(nothing)
}
