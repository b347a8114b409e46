//! Writes event files, and beside them what a reader must find in them, for `tests/fixtures/check_tensorboard.py`.
//!
//! `cargo run --example tensorboard_events -- DIRECTORY`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a program for developers"
)]

use std::error::Error;
use std::fs::File;
use std::fs::create_dir_all;
use std::io::BufWriter;
use std::path::Path;

use ncf_pipe_stats::tensorboard::EventWriter;
use ncf_pipe_stats::tensorboard::file_name;

/// Moment of the first event, in seconds since 1970.
const START: f64 = 1_700_000_000.5;
/// A name, and a value for each step.
type Series = (&'static str, fn(f64) -> f64);
/// Names that a reader could trip over, and values that JSON does not know.
const SERIES: [Series; 8] = [
    ("train/loss", |step| 1.0 / (1.0 + step)),
    ("validate/NDCG@10", |step| step / 1000.0),
    ("Präzision @ 10/検証 🎬", |step| -step),
    (" spaces, <b>markup</b> & \"quotes\"\n", |step| step * 1e30),
    ("not a number", |_| f64::NAN),
    ("infinite", |step| if step % 2.0 == 0.0 { f64::INFINITY } else { f64::NEG_INFINITY }),
    ("beyond 32 bits", |step| (step + 1.0) * 1e300),
    ("zero", |_| 0.0),
];

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: tensorboard_events DIRECTORY")?;
    let directory = Path::new(&directory);
    let mut expected = serde_json::Map::new();

    let mut events = open(directory, "run")?;
    let mut rows = vec![];
    for step in 0..100i64 {
        let wall_time = START + step as f64;
        let values = SERIES.map(|(tag, value)| (tag, value(step as f64)));
        events.scalars(step, wall_time, &values)?;
        // JSON knows neither NaN nor infinities, so the check gets all values as text.
        rows.extend(values.map(|(tag, value)| serde_json::json!([tag, step, wall_time, value.to_string()])));
    }
    events.flush()?;
    expected.insert("run".into(), rows.into());

    // Interrupted after step 5, begun again at step 3: steps 3 to 5 of the first attempt are to be forgotten.
    let mut events = open(directory, "resumed")?;
    for step in 0..6i64 {
        events.scalar("loss", step, START + step as f64, 1.0)?;
    }
    events.restart(3, START + 10.0)?;
    let mut rows: Vec<_> = (0..3).map(|step| serde_json::json!(["loss", step, START + f64::from(step), "1"])).collect();
    for step in 3..9i64 {
        let wall_time = START + 10.0 + step as f64;
        events.scalar("loss", step, wall_time, 2.0)?;
        rows.push(serde_json::json!(["loss", step, wall_time, "2"]));
    }
    events.flush()?;
    expected.insert("resumed".into(), rows.into());

    let mut events = open(directory, "empty")?;
    events.scalars(1, START, &[])?;
    events.flush()?;
    expected.insert("empty".into(), serde_json::json!([]));

    std::fs::write(directory.join("expected.json"), serde_json::to_string(&expected)?)?;
    Ok(())
}

fn open(directory: &Path, run: &str) -> Result<EventWriter<BufWriter<File>>, Box<dyn Error>> {
    let folder = directory.join(run);
    create_dir_all(&folder)?;
    let file = File::create(folder.join(file_name(START as u64, run)))?;
    Ok(EventWriter::new(BufWriter::new(file), START)?)
}
