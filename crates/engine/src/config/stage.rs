//! One stage of a pipeline file.

use serde_json::{Map, Value};

use crate::config::label::canonical;
use crate::config::matrix::matrix;
use crate::config::names::{STAGE_NAME_HELP, is_param_name, is_stage_name, quote, suggest};
use crate::config::node::{Entry, Node, Tree, deepest, entry};
use crate::config::params::Budget;
use crate::config::problem::ENOUGH;
use crate::config::reference::{references, substitute, whole};
use crate::config::{Cell, Matrix, Params, Problem, Source, Span, Spanned};

/// The keys of a stage that are not parameters of its kind.
pub const STAGE_KEYS: [&str; 4] = ["kind", "inputs", "matrix", "seed"];

/// A stage as it was written: references are not replaced yet, and the parameters of its kind not looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct StageSpec {
    /// Its name.
    pub name: Spanned<String>,
    /// The name of its kind, which may or may not exist.
    pub kind: Spanned<String>,
    /// What is connected to its ports.
    pub inputs: Vec<InputSpec>,
    /// What multiplies it.
    pub matrix: Option<Matrix>,
    source: Source,
    seed: Option<Node>,
    /// The key `inputs`.
    inputs_key: Option<Span>,
    /// The parameters of the kind.
    body: Vec<Entry>,
}

/// What is connected to one port.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// The name of the port.
    pub port: Spanned<String>,
    /// The outputs connected to it; at least one.
    pub refs: Vec<Spanned<Reference>>,
    /// Whether they were written as a list, which only a port that gathers can take.
    pub listed: bool,
}

/// An output of a stage: `stage`, or `stage.output`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The name of the stage, which may or may not exist.
    pub stage: String,
    /// The name of the output; without one, the stage's first.
    pub output: Option<String>,
}

/// A stage in one cell of its matrix, with all references replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The parameters for the kind.
    pub params: Map<String, Value>,
    /// The stage's own seed.
    pub seed: Option<u64>,
}

/// What the reader of a stage is given beside the stage.
pub(super) struct Given<'a> {
    pub(super) params: &'a Params,
    pub(super) budget: &'a mut Budget,
    pub(super) problems: &'a mut Vec<Problem>,
}

/// Reads one entry of `stages:`; `None` when too much is wrong with it.
pub(super) fn stage(source: &Source, written: &Entry, given: &mut Given<'_>) -> Option<StageSpec> {
    let cells = written.value.entries().and_then(|entries| entry(entries, "matrix"));
    let cells = cells.and_then(|entry| matrix(source, entry.key.span, &entry.value, given));
    let problems = &mut *given.problems;
    let name = &written.key;
    let wrong = |span: Span, message: String, help: &str| Problem::new(source, span, message).help(help);
    if !is_stage_name(&name.value) {
        problems.push(wrong(
            name.span,
            format!("{} cannot be the name of a stage", quote(&name.value)),
            STAGE_NAME_HELP,
        ));
    }
    let Some(entries) = written.value.entries() else {
        let message = format!("the stage {} is {}, not a mapping", quote(&name.value), written.value.what());
        problems.push(wrong(name.span, message, "write `{kind: …}`, or its keys on lines of their own below it"));
        return None;
    };
    let kind = kind(source, name, entries, problems);
    let inputs = entry(entries, "inputs");
    let ports = inputs.map_or_else(Vec::new, |entry| ports(source, &entry.value, problems));
    let seed = entry(entries, "seed").map(|entry| entry.value.clone());
    if let Some(node) = seed.as_ref().filter(|node| node.text().is_none_or(|text| !text.contains("${"))) {
        let value = node.value_with(&mut |_, text| Ok::<_, Problem>(Value::from(text)));
        problems.extend(value.and_then(|value| seed_of(source, node.span, &value)).err());
    }
    let body = entries.iter().filter(|entry| !STAGE_KEYS.contains(&entry.key.value.as_str())).cloned().collect();
    let inputs_key = inputs.map(|entry| entry.key.span);
    Some(StageSpec {
        name: name.clone(),
        kind: kind?,
        inputs: ports,
        matrix: cells,
        source: source.clone(),
        seed,
        inputs_key,
        body,
    })
}

