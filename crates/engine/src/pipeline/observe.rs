//! How the engine tells what it is doing. The cli draws it; the engine itself is silent.

use crate::pipeline::report::StageReport;
use crate::stage::{Progress, Silent};
use std::path::Path;

/// A stage that is about to run.
#[derive(Debug, Clone, Copy)]
pub struct Started<'a> {
    /// Its name, with its cell.
    pub name: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Why it runs.
    pub why: &'a [String],
    /// The directory of its outputs, below that of all outputs: a path that is its own.
    pub view: &'a Path,
}

/// Receives the events of a run, from any thread.
pub trait Observer: Sync {
    /// A stage starts to run; it reports its progress to what is returned.
    fn started(&self, stage: &Started<'_>) -> Box<dyn Progress + '_>;
    /// A stage is done, one way or another.
    fn finished(&self, report: &StageReport, done: usize, total: usize);
    /// A stage waits for another process that is making the same output.
    fn waiting(&self, name: &str);
    /// Something the user should know.
    fn warning(&self, text: &str);
}

/// An observer that nobody looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Observer for Quiet {
    fn started(&self, _: &Started<'_>) -> Box<dyn Progress + '_> {
        Box::new(Silent)
    }
    fn finished(&self, _: &StageReport, _: usize, _: usize) {}
    fn waiting(&self, _: &str) {}
    fn warning(&self, _: &str) {}
}
