//! `ncf-pipe report`: everything about a pipeline's results as one HTML page.

mod figures;
mod runs;
mod tables;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use clap::Args;
use ncf_pipe_fault::{free_bytes, is_short_of_room};

use crate::cli::Global;
use crate::cli::common::{FileArgs, WorldArgs, not_run, quoted};
use crate::cli::exit::{Failed, OK, Outcome};
use crate::cli::stored::Stored;
use crate::cli::{print, table, target};
use crate::config::cell_label;
use crate::page::{Command, DataSet, Level, Note, Page, Reproduce, render};
use crate::pipeline::State;

/// Write everything about a pipeline's results as one HTML page that needs nothing else
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    file: FileArgs,
    /// The page to write
    #[arg(short, long, value_name = "PAGE", default_value = "report.html")]
    output: PathBuf,
    #[command(flatten)]
    world: WorldArgs,
}

pub(super) fn main(global: &Global, args: &ReportArgs) -> Outcome {
    let stored = Stored::open(global, &args.file, &args.world, &[])?;
    let mut page = Page {
        title: stored.graph.pipeline.clone(),
        description: description(args),
        program: format!("ncf-pipe {}", env!("CARGO_PKG_VERSION")),
        notes: notes(&stored),
        graph: runs::graph(&stored),
        runs: runs::runs(&stored, global)?,
        reproduce: reproduce(args, &stored),
        ..Page::default()
    };
    (page.tables, page.facts) = tables::tables(&stored)?;
    page.figures = figures::figures(&stored, &mut page.notes)?;
    let text = render(&page).map_err(|error| {
        Failed::input(format!("the page cannot be made: {error}"))
            .help("a stage's output is not what this program writes: `ncf-pipe store verify` finds damaged files")
    })?;
    let path = global.at(&args.output);
    target::refuse(&path, "--output", &args.file.file, &stored.graph, &stored.world)?;
    let written = (|| {
        let old = fs::metadata(&path).ok();
        // A pipe or a device takes the page as it comes.
        if old.as_ref().is_some_and(|old| !old.is_file() && !old.is_dir()) {
            return fs::OpenOptions::new().write(true).open(&path)?.write_all(text.as_bytes());
        }
        // Through a link, and then whole or not at all: a browser may have the earlier page open.
        let path = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".report-").suffix(".html").tempfile_in(dir)?;
        file.write_all(text.as_bytes())?;
        // A temporary file is its owner's alone; a page is like any other file.
        let mode = old.map_or(0o644, |old| old.permissions().mode());
        file.as_file().set_permissions(fs::Permissions::from_mode(mode & 0o777))?;
        file.persist(&path).map(drop).map_err(|error| error.error)
    })();
    written.map_err(|error: std::io::Error| {
        let help = match free_bytes(path.parent().unwrap_or(&path)).filter(|_| is_short_of_room(&error)) {
            Some(bytes) => {
                format!("{bytes} bytes are free there: free some space, or give `-o` a file on another disk")
            }
            None => "give `-o` a file in a directory that exists and can be written to".to_owned(),
        };
        Failed::io(format!("cannot write `{}`", path.display()), error).help(help)
    })?;
    print::line(&format!("{} ({})", path.display(), table::bytes(text.len() as u64)));
    Ok(OK)
}

/// The comment at the top of the pipeline file, which says what it is for.
fn description(args: &ReportArgs) -> String {
    let text = fs::read_to_string(&args.file.file).unwrap_or_default();
    let comment = text
        .trim_start()
        .lines()
        .map_while(|line| line.strip_prefix('#'))
        // How to run it stands at the end of the page.
        .filter(|line| !line.contains("yaml-language-server") && !line.starts_with("   "));
    let lines: Vec<&str> = comment.map(str::trim).collect();
    lines.join("\n").trim().to_owned()
}

