//! Whether threads share a step, found out by trying.
//!
//! Steps of small batches take some tens of microseconds, of which lines that go from core to core, and threads that wait
//! for each other, may be more than the work that is shared. Where sharing begins to pay depends on the machine and on what
//! else runs on it: with two cores, steps of 256 samples of GMF with 32 factors took three quarters of the time on one
//! thread on one machine, and four thirds of it on another. Results do not depend on the number of threads, so that either
//! may be tried at any time.

use std::time::Duration;

/// Steps of either kind in a trial.
const TRIED: usize = 32;
/// Steps from one trial to the next. What else runs on a machine changes. The first steps are not tried: they have batches
/// drawn for them beside, on another core.
const PERIOD: usize = 1 << 11;

/// Takes how long steps take, and says how to make the next.
#[derive(Debug)]
pub(super) struct Pace {
    /// The next step of the period.
    step: usize,
    /// What the step that is being made has taken.
    spent: Duration,
    /// What the steps of the trial took, of the kind that is tried.
    times: [Duration; TRIED],
    /// What one thread took, in the trial.
    one: Duration,
    alone: Option<bool>,
}

impl Pace {
    pub(super) fn new() -> Self {
        let zero = Duration::ZERO;
        Self { step: 2 * TRIED, spent: zero, times: [zero; TRIED], one: zero, alone: None }
    }

    /// Whether one thread is to make the next step; nobody knows before the first trial.
    pub(super) fn alone(&self) -> Option<bool> {
        self.alone
    }

    /// Adds what a part of the step took.
    pub(super) fn add(&mut self, time: Duration) {
        self.spent += time;
    }

    /// Ends the step.
    pub(super) fn next(&mut self) {
        let spent = std::mem::take(&mut self.spent);
        if self.step < 2 * TRIED {
            self.times[self.step % TRIED] = spent;
        }
        self.step += 1;
        if self.step == TRIED {
            self.one = self.median();
            self.alone = Some(false);
        } else if self.step == 2 * TRIED {
            // Cores that do little good here may do more elsewhere.
            self.alone = Some(10 * self.median() > 9 * self.one);
        } else if self.step == PERIOD {
            (self.step, self.alone) = (0, Some(true));
        }
    }

    /// Of the steps that were tried, so that those do not count in which something else had the processor.
    fn median(&mut self) -> Duration {
        *self.times.select_nth_unstable(TRIED / 2).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes so many steps of either duration, in two parts, and counts those that one thread made.
    fn steps(pace: &mut Pace, n: usize, micros: impl Fn(usize, bool) -> u64) -> usize {
        let mut alone = 0;
        for step in 0..n {
            let is_alone = pace.alone().unwrap_or(true);
            alone += usize::from(is_alone);
            let time = Duration::from_nanos(500 * micros(step, is_alone));
            pace.add(time);
            pace.add(time);
            pace.next();
        }
        alone
    }

    #[test]
    fn what_is_faster_is_done_and_tried_again() {
        let mut pace = Pace::new();
        assert_eq!(pace.alone(), None);
        assert_eq!(steps(&mut pace, PERIOD - 2 * TRIED, |_, _| 50), PERIOD - 2 * TRIED);
        assert_eq!(steps(&mut pace, PERIOD, |_, alone| if alone { 60 } else { 40 }), TRIED);
        assert_eq!(steps(&mut pace, PERIOD, |_, alone| if alone { 40 } else { 60 }), PERIOD - TRIED);
        // A little faster is not worth another core.
        assert_eq!(steps(&mut pace, PERIOD, |_, alone| if alone { 60 } else { 57 }), PERIOD - TRIED);
        assert_eq!(steps(&mut pace, PERIOD, |_, alone| if alone { 60 } else { 53 }), TRIED);
    }

    #[test]
    fn single_steps_that_take_long_do_not_decide() {
        let mut pace = Pace::new();
        let slow_now_and_then = |step, alone: bool| match (step % 3, alone) {
            (0, _) => 10_000,
            (_, true) => 60,
            (_, false) => 40,
        };
        steps(&mut pace, PERIOD - 2 * TRIED, |_, _| 50);
        assert_eq!(steps(&mut pace, PERIOD, slow_now_and_then), TRIED);
    }
}
