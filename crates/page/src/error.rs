//! What can be wrong with a page.

use thiserror::Error;

/// Why a [`Page`](crate::Page) could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PageError {
    /// Two nodes of the graph have the same name.
    #[error("the graph has two stages `{0}`: give each stage its own name")]
    DuplicateNode(String),
    /// An edge names a node that is not there.
    #[error("the graph has an edge from `{from}` to `{to}`, but no stage `{missing}`: add it to `nodes`")]
    UnknownNode {
        /// Where the edge begins.
        from: String,
        /// Where it ends.
        to: String,
        /// Which of them is missing.
        missing: String,
    },
    /// The graph has a cycle.
    #[error("the graph has a cycle through stage `{0}`: remove one of its edges")]
    Cycle(String),
    /// A row has too few or too many cells.
    #[error("row {row} of table `{table}` has {cells} cells for {columns} columns: give it a cell for each column")]
    RowLength {
        /// The title of the table.
        table: String,
        /// The row, counted from 1.
        row: usize,
        /// Its number of cells.
        cells: usize,
        /// The number of columns.
        columns: usize,
    },
    /// The SVG of a figure is malformed, or has something in it that must not be on the page.
    #[error("figure `{figure}`: {problem}")]
    Figure {
        /// The title of the figure.
        figure: String,
        /// What is wrong, where, and what to do.
        problem: String,
    },
}
