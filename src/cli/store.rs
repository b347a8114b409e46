//! `ncf-pipe store`: looks after the store.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cache::GcOptions;
use crate::cli::Global;
use crate::cli::common::{StoreArgs, save_memo};
use crate::cli::exit::{Failed, IO, OK, Outcome};
use crate::cli::print;
use crate::cli::table::{Table, age, bytes};

/// Look after the store
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// List stored stages, newest first
    Ls(LsArgs),
    /// Hash every stored file and check every manifest
    Verify(VerifyArgs),
    /// Remove what is no longer wanted; what is younger than ten minutes or in use by a run stays
    Gc(GcArgs),
    /// Say how much space the store takes
    Du(DuArgs),
}

impl StoreCommand {
    /// Whether JSON is asked for.
    pub(super) fn wants_json(&self) -> bool {
        match self {
            Self::Ls(args) => args.json,
            Self::Verify(args) => args.json,
            Self::Gc(args) => args.json,
            Self::Du(args) => args.json,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct LsArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Print one JSON array, or an object with `error`
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Move damaged files and the manifests that need them out of the way, so that those stages run again
    #[arg(long)]
    repair: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct GcArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Remove stages that were finished longer ago than this, as in `12h` or `30d`
    #[arg(long, value_name = "AGE", value_parser = duration)]
    older_than: Option<Duration>,
    /// Remove the oldest stages until the store is no larger than this, as in `500MB` or `20GB`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Remove stages of this pipeline only; may be repeated
    #[arg(long, value_name = "NAME")]
    pipeline: Vec<String>,
    /// Remove even the last result of a stage
    #[arg(long)]
    all: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DuArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not an age such as `90m`, `12h` or `30d`");
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let (number, seconds) =
        units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds))).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size such as `500MB` or `20GB`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1_000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "tb" | "t" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

pub(super) fn main(global: &Global, command: &StoreCommand) -> Outcome {
    match command {
        StoreCommand::Ls(args) => ls(global, args),
        StoreCommand::Verify(args) => verify(global, args),
        StoreCommand::Gc(args) => gc(global, args),
        StoreCommand::Du(args) => du(global, args),
    }
}

fn ls(global: &Global, args: &LsArgs) -> Outcome {
    let stored = args.store.open_existing(global)?.ls();
    if args.json {
        let rows: Vec<_> = stored
            .iter()
            .map(|row| {
                let m = &row.manifest;
                json!({"key": m.key.to_string(), "kind": m.kind, "stage": m.stage, "pipeline": m.pipeline,
                       "bytes": m.size(), "seconds": m.seconds, "created": m.created, "refs": row.refs})
            })
            .collect();
        print::json(&rows, false);
        return Ok(OK);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let mut table = Table::new(&["key", "kind", "size", "age", "last result of"]);
    for row in &stored {
        let m = &row.manifest;
        table.row([
            m.key.short(),
            m.kind.clone(),
            bytes(m.size()),
            age(now.saturating_sub(m.created)),
            row.refs.join(", "),
        ]);
    }
    print::line(&table.text());
    Ok(OK)
}

fn verify(global: &Global, args: &VerifyArgs) -> Outcome {
    let store = args.store.open_existing(global)?;
    let report = store.verify_all(args.repair)?;
    save_memo(&store);
    let damage: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
    if args.json {
        print::json(
            &json!({"stages": report.manifests, "files": report.blobs, "bytes": report.bytes, "damage": damage,
                    "unusable": report.stages, "moved": report.moved}),
            false,
        );
    } else {
        for line in &damage {
            print::line(&format!("damaged: {line}"));
        }
        for stage in &report.stages {
            print::line(&format!("cannot be used any more: {stage}"));
        }
        let verdict = match (damage.len(), report.moved) {
            (0, _) => "all whole".to_owned(),
            (n, 0) => format!("{n} damaged; `ncf-pipe store verify --repair` has the stages run again"),
            (n, moved) => {
                format!("{n} damaged; {} moved to `bad`, the stages run again", print::counted(moved, "file"))
            }
        };
        print::line(&format!(
            "{}, {}, {}: {verdict}",
            print::counted(report.manifests, "stage"),
            print::counted(report.blobs, "file"),
            bytes(report.bytes)
        ));
    }
    // Damage that was repaired is no longer a failure of the store.
    Ok(if damage.is_empty() || args.repair { OK } else { IO })
}

fn gc(global: &Global, args: &GcArgs) -> Outcome {
    let store = args.store.open_existing(global)?;
    let known = store.pipelines();
    if let Some(unknown) = args.pipeline.iter().find(|name| !known.contains(*name)) {
        let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Failed::input(format!("the store knows no pipeline `{unknown}`"))
            .help(format!("give the `name` of a pipeline file; the store knows {names}")));
    }
    let report = store.gc(&GcOptions {
        older_than: args.older_than,
        max_bytes: args.max_size,
        pipelines: args.pipeline.clone(),
        keep_refs: !args.all,
        dry_run: args.dry_run,
    })?;
    if args.json {
        print::json(
            &json!({"stages": report.stages, "files": report.blobs, "leftovers": report.leftovers,
                    "bytes": report.bytes, "dry_run": args.dry_run}),
            false,
        );
    } else {
        for stage in &report.stages {
            print::line(stage);
        }
        let verb = if args.dry_run { "would remove" } else { "removed" };
        print::line(&format!(
            "{verb} {}, {} and {}: {}",
            print::counted(report.stages.len(), "stage"),
            print::counted(report.blobs, "file"),
            print::counted(report.leftovers, "leftover"),
            bytes(report.bytes)
        ));
        let left = store.ls();
        if report.stages.is_empty() && !left.is_empty() {
            print::line(&format!(
                "{} left: the last result of each stage (unless `--all`), and what is younger than ten minutes or in use",
                print::counted(left.len(), "stage")
            ));
        }
    }
    Ok(OK)
}

fn du(global: &Global, args: &DuArgs) -> Outcome {
    let size = args.store.open_existing(global)?.du();
    if args.json {
        print::json(
            &json!({"stages": size.manifests, "files": size.blobs, "bytes": size.blob_bytes, "unused": size.unused_bytes,
                    "temporary": size.tmp_bytes, "checkpoints": size.scratch_bytes, "damaged": size.bad_bytes}),
            false,
        );
        return Ok(OK);
    }
    let mut table = Table::new(&["what", "size"]);
    for (what, n) in [
        (
            format!("{} of {}", print::counted(size.blobs, "file"), print::counted(size.manifests, "stage")),
            size.blob_bytes,
        ),
        ("  of these no longer needed".to_owned(), size.unused_bytes),
        ("being written".to_owned(), size.tmp_bytes),
        ("checkpoints".to_owned(), size.scratch_bytes),
        ("damaged, put away".to_owned(), size.bad_bytes),
    ] {
        table.row([what, bytes(n)]);
    }
    table.numbers_from(1);
    print::line(&table.text());
    Ok(OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_read_or_refused() {
        assert_eq!(duration("90m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("30d"), Ok(Duration::from_hours(30 * 24)));
        assert_eq!(size("20GB"), Ok(20_000_000_000));
        assert_eq!(size("7"), Ok(7));
        for bad in ["", "d", "1", "-1d", "1w", "99999999999999999999d", "1é"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "GB", "1XB", "-1GB", "99999999999TB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
