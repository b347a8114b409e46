//! Published candidates: `.test.negative` lines of NCF, `(user,item)` and then items that the user has not seen.

use std::io::Read;

use crate::read::{Encoding, File, Hooks, Id, IdRule, LineLog, Sizes, drive, each_line, open};
use crate::read_split::{Limits, refuse_bad};
use crate::{Fault, Result};

/// Each user's held-out item and the items that it is ranked against, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    /// The line of each user, counted from 1.
    pub(super) line: Vec<u64>,
    pub(super) user: Vec<u32>,
    pub(super) positive: Vec<u32>,
    /// Where each user's items end in `item`.
    pub(super) end: Vec<usize>,
    pub(super) item: Vec<u32>,
}

#[derive(Default)]
struct Chunk {
    log: LineLog,
    found: Candidates,
}

impl Candidates {
    /// The items of the user at place `k`.
    pub(super) fn items(&self, k: usize) -> &[u32] {
        let start = if k == 0 { 0 } else { self.end[k - 1] };
        &self.item[start..self.end[k]]
    }

    fn append(&mut self, other: Self, above: u64) {
        let items = self.item.len();
        self.line.extend(other.line.into_iter().map(|line| line + above));
        self.user.extend(other.user);
        self.positive.extend(other.positive);
        self.end.extend(other.end.into_iter().map(|end| end + items));
        self.item.extend(other.item);
    }
}

/// Reads a file of candidates.
///
/// # Errors
/// When the stream cannot be read, a line is not `(user,item)` followed by items, an id is out of range, or there are
/// no lines.
pub fn read_candidates(
    input: impl Read + Send,
    file: File<'_>,
    limits: Limits,
    hooks: Hooks<'_>,
) -> Result<Candidates> {
    read_sized(input, file, limits, Sizes::default(), hooks)
}

pub(super) fn read_sized(
    input: impl Read + Send,
    file: File<'_>,
    limits: Limits,
    sizes: Sizes,
    hooks: Hooks<'_>,
) -> Result<Candidates> {
    let (batches, first) = open(input, file.name, None, sizes)?;
    let mut log = LineLog::default();
    let mut all = Candidates::default();
    let parse = |origin: u64, bytes: &[u8]| {
        let mut chunk = Chunk::default();
        let line = |chunk: &mut Chunk, line: &[u8]| chunk.push(line, limits);
        each_line(&mut chunk, origin, bytes, Encoding::Utf8, |chunk| &mut chunk.log, line);
        chunk
    };
    let consume = |chunks: Vec<Chunk>, _| {
        for chunk in chunks {
            all.append(chunk.found, log.lines());
            log.append(chunk.log);
        }
        Ok(log.lines())
    };
    drive(batches, first, parse, consume, hooks)?;
    refuse_bad(&log, file.name, "the lines should be `(user,item)` and its candidates, between tabs")?;
    if all.user.is_empty() {
        return Err(Fault::data(format!("0 users with candidates in `{}`", file.name)).help("check the path"));
    }
    Ok(all)
}

impl Chunk {
    fn push(&mut self, line: &[u8], limits: Limits) -> Result<(), String> {
        let line = line.strip_suffix(b"\t").unwrap_or(line);
        let tab = memchr::memchr(b'\t', line);
        let (user, positive) = tuple(&line[..tab.unwrap_or(line.len())], limits)?;
        let items = &line[tab.ok_or("no candidates")? + 1..];
        let start = self.found.item.len();
        for field in items.split(|&byte| byte == b'\t') {
            match dense(field, limits.items) {
                Ok(item) => self.found.item.push(item),
                Err(what) => {
                    self.found.item.truncate(start);
                    return Err(format!("candidate {what}"));
                }
            }
        }
        self.log.good();
        self.found.line.push(self.log.lines());
        self.found.user.push(user);
        self.found.positive.push(positive);
        self.found.end.push(self.found.item.len());
        Ok(())
    }
}

/// A pair such as `(0,25)` or `(0, 25)`.
pub(super) fn tuple(field: &[u8], limits: Limits) -> Result<(u32, u32), String> {
    let inner = field.strip_prefix(b"(").and_then(|field| field.strip_suffix(b")"));
    let comma = inner.and_then(|inner| inner.iter().position(|&byte| byte == b','));
    let (Some(inner), Some(comma)) = (inner, comma) else {
        return Err("does not start with `(user,item)`".to_owned());
    };
    let (user, item) = (&inner[..comma], &inner[comma + 1..]);
    let item = item.strip_prefix(b" ").unwrap_or(item);
    let user = dense(user, limits.users).map_err(|what| format!("user {what}"))?;
    let item = dense(item, limits.items).map_err(|what| format!("item {what}"))?;
    Ok((user, item))
}

/// A dense id.
pub(super) fn dense(field: &[u8], rule: IdRule) -> Result<u32, String> {
    match rule.parse(field)? {
        // The rule keeps it within 31 bits.
        Id::Int(id) => Ok(id as u32),
        Id::Text(_) => Err("is not a plain integer".to_owned()),
    }
}
