//! A few threads that stay ready between the phases of a step.
//!
//! A step of a small model takes some tens of microseconds and has several phases; waking threads that sleep would take
//! as long as the step itself. So the threads of a team spin for a moment when they run out of work, then yield, and
//! sleep only after that. Nobody ever waits for a thread that the operating system does not run, unless it is in the
//! middle of a task.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Turns of a busy wait before a thread yields: some microseconds.
const SPINS: u32 = 400;
/// Times that an idle thread yields before it sleeps: about a millisecond.
const YIELDS: u32 = 1000;
/// Set in `Shared::gate` when no thread may join the job any more.
const CLOSED: usize = 1 << 32;

/// Threads that share the tasks of a job. Who does which task is open, so tasks must not depend on it.
pub(super) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Whether the calling thread does all tasks, because sharing them would take longer.
    pub(super) alone: bool,
}

struct Shared {
    /// Counts the jobs; a change calls the threads.
    call: AtomicU64,
    /// The job, while the gate is open.
    job: AtomicPtr<Job<'static>>,
    /// How many threads have joined the job, or [`CLOSED`].
    gate: AtomicUsize,
    /// How many of them have left it.
    left: AtomicUsize,
    stop: AtomicBool,
    asleep: Vec<AtomicBool>,
}

struct Job<'a> {
    task: &'a (dyn Fn(usize) + Sync),
    /// One range of tasks for each member.
    ranges: Vec<Range>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The tasks that are left of a range, on a cache line of their own: the next one in the low half of the number, and the
/// end in the high half.
#[repr(align(64))]
struct Range(AtomicU64);

impl Range {
    fn new(start: usize, end: usize) -> Self {
        Self(AtomicU64::new((end as u64) << 32 | start as u64))
    }

    /// Takes the first task.
    fn first(&self) -> Option<usize> {
        let left = self.0.fetch_add(1, Ordering::Relaxed);
        let (next, end) = (left & u64::from(u32::MAX), left >> 32);
        (next < end).then_some(next as usize)
    }

    /// Takes the last task.
    fn last(&self) -> Option<usize> {
        let some = |left: u64| (left & u64::from(u32::MAX) < left >> 32).then(|| left - (1 << 32));
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, some).ok()?;
        Some((left >> 32) as usize - 1)
    }
}

impl Job<'_> {
    /// Does the tasks of one's own range, then those that are left of others', from their ends. A task is often followed
    /// by its counterpart of the next phase, which then finds its data in the cache of the same core.
    fn work(&self, member: usize) {
        let n = self.ranges.len();
        for turn in 0..n {
            let range = &self.ranges[(member + turn) % n];
            while let Some(task) = if turn == 0 { range.first() } else { range.last() } {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.task)(task))) {
                    self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
                }
            }
        }
    }
}

