//! `ncf-pipe run`: makes what is stale.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ncf_pipe_fault::{free_bytes, is_short_of_room};
use rustix::fs::{Access, access};
use serde_json::json;

use crate::cache;
use crate::cli::Global;
use crate::cli::common::{FileArgs, WorldArgs, by_stage, save_memo};
use crate::cli::exit::{BAD_INPUT, Failed, IO, OK, Outcome, code_of};
use crate::cli::progress::Console;
use crate::cli::record::RecordArgs;
use crate::cli::store::{duration, size};
use crate::cli::{plan, print, results, signals, target};
use crate::pipeline::{self, Node, Options, RunReport, Selection, StageReport, Status};
use crate::stage::{Class, Device, Precision};
use crate::stages::check_device;

/// Run what is stale
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    #[command(flatten)]
    select: SelectArgs,
    /// How many stages run at the same time [default: the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// What trains and ranks: `cpu`, `cuda` or `cuda:N` for an NVIDIA GPU, `auto` for the first GPU where there is one
    #[arg(long, default_value = "auto", value_parser = device)]
    device: Device,
    /// How a GPU multiplies matrices
    #[arg(long, value_enum, default_value_t, value_name = "PRECISION")]
    gpu_precision: GpuPrecision,
    /// How much memory stages may plan with, as in `500MB` or `8GB`: what does not fit goes to files, and no result depends
    /// on it [default: what this process may use]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    #[command(flatten)]
    world: WorldArgs,
    /// After a failure, still run what does not need the failed stage
    #[arg(long)]
    keep_going: bool,
    /// How long to wait for another process that makes the same output, before making it as well, as in `30s` or `2h`
    #[arg(long, value_name = "AGE", value_parser = duration, default_value = "1h")]
    lock_timeout: Duration,
    /// Run each stage a second time, or once more if it is fresh, and fail if it does not write the same bytes
    #[arg(long, conflicts_with = "dry_run")]
    check_determinism: bool,
    /// Only say what would run, and why
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object, last on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    record: RecordArgs,
}

/// Which stages.
#[derive(Debug, Args)]
pub(super) struct SelectArgs {
    /// Only this stage and what it needs; may be repeated
    #[arg(long, value_name = "STAGE")]
    only: Vec<String>,
    /// Run this stage even if it is fresh; may be repeated
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
}

impl SelectArgs {
    pub(super) fn selection(&self) -> Selection {
        Selection { only: self.only.clone(), force: self.force.clone() }
    }
}

fn device(text: &str) -> Result<Device, String> {
    let number = |n: &str| n.parse().map_err(|_| format!("`{n}` is not the number of a GPU, as in `cuda:0`"));
    match text {
        "auto" => Ok(Device::Auto),
        "cpu" => Ok(Device::Cpu),
        "cuda" => Ok(Device::Cuda(0)),
        _ => match text.strip_prefix("cuda:") {
            Some(n) => Ok(Device::Cuda(number(n)?)),
            None => Err("use `auto`, `cpu`, `cuda` or `cuda:N`".to_owned()),
        },
    }
}

/// How a GPU multiplies matrices, as written on the command line.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum GpuPrecision {
    /// Single precision, as the processor
    #[default]
    Float32,
    /// Factors rounded to 10 bits: faster, on tensor cores
    Tf32,
    /// Factors rounded to 7 bits: faster still
    Bf16,
}

impl From<GpuPrecision> for Precision {
    fn from(precision: GpuPrecision) -> Self {
        match precision {
            GpuPrecision::Float32 => Self::Float32,
            GpuPrecision::Tf32 => Self::Tf32,
            GpuPrecision::Bf16 => Self::Bf16,
        }
    }
}

impl RunArgs {
    /// Whether the report is asked for.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }
}

/// The report of a run that did not come about: whoever reads one finds one.
pub(super) fn no_report(args: &FileArgs, failed: &Failed) -> serde_json::Value {
    let none: [(); 0] = [];
    let file = args.file.display().to_string();
    json!({"pipeline": file, "ok": false, "seconds": 0.0, "stages": none, "error": failed.to_string()})
}

