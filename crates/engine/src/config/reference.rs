//! `${name}`: taking the value of a param or of a matrix axis.

use serde_json::Value;

use crate::config::names::{did_you_mean, is_param_name, quote};
use crate::config::node::{Node, Tree, what};
use crate::config::{Problem, Source, Span, Spanned};

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// What is wrong with the references of a text: the part, what is wrong, and what to do.
type Wrong<'a> = (&'a str, String, &'static str);

/// Splits a text at its references. `$${` stands for the two characters `${`.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Wrong<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            pieces.push(Piece::Text(before));
            pieces.push(Piece::Text("${"));
            rest = &reference[2..];
            continue;
        }
        pieces.push(Piece::Text(before));
        let Some(end) = reference.find('}') else {
            let message = format!("the reference {} is not closed", quote(reference));
            return Err((reference, message, "write `${name}`, or `$${` for the characters `${`"));
        };
        let name = &reference[2..end];
        if !is_param_name(name) {
            let message = format!("{} is not the name of a param or axis", quote(name));
            return Err((&reference[..=end], message, "write `${name}`, or `$${` for the characters `${`"));
        }
        pieces.push(Piece::Name(name));
        rest = &reference[end + 1..];
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(pieces)
}

/// The place of the first such part of a text.
fn place(source: &Source, node: &Node, part: &str) -> Span {
    Finder::new(source, node).place(part)
}

/// Finds parts of a text where they were written, from front to back.
struct Finder<'a> {
    source: &'a Source,
    node: &'a Node,
    /// Where to look next; `None` once a part was not found, because the text was written with escapes.
    next: Option<usize>,
}

impl<'a> Finder<'a> {
    fn new(source: &'a Source, node: &'a Node) -> Self {
        Self { source, node, next: Some(0) }
    }

    /// The place of the next part: its own where the text is written as it is, else that of the whole text.
    fn place(&mut self, part: &str) -> Span {
        let written = self.source.slice(self.node.span);
        let found = self.next.and_then(|from| Some(from + written.get(from..)?.find(part)?));
        self.next = found.map(|at| at + part.len());
        let start = self.node.span.start;
        found.map_or(self.node.span, |at| Span::new(start + at, start + at + part.len()))
    }
}

/// The references in a value, and what is wrong with their form.
pub(super) fn references(source: &Source, node: &Node, problems: &mut Vec<Problem>) -> Vec<Spanned<String>> {
    let mut found = Vec::new();
    node.walk(&mut |node| {
        if let Tree::Map(entries) = &node.tree {
            for entry in entries.iter().filter(|entry| entry.key.value.contains("${")) {
                problems.push(
                    Problem::new(source, entry.key.span, "references are not replaced in keys")
                        .help("write the key out, and use the reference as its value"),
                );
            }
        }
        let Some(text) = node.text() else { return };
        match pieces(text) {
            Ok(pieces) => {
                let mut finder = Finder::new(source, node);
                for piece in pieces {
                    if let Piece::Name(name) = piece {
                        let span = finder.place(&format!("${{{name}}}"));
                        found.push(Spanned::new(name.to_owned(), span));
                    }
                }
            }
            Err((part, message, help)) => {
                problems.push(Problem::new(source, place(source, node, part), message).help(help));
            }
        }
    });
    found
}

/// The name, when the value is one reference and nothing else.
pub(super) fn whole(node: &Node) -> Option<&str> {
    match pieces(node.text()?).ok()?.as_slice() {
        [Piece::Name(name)] => Some(name),
        _ => None,
    }
}

/// The value with its references replaced. A reference that is a whole value keeps its type; inside a text it is
/// written out.
///
/// # Errors
/// A name that `lookup` does not know (`known` lists what it does), or a list, mapping or null inside a text.
pub(super) fn substitute<'a>(
    source: &Source,
    node: &Node,
    lookup: &impl Fn(&str) -> Option<&'a Value>,
    known: &[&str],
) -> Result<Value, Problem> {
    node.value_with(&mut |node, text| {
        let wrong = |part: &str, message: String| Problem::new(source, place(source, node, part), message);
        let pieces = pieces(text).map_err(|(part, message, help)| wrong(part, message).help(help))?;
        let find = |name: &str| {
            lookup(name).ok_or_else(|| unknown(source, name, place(source, node, &format!("${{{name}}}")), known))
        };
        if let [Piece::Name(name)] = pieces.as_slice() {
            return find(name).cloned();
        }
        let mut out = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Name(name) => match find(name)? {
                    Value::String(text) => out.push_str(text),
                    value @ (Value::Number(_) | Value::Bool(_)) => out.push_str(&value.to_string()),
                    value => {
                        return Err(wrong(
                            &format!("${{{name}}}"),
                            format!("`{name}` is {} and cannot be part of a text", what(value)),
                        )
                        .help("use it as a whole value: `key: ${name}`"));
                    }
                },
            }
        }
        Ok(Value::String(out))
    })
}

/// The problem of a reference to nothing.
pub(super) fn unknown(source: &Source, name: &str, span: Span, known: &[&str]) -> Problem {
    Problem::new(source, span, format!("there is no param or axis {}", quote(name))).help(did_you_mean(
        name,
        "params and axes here",
        known.iter().copied(),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn replaced(text: &str) -> Result<Value, Problem> {
        let source = Source::new("f", text);
        let values = [
            ("n", json!(8)),
            ("x", json!(0.5)),
            ("t", json!("hi")),
            ("l", json!([1])),
            ("b", json!(true)),
            ("z", json!(null)),
        ];
        let node = Node { span: Span::new(0, text.len()), tree: Tree::Scalar(text.into()) };
        substitute(
            &source,
            &node,
            &|name| values.iter().find(|(key, _)| *key == name).map(|(_, value)| value),
            &["n", "x", "t", "l"],
        )
    }

    #[test]
    fn a_whole_reference_keeps_its_type() {
        for (text, value) in [("${n}", json!(8)), ("${x}", json!(0.5)), ("${l}", json!([1])), ("${z}", json!(null))] {
            assert_eq!(replaced(text).unwrap(), value);
        }
    }

    #[test]
    fn inside_a_text_it_is_written_out() {
        assert_eq!(replaced("a-${n}-${x}.${t}${b}").unwrap(), json!("a-8-0.5.hitrue"));
        assert_eq!(replaced(" ${n}").unwrap(), json!(" 8"), "not the whole value");
    }

    #[test]
    fn two_dollars_stand_for_the_characters() {
        assert_eq!(replaced("$${n}").unwrap(), json!("${n}"));
        assert_eq!(replaced("$${").unwrap(), json!("${"));
        assert_eq!(replaced("$$${n}").unwrap(), json!("$${n}"));
        assert_eq!(replaced("a $ b $5 $$ {n}").unwrap(), json!("a $ b $5 $$ {n}"));
    }

    #[test]
    fn what_cannot_be_replaced_is_refused_at_its_place() {
        for (text, message, column) in [
            ("a ${m} b", "there is no param or axis `m`", 3),
            ("a ${n", "the reference `${n` is not closed", 3),
            ("${}", "`` is not the name of a param or axis", 1),
            ("x${A-b}", "`A-b` is not the name of a param or axis", 2),
            ("${${n}}", "`${n` is not the name of a param or axis", 1),
            ("a ${l}", "`l` is a list and cannot be part of a text", 3),
            ("a ${z}", "`z` is nothing and cannot be part of a text", 3),
        ] {
            let problem = replaced(text).unwrap_err();
            assert_eq!((problem.message(), problem.line_column()), (message, Some((1, column))));
        }
    }
}
