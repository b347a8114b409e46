//! From a pipeline file to a checked graph. Everything that can be refused before any data is touched is refused
//! here, all of it at once.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::config::{InputSpec, Pipeline, Problem, Problems, Reference, Span, Spanned, StageSpec, suggest};
use crate::stage::{Connected, Output, Port, Registry, StageKind};

use crate::pipeline::graph::{Cell, Graph, Node, NodeId, Wire};
use crate::pipeline::join::{JoinError, MOST_CELLS, natural_join, place};
use crate::pipeline::params::{decode, refused};

/// A stage of the file with its kind and its typed connections, before matrices are multiplied.
struct Typed<'a> {
    spec: &'a StageSpec,
    kind: &'static StageKind,
    wires: Vec<TypedWire<'a>>,
}

/// A connection between two stages of the file.
struct TypedWire<'a> {
    port: &'static Port,
    from: usize,
    output: &'static Output,
    reference: &'a Spanned<Reference>,
}

/// Builds the graph of a pipeline.
///
/// # Errors
/// Every unknown kind, port, stage or output, every connection of the wrong type, cycles with their path, and
/// parameters that a kind refuses; each with its place and a remedy.
pub fn build(pipeline: &Pipeline, registry: &Registry) -> Result<Graph, Problems> {
    let typed = type_check(pipeline, registry)?;
    let order = sort(pipeline, &typed)?;
    multiply(pipeline, &typed, &order)
}

fn type_check<'a>(pipeline: &'a Pipeline, registry: &Registry) -> Result<Vec<Typed<'a>>, Problems> {
    let mut problems = Vec::new();
    let index: BTreeMap<&str, usize> =
        pipeline.stages.iter().enumerate().map(|(i, spec)| (spec.name.value.as_str(), i)).collect();
    let kinds: Vec<Option<&'static StageKind>> =
        pipeline.stages.iter().map(|spec| registry.get(&spec.kind.value)).collect();
    let mut typed = Vec::new();
    for (spec, kind) in pipeline.stages.iter().zip(&kinds) {
        let Some(kind) = *kind else {
            problems.push(unknown_kind(pipeline, spec, registry));
            continue;
        };
        let mut wires = Vec::new();
        for input in &spec.inputs {
            match kind.input(&input.port.value) {
                Some(port) => connect(pipeline, spec, port, input, &index, &kinds, registry, &mut wires, &mut problems),
                None => problems.push(unknown_port(pipeline, kind, input)),
            }
        }
        for port in kind.inputs {
            let connected = spec.inputs.iter().any(|input| input.port.value == port.name);
            if !connected && !port.arity.is_optional() {
                problems.push(missing_port(pipeline, spec, kind, port, &kinds, registry));
            }
        }
        // In the kind's order, so that neither the file's order nor a port's name matters.
        wires.sort_by_key(|wire| kind.inputs.iter().position(|port| port.name == wire.port.name));
        typed.push(Typed { spec, kind, wires });
    }
    Problems::check(problems)?;
    Ok(typed)
}

#[allow(clippy::too_many_arguments, reason = "one pass over the file; a struct would only rename the arguments")]
fn connect<'a>(
    pipeline: &Pipeline,
    spec: &StageSpec,
    port: &'static Port,
    input: &'a InputSpec,
    index: &BTreeMap<&str, usize>,
    kinds: &[Option<&'static StageKind>],
    registry: &Registry,
    wires: &mut Vec<TypedWire<'a>>,
    problems: &mut Vec<Problem>,
) {
    if !port.arity.gathers() && input.listed {
        problems.push(
            Problem::new(&pipeline.source, input.port.span, format!("port `{}` takes one stage", port.name))
                .label("a list is given")
                .help("to run the stage once for each, give it a `matrix` or write one stage for each"),
        );
        return;
    }
    for reference in &input.refs {
        let Some(&from) = index.get(reference.value.stage.as_str()) else {
            problems.push(unknown_stage(pipeline, reference, index));
            continue;
        };
        // A producer of unknown kind has been reported already.
        let Some(producer) = kinds[from] else { continue };
        match choose_output(pipeline, spec, port, reference, producer, kinds, registry) {
            Ok(output) => wires.push(TypedWire { port, from, output, reference }),
            Err(problem) => problems.push(problem),
        }
    }
}

