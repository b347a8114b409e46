//! The runs of one stage: a table of them, and each run's details.

use std::collections::BTreeSet;

use maud::Markup;
use maud::html;

use crate::html::grid::Grid;
use crate::html::grid::Head;
use crate::html::grid::Item;
use crate::html::pipeline::state;
use crate::html::runs::StageRuns;
use crate::model::graph::State;
use crate::model::run::Metric;
use crate::model::run::Run;
use crate::model::table::Kind;
use crate::number;

/// Letters of a key that are enough to tell runs apart.
const SHORT_KEY: usize = 10;
/// Runs of a stage from which on their details are folded away together.
const MANY: usize = 4;

/// The runs of one stage.
pub(super) fn markup(stage: &StageRuns) -> Markup {
    let single = stage.runs.len() == 1;
    let states: Vec<String> = State::ALL
        .iter()
        .map(|state| (stage.runs.iter().filter(|(_, run)| run.state == *state).count(), state.word()))
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{} {word}", number::count(n as u64)))
        .collect();
    let caption = if single {
        String::new()
    } else {
        format!("{}: {}.", number::plural(stage.runs.len() as u64, "run"), states.join(", "))
    };
    let each = html! { @for (number, run) in &stage.runs { (details(*number, run)) } };
    html! {
        div.stage.single[single] {
            @if single {
                (each)
            } @else {
                (table(stage, &caption).markup())
                @if stage.runs.len() < MANY {
                    (each)
                } @else {
                    details.all {
                        summary { "Configuration, key and metrics of " (number::plural(stage.runs.len() as u64, "run")) " of " (stage.stage) }
                        (each)
                    }
                }
            }
        }
    }
}

/// Names in the order in which runs first have them.
fn union<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    for name in names {
        if seen.insert(name) {
            order.push(name);
        }
    }
    order
}

fn parameter<'a>(run: &'a Run, name: &str) -> Option<&'a str> {
    run.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

fn parsed(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

fn table<'a>(stage: &StageRuns<'a>, caption: &'a str) -> Grid<'a> {
    let runs = || stage.runs.iter().map(|(_, run)| *run);
    let parameters = union(runs().flat_map(|run| run.parameters.iter().map(|(name, _)| name.as_str())));
    let metrics = union(runs().flat_map(|run| run.metrics.iter().map(|metric| metric.name.as_str())));
    let find = |run: &'a Run, name: &str| run.metrics.iter().find(|metric| metric.name == name);
    let seeds = !parameters.contains(&"seed") && runs().any(|run| run.seed.is_some());
    let devices = union(runs().map(|run| run.device.as_str())).len() > 1;

    let mut heads = vec![Head::number("Run", None)];
    let mut numeric = Vec::new();
    for name in &parameters {
        numeric.push(runs().filter_map(|run| parameter(run, name)).all(|text| parsed(text).is_some()));
        heads.push(if numeric.last() == Some(&true) { Head::number(name, None) } else { Head::text(name) });
    }
    for name in &metrics {
        let first = runs().find_map(|run| find(run, name));
        let kind = Kind::Number { digits: None, better: first.and_then(|metric| metric.better) };
        heads.push(Head { name: (*name).to_owned(), kind, ..Head::default() });
    }
    heads.extend([Head::text("State"), Head::number("Time", None), Head::number("Memory", None)]);
    heads.extend(seeds.then(|| Head::number("Seed", None)));
    heads.extend(devices.then(|| Head::text("Device")));
    heads.push(Head::text("Key"));

    let row = |(number, run): &(usize, &'a Run)| {
        let link = Item::number(Some(*number as f64), |_| number.to_string());
        let mut row = vec![Item { href: Some(format!("#run-{number}")), tooltip: run.name.clone(), ..link }];
        for (name, numeric) in parameters.iter().zip(&numeric) {
            let text = parameter(run, name).unwrap_or_default();
            row.push(Item { value: parsed(text).filter(|_| *numeric), ..Item::text(text) });
        }
        for name in &metrics {
            row.push(
                find(run, name)
                    .map(|metric| Item::number(metric.value, |value| number::number(value, metric.digits)))
                    .unwrap_or_default(),
            );
        }
        row.push(state(run.state));
        row.push(Item::number(run.seconds, number::seconds));
        row.push(memory(run));
        if seeds {
            row.push(Item::number(run.seed.map(|seed| seed as f64), |_| run.seed.unwrap_or(0).to_string()));
        }
        if devices {
            row.push(Item::text(&*run.device));
        }
        row.push(Item { class: "code key", ..Item::text(run.key.chars().take(SHORT_KEY).collect::<String>()) });
        row
    };
    let rows = stage.runs.iter().map(row).collect();
    Grid { id: format!("stage-{}", stage.number), label: String::new(), title: stage.stage, caption, heads, rows }
}

fn memory(run: &Run) -> Item {
    Item::number(run.peak_memory.map(|n| n as f64), |_| number::bytes(run.peak_memory.unwrap_or(0)))
}

/// One run: folded, with everything that is known about it.
fn details(number: usize, run: &Run) -> Markup {
    let seed = run.seed.map(|seed| seed.to_string()).unwrap_or_default();
    let facts = [
        ("State", format!("{} {}", run.state.sign(), run.state.word())),
        ("Time", run.seconds.map(number::seconds).unwrap_or_default()),
        ("Peak memory", run.peak_memory.map(number::bytes).unwrap_or_default()),
        ("Device", run.device.clone()),
        ("Engine", run.engine.clone()),
        ("Seed", seed),
    ];
    html! {
        details.run data-run=(number) data-name=(run.name) data-stage=(run.stage) {
            summary {
                span.number { (number) } " "
                span.title {
                    @if run.parameters.is_empty() { (run.name) }
                    @for (name, value) in &run.parameters { span.parameter { (name) " = " (value) } " " }
                }
                " " span class={ "state " (run.state.word()) } { (run.state.sign()) " " (run.state.word()) }
            }
            div.body id={ "run-" (number) } {
                @if !run.error.trim().is_empty() {
                    div.copyable { pre.error tabindex="0" role="region" aria-label="Error" { code { (run.error) } } }
                }
                @if !run.parameters.is_empty() {
                    dl.pairs data-part="parameters" aria-label="Parameters" {
                        @for (name, value) in &run.parameters { div { dt { (name) } dd { (value) } } }
                    }
                }
                @if !run.metrics.is_empty() {
                    dl.pairs.numbers data-part="metrics" aria-label="Metrics" { @for metric in &run.metrics { (measured(metric)) } }
                }
                dl.pairs data-part="facts" aria-label="Facts" {
                    @for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) { div { dt { (name) } dd { (value) } } }
                }
                @for (name, value) in [("Name", &run.name), ("Key", &run.key), ("Manifest", &run.manifest)] {
                    @if !value.is_empty() { p.line { span.label { (name) } " " span.copyable { code { (value) } } } }
                }
                @if !run.configuration.trim().is_empty() {
                    div.copyable data-part="configuration" {
                        pre tabindex="0" role="region" aria-label={ "Configuration of run " (number) } { code { (run.configuration) } }
                    }
                }
            }
        }
    }
}

fn measured(metric: &Metric) -> Markup {
    let value = metric.value.and_then(number::data);
    let shown = metric.value.map_or_else(|| "not measured".to_owned(), |value| number::number(value, metric.digits));
    html! { div { dt { (metric.name) } dd data-v=[value] { (shown) } } }
}
