//! Finds a trained model, and the split that it was trained on, through a pipeline.

use std::collections::BTreeMap;

use clap::Args;

use crate::artifacts::model::Model;
use crate::artifacts::split::Split;
use crate::cache::{Lookup, StageKey};
use crate::cli::Global;
use crate::cli::common::{FileArgs, WorldArgs, save_memo};
use crate::cli::exit::Failed;
use crate::pipeline::{Graph, Node, Plan, Selection, State, World, plan};
use crate::stage::{Artifact, ArtifactDir, FileRef};
use crate::stages::Trained;

/// Which model, and for whom.
#[derive(Debug, Args)]
pub(super) struct TrainedArgs {
    #[command(flatten)]
    file: FileArgs,
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
        let graph = self.file.graph()?;
        let world = self.world.open(global)?;
        let selection = Selection { only: vec![self.stage.clone()], force: Vec::new() };
        let plan = plan(&graph, &world, &selection).map_err(Failed::input)?;
        save_memo(&world.store);
        let node = self.node(&graph)?;
        let output = |node: &Node, kind: &str| node.kind.outputs.iter().find(|output| output.kind == kind);
        let Some(model) = output(node, Model::KIND) else {
            return Err(Failed::input(format!("stage `{}` ({}) trains no model", node.name(), node.kind.name))
                .help(models(&graph)));
        };
        let Some(split) = node.inputs.iter().find(|wire| wire.output.kind == Split::KIND) else {
            return Err(Failed::input(format!("stage `{}` reads no split, so its raw ids are not known", node.name()))
                .help(models(&graph)));
        };
        let stored = |node: &Node, output: &str| self.stored(&plan, &world, node, output);
        let (model, split) = (stored(node, model.name)?, stored(graph.node(split.from), split.output.name)?);
        let trained = Trained::load(&model, &split).map_err(|error| {
            let again = error.damaged.is_some().then(|| self.command(&node.name()));
            match again {
                Some(command) => Failed::from(error).help(format!("`{command}` makes it again")),
                None => error.into(),
            }
        })?;
        Ok(Found { pipeline: graph.pipeline.clone(), stage: node.name(), trained })
    }

    /// The one node that is meant.
    fn node<'a>(&self, graph: &'a Graph) -> Result<&'a Node, Failed> {
        let nodes = graph.order().iter().map(|id| graph.node(*id));
        let named: Vec<&Node> = nodes.filter(|node| node.stage == self.stage || node.name() == self.stage).collect();
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
    fn stored(&self, plan: &Plan, world: &World, node: &Node, output: &str) -> Result<ArtifactDir, Failed> {
        let name = node.name();
        let planned = plan.stages.iter().find(|stage| stage.name == name);
        let fresh = planned.filter(|stage| stage.state == State::Fresh).and_then(|stage| stage.key.as_deref());
        let found = fresh.and_then(StageKey::parse).map(|key| world.store.lookup(&key));
        let Some(Lookup::Hit(manifest)) = found else {
            let why = planned.map_or_else(String::new, |stage| stage.why.join("; "));
            let failed = Failed::input(format!("stage `{name}` has not run as the pipeline is now: {why}"));
            return Err(failed.help(format!("run it first: `{}`", self.command(&name))));
        };
        let Some(entry) = manifest.outputs.get(output) else {
            return Err(Failed::input(format!("stage `{name}` wrote no `{output}`")).help(format!(
                "run it again: `{} --force {}`",
                self.command(&name),
                quoted(&name)
            )));
        };
        let file = |(name, file): (&String, &crate::cache::FileEntry)| {
            let path = world.store.blob_path(&file.digest);
            (name.clone(), FileRef { path, digest: file.digest.to_string(), size: file.size })
        };
        Ok(ArtifactDir::new(name, entry.files.iter().map(file).collect::<BTreeMap<_, _>>()))
    }

    /// The command that makes a stage fresh.
    fn command(&self, stage: &str) -> String {
        let mut words = vec!["ncf-pipe".to_owned(), "run".to_owned(), quoted(&self.file.file.display().to_string())];
        words.extend(self.file.sets.iter().map(|set| format!("--set {}", quoted(set))));
        words.push(format!("--only {}", quoted(stage)));
        words.join(" ")
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

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,+:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What to know about scores for somebody of whom the model has seen nothing.
pub(super) fn doubt(user: &serde_json::Value, train_items: usize) -> Option<String> {
    let text = user.as_str().map_or_else(|| user.to_string(), str::to_owned);
    let nothing =
        || format!("warning: the model has learnt nothing about user `{text}`, who has no training interactions");
    (train_items == 0).then(nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell_where_they_must_be() {
        assert_eq!(quoted("pipelines/x.yaml"), "pipelines/x.yaml");
        assert_eq!(quoted("train[factors=8]"), "'train[factors=8]'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
