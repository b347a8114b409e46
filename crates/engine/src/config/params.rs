//! `params:` and `--set`: the values that a pipeline can be called with.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::label::canonical;
use crate::config::names::{PARAM_NAME_HELP, did_you_mean, is_param_name, quote};
use crate::config::node::{Entry, Node, Tree};
use crate::config::problem::ENOUGH;
use crate::config::reference::{references, substitute};
use crate::config::scan::is_bracketed;
use crate::config::{MAX_CELLS, Problem, Source, Span, Spanned, scalar, text, yaml};

/// A param: declared under `params:`, and perhaps given another value by `--set`.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Where the file declares it: the span of its name.
    pub declared: Span,
    /// Its value, and where that was written: in the file, or in `set` if there is one.
    pub value: Spanned<Value>,
    /// The `--set` argument that gave the value.
    pub set: Option<Source>,
    /// The length of its canonical JSON.
    bytes: usize,
}

impl Param {
    fn new(declared: Span, value: Spanned<Value>, set: Option<Source>) -> Self {
        let bytes = canonical(&value.value).len();
        Self { declared, value, set, bytes }
    }
}

/// The params of a pipeline by name.
pub type Params = BTreeMap<String, Param>;

/// Reads the entries of `params:`.
pub(super) fn declared(source: &Source, entries: &[Entry], problems: &mut Vec<Problem>) -> Params {
    let mut params = Params::new();
    for Entry { key, value } in entries {
        if problems.len() > ENOUGH {
            break;
        }
        if !is_param_name(&key.value) {
            problems.push(
                Problem::new(source, key.span, format!("{} cannot be the name of a param", quote(&key.value)))
                    .help(PARAM_NAME_HELP),
            );
        }
        if let Some(resolved) = literal(source, value, problems) {
            let value = Spanned::new(resolved, value.span);
            params.insert(key.value.clone(), Param::new(key.span, value, None));
        }
    }
    params
}

/// How many bytes values may still grow by when references are replaced.
///
/// Params cannot refer to each other, so nothing grows without bound, but a large param used often, in many cells,
/// could still fill the memory.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    cells: usize,
}

impl Budget {
    /// That of a whole pipeline.
    pub(super) fn new() -> Self {
        Self { bytes: 64 << 20, cells: MAX_CELLS }
    }

    /// Takes this many cells.
    ///
    /// # Errors
    /// When they are not there, with a problem at `span`.
    pub(super) fn take_cells(&mut self, cells: usize, source: &Source, span: Span) -> Result<(), Problem> {
        self.cells = self.cells.checked_sub(cells).ok_or_else(|| {
            Problem::new(source, span, format!("the matrices of the pipeline have more than {MAX_CELLS} cells"))
                .label("too many from here on")
                .help("list fewer values, or write several pipelines")
        })?;
        Ok(())
    }

    /// Takes this many bytes.
    ///
    /// # Errors
    /// When they are not there, with a problem at `span`.
    pub(super) fn take(&mut self, bytes: usize, source: &Source, span: Span) -> Result<(), Problem> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            Problem::new(source, span, "the pipeline is larger than 64 MiB when references are replaced")
                .label("too large from here on")
                .help("keep large values in files, refer to them less often, or use fewer cells")
        })?;
        Ok(())
    }
}

/// The bytes that references to these params become.
pub(super) fn referred_bytes(params: &Params, references: &[Spanned<String>]) -> usize {
    let bytes = references.iter().filter_map(|reference| params.get(&reference.value)).map(|param| param.bytes);
    bytes.fold(0, usize::saturating_add)
}

/// The value of a param, which may hold `$${` but no references.
fn literal(source: &Source, node: &Node, problems: &mut Vec<Problem>) -> Option<Value> {
    let before = problems.len();
    for reference in references(source, node, problems).into_iter().take(ENOUGH) {
        problems.push(
            Problem::new(source, reference.span, "a param cannot refer to another param")
                .help("write its value out, or use both params in the stage; `$${` stands for the characters `${`"),
        );
    }
    if problems.len() > before {
        return None;
    }
    substitute(source, node, &|_| None, &[]).map_err(|problem| problems.push(problem)).ok()
}

/// Gives params the values of the `--set` arguments.
pub(super) fn set(params: &mut Params, sets: &[String], problems: &mut Vec<Problem>) {
    let mut earlier: BTreeMap<&str, &str> = BTreeMap::new();
    let names: Vec<String> = params.keys().cloned().collect();
    for argument in sets {
        let source = Source::new(&format!("--set {}", quote(argument).trim_matches('`')), argument);
        let all = Span::new(0, argument.len());
        let Some((name, text)) = argument.split_once('=') else {
            problems.push(
                Problem::new(&source, all, format!("`--set` needs a name and a value, not {}", quote(argument)))
                    .help("write `--set name=value`"),
            );
            continue;
        };
        let name_span = Span::new(0, name.len());
        if let Some(first) = earlier.insert(name, text) {
            problems.push(Problem::new(&source, name_span, format!("{} is set twice", quote(name))).help(format!(
                "keep one of {} and {}",
                quote(&format!("{name}={first}")),
                quote(argument)
            )));
            continue;
        }
        let Some(param) = params.get_mut(name) else {
            problems.push(unknown(&source, name, name_span, &names));
            continue;
        };
        if let Some(value) = argument_value(&source, Span::new(name.len() + 1, argument.len()), problems) {
            *param = Param::new(param.declared, value, Some(source));
        }
    }
}

