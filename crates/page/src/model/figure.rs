//! Figures.

use serde::Deserialize;
use serde::Serialize;

/// A figure: SVG with a title and a caption.
///
/// The SVG is rebuilt element by element from a list of allowed names; what is not on it is an error, never dropped in
/// silence. Colours may be CSS custom properties of the page (see README). Marks may have a `data-tooltip` attribute or
/// a `<title>`; both are shown on hover, focus and touch. Ids are given a prefix, so that two figures may use the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Its title, after `Figure 1.`.
    pub title: String,
    /// What can be seen. Plain text; a reader who cannot see the figure relies on it.
    #[serde(default)]
    pub caption: String,
    /// One `<svg>` element as text.
    pub svg: String,
}
