//! The graph as SVG: down the page if it fits, else from left to right, which fits more stages into a phone's width.

use std::collections::BTreeSet;
use std::fmt::Write;

use maud::Markup;
use maud::html;

use crate::error::PageError;
use crate::layout;
use crate::layout::Layered;
use crate::model::graph::Graph;
use crate::model::graph::Node;
use crate::model::graph::State;
use crate::number;
use crate::text::shorten;

/// The size of a node, in CSS pixels, with room for 17 letters of a wide font.
const NODE: (f64, f64) = (164.0, 44.0);
/// The space between nodes of a layer, between layers, and around everything.
const GAP: f64 = 16.0;
const LAYER_GAP: (f64, f64) = (52.0, 30.0);
const MARGIN: f64 = 10.0;
/// The space that an edge takes where it passes a layer.
const LANE: f64 = 14.0;
/// The width that a graph may have before it is turned to flow from left to right.
const FITS: f64 = 940.0;
const LETTERS: usize = 17;

/// The graph as it is put into the page.
pub(super) struct Drawing {
    pub(super) svg: Markup,
    /// Its width in CSS pixels.
    pub(super) width: f64,
}

#[derive(Clone, Copy)]
enum Flow {
    Down,
    Right,
}

impl Flow {
    /// The size of a node across and along the flow.
    fn node(self) -> (f64, f64) {
        match self {
            Self::Down => NODE,
            Self::Right => (NODE.1, NODE.0),
        }
    }

    /// The distance from layer to layer.
    fn step(self) -> f64 {
        match self {
            Self::Down => NODE.1 + LAYER_GAP.1,
            Self::Right => NODE.0 + LAYER_GAP.0,
        }
    }

    fn point(self, across: f64, along: f64) -> (f64, f64) {
        match self {
            Self::Down => (across, along),
            Self::Right => (along, across),
        }
    }
}

/// Draws the graph; node `i` links to `targets[i]`.
///
/// # Errors
/// If the graph has a cycle.
pub(super) fn draw(graph: &Graph, edges: &BTreeSet<(usize, usize)>, targets: &[String]) -> Result<Drawing, PageError> {
    let mut layered =
        layout::layered(graph.nodes.len(), edges).map_err(|node| PageError::Cycle(graph.nodes[node].name.clone()))?;
    layout::reduce_crossings(&mut layered);
    let widest = |flow: Flow| layered.layers.iter().map(|layer| across(&layered, layer, flow)).fold(0.0, f64::max);
    let right = layered.layers.len() as f64 * Flow::Right.step();
    let flow = if widest(Flow::Down) <= FITS || widest(Flow::Down) <= right { Flow::Down } else { Flow::Right };

    let place = layout::place(&layered, |node| room(&layered, node, flow));
    let mut layer_of = vec![0; layered.above.len()];
    for (i, layer) in layered.layers.iter().enumerate() {
        for node in layer {
            layer_of[*node] = i;
        }
    }
    let size = flow.node();
    let points: Vec<(f64, f64)> = place
        .iter()
        .zip(&layer_of)
        .map(|(across, layer)| flow.point(MARGIN + across, MARGIN + size.1 / 2.0 + *layer as f64 * flow.step()))
        .collect();
    let (mut width, mut height) = (0.0_f64, 0.0_f64);
    for (i, (x, y)) in points.iter().enumerate() {
        let half = if i < layered.real { (NODE.0 / 2.0, NODE.1 / 2.0) } else { (LANE / 2.0, LANE / 2.0) };
        width = width.max(x + half.0 + MARGIN);
        height = height.max(y + half.1 + MARGIN);
    }
    let (width, height) = (width.ceil(), height.ceil());
    let svg = html! {
        svg.dag width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="group"
            aria-label="Graph of the pipeline; the table of stages says the same" {
            defs {
                marker #arrow viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" {
                    path d="M0.5 1L7 4L0.5 7" {}
                }
                clipPath #node-clip { rect width=(NODE.0) height=(NODE.1) rx="3" {} }
            }
            g.edges aria-hidden="true" {
                @for path in &layered.paths { path d=(curve(path, &points, flow)) {} }
            }
            @for (i, node) in graph.nodes.iter().enumerate() { (draw_node(node, points[i], &targets[i])) }
        }
    };
    Ok(Drawing { svg, width })
}

/// The room that a node takes across the flow, with the gap to the next.
fn room(graph: &Layered, node: usize, flow: Flow) -> f64 {
    if node < graph.real { flow.node().0 + GAP } else { LANE }
}

fn across(graph: &Layered, layer: &[usize], flow: Flow) -> f64 {
    layer.iter().map(|node| room(graph, *node, flow)).sum()
}

