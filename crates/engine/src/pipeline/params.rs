//! From a stage's text to a decoded stage, with errors that point at the place in the file.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{Pipeline, Problem, StageSpec, is_called, suggest};
use crate::stage::{DynStage, ParamError, StageKind};

use crate::pipeline::graph::Cell;
use crate::pipeline::misfit::{Misfit, misfit, paths};

/// A decoded stage and the seed it runs with.
pub(super) struct Decoded {
    pub(super) work: Box<dyn DynStage>,
    pub(super) params: Value,
    pub(super) seed: u64,
    /// The pipeline's param that gives a parameter its whole value, by parameter.
    pub(super) set_by: BTreeMap<String, String>,
}

/// Resolves and decodes the parameters of one cell.
pub(super) fn decode(
    pipeline: &Pipeline,
    spec: &StageSpec,
    kind: &'static StageKind,
    cell: &Cell,
) -> Result<Decoded, Problem> {
    let resolved = spec.resolve(&pipeline.params, cell)?;
    let work = (kind.decode)(Value::Object(resolved.params)).map_err(|error| {
        let error = said_better(pipeline, spec, kind, cell, error);
        refused(pipeline, spec, kind, cell, &error)
    })?;
    let connected: Vec<&str> = spec.inputs.iter().map(|input| input.port.value.as_str()).collect();
    work.check_inputs(&connected).map_err(|error| refused(pipeline, spec, kind, cell, &error))?;
    if resolved.seed.is_some() && !work.is_seeded() {
        let problem =
            Problem::new(spec.source(), spec.kind.span, format!("stage `{}` draws nothing at random", spec.name.value));
        return Err(problem.label("its `seed` would have no effect").help("remove `seed` from the stage"));
    }
    let mut params = work.params();
    without_nulls(&mut params);
    let set_by = spec.keys().filter_map(|key| {
        let param = spec.whole_reference(&key.value)?;
        (pipeline.params.contains_key(&param) && !cell.contains_key(&param)).then(|| (key.value.clone(), param))
    });
    Ok(Decoded { work, params, seed: resolved.seed.unwrap_or(pipeline.seed), set_by: set_by.collect() })
}

/// An optional parameter that is not given is the same as one that does not exist.
fn without_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(without_nulls);
    }
}

/// What serde refuses, in the words of the schema: with the path to the value and with what to write there.
fn said_better(pipeline: &Pipeline, spec: &StageSpec, kind: &StageKind, cell: &Cell, error: ParamError) -> ParamError {
    const OF_SERDE: [&str; 6] =
        ["invalid type", "invalid value", "invalid length", "unknown variant", "data did not", "missing field"];
    if error.help.is_some() || !OF_SERDE.iter().any(|start| error.message.starts_with(start)) {
        return error;
    }
    let Ok(resolved) = spec.resolve(&pipeline.params, cell) else { return error };
    let write = |path: &[String], value: &str| {
        let by = spec.reference_at(path).filter(|name| !cell.contains_key(name));
        match by.and_then(|name| Some((pipeline.params.get(&name)?, name))) {
            Some((param, name)) if param.set.is_some() => format!("--set {name}={value}"),
            Some((_, name)) => format!("{name}: {value}"),
            None => match path.last().filter(|last| last.parse::<usize>().is_err()) {
                Some(key) => format!("{key}: {value}"),
                None => value.to_owned(),
            },
        }
    };
    let schema = (kind.schema)().to_value();
    match misfit(&schema, &Value::Object(resolved.params), &write) {
        Some(Misfit { path, message, help }) => ParamError { path, message, help: Some(help) },
        None => error,
    }
}

/// A path as it is read: `metrics[0]`, `model.factors`.
fn shown(path: &[String]) -> String {
    path.iter().fold(String::new(), |mut text, step| {
        let position = step.strip_prefix('[').and_then(|step| step.strip_suffix(']')).unwrap_or(step);
        if position.parse::<usize>().is_ok() {
            return text + "[" + position + "]";
        }
        if !text.is_empty() {
            text.push('.');
        }
        text + step
    })
}

