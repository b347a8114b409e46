//! Whether as many threads can be made as the work needs.

use std::sync::mpsc::channel;
use std::thread::{Builder, available_parallelism};

use crate::cli::exit::Failed;

/// Beside the pools: workers for stages, and those that draw bars, keep leases and read ahead.
const OTHERS: usize = 4;

/// Refuses to begin where the pools could not be made. They are made when they are first needed, in the middle of a file,
/// and panic then; a panic there would be taken for bad bytes.
pub(super) fn check() -> Result<(), Failed> {
    let cores = available_parallelism().map_or(1, usize::from);
    let of = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or(cores);
    can_start(of("RAYON_NUM_THREADS") + of("POLARS_MAX_THREADS") + OTHERS)
}

/// Makes so many threads that live at the same time, and ends them.
fn can_start(count: usize) -> Result<(), Failed> {
    std::thread::scope(|scope| {
        // Dropped at the end of the closure, which ends all that were made.
        let mut hold = Vec::with_capacity(count);
        for n in 0..count {
            let (sender, receiver) = channel::<()>();
            Builder::new()
                .spawn_scoped(scope, move || {
                    // Until the sender is dropped.
                    let _ = receiver.recv();
                })
                .map_err(|error| {
                    Failed::io(format!("cannot start threads: {n} of {count} could be made"), error).help(
                        "raise the limits of processes and of memory (`ulimit -u`, `ulimit -v`), or set RAYON_NUM_THREADS=1 \
                         and POLARS_MAX_THREADS=1 to need fewer",
                    )
                })?;
            hold.push(sender);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_threads_can_be_started() {
        assert!(can_start(8).is_ok());
    }
}
