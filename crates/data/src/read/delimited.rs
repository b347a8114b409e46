//! Records of delimited text: a fast path for plain numbers, and a careful path for everything else.

use std::borrow::Cow;

use memchr::memchr;

use crate::read::batches::{closing, record_end};
use crate::read::field::{self, Id, IdRule, MAX_FIELD};
use crate::read::layout::Layout;
use crate::read::lines::{check_text, decode, is_plain, trim};
use crate::read::options::{Encoding, IdKind, Role, TimestampUnit};
use crate::read::plain;
use crate::read::table::{Block, Row, Shape};

/// Turns chunks of delimited text into blocks of rows.
#[derive(Debug)]
pub(crate) struct Delimited {
    pub(crate) layout: Layout,
    pub(crate) shape: Shape,
    pub(crate) unit: TimestampUnit,
    pub(crate) encoding: Encoding,
}

impl Delimited {
    /// The byte before a quote that opens a field, if quotes have a meaning.
    pub(crate) fn quote(&self) -> Option<u8> {
        quote(&self.layout)
    }

    /// Reads whole records; `origin` is the position of the first byte in the file.
    pub(crate) fn parse(&self, origin: u64, chunk: &[u8]) -> Block {
        let text = decode(chunk, self.encoding);
        let text = text.as_ref();
        let plain_text = is_plain(text);
        let mut block = Block::new(&self.shape);
        let mut at = 0;
        let usual = plain_text && self.is_usual();
        while at < text.len() {
            if usual {
                at = plain::rows(text, at, self.layout.separator[0], &mut block);
                if at == text.len() {
                    break;
                }
            }
            if plain_text && let Some((row, end)) = self.fast(text, at, &block) {
                block.push(row);
                at = end;
                continue;
            }
            let end = record_end(text, at, self.quote());
            let record = trim(&text[at..end]);
            if record.is_empty() {
                block.log.push_blank();
            } else if let Err(what) = check_text(record, plain_text, origin + at as u64) {
                block.log.push_bad(record, || what);
            } else {
                match self.careful(record) {
                    Ok(row) => block.push(row.borrow()),
                    Err(what) => block.log.push_bad(record, || what),
                }
            }
            // A record with quoted line breaks is more than one line.
            block.log.extend(memchr::memchr_iter(b'\n', record).count() as u64);
            at = end;
        }
        block.pack(&self.shape);
        block
    }

    /// Whether there is a parser of its own for these columns: user, item, rating and time in seconds, of any ids.
    fn is_usual(&self) -> bool {
        let [user, item, rating, timestamp] = [Role::User, Role::Item, Role::Rating, Role::Timestamp].map(Some);
        let any = |rule| matches!(rule, IdRule::Kind(IdKind::Auto | IdKind::Integer));
        self.layout.roles == [user, item, rating, timestamp]
            && self.layout.separator.len() == 1
            && self.unit == TimestampUnit::S
            && any(self.shape.user)
            && any(self.shape.item)
    }

