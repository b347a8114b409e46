//! The engine: a pipeline file and a registry of stage kinds become a graph, the graph and the store a plan, the
//! plan a run. This room never sees a concrete stage, a frame or a tensor.

mod build;
mod decide;
mod draw;
mod forecast;
mod graph;
mod join;
mod make;
mod misfit;
mod observe;
mod params;
mod plan;
mod report;
mod run;
mod world;

pub use build::build;
pub use draw::{DrawFormat, draw};
pub use forecast::Forecast;
pub use graph::{Cell, Graph, Node, NodeId, Wire};
pub use observe::{Observer, Quiet, Started};
pub use plan::{Plan, PlannedStage, Selection, State, plan};
pub use report::{Failure, RunReport, StageReport, Status};
pub use run::{Options, run};
pub use world::World;
