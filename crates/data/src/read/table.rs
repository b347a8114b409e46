//! Rows on their way into columns: blocks filled in parallel, appended in the order of the file.

use std::hash::RandomState;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use crate::columns::{Columns, IdColumn};
use crate::ids::{BlockIds, IdBuilder, Ids, Ranks, StrIds};
use crate::read::bad::LineLog;
use crate::read::chunk::{Chunk, Raw};
use crate::read::field::{Id, IdRule};
use crate::read::sorted::{Run, Sorted, Spill};
use crate::read::waiting::{ByUser, Packed};
use crate::{Fault, Result};

/// One interaction. What the file does not have is left at its default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) user: Id<'a>,
    pub(crate) item: Id<'a>,
    pub(crate) rating: f32,
    pub(crate) timestamp: i64,
    pub(crate) clean: bool,
    /// Which optional columns this row lacks, in a format where each row names its own.
    pub(crate) lacks: Has,
}

impl Default for Row<'_> {
    fn default() -> Self {
        Self { user: Id::Int(0), item: Id::Int(0), rating: 0.0, timestamp: 0, clean: false, lacks: Has::default() }
    }
}

/// A set of optional columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Has {
    pub(crate) rating: bool,
    pub(crate) timestamp: bool,
    pub(crate) clean: bool,
}

/// The rows that lack an optional column.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lack {
    /// How many there are.
    pub(crate) rows: u64,
    /// The number of the first one's line.
    pub(crate) first: u64,
}

impl Lack {
    fn add(&mut self, rows: u64, first: u64) {
        if self.rows == 0 && rows > 0 {
            self.first = first;
        }
        self.rows += rows;
    }
}

/// The rows that lack the rating, the timestamp, the clean flag.
type Lacks = [Lack; 3];

/// The optional columns of some rows.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) rating: Vec<f32>,
    pub(super) timestamp: Vec<i64>,
    pub(super) clean: Vec<bool>,
}

impl Values {
    /// Room for so many rows of these columns.
    pub(super) fn with_capacity(rows: usize, has: Has) -> Self {
        let wanted = |has: bool| if has { rows } else { 0 };
        Self {
            rating: Vec::with_capacity(wanted(has.rating)),
            timestamp: Vec::with_capacity(wanted(has.timestamp)),
            clean: Vec::with_capacity(wanted(has.clean)),
        }
    }

    fn clear(&mut self) {
        self.rating.clear();
        self.timestamp.clear();
        self.clean.clear();
    }
}

/// The emptied columns of a block: users, items, and the others.
type Spare = (Vec<i64>, Vec<i64>, Values);

/// What all blocks of a file have in common.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) user: IdRule,
    pub(crate) item: IdRule,
    pub(crate) has: Has,
    state: RandomState,
    /// Memory of blocks that were appended, for blocks to come.
    spare: Mutex<Vec<Spare>>,
}

impl Shape {
    pub(crate) fn new(user: IdRule, item: IdRule, has: Has) -> Self {
        Self { user, item, has, state: RandomState::new(), spare: Mutex::default() }
    }
}

/// Rows read from one part of the file.
#[derive(Debug)]
pub(crate) struct Block {
    state: RandomState,
    pub(crate) user: BlockIds,
    pub(crate) item: BlockIds,
    pub(super) values: Values,
    has: Has,
    lacks: Lacks,
    /// In place of all columns.
    packed: Option<Packed>,
    /// The lines that the rows were read from.
    pub(crate) log: LineLog,
}

impl Block {
    /// An empty block.
    pub(crate) fn new(shape: &Shape) -> Self {
        let spare = shape.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (user, item, values) = spare.unwrap_or_default();
        Self {
            user: BlockIds::new(shape.user.integers(), user, &shape.state),
            item: BlockIds::new(shape.item.integers(), item, &shape.state),
            values,
            state: shape.state.clone(),
            has: shape.has,
            lacks: Lacks::default(),
            packed: None,
            log: LineLog::default(),
        }
    }

