//! Where a piece of text stands: a named text, and byte ranges in it.

use std::ops::Range;
use std::sync::Arc;

use crate::config::secrets::masked;

/// A named text: a pipeline file, or a `--set` argument. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// A text with the name that errors give it.
    pub fn new(name: &str, text: &str) -> Self {
        // The name of an argument is its text.
        Self { name: masked(name).into(), text: text.into() }
    }

    /// The name that errors give it: a path, or the words of a `--set` argument.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text. A byte order mark is not part of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span; empty when the span lies outside.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Line and column of a byte offset, both from 1; the column counts characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// A range of bytes in a [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// As a range.
    pub const fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// A value, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value that was written there.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let source = Source::new("f", "ab\nçd\n");
        assert_eq!(source.line_column(0), (1, 1));
        assert_eq!(source.line_column(3), (2, 1));
        assert_eq!(source.line_column(5), (2, 2));
        assert_eq!(source.line_column(4), (2, 1), "inside a character counts as its start");
        assert_eq!(source.line_column(1000), (3, 1), "past the end counts as the end");
    }

    #[test]
    fn a_slice_outside_the_text_is_empty() {
        let source = Source::new("f", "é");
        assert_eq!(source.slice(Span::new(0, 2)), "é");
        assert_eq!(source.slice(Span::new(1, 2)), "");
        assert_eq!(source.slice(Span::new(2, 9)), "");
    }
}
