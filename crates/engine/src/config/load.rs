//! A whole pipeline file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ncf_pipe_fault::{reading_remedy, who_may_read};
use rustix::io::Errno;

use crate::config::names::{STAGE_NAME_HELP, did_you_mean, is_stage_name, quote, suggest};
use crate::config::node::{Entry, Node, entry};
use crate::config::params::{Budget, referred_bytes};
use crate::config::problem::ENOUGH;
use crate::config::reference::{references, substitute, unknown};
use crate::config::stage::{Given, seed_of, stage};
use crate::config::{Matrix, Params, Problem, Problems, Source, Span, Spanned, StageSpec, params, text, yaml};

/// The seed of a pipeline that gives none.
const DEFAULT_SEED: u64 = 42;
/// The keys of a pipeline file.
const KEYS: [&str; 4] = ["name", "seed", "params", "stages"];
/// The most stages that a file can have.
const MAX_STAGES: usize = 10_000;

/// A pipeline as it was written, with params and matrices worked out.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The file.
    pub source: Source,
    /// Its name: a directory of the outputs.
    pub name: Spanned<String>,
    /// The seed of every stage that has none of its own.
    pub seed: u64,
    /// Its params, with the values of `--set`.
    pub params: Params,
    /// Its stages, in the order of the file.
    pub stages: Vec<StageSpec>,
    /// What is suspicious but not wrong, such as a param that nothing uses.
    pub warnings: Vec<Problem>,
}

/// Reads a pipeline file. Each of `sets` is the `name=value` of a `--set` argument.
///
/// # Errors
/// Everything that is wrong with the file and the arguments, as far as it could be read.
pub fn load(path: &Path, sets: &[String]) -> Result<Pipeline, Problems> {
    let name = path.display().to_string();
    let unread = |error: io::Error| unreadable(&name, &error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unread)?;
    file.take(text::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unread)?;
    parse(&name, &bytes, sets)
}

/// A file that cannot be read: because of what was given as its path, or because the system fails.
fn unreadable(name: &str, error: &io::Error) -> Problem {
    let problem = Problem::unplaced(name, format!("cannot read the file: {error}"));
    match error.kind() {
        io::ErrorKind::PermissionDenied => problem.help(who_may_read(Path::new(name))),
        io::ErrorKind::NotFound
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidFilename => problem.help("give the path of a pipeline file"),
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            problem.help("give the path of a pipeline file")
        }
        _ => problem.of_system().help(reading_remedy(error, Path::new(name))),
    }
}

/// Reads the bytes of a pipeline file; `name` is what errors call it.
///
/// # Errors
/// As [`load`].
pub fn parse(name: &str, bytes: &[u8], sets: &[String]) -> Result<Pipeline, Problems> {
    let source = text::decode(name, bytes)?;
    let failed = |problems: Vec<Problem>| Problems::check(problems).err();
    let root = match yaml::read(&source) {
        Ok(root) => root,
        Err(problems) => return Err(failed(problems).unwrap_or_else(|| nothing(&source).into())),
    };
    let entries = root.as_ref().and_then(Node::entries);
    let Some(entries) = entries else {
        let Some(root) = root.filter(|root| root.span.start < root.span.end) else {
            return Err(nothing(&source).into());
        };
        let message = format!("a pipeline is a mapping, not {}", root.what());
        let help = "start with `name: …` and `stages:`";
        return Err(Problem::new(&source, root.span, message).help(help).into());
    };
    let mut problems = Vec::new();
    let pipeline = pipeline(&source, entries, sets, &mut problems);
    Problems::check(problems)?;
    pipeline.ok_or_else(|| nothing(&source).into())
}

fn nothing(source: &Source) -> Problem {
    Problem::new(source, Span::default(), "the file is empty")
        .help("write `name: …` and `stages:`; `ncf-pipe init` makes an example")
}

