//! Reading and writing parameters, and all that is needed to go on later.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::history::{History, LONGEST};
use crate::lanes::PANEL;
use crate::optimizer::Dense;
use crate::rows::Table;
use crate::shape::Tensor;
use crate::tower::Tower;

/// All that a tower must remember to go on later as if it had never stopped, to the last bit.
///
/// Rows are as they are stored: row `r` of the user tables is up to date after step `users[r]`.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// How many steps were made.
    pub steps: u64,
    /// The learning rates of the last steps, as many as a row may still have to make up for.
    pub rates: Vec<f64>,
    /// After which step each user's row is up to date.
    pub users: Vec<u32>,
    /// After which step each item's row is up to date.
    pub items: Vec<u32>,
    /// θ, then `m` and `v` of Adam or `buf` of SGD, row-major and without padding.
    pub tensors: BTreeMap<Tensor, Vec<Vec<f32>>>,
}

/// Where the values of a tensor lie.
enum Place {
    /// In the rows of a table, from this value on, so many.
    Rows(Side, usize, usize),
    /// In a layer's weights.
    Weight(usize),
    /// In a vector, at these places.
    Vector(Vector, Vec<usize>),
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Users,
    Items,
}

enum Vector {
    Bias(usize),
    Output,
    OutputBias,
}

impl Tower {
    /// The values of a tensor as of now, row-major. Nothing changes by it.
    ///
    /// # Errors
    /// When the model has no such tensor.
    pub fn values(&self, tensor: Tensor) -> Result<Vec<f32>> {
        match self.place(tensor)? {
            Place::Rows(side, start, width) => Ok(self.table(side).theta_now(&self.history, &self.team, start, width)),
            place => Ok(self.stored(&place, 0)),
        }
    }

    /// Sets the values of a tensor, row-major, and leaves what the optimizer remembers of it as it is. All rows are
    /// brought up to date before.
    ///
    /// # Errors
    /// When the model has no such tensor, or it has another number of values.
    pub fn set_values(&mut self, tensor: Tensor, values: &[f32]) -> Result<()> {
        let place = self.place(tensor)?;
        self.check_count(tensor, values.len())?;
        self.flush();
        self.store(&place, 0, values);
        self.transpose();
        Ok(())
    }

    /// A copy of all that is needed to go on later. Nothing changes by it.
    pub fn state(&self) -> State {
        let parts = 0..self.optimizer.parts();
        let tensors = self.shape.tensors().into_iter().filter_map(|(tensor, _)| {
            let place = self.place(tensor).ok()?;
            Some((tensor, parts.clone().map(|part| self.stored(&place, part)).collect()))
        });
        State {
            steps: self.steps(),
            rates: self.history.rates().collect(),
            users: self.users.side.groups.all_last().collect(),
            items: self.items.side.groups.all_last().collect(),
            tensors: tensors.collect(),
        }
    }

