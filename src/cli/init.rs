//! `ncf-pipe init`: starts a project.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::Global;
use crate::cli::common::quoted;
use crate::cli::exit::{Failed, OK, Outcome};
use crate::cli::print;
use crate::cli::schema::pipeline_schema;

const QUICKSTART: &str = include_str!("../../pipelines/quickstart.yaml");
const GITIGNORE: &str = "# Made by ncf-pipe: the store, and the view of it\n/.ncf-pipe\n/outputs\n";

/// Start a project: a pipeline to run, its schema for editors, and a .gitignore
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The directory to start in, made if it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

pub(super) fn main(global: &Global, args: &InitArgs) -> Outcome {
    let dir = global.at(&args.dir);
    let schema = serde_json::to_string_pretty(&pipeline_schema())
        .map_err(|error| Failed::io("cannot write the schema", error))?;
    let files = [
        ("pipelines/quickstart.yaml", QUICKSTART.to_owned()),
        ("schemas/pipeline.schema.json", schema + "\n"),
        (".gitignore", GITIGNORE.to_owned()),
    ];
    for (name, text) in files {
        write_new(&if dir == Path::new(".") { PathBuf::from(name) } else { dir.join(name) }, &text)?;
    }
    let from = if args.dir == Path::new(".") {
        String::new()
    } else {
        format!("cd {} && ", quoted(&args.dir.display().to_string()))
    };
    print::line(&format!("next: {from}ncf-pipe run pipelines/quickstart.yaml"));
    Ok(OK)
}

/// Writes a file unless there is one: nobody's work is overwritten.
fn write_new(path: &Path, text: &str) -> Result<(), Failed> {
    let cannot = |error: std::io::Error| {
        Failed::io(format!("cannot write `{}`", path.display()), error)
            .help("give `init` a directory that can be written to, or the name of a new one")
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(cannot)?;
    }
    match File::create_new(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).map_err(cannot)?;
            print::line(&format!("wrote {}", path.display()));
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            print::line(&format!("kept {} (it is there already)", path.display()));
        }
        Err(error) => return Err(cannot(error)),
    }
    Ok(())
}