    /// A row of which all wanted fields are plain, and where the next one starts.
    #[inline]
    fn fast<'a>(&self, text: &'a [u8], start: usize, block: &Block) -> Option<(Row<'a>, usize)> {
        let separator = self.layout.separator.as_slice();
        let mut row = Row::default();
        let mut at = start;
        let last = self.layout.roles.len() - 1;
        for (place, role) in self.layout.roles.iter().enumerate() {
            match role {
                Some(Role::User) => (row.user, at) = self.fast_id(text, at, block.user.is_text(), self.shape.user)?,
                Some(Role::Item) => (row.item, at) = self.fast_id(text, at, block.item.is_text(), self.shape.item)?,
                Some(Role::Rating) => (row.rating, at) = fast_rating(text, at)?,
                Some(Role::Timestamp) => {
                    let (value, end) = fast_integer(text, at)?;
                    row.timestamp = field::seconds(value, self.unit);
                    at = end;
                }
                Some(Role::Clean) => {
                    row.clean = match text.get(at)? {
                        b'0' => false,
                        b'1' => true,
                        _ => return None,
                    };
                    at += 1;
                }
                None => at = self.fast_text(text, at)?,
            }
            if place < last {
                at = after(text, at, separator)?;
            }
        }
        match text.get(at) {
            None => Some((row, at)),
            Some(b'\n') => Some((row, at + 1)),
            Some(b'\r') if text.get(at + 1) == Some(&b'\n') => Some((row, at + 2)),
            Some(_) => None,
        }
    }

    #[inline]
    fn fast_id<'a>(&self, text: &'a [u8], at: usize, is_text: bool, rule: IdRule) -> Option<(Id<'a>, usize)> {
        if is_text {
            let end = self.fast_text(text, at)?;
            return (end > at).then(|| (Id::Text(&text[at..end]), end));
        }
        let (value, end) = fast_integer(text, at)?;
        rule.check(value).ok()?;
        Some((Id::Int(value), end))
    }

    /// The end of a field without quotes.
    #[inline]
    fn fast_text(&self, text: &[u8], at: usize) -> Option<usize> {
        let first = *self.layout.separator.first()?;
        let rest = text.get(at..text.len().min(at + MAX_FIELD))?;
        let end = memchr::memchr2(first, b'\n', rest)?;
        let field = &rest[..end];
        // A carriage return may belong to the line break, a quote is an error: both are the careful path's.
        let careful = field.last() == Some(&b'\r') || (self.layout.quoted && memchr(b'"', field).is_some());
        (!careful).then_some(at + end)
    }

    /// A row of a record without its line break.
    fn careful<'a>(&self, record: &'a [u8]) -> Result<OwnedRow<'a>, String> {
        let fields = self.split(record)?;
        let width = self.layout.roles.len();
        let trailing = fields.len() == width + 1 && fields.last().is_some_and(|field| field.is_empty());
        if fields.len() != width && !trailing {
            let plural = if fields.len() == 1 { "" } else { "s" };
            return Err(format!("{} field{plural} instead of {width}", fields.len()));
        }
        let mut row = OwnedRow::default();
        for (field, role) in fields.into_iter().zip(&self.layout.roles) {
            if field.len() > MAX_FIELD {
                return Err(format!("a field is longer than {} KiB", MAX_FIELD >> 10));
            }
            let Some(role) = *role else { continue };
            let fault = |what| format!("{} {what}", role.name());
            match role {
                Role::User => row.user = self.shape.user.parse_owned(field).map_err(fault)?,
                Role::Item => row.item = self.shape.item.parse_owned(field).map_err(fault)?,
                Role::Rating => row.rest.rating = field::rating(&field).map_err(fault)?,
                Role::Timestamp => row.rest.timestamp = field::timestamp(&field, self.unit).map_err(fault)?,
                Role::Clean => row.rest.clean = field::flag(&field).map_err(fault)?,
            }
        }
        Ok(row)
    }

    fn split<'a>(&self, record: &'a [u8]) -> Result<Vec<Cow<'a, [u8]>>, String> {
        split(record, &self.layout.separator, self.layout.quoted)
    }
}

/// The byte before a quote that opens a field, if quotes have a meaning.
pub(crate) fn quote(layout: &Layout) -> Option<u8> {
    layout.separator.first().copied().filter(|_| layout.quoted)
}

/// The fields of a record.
pub(crate) fn split<'a>(record: &'a [u8], separator: &[u8], quoted: bool) -> Result<Vec<Cow<'a, [u8]>>, String> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let rest = &record[at..];
        if quoted && rest.first() == Some(&b'"') {
            let end = closing(rest, 1).ok_or("a quoted field is not closed")?;
            fields.push(unquote(&rest[1..end]));
            let tail = &rest[end + 1..];
            if tail.is_empty() {
                return Ok(fields);
            }
            if !tail.starts_with(separator) {
                return Err("text after the closing quote of a field".to_owned());
            }
            at += end + 1 + separator.len();
            continue;
        }
        let end = find(rest, separator);
        let field = &rest[..end.unwrap_or(rest.len())];
        if quoted && field.contains(&b'"') {
            return Err("a quote inside of a field that is not quoted".to_owned());
        }
        fields.push(Cow::Borrowed(field));
        let Some(end) = end else { return Ok(fields) };
        at += end + separator.len();
    }
}

/// Where the separator is, if it is there.
fn find(text: &[u8], separator: &[u8]) -> Option<usize> {
    let first = *separator.first()?;
    memchr::memchr_iter(first, text).find(|&at| text[at..].starts_with(separator))
}

fn unquote(content: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'"', content).is_none() {
        return Cow::Borrowed(content);
    }
    let mut out = Vec::with_capacity(content.len());
    let mut bytes = content.iter();
    while let Some(&byte) = bytes.next() {
        out.push(byte);
        if byte == b'"' {
            // Two quotes stand for one.
            bytes.next();
        }
    }
    Cow::Owned(out)
}

/// A row whose ids may have been unquoted.
#[derive(Debug, Default)]
struct OwnedRow<'a> {
    user: OwnedId<'a>,
    item: OwnedId<'a>,
    rest: Row<'static>,
}

#[derive(Debug)]
enum OwnedId<'a> {
    Int(i64),
    Text(Cow<'a, [u8]>),
}

impl Default for OwnedId<'_> {
    fn default() -> Self {
        Self::Int(0)
    }
}

impl OwnedId<'_> {
    fn borrow(&self) -> Id<'_> {
        match self {
            Self::Int(id) => Id::Int(*id),
            Self::Text(text) => Id::Text(text),
        }
    }
}

impl OwnedRow<'_> {
    fn borrow(&self) -> Row<'_> {
        Row { user: self.user.borrow(), item: self.item.borrow(), ..self.rest }
    }
}

