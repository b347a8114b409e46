//! `ncf-pipe show`: a stage's parameters, key, files and first rows.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde::Serializer;
use serde_json::Value;

use crate::cache::{Lookup, Manifest, StageKey};
use crate::cli::Global;
use crate::cli::common::{FileArgs, WorldArgs, save_memo};
use crate::cli::exit::{Failed, OK, Outcome};
use crate::cli::preview::{Preview, preview};
use crate::cli::print;
use crate::cli::table::{bytes, seconds};
use crate::pipeline::{Node, Selection, State, World, plan};
use crate::stages::printable;

/// Show a stage: its parameters, its key, its files and their first rows
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    /// The stage, or one cell of it as `train[factors=8]`
    #[arg(value_name = "STAGE")]
    stage: String,
    /// How many rows of each table
    #[arg(long, value_name = "N", default_value_t = 5)]
    rows: usize,
    #[command(flatten)]
    world: WorldArgs,
    /// Print JSON: an array with an object for each cell
    #[arg(long)]
    pub(super) json: bool,
}

/// Cells that are named before they are shown.
const CELLS_NAMED: usize = 12;

/// What is shown of a stage, or of one cell of it.
#[derive(Serialize)]
struct Shown {
    name: String,
    kind: String,
    about: &'static str,
    state: State,
    why: Vec<String>,
    params: Value,
    seed: Option<u64>,
    #[serde(serialize_with = "lossy")]
    output: PathBuf,
    /// Whether the directory shows the result of these parameters, and not that of a later run with others.
    output_is_this: bool,
    key: Option<String>,
    /// What the key is made of; from the manifest.
    identity: Option<Value>,
    seconds: Option<f64>,
    facts: Value,
    warnings: Vec<String>,
    files: Vec<ShownFile>,
}

#[derive(Serialize)]
struct ShownFile {
    output: String,
    name: String,
    bytes: u64,
    digest: String,
    preview: Option<Preview>,
}

pub(super) fn main(global: &Global, args: &ShowArgs) -> Outcome {
    let graph = args.file.graph()?;
    let world = args.world.open(global)?;
    let selection = Selection { only: vec![args.stage.clone()], force: Vec::new() };
    let plan = plan(&graph, &world, &selection).map_err(Failed::input)?;
    save_memo(&world.store);
    let mut shown = Vec::new();
    for id in graph.order() {
        let node = graph.node(*id);
        let name = node.name();
        let planned = plan.stages.iter().find(|stage| stage.name == name);
        let wanted = node.is_called(&args.stage);
        let Some(planned) = planned.filter(|_| wanted) else { continue };
        let key = planned.key.as_deref().and_then(StageKey::parse);
        let manifest = match key.map(|key| world.store.lookup(&key)) {
            Some(Lookup::Hit(manifest)) if planned.state == State::Fresh => Some(manifest),
            _ => None,
        };
        shown.push(Shown {
            kind: node.kind.name.to_owned(),
            about: node.kind.about,
            state: planned.state,
            why: planned.why.clone(),
            params: node.params.clone(),
            seed: node.work.is_seeded().then_some(node.seed),
            output: world.outputs.join(&planned.view),
            output_is_this: shows(&world.outputs.join(&planned.view), planned.key.as_deref()),
            key: planned.key.clone(),
            identity: manifest.as_ref().map(|manifest| manifest.identity.clone()),
            seconds: manifest.as_ref().map(|manifest| manifest.seconds),
            facts: manifest
                .as_ref()
                .map_or_else(|| Value::Object(serde_json::Map::new()), |m| serde_json::json!(m.facts)),
            warnings: manifest.as_ref().map_or_else(Vec::new, |manifest| manifest.warnings.clone()),
            files: manifest.as_ref().map_or_else(Vec::new, |manifest| files(&world, node, manifest, args.rows)),
            name,
        });
    }
    if args.json {
        print::json(&shown, false);
    } else {
        if shown.len() > 1 {
            let names: Vec<&str> = shown.iter().take(CELLS_NAMED).map(|stage| stage.name.as_str()).collect();
            let more = if shown.len() > names.len() { ", …" } else { "" };
            print::line(&format!("`{}` has {} cells: {}{more}\n", args.stage, shown.len(), names.join(", ")));
        }
        for (i, stage) in shown.iter().enumerate() {
            if i > 0 {
                print::line("");
            }
            print::out(&text(stage));
        }
    }
    Ok(OK)
}

