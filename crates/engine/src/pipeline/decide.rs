//! Whether a node has to run, and why. The one place where the stage key is made.

use std::collections::BTreeMap;

use ncf_pipe_fault::reading_remedy;
use serde_json::Value;

use crate::cache::{FORMAT, Identity, InputIdentity, Lookup, Manifest, SourceDigest, StageKey, StoreError, diff};
use crate::stage::{Class, Output, Past};

use crate::pipeline::graph::{Graph, Node, NodeId, Wire};
use crate::pipeline::report::Failure;
use crate::pipeline::world::Oracle;

/// The key of a node whose inputs are all known, and all that went into it.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    pub(super) key: StageKey,
    /// The key of the stage that [`crate::stage::Stage::continues`] names.
    pub(super) family: Option<StageKey>,
    pub(super) identity: Identity,
    pub(super) sources: BTreeMap<String, SourceDigest>,
}

/// Whether a node has to run.
#[derive(Debug, Clone)]
pub(super) enum Decision {
    /// Its output is stored, whole.
    Fresh(Box<Manifest>),
    /// It has to run, and why.
    Stale(Vec<String>),
}

/// Makes the key of a node. `manifest` gives the manifest of each producer; `cancelled` is asked while sources are hashed.
pub(super) fn key<'m>(
    graph: &Graph,
    id: NodeId,
    oracle: &dyn Oracle,
    cancelled: &dyn Fn() -> bool,
    manifest: impl Fn(NodeId) -> Option<&'m Manifest>,
) -> Result<Keyed, Failure> {
    let node = graph.node(id);
    let mut inputs: BTreeMap<String, Vec<InputIdentity>> = BTreeMap::new();
    for wire in &node.inputs {
        let digest = manifest(wire.from)
            .and_then(|manifest| manifest.outputs.get(wire.output.name))
            .map(|output| output.digest)
            .ok_or_else(|| missing_output(graph, wire))?;
        // Only a port that gathers can tell its inputs apart by where in a matrix they come from.
        let cell = if wire.port.arity.gathers() { gathered_cell(graph, wire) } else { BTreeMap::new() };
        let runs = if node.kind.knows_runs { past(graph, wire.from, &manifest) } else { Vec::new() };
        // Plain fields with numbers from a manifest, which has no others than finite ones.
        let runs = runs.into_iter().filter_map(|past| serde_json::to_value(past).ok()).collect();
        inputs.entry(wire.port.name.to_owned()).or_default().push(InputIdentity { cell, digest, runs });
    }
    let mut params = node.params.clone();
    let mut continues = node.work.continues();
    let mut sources = BTreeMap::new();
    for source in &node.sources {
        let digest = oracle.source(&source.path, cancelled).map_err(|error| unread(node, source.param, &error))?;
        // The content stands for the path: the same bytes elsewhere are the same input.
        for params in [Some(&mut params), continues.as_mut()].into_iter().flatten() {
            if let Some(map) = params.as_object_mut() {
                map.remove(source.param);
            }
        }
        sources.insert(source.name(), digest);
    }
    let identity = Identity {
        format: FORMAT,
        kind: node.kind.name.to_owned(),
        version: node.kind.version() as u64,
        params,
        inputs,
        sources: sources.iter().map(|(name, source)| (name.clone(), source.digest)).collect(),
        seed: node.work.is_seeded().then_some(node.seed),
    };
    let key_of = |identity: &Identity| {
        identity.key().map_err(|error| Failure {
            class: Class::Data,
            message: format!("the parameters have no key: {error}"),
            help: Some("numbers must be finite".to_owned()),
        })
    };
    let key = key_of(&identity)?;
    let family = continues.map(|params| key_of(&Identity { params, ..identity.clone() })).transpose()?;
    Ok(Keyed { key, family, identity, sources })
}

/// A source that cannot be hashed.
fn unread(node: &Node, param: &str, error: &StoreError) -> Failure {
    let class = match error {
        StoreError::Cancelled => {
            return Failure { class: Class::Cancelled, message: error.to_string(), help: None };
        }
        error if error.is_users() => Class::Data,
        _ => Class::Io,
    };
    if let (Class::Io, StoreError::Io { path, cause, .. }) = (class, error) {
        let help = Some(reading_remedy(cause, path));
        return Failure { class, message: format!("parameter `{param}`: {error}"), help };
    }
    if let StoreError::Source { help, misnamed: false, .. } = error {
        return Failure { class, message: format!("parameter `{param}`: {error}"), help: Some(help.clone()) };
    }
    let set = node.set_by.get(param).map_or_else(String::new, |by| format!(" or override it with `--set {by}=…`"));
    let help = format!("paths are relative to the working directory; correct `{param}` in the pipeline{set}");
    Failure { class, message: format!("parameter `{param}`: {error}"), help: Some(help) }
}

