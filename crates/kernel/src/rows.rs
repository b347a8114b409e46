//! Tables whose rows hold parameters and moments side by side, and are brought up to date only when they are read.

use std::marker::PhantomData;

use pulp::Simd;

use crate::error::{Error, Result};
use crate::group::Groups;
use crate::history::{History, Move};
use crate::lanes::{LANES, Work, dispatch, mul_add, prefetch, vectors, vectors_mut};
use crate::memory::{Aligned, Lines};
use crate::motion::{Missed, catch_up, settle};
use crate::optimizer::{Cell, Rule, Stepper};
use crate::team::Team;

/// Rows that are one task.
const CHUNK: usize = 32;
/// Rows that are one task where a whole table is gone through.
const FLUSHED: usize = 512;
/// Values of rows that are fetched ahead of use.
const AHEAD: usize = 1000;

/// A table of embeddings.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) store: Store,
    pub(super) side: Side,
}

/// The numbers of a table.
#[derive(Debug)]
pub(super) struct Store {
    /// Row by row: θ, then what the optimizer remembers, each `width` values.
    data: Aligned,
    width: usize,
    stride: usize,
}

/// A batch, seen from one table.
#[derive(Debug)]
pub(super) struct Side {
    /// Who touches what in the batch, and which rows are how old.
    pub(super) groups: Groups,
    width: usize,
    /// θ of the rows of the batch as of now, slot by slot.
    now: Aligned,
    carries: Vec<[f32; 2]>,
}

impl Table {
    pub(super) fn new(n_rows: usize, width: usize, parts: usize) -> Result<Self> {
        let len = (n_rows as u128) * (width * parts) as u128;
        let fits = usize::try_from(len).ok().filter(|len| *len <= isize::MAX as usize / 8);
        let data = Aligned::zeros(fits.ok_or(Error::Memory(4 * len))?)?;
        Ok(Self {
            store: Store { data, width, stride: width * parts },
            side: Side { groups: Groups::new(n_rows), width, now: Aligned::default(), carries: Vec::new() },
        })
    }

    /// The tasks that bring the rows of the batch up to date. Where missed steps are replayed, they write what they
    /// find to the table as well, if `write` is set: it is the same to the last bit whenever it is done.
    pub(super) fn gather<'a>(&'a mut self, history: &'a History, write: bool) -> Result<Vec<Gather<'a>>> {
        let Side { groups, width, now, carries } = &mut self.side;
        let (groups, width) = (&*groups, *width);
        now.reserve(groups.rows().len() * width)?;
        carries.resize(groups.rows().len(), [0.0; 2]);
        let stored = self.store.share();
        let firsts = (0..groups.rows().len()).step_by(CHUNK);
        let pieces = firsts.zip(now.chunks_mut(CHUNK * width)).zip(carries.chunks_mut(CHUNK));
        let task = |((first, now), carries)| Gather { history, stored, groups, first, width, now, carries, write };
        Ok(pieces.map(task).collect())
    }

    /// Brings all rows up to date.
    pub(super) fn flush(&mut self, history: &History, team: &Team) {
        let Self { store, side } = self;
        let (width, stride, groups) = (store.width, store.stride, &side.groups);
        let tasks = store.data.chunks_mut(FLUSHED * stride).enumerate();
        let tasks = tasks.map(|(k, rows)| Flush { history, groups, first: k * FLUSHED, rows, width, stride });
        team.each(tasks.collect(), dispatch);
        side.groups.set_last(std::iter::repeat(history.now()));
    }

    /// θ of all rows as of now, `values` of each from its place `start` on.
    pub(super) fn theta_now(&self, history: &History, team: &Team, start: usize, values: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.side.groups.n_rows() * values];
        let Self { store, side: Side { groups, .. } } = self;
        let tasks = out.chunks_mut((FLUSHED * values).max(1)).enumerate();
        let tasks = tasks.map(|(k, out)| Read { history, groups, store, first: k * FLUSHED, start, values, out });
        team.each(tasks.collect(), dispatch);
        out
    }
}

