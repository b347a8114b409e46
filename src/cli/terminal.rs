//! The terminal: bars at its foot, lines above them. It may go away at any time, which is no reason to stop.

use std::io::{self, Write};
use std::sync::OnceLock;

use console::Term;
use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};

static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// How often bars are drawn at most, each second.
const RATE: u8 = 10;

/// Has progress drawn as bars from now on.
pub(super) fn draw_bars() {
    let term = Box::new(Forgiving(Term::buffered_stderr()));
    BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(term, RATE)));
}

/// The bars, if progress is drawn.
pub(super) fn bars() -> Option<&'static MultiProgress> {
    BARS.get()
}

/// Writes to standard error with the bars out of the way.
pub(super) fn past_bars<T>(write: impl FnOnce() -> T) -> T {
    match bars() {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// Standard error above the bars, for log lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Above;

impl Write for Above {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        // Nobody is left to tell when standard error is gone.
        let _ = past_bars(|| io::stderr().lock().write_all(buffer));
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A terminal whose errors are not heard: indicatif panics at some, which leaves its lock poisoned.
#[derive(Debug)]
struct Forgiving<T>(T);

/// Whatever became of it.
#[allow(clippy::unnecessary_wraps, reason = "what the trait wants to hear")]
fn well<T>(_: io::Result<T>) -> io::Result<()> {
    Ok(())
}

impl<T: TermLike> TermLike for Forgiving<T> {
    fn width(&self) -> u16 {
        self.0.width()
    }

    fn height(&self) -> u16 {
        self.0.height()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        well(self.0.move_cursor_up(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        well(self.0.move_cursor_down(n))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        well(self.0.move_cursor_right(n))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        well(self.0.move_cursor_left(n))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        well(self.0.write_line(text))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        well(self.0.write_str(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        well(self.0.clear_line())
    }

    fn flush(&self) -> io::Result<()> {
        well(self.0.flush())
    }
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressBar;

    use super::*;

    /// A terminal that has gone away.
    #[derive(Debug)]
    struct Gone;

    impl TermLike for Gone {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Err(io::Error::from_raw_os_error(5))
        }
        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.move_cursor_up(n)
        }
        fn move_cursor_right(&self, n: usize) -> io::Result<()> {
            self.move_cursor_up(n)
        }
        fn move_cursor_left(&self, n: usize) -> io::Result<()> {
            self.move_cursor_up(n)
        }
        fn write_line(&self, _: &str) -> io::Result<()> {
            self.move_cursor_up(1)
        }
        fn write_str(&self, _: &str) -> io::Result<()> {
            self.move_cursor_up(1)
        }
        fn clear_line(&self) -> io::Result<()> {
            self.move_cursor_up(1)
        }
        fn flush(&self) -> io::Result<()> {
            self.move_cursor_up(1)
        }
    }

    #[test]
    fn bars_go_on_when_the_terminal_is_gone() {
        // With `Gone` itself, indicatif 0.18 panics in `suspend`, and then in the destructor of the bar.
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(Forgiving(Gone))));
        let bar = bars.add(ProgressBar::new(3));
        bar.tick();
        assert_eq!(bars.suspend(|| 7), 7);
    }
}
