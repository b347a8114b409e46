//! Times the paired bootstrap: `cargo run --release --example bootstrap_time -- [USERS] [RESAMPLES]`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program's output")]

use std::error::Error;
use std::time::Instant;

use ncf_pipe_stats::bootstrap::Options;
use ncf_pipe_stats::bootstrap::paired_bootstrap;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let users: usize = arguments.next().map_or(Ok(50_000), |n| n.parse())?;
    let resamples: usize = arguments.next().map_or(Ok(10_000), |n| n.parse())?;
    // Nothing depends on the values: a sequence that fills (0, 1) will do.
    let a: Vec<f64> = (0..users).map(|i| (i as f64 * 0.618_033_988_749_895).fract()).collect();
    let b: Vec<f64> = (0..users).map(|i| (i as f64 * 0.414_213_562_373_095).fract()).collect();
    let start = Instant::now();
    let found = paired_bootstrap(&a, &b, &Options { resamples, ..Options::default() })?;
    println!("{users} users, {resamples} resamples: {:.2} s; p = {}", start.elapsed().as_secs_f64(), found.p);
    Ok(())
}