impl Store {
    /// The number of parameters of a row, padding among them.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// A row as it is stored.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.stride..(row + 1) * self.stride]
    }

    /// A row as it is stored.
    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.stride..(row + 1) * self.stride]
    }

    /// The tasks that make a step with the rows of the batch.
    pub(super) fn update<'a, G>(&'a mut self, side: &'a Side, rule: &'a Rule, gradient: &'a G) -> Vec<Update<'a, G>> {
        let stored = self.share();
        let chunks = (0..side.groups.rows().len()).step_by(CHUNK);
        chunks.map(|first| Update { rule, stored, side, first, gradient }).collect()
    }

    fn share(&mut self) -> Stored<'_> {
        Stored { data: self.data.as_mut_ptr(), len: self.data.len(), stride: self.stride, table: PhantomData }
    }
}

impl Side {
    /// θ of the row in a slot as of now.
    #[inline(always)]
    pub(super) fn now_at(&self, slot: u32) -> &[f32] {
        &self.now[slot as usize * self.width..][..self.width]
    }

    /// θ of the row of a sample as of now.
    #[inline(always)]
    pub(super) fn now_of(&self, sample: usize) -> &[f32] {
        self.now_at(self.groups.slots()[sample])
    }
}

/// The rows of a table, for several threads at once.
#[derive(Clone, Copy)]
struct Stored<'a> {
    data: *mut f32,
    len: usize,
    stride: usize,
    table: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for an exclusive borrow of plain numbers, and every access goes through `row`, whose callers see to
// it that no two threads hold the same row.
unsafe impl Send for Stored<'_> {}
// SAFETY: as above.
unsafe impl Sync for Stored<'_> {}

impl<'a> Stored<'a> {
    /// How many rows ahead of use to fetch.
    fn ahead(&self) -> usize {
        (AHEAD / self.stride).max(1)
    }

    /// Asks for a row to be fetched into the cache.
    #[inline(always)]
    fn prefetch(&self, row: u32) {
        let start = row as usize * self.stride;
        for value in (start..self.len.min(start + self.stride)).step_by(LANES) {
            prefetch(self.data.wrapping_add(value));
        }
    }

    /// A row of the table.
    ///
    /// # Safety
    /// Nobody else may hold this row while the result lives.
    #[inline(always)]
    unsafe fn row(self, row: u32) -> &'a mut [f32] {
        let start = row as usize * self.stride;
        assert!(start + self.stride <= self.len);
        // SAFETY: the range is inside of the table, which `self` borrows exclusively, and the caller has it alone.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), self.stride) }
    }
}

/// Brings some rows of a batch up to date.
pub(super) struct Gather<'a> {
    history: &'a History,
    stored: Stored<'a>,
    groups: &'a Groups,
    first: usize,
    width: usize,
    now: &'a mut [f32],
    carries: &'a mut [[f32; 2]],
    write: bool,
}

impl Work for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ahead = self.stored.ahead();
        let rows = &self.groups.rows()[self.first..];
        for &row in rows.iter().take(ahead) {
            self.stored.prefetch(row);
        }
        let slots = rows.iter().zip(self.now.chunks_exact_mut(self.width)).zip(self.carries);
        for (slot, ((&row, out), carry)) in slots.enumerate() {
            // The first rows of the next task as well, which most often is done next.
            if let Some(&row) = rows.get(slot + ahead) {
                self.stored.prefetch(row);
            }
            let missed = Missed::new(self.history, self.groups.last(row));
            *carry = missed.catch.carry;
            // SAFETY: the rows of a batch are distinct, each is in one task, and a task holds one at a time.
            let stored = unsafe { self.stored.row(row) };
            if missed.catch.moves == Move::Replay && self.write {
                settle(simd, &missed, stored, out);
            } else {
                catch_up(simd, &missed, stored, out);
            }
        }
    }
}

/// Brings some rows of a table up to date, whether or not a batch touches them.
struct Flush<'a> {
    history: &'a History,
    groups: &'a Groups,
    first: usize,
    rows: &'a mut [f32],
    width: usize,
    stride: usize,
}

