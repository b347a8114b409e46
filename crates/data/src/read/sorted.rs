//! Rows in the canonical order, also where they do not fit into memory.
//!
//! Rows go to files in chunks while the source is read. Where all ids are integers, each chunk is sorted before; codes of
//! strings are known only at the end, so that such chunks are sorted then. In the end the chunks are cut at the same users
//! into windows that fit into memory, and each window is sorted as a whole.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::columns::{Columns, IdColumn};
use crate::dictionary::{Collector, Distinct};
use crate::frame::RawIds;
use crate::ids::{Ids, StrIds};
use crate::read::chunk::{Chunk, Raw};
use crate::read::table::Has;
use crate::read::waiting::{ByUser, runs};
use crate::{Fault, Result};

/// What a row costs at most while it is sorted.
const ROW_BYTES: u64 = 48;
/// The fewest rows of a chunk.
const LEAST_ROWS: usize = 1 << 12;
/// A chunk's users are known at every so many rows.
const STEP: usize = 1 << 10;

/// Where rows go that memory has no room for.
#[derive(Debug, Clone, Copy)]
pub struct Spill<'a> {
    /// A directory for files without names; nothing is left in it, not even by a process that is killed.
    pub dir: &'a Path,
    /// How many rows may be in memory.
    pub rows: usize,
}

impl<'a> Spill<'a> {
    /// For so many bytes of memory.
    pub fn within(bytes: u64, dir: &'a Path) -> Self {
        let rows = usize::try_from(bytes / ROW_BYTES).unwrap_or(usize::MAX);
        Self { dir, rows: rows.max(LEAST_ROWS) }
    }
}

/// How many rows there are, and how many different users and items they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Rows.
    pub rows: usize,
    /// Users.
    pub users: usize,
    /// Items.
    pub items: usize,
}

/// All rows that were read, in the canonical order.
#[derive(Debug)]
pub struct Sorted(Source);

#[derive(Debug)]
enum Source {
    Whole(Columns),
    ByUser(ByUser),
    Chunks { chunks: Vec<Run>, names: [Option<Arc<Vec<String>>>; 2], window: usize },
}

/// A sorted chunk.
#[derive(Debug)]
pub(super) struct Run {
    chunk: Chunk,
    /// The users of rows 0, [`STEP`], 2 [`STEP`] and so on.
    users: Vec<i64>,
}

impl Run {
    /// Sorts the rows and writes them.
    pub(super) fn write(spill: Spill<'_>, mut columns: Columns) -> Result<Self> {
        columns.sort_canonical();
        let users = match &columns.user {
            IdColumn::Int(ids) => ids.iter().copied().step_by(STEP).collect(),
            IdColumn::Str(ids) => ids.codes.iter().map(|&code| i64::from(code)).step_by(STEP).collect(),
        };
        Ok(Self { chunk: Chunk::write(spill.dir, &Raw::of(columns))?, users })
    }

    /// Leaves out the optional columns that are not in the set.
    pub(super) fn keep(&mut self, has: Has) {
        self.chunk.keep(has);
    }

    pub(super) fn into_chunk(self) -> Chunk {
        self.chunk
    }

    /// The first row whose user is not below this one.
    fn first_of(&self, user: i64) -> Result<usize> {
        let step = self.users.partition_point(|other| *other < user);
        let from = step.saturating_sub(1) * STEP;
        let to = (step * STEP).min(self.chunk.rows());
        Ok(from
            + match self.chunk.users(from..to)? {
                Ids::Int(ids) => ids.partition_point(|other| *other < user),
                Ids::Keys(codes) => codes.partition_point(|other| i64::from(*other) < user),
            })
    }
}

impl Sorted {
    /// Rows in memory.
    pub(super) fn whole(mut columns: Columns) -> Self {
        columns.sort_canonical();
        Self(Source::Whole(columns))
    }

    /// Rows that are sorted by user.
    pub(super) fn by_user(rows: ByUser) -> Self {
        Self(Source::ByUser(rows))
    }

    /// Sorted chunks; `names` are the user and item ids that codes stand for.
    pub(super) fn chunks(chunks: Vec<Run>, names: [Option<Arc<Vec<String>>>; 2], spill: Spill<'_>) -> Self {
        Self(Source::Chunks { chunks, names, window: spill.rows })
    }