    /// Packs the rows once there are no more to come, and gives the memory that they lay in back. Rows with strings for
    /// ids stay as they are.
    pub(crate) fn pack(&mut self, shape: &Shape) {
        let (BlockIds::Int(user), BlockIds::Int(item)) = (&mut self.user, &mut self.item) else { return };
        self.packed = Some(Packed::of(user, item, &self.values, self.has));
        let (mut user, mut item, mut values) =
            (std::mem::take(user), std::mem::take(item), std::mem::take(&mut self.values));
        user.clear();
        item.clear();
        values.clear();
        shape.spare.lock().unwrap_or_else(PoisonError::into_inner).push((user, item, values));
    }

    fn rows(&self) -> usize {
        self.packed.as_ref().map_or_else(|| self.user.len(), Packed::rows)
    }

    /// The columns of a block that was packed.
    fn unpack(&mut self) {
        if let (Some(packed), BlockIds::Int(user), BlockIds::Int(item)) =
            (self.packed.take(), &mut self.user, &mut self.item)
        {
            packed.users(user);
            packed.items(item);
            packed.values(&mut self.values);
        }
    }

    /// Adds the row of the next line.
    #[inline]
    pub(crate) fn push(&mut self, row: Row<'_>) {
        push_id(&mut self.user, row.user, &self.state);
        push_id(&mut self.item, row.item, &self.state);
        if self.has.rating {
            self.values.rating.push(row.rating);
        }
        if self.has.timestamp {
            self.values.timestamp.push(row.timestamp);
        }
        if self.has.clean {
            self.values.clean.push(row.clean);
        }
        if row.lacks != Has::default() {
            let Has { rating, timestamp, clean } = row.lacks;
            for (lack, lacks) in self.lacks.iter_mut().zip([rating, timestamp, clean]) {
                lack.add(u64::from(lacks), self.log.lines() + 1);
            }
        }
        self.log.good();
    }
}

#[inline]
fn push_id(ids: &mut BlockIds, id: Id<'_>, state: &RandomState) {
    match id {
        Id::Int(id) => ids.push_integer(id),
        Id::Text(text) => ids.push_text(text, state),
    }
}

/// The rows of all blocks so far.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    shape: &'a Shape,
    has: Has,
    user: IdBuilder,
    item: IdBuilder,
    values: Values,
    /// Rows that are not in the columns yet; the columns are empty while there are any.
    packed: Vec<Packed>,
    lacks: Lacks,
    log: LineLog,
    rows: u64,
    reserved: bool,
    spill: Option<Spill<'a>>,
    chunks: Vec<Waiting>,
}

/// A chunk of rows that went to a file.
#[derive(Debug)]
enum Waiting {
    /// All ids were integers: the rows are sorted.
    Sorted(Run),
    /// As they were read.
    Raw(Chunk),
}

impl<'a> Builder<'a> {
    /// `lines` is the number of lines before the first block, such as a header. With `spill`, rows that are too many for
    /// memory go to files.
    pub(crate) fn new(shape: &'a Shape, lines: u64, spill: Option<Spill<'a>>) -> Self {
        Self {
            spill,
            chunks: Vec::new(),
            shape,
            has: shape.has,
            user: IdBuilder::new(shape.user.integers(), &shape.state),
            item: IdBuilder::new(shape.item.integers(), &shape.state),
            values: Values::default(),
            packed: Vec::new(),
            lacks: Lacks::default(),
            log: LineLog::below(lines),
            rows: 0,
            reserved: false,
        }
    }