impl Work for Flush<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut theta = vec![0.0; self.width];
        for (k, row) in self.rows.chunks_exact_mut(self.stride).enumerate() {
            let last = self.groups.last((self.first + k) as u32);
            if last < self.history.now() {
                settle(simd, &Missed::new(self.history, last), row, &mut theta);
            }
        }
    }
}

/// Reads some rows of a table as of now.
struct Read<'a> {
    history: &'a History,
    groups: &'a Groups,
    store: &'a Store,
    first: usize,
    start: usize,
    values: usize,
    out: &'a mut [f32],
}

impl Work for Read<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut theta = vec![0.0; self.store.width];
        for (k, out) in self.out.chunks_exact_mut(self.values).enumerate() {
            let row = self.first + k;
            let missed = Missed::new(self.history, self.groups.last(row as u32));
            catch_up(simd, &missed, self.store.row(row), &mut theta);
            out.copy_from_slice(&theta[self.start..self.start + self.values]);
        }
    }
}

/// Where gradients of rows come from, whatever the instruction set.
pub(super) trait Slopes: Sync {
    /// Writes the gradient of the row that these samples touch, summed in their order.
    fn sum<S: Simd>(&self, simd: S, members: &[u32], out: &mut [f32]);
}

/// Makes a step with some rows of a batch.
pub(super) struct Update<'a, G> {
    rule: &'a Rule,
    stored: Stored<'a>,
    side: &'a Side,
    first: usize,
    gradient: &'a G,
}

impl<G: Slopes> Work for Update<'_, G> {
    type Output = ();

    // Closures would not be compiled for the instruction set, so there are none in these loops.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.rule {
            Rule::Adam(rule) => self.rows(simd, rule.vectors(simd)),
            Rule::Sgd(rule) => self.rows(simd, rule.vectors(simd)),
        }
    }
}

impl<G: Slopes> Update<'_, G> {
    /// Goes through rows, each twice: its samples are looked up once for all of its values, and the step itself is a loop
    /// without branches, whose turns a processor takes several of at once.
    #[inline(always)]
    fn rows<S: Simd>(&self, simd: S, rule: impl Stepper<S>) {
        let (groups, width) = (&self.side.groups, self.side.width);
        let (ahead, end) = (self.stored.ahead(), groups.rows().len().min(self.first + CHUNK));
        let mut gradient = Lines::zeros(width);
        for slot in self.first..end {
            if let Some(&row) = groups.rows().get(slot + ahead) {
                self.stored.prefetch(row);
            }
            self.gradient.sum(simd, groups.members(slot), &mut gradient);
            // SAFETY: the rows of a batch are distinct, each is in one task, and a task holds one at a time.
            let stored = unsafe { self.stored.row(groups.rows()[slot]) };
            let (now, carry) = (self.side.now_at(slot as u32), self.side.carries[slot]);
            let [a, b] = [simd.splat_f32s(carry[0]), simd.splat_f32s(carry[1])];
            let (theta, rest) = stored.split_at_mut(width);
            let (theta, now) = (vectors_mut::<S>(theta).iter_mut(), vectors::<S>(now));
            let cells = theta.zip(now).zip(vectors::<S>(&gradient));
            if rest.len() == width {
                for (((theta, &now), &g), buf) in cells.zip(vectors_mut::<S>(rest)) {
                    let first = mul_add(simd, a, *theta, simd.mul_f32s(b, *buf));
                    let cell = rule.step(simd, Cell { theta: now, first, second: first }, g);
                    (*theta, *buf) = (cell.theta, cell.first);
                }
            } else {
                let (m, v) = rest.split_at_mut(width);
                for ((((theta, &now), &g), m), v) in cells.zip(vectors_mut::<S>(m)).zip(vectors_mut::<S>(v)) {
                    let (first, second) = (simd.mul_f32s(a, *m), simd.mul_f32s(b, *v));
                    let cell = rule.step(simd, Cell { theta: now, first, second }, g);
                    (*theta, *m, *v) = (cell.theta, cell.first, cell.second);
                }
            }
        }
    }
}
