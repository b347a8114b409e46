//! Reads interactions from files of many formats into [`Sorted`] rows, strictly: a line that is not what it should be
//! is never guessed at.
//!
//! Text is read in large batches. While the next batch is read, the last one is parsed by all threads; line numbers
//! are kept by counting lines, never by looking back. Whether ids are integers or strings is decided by all ids of the
//! column, so that the order of the lines does not matter.

mod bad;
mod batches;
mod chunk;
mod delimited;
mod field;
mod jsonl;
mod layout;
mod lines;
mod options;
mod parquet;
mod plain;
mod sorted;
mod table;
#[cfg(test)]
mod tests;
mod waiting;

use std::io::Read;

pub use batches::Hooks;
pub use options::{
    Auto, ColumnMap, ColumnRef, Encoding, FORMATS, Format, Header, IdKind, OnBadLine, Options, TimestampUnit,
    check_separator,
};
pub use parquet::read_parquet;
pub use sorted::{Sorted, Spill, Totals};

pub(crate) use bad::LineLog;
pub(crate) use batches::{Batch, Batches, Sizes, drive};
pub(crate) use field::{Id, IdRule};
pub(crate) use lines::each_line;
pub(crate) use table::{Block, Builder, Has, Row, Shape};

use bad::BadLines;
use batches::{SMALLEST, record_end};
use delimited::Delimited;
use jsonl::{JsonLines, Names};
use layout::Layout;
use lines::{check_text, trim};

use crate::{Fault, Result};

/// What is known of a file before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// Its name for messages.
    pub name: &'a str,
    /// Its length in bytes, if known; it only helps to take the right amount of memory at once.
    pub size: Option<u64>,
}

/// What was read.
#[derive(Debug)]
pub struct Reading {
    /// The interactions, in the canonical order.
    pub rows: Sorted,
    /// How many lines (or rows of a Parquet file) there were, without a header.
    pub lines: u64,
    /// How many of them were left out because they are bad.
    pub skipped: u64,
    /// What was wrong with the first of those.
    pub warning: Option<String>,
}

/// Reads a text file of any format but Parquet.
///
/// # Errors
/// When the stream cannot be read, when its form does not fit the options, when there are bad lines (unless they are to
/// be skipped), and when there are no interactions at all.
pub fn read_text(input: impl Read + Send, file: File<'_>, options: &Options, hooks: Hooks<'_>) -> Result<Reading> {
    let kind = IdRule::Kind(options.ids);
    let sizes = hooks.spill.map_or_else(Sizes::default, |spill| Sizes::for_rows(spill.rows));
    read_with(input, file, options, [kind, kind], sizes, hooks)
}

/// As [`read_text`], with rules for user and item ids.
///
/// # Errors
/// As [`read_text`].
pub(crate) fn read_with(
    input: impl Read + Send,
    File { name, size }: File<'_>,
    options: &Options,
    [user, item]: [IdRule; 2],
    sizes: Sizes,
    hooks: Hooks<'_>,
) -> Result<Reading> {
    let quote = options.separator.bytes().next().filter(|_| options.format == Format::Csv);
    let (batches, mut first) = open(input, name, quote, sizes)?;
    let encoding = options.encoding;
    let unit = options.timestamp_unit;
    if options.format == Format::Jsonl {
        let shape = Shape::new(user, item, Has { rating: true, timestamp: true, clean: true });
        let parser = JsonLines { names: Names::new(&options.columns), shape, unit, encoding };
        let mut builder = Builder::new(&parser.shape, 0, hooks.spill);
        let parse = |origin: u64, chunk: &[u8]| parser.parse(origin, chunk);
        drive(batches, first, parse, |blocks, bytes| absorb(&mut builder, blocks, size, bytes), hooks)?;
        keep_common(&mut builder, name)?;
        return finish(builder, 0, name, options, "line");
    }
    let (layout, header) = find_layout(&mut first, name, options, quote)?;
    let parser = Delimited { shape: Shape::new(user, item, layout.has), layout, unit, encoding };
    let mut builder = Builder::new(&parser.shape, header, hooks.spill);
    let parse = |origin: u64, chunk: &[u8]| parser.parse(origin, chunk);
    drive(batches, first, parse, |blocks, bytes| absorb(&mut builder, blocks, size, bytes), hooks)?;
    finish(builder, header, name, options, "line")
}