fn choose_output(
    pipeline: &Pipeline,
    spec: &StageSpec,
    port: &Port,
    reference: &Spanned<Reference>,
    producer: &'static StageKind,
    kinds: &[Option<&'static StageKind>],
    registry: &Registry,
) -> Result<&'static Output, Problem> {
    let at = |message: String| Problem::new(&pipeline.source, reference.span, message);
    let stage = &reference.value.stage;
    let outputs = || producer.outputs.iter().map(|output| format!("`{}`", output.name)).collect::<Vec<_>>().join(", ");
    if let Some(name) = &reference.value.output {
        let output = producer.output(name).ok_or_else(|| {
            let problem = at(format!("stage `{stage}` has no output `{name}`")).label("unknown output");
            match suggest(name, producer.outputs.iter().map(|output| output.name)) {
                Some(near) => problem.help(format!("did you mean `{stage}.{near}`?")),
                None => problem.help(format!("`{}` has {}", producer.name, outputs())),
            }
        })?;
        if output.kind == port.kind {
            return Ok(output);
        }
    } else if let Some(output) = producer.outputs.iter().find(|output| output.kind == port.kind) {
        return Ok(output);
    }
    let gives = producer.outputs.iter().map(|output| format!("`{}`", output.kind)).collect::<Vec<_>>().join(", ");
    let problem = at(format!(
        "port `{}` of stage `{}` takes `{}`, but stage `{stage}` (`{}`) gives {gives}",
        port.name, spec.name.value, port.kind, producer.name
    ))
    .label(format!("not a `{}`", port.kind));
    Err(match givers(pipeline, kinds, port.kind, &spec.name.value) {
        names if names.is_empty() => problem.help(format!(
            "no stage of this pipeline gives `{}`{}",
            port.kind,
            kinds_that_give(registry, port.kind)
        )),
        names => problem.help(format!("`{}` comes from {names}", port.kind)),
    })
}

/// The stages of the file, other than `except`, that give artifacts of this kind.
fn givers(pipeline: &Pipeline, kinds: &[Option<&'static StageKind>], artifact: &str, except: &str) -> String {
    let names: Vec<String> = pipeline
        .stages
        .iter()
        .zip(kinds)
        .filter(|(spec, kind)| {
            spec.name.value != except
                && kind.is_some_and(|kind| kind.outputs.iter().any(|output| output.kind == artifact))
        })
        .map(|(spec, _)| format!("`{}`", spec.name.value))
        .collect();
    names.join(", ")
}

/// Adds what was probably meant, or else `otherwise` with all that exists.
fn hint<'a>(problem: Problem, word: &str, known: impl Iterator<Item = &'a str> + Clone, otherwise: &str) -> Problem {
    if let Some(near) = suggest(word, known.clone()) {
        return problem.help(format!("did you mean `{near}`?"));
    }
    let names: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    problem.help(format!("{otherwise} {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") }))
}

fn unknown_kind(pipeline: &Pipeline, spec: &StageSpec, registry: &Registry) -> Problem {
    let kind = &spec.kind;
    let problem = Problem::new(&pipeline.source, kind.span, format!("unknown stage kind `{}`", kind.value));
    hint(problem.label("no such kind"), &kind.value, registry.kinds().iter().map(|kind| kind.name), "known kinds:")
}

fn unknown_port(pipeline: &Pipeline, kind: &StageKind, input: &InputSpec) -> Problem {
    let port = &input.port;
    let problem = Problem::new(&pipeline.source, port.span, format!("`{}` has no input `{}`", kind.name, port.value));
    hint(problem.label("unknown input"), &port.value, kind.inputs.iter().map(|port| port.name), "its inputs:")
}

