//! The scan that gives every value its place, and refuses what the second reader must not see.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::config::names::quote;
use crate::config::problem::ENOUGH;
use crate::config::{Problem, Source, Span, Spanned, scalar, syntax};

/// The deepest nesting of lists and mappings. A pipeline needs about six.
pub(super) const MAX_DEPTH: usize = 64;

/// The shape of a value: its parts and their places.
#[derive(Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

/// What a value is made of.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    Scalar { text: String, plain: bool },
    List(Vec<Shape>),
    Map(Vec<(Spanned<String>, Shape)>),
}

/// Reads the shape of a text; `None` when it holds nothing.
///
/// # Errors
/// Everything that is refused, as far as the scan comes: it stops at a syntax error, at aliases and anchors, at a
/// second document, and where values are nested too deep.
pub(super) fn scan(source: &Source) -> Result<Option<Shape>, Vec<Problem>> {
    let mut builder = Builder {
        source,
        places: Places::new(source.text()),
        open: Vec::new(),
        root: None,
        documents: 0,
        problems: Vec::new(),
        tabs: syntax::tab_indents(source.text()),
    };
    for event in Parser::new_from_str(source.text()) {
        let stop = match event {
            Ok((event, span)) => {
                let span = Span::new(builder.places.byte(span.start.index()), builder.places.byte(span.end.index()));
                builder.event(event, span)
            }
            Err(error) => {
                let at = builder.places.byte(error.marker().index());
                Err(syntax::explain(source, at, error.info(), &builder.tabs))
            }
        };
        if let Err(problem) = stop {
            builder.problems.push(problem);
            break;
        }
        if builder.problems.len() > ENOUGH {
            break;
        }
    }
    if builder.problems.is_empty() { Ok(builder.root) } else { Err(builder.problems) }
}

/// Whether a text that starts with a bracket or a quote is one value in brackets or quotes, and nothing else.
pub(super) fn is_bracketed(text: &str) -> bool {
    let mut root = true;
    for event in Parser::new_from_str(text) {
        match event {
            Ok((Event::StreamStart | Event::DocumentStart(false) | Event::Nothing, _)) => {}
            Ok((event, _)) if root => {
                let fits = match event {
                    Event::SequenceStart(..) => text.trim_start().starts_with('['),
                    Event::MappingStart(..) => text.trim_start().starts_with('{'),
                    Event::Scalar(_, style, ..) => style != ScalarStyle::Plain,
                    _ => false,
                };
                if !fits {
                    return false;
                }
                root = false;
            }
            Ok(_) => {}
            // Too many brackets are still brackets.
            Err(error) => return error.info().contains("recursion limit"),
        }
    }
    !root
}

/// A list or mapping whose end has not come yet.
struct Open {
    start: usize,
    end: usize,
    /// Written with brackets: its end is its closing bracket, not the end of its last part.
    flow: bool,
    parts: Parts,
}

enum Parts {
    List(Vec<Shape>),
    Map { entries: Vec<(Spanned<String>, Shape)>, key: Option<Spanned<String>>, seen: BTreeMap<String, Span> },
}

struct Builder<'a> {
    source: &'a Source,
    places: Places<'a>,
    open: Vec<Open>,
    root: Option<Shape>,
    documents: usize,
    problems: Vec<Problem>,
    /// Lines that are indented with a tab: first byte and first byte that is not white space.
    tabs: BTreeMap<usize, usize>,
}

