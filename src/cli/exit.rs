//! Exit codes, and how an error becomes one. 0 ok, 1 a stage failed, 2 bad pipeline or bad data, 3 store or I/O,
//! 129, 130 and 143 for SIGHUP, SIGINT and SIGTERM.

use std::process::ExitCode;

use crate::cache::StoreError;
use crate::cli::print;
use crate::config::{Problem, Problems};
use crate::stage::{Class, Fault};

pub(super) const OK: u8 = 0;
pub(super) const STAGE_FAILED: u8 = 1;
pub(super) const BAD_INPUT: u8 = 2;
pub(super) const IO: u8 = 3;

/// What a command ends with.
pub(super) type Outcome = Result<u8, Failed>;

/// Why a command failed.
pub(super) enum Failed {
    /// The pipeline file is not usable: errors with a place.
    Pipeline(Box<Problems>),
    /// Anything else: a message, what to do, and the exit code.
    Other { message: String, help: Option<String>, code: u8 },
}

impl Failed {
    /// The user's input is not usable.
    pub(super) fn input(message: impl std::fmt::Display) -> Self {
        Self::Other { message: message.to_string(), help: None, code: BAD_INPUT }
    }

    /// A file could not be read or written.
    pub(super) fn io(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::Other { message: format!("{what}: {error}"), help: None, code: IO }
    }

    /// Adds what the user can do.
    pub(super) fn help(self, text: impl std::fmt::Display) -> Self {
        match self {
            Self::Other { message, code, .. } => Self::Other { message, help: Some(text.to_string()), code },
            problems @ Self::Pipeline(_) => problems,
        }
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pipeline(problems) => {
                let text = |problem: &Problem| match problem.line_column() {
                    Some((line, column)) => {
                        format!("{}:{line}:{column}: {}", problem.source_name(), problem.message())
                    }
                    None => format!("{}: {}", problem.source_name(), problem.message()),
                };
                f.write_str(&problems.iter().map(text).collect::<Vec<_>>().join("; "))
            }
            Self::Other { message, .. } => f.write_str(message),
        }
    }
}

impl From<Problems> for Failed {
    fn from(problems: Problems) -> Self {
        Self::Pipeline(Box::new(problems))
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        let code = if error.is_users() { BAD_INPUT } else { IO };
        Self::Other { message: error.to_string(), help: error.help(), code }
    }
}

impl From<Fault> for Failed {
    fn from(error: Fault) -> Self {
        Self::Other { message: error.message, help: error.help, code: code_of(error.class) }
    }
}

/// The exit code for a class of failure.
pub(super) fn code_of(class: Class) -> u8 {
    match class {
        Class::Failed => STAGE_FAILED,
        Class::Data => BAD_INPUT,
        Class::Io => IO,
        // Which signal it was is known to the caller; this is the code of the usual one.
        Class::Cancelled => 130,
    }
}

/// Prints the error, if any, and gives the exit code.
pub(super) fn code(outcome: Outcome) -> ExitCode {
    ExitCode::from(match outcome {
        Ok(code) => code,
        Err(Failed::Pipeline(problems)) => {
            print::problems(&problems);
            if problems.are_of_system() { IO } else { BAD_INPUT }
        }
        Err(Failed::Other { message, help, code }) => {
            print::error(&message, help.as_deref());
            code
        }
    })
}

/// Does the work; a panic becomes an error that says so.
pub(super) fn caught(work: impl FnOnce() -> Outcome) -> Outcome {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Failed::Other {
            message: "stopped by a defect of ncf-pipe".to_owned(),
            help: Some("please report it, with the output of the same command with `-v`".to_owned()),
            code: STAGE_FAILED,
        })
    })
}

/// Panics inside a stage are caught and reported as errors of that stage; the default message would only confuse.
pub(super) fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| tracing::debug!("{panic}")));
}
