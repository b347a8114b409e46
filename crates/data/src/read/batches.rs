//! Cuts a stream into batches of whole records, and a batch into chunks for parallel work.

use std::io::{self, Read};

use memchr::{memchr, memrchr};
use rayon::prelude::*;

use crate::read::field::MAX_FIELD;
use crate::read::sorted::Spill;
use crate::{Fault, Result};

/// The longest line, in bytes.
pub(crate) const MAX_LINE: usize = 16 << 20;

/// Whom to tell how far the work has come, whom to ask whether to go on, and where there is room.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    /// Told how many more bytes are done.
    pub advance: &'a (dyn Fn(u64) + Sync),
    /// Whether to stop.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Where rows go that are too many for memory; without it, all of them are in memory.
    pub spill: Option<Spill<'a>>,
}

impl Hooks<'_> {
    /// Tells nobody, never stops, and has all rows in memory.
    pub const NONE: Hooks<'static> = Hooks { advance: &|_| {}, cancelled: &|| false, spill: None };
}

/// How many bytes to take at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Read while the batch before is parsed.
    pub(crate) batch: usize,
    /// Parsed by one thread.
    pub(crate) chunk: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { batch: 16 << 20, chunk: 512 << 10 }
    }
}

/// The smallest batch in bytes, but for tests: what a file begins with must not depend on the memory that there is.
pub(crate) const SMALLEST: usize = 1 << 16;

impl Sizes {
    /// Batches that are small beside so many rows.
    pub(crate) fn for_rows(rows: usize) -> Self {
        let Self { batch, chunk } = Self::default();
        Self { batch: batch.min(rows.saturating_mul(4)).max(SMALLEST), chunk: chunk.min(rows).max(1 << 10) }
    }
}

/// Whole records in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where the records start in `bytes`; before it is a byte order mark.
    pub(crate) start: usize,
    /// Where each chunk ends; the last one is the end of the last whole record.
    cuts: Vec<usize>,
    /// The position in the file of the first byte.
    origin: u64,
    /// Why nothing can be read after these records.
    stop: Option<Stop>,
}

/// Why the rest of a file cannot be cut into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// A line of more than [`MAX_LINE`] bytes.
    LongLine,
    /// A quoted field, so many lines below the last whole record, that goes on for too long or to the end.
    OpenQuote { below: u64 },
}

impl Batch {
    /// The whole records.
    pub(crate) fn records(&self) -> &[u8] {
        self.bytes.get(self.start..self.cuts.last().copied().unwrap_or(self.start)).unwrap_or_default()
    }

    /// Leaves out the first bytes of the records, such as a header.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.start += bytes;
        self.cuts.retain(|&cut| cut > self.start);
    }

    /// The chunks, each with its position in the file.
    fn chunks(&self) -> Vec<(u64, &[u8])> {
        let starts = std::iter::once(self.start).chain(self.cuts.iter().copied());
        let pairs = starts.zip(&self.cuts);
        pairs.map(|(start, &end)| (self.origin + start as u64, &self.bytes[start..end])).collect()
    }

    /// Why there are no records, if the reason is not the end of the file.
    pub(crate) fn failure(&self, name: &str) -> Option<Fault> {
        self.stop.filter(|_| self.records().is_empty()).map(|stop| stop.error(name, 0))
    }

    fn is_last(&self) -> bool {
        self.cuts.is_empty()
    }
}

/// A stream of records, one a line; with `quote`, lines may be inside of quoted fields.
#[derive(Debug)]
pub(crate) struct Batches<R> {
    reader: R,
    name: String,
    /// The separator before a quote that opens a field.
    quote: Option<u8>,
    sizes: Sizes,
    /// The start of the record that the last batch could not hold.
    carry: Vec<u8>,
    origin: u64,
    ended: bool,
}

impl<R: Read> Batches<R> {
    pub(crate) fn new(reader: R, name: &str, quote: Option<u8>, sizes: Sizes) -> Self {
        Self { reader, name: name.to_owned(), quote, sizes, carry: Vec::new(), origin: 0, ended: false }
    }

