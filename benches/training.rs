//! How fast the steps of training on the processor are: `cargo bench --bench training`.
//!
//! Throughput is in samples. The shapes are those of GMF and NeuMF with 32 factors on MovieLens 1M, and of GMF on Yelp; ids
//! are uniform. A forward pass is catching rows up and the products with the weights; what a whole step takes more is
//! the backward pass, the gradients and steps of the weights, and the steps of the rows. Over tables of a few rows, the
//! tower's weights are nearly all of a step; in GMF, which has none, the rows are.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use ncf_pipe::kernel::{Adam, Optimizer, Output, Shape, Tower};

fn main() {
    divan::main();
}

const THREADS: [usize; 2] = [1, 2];
/// Batches that are gone through in turn.
const BATCHES: usize = 512;

/// Numbers without structure, below `n`.
fn ids(len: usize, n: u32, salt: u64) -> Vec<u32> {
    let mix = |k: u64| (((k ^ (k >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) * u64::from(n)) >> 32;
    (0..len as u64).map(|k| mix((k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt) as u32).collect()
}

/// A model and its batches.
struct Run {
    tower: Tower,
    users: Vec<u32>,
    items: Vec<u32>,
    slopes: Vec<f32>,
    batch: usize,
    next: usize,
}

impl Run {
    fn new(n_users: u32, n_items: u32, mlp: usize, batch: usize, threads: usize) -> Self {
        Self::by(Adam::default(), n_users, n_items, mlp, batch, threads)
    }

    /// With L2, each step moves all rows.
    fn by(adam: Adam, n_users: u32, n_items: u32, mlp: usize, batch: usize, threads: usize) -> Self {
        let hidden = if mlp == 0 { Vec::new() } else { vec![mlp, mlp / 2, mlp / 4] };
        let shape = Shape { n_users, n_items, gmf: 32, mlp, hidden, output: Output::Affine, item_bias: false };
        let mut tower = Tower::new(&shape, &Optimizer::Adam(adam), threads).expect("a shape and memory");
        for (salt, (tensor, dims)) in (0..).zip(shape.tensors()) {
            let values = ids(dims.iter().product(), 1 << 20, salt);
            let values: Vec<f32> = values.iter().map(|&x| (x as f32 / (1 << 19) as f32 - 1.0) * 0.1).collect();
            tower.set_values(tensor, &values).expect("a tensor of the shape");
        }
        let (users, items) = (ids(batch * BATCHES, n_users, 1 << 40), ids(batch * BATCHES, n_items, 1 << 41));
        let mut run = Self { tower, users, items, slopes: vec![0.0; batch], batch, next: 0 };
        // The first steps are made up for in another way.
        (0..BATCHES).for_each(|_| run.step());
        run
    }

    fn forward(&mut self) {
        let batch = self.next * self.batch..(self.next + 1) * self.batch;
        self.next = (self.next + 1) % BATCHES;
        let logits = self.tower.forward(&self.users[batch.clone()], &self.items[batch.clone()], None);
        let logits = logits.expect("ids of the tables");
        // A cheap loss that has the sign of a real one, so that weights neither die nor explode.
        for ((slope, logit), item) in self.slopes.iter_mut().zip(logits).zip(&self.items[batch]) {
            let label = u8::from(item % 5 == 0);
            *slope = (logit.clamp(-1.0, 1.0) - f32::from(label)) / self.batch as f32;
        }
    }

    fn step(&mut self) {
        self.forward();
        self.tower.backward(black_box(&self.slopes), 1e-3).expect("as many slopes as logits");
    }
}

fn forwards(bencher: Bencher<'_, '_>, mut run: Run) {
    bencher.counter(ItemsCount::new(run.batch)).bench_local(|| run.forward());
}

fn steps(bencher: Bencher<'_, '_>, mut run: Run) {
    bencher.counter(ItemsCount::new(run.batch)).bench_local(|| run.step());
}

#[divan::bench(args = THREADS)]
fn neumf_forward(bencher: Bencher<'_, '_>, threads: usize) {
    forwards(bencher, Run::new(6040, 3706, 128, 256, threads));
}

#[divan::bench(args = THREADS)]
fn neumf_step(bencher: Bencher<'_, '_>, threads: usize) {
    steps(bencher, Run::new(6040, 3706, 128, 256, threads));
}

#[divan::bench(args = THREADS)]
fn neumf_step_over_few_rows(bencher: Bencher<'_, '_>, threads: usize) {
    steps(bencher, Run::new(8, 8, 128, 256, threads));
}

#[divan::bench(args = THREADS)]
fn gmf_forward(bencher: Bencher<'_, '_>, threads: usize) {
    forwards(bencher, Run::new(6040, 3706, 0, 256, threads));
}

#[divan::bench(args = THREADS)]
fn gmf_step(bencher: Bencher<'_, '_>, threads: usize) {
    steps(bencher, Run::new(6040, 3706, 0, 256, threads));
}

#[divan::bench(args = THREADS)]
fn gmf_step_on_yelp(bencher: Bencher<'_, '_>, threads: usize) {
    steps(bencher, Run::new(45_548, 57_396, 0, 1024, threads));
}

#[divan::bench(args = THREADS)]
fn neumf_step_with_l2(bencher: Bencher<'_, '_>, threads: usize) {
    steps(bencher, Run::by(Adam { l2: 1e-6, ..Adam::default() }, 6040, 3706, 128, 256, threads));
}

#[divan::bench(args = THREADS)]
fn gmf_step_with_l2(bencher: Bencher<'_, '_>, threads: usize) {
    steps(bencher, Run::by(Adam { l2: 1e-6, ..Adam::default() }, 6040, 3706, 0, 256, threads));
}
