//! How to get the same results again.

use maud::html;

use crate::html::Section;
use crate::html::grid::Grid;
use crate::html::grid::Head;
use crate::html::grid::Item;
use crate::model::reproduce::Reproduce;
use crate::number;

/// Commands, data and versions, or nothing if there are none.
pub(super) fn section(reproduce: &Reproduce) -> Option<Section> {
    if *reproduce == Reproduce::default() {
        return None;
    }
    let heads = vec![Head::text("Data"), Head::number("Size", None), Head::text("Digest"), Head::text("Source")];
    let rows = reproduce.data.iter().map(|data| {
        let size = Item::number(data.bytes.map(|n| n as f64), |_| number::bytes(data.bytes.unwrap_or(0)));
        let digest = Item { class: "code", ..Item::text(&*data.digest) };
        vec![Item::text(&*data.name), size, digest, Item::text(&*data.source)]
    });
    let data = Grid {
        id: "data".to_owned(),
        label: String::new(),
        title: "Data",
        caption: "The data counts by its content: the same digests give the same results.",
        heads,
        rows: rows.collect(),
    };
    let body = html! {
        @if !reproduce.commands.is_empty() {
            ol.steps {
                @for (i, command) in reproduce.commands.iter().enumerate() {
                    li {
                        p { (command.purpose) }
                        div.copyable { pre tabindex="0" role="region" aria-label={ "Command " (i + 1) } { code { (command.line) } } }
                    }
                }
            }
        }
        @if !reproduce.data.is_empty() { (data.markup()) }
        @if !reproduce.versions.is_empty() {
            h3 #versions { "Versions" }
            dl.pairs { @for (name, version) in &reproduce.versions { div { dt { (name) } dd { (version) } } } }
        }
    };
    Some(Section { id: "reproduce", heading: "How to reproduce it", body, parts: Vec::new(), scripted: false })
}