fn kind(
    source: &Source,
    name: &Spanned<String>,
    entries: &[Entry],
    problems: &mut Vec<Problem>,
) -> Option<Spanned<String>> {
    let Some(Entry { value, .. }) = entry(entries, "kind") else {
        let problem = Problem::new(source, name.span, format!("the stage {} has no `kind`", quote(&name.value)));
        let close = entries.iter().find(|entry| suggest(&entry.key.value, ["kind"]).is_some());
        problems.push(match close {
            Some(close) => problem.also(close.key.span, "did you mean `kind`?").help("write `kind: …`"),
            None => problem.help("write `kind: …`; `ncf-pipe schema` lists the kinds"),
        });
        return None;
    };
    match value.text() {
        Some(text) if !text.contains("${") => Some(Spanned::new(text.to_owned(), value.span)),
        Some(_) => {
            let problem = Problem::new(source, value.span, "the kind of a stage cannot be a reference");
            problems.push(problem.help("write one stage for each kind"));
            None
        }
        None => {
            let span = if value.span.start == value.span.end { name.span } else { value.span };
            let problem = Problem::new(source, span, format!("the `kind` of a stage is a text, not {}", value.what()));
            problems.push(problem.help("write `kind: …`; `ncf-pipe schema` lists the kinds"));
            None
        }
    }
}

fn ports(source: &Source, node: &Node, problems: &mut Vec<Problem>) -> Vec<InputSpec> {
    const EXAMPLE: &str =
        "write `inputs: {port: stage}`, `{port: stage.output}` or, for a port that gathers, `{port: [stage, stage]}`";
    let Some(entries) = node.entries() else {
        let problem = Problem::new(source, node.span, format!("`inputs` is {}, not a mapping of ports", node.what()));
        problems.push(problem.help(EXAMPLE));
        return Vec::new();
    };
    let mut inputs = Vec::new();
    for Entry { key, value } in entries {
        if problems.len() > ENOUGH {
            break;
        }
        let (nodes, listed) = match &value.tree {
            Tree::List(items) => (items.as_slice(), true),
            _ => (std::slice::from_ref(value), false),
        };
        if nodes.is_empty() {
            let problem =
                Problem::new(source, value.span, format!("nothing is connected to the port {}", quote(&key.value)));
            problems.push(problem.help("list at least one stage, or remove the port"));
        }
        let mut refs: Vec<Spanned<Reference>> = Vec::new();
        for node in nodes {
            if problems.len() > ENOUGH {
                break;
            }
            let Some(text) = node.text() else {
                let span = if node.span.start == node.span.end { key.span } else { node.span };
                let problem =
                    Problem::new(source, span, format!("an input is the name of a stage, not {}", node.what()));
                problems.push(problem.help(EXAMPLE));
                continue;
            };
            match reference(text) {
                Ok(found) => refs.push(Spanned::new(found, node.span)),
                Err(message) => problems.push(Problem::new(source, node.span, message).help(EXAMPLE)),
            }
        }
        let mut sorted: Vec<&Spanned<Reference>> = refs.iter().collect();
        sorted.sort_by(|a, b| a.value.cmp(&b.value));
        for pair in sorted.windows(2) {
            if let [first, again] = pair
                && first.value == again.value
            {
                let problem = Problem::new(source, again.span, "this input is connected twice to the same port");
                problems.push(problem.label("again here").also(first.span, "first here").help("remove one of them"));
            }
        }
        inputs.push(InputSpec { port: key.clone(), refs, listed });
    }
    inputs
}

fn reference(text: &str) -> Result<Reference, String> {
    if text.contains("${") {
        return Err(format!("an input cannot be a reference such as {}", quote(text)));
    }
    let (stage, output) = text.split_once('.').map_or((text, None), |(stage, output)| (stage, Some(output)));
    if is_stage_name(stage) && output.is_none_or(is_param_name) {
        return Ok(Reference { stage: stage.to_owned(), output: output.map(ToOwned::to_owned) });
    }
    Err(format!("{} is not the name of a stage, or of a stage and its output", quote(text)))
}

/// A value as a seed.
pub(super) fn seed_of(source: &Source, span: Span, value: &Value) -> Result<u64, Problem> {
    value.as_u64().ok_or_else(|| {
        let shown = quote(&canonical(value));
        Problem::new(source, span, format!("a seed is a whole number that is not negative, not {shown}"))
            .help(format!("write a number from 0 to {}", u64::MAX))
    })
}

impl StageSpec {
    /// The file it was written in.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The keys of the parameters of its kind, in the order of the file.
    pub fn keys(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.body.iter().map(|entry| &entry.key)
    }