    /// Adds the blocks that follow in the file. `whole` is how many times more rows the whole file is thought to have
    /// than the first blocks, so that its columns can be had in one piece.
    ///
    /// # Errors
    /// When there are too many different ids.
    pub(crate) fn absorb(&mut self, blocks: Vec<Block>, whole: f64) -> Result<()> {
        let mut blocks = blocks;
        let mut rows = 0;
        for block in &mut blocks {
            for (lack, other) in self.lacks.iter_mut().zip(block.lacks) {
                lack.add(other.rows, other.first + self.log.lines());
            }
            self.log.append(std::mem::take(&mut block.log));
            rows += block.rows();
        }
        self.rows += rows as u64;
        if self.rows > u64::from(u32::MAX) {
            return Err(Fault::data(format!("more than {} interactions", u32::MAX))
                .help("split the data into parts and prepare each of them"));
        }
        if self.user.len() == 0 && blocks.iter().all(|block| block.packed.is_some()) && !self.is_text() {
            self.packed.extend(blocks.into_iter().filter_map(|block| block.packed));
            return match self.spill {
                Some(spill) if self.packed.iter().map(Packed::rows).sum::<usize>() >= spill.rows => self.spill(spill),
                _ => Ok(()),
            };
        }
        self.unpack();
        blocks.par_iter_mut().for_each(Block::unpack);
        let mut users = Vec::with_capacity(blocks.len());
        let mut items = Vec::with_capacity(blocks.len());
        let mut values = Vec::with_capacity(blocks.len());
        for block in blocks {
            users.push(block.user);
            items.push(block.item);
            values.push(block.values);
        }
        if !self.reserved && rows > 0 {
            self.reserved = true;
            // A little more than expected: what is not used is never touched.
            self.reserve((rows as f64 * whole * 1.03) as usize);
        }
        let Self { user, item, values: all, .. } = self;
        let append = || {
            for values in &values {
                all.rating.extend_from_slice(&values.rating);
                all.timestamp.extend_from_slice(&values.timestamp);
                all.clean.extend_from_slice(&values.clean);
            }
        };
        let (users, (items, ())) = rayon::join(|| user.absorb(users), || rayon::join(|| item.absorb(items), append));
        let mut spare = self.shape.spare.lock().unwrap_or_else(PoisonError::into_inner);
        for ((user, item), mut values) in users?.into_iter().zip(items?).zip(values) {
            values.clear();
            spare.push((user, item, values));
        }
        drop(spare);
        match self.spill {
            Some(spill) if self.user.len() >= spill.rows => self.spill(spill),
            _ => Ok(()),
        }
    }

    /// Whether any ids are strings, as far as is known.
    fn is_text(&self) -> bool {
        self.user.is_text() || self.item.is_text()
    }

    /// Moves the rows that are packed into the columns.
    fn unpack(&mut self) {
        let packed = std::mem::take(&mut self.packed);
        if packed.is_empty() {
            return;
        }
        let rows = packed.iter().map(Packed::rows).sum();
        let has = self.shape.has;
        let Self { user, item, values, .. } = self;
        rayon::join(
            || user.append_integers(rows, |all| packed.iter().for_each(|block| block.users(all))),
            || {
                rayon::join(
                    || item.append_integers(rows, |all| packed.iter().for_each(|block| block.items(all))),
                    || {
                        *values = Values::with_capacity(rows, has);
                        for block in &packed {
                            block.values(values);
                        }
                    },
                )
            },
        );
        self.reserved = true;
    }

    /// Writes the rows in memory to a file.
    fn spill(&mut self, spill: Spill<'_>) -> Result<()> {
        self.unpack();
        let (user, item) = (self.user.take(), self.item.take());
        let Values { rating, timestamp, clean } = std::mem::take(&mut self.values);
        let (rating, timestamp, clean) = (
            self.shape.has.rating.then_some(rating),
            self.shape.has.timestamp.then_some(timestamp),
            self.shape.has.clean.then_some(clean),
        );
        self.chunks.push(match (user, item) {
            (Ids::Int(user), Ids::Int(item)) => {
                let (user, item) = (IdColumn::Int(user), IdColumn::Int(item));
                Waiting::Sorted(Run::write(spill, Columns { user, item, rating, timestamp, clean, label: None })?)
            }
            (user, item) => Waiting::Raw(Chunk::write(spill.dir, &Raw { user, item, rating, timestamp, clean })?),
        });
        self.reserved = false;
        Ok(())
    }

    /// Makes room for so many rows. Columns grow as they must where there is not so much memory.
    fn reserve(&mut self, rows: usize) {
        let most = self.spill.map_or(usize::MAX, |spill| spill.rows.saturating_add(spill.rows / 4));
        let rows = rows.min(u32::MAX as usize).min(most);
        self.user.reserve(rows);
        self.item.reserve(rows);
        let wanted = |has: bool| if has { rows } else { 0 };
        let _ = self.values.rating.try_reserve_exact(wanted(self.has.rating));
        let _ = self.values.timestamp.try_reserve_exact(wanted(self.has.timestamp));
        let _ = self.values.clean.try_reserve_exact(wanted(self.has.clean));
    }