/// Turns a refusal by the stage kind into an error with a place and a remedy.
pub(super) fn refused(
    pipeline: &Pipeline,
    spec: &StageSpec,
    kind: &StageKind,
    cell: &Cell,
    error: &ParamError,
) -> Problem {
    let stage = &spec.name.value;
    let message = &in_plain_words(&error.message);
    if let Some(unknown) = quoted_after(message, "unknown field ") {
        let path = [parent(&error.path, unknown), vec![unknown.to_owned()]].concat();
        let known = all_quoted_after(message, "expected ");
        let text = format!("stage `{stage}` has no parameter `{}`", shown(&path));
        let problem = Problem::new(spec.source(), spec.key_span_of(&path), text)
            .label(format!("not a parameter of `{}`", kind.name));
        return match suggest(unknown, known.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(match (misplaced(kind, &path, unknown), known.is_empty()) {
                (Some(meant), true) => format!("did you mean {meant}?"),
                (Some(meant), false) => format!("did you mean {meant}? known parameters here: {}", list(&known)),
                (None, true) => "there are no parameters here: remove it".to_owned(),
                (None, false) => format!("known parameters: {}", list(&known)),
            }),
        };
    }
    if let Some(missing) = quoted_after(message, "missing field ") {
        let span = if error.path.is_empty() { spec.kind.span } else { spec.key_span_of(&error.path) };
        let path = [error.path.clone(), vec![missing.to_owned()]].concat();
        let path = shown(&path);
        return Problem::new(spec.source(), span, format!("stage `{stage}` needs the parameter `{path}`"))
            .label(format!("`{missing}` is missing"))
            .help(error.help.clone().unwrap_or_else(|| {
                let kind = kind.name;
                format!("add `{missing}: …`; the README and `ncf-pipe schema` list the parameters of `{kind}`")
            }));
    }
    let place = if error.path.is_empty() { String::new() } else { format!("`{}`: ", shown(&error.path)) };
    let mut problem = spec.problem(&pipeline.params, cell, &error.path, format!("stage `{stage}`: {place}{message}"));
    if error.help.is_none()
        && let Some(unknown) = quoted_after(message, "unknown variant ")
    {
        let known = all_quoted_after(message, "expected ");
        problem = match suggest(unknown, known.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("one of {}", list(&known))),
        };
    }
    match &error.help {
        Some(help) => problem.help(help.clone()),
        None => problem,
    }
}

/// The parameter elsewhere in the stage that has this name, or that other tools call so: `optimizer.learning_rate`.
fn misplaced(kind: &StageKind, path: &[String], word: &str) -> Option<String> {
    let known = paths(&(kind.schema)().to_value());
    let mut elsewhere = known.iter().filter(|known| known.as_slice() != path);
    let named = |known: &&Vec<String>| known.last().is_some_and(|name| is_called(name, word));
    let meant = elsewhere.find(named)?;
    // A name alone would read as the one that is refused.
    let beside = path.first().filter(|_| meant.len() == 1 && path.len() > 1);
    Some(beside.map_or_else(|| format!("`{}`", shown(meant)), |beside| format!("`{}` beside `{beside}`", shown(meant))))
}

/// serde speaks of Rust's types; users of YAML need not know them.
fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 12] = [
        ("expected u16", "expected a whole number that is not negative"),
        ("expected u32", "expected a whole number that is not negative"),
        ("expected u64", "expected a whole number that is not negative"),
        ("expected usize", "expected a whole number that is not negative"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected f32", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("type: floating point", "type: the number"),
        ("type: integer", "type: the number"),
        ("type: sequence", "type: a list"),
        ("type: map", "type: a mapping"),
    ];
    WORDS.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// serde reports an unknown key either below its map or at it.
fn parent(path: &[String], key: &str) -> Vec<String> {
    let mut path = path.to_vec();
    if path.last().is_some_and(|last| last == key) {
        path.pop();
    }
    path
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The first word in backticks after `start`.
fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    let rest = &message[message.find(start)? + start.len()..];
    let rest = rest.strip_prefix('`')?;
    rest.split('`').next()
}

/// All words in backticks after `start`.
fn all_quoted_after<'a>(message: &'a str, start: &str) -> Vec<&'a str> {
    message.find(start).map_or_else(Vec::new, |at| message[at..].split('`').skip(1).step_by(2).collect())
}
