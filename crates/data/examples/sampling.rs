//! Draws negatives and says how long it took; `bench/sampling.py` runs it.
//!
//! usage: sampling FILE USERS ITEMS EACH: FILE holds the users of all pairs, then their items, as little-endian u32.
//! Each line of the input makes one turn, and gets a line with its seconds and the sum of the items drawn.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a program for developers"
)]

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use ncf_pipe_data::csr::Csr;
use ncf_pipe_data::proposal::Proposal;
use ncf_pipe_data::rng::{Philox, Stream};
use ncf_pipe_data::sample::Sampler;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, n_users, n_items, each] = arguments.as_slice() else {
        return Err("usage: sampling FILE USERS ITEMS EACH".into());
    };
    let (n_users, n_items, each): (u32, u32, usize) = (n_users.parse()?, n_items.parse()?, each.parse()?);
    let bytes = std::fs::read(file)?;
    let numbers: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number)).collect();
    let (users, items) = numbers.split_at(numbers.len() / 2);
    let mut out = std::io::stdout();
    for (turn, line) in (0..).zip(std::io::stdin().lock().lines()) {
        line?;
        let start = Instant::now();
        // As at the start of a run: the rows are sorted, then the draws made.
        let seen = Csr::from_pairs(n_users, n_items, users, items)?;
        let mut drawn = vec![0; users.len() * each];
        let philox = Philox::new(1, Stream::Negatives);
        Sampler::new(&seen, &Proposal::Uniform { n_items })?.fill(philox, turn, users, each, &mut drawn)?;
        let seconds = start.elapsed().as_secs_f64();
        writeln!(out, "{seconds} {}", drawn.iter().copied().map(u64::from).sum::<u64>())?;
        out.flush()?;
    }
    Ok(())
}