    /// Goes on from a state.
    ///
    /// # Errors
    /// When the state is not one of the same shape and optimizer; nothing has changed then.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        let State { steps, rates, users, items, tensors } = state;
        let wrong = |what: &str| Err(Error::State(what.to_owned()));
        let Some(base) = steps.checked_sub(rates.len() as u64).and_then(|base| u32::try_from(base).ok()) else {
            return wrong("there are more learning rates than steps");
        };
        if rates.len() > LONGEST || u32::try_from(*steps).is_err() {
            return wrong("there are too many steps");
        }
        if users.len() != self.shape.n_users as usize || items.len() != self.shape.n_items as usize {
            return wrong("it has other numbers of users or items");
        }
        if users.iter().chain(items).any(|last| *last < base || u64::from(*last) > *steps) {
            return wrong("a row is older than the learning rates reach, or newer than the last step");
        }
        rates.iter().try_for_each(|&rate| self.optimizer.check_rate(rate))?;
        if tensors.len() != self.shape.tensors().len() {
            return wrong("it has other tensors");
        }
        for (&tensor, parts) in tensors {
            if parts.len() != self.optimizer.parts() {
                return wrong("it is of another optimizer");
            }
            self.place(tensor)?;
            parts.iter().try_for_each(|part| self.check_count(tensor, part.len()))?;
            let (last, width) = match tensor {
                Tensor::UserGmf | Tensor::UserMlp => (users, parts[0].len() / users.len()),
                Tensor::ItemGmf | Tensor::ItemMlp | Tensor::ItemBias => (items, parts[0].len() / items.len()),
                _ => continue,
            };
            // Rows that no step has touched are passed over, so there must be nothing to pass over.
            let moved = |part: &Vec<f32>| {
                part.chunks_exact(width).zip(last).any(|(row, last)| *last == 0 && row.iter().any(|x| *x != 0.0))
            };
            if parts[1..].iter().any(moved) {
                return wrong("a row that no step has touched has moments");
            }
        }
        self.waiting = false;
        self.history = History::new(self.optimizer, base);
        for &rate in rates {
            self.history.push(rate);
        }
        self.users.side.groups.set_last(users.iter().copied());
        self.items.side.groups.set_last(items.iter().copied());
        for (&tensor, parts) in tensors {
            let place = self.place(tensor)?;
            parts.iter().enumerate().for_each(|(part, values)| self.store(&place, part, values));
        }
        self.transpose();
        Ok(())
    }

    fn table(&self, side: Side) -> &Table {
        if side == Side::Users { &self.users } else { &self.items }
    }

    fn transpose(&mut self) {
        self.weights.layers.iter_mut().for_each(super::layer::Layer::transpose);
    }

    fn check_count(&self, tensor: Tensor, found: usize) -> Result<()> {
        let dims = self.shape.tensors().into_iter().find(|(other, _)| *other == tensor).map(|(_, dims)| dims);
        let expected = dims.map_or(0, |dims| dims.iter().product());
        if found == expected { Ok(()) } else { Err(Error::Length { field: format!("{tensor:?}"), found, expected }) }
    }

    fn place(&self, tensor: Tensor) -> Result<Place> {
        if !self.shape.tensors().iter().any(|(other, _)| *other == tensor) {
            return Err(Error::Tensor(format!("{tensor:?}")));
        }
        let (shape, layout) = (&self.shape, &self.layout);
        Ok(match tensor {
            Tensor::UserGmf => Place::Rows(Side::Users, 0, shape.gmf),
            Tensor::ItemGmf => Place::Rows(Side::Items, 0, shape.gmf),
            Tensor::UserMlp => Place::Rows(Side::Users, layout.gmf, shape.mlp),
            Tensor::ItemMlp => Place::Rows(Side::Items, layout.gmf, shape.mlp),
            Tensor::ItemBias => Place::Rows(Side::Items, layout.gmf + layout.mlp, 1),
            Tensor::Weight(l) => Place::Weight(l),
            Tensor::Bias(l) => Place::Vector(Vector::Bias(l), (0..shape.hidden[l]).collect()),
            Tensor::Output => {
                let last = shape.hidden.last().map_or(0, |width| *width);
                Place::Vector(Vector::Output, (0..shape.gmf).chain(layout.gmf..layout.gmf + last).collect())
            }
            Tensor::OutputBias => Place::Vector(Vector::OutputBias, vec![0]),
        })
    }

    /// Where the inputs of a layer lie in its weights.
    fn columns(&self, layer: usize) -> Vec<usize> {
        match layer.checked_sub(1) {
            None => (0..self.shape.mlp).chain(self.layout.mlp..self.layout.mlp + self.shape.mlp).collect(),
            Some(before) => (0..self.shape.hidden[before]).collect(),
        }
    }

    fn stored(&self, place: &Place, part: usize) -> Vec<f32> {
        match place {
            Place::Rows(side, start, width) => {
                let table = self.table(*side);
                let start = part * table.store.width() + start;
                let n_rows = table.side.groups.n_rows();
                // As long as it gets to be: tables are large.
                let mut values = Vec::with_capacity(n_rows * width);
                (0..n_rows).for_each(|r| values.extend_from_slice(&table.store.row(r)[start..start + width]));
                values
            }
            Place::Weight(l) => {
                let (layer, columns) = (&self.weights.layers[*l], self.columns(*l));
                let at = |o: usize, k: usize| layer.blocks[k / PANEL].weight.parts[part][o * PANEL + k % PANEL];
                (0..layer.outputs).flat_map(|o| columns.iter().map(move |&k| at(o, k))).collect()
            }
            Place::Vector(vector, places) => {
                let dense = match vector {
                    Vector::Bias(l) => &self.weights.layers[*l].bias,
                    Vector::Output => &self.weights.output,
                    Vector::OutputBias => &self.weights.bias,
                };
                places.iter().map(|&k| dense.parts[part][k]).collect()
            }
        }
    }

    fn store(&mut self, place: &Place, part: usize, values: &[f32]) {
        match place {
            Place::Rows(side, start, width) => {
                let table = if *side == Side::Users { &mut self.users } else { &mut self.items };
                let start = part * table.store.width() + start;
                for (r, values) in values.chunks_exact(*width).enumerate() {
                    table.store.row_mut(r)[start..start + width].copy_from_slice(values);
                }
            }
            Place::Weight(l) => {
                let columns = self.columns(*l);
                let layer = &mut self.weights.layers[*l];
                for (o, values) in values.chunks_exact(columns.len()).enumerate() {
                    for (&k, &value) in columns.iter().zip(values) {
                        layer.blocks[k / PANEL].weight.parts[part][o * PANEL + k % PANEL] = value;
                    }
                }
            }
            Place::Vector(vector, places) => {
                let dense: &mut Dense = match vector {
                    Vector::Bias(l) => &mut self.weights.layers[*l].bias,
                    Vector::Output => &mut self.weights.output,
                    Vector::OutputBias => &mut self.weights.bias,
                };
                places.iter().zip(values).for_each(|(&k, &value)| dense.parts[part][k] = value);
            }
        }
    }
}