impl Builder<'_> {
    fn problem(&self, span: Span, message: impl Into<String>) -> Problem {
        Problem::new(self.source, span, message)
    }

    /// Takes one event; an error stops the scan.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents == 1 {
                    return Ok(());
                }
                Err(self
                    .problem(span, "a second YAML document begins here")
                    .help("one file is one pipeline: put the other document in a file of its own"))
            }
            Event::Alias(_) => Err(syntax::alias(self.source, span)),
            Event::Scalar(text, style, anchor, tag) => {
                self.decorated(span, anchor, tag.is_some())?;
                let span = trimmed(self.source.text(), style, span);
                self.scalar(text.into_owned(), style == ScalarStyle::Plain, span);
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.decorated(span, anchor, tag.is_some())?;
                self.begin(span, Parts::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.decorated(span, anchor, tag.is_some())?;
                self.begin(span, Parts::Map { entries: Vec::new(), key: None, seen: BTreeMap::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.end(span);
                Ok(())
            }
        }
    }

    /// Refuses anchors, and notes tags.
    fn decorated(&mut self, span: Span, anchor: usize, tag: bool) -> Result<(), Problem> {
        self.indentation(span.start);
        if anchor > 0 {
            return Err(syntax::alias(self.source, syntax::word(self.source, span.start)));
        }
        if tag {
            self.problems.push(syntax::tag(self.source, span.start));
        }
        Ok(())
    }

    /// Notes a value or key that is the first thing on a line indented with a tab.
    fn indentation(&mut self, at: usize) {
        if let Some((&line, _)) = self.tabs.range(..=at).next_back().filter(|&(_, &first)| first == at) {
            self.problems.push(syntax::tab(self.source, line));
            self.tabs.remove(&line);
        }
    }

    fn scalar(&mut self, text: String, plain: bool, span: Span) {
        if let Some(Open { parts: Parts::Map { key: key @ None, seen, .. }, .. }) = self.open.last_mut() {
            let first = seen.get(&text).copied();
            seen.entry(text.clone()).or_insert(span);
            *key = Some(Spanned::new(text.clone(), span));
            self.check_key(&text, plain, span, first);
            return;
        }
        if plain && let Err(trap) = scalar::plain(&text) {
            self.problems.push(self.problem(span, trap.message).help(trap.help));
        }
        self.close(Shape { span, kind: Kind::Scalar { text, plain } });
    }

    fn check_key(&mut self, text: &str, plain: bool, span: Span, first: Option<Span>) {
        if text == "<<" {
            self.problems.push(syntax::merge(self.source, span));
        } else if plain && !is_text(text) {
            let problem = if text.is_empty() {
                self.problem(span, "a key is missing before the `:`").help("write `key: value`")
            } else {
                let help = format!("write it in quotes: {}", quote(&format!("\"{text}\"")));
                self.problem(span, format!("the key {} is not text", quote(text))).help(help)
            };
            self.problems.push(problem);
        } else if let Some(first) = first {
            self.problems.push(
                self.problem(span, format!("{} is written twice in the same mapping", quote(text)))
                    .label("again here")
                    .also(first, "first here")
                    .help("remove or rename one of them"),
            );
        }
    }

    fn begin(&mut self, span: Span, parts: Parts) -> Result<(), Problem> {
        if let Some(Open { parts: Parts::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(self
                .problem(syntax::word(self.source, span.start), "a list or mapping cannot be a key")
                .help("keys are text; write `\"${name}\"` in quotes if a reference was meant"));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(syntax::too_deep(self.source, span.start));
        }
        let flow = self.source.text()[span.start..].starts_with(['[', '{']);
        self.open.push(Open { start: span.start, end: span.end, flow, parts });
        Ok(())
    }

    fn end(&mut self, span: Span) {
        if let Some(open) = self.open.pop() {
            let bracket = open.flow && self.source.text()[span.start..].starts_with([']', '}']);
            let span = Span::new(open.start, if bracket { span.start + 1 } else { open.end });
            let kind = match open.parts {
                Parts::List(items) => Kind::List(items),
                Parts::Map { entries, .. } => Kind::Map(entries),
            };
            self.close(Shape { span, kind });
        }
    }

    /// Puts a complete value where it belongs.
    fn close(&mut self, shape: Shape) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(shape);
            return;
        };
        open.end = open.end.max(shape.span.end).max(open.start);
        match &mut open.parts {
            Parts::List(items) => items.push(shape),
            Parts::Map { entries, key, .. } => entries.extend(key.take().map(|key| (key, shape))),
        }
    }
}

/// Whether an unquoted key is text to every reader of YAML 1.2. `n`, `on` and the like are: only as values could
/// they be taken for something else.
fn is_text(text: &str) -> bool {
    match scalar::plain(text) {
        Ok(value) => value.is_string(),
        Err(_) => {
            text.starts_with(|c: char| c.is_ascii_alphabetic())
                && !text.eq_ignore_ascii_case("true")
                && !text.eq_ignore_ascii_case("false")
        }
    }
}

/// The span of a scalar without what the scanner skips after it: blanks, comments and line ends.
fn trimmed(text: &str, style: ScalarStyle, span: Span) -> Span {
    let written = &text[span.range()];
    let length = match style {
        ScalarStyle::Plain => written.len(),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => quoted_length(written.as_bytes()),
        ScalarStyle::Literal | ScalarStyle::Folded => written.trim_end().len(),
    };
    Span::new(span.start, span.start + length)
}

/// The length of a quoted text with its quotes.
fn quoted_length(written: &[u8]) -> usize {
    let quote = written.first().copied().unwrap_or_default();
    let mut bytes = written.iter().copied().enumerate().skip(1).peekable();
    while let Some((at, byte)) = bytes.next() {
        let doubled = quote == b'\'' && byte == quote && bytes.peek().is_some_and(|&(_, next)| next == quote);
        if doubled || (quote == b'"' && byte == b'\\') {
            bytes.next();
        } else if byte == quote {
            return at + 1;
        }
    }
    written.len()
}

/// Byte offsets of the characters of a text.
struct Places<'a> {
    text: &'a str,
    /// The offset of every 64th character; empty when the text is ASCII and offsets are positions.
    marks: Vec<usize>,
}

