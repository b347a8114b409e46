//! The scores of pairs: `x(u, i) = Σ_k h_k p_uk q_ik + Σ_o h_o perceptron([u ; v])_o + b + c_i`.

use std::ops::Range;

use pulp::Simd;

use super::panel::{PANEL, Row, STRIP, add_dots, strip_times_panel, strips, vectors, vectors_mut};
use super::perceptron::Perceptron;
use super::product::Product;
use crate::lanes::{LANES, Work, dispatch, prefetch};

/// Why there are no scores.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A user that has no row in the tables.
    #[error("the model has no user {0}")]
    User(u32),
    /// An item that has no row in the tables.
    #[error("the model has no item {0}")]
    Item(u32),
    /// The scores have no place.
    #[error("{scores} scores do not fit {places} places")]
    Places {
        /// How many scores there are.
        scores: usize,
        /// How many places there are.
        places: usize,
    },
    /// Parts that make no model.
    #[error("`{0}` does not fit the rest of the model")]
    Shape(&'static str),
}

/// Two tables of embeddings, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    /// `[n_users, width]`.
    pub users: &'a [f32],
    /// `[n_items, width]`.
    pub items: &'a [f32],
    /// The length of the embeddings, at least 1.
    pub width: usize,
}

/// A fully connected layer.
#[derive(Debug, Clone, Copy)]
pub struct Dense<'a> {
    /// `[outputs, inputs]`, row by row.
    pub weight: &'a [f32],
    /// `[outputs]`.
    pub bias: &'a [f32],
}

/// What a model is made of. There is a product, a perceptron or both.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The product of embeddings.
    pub product: Option<Tables<'a>>,
    /// The perceptron over the concatenation of a user's and an item's embedding, with a ReLU after each of its
    /// layers, of which there is at least one.
    pub perceptron: Option<(Tables<'a>, &'a [Dense<'a>])>,
    /// The weights of the product's elements, then of the perceptron's outputs.
    pub head: &'a [f32],
    /// What is added to all scores.
    pub bias: f32,
    /// What is added to the scores of each item, `[n_items]`.
    pub item_bias: Option<&'a [f32]>,
}

/// The most memory for the halves of the first layer that are computed in advance.
const BUDGET: usize = 256 << 20;

/// A model that scores pairs of users and items.
#[derive(Debug)]
pub struct Pairs {
    n_users: usize,
    n_items: usize,
    product: Option<Product>,
    perceptron: Option<Perceptron>,
    bias: f32,
    item_bias: Option<Vec<f32>>,
}

impl Parts<'_> {
    fn check(&self) -> Result<(usize, usize), Error> {
        let tables = [self.product, self.perceptron.map(|(tables, _)| tables)];
        let mut counts = None;
        for Tables { users, items, width } in tables.into_iter().flatten() {
            if width == 0 || users.len() % width != 0 || items.len() % width != 0 {
                return Err(Error::Shape("width"));
            }
            let own = (users.len() / width, items.len() / width);
            if *counts.get_or_insert(own) != own {
                return Err(Error::Shape("tables"));
            }
        }
        let counts = counts.ok_or(Error::Shape("tables"))?;
        let mut width = self.product.map_or(0, |tables| tables.width);
        if let Some((tables, layers)) = self.perceptron {
            let mut inputs = 2 * tables.width;
            for Dense { weight, bias } in layers {
                if bias.is_empty() || inputs.checked_mul(bias.len()) != Some(weight.len()) {
                    return Err(Error::Shape("layers"));
                }
                inputs = bias.len();
            }
            if layers.is_empty() {
                return Err(Error::Shape("layers"));
            }
            width += inputs;
        }
        if self.head.len() != width {
            return Err(Error::Shape("head"));
        }
        if self.item_bias.is_some_and(|bias| bias.len() != counts.1) {
            return Err(Error::Shape("item_bias"));
        }
        Ok(counts)
    }
}

