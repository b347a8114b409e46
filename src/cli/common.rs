//! What several commands share: the pipeline file, the store, and their options.

use std::path::PathBuf;

use clap::Args;

use crate::cache::{Store, Trust};
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

/// Which pipeline.
#[derive(Debug, Args)]
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
        let pipeline = config::load(&self.file, &self.sets)?;
        for warning in &pipeline.warnings {
            print::problem(warning);
        }
        Ok(pipeline::build(&pipeline, &STAGES)?)
    }
}

/// Where the store is.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// The store
    #[arg(long, value_name = "DIR", default_value = ".ncf-pipe", env = "NCF_PIPE_STORE")]
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
        let store = Store::open(global.at(&self.store))?;
        if store.is_read_only() {
            print::note(&format!(
                "warning: the store `{}` is read-only: stages that are not fresh cannot run",
                self.store.display()
            ));
        }
        Ok(store)
    }
}

/// Where the store and the outputs are, and how far they are trusted.
#[derive(Debug, Args)]
pub(super) struct WorldArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Where the outputs are shown, as `DIR/<pipeline>/<stage>/…`
    #[arg(long, value_name = "DIR", default_value = "outputs", env = "NCF_PIPE_OUTPUTS")]
    outputs: PathBuf,
    /// Whether stored files that nothing reads in this run are hashed again, or trusted by size and times
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    verify: Verify,
}

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
        if !global.workdir.is_dir() {
            return Err(Failed::input(format!("`{}` is not a directory", global.workdir.display()))
                .help("`--workdir` takes the directory that paths start from"));
        }
        Ok(World {
            store: self.store.open(global)?,
            outputs: global.at(&self.outputs),
            workdir: global.workdir.clone(),
            trust: match self.verify {
                Verify::Changed => Trust::Stat,
                Verify::Always => Trust::Always,
            },
        })
    }
}
