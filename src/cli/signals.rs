//! SIGINT, SIGTERM and SIGHUP ask the run to stop at the next safe place; a second one ends it at once. SIGUSR1 asks for
//! checkpoints, and the run goes on.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

use crate::cli::exit::Failed;
use crate::stage::Cancel;

static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Has SIGUSR1 do no harm, whatever the program is doing: without a handler it would end it.
pub(super) fn ignore_requests() {
    // Where no handler can be installed, all is as it would be without.
    let _ = flag::register(SIGUSR1, Arc::<AtomicBool>::default());
}

/// Installs the handlers of a run.
pub(super) fn install() -> Result<Cancel, Failed> {
    let cancel = Cancel::default();
    let received = Arc::clone(RECEIVED.get_or_init(Arc::default));
    for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)) {
        // Handlers run in the order of registration: the first signal only sets the flag, the second finds it set.
        flag::register_conditional_shutdown(signal, 128 + signal, cancel.flag())
            .and_then(|_| flag::register_usize(signal, Arc::clone(&received), signal as usize))
            .and_then(|_| flag::register(signal, cancel.flag()))
            .map_err(|error| Failed::io("cannot install signal handlers", error))?;
    }
    flag::register(SIGUSR1, cancel.save_flag()).map_err(|error| Failed::io("cannot install signal handlers", error))?;
    Ok(cancel)
}

/// Whether whoever started the program wants it to ignore the signal, as `nohup` does.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The signal that arrived last, if any did.
pub(super) fn received() -> Option<u8> {
    match RECEIVED.get().map_or(0, |received| received.load(Ordering::Relaxed)) {
        0 => None,
        signal => u8::try_from(signal).ok(),
    }
}
