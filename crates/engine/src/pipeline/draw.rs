//! The graph as text, Mermaid or Graphviz: one box a stage, whatever its number of cells.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::pipeline::graph::Graph;

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawFormat {
    /// A list, producers first.
    Text,
    /// <https://mermaid.js.org>, as GitHub and GitLab show it.
    Mermaid,
    /// <https://graphviz.org>.
    Dot,
}

/// A stage as it is drawn.
struct Drawn<'a> {
    name: &'a str,
    kind: &'a str,
    cells: usize,
    /// Port and producing stage, each pair once.
    inputs: BTreeSet<(&'a str, &'a str)>,
}

/// Draws the graph.
pub fn draw(graph: &Graph, format: DrawFormat) -> String {
    let stages = stages(graph);
    match format {
        DrawFormat::Text => text(&stages),
        DrawFormat::Mermaid => mermaid(&stages),
        DrawFormat::Dot => dot(&graph.pipeline, &stages),
    }
}

fn stages(graph: &Graph) -> Vec<Drawn<'_>> {
    let mut drawn: Vec<Drawn<'_>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for id in graph.order() {
        let node = graph.node(*id);
        let place = *places.entry(node.stage.as_str()).or_insert_with(|| {
            drawn.push(Drawn { name: &node.stage, kind: node.kind.name, cells: 0, inputs: BTreeSet::new() });
            drawn.len() - 1
        });
        drawn[place].cells += 1;
        for wire in &node.inputs {
            drawn[place].inputs.insert((wire.port.name, graph.node(wire.from).stage.as_str()));
        }
    }
    drawn
}

fn text(stages: &[Drawn<'_>]) -> String {
    let width = |of: fn(&Drawn<'_>) -> usize| stages.iter().map(of).max().unwrap_or(0);
    let (name_width, kind_width) = (width(|stage| label(stage).chars().count()), width(|stage| stage.kind.len()));
    let mut out = String::new();
    for stage in stages {
        let inputs: Vec<String> = stage
            .inputs
            .iter()
            .map(|(port, from)| if port == from { (*from).to_owned() } else { format!("{from} as {port}") })
            .collect();
        let line = format!("{:name_width$}  {:kind_width$}  {}", label(stage), stage.kind, arrows(&inputs));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn arrows(inputs: &[String]) -> String {
    if inputs.is_empty() { String::new() } else { format!("← {}", inputs.join(", ")) }
}

fn label(stage: &Drawn<'_>) -> String {
    if stage.cells > 1 { format!("{} ×{}", stage.name, stage.cells) } else { stage.name.to_owned() }
}

// Names of stages, ports and kinds are `[a-z0-9_-]` (checked when the file is read), so nothing needs escaping.

fn mermaid(stages: &[Drawn<'_>]) -> String {
    // Numbered ids: a stage may be called `end`, which Mermaid reserves.
    let ids: BTreeMap<&str, usize> = stages.iter().enumerate().map(|(i, stage)| (stage.name, i)).collect();
    let mut out = String::from("flowchart TD\n");
    for (i, stage) in stages.iter().enumerate() {
        let _ = writeln!(out, "  s{i}[\"{}<br/><i>{}</i>\"]", label(stage), stage.kind);
    }
    for (i, stage) in stages.iter().enumerate() {
        for (port, from) in &stage.inputs {
            let _ = writeln!(out, "  s{} -->|{port}| s{i}", ids[from]);
        }
    }
    out
}

fn dot(pipeline: &str, stages: &[Drawn<'_>]) -> String {
    let mut out = format!("digraph \"{pipeline}\" {{\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for stage in stages {
        let _ = writeln!(out, "  \"{}\" [label=\"{}\\n{}\"];", stage.name, label(stage), stage.kind);
    }
    for stage in stages {
        for (port, from) in &stage.inputs {
            let _ = writeln!(out, "  \"{from}\" -> \"{}\" [label=\"{port}\"];", stage.name);
        }
    }
    out.push_str("}\n");
    out
}