fn missing_port(
    pipeline: &Pipeline,
    spec: &StageSpec,
    kind: &StageKind,
    port: &Port,
    kinds: &[Option<&'static StageKind>],
    registry: &Registry,
) -> Problem {
    let stage = &spec.name.value;
    let problem = Problem::new(
        &pipeline.source,
        spec.inputs_span(),
        format!("input `{}` of stage `{stage}` is not connected", port.name),
    )
    .label(format!("`{}` needs it", kind.name));
    match givers(pipeline, kinds, port.kind, stage) {
        names if names.is_empty() => {
            let kinds = kinds_that_give(registry, port.kind);
            problem.help(format!("it takes `{}`, which no stage of this pipeline gives{kinds}", port.kind))
        }
        names => problem.help(format!("add `inputs: {{{}: …}}`; `{}` comes from {names}", port.name, port.kind)),
    }
}

/// Which kinds would give such an artifact, as the end of a sentence.
fn kinds_that_give(registry: &Registry, artifact: &str) -> String {
    let gives = |kind: &&StageKind| kind.outputs.iter().any(|output| output.kind == artifact);
    let names: Vec<String> = registry.kinds().iter().filter(gives).map(|kind| format!("`{}`", kind.name)).collect();
    if names.is_empty() { String::new() } else { format!("; a stage of kind {} would", names.join(" or ")) }
}

fn unknown_stage(pipeline: &Pipeline, reference: &Spanned<Reference>, index: &BTreeMap<&str, usize>) -> Problem {
    let stage = &reference.value.stage;
    let problem =
        Problem::new(&pipeline.source, reference.span, format!("there is no stage `{stage}`")).label("unknown stage");
    match suggest(stage, index.keys().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help("inputs name a stage of this file, or one of its outputs as `stage.output`"),
    }
}

/// Positions in `typed`, producers first, otherwise in file order (Kahn 1962).
fn sort(pipeline: &Pipeline, typed: &[Typed<'_>]) -> Result<Vec<usize>, Problems> {
    let mut dag: DiGraph<(), ()> = DiGraph::new();
    let nodes: Vec<_> = typed.iter().map(|_| dag.add_node(())).collect();
    for (to, stage) in typed.iter().enumerate() {
        for wire in &stage.wires {
            dag.update_edge(nodes[wire.from], nodes[to], ());
        }
    }
    let mut waits: Vec<usize> =
        nodes.iter().map(|node| dag.neighbors_directed(*node, Direction::Incoming).count()).collect();
    let mut ready: BTreeSet<usize> = waits.iter().enumerate().filter(|(_, n)| **n == 0).map(|(i, _)| i).collect();
    let mut order = Vec::with_capacity(typed.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for consumer in dag.neighbors(nodes[next]) {
            waits[consumer.index()] -= 1;
            if waits[consumer.index()] == 0 {
                ready.insert(consumer.index());
            }
        }
    }
    if order.len() == typed.len() { Ok(order) } else { Err(cycle(pipeline, typed, &dag).into()) }
}

/// Describes one cycle: its path, and the connection that closes it.
fn cycle(pipeline: &Pipeline, typed: &[Typed<'_>], dag: &DiGraph<(), ()>) -> Problem {
    let in_cycle: Vec<usize> = kosaraju_scc(dag)
        .into_iter()
        .find(|part| part.len() > 1 || dag.contains_edge(part[0], part[0]))
        .map(|part| part.into_iter().map(NodeIndex::index).collect())
        .unwrap_or_default();
    // Walk producers inside the component until a stage comes round again.
    let mut walk: Vec<usize> = in_cycle.iter().copied().min().into_iter().collect();
    let mut closing = None;
    while let Some(&last) = walk.last() {
        let Some(wire) = typed[last].wires.iter().find(|wire| in_cycle.contains(&wire.from)) else { break };
        if let Some(start) = walk.iter().position(|stage| *stage == wire.from) {
            closing = Some(wire.reference);
            walk.drain(..start);
            break;
        }
        walk.push(wire.from);
    }
    // Producers were walked, so the path in the direction of the data is the reverse.
    walk.reverse();
    let mut names: Vec<&str> = walk.iter().map(|i| typed[*i].spec.name.value.as_str()).collect();
    names.extend(names.first().copied());
    let span = closing.map_or_else(Span::default, |reference| reference.span);
    Problem::new(&pipeline.source, span, format!("the stages form a cycle: {}", names.join(" → ")))
        .label("this connection closes it")
        .help("a stage cannot wait for itself: remove one of the connections")
}

fn multiply(pipeline: &Pipeline, typed: &[Typed<'_>], order: &[usize]) -> Result<Graph, Problems> {
    let mut problems = Vec::new();
    let mut dag: DiGraph<Node, ()> = DiGraph::new();
    let mut nodes: Vec<Vec<NodeId>> = vec![Vec::new(); typed.len()];
    // What a broken stage would have given is not known, so nothing can be said of what reads from it.
    let mut broken: BTreeSet<usize> = BTreeSet::new();
    for &at in order {
        let stage = &typed[at];
        if stage.wires.iter().any(|wire| broken.contains(&wire.from)) {
            broken.insert(at);
            continue;
        }
        let cells_of = |from: usize| -> Vec<Cell> { nodes[from].iter().map(|id| dag[*id].cell.clone()).collect() };
        let cells = match cells(pipeline, stage, cells_of) {
            Ok(cells) => cells,
            Err(problem) => {
                problems.push(problem);
                broken.insert(at);
                continue;
            }
        };
        let feeds: Vec<Feeds> = stage.wires.iter().map(|wire| Feeds::new(&dag, &nodes[wire.from], &cells)).collect();
        for cell in cells {
            let decoded = match decode(pipeline, stage.spec, stage.kind, &cell) {
                Ok(decoded) => decoded,
                Err(problem) => {
                    // The other cells would say the same.
                    problems.push(problem);
                    broken.insert(at);
                    break;
                }
            };
            let mut inputs = Vec::new();
            for (wire, feeds) in stage.wires.iter().zip(&feeds) {
                let matching = feeds.of(&cell);
                if matching.is_empty() {
                    problems.push(nothing_to_gather(pipeline, stage, wire));
                    broken.insert(at);
                }
                inputs.extend(matching.iter().map(|from| Wire { port: wire.port, from: *from, output: wire.output }));
            }
            if broken.contains(&at) {
                break;
            }
            let known: OnceCell<Rc<[Connected]>> = OnceCell::new();
            let look = || inputs.iter().map(|wire: &Wire| connected(&dag, wire)).collect();
            let connected = || Rc::clone(known.get_or_init(look));
            if let Err(error) = decoded.work.check_connected(&connected) {
                problems.push(refused(pipeline, stage.spec, stage.kind, &cell, &error));
                broken.insert(at);
                break;
            }
            let measures = decoded.work.measures(&connected).map(Arc::new);
            let producers: Vec<NodeId> = inputs.iter().map(|wire| wire.from).collect();
            let sources = decoded.work.sources();
            let id = dag.add_node(Node {
                stage: stage.spec.name.value.clone(),
                cell,
                kind: stage.kind,
                work: decoded.work,
                params: decoded.params,
                seed: decoded.seed,
                sources,
                set_by: decoded.set_by,
                inputs,
                measures,
            });
            for from in producers {
                dag.update_edge(from, id, ());
            }
            nodes[at].push(id);
        }
    }
    Problems::check(problems)?;
    let order = order.iter().flat_map(|at| nodes[*at].iter().copied()).collect();
    Ok(Graph { pipeline: pipeline.name.value.clone(), dag, order })
}

/// What a stage can know of an input before anything has run.
fn connected(dag: &DiGraph<Node, ()>, wire: &Wire) -> Connected {
    let node = &dag[wire.from];
    let axes = node.inputs.iter().flat_map(|wire| dag[wire.from].cell.keys());
    Connected {
        port: wire.port.name,
        stage: node.name(),
        cell: node.cell.clone(),
        axes: axes.cloned().collect(),
        measures: node.measures.clone(),
    }
}

/// The nodes of a producer, grouped by the axes that they share with the cells of a consumer.
struct Feeds {
    shared: Vec<String>,
    nodes: BTreeMap<Vec<String>, Vec<NodeId>>,
}

impl Feeds {
    fn new(dag: &DiGraph<Node, ()>, producer: &[NodeId], cells: &[Cell]) -> Self {
        // All cells of a stage have the same axes.
        let has = |cell: Option<&Cell>, axis: &str| cell.is_some_and(|cell| cell.contains_key(axis));
        let axes = producer.first().map(|id| &dag[*id].cell).into_iter().flat_map(Cell::keys);
        let shared: Vec<String> = axes.filter(|axis| has(cells.first(), axis)).cloned().collect();
        let mut nodes: BTreeMap<Vec<String>, Vec<NodeId>> = BTreeMap::new();
        for id in producer {
            nodes.entry(place(&shared, &dag[*id].cell)).or_default().push(*id);
        }
        Self { shared, nodes }
    }

    /// The nodes that agree with a cell.
    fn of(&self, cell: &Cell) -> &[NodeId] {
        self.nodes.get(&place(&self.shared, cell)).map_or(&[], Vec::as_slice)
    }
}

fn nothing_to_gather(pipeline: &Pipeline, stage: &Typed<'_>, wire: &TypedWire<'_>) -> Problem {
    let from = &wire.reference.value.stage;
    let message = format!("no run of `{from}` has the coordinates of a cell of `{}`", stage.spec.name.value);
    Problem::new(&pipeline.source, wire.reference.span, message)
        .label("nothing to gather for that cell")
        .help("give both the same values of the axes that they share")
}

/// The cells of a stage: those of what it reads, joined on shared axes, times its own matrix.
fn cells(pipeline: &Pipeline, stage: &Typed<'_>, cells_of: impl Fn(usize) -> Vec<Cell>) -> Result<Vec<Cell>, Problem> {
    let mut cells = vec![Cell::new()];
    let refuse = |error: JoinError, span: Span| match error {
        JoinError::Differs { axis } => Problem::new(
            &pipeline.source,
            span,
            format!("stage `{}` meets two axes `{axis}` with different values", stage.spec.name.value),
        )
        .label(format!("its `{axis}` takes other values than that of another input"))
        .help("give both the same values, so that they match one to one, or another name, so that they multiply"),
        JoinError::TooMany => Problem::new(
            &pipeline.source,
            span,
            format!("the matrices above stage `{}` have more than {MOST_CELLS} cells", stage.spec.name.value),
        )
        .help("sweep fewer values, or gather the cells in between"),
    };
    for wire in stage.wires.iter().filter(|wire| !wire.port.arity.gathers()) {
        let span = wire.reference.span;
        cells = natural_join(&cells, &cells_of(wire.from)).map_err(|error| refuse(error, span))?;
    }
    if let Some(matrix) = &stage.spec.matrix {
        for axis in matrix.axes() {
            if cells.iter().any(|cell| cell.contains_key(&axis.name.value)) {
                return Err(Problem::new(
                    &pipeline.source,
                    axis.name.span,
                    format!("axis `{}` is already swept above stage `{}`", axis.name.value, stage.spec.name.value),
                )
                .label("declared a second time")
                .help("use its value as `${…}` here, or give this axis another name"));
            }
        }
        cells = natural_join(&cells, matrix.cells()).map_err(|error| refuse(error, stage.spec.name.span))?;
    }
    Ok(cells)
}
