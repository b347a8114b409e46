//! Files outside the store whose content is in a key.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use ncf_pipe_fault::who_may_read;
use rustix::io::Errno;

use crate::cache::disk::{self, Stat};
use crate::cache::{Digest, Result, Store, StoreError, digest, memo};

/// What a file outside the store hashed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceDigest {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl Store {
    /// As [`Store::digest_source_until`], to the end.
    ///
    /// # Errors
    /// As there.
    pub fn digest_source(&self, path: &Path) -> Result<SourceDigest> {
        self.digest_source_until(path, &|| false)
    }

    /// The digest of a file outside the store. A file whose size, inode and times are those of its last full hash is
    /// not read again. A symbolic link counts as what it points to.
    ///
    /// # Errors
    /// When the file is missing, is no regular file, cannot be read, or changes while it is read; and
    /// [`StoreError::Cancelled`] soon after `cancelled` says so.
    pub fn digest_source_until(&self, path: &Path, cancelled: &dyn Fn() -> bool) -> Result<SourceDigest> {
        let failed = |error: io::Error| unusable(path, error);
        let canonical = fs::canonicalize(path).map_err(failed)?;
        let meta = fs::metadata(&canonical).map_err(failed)?;
        if !meta.is_file() {
            return Err(not_a_file(path, &meta));
        }
        let name = memo::source(&canonical);
        let stat = Stat::from(&meta);
        if let Some(digest) = self.recall(&name, stat) {
            return Ok(SourceDigest { digest, size: stat.size });
        }
        let (mut file, before) = disk::open_file(&canonical, true).map_err(failed)?;
        let before = Stat::from(&before);
        let hashed = digest::hash_file_until(&mut file, before.size, cancelled).map_err(failed)?;
        let (digest, size) = hashed.ok_or(StoreError::Cancelled)?;
        let after = Stat::from(&file.metadata().map_err(failed)?);
        if before != after || size != after.size {
            return Err(StoreError::Source {
                message: format!("input `{}` changed while it was being read", path.display()),
                help: "run again once nothing writes to the file any more".to_owned(),
                misnamed: false,
            });
        }
        self.memo(|memo| memo.remember(&name, after, digest));
        Ok(SourceDigest { digest, size })
    }
}

fn unusable(path: &Path, error: io::Error) -> StoreError {
    let (message, help) = match error.kind() {
        io::ErrorKind::NotFound if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) => {
            (format!("input `{}` is a symbolic link that leads nowhere", path.display()), "mend the link")
        }
        io::ErrorKind::NotFound => (
            format!("input `{}` does not exist", path.display()),
            "paths are relative to the working directory; see `--workdir`",
        ),
        io::ErrorKind::NotADirectory => (
            format!("input `{}` does not exist: a part of the path is not a directory", path.display()),
            "paths are relative to the working directory; see `--workdir`",
        ),
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            (format!("input `{}` is a symbolic link that leads to itself", path.display()), "mend the link")
        }
        io::ErrorKind::PermissionDenied => {
            let message = format!("input `{}` may not be read by this user", path.display());
            return StoreError::Source { message, help: who_may_read(path), misnamed: false };
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
            (format!("input `{}` cannot be read: {error}", path.display()), "name a regular file")
        }
        _ => return StoreError::io("read", path, error),
    };
    StoreError::Source { message, help: help.to_owned(), misnamed: true }
}

fn not_a_file(path: &Path, meta: &Metadata) -> StoreError {
    let kind = meta.file_type();
    let what = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    StoreError::Source {
        message: format!("input `{}` is {what}, not a file", path.display()),
        help: "name a regular file: its content decides whether the stage runs again".to_owned(),
        misnamed: true,
    }
}
