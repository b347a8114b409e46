//! Chunks of text in which each line is a record.

use std::borrow::Cow;

use memchr::memchr;

use crate::read::bad::LineLog;
use crate::read::batches::record_end;
use crate::read::options::Encoding;

/// Takes each line of a chunk to `parse`, which notes those that it can read; `log` finds the log of what it fills.
/// `origin` is the position of the chunk in the file.
pub(crate) fn each_line<B>(
    block: &mut B,
    origin: u64,
    chunk: &[u8],
    encoding: Encoding,
    log: fn(&mut B) -> &mut LineLog,
    parse: impl Fn(&mut B, &[u8]) -> Result<(), String>,
) {
    let text = decode(chunk, encoding);
    let text = text.as_ref();
    let plain = is_plain(text);
    let mut at = 0;
    while at < text.len() {
        let end = record_end(text, at, None);
        let record = trim(&text[at..end]);
        if record.is_empty() {
            log(block).push_blank();
        } else if let Err(what) = check_text(record, plain, origin + at as u64).and_then(|()| parse(block, record)) {
            log(block).push_bad(record, || what);
        }
        at = end;
    }
}

/// Latin-1 bytes are the first 256 characters of Unicode.
pub(crate) fn decode(bytes: &[u8], encoding: Encoding) -> Cow<'_, [u8]> {
    if encoding == Encoding::Utf8 || bytes.is_ascii() {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes())
}

/// Whether there is nothing that [`check_text`] would refuse: quicker for many lines at once.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    memchr(0, text).is_none() && std::str::from_utf8(text).is_ok()
}

/// Refuses a record that is not text; `at` is its position in the file.
pub(crate) fn check_text(record: &[u8], plain: bool, at: u64) -> Result<(), String> {
    if plain {
        return Ok(());
    }
    if let Err(error) = std::str::from_utf8(record) {
        let place = error.valid_up_to();
        let byte = record.get(place).copied().unwrap_or_default();
        let at = at + place as u64;
        return Err(format!("byte 0x{byte:02X} at offset {at} of the file is not UTF-8"));
    }
    if memchr(0, record).is_some() { Err("a NUL byte".to_owned()) } else { Ok(()) }
}

/// A record without its line break.
pub(crate) fn trim(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}
