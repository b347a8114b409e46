//! `run --events FILE` and `--tensorboard DIR`: what happens, for other programs to follow.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use clap::Args;
use serde_json::{Value, json};

use crate::artifacts::curves::Curves;
use crate::cli::exit::Failed;
use crate::pipeline::{Observer, RunReport, StageReport, Started, Status};
use crate::stage::Progress;
use crate::stats::tensorboard::{EventWriter, file_name};

/// Where to write what happens.
#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// Write what happens to this file, one JSON object a line: stages that start and end, points of learning curves
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Write learning curves as TensorBoard event files, as `DIR/<pipeline>/<stage>/…`
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
}

impl RecordArgs {
    /// What is to be written, by the option that names it.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let all = [("--events", self.events.as_deref()), ("--tensorboard", self.tensorboard.as_deref())];
        all.into_iter().filter_map(|(option, path)| Some((option, path?)))
    }

    /// Opens the file of events.
    pub(super) fn start<'a>(&self, inner: &'a dyn Observer) -> Result<Recorder<'a>, Failed> {
        let open = |path: &PathBuf| {
            let file = File::create(path).map_err(|error| {
                let help = if path.is_dir() {
                    "give `--events` a file, not a directory"
                } else {
                    "give `--events` a file in a directory that exists"
                };
                Failed::io(format!("cannot write `{}`", path.display()), &error).help(help)
            })?;
            Ok::<_, Failed>(Mutex::new(BufWriter::new(file)))
        };
        let events = self.events.as_ref().map(open).transpose()?;
        if let Some(dir) = &self.tensorboard {
            fs::create_dir_all(dir).map_err(|error| {
                Failed::io(format!("cannot make the directory `{}`", dir.display()), &error)
                    .help("give `--tensorboard` a directory, or the name of one that can be made")
            })?;
        }
        Ok(Recorder { inner, events, tensorboard: self.tensorboard.clone(), trouble: Mutex::default() })
    }
}

/// Hands everything on, and writes it down.
pub(super) struct Recorder<'a> {
    inner: &'a dyn Observer,
    events: Option<Mutex<BufWriter<File>>>,
    tensorboard: Option<PathBuf>,
    /// The first thing that could not be written.
    trouble: Mutex<Option<String>>,
}

/// Seconds since 1970: for people who look at curves, and nothing that is stored.
#[allow(clippy::disallowed_methods, reason = "logs have times, results have none")]
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

impl Recorder<'_> {
    /// A log that cannot be written does not stop the run; how it ended says it again.
    fn failed(&self, what: &Path, error: &dyn std::fmt::Display) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none() {
            let text = format!("cannot write `{}`: {error}", what.display());
            self.inner.warning(&text);
            *trouble = Some(text);
        }
    }

    fn event(&self, mut event: Value) {
        let Some(events) = &self.events else { return };
        event["time"] = json!(now());
        let mut file = events.lock().unwrap_or_else(PoisonError::into_inner);
        // Each line at once, so that whoever follows the file sees it.
        let written = writeln!(file, "{event}").and_then(|()| file.flush());
        drop(file);
        if let Err(error) = written {
            self.failed(Path::new("the file of events"), &error);
        }
    }

    /// A new event file for a stage, in place of the one of an earlier run.
    fn curves(&self, view: &Path) -> Option<EventWriter<BufWriter<File>>> {
        let dir = self.tensorboard.as_ref()?.join(view);
        let open = || {
            fs::create_dir_all(&dir)?;
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.starts_with("events.out.tfevents.") && name.ends_with("ncf-pipe") {
                    fs::remove_file(path)?;
                }
            }
            let time = now();
            let file = File::create(dir.join(file_name(time as u64, "ncf-pipe")))?;
            EventWriter::new(BufWriter::new(file), time).map_err(std::io::Error::other)
        };
        open().map_err(|error| self.failed(&dir, &error)).ok()
    }

    /// Writes the curves of stages that did not have to run, where they are not there yet, and the end of the run.
    /// Gives back what could not be written, the first of all.
    pub(super) fn finish(&self, report: &RunReport, outputs: &Path) -> Option<String> {
        self.write_end(report, outputs);
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn write_end(&self, report: &RunReport, outputs: &Path) {
        self.event(json!({
            "event": "finished_run", "pipeline": report.pipeline, "ok": report.ok, "seconds": report.seconds,
        }));
        let Some(dir) = &self.tensorboard else { return };
        for stage in report.stages.iter().filter(|stage| stage.status == Status::Fresh) {
            let Some(output) = &stage.output else { continue };
            let Ok(view) = output.strip_prefix(outputs) else { continue };
            let there = fs::read_dir(dir.join(view)).is_ok_and(|mut entries| entries.next().is_some());
            let history = output.join("history.parquet");
            if there || !history.is_file() {
                continue;
            }
            let read = fs::read(&history).map_err(|error| error.to_string());
            match read.and_then(|bytes| Curves::parse(bytes).map_err(|fault| fault.message)) {
                Ok(curves) => {
                    let Some(mut writer) = self.curves(view) else { continue };
                    for (step, values) in curves.points() {
                        if let Err(error) = writer.scalars(step as i64, now(), &values) {
                            self.failed(&dir.join(view), &error);
                        }
                    }
                    if let Err(error) = writer.flush() {
                        self.failed(&dir.join(view), &error);
                    }
                }
                Err(error) => self.failed(&history, &error),
            }
        }
    }
}