pub(super) fn main(global: &Global, args: &RunArgs) -> Outcome {
    let graph = args.file.graph()?;
    check_device(args.device, args.gpu_precision.into())?;
    let store = cache::Options { lock_timeout: args.lock_timeout, ..cache::Options::from_env() };
    let world = args.world.open_with(global, store)?;
    if args.dry_run {
        return plan::show(&graph, &world, &args.select, if args.json { plan::How::Json } else { plan::How::Table });
    }
    let cancel = signals::install()?;
    let jobs = args.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let options = Options {
        selection: args.select.selection(),
        jobs,
        device: args.device,
        precision: args.gpu_precision.into(),
        keep_going: args.keep_going,
        check_determinism: args.check_determinism,
        memory: args.memory,
        cancel: cancel.clone(),
    };
    let only = &args.select.only;
    let named = |node: &&Node| only.is_empty() || only.iter().any(|name| node.is_called(name));
    let nodes = graph.order().iter().map(|id| graph.node(*id)).filter(named);
    check_outputs(&world.outputs, nodes.map(|node| node.view_path(&graph.pipeline)))?;
    for (option, path) in args.record.targets() {
        target::refuse(path, option, &args.file.file, &graph, &world)?;
    }
    world.store.sweep();
    let console = Console::new();
    let recorder = args.record.start(&console)?;
    let mut report = pipeline::run(&graph, &world, &options, &recorder)?;
    let unwritten = recorder.finish(&report, &world.outputs);
    let unwritten = unwritten.map(|what| format!("events or curves of the run are not all written down: {what}"));
    let stopped = signals::received().filter(|_| !report.ok && report.failure().is_none());
    let stopped = stopped.map(|signal| format!("stopped by signal {signal}: the same command goes on from here"));
    report.error = stopped.or_else(|| unwritten.clone());
    // Its bars would stand below the summary.
    drop(console);
    save_memo(&world.store);
    if args.json {
        failures(&report);
        report.error = report.error.take().or_else(|| report.stages.iter().find_map(wrong));
        print::json(&report, false);
    } else {
        print::out(&results::summary(&graph, &report));
        failures(&report);
    }
    for place in &report.removed {
        let place = place.display();
        print::note(&format!("removed from the outputs: `{place}`, which the pipeline no longer has"));
    }
    if args.check_determinism && report.ok {
        print::note("every stage wrote the same bytes twice; nothing was published from the second runs");
    }
    let code = exit_code(&report);
    if let Some(what) = unwritten {
        print::error(
            &what,
            Some("the outputs of the run are not touched by it; free some space, or write elsewhere, and run again"),
        );
        // What was asked for is not all there.
        return Ok(if code == OK { IO } else { code });
    }
    Ok(code)
}

/// Refuses outputs that cannot be written, at any of these places in `dir`, before anything is computed for them.
fn check_outputs(dir: &Path, places: impl Iterator<Item = PathBuf>) -> Result<(), Failed> {
    let cannot = |dir: &Path, error: std::io::Error| {
        let first = match free_bytes(dir).filter(|_| is_short_of_room(&error)) {
            Some(bytes) => format!("{bytes} bytes are free: free some space"),
            None => "check who owns it".to_owned(),
        };
        if dir.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) && !dir.is_dir() {
            return Failed::io(format!("`{}` is in the way of the outputs: it is no directory", dir.display()), error)
                .help("move it away, or put the outputs elsewhere with `--outputs DIR`");
        }
        Failed::io(format!("cannot write to the outputs directory `{}`", dir.display()), error)
            .help(format!("{first}, or put the outputs elsewhere with `--outputs DIR`"))
    };
    std::fs::create_dir_all(dir).map_err(|error| cannot(dir, error))?;
    // What will be written to: the directory of each stage, or where it will be made.
    let nearest = |place: PathBuf| {
        let place = dir.join(place);
        place.ancestors().find(|path| path.symlink_metadata().is_ok()).map(Path::to_owned)
    };
    let written: BTreeSet<PathBuf> = places.filter_map(nearest).chain([dir.to_owned()]).collect();
    written
        .iter()
        .try_for_each(|dir| access(dir, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| cannot(dir, error.into())))
}

/// What is wrong with a stage, with its name.
fn wrong(stage: &StageReport) -> Option<String> {
    stage.error.as_ref().map(|error| format!("stage `{}` ({}): {error}", stage.name, stage.kind))
}

/// Says on standard error what failed and what to do.
fn failures(report: &RunReport) {
    for stage in &report.stages {
        for warning in &stage.warnings {
            print::note(&format!("warning: `{}`: {warning}", stage.name));
        }
        if let Some(error) = wrong(stage) {
            print::error(&error, stage.help.as_deref());
        }
    }
    let skipped = report.count(Status::Skipped);
    if skipped > 0 {
        print::note(&format!("not run: {}", named(report, skipped)));
    }
}

/// The stages that were not run; cells are counted where there are many, so that what matters is not lost among them.
fn named(report: &RunReport, skipped: usize) -> String {
    let all = || report.stages.iter().filter(|stage| stage.status == Status::Skipped);
    if skipped <= 12 {
        return all().map(|stage| stage.name.as_str()).collect::<Vec<_>>().join(", ");
    }
    by_stage(all().map(|stage| stage.stage.as_str()))
}

fn exit_code(report: &RunReport) -> u8 {
    match (signals::received(), report.failure()) {
        (Some(signal), None) if !report.ok => 128 + signal,
        (_, Some(class)) => code_of(class),
        (_, None) if report.ok => OK,
        // Nothing failed, yet something is missing: the run was stopped.
        (_, None) => code_of(Class::Cancelled).max(BAD_INPUT),
    }
}