    /// The next records; none at the end of the file. `spare` is memory to use again.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub(crate) fn next(&mut self, mut spare: Vec<u8>) -> Result<Batch> {
        spare.clear();
        let mut bytes = spare;
        let first = self.origin == 0 && self.carry.is_empty() && !self.ended;
        bytes.append(&mut self.carry);
        let origin = self.origin;
        loop {
            if !self.ended {
                self.fill(&mut bytes)?;
            }
            let start = if first && bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
            let found = self.cut(&bytes, start);
            let end = found.ends.last().copied().unwrap_or(start);
            let stop = found.stop.or((bytes.len() - end > MAX_LINE).then_some(Stop::LongLine));
            if found.ends.is_empty() && stop.is_none() && !self.ended {
                continue;
            }
            if stop.is_some() {
                self.ended = true;
            } else {
                self.carry.extend_from_slice(&bytes[end..]);
            }
            self.origin += end as u64;
            return Ok(Batch { bytes, start, cuts: found.ends, origin, stop });
        }
    }

    fn fill(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let mut filled = bytes.len();
        bytes.resize(filled + self.sizes.batch, 0);
        while filled < bytes.len() {
            match self.reader.read(&mut bytes[filled..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::io(format!("cannot read `{}`", self.name), error)),
            }
        }
        bytes.truncate(filled);
        Ok(())
    }

    /// Finds where the chunks end.
    fn cut(&self, bytes: &[u8], start: usize) -> Cuts {
        let mut cuts = Cuts { chunk: self.sizes.chunk, ends: Vec::new(), last: start, next: start, stop: None };
        let Some(separator) = self.quote else {
            cuts.outside(bytes, start, bytes.len());
            return cuts.close(bytes, self.ended);
        };
        let mut outside = start;
        let mut at = start;
        while let Some(quote) = memchr(b'"', &bytes[at..]).map(|found| at + found) {
            if !opens(bytes, start, quote, separator) {
                at = quote + 1;
                continue;
            }
            cuts.outside(bytes, outside, quote);
            let end = closing(bytes, quote + 1).filter(|&end| self.ended || end + 1 < bytes.len());
            let Some(end) = end else {
                if self.ended || bytes.len() - quote > 2 * MAX_FIELD {
                    let below = memchr::memchr_iter(b'\n', &bytes[cuts.last..quote]).count() as u64;
                    cuts.stop = Some(Stop::OpenQuote { below });
                }
                return cuts.close(bytes, false);
            };
            outside = end + 1;
            at = end + 1;
        }
        cuts.outside(bytes, outside, bytes.len());
        cuts.close(bytes, self.ended)
    }
}

/// Chunk ends as they are found.
struct Cuts {
    chunk: usize,
    ends: Vec<usize>,
    /// The end of the last whole record.
    last: usize,
    /// Where the next chunk may end.
    next: usize,
    stop: Option<Stop>,
}

impl Cuts {
    /// The bytes `from .. to` are outside of quotes: each line break in them ends a record.
    fn outside(&mut self, bytes: &[u8], from: usize, to: usize) {
        if let Some(end) = memrchr(b'\n', &bytes[from..to]) {
            self.last = from + end + 1;
        }
        while self.next + self.chunk <= to {
            let at = from.max(self.next + self.chunk - 1);
            let Some(end) = memchr(b'\n', &bytes[at..to]) else { break };
            self.next = at + end + 1;
            self.ends.push(self.next);
        }
    }

    fn close(mut self, bytes: &[u8], ended: bool) -> Self {
        if ended {
            self.last = bytes.len();
        }
        if self.last > self.next {
            self.ends.push(self.last);
        }
        self
    }
}

/// Whether the quote is the first byte of a field.
fn opens(bytes: &[u8], start: usize, quote: usize, separator: u8) -> bool {
    quote == start || bytes[quote - 1] == b'\n' || bytes[quote - 1] == separator
}

/// The quote that closes the field whose content starts at `at`; two quotes stand for one.
pub(crate) fn closing(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let quote = at + memchr(b'"', bytes.get(at..)?)?;
        if bytes.get(quote + 1) != Some(&b'"') {
            return Some(quote);
        }
        at = quote + 2;
    }
}

/// The end of the record that starts at `start`, its line break included. Sees quotes as the cutting does.
pub(crate) fn record_end(bytes: &[u8], start: usize, quote: Option<u8>) -> usize {
    let Some(separator) = quote else {
        return memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |end| start + end + 1);
    };
    let mut at = start;
    while let Some(found) = memchr::memchr2(b'"', b'\n', &bytes[at..]).map(|found| at + found) {
        if bytes[found] == b'\n' {
            return found + 1;
        }
        at = found + 1;
        if opens(bytes, start, found, separator) {
            let Some(end) = closing(bytes, at) else { return bytes.len() };
            at = end + 1;
        }
    }
    bytes.len()
}

/// Takes all records of a stream through `parse`, chunks in parallel, and hands the results on in the order of the
/// file. The next batch is read while one is parsed. `consume` gets a batch's results and its length in bytes, and returns
/// how many lines there were so far, for messages.
///
/// # Errors
/// When the stream cannot be read or cut, or `consume` fails, or the caller asks to stop.
pub(crate) fn drive<R: Read + Send, T: Send>(
    mut batches: Batches<R>,
    first: Batch,
    parse: impl Fn(u64, &[u8]) -> T + Sync,
    mut consume: impl FnMut(Vec<T>, u64) -> Result<u64>,
    hooks: Hooks<'_>,
) -> Result<()> {
    let mut batch = first;
    let mut spare = Vec::new();
    loop {
        if (hooks.cancelled)() {
            return Err(Fault::cancelled());
        }
        let (parsed, next) = rayon::join(
            || batch.chunks().into_par_iter().with_max_len(1).map(|(origin, chunk)| parse(origin, chunk)).collect(),
            || if batch.stop.is_some() { Ok(Batch::default()) } else { batches.next(spare) },
        );
        let bytes = batch.records().len() as u64;
        (hooks.advance)(bytes);
        let lines = consume(parsed, bytes)?;
        if let Some(stop) = batch.stop {
            return Err(stop.error(&batches.name, lines));
        }
        let next = next?;
        if next.is_last() && next.stop.is_none() {
            return Ok(());
        }
        spare = std::mem::replace(&mut batch, next).bytes;
    }
}

