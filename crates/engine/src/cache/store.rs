//! The store: where it lies, what its directories are, and how a stage is looked up in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{Access, access};

use crate::cache::disk::Stat;
use crate::cache::error::During;
use crate::cache::memo::Memo;
use crate::cache::{Digest, Manifest, Result, StageKey, StoreError, disk, manifest};

/// The version of the layout.
const LAYOUT: u32 = 1;

/// The directories of a store.
const DIRS: [&str; 9] = ["blobs", "manifests", "refs", "tmp", "scratch", "locks", "bad", "leases", "stat"];

/// A content-addressed store in a directory:
///
/// | | |
/// |---|---|
/// | `format` | the version of this layout |
/// | `blobs/ab/<digest>` | files by content, read-only |
/// | `manifests/ab/<key>.json` | finished stages by key |
/// | `refs/<pipeline>/<stage>.json` | the last key of each stage of each pipeline |
/// | `tmp/<host>-<pid>-<unique>/` | files being written |
/// | `scratch/<key>/` | checkpoints that outlive an interrupted run |
/// | `locks/<key>`, `leases/<host>-<pid>-<unique>` | who works on what |
/// | `bad/` | damaged files, for inspection |
/// | `stat/memo` | what unchanged files hashed to |
///
/// All methods may be called from any thread. Nothing is written before something has to be.
#[derive(Debug)]
pub struct Store {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) no_reflink: AtomicBool,
    read_only: bool,
    ready: Mutex<bool>,
    memo: Mutex<Option<Memo>>,
    /// What is not here may be there; nothing is written there.
    below: Option<Box<Store>>,
}

/// How a store behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether to lock keys, so that two processes do not do the same work.
    pub locks: bool,
    /// How long to wait for a lock before doing the work twice.
    pub lock_timeout: Duration,
}

impl Default for Options {
    /// Locks on, waiting up to an hour.
    fn default() -> Self {
        Self { locks: true, lock_timeout: Duration::from_hours(1) }
    }
}

impl Options {
    /// The default, with locks off if `NCF_PIPE_NO_LOCK` is `1`, for file systems that cannot lock.
    pub fn from_env() -> Self {
        Self { locks: std::env::var_os("NCF_PIPE_NO_LOCK").is_none_or(|value| value != "1"), ..Self::default() }
    }
}

/// What the store knows of a key.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a hit is the common case and lives briefly")]
pub enum Lookup {
    /// A finished stage. Its files are still to be checked: [`Store::check`].
    Hit(Manifest),
    /// Nothing.
    Miss,
    /// A manifest that cannot be trusted, which is as good as nothing.
    Invalid {
        /// Why, as a clause that begins with `it`.
        reason: String,
    },
}