    /// Hands on all rows in the canonical order, as many at a time as fit into memory; no user is in two of these pieces.
    ///
    /// # Errors
    /// When what was written to a file cannot be read back, or `each` fails.
    pub fn each(self, each: &mut dyn FnMut(Columns) -> Result<()>) -> Result<Totals> {
        let (chunks, names, window) = match self.0 {
            Source::Whole(columns) => {
                let (users, items) = rayon::join(|| columns.user.distinct(), || columns.item.distinct());
                let sizes = Totals { rows: columns.len(), users, items };
                return each(columns).map(|()| sizes);
            }
            Source::ByUser(rows) => return rows.each(each),
            Source::Chunks { chunks, names, window } => (chunks, names, window),
        };
        let mut sizes = Totals { rows: chunks.iter().map(|run| run.chunk.rows()).sum(), ..Totals::default() };
        let mut items = Collector::new(sizes.rows);
        let mut starts = vec![0; chunks.len()];
        for cut in cuts(&chunks, window).into_iter().map(Some).chain([None]) {
            let end = |run: &Run| cut.map_or(Ok(run.chunk.rows()), |user| run.first_of(user));
            let ends = chunks.iter().map(end).collect::<Result<Vec<_>>>()?;
            let ranges = starts.iter().zip(&ends).map(|(&start, &end)| start..end);
            let mut columns = window_of(&chunks, ranges, &names)?;
            starts = ends;
            if columns.is_empty() {
                continue;
            }
            columns.sort_canonical();
            sizes.users += runs(&columns.user);
            if let IdColumn::Int(ids) = &columns.item {
                items.add(Distinct::of(&RawIds::Int(ids)))?;
            }
            each(columns)?;
        }
        sizes.items = names[1].as_ref().map_or_else(|| items.len(), |names| names.len());
        Ok(sizes)
    }

    /// All rows in memory.
    ///
    /// # Errors
    /// When what was written to a file cannot be read back.
    pub fn into_columns(self) -> Result<Columns> {
        match self.0 {
            Source::Whole(columns) => Ok(columns),
            Source::ByUser(rows) => Ok(rows.into_columns()),
            Source::Chunks { chunks, names, .. } => {
                let ranges: Vec<_> = chunks.iter().map(|run| 0..run.chunk.rows()).collect();
                let mut columns = window_of(&chunks, ranges.into_iter(), &names)?;
                columns.sort_canonical();
                Ok(columns)
            }
        }
    }
}

/// Users at which all chunks are cut, ascending, so that about `window` rows lie between two of them.
fn cuts(chunks: &[Run], window: usize) -> Vec<i64> {
    let mut users: Vec<i64> = chunks.iter().flat_map(|run| run.users.iter().copied()).collect();
    users.sort_unstable();
    let mut cuts = Vec::new();
    let mut rows = 0;
    for (place, &user) in users.iter().enumerate() {
        // The rows of one user are never cut, however many they are.
        if rows + STEP > window && place > 0 && cuts.last() != Some(&user) {
            cuts.push(user);
            rows = 0;
        }
        rows += STEP;
    }
    cuts
}

/// These rows of the chunks, one after the other.
fn window_of(
    chunks: &[Run],
    ranges: impl Iterator<Item = Range<usize>>,
    names: &[Option<Arc<Vec<String>>>; 2],
) -> Result<Columns> {
    let mut all: Option<Raw> = None;
    for (run, range) in chunks.iter().zip(ranges) {
        let rows = run.chunk.read(range)?;
        match &mut all {
            Some(all) => all.append(rows)?,
            none => *none = Some(rows),
        }
    }
    let all = all.ok_or_else(|| Fault::failed("there are no chunks"))?;
    let [user_names, item_names] = names;
    let ids = |ids: Ids, names: &Option<Arc<Vec<String>>>| match (ids, names) {
        (Ids::Int(ids), _) => IdColumn::Int(ids),
        (Ids::Keys(codes), names) => IdColumn::Str(StrIds { codes, values: names.clone().unwrap_or_default() }),
    };
    Ok(Columns {
        user: ids(all.user, user_names),
        item: ids(all.item, item_names),
        rating: all.rating,
        timestamp: all.timestamp,
        clean: all.clean,
        label: None,
    })
}
