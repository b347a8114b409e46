//! The engine: batches in, logits out; slopes in, a step made.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::history::History;
use crate::lanes::{LANES, dispatch};
use crate::layer::{BlockStep, BlockSum, Layer, TOGETHER, part_of};
use crate::optimizer::{Dense, Optimizer, Rule};
use crate::pace::Pace;
use crate::rows::{Table, Update};
use crate::shape::{Layout, Output, Shape};
use crate::team::Team;
use crate::tile::{Backward, Dropout, Forward, RowSlopes, Sides, TILE, Tile, Weights};

/// What a batch costs (see [`Tower::cost`]) where [`Pace`] finds out whether threads should share its step: that of less is
/// made by one thread, that of more by all. GMF with 32 factors costs 64 a sample.
const UNSURE: Range<usize> = 1 << 12..1 << 17;
/// What a batch must cost for its step to be shared before the first trial.
const SHARED: usize = 1 << 15;
/// Pairs that are scored at a time.
const SCORED: usize = 4096;

/// A model in training: GMF, MLP, NeuMF or matrix factorisation.
///
/// A step is a [`Tower::forward`] and a [`Tower::backward`]; between them, the caller makes slopes from logits with any
/// loss. Rows of the tables that a batch does not touch are brought up to date only when they are read, which is exact:
/// see [`super`]. Results do not depend on the number of threads, and reading parameters or scoring changes nothing.
pub struct Tower {
    pub(super) shape: Shape,
    pub(super) layout: Layout,
    pub(super) optimizer: Optimizer,
    pub(super) weights: Weights,
    pub(super) users: Table,
    pub(super) items: Table,
    pub(super) history: History,
    tiles: Vec<Tile>,
    logits: Vec<f32>,
    sum: Vec<f32>,
    pace: Pace,
    /// Whether the tiles hold a batch that waits for its slopes.
    pub(super) waiting: bool,
    pub(super) team: Team,
}

