//! Who may take how much of a GPU's memory: stages ask before they take, and wait for each other.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Error, Result};

/// How long somebody who waits does not look whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How somebody waits.
#[derive(Clone, Copy)]
pub struct Wait<'a> {
    /// Asked now and then whether to stop.
    pub stop: &'a dyn Fn() -> bool,
    /// Told once that there is something to wait for.
    pub waiting: &'a dyn Fn(),
}

/// The memory of a GPU, in bytes, as it is promised to those who ask. They get it in the order in which they asked, so
/// that one who needs much is not passed by for ever by those who need little.
#[derive(Debug)]
pub struct Gate {
    total: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    next: u64,
    queue: VecDeque<u64>,
}

/// A promise of memory; it ends when it is dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    bytes: usize,
}

impl Gate {
    /// A gate to so many bytes.
    pub fn new(total: usize) -> Arc<Self> {
        let state = State { free: total, next: 0, queue: VecDeque::new() };
        Arc::new(Self { total, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// How many bytes are not promised.
    pub fn free(&self) -> usize {
        self.state().free
    }

    /// Waits until `bytes` are free and all who asked before have theirs.
    ///
    /// # Errors
    /// [`Error::Memory`] at once if there is not as much even when nobody else has any; [`Error::Stopped`].
    pub fn enter(self: &Arc<Self>, bytes: usize, wait: Wait<'_>) -> Result<Permit> {
        if bytes > self.total {
            return Err(Error::Memory { needed: bytes, free: self.total });
        }
        let mut state = self.state();
        let ticket = state.next;
        state.next += 1;
        state.queue.push_back(ticket);
        let mut told = false;
        while state.queue.front() != Some(&ticket) || state.free < bytes {
            // Both are the caller's, and nothing may be held meanwhile.
            drop(state);
            if !std::mem::replace(&mut told, true) {
                (wait.waiting)();
            }
            let stop = (wait.stop)();
            state = self.state();
            if stop {
                state.queue.retain(|other| *other != ticket);
                self.changed.notify_all();
                return Err(Error::Stopped);
            }
            if state.queue.front() != Some(&ticket) || state.free < bytes {
                state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        state.queue.pop_front();
        state.free -= bytes;
        // The next may fit beside this one.
        self.changed.notify_all();
        Ok(Permit { gate: Arc::clone(self), bytes })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.state().free += self.bytes;
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    const PATIENT: Wait<'static> = Wait { stop: &|| false, waiting: &|| {} };

    #[test]
    fn what_does_not_fit_alone_is_refused_at_once() {
        let gate = Gate::new(100);
        let _other = gate.enter(60, PATIENT).unwrap();
        assert_eq!(gate.enter(101, PATIENT).err(), Some(Error::Memory { needed: 101, free: 100 }));
        assert_eq!(gate.free(), 40);
    }

    #[test]
    fn all_memory_comes_back_and_never_too_much_is_out() {
        let (gate, out, most) = (Gate::new(100), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (gate, out, most) = (&gate, &out, &most);
                scope.spawn(move || {
                    for k in 0..200 {
                        let bytes = 1 + (n * 37 + k * 11) % 100;
                        let permit = gate.enter(bytes, PATIENT).unwrap();
                        most.fetch_max(out.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
                        std::thread::yield_now();
                        out.fetch_sub(bytes, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!((1..=100).contains(&most.into_inner()));
        assert_eq!(gate.free(), 100);
    }

    #[test]
    fn a_large_one_is_not_passed_by_those_that_come_later() {
        let gate = Gate::new(100);
        let first = gate.enter(50, PATIENT).unwrap();
        let (told, order) = (channel(), channel());
        std::thread::scope(|scope| {
            // Not both at a time: the large one says so before it leaves, and the small one comes after.
            for (name, bytes) in [("large", 80), ("small", 30)] {
                let (gate, tell, done) = (&gate, told.0.clone(), order.0.clone());
                scope.spawn(move || {
                    let permit = gate.enter(bytes, Wait { waiting: &|| tell.send(()).unwrap(), ..PATIENT }).unwrap();
                    done.send(name).unwrap();
                    drop(permit);
                });
                // Each waits before the next asks; the small one would fit at once.
                told.1.recv().unwrap();
            }
            assert!(order.1.try_recv().is_err());
            drop(first);
        });
        assert_eq!(order.1.recv(), Ok("large"));
        assert_eq!(order.1.recv(), Ok("small"));
    }

    #[test]
    fn who_is_told_to_stop_leaves_the_queue_to_the_others() {
        let gate = Gate::new(100);
        let first = gate.enter(50, PATIENT).unwrap();
        assert_eq!(gate.enter(80, Wait { stop: &|| true, ..PATIENT }).err(), Some(Error::Stopped));
        assert!(gate.enter(50, PATIENT).is_ok());
        drop(first);
        assert_eq!(gate.free(), 100);
    }
}
