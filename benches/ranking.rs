//! How fast scoring, counting and sifting are: `cargo bench --bench ranking`.
//!
//! Throughput is in pairs of a user and an item. The shapes are those of GMF and NeuMF with 32 factors.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use ncf_pipe::kernel::rank::{Best, Count, Dense, Pairs, Parts, Tables, count};

fn main() {
    divan::main();
}

const USERS: usize = 64;
const ITEMS: usize = 8192;
const TILE: usize = 1024;

/// Values without structure, in (-1, 1).
fn noise(n: usize, salt: u64) -> Vec<f32> {
    let mix = |k: u64| (k ^ (k >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
    (0..n as u64).map(|k| mix((k + 1) * 0x9e37_79b9 + salt * 0x1234_5677) as f32 / 8_388_608.0 - 1.0).collect()
}

/// A product of so many factors, and, if there are widths, a perceptron over embeddings as wide as its first layer.
fn model(factors: usize, widths: &[usize]) -> Pairs {
    let (p, q) = (noise(USERS * factors, 1), noise(ITEMS * factors, 2));
    let embedding = widths.first().copied().unwrap_or(1);
    let (u, v) = (noise(USERS * embedding, 3), noise(ITEMS * embedding, 4));
    let mut inputs = 2 * embedding;
    let mut layers = Vec::new();
    for &outputs in widths {
        layers.push((noise(inputs * outputs, 5), noise(outputs, 6)));
        inputs = outputs;
    }
    let layers: Vec<Dense<'_>> = layers.iter().map(|(weight, bias)| Dense { weight, bias }).collect();
    let perceptron = (Tables { users: &u, items: &v, width: embedding }, layers.as_slice());
    let parts = Parts {
        product: Some(Tables { users: &p, items: &q, width: factors }),
        perceptron: (!widths.is_empty()).then_some(perceptron),
        head: &noise(factors + widths.last().copied().unwrap_or(0), 7),
        bias: 0.0,
        item_bias: None,
    };
    Pairs::new(&parts).expect("the parts fit each other")
}

fn tiles(bencher: Bencher<'_, '_>, model: &Pairs) {
    let users: Vec<u32> = (0..USERS as u32).collect();
    let mut out = vec![0.0; USERS * TILE];
    bencher.counter(ItemsCount::new(USERS * ITEMS)).bench_local(|| {
        for first in (0..ITEMS as u32).step_by(TILE) {
            model.tile(&users, first..first + TILE as u32, black_box(&mut out)).expect("ids and sizes fit");
        }
    });
}

#[divan::bench(args = [8, 16, 32, 64])]
fn gmf_tiles(bencher: Bencher<'_, '_>, factors: usize) {
    tiles(bencher, &model(factors, &[]));
}

#[divan::bench(args = [8, 32])]
fn neumf_tiles(bencher: Bencher<'_, '_>, factors: usize) {
    tiles(bencher, &model(factors, &[4 * factors, 2 * factors, factors]));
}

fn lists(bencher: Bencher<'_, '_>, model: &Pairs) {
    let items: Vec<u32> = (0..101).map(|k| (k * 7919 % ITEMS) as u32).collect();
    let mut out = vec![0.0; items.len()];
    bencher.counter(ItemsCount::new(USERS * items.len())).bench_local(|| {
        for user in 0..USERS as u32 {
            model.list(user, &items, black_box(&mut out)).expect("ids and sizes fit");
        }
    });
}

#[divan::bench]
fn gmf_lists_of_101(bencher: Bencher<'_, '_>) {
    lists(bencher, &model(32, &[]));
}

#[divan::bench]
fn neumf_lists_of_101(bencher: Bencher<'_, '_>) {
    lists(bencher, &model(32, &[128, 64, 32]));
}

#[divan::bench(args = [1, 5, 50, 200])]
fn counting(bencher: Bencher<'_, '_>, thresholds: usize) {
    let scores = noise(TILE, 1);
    let thresholds: Vec<f32> = (0..thresholds).map(|k| 0.9 - k as f32 / 200.0).collect();
    let mut counts = vec![Count::default(); thresholds.len()];
    bencher
        .counter(ItemsCount::new(TILE))
        .bench_local(|| count(&thresholds, black_box(&scores), black_box(&mut counts)));
}

#[divan::bench(args = [10, 100, 1000])]
fn best_of_57396(bencher: Bencher<'_, '_>, k: usize) {
    let scores = noise(57_396, 1);
    let mut best = Best::new(k);
    bencher.counter(ItemsCount::new(scores.len())).bench_local(|| {
        for (number, scores) in black_box(&scores).chunks(TILE).enumerate() {
            best.offer((number * TILE) as u32, scores);
        }
        best.finish(|item, score| {
            black_box((item, score));
        });
    });
}
