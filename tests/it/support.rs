//! What the tests share: a project in a temporary directory, the program, and where real data lies.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

/// The repository, where cargo runs tests: that of compiling may have been another checkout.
pub fn repository() -> &'static Path {
    static HERE: LazyLock<PathBuf> = LazyLock::new(|| std::env::current_dir().unwrap());
    &HERE
}

/// A file of the real data, or None with a word about it.
pub fn data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("NCF_PIPE_DATA").map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    println!("skipped: no data ({} is not there; set NCF_PIPE_DATA)", found.display());
    None
}

/// A working directory of its own for the program.
pub struct Project {
    dir: TempDir,
}

impl Project {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, with its directories.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program, about to run in this directory.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ncf-pipe"));
        command.args(args).current_dir(self.dir.path()).env_remove("NCF_PIPE_LOG").env("NO_COLOR", "1");
        command
    }

    /// Runs the program.
    pub fn ncf(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// `run FILE --json` with more arguments.
    pub fn run(&self, file: &str, more: &[&str]) -> Ran {
        self.ncf(&[&["run", file, "--json"], more].concat())
    }
}

/// What the program said.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts the exit code, with all that was said if it is another.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// The last line of standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.out.lines().last().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error} in standard output:\n{}\nstandard error:\n{}", self.out, self.err))
    }

    /// `stage: status` for each stage of a run's report.
    #[track_caller]
    pub fn statuses(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.json()["stages"].as_array().unwrap().iter().map(|s| (text(&s["name"]), text(&s["status"]))).collect()
    }

    /// The names of the stages that have this status.
    #[track_caller]
    pub fn with(&self, status: &str) -> Vec<String> {
        self.statuses().into_iter().filter(|(_, s)| s == status).map(|(name, _)| name).collect()
    }
}
