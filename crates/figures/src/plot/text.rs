//! How wide text is, and how it is made to fit.
//!
//! Widths are those of DejaVu Sans, which is wider than the fonts of nearly all browsers: what fits here fits there.

use crate::plot::widths::GREEK_CYRILLIC;
use crate::plot::widths::LATIN;

/// The width of `text` in pixels at a font size of `size` pixels.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size / 2048.0
}

/// In units of 1/2048 em. Characters outside the tables count as a full em, pictures as more.
fn advance(letter: char) -> f64 {
    let code = letter as usize;
    match code {
        0x20..=0x17f => f64::from(LATIN[code - 0x20]),
        0x370..=0x45f => f64::from(GREEK_CYRILLIC[code - 0x370]),
        0x1_f000.. => 2700.0,
        _ => 2048.0,
    }
}

/// `text` if it is at most `room` pixels wide, else as much of it as fits before an ellipsis.
pub(crate) fn fit(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = width("…", size);
    for letter in text.chars() {
        used += advance(letter) * size / 2048.0;
        if used > room {
            break;
        }
        out.push(letter);
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// As [`fit`], but cut in the middle: both ends of a name, of a stage and its coordinates, tell it apart from others.
pub(crate) fn fit_name(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let half = (room - width("…", size)) / 2.0;
    let take = |letters: &mut dyn Iterator<Item = char>| {
        let mut used = 0.0;
        let kept = letters.take_while(|letter| {
            used += advance(*letter) * size / 2048.0;
            used <= half
        });
        kept.collect::<Vec<char>>()
    };
    let head: String = take(&mut text.chars()).into_iter().collect();
    let tail: String = take(&mut text.chars().rev()).into_iter().rev().collect();
    format!("{}…{}", head.trim_end(), tail.trim_start())
}

/// Whether a text was cut to fit.
pub(crate) fn is_cut(shown: &str) -> bool {
    shown.contains('…')
}

/// How a text is cut that is wider than its room, given with the size of its font.
pub(crate) type Fit = fn(&str, f64, f64) -> String;

/// `text` in at most `lines` lines of at most `room` pixels, broken at spaces where possible; the last may be cut.
pub(crate) fn wrap(text: &str, size: f64, room: f64, lines: usize, fit: Fit) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut words = text.split(' ').filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.peek() {
        let longer = if line.is_empty() { (*word).to_owned() } else { format!("{line} {word}") };
        if line.is_empty() || width(&longer, size) <= room {
            line = longer;
            words.next();
        } else if out.len() + 1 == lines {
            break;
        } else {
            out.push(std::mem::take(&mut line));
        }
    }
    for word in words {
        line.push(' ');
        line.push_str(word);
    }
    if !line.is_empty() {
        out.push(line);
    }
    out.iter().map(|line| fit(line, size, room)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "png")]
    fn the_table_of_widths_is_that_of_the_embedded_font() {
        use skrifa::MetadataProvider;
        let font = skrifa::FontRef::new(crate::plot::png::FONT).unwrap();
        let metrics = font.glyph_metrics(skrifa::instance::Size::unscaled(), skrifa::instance::LocationRef::default());
        let mut seen = 0;
        for code in (0x20..=0x17f_u32).chain(0x370..=0x45f) {
            let letter = char::from_u32(code).unwrap();
            if let Some(glyph) = font.charmap().map(letter) {
                assert_eq!(metrics.advance_width(glyph).map(f64::from), Some(advance(letter)), "{letter:?}");
                seen += 1;
            }
        }
        assert!(seen > 500, "only {seen} characters");
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis_and_is_no_wider() {
        let text = "a rather long label";
        let cut = fit(text, 12.0, 60.0);
        assert!(cut.ends_with('…') && width(&cut, 12.0) <= 60.0, "{cut}");
        assert_eq!(fit(text, 12.0, 1000.0), text);
    }

    #[test]
    fn a_name_that_does_not_fit_keeps_both_ends() {
        for text in ["evaluate factors=32, loss=bce, gamma=2.0", "ééééééééééééééééééé", "名前名前名前名前名前"]
        {
            for room in [0.0, 8.0, 40.0, 90.0] {
                let cut = fit_name(text, 12.0, room);
                assert!(is_cut(&cut) && (width(&cut, 12.0) <= room || cut == "…"), "{cut} in {room}");
            }
            assert_eq!(fit_name(text, 12.0, 1000.0), text);
        }
        let cut = |text| fit_name(text, 12.0, 120.0);
        let (one, other) = (cut("evaluate factors=32, gamma=0.5"), cut("evaluate factors=32, gamma=2.0"));
        assert!(one != other && one.starts_with("eval") && other.ends_with("2.0"), "{one} {other}");
    }

    #[test]
    fn lines_break_at_spaces_and_the_last_is_cut() {
        let lines = wrap("one two three four five six", 12.0, 70.0, 2, fit);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "one two");
        assert!(lines[1].ends_with('…'));
        assert!(wrap("   ", 12.0, 70.0, 2, fit).is_empty());
    }
}
