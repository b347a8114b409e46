//! Interactions that may exceed memory: they are looked at in pieces of whole users, as often as is needed.

mod packed;
mod together;

use std::collections::BTreeSet;

use polars::prelude::{DataFrame, DataType, Int32Type, Int64Type};
use rayon::prelude::*;

use crate::Result;
use crate::frame::{self, RawIds, USER, polars_error};
use crate::runs::Runs;

pub use packed::PackedPieces;
pub use together::{Bounds, Group, Pairs, each_group};

/// Rows that a piece should have: a piece ends with the first user after so many.
pub const PIECE: usize = 1 << 17;
/// Rows that are in memory at a time: work for all threads.
pub const WAVE: usize = 1 << 20;

/// Rows sorted by user, wherever they lie.
pub trait Scan: Sync {
    /// How many there are.
    fn rows(&self) -> usize;

    /// The names of the columns.
    fn columns(&self) -> Vec<String>;

    /// Those of them that may have missing values.
    fn optional(&self) -> BTreeSet<String>;

    /// Goes through all rows in their order: hands on frames of whole users, some at a time; a frame without rows if
    /// there are none. With `columns`, the frames may lack others, but `user_id` is always there.
    ///
    /// # Errors
    /// When the rows cannot be read, a column is missing, or `each` fails.
    fn waves(&self, columns: Option<&[&str]>, each: &mut dyn FnMut(Vec<DataFrame>) -> Result<()>) -> Result<()>;

    /// Whether there is a column of this name.
    fn has(&self, name: &str) -> bool {
        self.columns().iter().any(|column| column == name)
    }
}

/// Rows of whole users, and where they stand.
#[derive(Debug)]
pub struct Piece {
    /// The rows.
    pub frame: DataFrame,
    /// How many rows come before.
    pub first: usize,
}

impl Piece {
    /// The users of the rows, as they are in the source.
    ///
    /// # Errors
    /// When the users have another type or missing values, or are not ascending.
    pub fn raw_users(&self) -> Result<(RawIds<'_>, Runs)> {
        let ids = frame::raw_ids(&self.frame, USER)?;
        let runs = match &ids {
            RawIds::Int(ids) => Runs::below(self.first, ids.len(), |row| ids[row]),
            RawIds::Str(ids) => Runs::below(self.first, ids.len(), |row| ids.get(row)),
        };
        runs.map(|runs| (ids, runs))
    }
}

/// Works on all pieces, those of a wave in parallel, and hands on what `work` makes of them, in their order.
///
/// # Errors
/// When the rows cannot be read or are not sorted by user, or `work` or `take` fails: the first error in the order of the
/// rows.
pub fn each_piece<R: Send>(
    input: &dyn Scan,
    columns: Option<&[&str]>,
    work: impl Fn(&Piece) -> Result<R> + Sync,
    mut take: impl FnMut(Vec<R>) -> Result<()>,
) -> Result<()> {
    let mut first = 0;
    let mut last: Option<DataFrame> = None;
    input.waves(columns, &mut |frames| {
        let mut pieces = Vec::with_capacity(frames.len());
        for frame in frames {
            if let Some(before) = &last
                && frame.height() > 0
                && !in_order(before, &frame)?
            {
                return Err(Runs::unsorted(first));
            }
            if frame.height() > 0 {
                last = Some(frame.select([USER]).map_err(|error| polars_error(&error))?.tail(Some(1)));
            }
            let rows = frame.height();
            pieces.push(Piece { frame, first });
            first += rows;
        }
        let done: Vec<Result<R>> = pieces.into_par_iter().with_max_len(1).map(|piece| work(&piece)).collect();
        take(done.into_iter().collect::<Result<_>>()?)
    })
}

/// Whether the users of a piece come after the last user of the piece before.
fn in_order(before: &DataFrame, frame: &DataFrame) -> Result<bool> {
    Ok(match (Users::of(before)?, Users::of(frame)?) {
        (Users::Dense(a), Users::Dense(b)) => a[a.len() - 1] < b[0],
        (Users::Raw(RawIds::Int(a)), Users::Raw(RawIds::Int(b))) => a[a.len() - 1] < b[0],
        (Users::Raw(RawIds::Str(a)), Users::Raw(RawIds::Str(b))) => a.get(a.len() - 1) < b.get(0),
        _ => false,
    })
}

/// The users of a frame of any kind.
enum Users<'a> {
    Dense(&'a [i32]),
    Raw(RawIds<'a>),
}

impl<'a> Users<'a> {
    fn of(frame: &'a DataFrame) -> Result<Self> {
        match frame.column(USER).map(|column| column.dtype().clone()) {
            Ok(DataType::Int32) => frame::slice::<Int32Type>(frame, USER).map(Self::Dense),
            Ok(DataType::Int64) => frame::slice::<Int64Type>(frame, USER).map(|ids| Self::Raw(RawIds::Int(ids))),
            _ => frame::raw_ids(frame, USER).map(Self::Raw),
        }
    }

    fn same(&self, a: usize, b: usize) -> bool {
        match self {
            Self::Dense(ids) => ids[a] == ids[b],
            Self::Raw(RawIds::Int(ids)) => ids[a] == ids[b],
            Self::Raw(RawIds::Str(ids)) => ids.get(a) == ids.get(b),
        }
    }

    /// Whether the last user here is the one in a row there.
    fn last_is(&self, other: &Self, row: usize) -> bool {
        match (self, other) {
            (Self::Dense(a), Self::Dense(b)) => a.last() == Some(&b[row]),
            (Self::Raw(RawIds::Int(a)), Self::Raw(RawIds::Int(b))) => a.last() == Some(&b[row]),
            (Self::Raw(RawIds::Str(a)), Self::Raw(RawIds::Str(b))) => a.get(a.len() - 1) == b.get(row),
            _ => false,
        }
    }
}

/// Cuts a frame between users into pieces of about `rows` rows. Nothing is copied.
///
/// # Errors
/// When there is no column of users.
pub fn cut(frame: &DataFrame, rows: usize) -> Result<Vec<DataFrame>> {
    let height = frame.height();
    if height <= rows {
        return Ok(vec![frame.clone()]);
    }
    let users = Users::of(frame)?;
    let mut pieces = Vec::with_capacity(height / rows + 1);
    let mut from = 0;
    while from < height {
        let mut to = (from + rows.max(1)).min(height);
        while to < height && users.same(to - 1, to) {
            to += 1;
        }
        pieces.push(frame.slice(from as i64, to - from));
        from = to;
    }
    Ok(pieces)
}

/// Rows in memory, in frames of whole users.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    frames: Vec<DataFrame>,
    optional: BTreeSet<String>,
}