impl Tower {
    /// A model whose parameters are all 0 (and `h` 1 where it is not learned), on so many threads; 0 means one for each
    /// core.
    ///
    /// # Errors
    /// When the shape or the optimizer is none, or memory does not hold the tables.
    pub fn new(shape: &Shape, optimizer: &Optimizer, threads: usize) -> Result<Self> {
        shape.check()?;
        optimizer.check()?;
        let (layout, parts) = (shape.layout(), optimizer.parts());
        let mut inputs = 2 * layout.mlp;
        let layers = shape.hidden.iter().map(|&outputs| Layer::zeros(std::mem::replace(&mut inputs, outputs), outputs));
        let layers = layers.collect();
        let mut output = Dense::zeros(layout.gmf + layout.last);
        if shape.output == Output::Sum {
            output.parts[0].fill(1.0);
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            shape: shape.clone(),
            layout,
            optimizer: *optimizer,
            weights: Weights { layers, output, bias: Dense::zeros(LANES) },
            users: Table::new(shape.n_users as usize, layout.user, parts)?,
            items: Table::new(shape.n_items as usize, layout.item, parts)?,
            history: History::new(*optimizer, 0),
            tiles: Vec::new(),
            logits: Vec::new(),
            sum: Vec::new(),
            pace: Pace::new(),
            waiting: false,
            team: Team::new(if threads == 0 { cores() } else { threads }),
        })
    }

    /// The shape of the model.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The number of steps that were made.
    pub fn steps(&self) -> u64 {
        u64::from(self.history.now())
    }

    /// The logits of a batch: that of user `users[k]` and item `items[k]` at place `k`.
    ///
    /// # Errors
    /// When an id is outside of its table or the slices differ in length.
    pub fn forward(&mut self, users: &[u32], items: &[u32], dropout: Option<&Dropout<'_>>) -> Result<&[f32]> {
        self.check(users, items)?;
        if self.history.is_long() {
            self.flush();
        }
        let start = Instant::now();
        self.waiting = false;
        self.run_forward(users, items, dropout, true)?;
        if self.history.replays() {
            // The rows were written as well.
            self.users.side.groups.touch(self.history.now());
            self.items.side.groups.touch(self.history.now());
        }
        self.waiting = true;
        self.pace.add(start.elapsed());
        Ok(&self.logits[..users.len()])
    }

    /// Makes one step of the optimizer for the batch of the last [`Tower::forward`]; `slopes[k]` is the derivative of
    /// the loss of the batch with respect to the logit of sample `k`.
    ///
    /// # Errors
    /// When there was no such forward pass, or not as many samples in it, or the learning rate is negative, not finite,
    /// or as large as to decay all of a weight.
    pub fn backward(&mut self, slopes: &[f32], learning_rate: f64) -> Result<()> {
        if !self.waiting {
            return Err(Error::NoForward);
        }
        self.optimizer.check_rate(learning_rate)?;
        let expected = self.users.side.groups.slots().len();
        if slopes.len() != expected {
            return Err(Error::Length { field: "slopes".to_owned(), found: slopes.len(), expected });
        }
        let start = Instant::now();
        self.waiting = false;
        let rule = self.optimizer.rule(self.steps() + 1, learning_rate);
        let n_tiles = slopes.len().div_ceil(TILE);
        let Self { shape, layout, weights, users, items, tiles, team, .. } = self;
        let tiles = &mut tiles[..n_tiles];
        let sides = Sides { shape, layout, users: &users.side, items: &items.side };
        let pieces = tiles.iter_mut().zip(slopes.chunks(TILE)).enumerate();
        let tasks = pieces.map(|(k, (tile, slopes))| Backward { sides, weights, tile, start: k * TILE, slopes });
        team.each(tasks.collect(), dispatch);
        let (tiles, output) = (&*tiles, weights.output.theta());
        let layout = *layout;
        let user_slopes = RowSlopes { layout, slopes, output, tiles, other: &items.side, column: 0 };
        let item_slopes = RowSlopes { layout, slopes, output, tiles, other: &users.side, column: layout.mlp };
        // In the order of the tiles, as in the passes before, so that a tile stays with a core.
        let part = part_of(n_tiles);
        let parts = n_tiles.div_ceil(part);
        let mut sums: Vec<Vec<Task<'_>>> = (0..parts).map(|_| Vec::new()).collect();
        for (l, layer) in weights.layers.iter_mut().enumerate() {
            let outputs = layer.outputs;
            for (k, blocks) in layer.blocks.chunks_mut(TOGETHER).enumerate() {
                let mut gradients: Vec<_> = blocks.iter_mut().map(|block| block.gradients(parts)).collect();
                for (tiles, sums) in tiles.chunks(part).zip(&mut sums) {
                    let out = gradients.iter_mut().filter_map(Iterator::next).collect();
                    sums.push(Task::Sum(BlockSum { out, tiles, layer: l, panel: k * TOGETHER, outputs }));
                }
            }
        }
        // In the order in which they were brought up to date, so that rows stay with a core as well.
        let mut rows: Vec<_> =
            users.store.update(&users.side, &rule, &user_slopes).into_iter().map(Task::Rows).collect();
        rows.extend(items.store.update(&items.side, &rule, &item_slopes).into_iter().map(Task::Rows));
        team.each_of(vec![sums.into_iter().flatten().collect(), rows], |task| match task {
            Task::Sum(sum) => dispatch(sum),
            Task::Rows(update) => dispatch(update),
        });
        let steps = weights.layers.iter_mut().map(|layer| {
            let (rule, outputs) = (&rule, layer.outputs);
            layer.blocks.iter_mut().map(|block| BlockStep { block, rule, parts, outputs }).collect()
        });
        team.each_of(steps.collect(), dispatch);
        self.step_small(&rule, n_tiles);
        self.history.push(learning_rate);
        let now = self.history.now();
        self.users.side.groups.touch(now);
        self.items.side.groups.touch(now);
        self.pace.add(start.elapsed());
        self.pace.next();
        Ok(())
    }

    /// The logits of any number of pairs at the current weights, without training.
    ///
    /// # Errors
    /// When an id is outside of its table or the slices differ in length.
    pub fn score(&mut self, users: &[u32], items: &[u32], out: &mut [f32]) -> Result<()> {
        self.check(users, items)?;
        if out.len() != users.len() {
            return Err(Error::Length { field: "out".to_owned(), found: out.len(), expected: users.len() });
        }
        self.waiting = false;
        for ((users, items), out) in users.chunks(SCORED).zip(items.chunks(SCORED)).zip(out.chunks_mut(SCORED)) {
            self.run_forward(users, items, None, false)?;
            out.copy_from_slice(&self.logits[..users.len()]);
        }
        Ok(())
    }

    /// Brings all rows up to date. A step does this by itself once in a long while; it changes later results by
    /// rounding errors.
    pub fn flush(&mut self) {
        self.waiting = false;
        self.team.alone = false;
        self.history.prepare(self.history.base());
        self.users.flush(&self.history, &self.team);
        self.items.flush(&self.history, &self.team);
        self.history.restart();
    }

    /// About what a sample costs: the numbers of its rows, and the products of the layers.
    fn cost(&self) -> usize {
        let mut inputs = 2 * self.layout.mlp;
        let product = |&outputs: &usize| std::mem::replace(&mut inputs, outputs) * outputs;
        self.layout.user + self.layout.item + self.shape.hidden.iter().map(product).sum::<usize>()
    }

    fn check(&self, users: &[u32], items: &[u32]) -> Result<()> {
        if users.len() != items.len() {
            return Err(Error::Length { field: "items".to_owned(), found: items.len(), expected: users.len() });
        }
        if users.len() > u32::MAX as usize {
            return Err(Error::Shape { field: "batch", range: "below 2^32", value: users.len().to_string() });
        }
        // The greatest is found by vectors; which one was the first does not matter to the caller.
        match (users.iter().max(), items.iter().max()) {
            (Some(&user), _) if user >= self.shape.n_users => Err(Error::User(user)),
            (_, Some(&item)) if item >= self.shape.n_items => Err(Error::Item(item)),
            _ => Ok(()),
        }
    }

    fn run_forward(&mut self, users: &[u32], items: &[u32], dropout: Option<&Dropout<'_>>, write: bool) -> Result<()> {
        let cost = users.len() * self.cost();
        let found = if UNSURE.contains(&cost) { self.pace.alone() } else { None };
        let alone = found.unwrap_or(cost < SHARED);
        // The batches of the tests are small, and shared all the same.
        // The penalty moves rows that no batch touches, which is more work than the batch.
        self.team.alone = alone && !cfg!(test) && !self.history.replays();
        let sides = vec![(&mut self.users.side.groups, users), (&mut self.items.side.groups, items)];
        let oldest = AtomicU32::new(u32::MAX);
        self.team.each(sides, |(groups, ids)| {
            oldest.fetch_min(groups.fill(ids), Ordering::Relaxed);
        });
        let oldest = oldest.into_inner();
        self.history.prepare(oldest);
        // One table after the other: of two cores, each keeps to one of them, whose rows it finds in its own cache.
        let mut tasks = self.users.gather(&self.history, write)?;
        tasks.extend(self.items.gather(&self.history, write)?);
        self.team.each(tasks, dispatch);
        let n_tiles = users.len().div_ceil(TILE);
        while self.tiles.len() < n_tiles {
            self.tiles.push(Tile::new(&self.weights));
        }
        self.logits.resize(users.len().max(self.logits.len()), 0.0);
        let Self { shape, layout, weights, users: u, items: i, .. } = self;
        let sides = Sides { shape, layout, users: &u.side, items: &i.side };
        let pieces = self.tiles.iter_mut().zip(self.logits[..users.len()].chunks_mut(TILE)).enumerate();
        let tasks =
            pieces.map(|(k, (tile, logits))| Forward { sides, weights, tile, start: k * TILE, dropout, logits });
        self.team.each(tasks.collect(), dispatch);
        Ok(())
    }

    /// A step of what is too small to share: h, b and the biases, whose gradients the tiles have summed.
    fn step_small(&mut self, rule: &Rule, n_tiles: usize) {
        let Weights { layers, output, bias } = &mut self.weights;
        let mut step = |dense: &mut Dense, part: &dyn Fn(&Tile) -> &[f32]| {
            self.sum.clear();
            self.sum.resize(dense.theta().len(), 0.0);
            for tile in &self.tiles[..n_tiles] {
                self.sum.iter_mut().zip(part(tile)).for_each(|(sum, x)| *sum += x);
            }
            dense.step(rule, &self.sum);
        };
        for (l, layer) in layers.iter_mut().enumerate() {
            step(&mut layer.bias, &|tile| &tile.layer_sums[l]);
        }
        if self.shape.output != Output::Sum {
            step(output, &|tile| &tile.output_sum);
        }
        if self.shape.output == Output::Affine {
            step(bias, &|tile| &tile.bias_sum);
        }
    }
}

enum Task<'a> {
    Sum(BlockSum<'a>),
    Rows(Update<'a, RowSlopes<'a>>),
}
