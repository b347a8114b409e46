//! The top of the page: what it is, summary numbers, warnings; and the notes at its end.

use maud::Markup;
use maud::html;

use crate::html::Section;
use crate::html::paragraphs;
use crate::html::program;
use crate::model::graph::State;
use crate::model::page::Level;
use crate::model::page::Note;
use crate::model::page::Page;
use crate::number;

/// The heading, what was done, and the summary in numbers.
pub(super) fn header(page: &Page, title: &str) -> Markup {
    html! {
        header {
            p.kicker { (program(page)) }
            h1 { (title) }
            div.lead { (paragraphs(&page.description)) }
            @let facts = facts(page);
            @if !facts.is_empty() {
                dl.facts {
                    @for (name, value) in &facts { div { dt { (name) } dd { (value) } } }
                }
            }
        }
    }
}

/// The caller's numbers first: they are about the results, those counted here about the work.
fn facts(page: &Page) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> =
        page.facts.iter().map(|fact| (fact.name.clone(), fact.value.clone())).collect();
    let mut add = |name: &str, value: String| facts.push((name.to_owned(), value));
    if !page.graph.nodes.is_empty() {
        add("stages", number::count(page.graph.nodes.len() as u64));
    }
    if !page.runs.is_empty() {
        let failed = page.runs.iter().filter(|run| run.state == State::Failed).count();
        let runs = number::count(page.runs.len() as u64);
        add("runs", if failed == 0 { runs } else { format!("{runs}, {failed} failed") });
    }
    let times: Vec<f64> = page.graph.nodes.iter().filter_map(|node| node.seconds).collect();
    if !times.is_empty() {
        add("work, summed", number::seconds(times.iter().sum()));
    }
    let sizes: Vec<u64> = page.graph.nodes.iter().filter_map(|node| node.bytes).collect();
    if !sizes.is_empty() {
        add("written", number::bytes(sizes.iter().fold(0, |sum, size| sum.saturating_add(*size))));
    }
    facts
}

/// What a reader must know before the results.
pub(super) fn warnings(page: &Page) -> Option<Section> {
    section(page, Level::Warning, "warnings", "Warnings")
}

/// What else the run said.
pub(super) fn notes(page: &Page) -> Option<Section> {
    section(page, Level::Note, "notes", "Notes")
}

fn section(page: &Page, level: Level, id: &'static str, heading: &'static str) -> Option<Section> {
    let notes: Vec<&Note> = page.notes.iter().filter(|note| note.level == level).collect();
    if notes.is_empty() {
        return None;
    }
    let body = html! {
        ul.notes {
            @for note in notes {
                li { @if let Some(stage) = &note.stage { code { (stage) } " " } (note.text) }
            }
        }
    };
    Some(Section { id, heading, body, parts: Vec::new(), scripted: false })
}
