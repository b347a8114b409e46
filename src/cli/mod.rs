//! The command line: one file a command. The only room that prints.

mod check;
mod common;
mod compare;
mod completions;
mod dag;
mod exit;
mod init;
mod logging;
mod plan;
mod predict;
mod preview;
mod print;
mod progress;
mod recommend;
mod record;
mod report;
mod results;
mod run;
mod schema;
mod show;
mod signals;
mod store;
mod stored;
mod table;
mod target;
mod terminal;
mod threads;
mod trained;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use schema::pipeline_schema;

/// Recommender experiments as a pipeline: one YAML file from raw ratings to an evaluated model.
#[derive(Debug, Parser)]
#[command(name = "ncf-pipe", version, about, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

impl Global {
    /// A path that starts from the working directory.
    fn at(&self, path: &Path) -> PathBuf {
        if self.workdir == Path::new(".") { path.to_owned() } else { self.workdir.join(path) }
    }
}

/// Options that every command takes.
#[derive(Debug, Args)]
struct Global {
    /// The directory that relative paths in a pipeline, the store and the outputs start from
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    workdir: PathBuf,
    /// Say more: -v for details, -vv for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Leave out progress and log lines
    #[arg(short, long, global = true)]
    quiet: bool,
    /// How log lines are written to standard error
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: logging::LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run what is stale
    Run(run::RunArgs),
    /// Say which stages are fresh, which would run, and why
    Plan(plan::PlanArgs),
    /// Check a pipeline without touching any data
    Check(check::CheckArgs),
    /// Draw the graph of a pipeline
    Dag(dag::DagArgs),
    /// Show a stage: its parameters, its key, its files and their first rows
    Show(show::ShowArgs),
    /// Recommend items to a user with a trained model
    Recommend(recommend::RecommendArgs),
    /// Score a user and an item with a trained model
    Predict(predict::PredictArgs),
    /// Show results side by side
    Compare(compare::CompareArgs),
    /// Write everything about a pipeline's results as one HTML page
    Report(report::ReportArgs),
    /// Look after the store
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Print the JSON Schema of pipeline files, for editors
    Schema(schema::SchemaArgs),
    /// Start a project: a pipeline to run and a .gitignore
    Init(init::InitArgs),
    /// Print a shell completion script
    Completions(completions::CompletionsArgs),
}

/// Reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` arrive here too, and are no errors.
            let code = if error.use_stderr() { exit::BAD_INPUT } else { exit::OK };
            print::clap(&error);
            return ExitCode::from(code);
        }
    };
    exit::hide_panics();
    signals::ignore_requests();
    logging::start(&cli.global);
    let on_failure = cli.command.on_failure();
    let outcome = exit::caught(|| match cli.command {
        Command::Run(_) | Command::Show(_) | Command::Recommend(_) | Command::Predict(_) => {
            threads::check()?;
            work(cli)
        }
        _ => work(cli),
    });
    if let (Some(answer), Err(failed)) = (on_failure, &outcome) {
        // Whoever reads the answer finds one.
        answer.print(failed);
    }
    exit::code(outcome)
}

/// What is printed as JSON when a command fails.
enum OnFailure {
    /// The report of a run of this pipeline.
    Report(common::FileArgs),
    /// What went wrong, and with which pipeline, if it is about one.
    Object(Option<common::FileArgs>),
}

impl OnFailure {
    fn print(&self, failed: &exit::Failed) {
        let mut found = match self {
            Self::Report(file) => run::no_report(file, failed),
            Self::Object(_) => serde_json::json!({"ok": false, "error": failed.to_string()}),
        };
        if let Self::Object(Some(file)) = self {
            found["pipeline"] = file.file.display().to_string().into();
        }
        print::json(&found, false);
    }
}

impl Command {
    /// What to print when it fails, if JSON is promised.
    fn on_failure(&self) -> Option<OnFailure> {
        let (wanted, file) = match self {
            Self::Run(args) => return args.wants_json().then(|| OnFailure::Report(args.file.clone())),
            Self::Plan(args) => (args.json, Some(&args.file)),
            Self::Show(args) => (args.json, Some(&args.file)),
            Self::Recommend(args) => (args.model.json, Some(&args.model.file)),
            Self::Predict(args) => (args.model.json, Some(&args.model.file)),
            Self::Compare(args) => (args.json, Some(&args.file)),
            Self::Store(command) => (command.wants_json(), None),
            Self::Check(_)
            | Self::Dag(_)
            | Self::Report(_)
            | Self::Schema(_)
            | Self::Init(_)
            | Self::Completions(_) => (false, None),
        };
        wanted.then(|| OnFailure::Object(file.cloned()))
    }
}

/// Does what the command line says.
fn work(cli: Cli) -> exit::Outcome {
    match cli.command {
        Command::Run(args) => run::main(&cli.global, &args),
        Command::Plan(args) => plan::main(&cli.global, &args),
        Command::Check(args) => check::main(&args),
        Command::Dag(args) => dag::main(&args),
        Command::Show(args) => show::main(&cli.global, &args),
        Command::Recommend(args) => recommend::main(&cli.global, &args),
        Command::Predict(args) => predict::main(&cli.global, &args),
        Command::Compare(args) => compare::main(&cli.global, &args),
        Command::Report(args) => report::main(&cli.global, &args),
        Command::Store(command) => store::main(&cli.global, &command),
        Command::Schema(args) => Ok(schema::main(&args)),
        Command::Init(args) => init::main(&cli.global, &args),
        Command::Completions(args) => Ok(completions::main::<Cli>(&args)),
    }
}
