//! The plan: what a run would do, as a pure function of the graph and the oracle's answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::cache::Manifest;
use crate::config::suggest;

use crate::pipeline::decide::{Decision, decide, key};
use crate::pipeline::forecast::{Forecast, forecast};
use crate::pipeline::graph::{Graph, Node, NodeId};
use crate::pipeline::world::Oracle;

/// Which stages to look at, and which to run whatever is stored.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these and what they need; all when empty.
    pub only: Vec<String>,
    /// Run these even if they are fresh.
    pub force: Vec<String>,
}

/// A selection with its names looked up.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    pub(super) wanted: BTreeSet<NodeId>,
    pub(super) forced: BTreeSet<NodeId>,
}

impl Selection {
    /// Looks the names up: `train` means all its cells, `train[factors=8]` one of them.
    ///
    /// # Errors
    /// Names the stage that does not exist.
    pub(super) fn resolve(&self, graph: &Graph) -> Result<Selected, String> {
        let forced = self.force.iter().map(|name| find(graph, name)).collect::<Result<Vec<_>, _>>()?;
        let only = self.only.iter().map(|name| find(graph, name)).collect::<Result<Vec<_>, _>>()?;
        let mut wanted: BTreeSet<NodeId> = only.into_iter().flatten().collect();
        if self.only.is_empty() {
            wanted.extend(graph.order());
        }
        // Producers come first in the order, so one backward pass closes the set.
        for id in graph.order().iter().rev() {
            if wanted.contains(id) {
                wanted.extend(graph.producers(*id));
            }
        }
        let forced: BTreeSet<NodeId> = forced.into_iter().flatten().collect();
        if let Some(id) = forced.difference(&wanted).next() {
            let name = graph.node(*id).name();
            return Err(format!("`--force {name}` is not among what `--only` selects: add `--only {name}`"));
        }
        Ok(Selected { wanted, forced })
    }
}

/// Cells that are listed in a message.
const CELLS: usize = 12;

fn find(graph: &Graph, name: &str) -> Result<Vec<NodeId>, String> {
    let found: Vec<NodeId> = graph.order().iter().copied().filter(|id| graph.node(*id).is_called(name)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let stages = graph.stages();
    if let Some((stage, _)) = name.split_once('[').filter(|(stage, _)| stages.contains(stage)) {
        let cells: Vec<String> =
            graph.order().iter().map(|id| graph.node(*id)).filter(|node| node.stage == stage).map(Node::name).collect();
        let more = cells.len().saturating_sub(CELLS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let cells = cells[..cells.len().min(CELLS)].join("`, `");
        return Err(format!("there is no cell `{name}`; those of `{stage}` are `{cells}`{more}"));
    }
    Err(match suggest(name, stages.iter().copied()) {
        Some(near) => format!("there is no stage `{name}`: did you mean `{near}`?"),
        None => format!("there is no stage `{name}`; the stages are {}", stages.join(", ")),
    })
}

/// What a run would do with a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its output is stored, whole.
    Fresh,
    /// It would run.
    Stale,
    /// That depends on the content of what a stale stage above it will write.
    Unknown,
    /// It cannot run as things are.
    Error,
}

/// A stage in a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedStage {
    /// Its name, with its cell.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// What a run would do with it.
    pub state: State,
    /// Why, field by field.
    pub why: Vec<String>,
    /// Its key, if all its inputs are known.
    pub key: Option<String>,
    /// The directory of its outputs, below that of all outputs.
    pub view: PathBuf,
    /// What it is likely to need, if it has to run and its kind has run before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
}

/// What a run would do.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The pipeline's name.
    pub pipeline: String,
    /// Every stage that was asked for, producers first.
    pub stages: Vec<PlannedStage>,
}

impl Plan {
    /// What all stages that have to run are likely to need together, and how many of them have no forecast.
    pub fn forecast(&self) -> (Forecast, usize) {
        let open = || self.stages.iter().filter(|stage| matches!(stage.state, State::Stale | State::Unknown));
        let known = || open().filter_map(|stage| stage.forecast);
        let all = Forecast {
            seconds: known().map(|forecast| forecast.seconds).sum(),
            bytes: known().map(|forecast| forecast.bytes).fold(0, u64::saturating_add),
            runs: known().map(|forecast| forecast.runs).min().unwrap_or(0),
        };
        (all, open().count() - known().count())
    }

    /// How many stages are in this state.
    pub fn count(&self, state: State) -> usize {
        self.stages.iter().filter(|stage| stage.state == state).count()
    }
}

/// Plans a run.
///
/// # Errors
/// When the selection names a stage that does not exist.
pub fn plan(graph: &Graph, oracle: &dyn Oracle, selection: &Selection) -> Result<Plan, String> {
    let selected = selection.resolve(graph)?;
    let mut fresh: BTreeMap<NodeId, Manifest> = BTreeMap::new();
    let mut stages = Vec::new();
    let mut inputs: BTreeMap<NodeId, serde_json::Value> = BTreeMap::new();
    for &id in graph.order().iter().filter(|id| selected.wanted.contains(id)) {
        let node = graph.node(id);
        let waits: BTreeSet<String> =
            graph.producers(id).filter(|from| !fresh.contains_key(from)).map(|from| graph.node(from).name()).collect();
        let mut stage = PlannedStage {
            name: node.name(),
            kind: node.kind.name.to_owned(),
            state: State::Unknown,
            why: waits.iter().map(|name| format!("waits for `{name}`")).collect(),
            key: None,
            view: node.view_path(&graph.pipeline),
            forecast: None,
        };
        if waits.is_empty() {
            let forced = selected.forced.contains(&id);
            let decided = key(graph, id, oracle, &|| false, |from| fresh.get(&from)).and_then(|keyed| {
                stage.key = Some(keyed.key.to_string());
                Ok((decide(graph, id, &keyed, oracle, &|| false, forced)?, keyed))
            });
            match decided {
                Err(failure) => {
                    stage.state = State::Error;
                    stage.why = std::iter::once(failure.message).chain(failure.help).collect();
                }
                Ok((Decision::Fresh(manifest), _)) => {
                    stage.state = State::Fresh;
                    fresh.insert(id, *manifest);
                }
                Ok((Decision::Stale(why), keyed)) => {
                    (stage.state, stage.why) = (State::Stale, why);
                    inputs.insert(id, keyed.identity.to_json()["inputs"].take());
                }
            }
        }
        stages.push((id, stage));
    }
    let is_open = |stage: &PlannedStage| matches!(stage.state, State::Stale | State::Unknown);
    if stages.iter().any(|(_, stage)| is_open(stage)) {
        let history = oracle.history();
        for (id, stage) in stages.iter_mut().filter(|(_, stage)| is_open(stage)) {
            stage.forecast = forecast(graph.node(*id), inputs.get(id), &history);
        }
    }
    let stages = stages.into_iter().map(|(_, stage)| stage).collect();
    Ok(Plan { pipeline: graph.pipeline.clone(), stages })
}