fn pipeline(source: &Source, entries: &[Entry], sets: &[String], problems: &mut Vec<Problem>) -> Option<Pipeline> {
    unknown_keys(source, entries, problems);
    let mut params = match entry(entries, "params").map(|entry| (&entry.value, entry.value.entries())) {
        Some((_, Some(entries))) => params::declared(source, entries, problems),
        Some((node, None)) => {
            let message = format!("`params` is {}, not a mapping", node.what());
            let span = key_or_value(entries, "params");
            problems.push(Problem::new(source, span, message).help("write `params: {epochs: 20}`, or remove it"));
            return None;
        }
        None => Params::new(),
    };
    params::set(&mut params, sets, problems);
    let name = name(source, entries, problems);
    let mut used = BTreeSet::new();
    let seed = entry(entries, "seed")
        .map_or(Some(DEFAULT_SEED), |entry| seed(source, &entry.value, &params, &mut used, problems));
    let mut budget = Budget::new();
    let stages = stages(source, entries, &mut Given { params: &params, budget: &mut budget, problems })?;
    used.extend(matrix_references(source, entries));
    used.extend(check_references(source, &named(entries), &stages, problems));
    if problems.is_empty() {
        problems.extend(expanded(source, &params, &stages, &mut budget).err());
    }
    let warnings = unused(source, &params, &stages, &used);
    Some(Pipeline { source: source.clone(), name: name?, seed: seed?, params, stages, warnings })
}

/// The span of a value, or of its key when it is empty or long.
fn key_or_value(entries: &[Entry], key: &str) -> Span {
    entry(entries, key).map_or(Span::default(), |entry| {
        if entry.value.span.start == entry.value.span.end { entry.key.span } else { entry.value.span }
    })
}

fn unknown_keys(source: &Source, entries: &[Entry], problems: &mut Vec<Problem>) {
    for Entry { key, value } in entries.iter().filter(|entry| !KEYS.contains(&entry.key.value.as_str())).take(ENOUGH) {
        let is_stage = value.entries().is_some_and(|entries| entry(entries, "kind").is_some());
        let help = if is_stage {
            "stages stand under `stages:`: indent it".to_owned()
        } else {
            did_you_mean(&key.value, "the keys of a pipeline", KEYS.into_iter())
        };
        problems.push(Problem::new(source, key.span, format!("unknown key {}", quote(&key.value))).help(help));
    }
}

/// Says that a key is not there, unless a misspelt one says so already.
fn missing(source: &Source, entries: &[Entry], key: &str, help: &str, problems: &mut Vec<Problem>) {
    let misspelt =
        |entry: &Entry| !KEYS.contains(&entry.key.value.as_str()) && suggest(&entry.key.value, KEYS) == Some(key);
    if !entries.iter().take(ENOUGH).any(misspelt) {
        let first = entries.first().map_or(Span::default(), |entry| entry.key.span);
        problems.push(Problem::new(source, first, format!("the pipeline has no `{key}`")).help(help));
    }
}

fn name(source: &Source, entries: &[Entry], problems: &mut Vec<Problem>) -> Option<Spanned<String>> {
    let Some(entry) = entry(entries, "name") else {
        missing(source, entries, "name", "write `name: …` at the top", problems);
        return None;
    };
    match entry.value.text() {
        Some(text) if is_stage_name(text) => return Some(Spanned::new(text.to_owned(), entry.value.span)),
        Some(text) => problems.push(
            Problem::new(source, entry.value.span, format!("{} cannot be the name of a pipeline", quote(text)))
                .help(STAGE_NAME_HELP),
        ),
        None => problems.push(
            Problem::new(
                source,
                key_or_value(entries, "name"),
                format!("the name is {}, not a text", entry.value.what()),
            )
            .help(STAGE_NAME_HELP),
        ),
    }
    None
}

fn seed(
    source: &Source,
    node: &Node,
    params: &Params,
    used: &mut BTreeSet<String>,
    problems: &mut Vec<Problem>,
) -> Option<u64> {
    used.extend(references(source, node, problems).into_iter().map(|reference| reference.value));
    let known: Vec<&str> = params.keys().map(String::as_str).collect();
    let lookup = |name: &str| params.get(name).map(|param| &param.value.value);
    let value = substitute(source, node, &lookup, &known);
    value.and_then(|value| seed_of(source, node.span, &value)).map_err(|problem| problems.push(problem)).ok()
}

