//! Errors with a place: what is wrong, the line where it was written, and what to do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use miette::{Diagnostic, LabeledSpan, Severity, SourceCode};

use crate::config::secrets::masked;
use crate::config::view::View;
use crate::config::{Source, Span};

/// One thing that is wrong, or suspicious, in a pipeline file or a `--set` argument.
pub struct Problem(Box<Inner>);

#[derive(Clone)]
struct Inner {
    message: String,
    source: Source,
    span: Option<Span>,
    label: Option<String>,
    also: Vec<(Span, String)>,
    help: Option<String>,
    severity: Severity,
    of_system: bool,
    view: Lazy,
}

/// Made when the problem is printed; a clone makes its own.
#[derive(Default)]
struct Lazy(OnceLock<View>);

impl Clone for Lazy {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Problem {
    /// An error about what stands at `span`.
    pub fn new(source: &Source, span: Span, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            message: masked(&message.into()),
            source: source.clone(),
            span: Some(span),
            label: None,
            also: Vec::new(),
            help: None,
            severity: Severity::Error,
            of_system: false,
            view: Lazy::default(),
        }))
    }

    /// An error about a whole file, such as one that cannot be read.
    pub fn unplaced(name: &str, message: impl Into<String>) -> Self {
        let mut problem = Self::new(&Source::new(name, ""), Span::default(), message);
        problem.0.span = None;
        problem
    }

    /// Says beside the marked text what it is.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.0.label = Some(masked(&text.into()));
        self
    }

    /// Marks a second place in the same source.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.0.also.push((span, masked(&text.into())));
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.0.help = Some(masked(&text.into()));
        self
    }

    /// Makes it a warning: something to know, but nothing that stops a run.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.0.severity = Severity::Warning;
        self
    }

    /// Says that the system is at fault rather than the file: a disk that fails, too many open files.
    #[must_use]
    pub(super) fn of_system(mut self) -> Self {
        self.0.of_system = true;
        self
    }

    /// Shows it in another text with the same places.
    pub(super) fn shown_in(mut self, source: &Source) -> Self {
        self.0.source = source.clone();
        self
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do, where that is known.
    pub fn remedy(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// The name of the file or argument.
    pub fn source_name(&self) -> &str {
        self.0.source.name()
    }

    /// The marked text.
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// Line and column of the marked text, both from 1; the column counts characters.
    pub fn line_column(&self) -> Option<(usize, usize)> {
        self.0.span.map(|span| self.0.source.line_column(span.start))
    }

    fn view(&self) -> Option<&View> {
        let primary = self.0.span?;
        let spans = std::iter::once(primary).chain(self.0.also.iter().map(|(span, _)| *span));
        Some(self.0.view.0.get_or_init(|| View::new(&self.0.source, spans)))
    }
}

impl Clone for Problem {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column().unwrap_or_default();
        write!(f, "{}:{line}:{column}: {}", self.source_name(), self.message())?;
        self.remedy().map_or(Ok(()), |help| write!(f, " (help: {help})"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.span {
            Some(_) => f.write_str(&self.0.message),
            None => write!(f, "{}: {}", self.source_name(), self.0.message),
        }
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        Some(self.0.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.remedy().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.view().map(|view| view as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let texts = std::iter::once(self.0.label.clone()).chain(self.0.also.iter().map(|(_, text)| Some(text.clone())));
        let labels = self.view()?.spans().zip(texts).enumerate().map(|(i, (span, text))| {
            if i == 0 { LabeledSpan::new_primary_with_span(text, span) } else { LabeledSpan::new_with_span(text, span) }
        });
        Some(Box::new(labels))
    }
}

/// Looking for problems ends when there are more: nobody reads them, and a damaged file can have one on every line.
pub(super) const ENOUGH: usize = 20;

/// Everything that is wrong with a pipeline file, in the order of the file. Never empty.
#[derive(Debug, Clone)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorts the problems of each source by place, and keeps the first twenty; `None` when there are none.
    pub fn new(mut problems: Vec<Problem>) -> Option<Self> {
        let mut sources: BTreeMap<String, usize> = BTreeMap::new();
        for problem in &problems {
            let next = sources.len();
            sources.entry(problem.source_name().to_owned()).or_insert(next);
        }
        problems.sort_by_key(|problem| (sources.get(problem.source_name()).copied(), problem.span()));
        let more = problems.len() > ENOUGH;
        problems.truncate(ENOUGH);
        if let Some(first) = problems.first().filter(|_| more) {
            let name = first.source_name().to_owned();
            problems.push(Problem::unplaced(&name, "there are more problems than these"));
        }
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// `Ok` when there are none.
    ///
    /// # Errors
    /// The problems, when there are any.
    pub fn check(problems: Vec<Problem>) -> Result<(), Self> {
        Self::new(problems).map_or(Ok(()), Err)
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Whether a file could not be read for a reason that lies outside of it (exit code 3 rather than 2).
    pub fn are_of_system(&self) -> bool {
        self.0.iter().any(|problem| problem.0.of_system)
    }

    fn single(&self) -> Option<&Problem> {
        self.0.first().filter(|_| self.0.len() == 1)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(problem) => problem.fmt(f),
            None => write!(f, "{} problems", self.0.len()),
        }
    }
}

impl std::error::Error for Problems {}

impl Diagnostic for Problems {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.single()?.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.single()?.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.single()?.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.single().is_some() {
            return None;
        }
        Some(Box::new(self.0.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: usize) -> Problem {
        Problem::new(&Source::new("f", "abcdefghij\n"), Span::new(start, start + 1), format!("wrong at {start}"))
    }

    #[test]
    fn problems_are_listed_in_the_order_of_the_file() {
        let problems = Problems::new(vec![at(5), at(1), at(3)]).unwrap();
        let starts: Vec<_> = problems.iter().map(|problem| problem.span().unwrap().start).collect();
        assert_eq!(starts, [1, 3, 5]);
    }

    #[test]
    fn the_first_twenty_are_listed() {
        let problems = Problems::new((0..100).map(|_| at(0)).collect()).unwrap();
        assert_eq!(problems.iter().count(), ENOUGH + 1);
        assert_eq!(problems.iter().last().unwrap().message(), "there are more problems than these");
    }

    #[test]
    fn no_problem_is_no_error() {
        assert!(Problems::check(Vec::new()).is_ok());
        assert!(Problems::check(vec![at(0)]).is_err());
    }

    #[test]
    fn a_single_problem_speaks_for_itself() {
        let problems = Problems::from(at(2).help("do this"));
        assert_eq!(problems.to_string(), "wrong at 2");
        assert!(problems.related().is_none());
        assert_eq!(problems.help().unwrap().to_string(), "do this");
    }
}
