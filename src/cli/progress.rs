//! The progress of a run: a bar for each running stage on a terminal, plain lines elsewhere.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::cli::table::seconds;
use crate::cli::terminal;
use crate::pipeline::{Observer, StageReport, Started, Status};
use crate::stage::Progress;

/// Lines about a long stage come no faster than this.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Bars move at least this often.
const TICK: Duration = Duration::from_millis(100);

/// Tells a person what the run is doing.
#[derive(Debug)]
pub(super) struct Console {
    bars: Option<&'static MultiProgress>,
    /// The bar of the whole run, below those of the stages.
    whole: Option<ProgressBar>,
    sweep: Mutex<Sweep>,
}

impl Console {
    /// Draws bars if the terminal is set up for them, and writes lines otherwise.
    pub(super) fn new() -> Self {
        let bars = terminal::bars();
        let whole = bars.map(|bars| bars.add(ProgressBar::no_length().with_style(style("{msg}"))));
        Self { bars, whole, sweep: Mutex::new(Sweep { begun: Instant::now(), ran: 0 }) }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(whole) = &self.whole {
            whole.finish_and_clear();
        }
    }
}

/// How a run of many stages gets on.
#[derive(Debug)]
struct Sweep {
    begun: Instant,
    /// Stages that ran: those that are fresh take no time.
    ran: u32,
}

impl Sweep {
    /// How long the rest will take, if the stages that are left take as long as those that ran; nothing as long as few
    /// have.
    fn left(&self, stages: usize) -> Option<Duration> {
        let stages = u32::try_from(stages).ok().filter(|stages| *stages > 0 && self.ran >= 5)?;
        (self.begun.elapsed() / self.ran).checked_mul(stages)
    }
}

impl Observer for Console {
    fn started(&self, stage: &Started<'_>) -> Box<dyn Progress + '_> {
        for reason in stage.why {
            tracing::debug!("{}: {reason}", stage.name);
        }
        if let Some(bars) = self.bars {
            Box::new(Bar::new(bars, self.whole.as_ref(), stage.name))
        } else {
            tracing::info!("{}: running ({})", stage.name, stage.why.join("; "));
            Box::new(Lines::new(stage.name))
        }
    }

    fn finished(&self, report: &StageReport, done: usize, total: usize) {
        let what = match report.status {
            Status::Fresh => "fresh".to_owned(),
            Status::Ran => format!("ran in {}", seconds(report.seconds)),
            Status::Failed => "failed".to_owned(),
            Status::Skipped => "stopped".to_owned(),
        };
        let left = {
            let mut sweep = self.sweep.lock().unwrap_or_else(PoisonError::into_inner);
            sweep.ran += u32::from(report.status == Status::Ran);
            sweep.left(total.saturating_sub(done))
        };
        let left = left.map_or_else(String::new, |left| format!(", about {} left", HumanDuration(left)));
        // Hundreds of fresh stages would hide the ones that matter.
        if report.status == Status::Fresh {
            tracing::debug!("[{done}/{total}] {}: {what}", report.name);
        } else {
            tracing::info!("[{done}/{total}] {}: {what}{left}", report.name);
        }
        if let Some(whole) = &self.whole {
            whole.set_style(style("{wide_bar} {pos}/{len} stages{msg}"));
            whole.set_length(total as u64);
            whole.set_position(done as u64);
            whole.set_message(left);
        }
    }

    fn waiting(&self, name: &str) {
        tracing::info!("{name}: another process is making the same output; waiting for it");
    }

    fn warning(&self, text: &str) {
        tracing::warn!("{text}");
    }
}

/// A bar on the terminal.
struct Bar {
    drawn: ProgressBar,
    /// Ends the thread that keeps the bar moving.
    _ticking: Option<Sender<()>>,
}

impl Bar {
    fn new(bars: &MultiProgress, whole: Option<&ProgressBar>, name: &str) -> Self {
        let bar = ProgressBar::no_length().with_style(style("{spinner} {prefix}")).with_prefix(name.to_owned());
        let bar = match whole {
            Some(whole) => bars.insert_before(whole, bar),
            None => bars.add(bar),
        };
        // Not indicatif's own thread, which panics where none can be made.
        let (stop, stopped) = channel();
        let ticked = bar.clone();
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                ticked.tick();
            }
        };
        let thread = std::thread::Builder::new().name("bar".to_owned()).spawn(tick);
        Self { drawn: bar, _ticking: thread.is_ok().then_some(stop) }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
    }
}

impl Progress for Bar {
    fn start(&self, total: Option<u64>, unit: &'static str) {
        match total {
            // The remark, which has the loss, gets what the line has left: at 80 columns an epoch and a loss.
            Some(total) => {
                let line = "{spinner} {prefix} {bar:10} {percent:>3}% {wide_msg} {rate}, {eta} left";
                self.drawn.set_style(style(line));
                self.drawn.set_length(total);
            }
            None => {
                self.drawn
                    .set_style(style(&format!("{{spinner}} {{prefix}} {{human_pos}} {unit}, {{rate}} {{wide_msg}}")));
            }
        }
        self.drawn.set_position(0);
    }

    fn advance(&self, n: u64) {
        self.drawn.inc(n);
    }

    fn remark(&self, text: &str) {
        self.drawn.set_message(text.to_owned());
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates above are constants; a mistake in one shows as a plain bar, never as a crash.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A bar that cannot be drawn is no reason to stop.
        let _ = write!(out, "{}/s", HumanCount(state.per_sec() as u64));
    })
}

/// A line now and then, for logs.
struct Lines {
    name: String,
    state: Mutex<LineState>,
}

struct LineState {
    total: Option<u64>,
    unit: &'static str,
    done: u64,
    begun: Instant,
    said: Instant,
    remark: String,
}

impl Lines {
    fn new(name: &str) -> Self {
        let now = Instant::now();
        let state = LineState { total: None, unit: "", done: 0, begun: now, said: now, remark: String::new() };
        Self { name: name.to_owned(), state: Mutex::new(state) }
    }
}

impl Progress for Lines {
    fn start(&self, total: Option<u64>, unit: &'static str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.total, state.unit, state.done, state.begun) = (total, unit, 0, Instant::now());
    }

    fn advance(&self, n: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += n;
        if state.said.elapsed() >= LINE_EVERY {
            state.said = Instant::now();
            tracing::info!("{}: {}", self.name, state.text());
        }
    }

    fn remark(&self, text: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        text.clone_into(&mut state.remark);
    }
}

impl LineState {
    fn text(&self) -> String {
        let elapsed = self.begun.elapsed().as_secs_f64().max(1e-3);
        let rate = self.done as f64 / elapsed;
        let done = match self.total {
            Some(total) if total > 0 => {
                let left = total.saturating_sub(self.done) as f64 / rate.max(1e-9);
                // Capped: a rate near zero would give a time that no Duration can hold.
                let left = HumanDuration(Duration::from_secs_f64(left.min(1e9)));
                format!("{} % of {} {}, {left} left", self.done * 100 / total, HumanCount(total), self.unit)
            }
            _ => format!("{} {}", HumanCount(self.done), self.unit),
        };
        let remark = if self.remark.is_empty() { String::new() } else { format!(", {}", self.remark) };
        format!("{done}, {}/s{remark}", HumanCount(rate as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_counts_what_ran() {
        let begun = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        let left = Sweep { begun, ran: 10 }.left(30).unwrap();
        assert!((300..302).contains(&left.as_secs()), "{left:?}");
        assert_eq!((Sweep { begun, ran: 4 }.left(30), Sweep { begun, ran: 10 }.left(0)), (None, None));
    }
}