fn stages(source: &Source, entries: &[Entry], given: &mut Given<'_>) -> Option<Vec<StageSpec>> {
    let problems = &mut *given.problems;
    let example = "write `stages: {ratings: {kind: read, path: data/u.data}}`";
    let Some(stages) = entry(entries, "stages") else {
        missing(source, entries, "stages", example, problems);
        return None;
    };
    let Some(entries) = stages.value.entries().filter(|entries| !entries.is_empty()) else {
        let message = match stages.value.entries() {
            Some(_) => "`stages` is empty".to_owned(),
            None if stages.value.span.start == stages.value.span.end => "`stages` is empty".to_owned(),
            None => format!("`stages` is {}, not a mapping of names to stages", stages.value.what()),
        };
        problems.push(Problem::new(source, stages.key.span, message).help(example));
        return None;
    };
    if entries.len() > MAX_STAGES {
        let message = format!("the pipeline has {} stages; the most is {MAX_STAGES}", entries.len());
        problems.push(Problem::new(source, stages.key.span, message).help("use a `matrix`, or several pipelines"));
        return None;
    }
    let mut stages = Vec::new();
    for entry in entries {
        stages.extend(stage(source, entry, given));
        if given.problems.len() > ENOUGH {
            break;
        }
    }
    Some(stages)
}

/// The names that matrices refer to: they are replaced already, so only the file still has them.
fn matrix_references(source: &Source, entries: &[Entry]) -> Vec<String> {
    let stages = entry(entries, "stages").and_then(|stages| stages.value.entries()).unwrap_or_default();
    let matrices = stages.iter().filter_map(|stage| entry(stage.value.entries()?, "matrix"));
    let found = matrices.flat_map(|matrix| references(source, &matrix.value, &mut Vec::new()));
    found.map(|reference| reference.value).collect()
}

/// Refuses references to nothing. A stage may use the axes of those upstream, which only the engine can tell: here
/// every axis of the file is good.
fn check_references(
    source: &Source,
    known: &BTreeSet<&str>,
    stages: &[StageSpec],
    problems: &mut Vec<Problem>,
) -> BTreeSet<String> {
    let names: Vec<&str> = known.iter().copied().collect();
    let mut used = BTreeSet::new();
    for stage in stages {
        for reference in stage.references(problems) {
            if problems.len() <= ENOUGH && !known.contains(reference.value.as_str()) {
                problems.push(unknown(source, &reference.value, reference.span, &names));
            }
            used.insert(reference.value);
        }
    }
    used
}

/// The names of all params and axes, also of those with something wrong, which is said elsewhere.
fn named(entries: &[Entry]) -> BTreeSet<&str> {
    let stages = entry(entries, "stages").and_then(|stages| stages.value.entries()).unwrap_or_default();
    let matrices = stages.iter().filter_map(|stage| entry(stage.value.entries()?, "matrix")?.value.entries());
    let params = entry(entries, "params").and_then(|params| params.value.entries());
    params.into_iter().chain(matrices).flatten().map(|entry| entry.key.value.as_str()).collect()
}

/// Refuses a file that becomes huge when references are replaced.
fn expanded(source: &Source, params: &Params, stages: &[StageSpec], budget: &mut Budget) -> Result<(), Problem> {
    for stage in stages {
        let used = referred_bytes(params, &stage.references(&mut Vec::new()));
        let cells = stage.matrix.as_ref().map_or(1, |matrix| matrix.cells().len());
        budget.take(stage.written_bytes().saturating_add(used).saturating_mul(cells), source, stage.name.span)?;
    }
    Ok(())
}

fn unused(source: &Source, params: &Params, stages: &[StageSpec], used: &BTreeSet<String>) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (name, param) in params.iter().filter(|(name, _)| !used.contains(*name)) {
        warnings.push(
            Problem::new(source, param.declared, format!("nothing uses the param `{name}`"))
                .help(format!("use it as `${{{name}}}`, or remove it")),
        );
    }
    for axis in stages.iter().filter_map(|stage| stage.matrix.as_ref()).flat_map(Matrix::axes) {
        let name = &axis.name.value;
        if !used.contains(name) {
            warnings.push(
                Problem::new(
                    source,
                    axis.name.span,
                    format!("nothing uses the axis `{name}`: its cells are all the same"),
                )
                .help(format!("use it as `${{{name}}}`, or remove it")),
            );
        }
    }
    warnings.sort_by_key(Problem::span);
    warnings.into_iter().map(Problem::warning).collect()
}