impl Pairs {
    /// Prepares a model. Beside a copy of the tables it keeps what each user and each item contribute to the first
    /// layer of a perceptron, as long as this takes at most 256 MiB; beyond that it is computed when it is needed.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(parts: &Parts<'_>) -> Result<Self, Error> {
        Self::within(BUDGET, parts)
    }

    pub(super) fn within(budget: usize, parts: &Parts<'_>) -> Result<Self, Error> {
        let (n_users, n_items) = parts.check()?;
        let (own, rest) = parts.head.split_at(parts.product.map_or(0, |tables| tables.width));
        Ok(Self {
            n_users,
            n_items,
            product: parts.product.map(|tables| Product::new(&tables, own)),
            perceptron: parts.perceptron.map(|(tables, layers)| Perceptron::new(&tables, layers, rest, budget)),
            bias: parts.bias,
            item_bias: parts.item_bias.map(<[f32]>::to_vec),
        })
    }

    /// The number of users.
    pub fn n_users(&self) -> usize {
        self.n_users
    }

    /// The number of items.
    pub fn n_items(&self) -> usize {
        self.n_items
    }

    /// The scores of users with a range of items: `out` is `users.len()` × `items.len()`, row by row. Fastest when the
    /// range begins at a multiple of 32. Memory beside `out` is bounded by the number of users.
    ///
    /// # Errors
    /// When an id or the size of `out` does not fit.
    pub fn tile(&self, users: &[u32], items: Range<u32>, out: &mut [f32]) -> Result<(), Error> {
        if let Some(&user) = users.iter().find(|user| **user as usize >= self.n_users) {
            return Err(Error::User(user));
        }
        if !items.is_empty() && items.end as usize > self.n_items {
            return Err(Error::Item(items.end - 1));
        }
        if users.len().checked_mul(items.len()) != Some(out.len()) {
            return Err(Error::Places { scores: users.len().saturating_mul(items.len()), places: out.len() });
        }
        if out.is_empty() {
            return Ok(());
        }
        dispatch(Tile { pairs: self, users, items, out })
    }

    /// The scores of a user with some items, in their order: `out[j]` is that of `items[j]`. Each is the same, to the
    /// last bit, as in [`Pairs::tile`].
    ///
    /// # Errors
    /// When an id or the size of `out` does not fit.
    pub fn list(&self, user: u32, items: &[u32], out: &mut [f32]) -> Result<(), Error> {
        if user as usize >= self.n_users {
            return Err(Error::User(user));
        }
        if let Some(&item) = items.iter().find(|item| **item as usize >= self.n_items) {
            return Err(Error::Item(item));
        }
        if items.len() != out.len() {
            return Err(Error::Places { scores: items.len(), places: out.len() });
        }
        dispatch(List { pairs: self, user, items, out })
    }

    /// Asks for what lists read of an item, where that is worth it: for a product alone, whose rows are short, asking takes
    /// as long as multiplying.
    #[inline(always)]
    fn prefetch(&self, item: u32) {
        let Some(perceptron) = &self.perceptron else { return };
        perceptron.items.prefetch(item);
        if let Some(Ok(row)) = self.product.as_ref().map(|product| product.item(item)) {
            for line in row {
                prefetch(line.as_ptr());
            }
        }
    }

    /// What is added to the scores of an item.
    #[inline(always)]
    fn base(&self, item: usize) -> f32 {
        let own = self.item_bias.as_ref().and_then(|bias| bias.get(item)).copied();
        self.bias + own.unwrap_or(0.0)
    }
}

/// Some users by a range of items.
struct Tile<'a> {
    pairs: &'a Pairs,
    users: &'a [u32],
    items: Range<u32>,
    out: &'a mut [f32],
}

impl Work for Tile<'_> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Result<(), Error> {
        let Self { pairs, users, items, out } = self;
        let (first, end) = (items.start as usize, items.end as usize);
        let (mut room, mut item_room) = (Vec::new(), Vec::new());
        let strips = match &pairs.product {
            Some(product) => {
                let rows: Vec<&[f32]> = users.iter().map(|&user| product.user(user)).collect::<Result<_, _>>()?;
                strips(&rows, product.width)
            }
            None => Vec::new(),
        };
        let user_halves = match &pairs.perceptron {
            Some(perceptron) => perceptron.users.rows(simd, users.iter().copied(), Error::User, &mut room)?,
            None => Vec::new(),
        };
        let mut scratch = pairs.perceptron.as_ref().map(Perceptron::scratch);
        let mut sums = vec![Row::ZERO; users.len()];
        for panel in first / PANEL..end.div_ceil(PANEL) {
            let start = panel * PANEL;
            let lanes = first.max(start) - start..end.min(start + PANEL) - start;
            let mut base = Row::ZERO;
            for lane in lanes.clone() {
                base.0[lane] = pairs.base(start + lane);
            }
            let begin = start + lanes.start - first;
            let mut places = Places { out: &mut *out, begin, width: end - first, lanes, base };
            let Some((perceptron, scratch)) = pairs.perceptron.as_ref().zip(scratch.as_mut()) else {
                if let Some(product) = &pairs.product {
                    for (number, strip) in strips.chunks_exact(product.width).enumerate() {
                        strip_times_panel(simd, strip, product.panel(panel), |r, sums| {
                            places.put(simd, number * STRIP + r, sums);
                        });
                    }
                }
                continue;
            };
            if let Some(product) = &pairs.product {
                for (strip, sums) in strips.chunks_exact(product.width).zip(sums.chunks_mut(STRIP)) {
                    strip_times_panel(simd, strip, product.panel(panel), |r, values| {
                        if let Some(sums) = sums.get_mut(r) {
                            vectors_mut::<S>(sums).copy_from_slice(values);
                        }
                    });
                }
            }
            let ids = (start..pairs.n_items.min(start + PANEL)).map(|item| item as u32);
            let halves = perceptron.items.rows(simd, ids, Error::Item, &mut item_room)?;
            for (user, (own, sums)) in user_halves.iter().zip(&sums).enumerate() {
                let mut total = perceptron.rows(simd, own, &halves, scratch);
                for (total, &sum) in vectors_mut::<S>(&mut total).iter_mut().zip(vectors::<S>(sums)) {
                    *total = simd.add_f32s(sum, *total);
                }
                places.put(simd, user, vectors::<S>(&total));
            }
        }
        Ok(())
    }
}

