//! The pipeline: its graph as a drawing, and the same as a table for those who cannot see it or want to sort it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use maud::html;

use crate::error::PageError;
use crate::html::Section;
use crate::html::dag;
use crate::html::grid::Grid;
use crate::html::grid::Head;
use crate::html::grid::Item;
use crate::html::runs;
use crate::model::graph::Cells;
use crate::model::graph::Graph;
use crate::model::graph::Node;
use crate::model::graph::State;
use crate::model::page::Page;
use crate::number;

/// The graph and the table of its stages, or nothing if there are none.
///
/// # Errors
/// If the graph has a cycle, an edge to nowhere or a name twice.
pub(super) fn section(page: &Page) -> Result<Option<Section>, PageError> {
    let graph = &page.graph;
    let edges = edges(graph)?;
    if graph.nodes.is_empty() {
        return Ok(None);
    }
    let links = runs::links(&page.runs);
    let link = |node: &Node| links.get(node.name.as_str()).cloned();
    let targets: Vec<String> = graph.nodes.iter().map(|node| link(node).unwrap_or("#stages".to_owned())).collect();
    let drawing = dag::draw(graph, &edges, &targets)?;
    let used: Vec<State> = State::ALL
        .into_iter()
        .filter(|state| {
            graph.nodes.iter().any(|node| node.state == *state || node.cells.is_some_and(|cells| cells.of(*state) > 0))
        })
        .collect();
    let stages = stages(graph, &edges, &|node| link(node));
    let body = html! {
        div.pipeline.narrow[drawing.width < 420.0] {
            div.drawing {
                div.scroll role="region" aria-label="Graph of the pipeline" tabindex="0" { (drawing.svg) }
                ul.legend aria-label="States" {
                    @for state in used { li { span class={ "swatch " (state.word()) } {} (state.sign()) " " (state.word()) } }
                }
            }
            (stages.markup())
        }
    };
    Ok(Some(Section { id: "pipeline", heading: "Pipeline", body, parts: Vec::new(), scripted: false }))
}

/// The edges by the numbers of their nodes.
fn edges(graph: &Graph) -> Result<BTreeSet<(usize, usize)>, PageError> {
    let mut numbers = BTreeMap::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        if numbers.insert(node.name.as_str(), i).is_some() {
            return Err(PageError::DuplicateNode(node.name.clone()));
        }
    }
    let mut edges = BTreeSet::new();
    for edge in &graph.edges {
        let find = |name: &String| {
            numbers.get(name.as_str()).copied().ok_or_else(|| PageError::UnknownNode {
                from: edge.from.clone(),
                to: edge.to.clone(),
                missing: name.clone(),
            })
        };
        edges.insert((find(&edge.from)?, find(&edge.to)?));
    }
    Ok(edges)
}

fn stages<'a>(graph: &Graph, edges: &BTreeSet<(usize, usize)>, link: &dyn Fn(&Node) -> Option<String>) -> Grid<'a> {
    let mut reads = vec![Vec::new(); graph.nodes.len()];
    for (from, to) in edges {
        reads[*to].push(graph.nodes[*from].name.as_str());
    }
    let rows = graph.nodes.iter().zip(reads).map(|(node, reads)| {
        let cells = node.cells.map(|cells| cells.total() as f64);
        vec![
            Item { href: link(node), ..Item::text(&*node.name) },
            Item::text(&*node.kind),
            Item::text(reads.join(", ")),
            state(node.state),
            Item {
                tooltip: node.cells.map(Cells::words).unwrap_or_default(),
                ..Item::number(cells, |n| number::count(n as u64))
            },
            Item::number(node.seconds, number::seconds),
            Item::number(node.bytes.map(|n| n as f64), |_| number::bytes(node.bytes.unwrap_or(0))),
        ]
    });
    Grid {
        id: "stages".to_owned(),
        label: String::new(),
        title: "Stages",
        caption: "",
        heads: vec![
            Head::text("Stage"),
            Head::text("Kind"),
            Head::text("Reads"),
            Head::text("State"),
            Head::number("Cells", None),
            Head::number("Time", None),
            Head::number("Written", None),
        ],
        rows: rows.collect(),
    }
}

/// A cell with a state.
pub(super) fn state(state: State) -> Item {
    Item { class: state.word(), ..Item::text(format!("{} {}", state.sign(), state.word())) }
}
