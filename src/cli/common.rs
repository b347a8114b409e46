//! What several commands share: the pipeline file, the store, and their options.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::io::Errno;

use crate::cache::{Options, Store, Trust};
use crate::cli::Global;
use crate::cli::exit::Failed;
use crate::cli::print;
use crate::config;
use crate::pipeline::{self, Graph, World};
use crate::stages::STAGES;

/// Writes down what unchanged files hash to. Without it they are hashed again, which is no reason to fail.
pub(super) fn save_memo(store: &Store) {
    if let Err(error) = store.flush() {
        print::note(&format!("warning: {error}; files will be hashed again next time"));
    }
}

/// A path as a person in this directory would write it.
pub(super) fn near(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let near = here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    near.strip_prefix(".").unwrap_or(near).display().to_string()
}

/// Whether a path, which need not be there yet, is in a directory or is that directory, links followed.
pub(super) fn is_within(path: &Path, dir: &Path) -> bool {
    let without_links = |path: &Path| {
        let path = std::path::absolute(path).ok()?;
        path.ancestors().find_map(|near| Some(near.canonicalize().ok()?.join(path.strip_prefix(near).ok()?)))
    };
    matches!((without_links(path), without_links(dir)), (Some(path), Some(dir)) if path.starts_with(&dir))
}

/// Which pipeline.
#[derive(Debug, Clone, Args)]
pub(super) struct FileArgs {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Override a param of the file, as in `--set epochs=5`; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(super) sets: Vec<String>,
}

impl FileArgs {
    /// Reads and checks the file.
    pub(super) fn graph(&self) -> Result<Graph, Failed> {
        readable(&self.file)?;
        let pipeline = config::load(&self.file, &self.sets)?;
        for warning in &pipeline.warnings {
            print::problem(warning);
        }
        Ok(pipeline::build(&pipeline, &STAGES)?)
    }
}

/// Tells a file that the system cannot read, which is nobody's mistake, from one that is not there.
fn readable(path: &Path) -> Result<(), Failed> {
    let first = || -> std::io::Result<()> {
        let file = File::open(path)?;
        // A pipe would not give the byte back.
        if file.metadata()?.is_file() {
            file.take(1).read_to_end(&mut Vec::new())?;
        }
        Ok(())
    };
    match first() {
        Err(error) if error.raw_os_error().is_some_and(|code| SYSTEM.iter().any(|no| no.raw_os_error() == code)) => {
            Err(Failed::io(format!("cannot read `{}`", path.display()), error)
                .help("look after the disk, the memory and the limit of open files (`ulimit -n`)"))
        }
        _ => Ok(()),
    }
}

/// Errors that say more of the system than of a file.
const SYSTEM: [Errno; 4] = [Errno::IO, Errno::MFILE, Errno::NFILE, Errno::NOMEM];

/// Where the store is.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// The store
    #[arg(long, value_name = "DIR", default_value = ".ncf-pipe", env = print::STORE)]
    pub(super) store: PathBuf,
}

impl StoreArgs {
    /// Opens a store that must be there already: to look after one that is not would seem to succeed.
    pub(super) fn open_existing(&self, global: &Global) -> Result<Store, Failed> {
        let dir = global.at(&self.store);
        if !dir.exists() {
            return Err(Failed::input(format!("there is no store `{}`", dir.display()))
                .help("a run makes one; say where it is with `--store DIR` or `--workdir DIR`"));
        }
        self.open(global)
    }

    /// Opens the store.
    pub(super) fn open(&self, global: &Global) -> Result<Store, Failed> {
        Ok(Store::open(global.at(&self.store))?)
    }
}

/// Where the store and the outputs are, and how far they are trusted.
#[derive(Debug, Args)]
pub(super) struct WorldArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Where the outputs are shown, as `DIR/<pipeline>/<stage>/…`
    #[arg(long, value_name = "DIR", default_value = "outputs", env = OUTPUTS)]
    outputs: PathBuf,
    /// Whether stored files that nothing reads in this run are hashed again, or trusted by size and times
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    verify: Verify,
}

