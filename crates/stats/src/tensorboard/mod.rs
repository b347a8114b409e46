//! Scalars in the event files that TensorBoard reads.
//!
//! A file is a sequence of records ([`record`]), each an `Event` message of TensorBoard's `event.proto` ([`event`]). The
//! first holds the version `brain.Event:2`. Scalars are written as `simple_value`, as PyTorch's `SummaryWriter` does: that is
//! what `EventAccumulator.Scalars` lists, and TensorBoard's loaders turn it into the tensor form by themselves.
//! `simple_value` has 32 bits; JSON lines keep all of a metric's digits.
//!
//! ```
//! # fn main() -> Result<(), ncf_pipe_stats::tensorboard::TensorboardError> {
//! use ncf_pipe_stats::tensorboard::EventWriter;
//! let mut events = EventWriter::new(Vec::new(), 1_700_000_000.0)?;
//! events.scalars(1, 1_700_000_001.5, &[("train/loss", 0.69), ("validate/NDCG@10", 0.21)])?;
//! # Ok(())
//! # }
//! ```

pub mod event;
pub mod record;

use std::io;
use std::io::Write;

/// Why an event cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorboardError {
    /// The file cannot be written.
    #[error("cannot write TensorBoard events")]
    Io(#[from] io::Error),
    /// A series without a name.
    #[error("a TensorBoard series at step {step} has an empty name: name it, such as `train/loss`")]
    Tag {
        /// The step.
        step: i64,
    },
    /// A moment that is no number.
    #[error("the wall time of a TensorBoard event must be seconds since 1970, got {wall_time}")]
    WallTime {
        /// What was given.
        wall_time: f64,
    },
}

/// Writes events to `W`, one record each. Nothing is buffered here: give it a `BufWriter`, and call [`Self::flush`] for
/// readers that follow the file.
#[derive(Debug)]
pub struct EventWriter<W> {
    out: W,
}

impl<W: Write> EventWriter<W> {
    /// Begins a file: writes the version record. `wall_time` is in seconds since 1970, here and everywhere.
    ///
    /// # Errors
    /// `wall_time` is not finite, or `out` cannot be written.
    pub fn new(out: W, wall_time: f64) -> Result<Self, TensorboardError> {
        let mut writer = Self { out };
        writer.write(0, wall_time, |event| event.file_version(event::FILE_VERSION))?;
        Ok(writer)
    }

    /// One value of one series. See [`Self::scalars`].
    ///
    /// # Errors
    /// As [`Self::scalars`].
    pub fn scalar(&mut self, tag: &str, step: i64, wall_time: f64, value: f64) -> Result<(), TensorboardError> {
        self.scalars(step, wall_time, &[(tag, value)])
    }

    /// Values of several series at one step. A `/` in a name groups series in TensorBoard; any other character may occur.
    ///
    /// Values are rounded to 32 bits. NaN and infinities are written as they are, and shown as such; what is beyond 32 bits
    /// becomes infinite. Without values nothing is written.
    ///
    /// # Errors
    /// A name is empty, `wall_time` is not finite, or the file cannot be written.
    pub fn scalars(&mut self, step: i64, wall_time: f64, values: &[(&str, f64)]) -> Result<(), TensorboardError> {
        if values.iter().any(|(tag, _)| tag.is_empty()) {
            return Err(TensorboardError::Tag { step });
        }
        if values.is_empty() {
            return Ok(());
        }
        self.write(step, wall_time, |event| event.summary(values))
    }

    /// Says that a run begins again at `step`: TensorBoard forgets what was written before for that step and later ones.
    ///
    /// # Errors
    /// `wall_time` is not finite, or the file cannot be written.
    pub fn restart(&mut self, step: i64, wall_time: f64) -> Result<(), TensorboardError> {
        self.write(step, wall_time, event::Event::session_start)
    }

    /// Hands what was written on to readers.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> Result<(), TensorboardError> {
        Ok(self.out.flush()?)
    }

    /// What the events were written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn write(
        &mut self,
        step: i64,
        wall_time: f64,
        fill: impl FnOnce(event::Event) -> event::Event,
    ) -> Result<(), TensorboardError> {
        if !wall_time.is_finite() {
            return Err(TensorboardError::WallTime { wall_time });
        }
        let message = fill(event::Event::new(step, wall_time)).into_bytes();
        Ok(self.out.write_all(&record::frame(&message))?)
    }
}

/// The name of an event file that begins at `seconds` since 1970: `events.out.tfevents.`, the time with ten digits, and
/// `run`, which tells files of the same second apart. TensorBoard reads files with `tfevents` in their name, in the order
/// of their names. Characters of `run` that file systems refuse become `_`.
pub fn file_name(seconds: u64, run: &str) -> String {
    let run: String =
        run.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' }).collect();
    format!("events.out.tfevents.{seconds:010}.{run}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_without_values_or_name_writes_nothing() {
        let mut events = EventWriter::new(Vec::new(), 1.0).unwrap();
        events.scalars(1, 1.0, &[]).unwrap();
        assert!(matches!(events.scalar("", 3, 1.0, 0.5), Err(TensorboardError::Tag { step: 3 })));
        assert!(matches!(events.scalar("a", 3, f64::NAN, 0.5), Err(TensorboardError::WallTime { .. })));
        assert_eq!(events.into_inner(), EventWriter::new(Vec::new(), 1.0).unwrap().into_inner());
    }

    #[test]
    fn a_file_name_holds_what_tensorboard_looks_for_and_no_path() {
        assert_eq!(file_name(1_700_000_000, "a/b 7"), "events.out.tfevents.1700000000.a_b_7");
        assert_eq!(file_name(5, "x"), "events.out.tfevents.0000000005.x");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(matches!(EventWriter::new(Full, 1.0), Err(TensorboardError::Io(_))));
    }
}
