//! Figures, and the styles that they bring along.

use maud::html;

use crate::error::PageError;
use crate::html::Section;
use crate::html::paragraphs;
use crate::model::figure::Figure;
use crate::svg;

/// The figures, or nothing if there are none, and their style rules.
///
/// # Errors
/// If the SVG of one is malformed or not allowed.
pub(super) fn section(figures: &[Figure]) -> Result<(Option<Section>, String), PageError> {
    let mut style = String::new();
    let mut drawings = Vec::with_capacity(figures.len());
    for (i, figure) in figures.iter().enumerate() {
        let drawing = svg::rebuild(figure, i + 1)?;
        style.push_str(&drawing.style);
        drawings.push((i + 1, figure, drawing));
    }
    if drawings.is_empty() {
        return Ok((None, style));
    }
    let parts = drawings
        .iter()
        .map(|(n, figure, _)| (format!("figure-{n}-h"), format!("Figure {n}. {}", figure.title)))
        .collect();
    let body = html! {
        @for (n, figure, drawing) in &drawings {
            figure id={ "figure-" (n) } aria-labelledby={ "figure-" (n) "-h" } {
                div.scroll role="region" aria-labelledby={ "figure-" (n) "-h" } tabindex="0" data-tips[drawing.has_tips] {
                    (drawing)
                }
                figcaption {
                    h3 id={ "figure-" (n) "-h" } { span.label { "Figure " (n) "." } " " (figure.title) }
                    (paragraphs(&figure.caption))
                }
            }
        }
    };
    Ok((Some(Section { id: "figures", heading: "Figures", body, parts, scripted: false }), style))
}
