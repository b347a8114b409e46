//! The pipeline: stages and what flows between them.

use serde::Deserialize;
use serde::Serialize;

/// The stages of a pipeline and their connections: a graph without cycles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Graph {
    /// The stages. Names are unique.
    pub nodes: Vec<Node>,
    /// Which stage reads from which. Repeated edges count once.
    pub edges: Vec<Edge>,
}

/// A stage. A matrix is one node, with the number of its cells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name in the pipeline.
    pub name: String,
    /// Its stage kind, for example `train`.
    pub kind: String,
    /// What became of it. For a matrix: of the whole of it.
    pub state: State,
    /// How long it ran, summed over its cells, in seconds.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// How much it wrote, summed over its cells, in bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// The cells of a matrix, counted by state; nothing for a plain stage.
    #[serde(default)]
    pub cells: Option<Cells>,
}

/// From the stage that makes something to the stage that reads it, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The stage that makes it.
    pub from: String,
    /// The stage that reads it.
    pub to: String,
}

/// What became of a stage or of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its stored output is up to date; nothing had to run.
    Fresh,
    /// It ran, and succeeded.
    #[default]
    Ran,
    /// It ran, and failed.
    Failed,
    /// It did not run because something before it failed.
    Skipped,
    /// Its stored output is out of date.
    Stale,
}

/// How many cells of a matrix are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cells {
    /// Up to date.
    pub fresh: u64,
    /// Ran.
    pub ran: u64,
    /// Failed.
    pub failed: u64,
    /// Skipped.
    pub skipped: u64,
    /// Out of date.
    pub stale: u64,
}

impl State {
    /// All states, in the order in which bars and legends show them.
    pub(crate) const ALL: [Self; 5] = [Self::Ran, Self::Fresh, Self::Failed, Self::Skipped, Self::Stale];

    /// The word for it, which is also the end of its CSS class.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Ran => "ran",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Stale => "stale",
        }
    }

    /// A sign for it, so that colour is never the only difference.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Fresh => "○",
            Self::Ran => "●",
            Self::Failed => "✕",
            Self::Skipped => "–",
            Self::Stale => "◐",
        }
    }
}

impl Cells {
    /// The number of cells in `state`.
    pub(crate) fn of(self, state: State) -> u64 {
        match state {
            State::Fresh => self.fresh,
            State::Ran => self.ran,
            State::Failed => self.failed,
            State::Skipped => self.skipped,
            State::Stale => self.stale,
        }
    }

    /// The number of all cells.
    pub(crate) fn total(self) -> u64 {
        State::ALL.iter().fold(0, |sum, state| sum.saturating_add(self.of(*state)))
    }

    /// The counts in words, for example `118 ran, 2 failed`.
    pub(crate) fn words(self) -> String {
        let counts = State::ALL.iter().map(|state| (self.of(*state), state.word()));
        let parts: Vec<String> =
            counts.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", crate::number::count(n))).collect();
        parts.join(", ")
    }
}
