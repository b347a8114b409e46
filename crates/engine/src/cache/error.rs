//! What the store may say when it cannot go on.

use std::io;
use std::path::{Path, PathBuf};

use ncf_pipe_fault::{is_short_of_room, remedy, space};

use crate::cache::KeyError;

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// An error of the store, or of a file outside it that was to be hashed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused an operation on a file (exit code 3).
    #[error("cannot {action} `{}`: {cause}", path.display())]
    Io {
        /// What was tried, such as `create`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
        /// What the user can do.
        help: Option<String>,
    },
    /// Something is there that the store must not touch, or that it does not understand (exit code 3).
    #[error("{message}")]
    Refused {
        /// What is wrong.
        message: String,
        /// What the user can do.
        help: String,
    },
    /// The store cannot be written to, and something has to be (exit code 3).
    #[error("store `{}` is read-only", dir.display())]
    ReadOnly {
        /// The directory of the store.
        dir: PathBuf,
    },
    /// A file that a parameter names cannot be used (exit code 2).
    #[error("{message}")]
    Source {
        /// What is wrong, with the path in it.
        message: String,
        /// What the user can do.
        help: String,
        /// Whether it is the path that has to be another.
        misnamed: bool,
    },
    /// A value cannot be part of a key (exit code 2).
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The run was asked to stop while it waited.
    #[error("stopped on request")]
    Cancelled,
}

impl StoreError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { help, .. } => help.clone(),
            Self::Refused { help, .. } | Self::Source { help, .. } => Some(help.clone()),
            Self::ReadOnly { .. } => {
                Some("make the directory writable, or use another one with `--store DIR`".to_owned())
            }
            Self::Key(error) => Some(error.help().to_owned()),
            Self::Cancelled => None,
        }
    }

    /// Whether the pipeline or its data is at fault (exit code 2) rather than the store (exit code 3).
    pub fn is_users(&self) -> bool {
        matches!(self, Self::Source { .. } | Self::Key(_))
    }

    /// Wraps what the system said about `path`, and adds what to do where that is clear.
    pub(super) fn io(action: &'static str, path: &Path, cause: impl Into<io::Error>) -> Self {
        let cause = cause.into();
        let help = remedy(&cause, path);
        Self::Io { action, path: path.to_owned(), cause, help }
    }

    /// As [`StoreError::io`], for a step that needs this many bytes.
    pub(super) fn io_sized(action: &'static str, path: &Path, cause: io::Error, needed: u64) -> Self {
        match Self::io(action, path, cause) {
            Self::Io { action, path, cause, help } if is_short_of_room(&cause) => {
                let help = help.map(|_| space(&path, Some(needed)));
                Self::Io { action, path, cause, help }
            }
            other => other,
        }
    }
}

/// Turns the answer of the system about `path` into a [`StoreError`].
pub(super) trait During<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> During<T> for std::result::Result<T, E> {
    fn during(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| StoreError::io(action, path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_with_numbers_and_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("not/there/yet");
        let error = StoreError::io_sized("write", &path, io::Error::from_raw_os_error(28), 4096);
        assert!(error.to_string().starts_with(&format!("cannot write `{}`: No space left", path.display())));
        let help = error.help().unwrap();
        assert!(help.starts_with("needs 4096 bytes, "), "{help}");
        assert!(
            help.contains("bytes are free: free some space, or use another disk with `--store DIR` or `--outputs DIR`")
        );
        assert!(!error.is_users());
    }

    #[test]
    fn other_errors_name_the_action_and_the_path() {
        let error = StoreError::io("rename", Path::new("/x"), io::Error::from_raw_os_error(5));
        assert_eq!(error.to_string(), "cannot rename `/x`: Input/output error (os error 5)");
        assert_eq!(error.help(), None);
    }
}