fn unknown(source: &Source, name: &str, span: Span, names: &[String]) -> Problem {
    let known = names.iter().map(String::as_str);
    let problem = Problem::new(source, span, format!("the pipeline has no param {}", quote(name)));
    match name.split_once('.') {
        Some((param, _)) if names.iter().any(|known| known == param) => problem.help(format!(
            "`--set` gives a param a whole value: write `--set {param}='{{...}}'`, or declare the part as a param of its own"
        )),
        Some(_) => problem.help(format!(
            "`--set` changes what is under `params:`, not the parameters of stages: declare a param and use it there. {}",
            did_you_mean(name, "params", known)
        )),
        None => problem.help(did_you_mean(name, "params", known)),
    }
}

/// The value of a `--set` argument: a word or number by the rules of the file, a list or mapping with brackets, a
/// text in quotes, and else the text as it is.
fn argument_value(source: &Source, span: Span, problems: &mut Vec<Problem>) -> Option<Spanned<Value>> {
    let text = source.slice(span);
    let as_text = || Some(Spanned::new(Value::String(text.to_owned()), span));
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return as_text();
    }
    if trimmed.starts_with(['[', '{', '"', '\'']) && is_bracketed(trimmed) {
        let node = bracketed(source, span).map_err(|found| problems.extend(found)).ok()?;
        return literal(source, &node, problems).map(|value| Spanned::new(value, span));
    }
    match scalar::plain(trimmed) {
        Err(trap) => {
            problems.push(Problem::new(source, span, trap.message).help(trap.help));
            None
        }
        Ok(Value::String(_)) => {
            let node = Node { span, tree: Tree::Scalar(Value::String(text.to_owned())) };
            literal(source, &node, problems).map(|value| Spanned::new(value, span))
        }
        Ok(value) => Some(Spanned::new(value, span)),
    }
}

/// Reads a value with brackets or quotes.
fn bracketed(source: &Source, span: Span) -> Result<Node, Vec<Problem>> {
    // The name and white space are blanked out, so that places stay those of the argument.
    let value = source.slice(span).trim_start();
    let blanked = " ".repeat(span.end - value.len()) + value.trim_end();
    let node = text::decode(source.name(), blanked.as_bytes())
        .map_err(|problem| vec![problem])
        .and_then(|blanked| yaml::read(&blanked))
        .map_err(|problems| problems.into_iter().map(|problem| problem.shown_in(source)).collect::<Vec<_>>())?;
    node.ok_or_else(|| vec![Problem::new(source, span, "expected a value").help("write `--set name=value`")])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn params() -> Params {
        let param = || Param::new(Span::default(), Spanned::new(json!(1), Span::default()), None);
        ["epochs", "path"].map(|name| (name.to_owned(), param())).into()
    }

    fn value(text: &str) -> Result<Value, Vec<Problem>> {
        let (mut params, mut problems) = (params(), Vec::new());
        set(&mut params, &[format!("path={text}")], &mut problems);
        if problems.is_empty() { Ok(params["path"].value.value.clone()) } else { Err(problems) }
    }

    #[test]
    fn values_follow_the_rules_of_the_file() {
        for (text, expected) in [
            ("8", json!(8)),
            (" 8 ", json!(8)),
            ("0.5", json!(0.5)),
            ("true", json!(true)),
            ("null", json!(null)),
            ("[8, 16]", json!([8, 16])),
            ("{a: 1, b: [x]}", json!({"a": 1, "b": ["x"]})),
            ("\"8\"", json!("8")),
            ("'yes'", json!("yes")),
        ] {
            assert_eq!(value(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_yaml_is_text() {
        for text in [
            "",
            " ",
            "data/u.data",
            "C:\\data: new\\u.data",
            "a b # c",
            "a=b",
            "*.csv",
            "[ab]*.csv",
            "{a",
            "- x",
            "k: v",
            "&a",
            "!x",
            "\"a\" b",
            "@home",
            "%x",
            "a, b",
            "key:",
        ] {
            assert_eq!(value(text).unwrap(), json!(text), "{text}");
        }
        assert_eq!(value("$${x}").unwrap(), json!("${x}"));
    }

    #[test]
    fn what_is_refused_in_the_file_is_refused_here_at_its_place() {
        for (text, column) in [
            ("yes", 6),
            ("010", 6),
            ("[1, 1_000]", 10),
            ("{a: 1, a: 2}", 13),
            ("${x}", 6),
            ("[\"${x}\"]", 8),
            ("1e999", 6),
        ] {
            let problems = value(text).unwrap_err();
            assert_eq!(problems[0].line_column(), Some((1, column)), "{text}: {problems:?}");
            assert!(problems[0].source_name().starts_with("--set path="));
        }
    }

    #[test]
    fn names_are_known_whole_and_given_once() {
        for (arguments, message) in [
            (&["epoch=1"][..], "the pipeline has no param `epoch`"),
            (&["epochs.x=1"], "the pipeline has no param `epochs.x`"),
            (&["epochs"], "`--set` needs a name and a value, not `epochs`"),
            (&["=1"], "the pipeline has no param ``"),
            (&["epochs=1", "epochs=2"], "`epochs` is set twice"),
        ] {
            let mut problems = Vec::new();
            set(
                &mut params(),
                &arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>(),
                &mut problems,
            );
            assert_eq!(problems.iter().map(Problem::message).collect::<Vec<_>>(), [message]);
        }
    }
}
