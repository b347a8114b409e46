//! A directory of the view, held open: nothing below the root that the user chose is reached through a symbolic link.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::cache::disk::Stat;
use crate::cache::error::During;
use crate::cache::host::Owner;
use crate::cache::{Digest, FileEntry, Result, StoreError};

const TEMPORARY: (&str, &str) = (".ncf-pipe-", ".tmp");

/// What a process of another host left half-written is removed after this time.
const ABANDONED: Duration = Duration::from_hours(24);

#[derive(Debug)]
pub(super) struct ViewDir {
    fd: OwnedFd,
    path: PathBuf,
    /// Whether a temporary file could not be removed.
    littered: AtomicBool,
}

/// How the bytes of a blob came into the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// A file of its own, whether or not it shares blocks on the disk.
    Own,
    /// Another name of the blob.
    Link,
}

impl ViewDir {
    /// Opens the directory `place` below `root`. Where it is missing it is created, or `None` if not `create`.
    pub(super) fn open(root: &Path, place: &Path, create: bool) -> Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if create {
            std::fs::create_dir_all(root).during("create", root)?;
        }
        let mut fd = match rustix::fs::openat(CWD, root, flags, Mode::empty()) {
            Err(Errno::NOENT) if !create => return Ok(None),
            other => other.during("open", root)?,
        };
        let mut path = root.to_owned();
        for component in place.components() {
            let Component::Normal(name) = component else {
                return Err(StoreError::Refused {
                    message: format!("`{}` is not a place inside `{}`", place.display(), root.display()),
                    help: "names of pipelines and stages cannot climb out of the output directory".to_owned(),
                });
            };
            path.push(name);
            let open = || rustix::fs::openat(&fd, name, flags | OFlags::NOFOLLOW, Mode::empty());
            let next = match open() {
                Err(Errno::NOENT) if !create => return Ok(None),
                Err(Errno::NOENT) => match rustix::fs::mkdirat(&fd, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => open(),
                    Err(error) => Err(error),
                },
                other => other,
            };
            fd = match next {
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    return Err(StoreError::Refused {
                        message: format!("`{}` is not a directory; links are not followed here", path.display()),
                        help: "move it away, or put the outputs elsewhere with `--outputs DIR`".to_owned(),
                    });
                }
                other => other.during("open", &path)?,
            };
        }
        Ok(Some(Self { fd, path, littered: AtomicBool::new(false) }))
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What lies under a name, and whether it is a regular file; `None` if nothing.
    pub(super) fn stat(&self, name: &str) -> io::Result<Option<(Stat, FileType)>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((Stat::from(&stat), FileType::from_raw_mode(stat.st_mode)))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a regular file for reading.
    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.fd, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Reads a file of at most `cap` bytes.
    pub(super) fn read(&self, name: &str, cap: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(name)?.take(cap.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > cap { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    /// Writes a small file, whole or not at all, even if the power fails: an empty listing would make our files the
    /// user's.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.put(name, |temporary| {
            let mut file = self.create(temporary, 0o666)?;
            file.write_all(bytes)?;
            file.sync_all()
        })
    }

    /// Brings the names in it to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.fd) {
            // Some network file systems cannot do this and need not.
            Err(Errno::INVAL) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Another file that shares its blocks with `blob` until one of them changes. Few file systems can.
    #[cfg(target_os = "linux")]
    pub(super) fn reflink(&self, name: &str, blob: &Path) -> io::Result<()> {
        let blob = File::open(blob)?;
        self.put(name, |temporary| Ok(rustix::fs::ioctl_ficlone(&self.create(temporary, 0o444)?, &blob)?))
    }

    /// Only known how to on Linux.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn reflink(&self, _: &str, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Another name of `blob`.
    pub(super) fn link(&self, name: &str, blob: &Path) -> io::Result<()> {
        self.put(name, |temporary| Ok(rustix::fs::linkat(CWD, blob, &self.fd, temporary, AtFlags::empty())?))
    }

    /// A copy of `blob`, checked on the way. `false` if the blob is damaged; then nothing is put in place.
    pub(super) fn copy(&self, name: &str, blob: &Path, expected: FileEntry) -> io::Result<bool> {
        let (mut from, _) = crate::cache::disk::open_file(blob, false)?;
        let mut sound = false;
        self.put(name, |temporary| {
            let mut to = self.create(temporary, 0o444)?;
            let mut hasher = blake3::Hasher::new();
            let mut buffer = vec![0; 1 << 20];
            let mut size = 0u64;
            loop {
                let n = match from.read(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    other => other?,
                };
                if n == 0 {
                    break;
                }
                hasher.update(&buffer[..n]);
                size += n as u64;
                to.write_all(&buffer[..n])?;
            }
            sound = size == expected.size && Digest::from_bytes(*hasher.finalize().as_bytes()) == expected.digest;
            // The listing will say that it is there, also after the power has failed.
            to.sync_all()?;
            if sound { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
        })
        .map(|()| true)
        .or_else(|error| if error.kind() == io::ErrorKind::InvalidData && !sound { Ok(false) } else { Err(error) })
    }

    /// Removes a file; whether there was one. A directory is left alone.
    pub(super) fn remove(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::ISDIR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a temporary file of this process is still there: another has to sweep it away.
    pub(super) fn is_littered(&self) -> bool {
        self.littered.load(Ordering::Relaxed)
    }

    /// Removes what killed processes have left half-written.
    pub(super) fn sweep(&self) {
        for name in crate::cache::disk::entries(&self.path).iter().filter_map(|path| path.file_name()?.to_str()) {
            let Some(owner) = name.strip_prefix(TEMPORARY.0).filter(|name| name.ends_with(TEMPORARY.1)) else {
                continue;
            };
            // The listing of a run that was killed here is unfinished, so that the next run comes by, and finds it dead.
            let dead = Owner::parse(owner).is_some_and(|owner| owner.is_dead());
            let age = crate::cache::disk::age(&self.path.join(name), SystemTime::now());
            if dead || age.is_some_and(|age| age > ABANDONED) {
                let _ = self.remove(name);
            }
        }
    }

    fn create(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, Mode::from_bits_truncate(mode as _))?))
    }

    /// Lets `make` make something under a temporary name, which then takes the name in one step.
    fn put(&self, name: &str, make: impl FnOnce(&str) -> io::Result<()>) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("{}{}{number}{}", TEMPORARY.0, Owner::this().prefix(), TEMPORARY.1);
        let _ = self.remove(&temporary);
        let made =
            make(&temporary).and_then(|()| Ok(rustix::fs::renameat(&self.fd, temporary.as_str(), &self.fd, name)?));
        // It is still there if something failed, or if both were names of one file already.
        if self.remove(&temporary).is_err() {
            self.littered.store(true, Ordering::Relaxed);
        }
        made
    }
}