/// Starts to read a text file and refuses what is no text, or nothing at all.
pub(crate) fn open<R: Read>(input: R, name: &str, quote: Option<u8>, sizes: Sizes) -> Result<(Batches<R>, Batch)> {
    let mut batches = Batches::new(input, name, quote, sizes);
    let first = batches.next(Vec::new())?;
    if let Some(error) = refuse_binary(first.records(), name).or_else(|| first.failure(name)) {
        return Err(error);
    }
    if first.records().is_empty() {
        return Err(nothing(name, "the file is empty"));
    }
    Ok((batches, first))
}

/// Adds the blocks of a batch of so many `bytes` from a file of so many bytes.
fn absorb(builder: &mut Builder<'_>, blocks: Vec<Block>, size: Option<u64>, bytes: u64) -> Result<u64> {
    let whole = size.unwrap_or(bytes) as f64 / bytes.max(1) as f64;
    builder.absorb(blocks, whole)?;
    Ok(builder.log().lines())
}

/// Files that are something else altogether, by their first bytes.
fn refuse_binary(bytes: &[u8], name: &str) -> Option<Fault> {
    let kinds: [(&[u8], &str, &str); 6] = [
        (b"PAR1", "a Parquet file", "set `format: parquet`"),
        (b"\x1f\x8b", "compressed with gzip", "decompress it first"),
        (b"PK\x03\x04", "a zip archive", "unpack it first"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd", "decompress it first"),
        (b"\xff\xfe", "UTF-16", "convert it to UTF-8 first"),
        (b"\xfe\xff", "UTF-16", "convert it to UTF-8 first"),
    ];
    let (_, what, help) = kinds.into_iter().find(|(start, ..)| bytes.starts_with(start))?;
    Some(Fault::data(format!("`{name}` is {what}, not text")).help(help))
}

fn nothing(name: &str, why: &str) -> Fault {
    Fault::data(format!("0 interactions in `{name}`: {why}")).help("check the path and `format`")
}

/// The layout that the first record leads to, and how many lines the header takes.
fn find_layout(first: &mut Batch, name: &str, options: &Options, quote: Option<u8>) -> Result<(Layout, u64)> {
    let records = first.records();
    let mut start = 0;
    let (record, end, line) = loop {
        let end = record_end(records, start, quote);
        let record = trim(&records[start..end]);
        let line = 1 + memchr::memchr_iter(b'\n', &records[..start]).count() as u64;
        if !record.is_empty() {
            break (record, end, line);
        }
        if end >= records.len() {
            return Err(nothing(name, "the file has only blank lines"));
        }
        if options.header {
            return Err(Fault::data(format!("{name}:{line}: the line is blank, but a header should be here"))
                .help("remove the line, or set `header: false`"));
        }
        start = end;
    };
    let usual = if options.on_bad_line == OnBadLine::Skip && !options.header {
        usual_fields(&records[start..], options, quote)
    } else {
        None
    };
    let fields = usual.map_or_else(|| fields_of(record, start, options), Ok).map_err(|what| {
        let mut bad = BadLines::default();
        bad.push(line, record, || what);
        let help = if options.header {
            "this line is the header, which cannot be left out: check `format`, `separator` and `encoding`".to_owned()
        } else {
            check_or_skip("line")
        };
        Fault::data(bad.describe(name, "line")).help(help)
    })?;
    let layout = Layout::of(&fields, options, name)?;
    if !options.header {
        return Ok((layout, 0));
    }
    layout::refuse_data_as_header(&fields, &options.columns, name)?;
    let lines = memchr::memchr_iter(b'\n', &records[..end]).count() as u64;
    first.skip(end);
    Ok((layout, lines.max(1)))
}

/// What to do about bad lines or rows, as far as the first of them tells; `all` are bad, or some.
fn remedy(bad: &BadLines, all: bool, unit: &str, options: &Options) -> String {
    let Some(first) = bad.first.first() else { return check_or_skip(unit) };
    let is = |what: &str| first.what.ends_with(what);
    let may_be_header = !all && !options.header && unit == "line" && bad.count == 1 && first.line == 1;
    if may_be_header && first.what.contains(" is not a") {
        return format!("if line 1 names the columns, set `header: true`; else {}", check_or_skip(unit));
    }
    if first.what.starts_with("timestamp") && is("is not a whole number") {
        let rule = "times are whole numbers of seconds since 1970, or of what `timestamp_unit` says: write them so";
        return if all { rule.to_owned() } else { format!("{rule}, or {}", check_or_skip(unit)) };
    }
    if all && is("is not a plain 64-bit integer") {
        return "set `ids: string`, or `ids: auto`".to_owned();
    }
    // Leaving all of them out would leave nothing.
    if all { "check `format`, `columns` and `encoding`".to_owned() } else { check_or_skip(unit) }
}

/// What to do about bad lines or rows.
fn check_or_skip(unit: &str) -> String {
    format!("check `format`, `columns` and `encoding`, or leave such {unit}s out with `on_bad_line: skip`")
}

/// The fields of a record that begins at this place of the file, or what is wrong with it.
fn fields_of(record: &[u8], at: usize, options: &Options) -> std::result::Result<Vec<String>, String> {
    let text = lines::decode(record, options.encoding);
    check_text(&text, false, at as u64)?;
    let fields = delimited::split(&text, options.separator.as_bytes(), options.format == Format::Csv)?;
    Ok(fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect())
}

/// The fields of the first record that has as many as most of those that the file begins with: where bad lines are left
/// out, the first may be one of them.
fn usual_fields(records: &[u8], options: &Options, quote: Option<u8>) -> Option<Vec<String>> {
    let mut found: Vec<(usize, Vec<String>)> = Vec::new();
    let mut start = 0;
    while start < records.len() {
        let end = record_end(records, start, quote);
        if end > SMALLEST {
            break;
        }
        let record = trim(&records[start..end]);
        start = end;
        if record.is_empty() {
            continue;
        }
        let Ok(fields) = fields_of(record, 0, options) else { continue };
        match found.iter_mut().find(|(_, first)| first.len() == fields.len()) {
            Some((count, _)) => *count += 1,
            None => found.push((1, fields)),
        }
    }
    // Of equally frequent ones, that which comes first.
    found.into_iter().rev().max_by_key(|(count, _)| *count).map(|(_, fields)| fields)
}

/// In JSON lines, an optional column is one that all objects have. If only some have it, none may guess.
fn keep_common(builder: &mut Builder<'_>, name: &str) -> Result<()> {
    let rows = builder.rows();
    let mut has = [true; 3];
    for ((has, lack), column) in has.iter_mut().zip(builder.lacks()).zip(["rating", "timestamp", "clean"]) {
        *has = lack.rows == 0;
        if lack.rows > 0 && lack.rows < rows {
            return Err(Fault::data(format!(
                "{} of {rows} lines in `{name}` have no {column}, the first is line {}",
                lack.rows, lack.first
            ))
            .help(format!(
                "name the column under `columns` to make it required, and set `on_bad_line: skip` to leave out the \
                 lines without a {column}"
            )));
        }
    }
    let [rating, timestamp, clean] = has;
    builder.keep(Has { rating, timestamp, clean });
    Ok(())
}

/// Joins the rows and sorts them, unless there are none, or bad lines that may not be skipped.
fn finish(builder: Builder<'_>, header: u64, name: &str, options: &Options, unit: &str) -> Result<Reading> {
    let bad = builder.log().bad().clone();
    let lines = builder.log().lines() - header;
    if bad.count > 0 && (options.on_bad_line == OnBadLine::Error || builder.rows() == 0) {
        let empty = if builder.rows() == 0 { "0 interactions: " } else { "" };
        return Err(Fault::data(format!("{empty}{}", bad.describe(name, unit))).help(remedy(
            &bad,
            builder.rows() == 0,
            unit,
            options,
        )));
    }
    if builder.rows() == 0 {
        let why = if header > 0 { "the file has only a header".to_owned() } else { format!("the file has no {unit}s") };
        return Err(nothing(name, &why));
    }
    let rows = builder.finish_sorted()?;
    let warning = (bad.count > 0).then(|| format!("left out {}", bad.describe(name, unit)));
    Ok(Reading { rows, lines, skipped: bad.count, warning })
}
