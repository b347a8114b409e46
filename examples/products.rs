//! How fast products of matrices are on this machine: `cargo run --release --example products`.
//!
//! They are candle's, which the `gemm` crate computes, with AVX-512 where the processor has it, on all cores. One kind is the
//! product of two large squares; the other is what a training step of NeuMF with 32 factors multiplies, and nothing else
//! of it: for each layer the outputs, the gradients of the inputs and those of the weights, of 256 samples. Prints one line
//! of JSON, in GFLOP/s: of the fastest, and of all of three seconds.

#![expect(clippy::print_stdout, reason = "a program for developers")]

use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor};

/// How long each kind is repeated.
const LONG: Duration = Duration::from_secs(3);
/// Rows and columns of the large squares.
const SQUARE: usize = 2048;
/// Samples of a step.
const BATCH: usize = 256;
/// Inputs and outputs of the layers of NeuMF with 32 factors.
const LAYERS: [(usize, usize); 3] = [(256, 128), (128, 64), (64, 32)];

fn main() -> Result<()> {
    let values = |rows: usize, columns: usize| {
        let values = (0..rows * columns).map(|k| (k as f32).sin()).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu)
    };
    let (a, b) = (values(SQUARE, SQUARE)?, values(SQUARE, SQUARE)?);
    let squares = rates(2.0 * (SQUARE as f64).powi(3), || a.matmul(&b).map(drop))?;
    let mut layers = Vec::new();
    for (inputs, outputs) in LAYERS {
        layers.push((values(BATCH, inputs)?, values(inputs, outputs)?, values(BATCH, outputs)?));
    }
    let operations: usize = LAYERS.iter().map(|(inputs, outputs)| 6 * BATCH * inputs * outputs).sum();
    let step = rates(operations as f64, || {
        for (x, w, slopes) in &layers {
            x.matmul(w)?;
            slopes.matmul(&w.t()?)?;
            x.t()?.matmul(slopes)?;
        }
        Ok(())
    })?;
    let [[square_best, square_mean], [step_best, step_mean]] = [squares, step];
    println!(
        r#"{{"square_best": {square_best:.0}, "square_mean": {square_mean:.0}, "step_best": {step_best:.0}, "step_mean": {step_mean:.0}}}"#
    );
    Ok(())
}

/// GFLOP/s of the fastest repetition, and of all.
fn rates(operations: f64, work: impl Fn() -> Result<()>) -> Result<[f64; 2]> {
    work()?;
    let (start, mut best, mut count) = (Instant::now(), f64::INFINITY, 0.0);
    while start.elapsed() < LONG {
        let one = Instant::now();
        work()?;
        best = best.min(one.elapsed().as_secs_f64());
        count += 1.0;
    }
    Ok([operations / best, operations * count / start.elapsed().as_secs_f64()].map(|rate| rate / 1e9))
}