/// A smooth line through the nodes that an edge passes, from border to border.
fn curve(path: &[usize], points: &[(f64, f64)], flow: Flow) -> String {
    let half = flow.node().1 / 2.0;
    let mut line = String::new();
    let mut last = (0.0, 0.0);
    for (i, node) in path.iter().enumerate() {
        let (x, y) = points[*node];
        // Writing to a `String` cannot fail.
        let _ = match (i, flow) {
            (0, Flow::Down) => write!(line, "M{x:.1} {:.1}", y + half),
            (0, Flow::Right) => write!(line, "M{:.1} {y:.1}", x + half),
            (_, Flow::Down) => {
                // An edge passes a layer as straight as its node would stand there.
                let (enter, leave) = ends(i, path.len(), y, half);
                let middle = f64::midpoint(last.1, enter);
                let _ = write!(line, "C{:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {enter:.1}", last.0);
                if leave > enter { write!(line, "V{leave:.1}") } else { Ok(()) }
            }
            (_, Flow::Right) => {
                let (enter, leave) = ends(i, path.len(), x, half);
                let middle = f64::midpoint(last.0, enter);
                let _ = write!(line, "C{middle:.1} {:.1} {middle:.1} {y:.1} {enter:.1} {y:.1}", last.1);
                if leave > enter { write!(line, "H{leave:.1}") } else { Ok(()) }
            }
        };
        last = match flow {
            Flow::Down => (x, y + half),
            Flow::Right => (x + half, y),
        };
    }
    line
}

/// Where, along the flow, an edge enters and leaves the layer at `at`; it ends where it enters its last.
fn ends(i: usize, len: usize, at: f64, half: f64) -> (f64, f64) {
    let enter = at - half - if i + 1 == len { 1.0 } else { 0.0 };
    (enter, if i + 1 == len { enter } else { at + half })
}

fn draw_node(node: &Node, (x, y): (f64, f64), target: &str) -> Markup {
    let cells = node.cells.filter(|cells| cells.total() > 0);
    let mut facts = vec![cells.map_or_else(|| node.kind.clone(), |cells| number::plural(cells.total(), "cell"))];
    facts.extend(node.seconds.map(number::seconds));
    let mut words = format!("{}: {}, {}", node.name, node.kind, node.state.word());
    for part in [
        cells.map(|cells| format!("{}: {}", number::plural(cells.total(), "cell"), cells.words())),
        node.seconds.map(number::seconds),
        node.bytes.map(number::bytes),
    ]
    .into_iter()
    .flatten()
    {
        let _ = write!(words, "; {part}");
    }
    // What can be read comes first, as those who control the page by voice say it (WCAG 2.5.3).
    let (name, facts) = (shorten(&node.name, LETTERS), shorten(&facts.join(" · "), LETTERS + 5));
    let label = format!("{name} {facts}: {words}");
    html! {
        g transform={ "translate(" (format!("{:.1} {:.1}", x - NODE.0 / 2.0, y - NODE.1 / 2.0)) ")" } {
            a href=(target) class={ "node " (node.state.word()) } data-tooltip=(words) aria-label=(label) {
                @if cells.is_some() { rect.sheet x="4" y="4" width=(NODE.0) height=(NODE.1) rx="3" {} }
                rect.box width=(NODE.0) height=(NODE.1) rx="3" {}
                g clip-path="url(#node-clip)" {
                    @match cells {
                        Some(cells) => (bar(|state| cells.of(state) as f64 / cells.total() as f64)),
                        None => (bar(|state| f64::from(u8::from(state == node.state)))),
                    }
                    text.name x="9" y="17" { (name) }
                    text.sign x=(NODE.0 - 9.0) y="17" text-anchor="end" aria-hidden="true" { (node.state.sign()) }
                    text.fact x="9" y="32" { (facts) }
                }
            }
        }
    }
}

/// The bar at the foot of a node: what share of its cells is in which state.
fn bar(share: impl Fn(State) -> f64) -> Markup {
    let mut from = 0.0;
    html! {
        @for state in State::ALL {
            @let part = share(state) * NODE.0;
            @if part > 0.0 {
                // One failure among a thousand cells must still be seen.
                rect class={ "bar " (state.word()) } x=(format!("{from:.1}")) y=(NODE.1 - 4.0) width=(format!("{:.1}", part.max(3.0))) height="4" {}
            }
            @let () = from += part;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::graph::Edge;

    fn graph(n: usize, edges: &BTreeSet<(usize, usize)>) -> (Graph, Vec<String>) {
        let name = |i: usize| format!("s{i}");
        let nodes = (0..n).map(|i| Node { name: name(i), ..Node::default() }).collect();
        let edges = edges.iter().map(|(a, b)| Edge { from: name(*a), to: name(*b) }).collect();
        (Graph { nodes, edges }, vec![String::new(); n])
    }

    #[test]
    fn a_chain_flows_down_and_stays_narrow_however_long_it_is() {
        let edges: BTreeSet<_> = (1..300).map(|i| (i - 1, i)).collect();
        let (graph, targets) = graph(300, &edges);
        // One node, its gap, and both margins.
        assert_eq!(draw(&graph, &edges, &targets).unwrap().width, NODE.0 + GAP / 2.0 + 2.0 * MARGIN);
    }

    #[test]
    fn three_hundred_stages_side_by_side_turn_to_flow_right() {
        let edges: BTreeSet<_> = (1..300).map(|i| (0, i)).collect();
        let (graph, targets) = graph(300, &edges);
        let drawing = draw(&graph, &edges, &targets).unwrap();
        // Two layers: two nodes, the gap between layers and the margins.
        assert_eq!(drawing.width, 2.0 * NODE.0 + LAYER_GAP.0 + 2.0 * MARGIN);
        assert_eq!(drawing.svg.into_string().matches("<a ").count(), 300);
    }
}
