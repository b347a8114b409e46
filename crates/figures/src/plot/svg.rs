//! Writing SVG text: elements, attributes, escaping.

use crate::number;

/// Labels longer than this many characters are cut even in tooltips.
const LONGEST: usize = 1000;

/// An SVG document that is being written. Elements that are opened are closed in order.
pub(crate) struct Svg {
    out: String,
    open: Vec<&'static str>,
}

/// An element whose attributes are being written.
pub(crate) struct Tag<'a> {
    svg: &'a mut Svg,
    name: &'static str,
}

impl Svg {
    pub(crate) fn new() -> Self {
        Self { out: String::new(), open: Vec::new() }
    }

    /// Starts an element; finish it with one of the methods of [`Tag`].
    pub(crate) fn tag(&mut self, name: &'static str) -> Tag<'_> {
        self.out.push('<');
        self.out.push_str(name);
        Tag { svg: self, name }
    }

    /// Opens a group of a class.
    pub(crate) fn group(&mut self, class: &str) {
        self.tag("g").attr("class", class).open();
    }

    /// Closes the element that was opened last.
    pub(crate) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push_str(">\n");
        }
    }

    /// A child `<title>`: what browsers show as a tooltip and screen readers as a name.
    pub(crate) fn title(&mut self, text: &str) {
        self.tag("title").text(text);
    }

    /// The text of a style sheet; it is ours, but escaped all the same.
    pub(crate) fn style(&mut self, css: &str) {
        self.tag("style").text(css);
    }

    /// Closes everything and gives the text.
    pub(crate) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }
}

impl Tag<'_> {
    /// An attribute with text, escaped.
    pub(crate) fn attr(self, name: &str, value: &str) -> Self {
        self.svg.out.push(' ');
        self.svg.out.push_str(name);
        self.svg.out.push_str("=\"");
        escape(value, &mut self.svg.out);
        self.svg.out.push('"');
        self
    }

    /// An attribute with a coordinate.
    pub(crate) fn at(self, name: &str, value: f64) -> Self {
        let text = number::coord(value);
        self.attr(name, &text)
    }

    /// The attribute `data-` and `name`, with a number in full precision; nothing where there is none.
    pub(crate) fn data(self, name: &str, value: Option<f64>) -> Self {
        match value {
            Some(value) if value.is_finite() => self.attr(&format!("data-{name}"), &number::exact(value)),
            _ => self,
        }
    }

    /// An element without content.
    pub(crate) fn leaf(self) {
        self.svg.out.push_str("/>\n");
    }

    /// An element with text.
    pub(crate) fn text(self, text: &str) {
        self.svg.out.push('>');
        escape(text, &mut self.svg.out);
        self.svg.out.push_str("</");
        self.svg.out.push_str(self.name);
        self.svg.out.push_str(">\n");
    }

    /// An element with a tooltip.
    pub(crate) fn tip(self, text: &str) {
        self.svg.out.push_str("><title>");
        escape(text, &mut self.svg.out);
        self.svg.out.push_str("</title></");
        self.svg.out.push_str(self.name);
        self.svg.out.push_str(">\n");
    }

    /// An element with text, and a tooltip with the full text where `shown` is cut.
    pub(crate) fn label(self, shown: &str, full: &str) {
        if shown == full {
            self.text(shown);
        } else {
            self.svg.out.push('>');
            escape(shown, &mut self.svg.out);
            self.tip_only(full);
        }
    }

    fn tip_only(self, full: &str) {
        self.svg.out.push_str("<title>");
        escape(full, &mut self.svg.out);
        self.svg.out.push_str("</title></");
        self.svg.out.push_str(self.name);
        self.svg.out.push_str(">\n");
    }

    /// An element with children: close it with [`Svg::close`].
    pub(crate) fn open(self) {
        self.svg.out.push_str(">\n");
        self.svg.open.push(self.name);
    }
}

/// A label fit to be shown: one line, no control characters and no marks that turn the direction of what follows.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        out.push(match letter {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' => '\u{fffd}',
            letter if letter.is_control() || letter.is_whitespace() => ' ',
            letter if !allowed(letter) => '\u{fffd}',
            letter => letter,
        });
    }
    out.trim().to_owned()
}

/// Whether XML 1.0 allows the character (production 2, `Char`).
fn allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter if allowed(letter) => out.push(letter),
            _ => out.push('\u{fffd}'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_are_escaped() {
        let mut svg = Svg::new();
        svg.tag("text").attr("data-name", "\"><script>").text("]]>&\u{0}</text>");
        assert_eq!(
            svg.finish(),
            "<text data-name=\"&quot;&gt;&lt;script&gt;\">]]&gt;&amp;\u{fffd}&lt;/text&gt;</text>\n"
        );
    }

    #[test]
    fn labels_lose_control_characters_and_direction_marks() {
        assert_eq!(clean(" a\u{202e}b\r\n\u{7}c "), "a\u{fffd}b   c");
        assert_eq!(clean(&"x".repeat(5000)).chars().count(), 1001);
    }
}