impl Pieces {
    /// These frames, of which no two share a user; `optional` are the columns that may have missing values.
    pub fn new(frames: Vec<DataFrame>, optional: BTreeSet<String>) -> Self {
        Self { frames, optional }
    }

    /// These columns of all rows, or all.
    ///
    /// # Errors
    /// When a column is missing.
    pub fn select(&self, columns: Option<&[&str]>) -> Result<Self> {
        let Some(wanted) = columns else { return Ok(self.clone()) };
        self.check(wanted)?;
        let select = |frame: &DataFrame| frame.select(wanted.iter().copied()).map_err(|error| polars_error(&error));
        Ok(Self { frames: self.frames.iter().map(select).collect::<Result<_>>()?, optional: self.optional.clone() })
    }

    fn check(&self, wanted: &[&str]) -> Result<()> {
        let names = self.columns();
        match wanted.iter().find(|name| !self.has(name)) {
            Some(missing) => Err(frame::no_column(missing, names.iter().map(String::as_str))),
            None => Ok(()),
        }
    }

    /// All rows as one frame, each column in one piece; a copy, unless they are one frame already.
    ///
    /// # Errors
    /// When the frames have different columns.
    pub fn whole(&self) -> Result<DataFrame> {
        let mut frames = self.frames.iter();
        let mut whole = frames.next().cloned().unwrap_or_default();
        for frame in frames {
            whole.vstack_mut(frame).map_err(|error| polars_error(&error))?;
        }
        whole.rechunk_mut_par();
        Ok(whole)
    }
}

impl Scan for Pieces {
    fn rows(&self) -> usize {
        self.frames.iter().map(DataFrame::height).sum()
    }

    fn columns(&self) -> Vec<String> {
        let names = self.frames.first().map(|frame| frame.get_column_names()).unwrap_or_default();
        names.into_iter().map(ToString::to_string).collect()
    }

    fn optional(&self) -> BTreeSet<String> {
        self.optional.clone()
    }

    fn waves(&self, columns: Option<&[&str]>, each: &mut dyn FnMut(Vec<DataFrame>) -> Result<()>) -> Result<()> {
        self.check(columns.unwrap_or_default())?;
        let mut wave = Vec::new();
        let mut rows = 0;
        for (number, frame) in self.frames.iter().enumerate() {
            let pieces = if self.has(USER) { cut(frame, PIECE)? } else { vec![frame.clone()] };
            // Empty frames only carry the columns; one of them is enough.
            for piece in pieces.into_iter().filter(|piece| piece.height() > 0 || number == 0) {
                rows += piece.height();
                wave.push(piece);
                if rows >= WAVE {
                    each(std::mem::take(&mut wave))?;
                    rows = 0;
                }
            }
        }
        if wave.is_empty() { Ok(()) } else { each(wave) }
    }
}

/// Turns frames that were cut anywhere into frames of whole users. Only the rows at the cuts are copied.
#[derive(Debug, Default)]
pub struct Joiner {
    /// The rows of the last user so far, who may go on.
    open: Vec<DataFrame>,
}

impl Joiner {
    /// Adds the frames that follow; gives back those of which no user can go on.
    ///
    /// # Errors
    /// When there is no column of users, or the frames differ in their columns.
    pub fn add(&mut self, frames: Vec<DataFrame>) -> Result<Vec<DataFrame>> {
        let mut whole = Vec::with_capacity(2 * frames.len());
        for frame in frames.into_iter().filter(|frame| frame.height() > 0) {
            let height = frame.height();
            let users = Users::of(&frame)?;
            let mut end = 0;
            if let Some(open) = self.open.last() {
                let before = Users::of(open)?;
                while end < height && before.last_is(&users, end) {
                    end += 1;
                }
            }
            if end > 0 {
                self.open.push(frame.slice(0, end));
            }
            if end == height {
                continue;
            }
            whole.extend(self.finish()?);
            let mut start = height - 1;
            while start > end && users.same(start - 1, start) {
                start -= 1;
            }
            if start > end {
                whole.push(frame.slice(end as i64, start - end));
            }
            self.open.push(frame.slice(start as i64, height - start));
        }
        Ok(whole)
    }

    /// The rows of the last user, if there is any.
    ///
    /// # Errors
    /// When the frames differ in their columns.
    pub fn finish(&mut self) -> Result<Option<DataFrame>> {
        let open = std::mem::take(&mut self.open);
        if open.is_empty() { Ok(None) } else { Pieces::new(open, BTreeSet::new()).whole().map(Some) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