/// Where the scores of a panel of items go. No closure: the compiler need not inline one, and what it leaves alone is compiled
/// without the instructions that were chosen.
struct Places<'a> {
    /// Row by row, `width` scores each.
    out: &'a mut [f32],
    /// The place of the panel in the first row.
    begin: usize,
    width: usize,
    /// The items of the panel that are asked for.
    lanes: Range<usize>,
    /// What is added to their scores.
    base: Row,
}

impl Places<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, user: usize, sums: &[S::f32s]) {
        let Self { begin, width, .. } = *self;
        let Some(out) = self.out.get_mut(user * width + begin..) else { return };
        let base = vectors::<S>(&self.base);
        if self.lanes.len() == PANEL {
            let Some(out) = out.first_chunk_mut::<PANEL>() else { return };
            for ((out, &sum), &base) in S::as_mut_simd_f32s(out).0.iter_mut().zip(sums).zip(base) {
                *out = simd.add_f32s(sum, base);
            }
        } else {
            let Some(out) = out.get_mut(..self.lanes.len()) else { return };
            let mut row = Row::ZERO;
            for ((row, &sum), &base) in vectors_mut::<S>(&mut row).iter_mut().zip(sums).zip(base) {
                *row = simd.add_f32s(sum, base);
            }
            out.copy_from_slice(&row.0[self.lanes.clone()]);
        }
    }
}

/// A user and some items.
struct List<'a> {
    pairs: &'a Pairs,
    user: u32,
    items: &'a [u32],
    out: &'a mut [f32],
}

impl Work for List<'_> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Result<(), Error> {
        let Self { pairs, user, items, out } = self;
        let (mut room, mut item_room) = (Vec::new(), Vec::new());
        let user_half = match &pairs.perceptron {
            Some(perceptron) => perceptron.users.rows(simd, std::iter::once(user), Error::User, &mut room)?,
            None => Vec::new(),
        };
        let mut scratch = pairs.perceptron.as_ref().map(Perceptron::scratch);
        let next = items.chunks(PANEL).skip(1).chain([&[][..]]);
        for ((items, next), out) in items.chunks(PANEL).zip(next).zip(out.chunks_mut(PANEL)) {
            let mut total = Row::ZERO;
            for &item in next {
                pairs.prefetch(item);
            }
            if let Some(product) = &pairs.product {
                let own = product.user(user)?;
                for (items, total) in items.chunks(LANES).zip(total.0.as_chunks_mut::<LANES>().0) {
                    let mut rows: [&[[f32; LANES]]; LANES] = [&[]; LANES];
                    for (r, row) in rows.iter_mut().enumerate() {
                        // Places that are left over repeat the first item.
                        *row = product.item(*items.get(r).unwrap_or(&items[0]))?;
                    }
                    add_dots(simd, own, |r, c| rows[r][c], total);
                }
            }
            if let Some((perceptron, scratch)) = pairs.perceptron.as_ref().zip(scratch.as_mut()) {
                let halves = perceptron.items.rows(simd, items.iter().copied(), Error::Item, &mut item_room)?;
                if let Some(own) = user_half.first() {
                    let values = perceptron.rows(simd, own, &halves, scratch);
                    for (total, value) in total.0.iter_mut().zip(values.0) {
                        *total += value;
                    }
                }
            }
            for ((out, &item), &sum) in out.iter_mut().zip(items).zip(&total.0) {
                *out = sum + pairs.base(item as usize);
            }
        }
        Ok(())
    }
}