impl IdRule {
    fn parse_owned(self, text: Cow<'_, [u8]>) -> Result<OwnedId<'_>, String> {
        if let Id::Int(id) = self.parse(&text)? {
            return Ok(OwnedId::Int(id));
        }
        Ok(OwnedId::Text(text))
    }
}

/// The position behind the separator, if it is next.
#[inline]
fn after(text: &[u8], at: usize, separator: &[u8]) -> Option<usize> {
    if let [byte] = separator {
        return (text.get(at)? == byte).then_some(at + 1);
    }
    text.get(at..)?.starts_with(separator).then_some(at + separator.len())
}

/// A plain integer of at most 18 digits and where it ends; see [`field::integer`].
#[inline]
fn fast_integer(text: &[u8], start: usize) -> Option<(i64, usize)> {
    let negative = *text.get(start)? == b'-';
    let first = start + usize::from(negative);
    let (value, end) = digits(text, first);
    let count = end - first;
    if count == 0 || count > 18 || (text[first] == b'0' && (count > 1 || negative)) {
        return None;
    }
    let value = value as i64;
    Some((if negative { -value } else { value }, end))
}

/// The number that the digits from here on make, and where they end. Wraps on too many digits.
#[inline]
fn digits(text: &[u8], start: usize) -> (u64, usize) {
    let mut value = 0_u64;
    let mut at = start;
    while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let (some, count) = eight_digits(u64::from_le_bytes(*word));
        value = value.wrapping_mul(TENS[count]).wrapping_add(some);
        at += count;
        if count < 8 {
            return (value, at);
        }
    }
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (value, at)
}

pub(super) const TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The number that the digits at the start of eight bytes make, and how many they are. The bytes are worked on together,
/// since the length of an id is what a processor cannot predict (after Lemire, "Quickly parsing eight digits", 2018).
#[inline]
pub(super) fn eight_digits(word: u64) -> (u64, usize) {
    // Digits become 0 to 9. Adding 0x76 sets the top bit of what is more; a carry only reaches bytes behind.
    let word = word ^ 0x3030_3030_3030_3030;
    let others = (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() / 8;
    // The digits move to the end, with zeros before them.
    let word = word.checked_shl(64 - 8 * count).unwrap_or(0);
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let first = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let second = (pairs >> 16 & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    (first.wrapping_add(second) >> 32, count as usize)
}

/// A rating of a few digits with at most one point, and where it ends.
///
/// With at most 7 digits, both the digits and the power of ten are exact in `f32`, so that one division rounds as the
/// decimal number would (Clinger 1990).
#[inline]
fn fast_rating(text: &[u8], start: usize) -> Option<(f32, usize)> {
    const EXACT: [f32; 8] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];
    let (whole, point) = digits(text, start);
    let before = point - start;
    if before == 0 || before > 7 {
        return None;
    }
    if text.get(point) != Some(&b'.') {
        return Some((whole as f32, point));
    }
    let (fraction, end) = digits(text, point + 1);
    let behind = end - point - 1;
    if behind == 0 || before + behind > 7 {
        return None;
    }
    let digits = whole * TENS[behind] + fraction;
    Some((digits as f32 / EXACT[behind], end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_fast_integer_is_the_careful_one(text in "-?[0-9]{0,20}[,x]?", value in any::<i64>()) {
            for text in [text, value.to_string()] {
                let end = text.find([',', 'x']).unwrap_or(text.len());
                if let Some(found) = fast_integer(text.as_bytes(), 0) {
                    prop_assert_eq!(Some(found.0), field::integer(&text.as_bytes()[..end]));
                    prop_assert_eq!(found.1, end);
                }
            }
        }

        #[test]
        fn the_fast_rating_is_the_careful_one(text in "[0-9]{0,5}\\.?[0-9]{0,5}") {
            if let Some((found, end)) = fast_rating(text.as_bytes(), 0) {
                prop_assert_eq!(Ok(found.to_bits()), field::rating(text.as_bytes()).map(f32::to_bits));
                prop_assert_eq!(end, text.len());
            }
        }

        #[test]
        fn eight_digits_are_read_as_one_by_one(bytes in prop::array::uniform8(prop_oneof![b'0'..=b'9', any::<u8>()])) {
            let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let value = bytes[..count].iter().fold(0, |value, byte| value * 10 + u64::from(byte - b'0'));
            prop_assert_eq!(eight_digits(u64::from_le_bytes(bytes)), (value, count));
        }

        #[test]
        fn split_undoes_quoting(fields in prop::collection::vec("[ab,\"\n\r]{0,6}", 1..6)) {
            let quoted: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            let record = quoted.join(",");
            let found = split(record.as_bytes(), b",", true).unwrap();
            let expected: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
            prop_assert_eq!(found.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>(), expected);
        }
    }

    #[test]
    fn plain_numbers_take_the_fast_path() {
        assert_eq!(fast_integer(b"881250949\t", 0), Some((881_250_949, 9)));
        assert_eq!(fast_integer(b"-5", 0), Some((-5, 2)));
        assert_eq!(fast_rating(b"3.5\n", 0), Some((3.5, 3)));
        assert_eq!(fast_rating(b"4", 0), Some((4.0, 1)));
    }
}
