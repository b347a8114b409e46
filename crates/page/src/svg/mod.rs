//! Figures: read as XML, and rebuilt from lists of allowed names.
//!
//! A figure is text that another part of the program made. Rebuilding it, rather than looking for what is bad in it,
//! means that what XML and HTML read differently (CDATA, entities, `<title>` with elements in it, unclosed tags) can
//! never reach the page.

mod names;
mod style;

use maud::PreEscaped;
use maud::Render;
use roxmltree::Document;
use roxmltree::Node;

use crate::error::PageError;
use crate::model::figure::Figure;

/// The namespace that a figure and everything in it must be in.
const SVG: &str = "http://www.w3.org/2000/svg";

/// The namespace of the old way to write `href`.
const XLINK: &str = "http://www.w3.org/1999/xlink";

/// Elements that may be inside each other. Reading is iterative, writing is not; browsers, too, stop at some hundreds.
const DEPTH: usize = 100;

/// The width in CSS pixels below which a figure is not shrunk to fit, because its letters would be too small to read.
const LEGIBLE: f64 = 560.0;

/// A figure that may go into the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drawing {
    /// The SVG, to be put in as it is.
    pub(crate) svg: String,
    /// Its style rules, which only apply inside of it; they go into the head of the page.
    pub(crate) style: String,
    /// Whether any mark has a tooltip.
    pub(crate) has_tips: bool,
}

/// Rebuilds the SVG of the figure with this number, counted from 1.
///
/// # Errors
/// If it is no well-formed SVG, or has an element, an attribute, a reference or a style that is not allowed.
pub(crate) fn rebuild(figure: &Figure, number: usize) -> Result<Drawing, PageError> {
    let fail = |problem: String| PageError::Figure { figure: figure.title.clone(), problem };
    let document = Document::parse(&figure.svg)
        .map_err(|error| fail(format!("its SVG is not well-formed XML ({error}): write one closed `<svg>` element")))?;
    let root = document.root_element();
    if !root.has_tag_name((SVG, "svg")) {
        return Err(fail(format!("its root is `<{}>`: write `<svg xmlns=\"{SVG}\">`", root.tag_name().name())));
    }
    let mut writer = Writer { figure: number, ..Writer::default() };
    writer.root(root, figure).map_err(fail)?;
    Ok(writer.out)
}

#[derive(Default)]
struct Writer {
    figure: usize,
    out: Drawing,
}

impl Writer {
    fn root(&mut self, root: Node, figure: &Figure) -> Result<(), String> {
        let own_title = root.children().find(|child| child.has_tag_name((SVG, "title"))).and_then(|node| node.text());
        let label = root.attribute("aria-label").or(own_title).unwrap_or(&figure.title).to_owned();
        let view: Vec<f64> = root
            .attribute("viewBox")
            .map(|text| text.split([' ', ',']).filter(|part| !part.is_empty()).flat_map(str::parse).collect())
            .unwrap_or_default();
        let &[_, _, width, height] = view.as_slice() else {
            return Err("its `<svg>` has no `viewBox` of four numbers: add one, so that it can be scaled".to_owned());
        };
        if !(width > 0.0 && width < 1e5 && height > 0.0 && height < 1e5) {
            return Err("the sides of its `viewBox` are not between 0 and 100,000: correct them".to_owned());
        }
        let class = if width > LEGIBLE { "wide" } else { "small" };
        self.out.svg.push_str("<svg");
        self.put("role", "img");
        self.put("aria-label", &label);
        self.put("width", &format!("{width}"));
        self.put("height", &format!("{height}"));
        self.put("class", &format!("{class} {}", root.attribute("class").unwrap_or_default()));
        // The label is made above: a `<title>` of the root would follow the pointer about the whole figure.
        let made = ["role", "aria-label", "aria-labelledby", "width", "height", "class", "style"];
        self.attributes(root, &made)?;
        self.out.svg.push('>');
        for child in root.children().filter(|child| !child.has_tag_name((SVG, "title"))) {
            self.node(child, 1)?;
        }
        self.out.svg.push_str("</svg>");
        Ok(())
    }

    fn put(&mut self, name: &str, value: &str) {
        self.out.svg.push(' ');
        self.out.svg.push_str(name);
        self.out.svg.push_str("=\"");
        value.render_to(&mut self.out.svg);
        self.out.svg.push('"');
    }

