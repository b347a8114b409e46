//! The steps that make a file durable, and careful ways to open one.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cache::host::Owner;

/// What tells that a file is still the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    pub(super) mtime: (i64, i64),
    /// Seconds and nanoseconds.
    pub(super) ctime: (i64, i64),
}

impl Stat {
    /// The same without the device, whose number may differ after a restart or from host to host.
    pub(super) const fn anywhere(self) -> Self {
        Self { dev: 0, ..self }
    }

    /// Whether it is the same file with the same content, if perhaps with another name or mode.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        Self { ctime: other.ctime, ..*self } == *other
    }
}

impl From<&Metadata> for Stat {
    fn from(meta: &Metadata) -> Self {
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.len(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

impl From<&rustix::fs::Stat> for Stat {
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "the types of the fields differ by platform")]
    fn from(stat: &rustix::fs::Stat) -> Self {
        Self {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: stat.st_size as u64,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }
}

/// Opens a regular file for reading. A symbolic link as the last step is followed only if `follow`; a pipe or device
/// is refused without waiting for it.
pub(super) fn open_file(path: &Path, follow: bool) -> io::Result<(File, Metadata)> {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, meta))
}

/// Whether [`read_capped`] says by this error that something else lies there: a directory, a link, a device, or a long
/// file.
pub(super) fn is_other_file(error: &io::Error) -> bool {
    let codes = [Errno::LOOP, Errno::NXIO, Errno::NODEV];
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge)
        || codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

/// Reads a regular file of the store of at most `cap` bytes.
pub(super) fn read_capped(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    let (file, meta) = open_file(path, false)?;
    let mut bytes = Vec::with_capacity(meta.len().min(cap) as usize);
    file.take(cap.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > cap {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {cap} bytes")));
    }
    Ok(bytes)
}

/// The paths in a directory, sorted; none where it cannot be listed.
pub(super) fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    paths
}

/// How long before `now` a file or directory was written; nothing if after, `None` if it is not there.
pub(super) fn age(path: &Path, now: SystemTime) -> Option<Duration> {
    let modified = std::fs::symlink_metadata(path).and_then(|meta| meta.modified()).ok()?;
    Some(now.duration_since(modified).unwrap_or(Duration::ZERO))
}

/// The permissions of a file that others may share, as far as the user's mask lets them.
pub(super) fn shared() -> Permissions {
    Permissions::from_mode(0o666)
}

/// Removes a file or a directory with all that is in it. Links are removed, not followed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let meta = std::fs::symlink_metadata(path)?;
    if meta.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

/// Brings the entries of a directory to the disk.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        // Some network file systems cannot do this and need not.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// Writes a file whole or not at all: a temporary file in `tmp`, on the same file system, takes the name `target` once
/// it is complete. If `durable`, both survive a loss of power.
pub(super) fn write_whole(tmp: &Path, target: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(&Owner::this().prefix()).permissions(shared()).tempfile_in(tmp)?;
    file.write_all(bytes)?;
    if durable {
        file.as_file().sync_all()?;
    }
    file.persist(target).map_err(|error| error.error)?;
    if durable {
        target.parent().map_or(Ok(()), sync_dir)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_directories_and_links_are_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(open_file(&pipe, true).unwrap_err().to_string(), "not a regular file");
        assert_eq!(open_file(dir.path(), true).unwrap_err().to_string(), "not a regular file");
        let (target, link) = (dir.path().join("f"), dir.path().join("link"));
        std::fs::write(&target, "x").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(open_file(&link, true).is_ok());
        assert!(open_file(&link, false).is_err());
    }

    #[test]
    fn a_file_over_the_cap_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_capped(&path, 5).unwrap(), b"12345");
        assert_eq!(read_capped(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
