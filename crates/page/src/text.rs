//! Characters that must not be on the page as they are.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether `c` is invisible, or changes how text around it is read: controls, bidirectional controls, line separators
/// that are none in HTML, invisible operators and tags, and code points that are no characters.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}' // controls
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // bidi (UAX #9)
        | '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
        | '\u{fdd0}'..='\u{fdef}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
        || (u32::from(c) & 0xfffe) == 0xfffe
}

/// `text` with every hidden character written out as `[U+202E]`, and without carriage returns.
///
/// Meant for a whole page: what it puts in is plain ASCII that means nothing to HTML, in text and in attributes alike.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c == '\r' || is_hidden(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| *c != '\r') {
        if is_hidden(c) {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "[U+{:04X}]", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// `text` of at most `width` columns, cut in the middle with an ellipsis: both ends of a stage's name tell it apart.
/// Letters of East Asian scripts, and all above them, count two.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    let columns = |c: char| if u32::from(c) >= 0x1100 { 2 } else { 1 };
    if text.chars().map(columns).sum::<usize>() <= width {
        return text.to_owned();
    }
    let half = width.saturating_sub(1) / 2;
    let take = |chars: &mut dyn Iterator<Item = char>| {
        let mut used = 0;
        let mut kept = Vec::new();
        for c in chars {
            used += columns(c);
            if used > half {
                break;
            }
            kept.push(c);
        }
        kept
    };
    let head: String = take(&mut text.chars()).into_iter().collect();
    let tail: String = take(&mut text.chars().rev()).into_iter().rev().collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reorders_or_hides_text_is_written_out() {
        // "Trojan Source" (Boucher, Anderson 2021), and U+0000, which HTML parsers replace or drop.
        assert_eq!(visible("a\u{202e}b\0c\r\nd\u{fffe}"), "a[U+202E]b[U+0000]c\nd[U+FFFE]");
        assert_eq!(visible("naïve ≥ 日本 👩‍🔬\tx"), "naïve ≥ 日本 👩‍🔬\tx");
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shorten("train", 5), "train");
        assert_eq!(shorten("evaluate_with_dropout", 11), "evalu…opout");
        assert_eq!(shorten("日本語日本語", 7), "日…語");
    }
}