/// Whether the manifest in a directory of the outputs is that of this key.
fn shows(dir: &Path, key: Option<&str>) -> bool {
    let manifest = std::fs::read(dir.join("manifest.json")).ok();
    let manifest = manifest.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    manifest.is_some_and(|manifest| key.is_some() && manifest["key"].as_str() == key)
}

fn files(world: &World, node: &Node, manifest: &Manifest, rows: usize) -> Vec<ShownFile> {
    let mut files = Vec::new();
    // In the order in which the kind declares them, which is the order of interest.
    for output in node.kind.outputs {
        let Some(entry) = manifest.outputs.get(output.name) else { continue };
        let declared = output.files.iter().map(|spec| spec.name);
        let others = entry.files.keys().map(String::as_str).filter(|name| !output.declares(name));
        for name in declared.chain(others) {
            if let Some(file) = entry.files.get(name) {
                files.push(ShownFile {
                    output: output.name.to_owned(),
                    name: name.to_owned(),
                    bytes: file.size,
                    digest: file.digest.to_string(),
                    preview: preview(&world.store.blob_path(&file.digest), name, rows),
                });
            }
        }
    }
    files
}

fn text(stage: &Shown) -> String {
    let mut lines = vec![format!("{} ({}): {}", stage.name, stage.kind, stage.about)];
    let mut field = |name: &str, value: &str| {
        for (i, line) in value.lines().enumerate() {
            lines.push(format!("  {:10}{}", if i == 0 { name } else { "" }, printable(line)));
        }
    };
    let state = match stage.state {
        State::Fresh => "fresh",
        State::Stale => "stale: `ncf-pipe run` makes it",
        State::Unknown => "unknown until the stages above it have run",
        State::Error => "cannot run",
    };
    field("state", state);
    for why in &stage.why {
        field("", why);
    }
    field("output", &stage.output.display().to_string());
    if stage.state == State::Fresh && !stage.output_is_this {
        field("", "shows another result at present; `ncf-pipe run` brings this one back");
    }
    field("key", stage.key.as_deref().unwrap_or("not known yet"));
    if let Some(took) = stage.seconds {
        field("took", &seconds(took));
    }
    if let Some(seed) = stage.seed {
        field("seed", &seed.to_string());
    }
    field("params", &flat(&stage.params).join("\n"));
    field("facts", &flat(&stage.facts).join("\n"));
    field("warnings", &stage.warnings.join("\n"));
    for file in &stage.files {
        let preview = file.preview.as_ref().map_or_else(String::new, |preview| preview.text("    "));
        lines.push(format!("\n  {}  {}{}", file.name, bytes(file.bytes), preview.trim_end_matches('\n')));
    }
    lines.join("\n") + "\n"
}

/// As text, also if it is none.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// Every leaf of a JSON object as `a.b: value`, one a line.
fn flat(value: &Value) -> Vec<String> {
    fn walk(path: &str, value: &Value, lines: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    walk(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value, lines);
                }
            }
            Value::String(text) => lines.push(format!("{path}: {text}")),
            other => lines.push(format!("{path}: {other}")),
        }
    }
    let mut lines = Vec::new();
    walk("", value, &mut lines);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_text_cannot_command_the_terminal() {
        // ESC ]0;x BEL sets the title of a window.
        assert_eq!(printable("caf\u{e9} \u{1b}]0;x\u{7}"), "caf\u{e9} \\u{1b}]0;x\\u{7}");
    }
}
