//! One self-contained HTML page for the results of a pipeline: its graph, tables, figures, runs and how to reproduce it.
//!
//! The caller fills a [`Page`] with plain values, and [`render`] makes the text of one HTML file from it. The page needs
//! no network and no other file, its bytes are a function of the [`Page`] alone, and it is complete without JavaScript:
//! script only adds sorting, filtering, copying, tooltips by touch and keyboard, and the comparison of two runs.
//!
//! What is put into the page is not trusted: text is escaped by the templates, figures are rebuilt from a list of
//! allowed names ([`PageError::Figure`]), and the page's Content-Security-Policy runs no script but the page's own.
//!
//! | module | does |
//! |---|---|
//! | `model` | what the caller fills in |
//! | `layout` | places of nodes and edges of the graph; knows no SVG |
//! | `html` | one file a section of the page |
//! | `svg` | refuses or rebuilds a figure |
//! | `text`, `number` | what text and numbers look like on the page |
//! | `policy` | the Content-Security-Policy |

mod error;
mod html;
mod layout;
mod model;
mod number;
mod policy;
mod svg;
mod text;

pub use crate::error::PageError;
pub use crate::html::render;
pub use crate::model::figure::Figure;
pub use crate::model::graph::Cells;
pub use crate::model::graph::Edge;
pub use crate::model::graph::Graph;
pub use crate::model::graph::Node;
pub use crate::model::graph::State;
pub use crate::model::page::Fact;
pub use crate::model::page::Level;
pub use crate::model::page::Note;
pub use crate::model::page::Page;
pub use crate::model::reproduce::Command;
pub use crate::model::reproduce::DataSet;
pub use crate::model::reproduce::Reproduce;
pub use crate::model::run::Metric;
pub use crate::model::run::Run;
pub use crate::model::table::Better;
pub use crate::model::table::Cell;
pub use crate::model::table::Column;
pub use crate::model::table::Kind;
pub use crate::model::table::Table;
