//! What the errors of the YAML readers mean, in words that say what to do.

use std::collections::BTreeMap;

use crate::config::names::quote;
use crate::config::scan::MAX_DEPTH;
use crate::config::{Problem, Source, Span};

/// Turns the error of a YAML reader into a problem at this byte.
pub(super) fn explain(source: &Source, at: usize, info: &str, tabs: &BTreeMap<usize, usize>) -> Problem {
    let text = source.text();
    let at = text.floor_char_boundary(at);
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    // The scanner may notice a tab while it still reads a text from the line above.
    let below = tabs.range(line_start..).next().map(|(&line, _)| line).filter(|_| info.contains("tab"));
    if let Some(line) = below.or_else(|| tabs.contains_key(&line_start).then_some(line_start)) {
        return tab(source, line);
    }
    if info.contains("recursion limit") {
        return too_deep(source, at);
    }
    if info.contains("unknown anchor") {
        return alias(source, word(source, at));
    }
    if info.contains("handle wasn't declared") {
        return tag(source, at);
    }
    let (span, message, help) = describe(source, at, info);
    Problem::new(source, span, message).help(help)
}

fn describe(source: &Source, at: usize, info: &str) -> (Span, String, &'static str) {
    let text = source.text();
    let mut here = word(source, at);
    if text[..at].ends_with('$') && text[at..].starts_with('{') {
        let end = text[at..].find(['}', '\n']).map_or(at + 1, |end| at + end + 1);
        return (
            Span::new(at - 1, end),
            "a reference inside `[ ]` or `{ }` needs quotes".to_owned(),
            "write `\"${name}\"` in quotes",
        );
    }
    let ended = text[at..].trim().is_empty();
    if ended {
        let end = text[..at].trim_end().len();
        here = Span::new(text[..end].char_indices().next_back().map_or(0, |(last, _)| last), end);
    }
    if ended && !info.contains("simple key") {
        return (here, "the file ends in the middle of a value".to_owned(), "close every bracket and quote");
    }
    let known: [(&[&str], &str, &str); 12] = [
        (
            &["mapping values are not allowed"],
            "a `:` cannot stand here",
            "if `: ` belongs to the text, put the text in quotes; else check the indentation of this line",
        ),
        (
            &["simple key expect", "could not find expected ':'"],
            "expected `key: value`",
            "write `key: value`, with a space after the colon, and check the indentation",
        ),
        (&["unexpected end of stream", "unclosed"], "a quote or bracket is never closed", "close it"),
        (
            &["',' or '}'", "',' or ']'"],
            "expected a `,` or the closing bracket",
            "separate items with `,`, and close every `[` with `]` and every `{` with `}`",
        ),
        (&["unexpected character", "cannot start any token"], "no text starts with this", "put the text in quotes"),
        (&["node content"], "a value is missing here", "write a value, or remove what stands before it"),
        (&["only valid inside a block"], "a list item cannot stand here", "put each `- item` on a line of its own"),
        (&["comments must be"], "a comment needs a space before its `#`", "add the space, or put the text in quotes"),
        (
            &["trailing content"],
            "a text in quotes ends before this",
            "put everything in the quotes; inside them, write `\\\"` for `\"` and `''` for `'`",
        ),
        (&["escape"], "unknown escape in double quotes", "write `\\\\` for a backslash, or use single quotes"),
        (
            &["comment intercepting"],
            "a comment stands in the middle of a text",
            "put the text on one line, or in quotes",
        ),
        (
            &[
                "<document start>",
                "did not find expected key",
                "invalid indentation",
                "block mapping",
                "block collection",
                "'-' indicator",
            ],
            "this line does not fit what comes before it",
            "give all keys of a mapping, and all items of a list, the same indentation",
        ),
    ];
    for (signs, message, help) in known {
        if signs.iter().any(|sign| info.contains(sign)) {
            return (here, message.to_owned(), help);
        }
    }
    (here, format!("not valid YAML: {info}"), "check indentation, brackets and quotes here and just above")
}

/// The characters from `at` to the next space, and no more than 40 bytes.
pub(super) fn word(source: &Source, at: usize) -> Span {
    let text = source.text();
    let rest = &text[at..text.ceil_char_boundary(at.saturating_add(40))];
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}')).unwrap_or(rest.len());
    // A bracket by itself is a word.
    let first = rest.chars().next().filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8);
    Span::new(at, at + end.max(first))
}

/// Lines whose indentation holds a tab: first byte, and first byte that is not white space.
pub(super) fn tab_indents(text: &str) -> BTreeMap<usize, usize> {
    let mut lines = BTreeMap::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if line[..indent].contains('\t') {
            lines.insert(start, start + indent);
        }
        start += line.len();
    }
    lines
}

/// The problem of a line that is indented with a tab.
pub(super) fn tab(source: &Source, line_start: usize) -> Problem {
    let rest = &source.text()[line_start..];
    let indent = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    Problem::new(source, Span::new(line_start, line_start + indent), "a tab in the indentation")
        .help("YAML is indented with spaces: replace the tab")
}

/// The problem of values nested too deep.
pub(super) fn too_deep(source: &Source, at: usize) -> Problem {
    Problem::new(source, word(source, at), format!("nested deeper than {MAX_DEPTH} levels"))
        .label("one level too many")
        .help("a pipeline needs about six levels: is a bracket missing?")
}

/// The problem of an anchor or alias.
pub(super) fn alias(source: &Source, span: Span) -> Problem {
    Problem::new(source, span, "YAML anchors and aliases are not supported").label("here").help(
        "name the value under `params:` and use it as `${name}`; put a text that starts with `&` or `*` in quotes",
    )
}

/// The problem of a merge key.
pub(super) fn merge(source: &Source, span: Span) -> Problem {
    Problem::new(source, span, "merge keys are not supported")
        .label("here")
        .help("name the shared values under `params:` and use them as `${name}`")
}

/// The problem of a tag.
pub(super) fn tag(source: &Source, at: usize) -> Problem {
    let span = word(source, at);
    Problem::new(source, span, format!("YAML tags such as {} are not supported", quote(source.slice(span)))).help(
        "remove it: the type of a value is seen from how it is written; put a text that starts with `!` in quotes",
    )
}
