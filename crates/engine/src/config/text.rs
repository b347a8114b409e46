//! From bytes to text: what is checked before any reader of YAML sees it.

use crate::config::names::quote;
use crate::config::{Problem, Source, Span};

/// The largest pipeline file, in bytes. The largest hand-written one would be a tenth of it.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// The most lines and values. The cost of reading brackets grows with their number times their depth.
const MAX_PARTS: usize = 100_000;

/// Turns the bytes of a file into its text, without a byte order mark.
///
/// # Errors
/// Too large, not UTF-8, or characters that readers of YAML treat in different ways.
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Source, Problem> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    if bytes.len() > MAX_BYTES {
        let head = bytes.get(..200).unwrap_or(bytes);
        let source = Source::new(name, &String::from_utf8_lossy(head));
        return Err(Problem::new(&source, Span::new(0, 0), "the file is larger than 1 MiB")
            .help("is it a pipeline? data belongs in files of its own, which a `read` stage names by `path`"));
    }
    let (text, skipped) = match bytes.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) => (text, BYTE_ORDER_MARK.len()),
        None => (bytes, 0),
    };
    let text = str::from_utf8(text).map_err(|error| not_utf8(name, text, error.valid_up_to(), skipped))?;
    let source = Source::new(name, text);
    characters(&source)?;
    parts(&source)?;
    directive(&source)?;
    Ok(source)
}

fn not_utf8(name: &str, bytes: &[u8], at: usize, skipped: usize) -> Problem {
    let byte = bytes.get(at).copied().unwrap_or_default();
    // What comes before `at` is valid, so it keeps its length, and the replacement character stands at `at`.
    let source = Source::new(name, &String::from_utf8_lossy(bytes));
    let span = Span::new(at, at + char::REPLACEMENT_CHARACTER.len_utf8());
    Problem::new(&source, span, format!("not UTF-8: byte 0x{byte:02X} at offset {}", at + skipped))
        .label("this byte")
        .help("save the file as UTF-8")
}

/// Refuses characters that are invisible, or that end a line for one reader of YAML and not for another.
fn characters(source: &Source) -> Result<(), Problem> {
    let text = source.text();
    for (at, c) in text.char_indices() {
        let what = match c {
            '\n' | '\t' | ' '..='~' => continue,
            '\r' if text[at + 1..].starts_with('\n') => continue,
            '\r' => "a carriage return without a line feed",
            '\0' => "a NUL character",
            '\u{feff}' => "a byte order mark inside the text",
            '\u{85}' | '\u{2028}' | '\u{2029}' => "a line separator that only some readers of YAML know",
            '\u{fffe}' | '\u{ffff}' => "a character that is not allowed in YAML",
            c if c.is_control() => "a control character",
            _ => continue,
        };
        let span = Span::new(at, at + c.len_utf8());
        let escape =
            if u32::from(c) < 0x100 { format!("\\x{:02x}", u32::from(c)) } else { format!("\\u{:04x}", u32::from(c)) };
        return Err(Problem::new(source, span, format!("{what} (U+{:04X})", u32::from(c)))
            .label("here")
            .help(format!("remove it; inside a text in double quotes it can be written as `{escape}`")));
    }
    Ok(())
}

/// Refuses a text with more lines and values than any pipeline has, judged by the signs that set values apart.
fn parts(source: &Source) -> Result<(), Problem> {
    let sign = |byte: u8| matches!(byte, b'\n' | b',' | b'[' | b'{' | b'!' | b'&');
    let signs = source.text().bytes().enumerate().filter(|&(_, byte)| sign(byte));
    let Some((at, _)) = signs.into_iter().nth(MAX_PARTS) else { return Ok(()) };
    Err(Problem::new(source, Span::new(at, at + 1), format!("the file has more than {MAX_PARTS} lines and values"))
        .label("up to here")
        .help("is it a pipeline? data belongs in files of its own, which a `read` stage names by `path`"))
}

/// Refuses `%YAML` and `%TAG`: they change what the rest means.
fn directive(source: &Source) -> Result<(), Problem> {
    let mut start = 0;
    for line in source.text().split_inclusive('\n') {
        if line.starts_with('%') {
            let span = Span::new(start, start + line.trim_end().len());
            return Err(Problem::new(
                source,
                span,
                format!("directives such as {} are not supported", quote(line.trim_end())),
            )
            .help("remove the line"));
        }
        let content = line.trim_start();
        if !content.is_empty() && !content.starts_with('#') {
            break;
        }
        start += line.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> Problem {
        decode("f.yaml", bytes).unwrap_err()
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(decode("f", b"\xef\xbb\xbfname: a\n").unwrap().text(), "name: a\n");
    }

    #[test]
    fn crlf_and_tabs_and_all_letters_are_text() {
        assert!(decode("f", "a: 1\r\nb: \"\t\"\r\nü: 日本語 😀\r\n".as_bytes()).is_ok());
    }

    #[test]
    fn the_offset_of_what_is_not_utf8_counts_the_byte_order_mark() {
        let problem = refused(b"name: a\nseed: \xe9\n");
        assert_eq!(problem.message(), "not UTF-8: byte 0xE9 at offset 14");
        assert_eq!(problem.line_column(), Some((2, 7)));
        assert_eq!(refused(b"\xef\xbb\xbf\xff").message(), "not UTF-8: byte 0xFF at offset 3");
        assert_eq!(
            refused("name".encode_utf16().flat_map(u16::to_be_bytes).chain([0xff]).collect::<Vec<_>>().as_slice())
                .line_column(),
            Some((1, 9))
        );
    }

    #[test]
    fn a_file_larger_than_a_mebibyte_is_refused() {
        assert!(decode("f", &vec![b'#'; MAX_BYTES]).is_ok());
        let problem = refused(&vec![b'#'; MAX_BYTES + 1]);
        assert_eq!(problem.message(), "the file is larger than 1 MiB");
        assert_eq!(problem.line_column(), Some((1, 1)));
    }

    #[test]
    fn a_file_of_more_than_a_hundred_thousand_values_is_refused() {
        assert!(decode("f", format!("[{}]", "a,".repeat(MAX_PARTS - 1)).as_bytes()).is_ok());
        let problem = refused(format!("[{}]", "a,".repeat(MAX_PARTS)).as_bytes());
        assert_eq!(problem.message(), "the file has more than 100000 lines and values");
        assert_eq!(problem.line_column(), Some((1, 200_001)));
    }

    #[test]
    fn invisible_characters_are_refused_where_they_stand() {
        for (text, place, help) in [
            ("a: \0", (1, 4), "\\x00"),
            ("a: 1\nb: \u{7}", (2, 4), "\\x07"),
            ("a: \u{7f}", (1, 4), "\\x7f"),
            ("a: \u{85}", (1, 4), "\\x85"),
            ("a: é\u{2028}b", (1, 5), "\\u2028"),
            ("a: \u{feff}", (1, 4), "\\ufeff"),
            ("a: 1\rb: 2", (1, 5), "\\x0d"),
            ("# \u{1b}[31m", (1, 3), "\\x1b"),
        ] {
            let problem = refused(text.as_bytes());
            assert_eq!(problem.line_column(), Some(place), "{text:?}");
            assert!(problem.remedy().unwrap().contains(help), "{text:?}: {problem:?}");
        }
    }

    #[test]
    fn directives_are_refused() {
        assert_eq!(refused(b"# c\n\n%YAML 1.1\n---\na: 1\n").line_column(), Some((3, 1)));
        assert!(decode("f", b"a: |\n  x\n%b\n").is_ok(), "only before the document");
    }
}