impl Observer for Recorder<'_> {
    fn started(&self, stage: &Started<'_>) -> Box<dyn Progress + '_> {
        self.event(json!({"event": "started", "stage": stage.name, "kind": stage.kind, "why": stage.why}));
        let inner = self.inner.started(stage);
        if self.events.is_none() && self.tensorboard.is_none() {
            return inner;
        }
        Box::new(Recorded {
            recorder: self,
            stage: stage.name.to_owned(),
            view: stage.view.to_owned(),
            inner,
            curves: Mutex::default(),
        })
    }

    fn finished(&self, report: &StageReport, done: usize, total: usize) {
        self.event(json!({
            "event": "finished", "stage": report.name, "kind": report.kind, "status": report.status,
            "seconds": report.seconds, "key": report.key, "error": report.error, "done": done, "total": total,
        }));
        self.inner.finished(report, done, total);
    }

    fn waiting(&self, name: &str) {
        self.event(json!({"event": "waiting", "stage": name}));
        self.inner.waiting(name);
    }

    fn warning(&self, text: &str) {
        self.event(json!({"event": "warning", "text": text}));
        self.inner.warning(text);
    }
}

/// The progress of one stage.
struct Recorded<'a> {
    recorder: &'a Recorder<'a>,
    stage: String,
    view: PathBuf,
    inner: Box<dyn Progress + 'a>,
    /// There once the stage has a first point: most stages have none.
    curves: Mutex<Option<EventWriter<BufWriter<File>>>>,
}

impl Progress for Recorded<'_> {
    fn start(&self, total: Option<u64>, unit: &'static str) {
        self.inner.start(total, unit);
    }

    fn advance(&self, n: u64) {
        self.inner.advance(n);
    }

    fn remark(&self, text: &str) {
        self.inner.remark(text);
    }

    fn point(&self, step: u64, values: &[(&str, f64)]) {
        self.inner.point(step, values);
        let by_name: BTreeMap<&str, f64> = values.iter().copied().collect();
        self.recorder.event(json!({"event": "point", "stage": self.stage, "step": step, "values": by_name}));
        if self.recorder.tensorboard.is_none() {
            return;
        }
        let mut curves = self.curves.lock().unwrap_or_else(PoisonError::into_inner);
        if curves.is_none() {
            *curves = self.recorder.curves(&self.view);
        }
        if let Some(writer) = &mut *curves {
            let written = writer.scalars(step as i64, now(), values).and_then(|()| writer.flush());
            if let Err(error) = written {
                self.recorder.failed(&self.view, &error);
            }
        }
    }
}