impl<'a> Places<'a> {
    const STEP: usize = 64;

    fn new(text: &'a str) -> Self {
        let marks = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().step_by(Self::STEP).map(|(at, _)| at).collect()
        };
        Self { text, marks }
    }

    /// The offset of the character at this position; the end of the text when there is none.
    fn byte(&self, position: usize) -> usize {
        if self.marks.is_empty() {
            return position.min(self.text.len());
        }
        let Some(&mark) = self.marks.get(position / Self::STEP) else { return self.text.len() };
        let mut rest = self.text[mark..].char_indices();
        rest.nth(position % Self::STEP).map_or(self.text.len(), |(at, _)| mark + at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(text: &str) -> Shape {
        scan(&Source::new("f", text)).unwrap().unwrap()
    }

    fn refused(text: &str) -> Vec<String> {
        let problems = scan(&Source::new("f", text)).unwrap_err();
        problems.iter().map(|problem| format!("{:?}", problem.line_column().unwrap())).collect()
    }

    fn map(shape: &Shape) -> &[(Spanned<String>, Shape)] {
        let Kind::Map(entries) = &shape.kind else { panic!("{shape:?}") };
        entries
    }

    #[test]
    fn every_value_has_its_span() {
        let text =
            "é: [1, {b: \"x\"}]   # c\nlist:\n- one two\n- k: |\n    t\n\nend: 'q''s'  # 'c'\nd: \"\\\\\" # \"\n";
        let root = shape(text);
        let spans: Vec<_> =
            map(&root).iter().map(|(key, value)| (&text[key.span.range()], &text[value.span.range()])).collect();
        assert_eq!(spans[0], ("é", "[1, {b: \"x\"}]"));
        assert_eq!(spans[1].0, "list");
        assert!(spans[1].1.ends_with("one two\n- k: |\n    t"), "{spans:?}");
        assert_eq!(spans[2], ("end", "'q''s'"));
        assert_eq!(spans[3], ("d", "\"\\\\\""));
    }

    #[test]
    fn crlf_does_not_move_spans() {
        let text = "a: 1\r\nb:\r\n  c: [x,\r\n    z]\r\nd: 2\r\n";
        let root = shape(text);
        let (key, value) = &map(&root)[1];
        assert_eq!((&text[key.span.range()], &text[value.span.range()]), ("b", "c: [x,\r\n    z]"));
    }

    #[test]
    fn problems_that_do_not_depend_on_each_other_are_found_together() {
        assert_eq!(
            refused("a: yes\nb: !t 1\na: 010\n1: x\n<<: {}\n"),
            ["(1, 4)", "(2, 4)", "(3, 1)", "(3, 4)", "(4, 1)", "(5, 1)"]
        );
    }

    #[test]
    fn words_of_yaml_1_1_are_fine_as_keys_and_in_quotes() {
        shape("n: 5\non: 1\ny: \"yes\"\nq: '010'\n");
        assert_eq!(refused("true: 1\nnull: 1\n4: 1\n~: 1\n1_0: 1\n: 1\n").len(), 6);
    }

    #[test]
    fn nesting_is_refused_past_64_levels_in_any_style() {
        let flow = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        shape(&flow(MAX_DEPTH));
        assert_eq!(refused(&flow(MAX_DEPTH + 1)), ["(1, 65)"]);
        let block = |n: usize| (0..n).map(|i| " ".repeat(i) + "a:\n").collect::<String>();
        shape(&block(MAX_DEPTH));
        assert_eq!(refused(&block(MAX_DEPTH + 1)), ["(65, 65)"]);
        for text in ["{a: ", "[", "- ", "? ", "[{a: ", "{[", "{? "] {
            assert_eq!(refused(&text.repeat(100_000)).len(), 1, "{text}");
        }
    }

    #[test]
    fn tabs_indent_nothing() {
        assert_eq!(refused("a:\n\tb: 1\n"), ["(2, 1)"]);
        assert_eq!(refused("a: 1\n\tb: 1\n"), ["(2, 1)"]);
        assert_eq!(refused("a:\n  - 1\n\t- 2\n"), ["(3, 1)"]);
        assert_eq!(refused("a: {\n\tb: 1}\n"), ["(2, 1)"]);
        shape("a: 1\t# after a value\nb: |\n  x\n  \ty\n\t\n");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,200}") {
            let _ = scan(&Source::new("f", &text));
        }

        #[test]
        fn no_text_of_yaml_signs_makes_it_panic(text in "[-\\[\\]{}:,?&*!|>'\"%@` \n\t\rab01#~<$.é\\\\]{0,80}") {
            if let Ok(Some(root)) = scan(&Source::new("f", &text)) {
                prop_assert!(text.get(root.span.range()).is_some());
            }
        }
    }
}
