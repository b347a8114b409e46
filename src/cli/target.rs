//! Files that a command is told to write: never those that a pipeline reads, and nothing that the store keeps.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::cli::common::{is_within, near};
use crate::cli::exit::Failed;
use crate::pipeline::{Graph, World};

/// Refuses to write `path`, which `option` names, if the pipeline in `file` reads it, or if it is in the store or among the
/// outputs of a stage, which may be the store's own files.
pub(super) fn refuse(path: &Path, option: &str, file: &Path, graph: &Graph, world: &World) -> Result<(), Failed> {
    let refused = |what: &str| {
        Err(Failed::input(format!("`{option} {}` would write over {what}", path.display()))
            .help(format!("give `{option}` another file")))
    };
    if fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo()) {
        return Err(Failed::input(format!("`{option} {}` is a pipe, which would be waited for", path.display()))
            .help(format!("give `{option}` a file")));
    }
    if is_same(path, file) {
        return refused("the pipeline file");
    }
    let nodes = || graph.order().iter().map(|id| graph.node(*id));
    for node in nodes() {
        if node.sources.iter().any(|source| is_same(path, &world.workdir.join(&source.path))) {
            return refused(&format!("a file that the stage `{}` reads", node.stage));
        }
    }
    if is_within(path, world.store.dir()) {
        return refused(&format!("the store `{}`", near(world.store.dir())));
    }
    match nodes().find(|node| is_within(path, &world.outputs.join(node.view_path(&graph.pipeline)))) {
        Some(node) => refused(&format!("the outputs of the stage `{}`", node.name())),
        None => Ok(()),
    }
}

/// Whether both are there and the same file, by whatever names.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}