    /// The stage in one cell: every reference replaced by a param, or by an axis of its own matrix or of one
    /// upstream.
    ///
    /// # Errors
    /// A reference to neither, one that does not fit inside a text, or a seed that is none.
    pub fn resolve(&self, params: &Params, cell: &Cell) -> Result<Resolved, Problem> {
        let lookup = |name: &str| cell.get(name).or_else(|| params.get(name).map(|param| &param.value.value));
        let known: Vec<&str> = params.keys().chain(cell.keys()).map(String::as_str).collect();
        let value = |node: &Node| substitute(&self.source, node, &lookup, &known);
        let pairs = self.body.iter().map(|entry| Ok((entry.key.value.clone(), value(&entry.value)?)));
        let seed = self.seed.as_ref().map(|node| seed_of(&self.source, node.span, &value(node)?)).transpose()?;
        Ok(Resolved { params: pairs.collect::<Result<_, Problem>>()?, seed })
    }

    /// The param or axis that gives a parameter its whole value: `data` for the parameter `local` in `local: ${data}`.
    pub fn whole_reference(&self, parameter: &str) -> Option<String> {
        whole(&entry(&self.body, parameter)?.value).map(ToOwned::to_owned)
    }

    /// As [`StageSpec::whole_reference`], for a value anywhere below the stage: of `["model", "factors"]`.
    pub fn reference_at(&self, path: &[String]) -> Option<String> {
        whole(deepest(&self.body, path)?.1).map(ToOwned::to_owned)
    }

    /// Where a parameter was written, such as `["loss", "gamma"]` or `["layers", "2"]`: its value, or that of the
    /// deepest part of the path that exists, or the name of the stage.
    pub fn span_of(&self, path: &[String]) -> Span {
        match deepest(&self.body, path) {
            // A long value is shown by its key; so is one that is not there.
            Some((key, node)) if node.span.start == node.span.end => key,
            Some((_, node)) if matches!(node.tree, Tree::Scalar(_)) => node.span,
            Some((key, node)) => {
                if self.source.slice(node.span).contains('\n') {
                    key
                } else {
                    node.span
                }
            }
            None => self.name.span,
        }
    }

    /// As [`StageSpec::span_of`], but of the key, for a parameter that should not be there.
    pub fn key_span_of(&self, path: &[String]) -> Span {
        deepest(&self.body, path).map_or(self.name.span, |(key, _)| key)
    }

    /// Where the connections were written: the key `inputs`, or the kind of a stage that has none.
    pub fn inputs_span(&self) -> Span {
        self.inputs_key.unwrap_or(self.kind.span)
    }

    /// A problem with the value of a parameter. Where a reference gave the value, the label says what it was and
    /// where it came from.
    pub fn problem(&self, params: &Params, cell: &Cell, path: &[String], message: impl Into<String>) -> Problem {
        let problem = Problem::new(&self.source, self.span_of(path), message);
        let Some((_, node)) = deepest(&self.body, path) else { return problem };
        let mut also = None;
        let said: Vec<String> = references(&self.source, node, &mut Vec::new())
            .into_iter()
            .take(3)
            .filter_map(|Spanned { value: name, .. }| {
                if let Some(value) = cell.get(&name) {
                    return Some(format!("`{name}` is {} in this cell", quote(&canonical(value))));
                }
                let param = params.get(&name)?;
                let value = quote(&canonical(&param.value.value));
                if param.set.is_some() {
                    return Some(format!("`{name}` is {value}, from `--set`"));
                }
                also.get_or_insert((param.value.span, format!("`{name}` is given here")));
                Some(format!("`{name}` is {value}"))
            })
            .collect();
        let problem = if said.is_empty() { problem } else { problem.label(said.join(", ")) };
        match also {
            Some((span, text)) => problem.also(span, text),
            None => problem,
        }
    }

    /// The references in parameters and seed, and what is wrong with their form.
    pub(super) fn references(&self, problems: &mut Vec<Problem>) -> Vec<Spanned<String>> {
        let nodes = self.body.iter().map(|entry| &entry.value).chain(&self.seed);
        nodes.flat_map(|node| references(&self.source, node, problems)).collect()
    }

    /// The bytes that the parameters were written with.
    pub(super) fn written_bytes(&self) -> usize {
        self.body.iter().map(|entry| entry.value.span.end.saturating_sub(entry.key.span.start)).sum()
    }
}
