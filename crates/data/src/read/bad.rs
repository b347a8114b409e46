//! Lines that cannot be read: how many there are, and what is wrong with the first of them.

use std::fmt::Write;

use crate::read::field::excerpt;

/// How many bad lines are shown.
const SHOWN: usize = 5;

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Its number, from 1.
    pub(crate) line: u64,
    /// What is wrong with it.
    pub(crate) what: String,
    /// How it starts.
    pub(crate) excerpt: String,
}

/// The bad lines of a file, or of a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BadLines {
    /// How many lines there are.
    pub(crate) count: u64,
    /// How many records they are: quotes can make one of many lines.
    records: u64,
    /// The first few.
    pub(crate) first: Vec<BadLine>,
}

impl BadLines {
    /// Adds a line below all the others.
    pub(crate) fn push(&mut self, line: u64, text: &[u8], what: impl FnOnce() -> String) {
        self.count += 1;
        self.records += 1;
        if self.first.len() < SHOWN {
            self.first.push(BadLine { line, what: what(), excerpt: excerpt(text) });
        }
    }

    /// Adds the bad lines of what follows, whose first line has the number `offset` + its own.
    pub(crate) fn append(&mut self, other: Self, offset: u64) {
        self.count += other.count;
        self.records += other.records;
        let left = SHOWN - self.first.len();
        self.first.extend(other.first.into_iter().take(left).map(|bad| BadLine { line: bad.line + offset, ..bad }));
    }

    /// `N bad lines in FILE`, and what is wrong with the first of them.
    pub(crate) fn describe(&self, name: &str, unit: &str) -> String {
        let plural = if self.count == 1 { "" } else { "s" };
        let mut text = format!("{} bad {unit}{plural} in `{name}`", self.count);
        if self.records as usize > self.first.len() {
            let _ = write!(text, "; the first {}", self.first.len());
        }
        text.push(':');
        for bad in &self.first {
            let _ = write!(text, "\n  {name}:{}: {}", bad.line, bad.what);
            if !bad.excerpt.is_empty() {
                let _ = write!(text, ", in `{}`", bad.excerpt);
            }
        }
        text
    }
}

/// The lines of a file, or of a part of it: how many there are, and which are bad.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LineLog {
    lines: u64,
    bad: BadLines,
    /// Blank lines since the last line that is not: bad, unless they are the end of the file.
    blank: BadLines,
    /// Whether there is any line that is not blank.
    any: bool,
}

impl LineLog {
    /// A log that starts below so many lines.
    pub(crate) fn below(lines: u64) -> Self {
        Self { lines, ..Self::default() }
    }

    /// Lines so far.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// The bad lines so far.
    pub(crate) fn bad(&self) -> &BadLines {
        &self.bad
    }

    /// The next line can be read.
    #[inline]
    pub(crate) fn good(&mut self) {
        self.not_blank();
        self.lines += 1;
    }

    /// So many lines that follow can be read.
    pub(crate) fn good_lines(&mut self, lines: usize) {
        if lines > 0 {
            self.not_blank();
            self.lines += lines as u64;
        }
    }

    /// The next record cannot be read. Quotes may make it longer than a line: it takes all its lines with it, and each
    /// counts. `extend` is called for those below the first in any case.
    pub(crate) fn push_bad(&mut self, text: &[u8], what: impl FnOnce() -> String) {
        self.not_blank();
        self.lines += 1;
        let more = memchr::memchr_iter(b'\n', text).count() as u64;
        let plural = if more == 1 { "" } else { "s" };
        let taken = if more == 0 { String::new() } else { format!(" (it takes in the {more} line{plural} below)") };
        self.bad.push(self.lines, text, || what() + &taken);
        self.bad.count += more;
    }

    /// The next line is blank.
    pub(crate) fn push_blank(&mut self) {
        self.lines += 1;
        self.blank.push(self.lines, b"", || "the line is blank".to_owned());
    }

    /// The last line goes on for so many more.
    pub(crate) fn extend(&mut self, lines: u64) {
        self.lines += lines;
    }

    #[inline]
    fn not_blank(&mut self) {
        self.any = true;
        if self.blank.count > 0 {
            self.bad.append(std::mem::take(&mut self.blank), 0);
        }
    }

    /// Adds the lines that follow.
    pub(crate) fn append(&mut self, other: Self) {
        if other.any {
            self.not_blank();
        }
        self.bad.append(other.bad, self.lines);
        self.blank.append(other.blank, self.lines);
        self.lines += other.lines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_five_are_shown_and_all_are_counted() {
        let mut all = BadLines::default();
        for block in 0..4 {
            let mut bad = BadLines::default();
            bad.push(1, b"x\t1", || "user id `x` is not a plain 64-bit integer".to_owned());
            bad.push(7, b"", || "the line is blank".to_owned());
            all.append(bad, block * 10 + 1);
        }
        insta::assert_snapshot!(all.describe("a.tsv", "line"), @r"
        8 bad lines in `a.tsv`; the first 5:
          a.tsv:2: user id `x` is not a plain 64-bit integer, in `x\t1`
          a.tsv:8: the line is blank
          a.tsv:12: user id `x` is not a plain 64-bit integer, in `x\t1`
          a.tsv:18: the line is blank
          a.tsv:22: user id `x` is not a plain 64-bit integer, in `x\t1`
        ");
    }
}
