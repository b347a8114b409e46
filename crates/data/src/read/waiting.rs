//! Rows that wait in memory until all of the file is read, block by block and packed.
//!
//! Files are mostly sorted by user already. Their rows are then brought into order piece by piece, on all threads, and all
//! rows are never in memory unpacked.

use std::ops::Range;

use rayon::prelude::*;

use crate::columns::{Columns, IdColumn};
use crate::dictionary::{Collector, Distinct};
use crate::frame::RawIds;
use crate::packed::{Floats, Narrow};
use crate::read::sorted::Totals;
use crate::read::table::{Has, Values};
use crate::scan::{PIECE, WAVE};
use crate::{Fault, Result};

/// The rows of a block, whose ids are all integers.
#[derive(Debug)]
pub(super) struct Packed {
    user: Narrow,
    item: Narrow,
    rating: Option<Floats>,
    timestamp: Option<Narrow>,
    clean: Option<Vec<bool>>,
    /// Whether users ascend.
    ascending: bool,
}

impl Packed {
    pub(super) fn of(user: &[i64], item: &[i64], values: &Values, has: Has) -> Self {
        Self {
            user: Narrow::of(user),
            item: Narrow::of(item),
            rating: has.rating.then(|| Floats::of(&values.rating)),
            timestamp: has.timestamp.then(|| Narrow::of(&values.timestamp)),
            clean: has.clean.then(|| values.clean.clone()),
            ascending: user.is_sorted(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.user.len()
    }

    pub(super) fn users(&self, out: &mut Vec<i64>) {
        self.user.append(0..self.rows(), out, |id| id);
    }

    pub(super) fn items(&self, out: &mut Vec<i64>) {
        self.item.append(0..self.rows(), out, |id| id);
    }

    pub(super) fn values(&self, out: &mut Values) {
        self.some_values(0..self.rows(), out);
    }

    fn some_values(&self, rows: Range<usize>, out: &mut Values) {
        if let Some(rating) = &self.rating {
            rating.append(rows.clone(), &mut out.rating);
        }
        if let Some(timestamp) = &self.timestamp {
            timestamp.append(rows.clone(), &mut out.timestamp, |time| time);
        }
        if let Some(clean) = &self.clean {
            out.clean.extend_from_slice(&clean[rows]);
        }
    }

    fn last_user(&self) -> i64 {
        self.user.get(self.rows() - 1)
    }
}

/// The rows of a file that is sorted by user.
#[derive(Debug)]
pub(super) struct ByUser {
    /// None is empty; those that were handed on are gone.
    blocks: Vec<Option<Packed>>,
    /// The last user of each.
    lasts: Vec<i64>,
    rows: usize,
    has: Has,
}

impl ByUser {
    /// These blocks, if their users ascend from the first to the last row. `has` are the optional columns that are wanted.
    pub(super) fn of(mut blocks: Vec<Packed>, has: Has) -> Result<Self, Vec<Packed>> {
        blocks.retain(|block| block.rows() > 0);
        let follows = |pair: &[Packed]| pair[0].last_user() <= pair[1].user.get(0);
        if !blocks.iter().all(|block| block.ascending) || !blocks.windows(2).all(follows) {
            return Err(blocks);
        }
        let lasts = blocks.iter().map(Packed::last_user).collect();
        let rows = blocks.iter().map(Packed::rows).sum();
        Ok(Self { blocks: blocks.into_iter().map(Some).collect(), lasts, rows, has })
    }

    /// Hands on pieces of whole users, each in the canonical order.
    pub(super) fn each(mut self, each: &mut dyn FnMut(Columns) -> Result<()>) -> Result<Totals> {
        let mut totals = Totals { rows: self.rows, ..Totals::default() };
        let mut items = Collector::new(self.rows);
        for wave in self.pieces().chunks(WAVE / PIECE) {
            let piece = |blocks: &Range<usize>| {
                let columns = self.piece(blocks);
                let items = match &columns.item {
                    IdColumn::Int(ids) => Distinct::of(&RawIds::Int(ids)),
                    IdColumn::Str(_) => return Err(Fault::failed("numbers became strings")),
                };
                Ok((runs(&columns.user), items, columns))
            };
            let done: Vec<Result<_>> = wave.par_iter().with_max_len(1).map(piece).collect();
            let end = wave.last().map_or(0, |blocks| blocks.end);
            // The pieces of this wave hold all rows of these blocks.
            self.blocks[..end].iter_mut().for_each(|block| *block = None);
            for piece in done {
                let (users, of_piece, columns) = piece?;
                totals.users += users;
                items.add(of_piece)?;
                if !columns.is_empty() {
                    each(columns)?;
                }
            }
        }
        totals.items = items.len();
        Ok(totals)
    }

    /// All rows.
    pub(super) fn into_columns(self) -> Columns {
        self.piece(&(0..self.blocks.len()))
    }

    /// Ranges of blocks with about [`PIECE`] rows each.
    fn pieces(&self) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let (mut first, mut rows) = (0, 0);
        for (number, block) in self.blocks.iter().enumerate() {
            rows += block.as_ref().map_or(0, Packed::rows);
            if rows >= PIECE || number + 1 == self.blocks.len() {
                pieces.push(first..number + 1);
                (first, rows) = (number + 1, 0);
            }
        }
        pieces
    }

    /// The rows of the users that begin in these blocks, sorted.
    fn piece(&self, blocks: &Range<usize>) -> Columns {
        let before = blocks.start.checked_sub(1).map(|block| self.lasts[block]);
        let last = blocks.end.checked_sub(1).map(|block| self.lasts[block]);
        let mut parts: Vec<(&Packed, Range<usize>)> = Vec::with_capacity(blocks.len() + 1);
        for (number, block) in self.blocks.iter().enumerate().skip(blocks.start) {
            let Some(block) = block else { continue };
            let from = before.map_or(0, |user| block.user.up_to(user));
            let to = match last {
                Some(last) if number >= blocks.end => block.user.up_to(last),
                _ => block.rows(),
            };
            if from < to {
                parts.push((block, from..to));
            }
            // The last user goes on for as long as whole blocks are theirs.
            if number >= blocks.end && to < block.rows() || before == last {
                break;
            }
        }
        let rows = parts.iter().map(|(_, rows)| rows.len()).sum();
        let (mut user, mut item) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut values = Values::with_capacity(rows, self.has);
        for (block, rows) in parts {
            block.user.append(rows.clone(), &mut user, |id| id);
            block.item.append(rows.clone(), &mut item, |id| id);
            block.some_values(rows, &mut values);
        }
        let Values { rating, timestamp, clean } = values;
        let mut columns = Columns {
            user: IdColumn::Int(user),
            item: IdColumn::Int(item),
            rating: self.has.rating.then_some(rating),
            timestamp: self.has.timestamp.then_some(timestamp),
            clean: self.has.clean.then_some(clean),
            label: None,
        };
        columns.sort_canonical();
        columns
    }
}

/// How many runs of equal ids there are.
pub(super) fn runs(ids: &IdColumn) -> usize {
    match ids {
        IdColumn::Int(ids) => ids.chunk_by(|a, b| a == b).count(),
        IdColumn::Str(ids) => ids.codes.chunk_by(|a, b| a == b).count(),
    }
}