/// The command `ncf-pipe VERB FILE` with what this command line says of params, directories and store.
pub(super) fn same(verb: &str, global: &Global, file: &FileArgs, world: &WorldArgs) -> String {
    let mut words = vec!["ncf-pipe".to_owned(), verb.to_owned(), quoted(&file.file.display().to_string())];
    words.extend(file.sets.iter().map(|set| format!("--set {}", quoted(set))));
    let places = [
        ("--workdir", &global.workdir, ".", None),
        ("--store", &world.store.store, ".ncf-pipe", std::env::var_os(print::STORE)),
        ("--outputs", &world.outputs, "outputs", std::env::var_os(OUTPUTS)),
    ];
    for (option, path, default, variable) in places {
        // What the environment says, it says to the next command as well.
        if path.as_os_str() != variable.unwrap_or_else(|| default.into()) {
            words.push(format!("{option} {}", quoted(&path.display().to_string())));
        }
    }
    words.join(" ")
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,+:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Where the outputs are, if the command line does not say it.
const OUTPUTS: &str = "NCF_PIPE_OUTPUTS";

/// The directory of the outputs that takes in what a store that can only be read lacks.
const BESIDE: &str = ".ncf-pipe";

/// When stored files are hashed.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(super) enum Verify {
    /// When their size, times or inode differ from those of the last full hash
    #[default]
    Changed,
    /// Always
    Always,
}

impl WorldArgs {
    /// Opens the store and puts the rest beside it.
    pub(super) fn open(&self, global: &Global) -> Result<World, Failed> {
        self.open_with(global, Options::from_env())
    }

    /// As [`WorldArgs::open`], with a store that behaves like this. What is missing in a store that can only be read is
    /// kept beside the outputs.
    pub(super) fn open_with(&self, global: &Global, options: Options) -> Result<World, Failed> {
        let workdir = global.workdir.display();
        match std::fs::metadata(&global.workdir) {
            Ok(meta) if meta.is_dir() => {}
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(Failed::io(format!("cannot look at `{workdir}`"), error)
                    .help("check who may enter the directories above it, or give another with `--workdir DIR`"));
            }
            _ => {
                return Err(Failed::input(format!("`{workdir}` is not a directory"))
                    .help("`--workdir` takes the directory that paths start from"));
            }
        }
        let mut store = Store::open_with(global.at(&self.store.store), options)?;
        if store.is_read_only() {
            let beside = self.outputs.join(BESIDE);
            print::note(&format!(
                "warning: the store `{}` is read-only: what is missing in it is kept in `{}`",
                self.store.store.display(),
                beside.display()
            ));
            store = Store::open_over(global.at(&beside), store)?;
        }
        let outputs = global.at(&self.outputs);
        if is_within(&outputs, store.dir()) {
            return Err(Failed::input(format!("the outputs `{}` would be in the store", outputs.display()))
                .help("give `--outputs` a directory of its own"));
        }
        Ok(World {
            store,
            outputs,
            workdir: global.workdir.clone(),
            trust: match self.verify {
                Verify::Changed => Trust::Stat,
                Verify::Always => Trust::Always,
            },
        })
    }
}

/// That so many stages have not run.
pub(super) fn not_run(stages: usize) -> String {
    let have = if stages == 1 { "a stage has".to_owned() } else { format!("{stages} stages have") };
    format!("{have} not run as the pipeline is now")
}

/// Stages, each once, with the number of its cells if there are several.
pub(super) fn by_stage<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in names {
        match counts.iter_mut().find(|(other, _)| *other == name) {
            Some((_, cells)) => *cells += 1,
            None => counts.push((name, 1)),
        }
    }
    let named = counts.into_iter().map(|(name, cells)| match cells {
        1 => name.to_owned(),
        cells => format!("{name} ({cells} cells)"),
    });
    named.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell_where_they_must_be() {
        assert_eq!(quoted("pipelines/x.yaml"), "pipelines/x.yaml");
        assert_eq!(quoted("train[factors=8]"), "'train[factors=8]'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