impl Store {
    /// Opens the store in `dir`, which need not exist yet.
    ///
    /// # Errors
    /// When `dir` is not a directory, is something else than a store, or was made by a newer version.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(dir, Options::from_env())
    }

    /// As [`Store::open`], with options of one's own.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        let dir = std::path::absolute(&dir).during("find", dir.as_ref())?;
        let read_only = match fs::metadata(&dir) {
            Ok(meta) if !meta.is_dir() => return Err(not_a_directory(&dir)),
            Ok(_) => {
                check_format(&dir)?;
                !DIRS.iter().all(|name| is_writable(&dir.join(name))) || !is_writable(&dir)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                !dir.ancestors().find(|parent| parent.exists()).is_some_and(is_writable)
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(not_a_directory(&dir)),
            Err(error) => return Err(StoreError::io("open", &dir, error)),
        };
        Ok(Self {
            dir,
            options,
            no_reflink: AtomicBool::new(false),
            read_only,
            ready: Mutex::new(false),
            memo: Mutex::new(None),
            below: None,
        })
    }

    /// Opens the store in `dir` over another that can only be read: what the other has is found as if it were here, and
    /// what is missing in both is kept here.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_over(dir: impl AsRef<Path>, below: Self) -> Result<Self> {
        let mut store = Self::open_with(dir, below.options.clone())?;
        store.below = Some(Box::new(below));
        Ok(store)
    }

    /// Its directory, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it can only be read: hits are used, but nothing can be added.
    pub const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The bytes that may still be written on its file system, where the system tells.
    pub fn free_bytes(&self) -> Option<u64> {
        ncf_pipe_fault::free_bytes(&self.dir)
    }

    /// Where the file of this content lies.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.store_of(digest).own_blob_path(digest)
    }

    pub(super) fn own_blob_path(&self, digest: &Digest) -> PathBuf {
        self.blob_shard(digest).join(digest.to_string())
    }

    /// The store that has the file of this content: the one below if only that one has.
    pub(super) fn store_of(&self, digest: &Digest) -> &Self {
        let has = |store: &Self| fs::symlink_metadata(store.own_blob_path(digest)).is_ok();
        self.below.as_deref().filter(|below| has(below) && !has(self)).unwrap_or(self)
    }

    /// What is known of a key.
    pub fn lookup(&self, key: &StageKey) -> Lookup {
        match (self.own_lookup(key), &self.below) {
            (Lookup::Miss | Lookup::Invalid { .. }, Some(below)) => below.lookup(key),
            (found, _) => found,
        }
    }

    fn own_lookup(&self, key: &StageKey) -> Lookup {
        match disk::read_capped(&self.manifest_path(key), manifest::MAX_BYTES) {
            Ok(bytes) => match Manifest::parse(&bytes, key) {
                Ok(manifest) => Lookup::Hit(manifest),
                Err(reason) => Lookup::Invalid { reason },
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Lookup::Miss,
            Err(error) => Lookup::Invalid { reason: format!("it cannot be read: {error}") },
        }
    }

    /// Writes down what files hashed to, for the next run. Also done, without a word about errors, when the store is
    /// dropped.
    ///
    /// # Errors
    /// When it cannot be written; nothing is lost but time.
    pub fn flush(&self) -> Result<()> {
        let mut memo = lock(&self.memo);
        let Some(memo) = memo.as_mut() else { return Ok(()) };
        if self.read_only || memo.is_clean() || self.is_unused() {
            return Ok(());
        }
        self.prepare()?;
        memo.save(&self.tmp()).during("write", &self.dir.join("stat/memo"))
    }

    /// Creates the layout, once.
    pub(super) fn prepare(&self) -> Result<()> {
        if self.read_only {
            return Err(StoreError::ReadOnly { dir: self.dir.clone() });
        }
        let mut ready = lock(&self.ready);
        if !*ready {
            let is_new = !self.dir.exists();
            for name in DIRS {
                let path = self.dir.join(name);
                fs::create_dir_all(&path).during("create", &path)?;
            }
            if is_new && let Some(parent) = self.dir.parent() {
                disk::sync_dir(parent).during("sync", parent)?;
            }
            let files = [("format", format!("ncf-pipe store {LAYOUT}\n")), (".gitignore", "*\n".to_owned())];
            for (name, text) in files {
                let path = self.dir.join(name);
                if fs::metadata(&path).map_or(true, |meta| meta.len() == 0) {
                    disk::write_whole(&self.tmp(), &path, text.as_bytes(), true).during("write", &path)?;
                }
            }
            *ready = true;
        }
        Ok(())
    }

    /// What a file hashed to when it had these times, here or below.
    pub(super) fn recall(&self, name: &[u8], stat: Stat) -> Option<Digest> {
        let own = self.memo(|memo| memo.recall(name, stat));
        own.or_else(|| self.below.as_ref().and_then(|below| below.recall(name, stat)))
    }

    /// Whether it lies over another and nothing has been missing there yet: then it need not come to be.
    pub(super) fn is_unused(&self) -> bool {
        self.below.is_some() && !self.dir.exists()
    }

    pub(super) const fn below(&self) -> Option<&Self> {
        match &self.below {
            Some(below) => Some(below),
            None => None,
        }
    }

    pub(super) fn memo<T>(&self, with: impl FnOnce(&mut Memo) -> T) -> T {
        with(lock(&self.memo).get_or_insert_with(|| Memo::load(self.dir.join("stat/memo"))))
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    pub(super) fn scratch(&self, key: &StageKey) -> PathBuf {
        self.dir.join("scratch").join(key.to_string())
    }

    pub(super) fn blob_shard(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.shard())
    }

    pub(super) fn manifest_path(&self, key: &StageKey) -> PathBuf {
        self.dir.join("manifests").join(key.shard()).join(format!("{key}.json"))
    }
}

#[cfg(test)]
impl Store {
    /// Tests run as root, whom no permission stops.
    pub(super) fn made_read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::debug!(%error, "the memo of unchanged files was not kept");
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this user may add entries to a directory; true where there is none.
fn is_writable(dir: &Path) -> bool {
    use rustix::io::Errno;
    !matches!(access(dir, Access::WRITE_OK | Access::EXEC_OK), Err(Errno::ROFS | Errno::ACCESS | Errno::PERM))
}

fn not_a_directory(dir: &Path) -> StoreError {
    StoreError::Refused {
        message: format!("`{}` cannot be a store: a file lies where a directory is needed", dir.display()),
        help: "name a directory with `--store DIR`".to_owned(),
    }
}

/// Refuses directories that hold something else, so that nothing of the user's is ever taken for a part of a store.
fn check_format(dir: &Path) -> Result<()> {
    let path = dir.join("format");
    let refuse = |message, help: &str| Err(StoreError::Refused { message, help: help.to_owned() });
    let elsewhere = "name an empty or a new directory with `--store DIR`";
    let text = match disk::read_capped(&path, 1 << 10) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) if disk::is_other_file(&error) => {
            return refuse(format!("`{}` is not that of a store: {error}", path.display()), elsewhere);
        }
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    match text.trim().strip_prefix("ncf-pipe store ").and_then(|version| version.parse::<u32>().ok()) {
        Some(LAYOUT) => return Ok(()),
        Some(version) => {
            let message = format!("store `{}` has layout {version}, this version knows {LAYOUT}", dir.display());
            return refuse(
                message,
                "use the version of ncf-pipe that made it, or another directory with `--store DIR`",
            );
        }
        None if text.is_empty() => {}
        None => return refuse(format!("`{}` is not that of a store", path.display()), elsewhere),
    }
    for entry in fs::read_dir(dir).during("list", dir)? {
        let name = entry.during("list", dir)?.file_name();
        if !DIRS.iter().chain(&["format", ".gitignore"]).any(|known| name == *known) {
            let name = name.to_string_lossy();
            return refuse(
                format!("`{}` is not a store: it has no `format`, and holds `{name}`", dir.display()),
                elsewhere,
            );
        }
    }
    Ok(())
}