/// How the output of a node was made: the node itself, then those that it read from.
pub(super) fn past<'m>(graph: &Graph, id: NodeId, manifest: impl Fn(NodeId) -> Option<&'m Manifest>) -> Vec<Past> {
    let of = |id: NodeId| {
        let (node, manifest) = (graph.node(id), manifest(id)?);
        Some(Past {
            stage: node.name(),
            kind: node.kind.name.to_owned(),
            key: manifest.key.to_string(),
            seconds: manifest.seconds,
        })
    };
    let mut producers: Vec<NodeId> = graph.node(id).inputs.iter().map(|wire| wire.from).collect();
    producers.dedup();
    std::iter::once(id).chain(producers).filter_map(of).collect()
}

/// How a gathered input is told apart: its stage and its coordinates.
fn gathered_cell(graph: &Graph, wire: &Wire) -> BTreeMap<String, Value> {
    let producer = graph.node(wire.from);
    let mut cell = producer.cell.clone();
    cell.values_mut().for_each(mark_nulls);
    // Axis names cannot start with `@`.
    cell.insert("@stage".to_owned(), Value::String(producer.stage.clone()));
    cell
}

/// Keys have no `null`, but an axis may have one for "not given": it stays apart from every other value, by a mark that
/// nobody writes by accident. (Parameters that are `null` are left out instead: see `params`.)
fn mark_nulls(value: &mut Value) {
    match value {
        Value::Null => *value = serde_json::json!({"@null": true}),
        Value::Array(items) => items.iter_mut().for_each(mark_nulls),
        Value::Object(map) => map.values_mut().for_each(mark_nulls),
        _ => {}
    }
}

fn missing_output(graph: &Graph, wire: &Wire) -> Failure {
    let producer = graph.node(wire.from);
    Failure {
        class: Class::Data,
        message: format!("stage `{}` wrote no `{}`", producer.name(), wire.output.name),
        help: Some(format!("`{}` writes it only when its parameters ask for it", producer.kind.name)),
    }
}

/// Decides about a node whose key is known. `cancelled` is asked while stored files are hashed.
pub(super) fn decide(
    graph: &Graph,
    id: NodeId,
    keyed: &Keyed,
    oracle: &dyn Oracle,
    cancelled: &dyn Fn() -> bool,
    forced: bool,
) -> Result<Decision, Failure> {
    if forced {
        return Ok(Decision::Stale(vec!["forced by `--force`".to_owned()]));
    }
    let stopped = |error: StoreError| Failure { class: Class::Cancelled, message: error.to_string(), help: None };
    Ok(match oracle.lookup(&keyed.key) {
        Lookup::Hit(manifest) if !is_declared(graph.node(id).kind.outputs, &manifest) => {
            Decision::Stale(vec!["its stored outputs are not those of its kind".to_owned()])
        }
        Lookup::Hit(manifest) => match oracle.check(&manifest, cancelled).map_err(stopped)? {
            Ok(()) => Decision::Fresh(Box::new(manifest)),
            Err(damages) => {
                Decision::Stale(damages.iter().map(|damage| format!("a stored file was damaged: {damage}")).collect())
            }
        },
        Lookup::Invalid { reason } => Decision::Stale(vec![format!("its manifest cannot be used: {reason}")]),
        Lookup::Miss => Decision::Stale(why_missing(graph, id, keyed, oracle)),
    })
}

/// Whether a manifest has the outputs that the kind declares, and no others.
fn is_declared(outputs: &[Output], manifest: &Manifest) -> bool {
    let known = manifest.outputs.iter().all(|(name, entry)| {
        outputs.iter().any(|output| {
            output.name == name
                && output.kind == entry.kind
                && (output.open || entry.files.keys().all(|file| output.declares(file)))
                && output.files.iter().all(|spec| !spec.required || entry.files.contains_key(spec.name))
        })
    });
    known && outputs.iter().all(|output| !output.required || manifest.outputs.contains_key(output.name))
}

fn why_missing(graph: &Graph, id: NodeId, keyed: &Keyed, oracle: &dyn Oracle) -> Vec<String> {
    let Some(last) = oracle.last(&graph.pipeline, graph.node(id)) else {
        return vec!["never run".to_owned()];
    };
    let changes: Vec<String> = diff(&last, &keyed.identity.to_json()).iter().map(ToString::to_string).collect();
    if changes.is_empty() { vec!["its stored output is gone".to_owned()] } else { changes }
}
