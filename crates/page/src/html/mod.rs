//! The page: one file a section, put together here.

mod dag;
mod figures;
mod grid;
mod head;
mod pipeline;
mod reproduce;
mod results;
mod runs;
mod stage_runs;

use maud::DOCTYPE;
use maud::Markup;
use maud::PreEscaped;
use maud::html;

use crate::error::PageError;
use crate::model::page::Page;
use crate::policy::policy;
use crate::text::visible;

/// The page's styles.
const STYLE: &str = concat!(
    include_str!("../../assets/tokens.css"),
    include_str!("../../assets/page.css"),
    include_str!("../../assets/parts.css"),
    include_str!("../../assets/print.css")
);

/// The page's script: one function scope for all files, so that nothing of it is global.
const SCRIPT: &str = concat!(
    "(() => {\n\"use strict\";\n",
    include_str!("../../assets/base.js"),
    include_str!("../../assets/table.js"),
    include_str!("../../assets/tips.js"),
    include_str!("../../assets/compare.js"),
    "})();\n"
);

/// A section of the page: its id, its heading and what is in it.
pub(crate) struct Section {
    id: &'static str,
    heading: &'static str,
    body: Markup,
    /// Headings inside of it that the table of contents shows: id and text.
    parts: Vec<(String, String)>,
    /// Whether it needs script, and stays hidden without.
    scripted: bool,
}

/// The text of one HTML file with everything that `page` has. The same page gives the same bytes.
///
/// # Errors
/// If the graph has a cycle, an edge to nowhere or a name twice, a row of a table has not a cell for each column, or the
/// SVG of a figure is malformed or not allowed.
pub fn render(page: &Page) -> Result<String, PageError> {
    let (figures, figure_style) = figures::section(&page.figures)?;
    let sections: Vec<Section> = [
        head::warnings(page),
        results::section(&page.tables)?,
        figures,
        pipeline::section(page)?,
        runs::compare(&page.runs),
        runs::section(&page.runs),
        reproduce::section(&page.reproduce),
        head::notes(page),
    ]
    .into_iter()
    .flatten()
    .collect();
    let figure_style = visible(&figure_style);
    let mut styles = vec![STYLE];
    if !figure_style.is_empty() {
        styles.push(&figure_style);
    }
    let title = if page.title.trim().is_empty() { "Report" } else { page.title.trim() };
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(SCRIPT, &styles));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="generator" content=(page.program);
                title { (title) }
                @for style in &styles { style { (PreEscaped(style)) } }
            }
            body {
                a.skip href="#main" { "Skip to the results" }
                (head::header(page, title))
                div.layout {
                    (contents(&sections))
                    main #main tabindex="-1" {
                        @for section in &sections {
                            section id=(section.id) aria-labelledby={ (section.id) "-h" } hidden[section.scripted] {
                                h2 id={ (section.id) "-h" } { (section.heading) }
                                (section.body)
                            }
                        }
                    }
                }
                footer { p { "Made by " (program(page)) ". One file, complete without network and without JavaScript." } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(visible(&document.into_string()).into_owned())
}

/// The program that made the results.
fn program(page: &Page) -> &str {
    if page.program.trim().is_empty() { "ncf-pipe" } else { &page.program }
}

fn contents(sections: &[Section]) -> Markup {
    html! {
        nav aria-label="Contents" {
            ol {
                @for section in sections {
                    li hidden[section.scripted] {
                        a href={ "#" (section.id) } { (section.heading) }
                        @if !section.parts.is_empty() {
                            ol { @for (id, text) in &section.parts { li { a href={ "#" (id) } { (text) } } } }
                        }
                    }
                }
            }
        }
    }
}

/// Plain text in paragraphs, parted by empty lines.
fn paragraphs(text: &str) -> Markup {
    let text = text.replace("\r\n", "\n");
    html! {
        @for part in text.split("\n\n").map(str::trim).filter(|part| !part.is_empty()) { p { (part) } }
    }
}

#[cfg(test)]
mod tests;