impl Team {
    /// A team of this many threads, the calling one among them.
    pub(super) fn new(threads: usize) -> Self {
        let others = threads.max(1) - 1;
        let shared = Arc::new(Shared {
            call: AtomicU64::new(0),
            job: AtomicPtr::new(ptr::null_mut()),
            gate: AtomicUsize::new(CLOSED),
            left: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            asleep: (0..others).map(|_| AtomicBool::new(false)).collect(),
        });
        // A thread that cannot be started is done without: results do not depend on their number.
        let workers = (0..others).map_while(|k| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("kernel-{}", k + 1)).spawn(move || shared.serve(k)).ok()
        });
        let workers = workers.collect();
        Self { shared, workers, alone: false }
    }

    /// Does the tasks below the last of `ends`, each once, and returns when all are done. A panic in a task is passed on.
    /// The tasks up to `ends[k]` are those that thread `k` begins with.
    fn run(&self, ends: &[usize], task: &(dyn Fn(usize) + Sync)) {
        let start = |member: usize| member.checked_sub(1).map_or(0, |before| ends[before]);
        let ranges = ends.iter().enumerate().map(|(member, &end)| Range::new(start(member), end)).collect();
        let job = Job { task, ranges, panic: Mutex::new(None) };
        let shared = &*self.shared;
        shared.job.store(ptr::from_ref(&job).cast_mut().cast(), Ordering::Relaxed);
        shared.left.store(0, Ordering::Relaxed);
        shared.gate.store(0, Ordering::Release);
        shared.call.fetch_add(1, Ordering::SeqCst);
        for (worker, asleep) in self.workers.iter().zip(&shared.asleep) {
            if asleep.swap(false, Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        job.work(0);
        let joined = shared.gate.fetch_or(CLOSED, Ordering::AcqRel);
        wait(|| shared.left.load(Ordering::Acquire) == joined);
        if let Some(panic) = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(panic);
        }
    }

    /// Does the work for each of the items, which it takes.
    pub(super) fn each<T: Send>(&self, items: Vec<T>, work: impl Fn(T) + Sync) {
        self.each_of(vec![items], work);
    }

    /// Does the work for each of the items of several lists, which it takes.
    ///
    /// The first items of each list are begun by the first thread, the last ones by the last, in proportion: where the
    /// order of the lists of several phases follows the same data, those mostly stay with a core.
    pub(super) fn each_of<T: Send>(&self, lists: Vec<Vec<T>>, work: impl Fn(T) + Sync) {
        let members = self.workers.len() + 1;
        let n = lists.iter().map(Vec::len).sum();
        if members == 1 || n < 2 || self.alone {
            return lists.into_iter().flatten().for_each(work);
        }
        let (mut ends, mut items) = (Vec::with_capacity(members), Vec::with_capacity(n));
        let lengths: Vec<usize> = lists.iter().map(Vec::len).collect();
        let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
        for member in 0..members {
            for (list, n) in lists.iter_mut().zip(&lengths) {
                let share = (member + 1) * n / members - member * n / members;
                items.extend(list.take(share).map(|item| Mutex::new(Some(item))));
            }
            ends.push(items.len());
        }
        self.run(&ends, &|task| {
            let item = items[task].lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(item) = item {
                work(item);
            }
        });
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.call.fetch_add(1, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches the panics of its tasks, so it has nothing to say.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn serve(&self, k: usize) {
        let mut seen = 0;
        loop {
            seen = self.next_call(k, seen);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            // Whoever finds the gate closed comes too late, and must not look at the job.
            if self.gate.fetch_add(1, Ordering::AcqRel) & CLOSED == 0 {
                // SAFETY: `run` publishes the job before it opens the gate, and the job lives until `run` returns.
                // `run` closes the gate first and then waits until as many threads as have joined have left. This
                // thread has joined, and leaves after its last use of the job.
                let job = unsafe { &*self.job.load(Ordering::Acquire) };
                job.work(k + 1);
                self.left.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Waits for a call after `seen`.
    fn next_call(&self, k: usize, seen: u64) -> u64 {
        let mut turns = 0;
        loop {
            let call = self.call.load(Ordering::SeqCst);
            if call != seen {
                return call;
            }
            turns += 1;
            if turns < SPINS {
                std::hint::spin_loop();
            } else if turns < SPINS + YIELDS {
                thread::yield_now();
            } else {
                self.asleep[k].store(true, Ordering::SeqCst);
                // A call between the look above and here would not see that this thread sleeps.
                if self.call.load(Ordering::SeqCst) == seen {
                    thread::park();
                }
                self.asleep[k].store(false, Ordering::SeqCst);
            }
        }
    }
}

fn wait(done: impl Fn() -> bool) {
    let mut turns = 0;
    while !done() {
        turns += 1;
        if turns < SPINS {
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_is_done_once_by_any_number_of_threads() {
        for threads in [0, 1, 2, 3, 8] {
            let team = Team::new(threads);
            for tasks in [0, 1, 2, 7, 100] {
                let done: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                for split in 0..50 {
                    let split = split * tasks / 50;
                    let lists = vec![(0..split).collect(), (split..tasks).collect()];
                    team.each_of(lists, |task: usize| {
                        done[task].fetch_add(1, Ordering::Relaxed);
                    });
                }
                assert!(done.iter().all(|n| n.load(Ordering::Relaxed) == 50));
            }
        }
    }

    #[test]
    fn threads_that_fell_asleep_are_woken_or_done_without() {
        let team = Team::new(3);
        for _ in 0..20 {
            let sum = AtomicUsize::new(0);
            team.each((0..100).collect(), |x: usize| {
                sum.fetch_add(x, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 4950);
            let all_asleep = || team.shared.asleep.iter().all(|a| a.load(Ordering::SeqCst));
            while !all_asleep() {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_and_the_team_lives_on() {
        let team = Team::new(3);
        for _ in 0..10 {
            let done = AtomicUsize::new(0);
            let result = catch_unwind(AssertUnwindSafe(|| {
                team.each((0..64).collect(), |task: usize| {
                    done.fetch_add(1, Ordering::Relaxed);
                    assert!(task != 40, "forty");
                });
            }));
            assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "forty");
            assert_eq!(done.into_inner(), 64);
        }
    }
}
