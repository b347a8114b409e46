//! The weighted product of embeddings, `Σ_k h_k p_uk q_ik`.

use super::pairs::{Error, Tables};
use super::panel::{Row, panels};
use crate::lanes::LANES;
use crate::memory::Lines;

/// The tables of a product.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) width: usize,
    /// `h ∘ P`, row by row.
    users: Vec<f32>,
    /// `Q`, row by row, for lists; each row is filled up to whole lines.
    items: Lines,
    /// `Q` in panels, for tiles.
    panels: Vec<Row>,
}

impl Product {
    pub(super) fn new(tables: &Tables<'_>, head: &[f32]) -> Self {
        let weighted = |row: &[f32]| row.iter().zip(head).map(|(p, h)| h * p).collect::<Vec<_>>();
        let size = tables.width.div_ceil(LANES) * LANES;
        let mut items = Lines::zeros(tables.items.len() / tables.width * size);
        for (line, row) in items.chunks_exact_mut(size).zip(tables.items.chunks_exact(tables.width)) {
            line[..tables.width].copy_from_slice(row);
        }
        Self {
            width: tables.width,
            users: tables.users.chunks_exact(tables.width).flat_map(weighted).collect(),
            items,
            panels: panels(tables.items, tables.width),
        }
    }

    pub(super) fn user(&self, user: u32) -> Result<&[f32], Error> {
        row(&self.users, self.width, user).ok_or(Error::User(user))
    }

    /// The row of an item, line by line.
    #[inline(always)]
    pub(super) fn item(&self, item: u32) -> Result<&[[f32; LANES]], Error> {
        row(self.items.as_chunks().0, self.width.div_ceil(LANES), item).ok_or(Error::Item(item))
    }

    /// The panel with the items from `32 · number` on; all must exist but the last lanes of the last panel.
    #[inline(always)]
    pub(super) fn panel(&self, number: usize) -> &[Row] {
        &self.panels[number * self.width..(number + 1) * self.width]
    }
}

/// A row of a table, if it has so many.
pub(super) fn row<T>(table: &[T], width: usize, id: u32) -> Option<&[T]> {
    let start = (id as usize).checked_mul(width)?;
    table.get(start..)?.get(..width)
}
