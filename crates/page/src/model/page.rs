//! The page as a whole.

use serde::Deserialize;
use serde::Serialize;

use crate::model::figure::Figure;
use crate::model::graph::Graph;
use crate::model::reproduce::Reproduce;
use crate::model::run::Run;
use crate::model::table::Table;

/// Everything that stands on the page. Empty parts are left out of it, section and all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Page {
    /// The heading and the title of the document.
    pub title: String,
    /// What was done and why. Plain text; an empty line begins a new paragraph.
    pub description: String,
    /// The program that made the results and its version, for example `ncf-pipe 0.1.0`.
    pub program: String,
    /// Further summary numbers, shown beside those that the page counts itself (stages, runs, seconds).
    pub facts: Vec<Fact>,
    /// Warnings and notes. Warnings are the first thing on the page, notes come last.
    pub notes: Vec<Note>,
    /// The stages and what flows between them.
    pub graph: Graph,
    /// Tables of results, numbered in this order.
    pub tables: Vec<Table>,
    /// Figures, numbered in this order.
    pub figures: Vec<Figure>,
    /// The runs of all stages. Made for up to 1,000 of them.
    pub runs: Vec<Run>,
    /// How to get the same results again.
    pub reproduce: Reproduce,
}

/// One number of the summary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// What it is, for example `best NDCG@10`.
    pub name: String,
    /// Its value as it should read.
    pub value: String,
}

/// How much a [`Note`] matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The results can mislead a reader who does not know it.
    Warning,
    /// Worth knowing.
    #[default]
    Note,
}

/// Something that the run said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// How much it matters.
    pub level: Level,
    /// What it says, in plain text.
    pub text: String,
    /// The name of the stage that said it.
    #[serde(default)]
    pub stage: Option<String>,
}