impl Stop {
    fn error(self, name: &str, lines: u64) -> Fault {
        match self {
            Self::LongLine => {
                Fault::data(format!("{name}:{}: the line is longer than {} MiB", lines + 1, MAX_LINE >> 20))
                    .help("check that `format` is the format of the file")
            }
            Self::OpenQuote { below } => Fault::data(format!(
                "{name}:{}: a quoted field opens here and is not closed within {} KiB",
                lines + below + 1,
                MAX_FIELD >> 10
            ))
            .help("close the quotes, or set `format: delimited` with `separator: \",\"` if quotes have no meaning"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The records of a stream, one after the other.
    fn records(bytes: &[u8], quote: Option<u8>, sizes: Sizes) -> Result<Vec<Vec<u8>>> {
        let mut batches = Batches::new(bytes, "x", quote, sizes);
        let first = batches.next(Vec::new())?;
        let mut all = Vec::new();
        let mut lines = 0;
        let parse = |origin: u64, chunk: &[u8]| {
            let origin = origin as usize;
            assert_eq!(chunk, &bytes[origin..origin + chunk.len()]);
            let mut records = Vec::new();
            let mut at = 0;
            while at < chunk.len() {
                let end = record_end(chunk, at, quote);
                records.push(chunk[at..end].to_vec());
                at = end;
            }
            records
        };
        let consume = |blocks: Vec<Vec<Vec<u8>>>, _| {
            for record in blocks.into_iter().flatten() {
                lines += memchr::memchr_iter(b'\n', &record).count() as u64;
                all.push(record);
            }
            Ok(lines)
        };
        drive(batches, first, parse, consume, Hooks::NONE)?;
        Ok(all)
    }

    const ALL: Sizes = Sizes { batch: 1 << 20, chunk: 1 << 20 };

    #[test]
    fn quoted_line_breaks_do_not_end_a_record() {
        let text = b"a,\"b\nc\",d\n\"x\"\"\n\"\"\",y\nplain \"quote\" here,z\nlast";
        let found = records(text, Some(b','), ALL).unwrap();
        let expected: [&[u8]; 4] = [b"a,\"b\nc\",d\n", b"\"x\"\"\n\"\"\",y\n", b"plain \"quote\" here,z\n", b"last"];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_open_quote_is_an_error_at_its_line() {
        let error = records(b"a,b\nc,d\ne,\"f\ng,h\n", Some(b','), Sizes { batch: 3, chunk: 2 }).unwrap_err();
        insta::assert_snapshot!(error, @"x:3: a quoted field opens here and is not closed within 64 KiB");
    }

    #[test]
    fn a_line_without_end_is_an_error_and_not_a_full_memory() {
        let endless = io::repeat(b'x');
        let mut batches = Batches::new(endless, "x", None, Sizes::default());
        let batch = batches.next(Vec::new()).unwrap();
        insta::assert_snapshot!(batch.stop.unwrap().error("x", 3), @"x:4: the line is longer than 16 MiB");
    }

    #[test]
    fn a_quote_without_end_is_an_error_and_not_a_full_memory() {
        let endless = b"a,\"".chain(io::repeat(b'x'));
        let mut batches = Batches::new(endless, "x", Some(b','), Sizes { batch: 1000, chunk: 100 });
        assert_eq!(batches.next(Vec::new()).unwrap().stop, Some(Stop::OpenQuote { below: 0 }));
    }

    #[test]
    fn a_read_error_names_the_file() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no such device"))
            }
        }
        let error = Batches::new(Broken, "a.csv", None, ALL).next(Vec::new()).unwrap_err();
        insta::assert_snapshot!(error, @"cannot read `a.csv`: no such device");
    }

    #[test]
    fn a_request_to_stop_is_heard() {
        let mut batches = Batches::new(&b"a\nb\n"[..], "x", None, Sizes { batch: 2, chunk: 2 });
        let first = batches.next(Vec::new()).unwrap();
        let hooks = Hooks { cancelled: &|| true, ..Hooks::NONE };
        assert_eq!(drive(batches, first, |_, _| (), |_, _| Ok(0), hooks), Err(Fault::cancelled()));
    }

    proptest! {
        #[test]
        fn small_sizes_cut_as_one_large_does(
            text in prop::collection::vec(prop::sample::select(b"a,\"\n\r".to_vec()), 0..60),
            batch in 1_usize..9, chunk in 1_usize..9, quoted in any::<bool>(),
        ) {
            let quote = quoted.then_some(b',');
            let whole = records(&text, quote, ALL);
            prop_assert_eq!(&records(&text, quote, Sizes { batch, chunk }), &whole);
            if let Ok(records) = whole {
                prop_assert_eq!(records.concat(), text);
            }
        }
    }
}
