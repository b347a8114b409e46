//! Where the nodes and edges of a graph go: layers by longest path, order by barycentres, places by least squares.
//!
//! The method is that of Sugiyama, Tagawa and Toda (1981), "Methods for visual understanding of hierarchical system
//! structures". Places are abstract: `across` a layer and `along` the flow; the drawing says which of them is x.

mod layers;
mod order;
mod place;

pub(crate) use layers::Layered;
pub(crate) use layers::layered;
pub(crate) use order::reduce_crossings;
pub(crate) use place::place;