    fn node(&mut self, node: Node, depth: usize) -> Result<(), String> {
        if node.is_text() {
            node.text().unwrap_or_default().render_to(&mut self.out.svg);
            return Ok(());
        }
        if !node.is_element() {
            return Ok(()); // Comments and processing instructions mean nothing to a reader of the page.
        }
        if depth > DEPTH {
            return Err(format!("its elements are more than {DEPTH} deep: flatten its groups"));
        }
        let name = node.tag_name().name();
        if node.tag_name().namespace() != Some(SVG) {
            return Err(format!("`<{name}>` is not SVG: remove it"));
        }
        if name == "style" {
            let text: String = node.children().filter_map(|child| child.text()).collect();
            let scoped = style::scoped(&text, &format!("#figure-{}", self.figure))?;
            self.out.style.push_str(&scoped);
            return Ok(());
        }
        if !names::ELEMENTS.contains(&name) {
            return Err(format!("`<{name}>` is not allowed in a figure: draw with shapes and text"));
        }
        self.out.svg.push('<');
        self.out.svg.push_str(name);
        self.attributes(node, &["data-tooltip"])?;
        self.out.svg.push('>');
        if name == "title" || name == "desc" {
            // HTML reads the inside of these two as HTML, so there is only text in them.
            let text: String = node.descendants().filter(Node::is_text).filter_map(|child| child.text()).collect();
            text.render_to(&mut self.out.svg);
            self.out.has_tips |= name == "title";
        } else {
            // As `<title>`, a tooltip works without script, too.
            let has_title = node.children().any(|child| child.has_tag_name((SVG, "title")));
            if let (Some(tip), false) = (node.attribute("data-tooltip"), has_title) {
                self.out.svg.push_str("<title>");
                tip.render_to(&mut self.out.svg);
                self.out.svg.push_str("</title>");
                self.out.has_tips = true;
            }
            for child in node.children() {
                self.node(child, depth + 1)?;
            }
        }
        self.out.svg.push_str("</");
        self.out.svg.push_str(name);
        self.out.svg.push('>');
        Ok(())
    }

    fn attributes(&mut self, node: Node, made: &[&str]) -> Result<(), String> {
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            let place = || format!("`{name}` of `<{}>`", node.tag_name().name());
            match attribute.namespace() {
                None => {}
                Some(XLINK) if name == "href" => {}
                Some(_) if name == "space" => continue, // `xml:space`: HTML ignores it
                Some(_) => return Err(format!("{} is in a foreign namespace: remove it", place())),
            }
            if made.contains(&name) && name != "style" {
                continue;
            }
            if name == "style" {
                for (property, value) in style::declarations(value).map_err(|why| format!("{}: {why}", place()))? {
                    if node.attribute(property).is_none() {
                        self.put(property, value);
                    }
                }
                continue;
            }
            if name.starts_with("data-") || (name.starts_with("aria-") && !names::ID_LISTS.contains(&name)) {
                // roxmltree has checked the name as XML; HTML needs it without what ends a tag, which XML forbids, too.
                self.put(name, value);
                continue;
            }
            if names::ID_LISTS.contains(&name) {
                let ids: Vec<String> = value.split_whitespace().map(|id| self.id(id)).collect();
                self.put(name, &ids.join(" "));
                continue;
            }
            if !names::is_attribute(name) {
                return Err(format!("{} is not allowed in a figure: remove it", place()));
            }
            let value = match (name, value.strip_prefix('#')) {
                ("id", _) => self.id(value),
                ("href", Some(id)) => format!("#{}", self.id(id)),
                ("href", None) => return Err(format!("{} is external: refer to an id, as in `#mark`", place())),
                _ => self.references(value).map_err(|why| format!("{}: {why}", place()))?,
            };
            self.put(name, &value);
        }
        Ok(())
    }

    fn id(&self, id: &str) -> String {
        format!("f{}-{id}", self.figure)
    }

    /// `value` with its `url(#id)` given the prefix of ids.
    fn references(&self, value: &str) -> Result<String, String> {
        style::check(value)?;
        let mut out = String::with_capacity(value.len());
        let mut rest = value;
        while let Some(at) = rest.find("url(#") {
            let (before, after) = rest.split_at(at + "url(#".len());
            out.push_str(before);
            out.push_str(&self.id(""));
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

impl Render for Drawing {
    fn render_to(&self, buffer: &mut String) {
        PreEscaped(&self.svg).render_to(buffer);
    }
}

#[cfg(test)]
mod tests;