    /// The lines so far.
    pub(crate) fn log(&self) -> &LineLog {
        &self.log
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The rows that lack the rating, the timestamp, the clean flag.
    pub(crate) fn lacks(&self) -> Lacks {
        self.lacks
    }

    /// Leaves out the columns that are not in the set.
    pub(crate) fn keep(&mut self, has: Has) {
        self.has = has;
    }

    /// All rows, in the canonical order.
    ///
    /// # Errors
    /// When an id is not UTF-8, or files for rows cannot be written or read.
    pub(crate) fn finish_sorted(mut self) -> Result<Sorted> {
        let Some(spill) = self.spill.filter(|_| !self.chunks.is_empty()) else {
            if !self.packed.is_empty() {
                match ByUser::of(std::mem::take(&mut self.packed), self.has) {
                    Ok(rows) => return Ok(Sorted::by_user(rows)),
                    Err(packed) => self.packed = packed,
                }
            }
            return self.finish().map(Sorted::whole);
        };
        if self.user.len() > 0 || !self.packed.is_empty() {
            self.spill(spill)?;
        }
        let Self { mut user, mut item, has, chunks, .. } = self;
        if !user.is_text() && !item.is_text() {
            let runs = chunks.into_iter().filter_map(|chunk| match chunk {
                Waiting::Sorted(mut run) => {
                    run.keep(has);
                    Some(run)
                }
                Waiting::Raw(_) => None,
            });
            return Ok(Sorted::chunks(runs.collect(), [None, None], spill));
        }
        // Strings can be numbered only when all are known: those of chunks that were read as integers come first.
        let mut raw = Vec::with_capacity(chunks.len());
        for waiting in chunks {
            let chunk = match waiting {
                Waiting::Raw(chunk) => chunk,
                Waiting::Sorted(run) => run.into_chunk(),
            };
            let integers = [(&user, 0), (&item, 1)].iter().any(|(ids, n)| ids.is_text() && !chunk.texts()[*n]);
            raw.push(if integers {
                let Raw { user: users, item: items, rating, timestamp, clean } = chunk.read(0..chunk.rows())?;
                drop(chunk);
                let (users, items) = (user.keys(users)?, item.keys(items)?);
                Chunk::write(spill.dir, &Raw { user: users, item: items, rating, timestamp, clean })?
            } else {
                chunk
            });
        }
        let (users, items) = (user.ranks()?, item.ranks()?);
        let column = |ids: Ids, ranks: &Option<(Ranks, Arc<Vec<String>>)>| match (ids, ranks) {
            (Ids::Keys(keys), Some((ranks, values))) => {
                IdColumn::Str(StrIds { codes: ranks.codes(keys), values: Arc::clone(values) })
            }
            (Ids::Keys(codes), None) => IdColumn::Str(StrIds { codes, values: Arc::default() }),
            (Ids::Int(ids), _) => IdColumn::Int(ids),
        };
        let mut runs = Vec::with_capacity(raw.len());
        for mut chunk in raw {
            chunk.keep(has);
            let Raw { user, item, rating, timestamp, clean } = chunk.read(0..chunk.rows())?;
            drop(chunk);
            let (user, item) = (column(user, &users), column(item, &items));
            runs.push(Run::write(spill, Columns { user, item, rating, timestamp, clean, label: None })?);
        }
        Ok(Sorted::chunks(runs, [users, items].map(|ids| ids.map(|(_, values)| values)), spill))
    }

    /// All rows, in the order of the file.
    ///
    /// # Errors
    /// When an id is not UTF-8.
    pub(crate) fn finish(mut self) -> Result<Columns> {
        self.unpack();
        let Values { rating, timestamp, clean } = self.values;
        Ok(Columns {
            user: self.user.finish()?,
            item: self.item.finish()?,
            rating: self.has.rating.then_some(rating),
            timestamp: self.has.timestamp.then_some(timestamp),
            clean: self.has.clean.then_some(clean),
            label: None,
        })
    }
}
