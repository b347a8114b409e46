//! The text that an error shows: what was written, made safe and short enough to print.
//!
//! A pipeline file can be one line of a megabyte, and it can hold bytes that steer a terminal. The view cuts long
//! lines to a window around the labels and shows control characters as pictures; line and column stay those of
//! the file.

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::config::secrets::masked;
use crate::config::{Source, Span};

/// Longer lines are cut, in bytes.
const LONG_LINE: usize = 400;
/// What is kept of a long line before the first label, in bytes.
const BEFORE: usize = 60;
/// What is kept of a long line from the first label on, in bytes.
const AFTER: usize = 120;

/// Lines that are kept before the first label and after the last.
const AROUND: usize = 2;

/// A printable excerpt: the lines around the labels.
#[derive(Debug)]
pub(super) struct View {
    source: Source,
    text: String,
    /// The lines of the source that come before the excerpt.
    before: usize,
    /// The labels, first the spans in the source and then those in the view.
    spans: Vec<(Span, Span)>,
}

impl View {
    /// Makes the view for labels at these spans. A label that covers several lines keeps its first.
    pub(super) fn new(source: &Source, spans: impl Iterator<Item = Span>) -> Self {
        let text = source.text();
        let spans: Vec<Span> = spans.map(|span| first_line(text, span)).collect();
        let first = spans.iter().map(|span| span.start).min().unwrap_or(0);
        let last = spans.iter().map(|span| span.end).max().unwrap_or(0);
        let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let start = (0..AROUND).fold(line_start(first), |start, _| line_start(start.saturating_sub(1)));
        let end = text[last..].match_indices('\n').nth(AROUND).map_or(text.len(), |(at, _)| last + at + 1);
        let before = text[..start].matches('\n').count();
        let mut builder = Builder { out: String::new(), spans: spans.iter().map(|&span| (span, span)).collect() };
        let mut at = start;
        for line in masked(&text[start..end]).split_inclusive('\n') {
            builder.line(at, line);
            at += line.len();
        }
        builder.skip(end, end);
        Self { source: source.clone(), text: builder.out, before, spans: builder.spans }
    }

    /// The spans of the labels in the view, in the order they were given.
    pub(super) fn spans(&self) -> impl Iterator<Item = SourceSpan> + '_ {
        self.spans.iter().map(|(_, shown)| (shown.start, shown.end.saturating_sub(shown.start)).into())
    }
}

struct Builder {
    out: String,
    spans: Vec<(Span, Span)>,
}

impl Builder {
    /// Maps every end of a label in `from..=to` of the source to where the view now ends.
    fn skip(&mut self, from: usize, to: usize) {
        let here = self.out.len();
        for (span, shown) in &mut self.spans {
            if (from..=to).contains(&span.start) {
                shown.start = here;
            }
            if (from..=to).contains(&span.end) {
                shown.end = here;
            }
        }
    }

    fn line(&mut self, start: usize, line: &str) {
        let end = start + line.len();
        let (mut keep_from, mut keep_to) = (0, line.len());
        if line.len() > LONG_LINE {
            let label = self.spans.iter().map(|(span, _)| span.start).filter(|at| (start..end).contains(at)).min();
            let label = label.unwrap_or(start) - start;
            keep_from = line.floor_char_boundary(label.saturating_sub(BEFORE));
            keep_to = line.ceil_char_boundary(label.saturating_add(AFTER));
        }
        if keep_from > 0 {
            self.out.push('…');
            self.skip(start, start + keep_from);
        }
        for (at, c) in line[keep_from..keep_to].char_indices() {
            let at = start + keep_from + at;
            // Only ends of labels need a look: most characters are passed by.
            if self.spans.iter().any(|(span, _)| span.start == at || span.end == at) {
                self.skip(at, at);
            }
            self.out.push(if unprintable(c) { picture(c) } else { c });
        }
        if keep_to < line.len() {
            self.skip(start + keep_to, end - 1);
            self.out.push('…');
            self.out.push_str(if line.ends_with('\n') { "\n" } else { "" });
        }
    }
}

impl SourceCode for View {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.read_span(span, lines_before, lines_after)?;
        // Without context the column is the one that the heading prints: it is that of the file, in characters.
        let column = if lines_before == 0 && lines_after == 0 {
            let written = self.spans.iter().find(|(_, shown)| shown.start == span.offset());
            written.map_or(inner.column(), |(span, _)| self.source.line_column(span.start).1 - 1)
        } else {
            inner.column()
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.source.name().to_owned(),
            inner.data(),
            *inner.span(),
            self.before + inner.line(),
            column,
            inner.line_count(),
        )))
    }
}

/// The part of a span on its first line, with both ends inside the text.
fn first_line(text: &str, span: Span) -> Span {
    let start = text.floor_char_boundary(span.start);
    let end = text.floor_char_boundary(span.end).max(start);
    let line = text[start..end].find(['\n', '\r']).map_or(end, |newline| start + newline);
    Span::new(start, line)
}

/// Whether a terminal may do something else with the character than show it.
pub(super) fn unprintable(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What is shown in its place.
fn picture(c: char) -> char {
    match u32::from(c) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_line_is_shown_as_it_is() {
        let source = Source::new("f", "a: b\n");
        let view = View::new(&source, [Span::new(3, 4)].into_iter());
        assert_eq!(view.text, source.text());
        assert_eq!(view.spans().next().unwrap().offset(), 3);
    }

    #[test]
    fn a_long_line_is_cut_around_the_label_and_keeps_its_column() {
        let text = format!("{}HERE{}\nend\n", "x".repeat(1000), "y".repeat(1000));
        let source = Source::new("f", &text);
        let view = View::new(&source, [Span::new(1000, 1004)].into_iter());
        let span = view.spans().next().unwrap();
        assert!(view.text.len() < 250, "{}", view.text.len());
        assert_eq!(&view.text[span.offset()..span.offset() + span.len()], "HERE");
        assert_eq!(view.read_span(&span, 0, 0).unwrap().column(), 1000);
        assert_eq!(view.text.lines().last(), Some("end"));
    }

    #[test]
    fn control_characters_become_pictures() {
        let source = Source::new("f", "a\u{1b}[31m\u{202e}b");
        let view = View::new(&source, [Span::new(1, 2)].into_iter());
        assert_eq!(view.text, "a␛[31m\u{fffd}b");
        assert_eq!(view.spans().next().unwrap(), (1, 3).into());
    }

    proptest! {
        #[test]
        fn every_label_stays_inside_the_view_on_its_line(
            text in "[a\u{1b}é\n\r]{0,1200}", ends in prop::collection::vec((0usize..3000, 0usize..3000), 1..4)
        ) {
            let source = Source::new("f", &text);
            let view = View::new(&source, ends.iter().map(|&(a, b)| Span::new(a.min(b), a.max(b))));
            for ((span, _), shown) in view.spans.iter().zip(view.spans()) {
                let shown_text = &view.text[..shown.offset()];
                prop_assert!(view.text.is_char_boundary(shown.offset() + shown.len()));
                prop_assert_eq!(view.before + shown_text.matches('\n').count() + 1, source.line_column(span.start).0);
            }
        }
    }
}
