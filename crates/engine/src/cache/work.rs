//! How the output of a stage gets into the store: whole, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::cache::disk::{self, Stat};
use crate::cache::error::During;
use crate::cache::host::Owner;
use crate::cache::{FileEntry, Lock, Manifest, Result, StageKey, Store, StoreError, memo};

/// Temporary files of processes that are gone are removed after this time.
const ABANDONED: Duration = Duration::from_hours(24);

/// A stage being run: a place to write to, which disappears when dropped unless it is published.
#[derive(Debug)]
pub struct Work<'a> {
    store: &'a Store,
    lock: Lock,
    dir: TempDir,
    out: PathBuf,
    scratch: PathBuf,
    /// Whether what lies in `scratch` is still of use once the stage is finished.
    keep_scratch: bool,
}

impl Store {
    /// Prepares the work on a key. Stages of the same `family` share a place for checkpoints, which outlives them.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn begin(&self, lock: Lock, family: Option<&StageKey>) -> Result<Work<'_>> {
        self.prepare()?;
        let tmp = self.tmp();
        let dir = tempfile::Builder::new()
            .prefix(&Owner::this().prefix())
            .tempdir_in(&tmp)
            .during("create a directory in", &tmp)?;
        let out = dir.path().join("out");
        // Two that work on the same key must not get into each other's checkpoints.
        let scratch =
            if lock.is_held() { self.scratch(family.unwrap_or(lock.key())) } else { dir.path().join("scratch") };
        for path in [&out, &scratch] {
            fs::create_dir_all(path).during("create", path)?;
        }
        if lock.is_held() {
            // Nobody else is here: these are checkpoints that were being written when a run was killed.
            let half = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp"));
            disk::entries(&scratch).iter().filter(|path| half(path)).for_each(|path| drop(disk::remove(path)));
        }
        Ok(Work { store: self, lock, dir, out, scratch, keep_scratch: family.is_some() })
    }

    /// Prepares work on a key of which nothing is to be kept, whoever else works on it.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn begin_aside(&self, key: &StageKey) -> Result<Work<'_>> {
        self.begin(Lock::without(key), None)
    }

    /// Removes the temporary files of processes of this host that are gone, after a day. Returns how many.
    pub fn sweep(&self) -> usize {
        if self.is_read_only() {
            return 0;
        }
        let abandoned = |path: &PathBuf| {
            let owner = path.file_name().and_then(|name| Owner::parse(&name.to_string_lossy()));
            owner.is_some_and(|owner| owner.is_dead())
                && disk::age(path, SystemTime::now()).is_some_and(|age| age > ABANDONED)
        };
        disk::entries(&self.tmp()).iter().filter(|path| abandoned(path) && disk::remove(path).is_ok()).count()
    }

    /// Gives a file the name of its content, in place of whatever has that name.
    fn take_in(&self, from: &Path, file: FileEntry) -> Result<()> {
        let to = self.own_blob_path(&file.digest);
        if let Ok(meta) = fs::symlink_metadata(&to)
            && (!meta.is_file() || meta.len() != file.size)
        {
            let bad = self.move_to_bad(&to)?;
            tracing::warn!(file = %to.display(), to = %bad.display(), "moved a damaged file away");
        }
        // A file that is there already is replaced: its bytes are the same if it is sound, and it may not be.
        fs::rename(from, &to).during("rename to", &to)?;
        if let Ok(meta) = fs::symlink_metadata(&to) {
            let stat = Stat::from(&meta).anywhere();
            self.memo(|memo| memo.remember(&memo::blob(&file.digest), stat, file.digest));
        }
        Ok(())
    }
}

impl Work<'_> {
    /// The directory to write the files of the output to. It is empty at first.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// A directory that outlives an interrupted run of the key if the lock is held, for checkpoints.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Forgets the checkpoints of earlier runs, so that the stage starts anew.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn start_over(&self) -> Result<()> {
        disk::remove(&self.scratch).during("remove", &self.scratch)?;
        fs::create_dir_all(&self.scratch).during("create", &self.scratch)
    }

    /// Takes the files that the manifest names into the store, then the manifest itself. The files have been brought to
    /// the disk and hashed by those who wrote them. Afterwards the stage is finished, even if the power fails.
    ///
    /// # Errors
    /// When the manifest is of another key, or a file is not as long as it says, or the system refuses; then nothing of
    /// it can be seen in the store.
    pub fn publish(self, mut manifest: Manifest) -> Result<Manifest> {
        let refused = |message| StoreError::Refused {
            message,
            help: "this is a fault of the stage kind, or something else writes to the store".to_owned(),
        };
        manifest.seal();
        manifest
            .validate(self.lock.key())
            .map_err(|what| refused(format!("the manifest of stage `{}` is not valid: {what}", manifest.stage)))?;
        let files: BTreeMap<&str, FileEntry> = manifest.files();
        for (name, file) in &files {
            let path = self.out.join(name);
            let (open, meta) = disk::open_file(&path, false).during("open", &path)?;
            if meta.len() != file.size {
                let message = format!("file `{}` has {} bytes instead of {}", path.display(), meta.len(), file.size);
                return Err(refused(message));
            }
            open.set_permissions(Permissions::from_mode(0o444)).during("write-protect", &path)?;
        }
        let store = self.store;
        let shards: BTreeSet<PathBuf> = files.values().map(|file| store.blob_shard(&file.digest)).collect();
        shards.iter().try_for_each(|shard| create_shard(shard))?;
        for (name, file) in &files {
            store.take_in(&self.out.join(name), *file)?;
        }
        for dir in shards.iter().chain([&store.dir.join("blobs")]) {
            disk::sync_dir(dir).during("sync", dir)?;
        }
        let target = store.manifest_path(self.lock.key());
        target.parent().map_or(Ok(()), create_shard)?;
        let bytes = manifest.to_bytes().map_err(io::Error::from).during("write", &target)?;
        if fs::symlink_metadata(&target).is_ok_and(|meta| meta.is_dir()) {
            store.move_to_bad(&target)?;
        }
        disk::write_whole(self.dir.path(), &target, &bytes, true)
            .map_err(|error| StoreError::io_sized("write", &target, error, bytes.len() as u64))?;
        let manifests = store.dir.join("manifests");
        disk::sync_dir(&manifests).during("sync", &manifests)?;
        if self.lock.is_held() && !self.keep_scratch {
            // What is left of it would only take space; the next cleaning finds it.
            let _ = disk::remove(&self.scratch);
        }
        Ok(manifest)
    }
}

/// Creates a directory that may exist already, and the one that it is in should that have gone.
fn create_shard(shard: &Path) -> Result<()> {
    fs::create_dir_all(shard).during("create", shard)
}