/// What a reader must know first: what is not as the pipeline says, and what stages have warned of.
fn notes(stored: &Stored) -> Vec<Note> {
    let mut notes = Vec::new();
    let open: Vec<&str> = stored
        .plan
        .stages
        .iter()
        .filter(|stage| stage.state != State::Fresh)
        .map(|stage| stage.name.as_str())
        .collect();
    if !open.is_empty() {
        let named = open.iter().take(8).copied().collect::<Vec<_>>().join(", ");
        let more = if open.len() > 8 { format!(" and {} more", open.len() - 8) } else { String::new() };
        let are = if open.len() == 1 { "is" } else { "are" };
        let text = format!("{}, and {are} not on this page: {named}{more}", not_run(open.len()));
        notes.push(Note { level: Level::Warning, text, stage: None });
    }
    let mut said: Vec<(String, String, Vec<String>)> = Vec::new();
    for (_, node) in stored.nodes() {
        let cell = cell_label(&node.cell);
        for warning in stored.manifest(node).map(|manifest| manifest.warnings.clone()).unwrap_or_default() {
            match said.iter_mut().find(|(stage, text, _)| *stage == node.stage && *text == warning) {
                Some((.., cells)) => cells.push(cell.clone()),
                None => said.push((node.stage.clone(), warning, vec![cell.clone()])),
            }
        }
    }
    notes.extend(said.into_iter().map(|(stage, text, cells)| {
        let all = stored.nodes().filter(|(_, node)| node.stage == stage).count();
        Note { level: Level::Warning, text: format!("{text}{}", in_cells(&cells, all)), stage: Some(stage) }
    }));
    notes
}

/// In which of all cells of a stage something is so; nothing for a stage without cells.
fn in_cells(cells: &[String], all: usize) -> String {
    match cells {
        _ if cells.iter().all(String::is_empty) => String::new(),
        _ if cells.len() == all && all > 1 => format!(" (in all {all} cells)"),
        _ => {
            let named = cells.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("; ");
            let more = cells.len().saturating_sub(3);
            let more = if more > 0 { format!("; and {more} more cells") } else { String::new() };
            format!(" (in {named}{more})")
        }
    }
}

/// How to get the same results again: the command, the versions, and the content of what was read.
fn reproduce(args: &ReportArgs, stored: &Stored) -> Reproduce {
    let file = quoted(&args.file.file.display().to_string());
    let sets: Vec<String> = args.file.sets.iter().map(|set| format!(" --set {}", quoted(set))).collect();
    let sets = sets.concat();
    let commands = vec![
        Command { purpose: "Run what is not there yet".to_owned(), line: format!("ncf-pipe run {file}{sets}") },
        Command { purpose: "Write this page".to_owned(), line: format!("ncf-pipe report {file}{sets}") },
    ];
    let mut tools: Vec<String> = Vec::new();
    let mut data: Vec<DataSet> = Vec::new();
    for (_, node) in stored.nodes() {
        let Some(manifest) = stored.manifest(node) else { continue };
        if !tools.contains(&manifest.tool) {
            tools.push(manifest.tool.clone());
        }
        let sources = manifest.identity.get("sources").and_then(|sources| sources.as_object());
        for (name, digest) in sources.into_iter().flatten() {
            let path = node
                .sources
                .iter()
                .find(|source| source.name() == *name)
                .map(|source| source.path.display().to_string());
            let digest = format!("blake3:{}", digest.as_str().unwrap_or_default());
            if !data.iter().any(|other| other.digest == digest) {
                let name = path.unwrap_or_else(|| name.clone());
                data.push(DataSet { name, digest, source: format!("read by `{}`", node.stage), ..DataSet::default() });
            }
        }
    }
    let versions = vec![
        ("ncf-pipe that ran the stages".to_owned(), tools.join(", ")),
        ("ncf-pipe that wrote this page".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("operating system".to_owned(), format!("{} ({})", std::env::consts::OS, std::env::consts::ARCH)),
    ];
    Reproduce { commands, versions, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_says_in_which_cells_it_was_given() {
        let cells = |n: usize| (1..=n).map(|seed| format!("seed={seed}")).collect::<Vec<_>>();
        assert_eq!(in_cells(&[String::new()], 1), "");
        assert_eq!(in_cells(&[String::new(), String::new()], 1), "");
        assert_eq!(in_cells(&cells(1), 2), " (in seed=1)");
        assert_eq!(in_cells(&cells(2), 2), " (in all 2 cells)");
        assert_eq!(in_cells(&cells(5), 9), " (in seed=1; seed=2; seed=3; and 2 more cells)");
    }
}
