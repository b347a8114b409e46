//! One worker at a time for a key.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cache::gc::GRACE;
use crate::cache::{Result, StageKey, Store, StoreError, disk};

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The right to work on a key, until dropped. Without it work may be done twice, with the same result.
#[derive(Debug)]
pub struct Lock {
    key: StageKey,
    held: Option<(File, PathBuf)>,
}

impl Lock {
    /// The right to nothing.
    pub(super) const fn without(key: &StageKey) -> Self {
        Self { key: *key, held: None }
    }

    /// The key.
    pub const fn key(&self) -> &StageKey {
        &self.key
    }

    /// Whether no other process that locks can be working on the key.
    pub const fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((file, path)) = &self.held
            && is_named(file, path)
        {
            // Who waits for it notices that it has no name any more, and begins again.
            let _ = fs::remove_file(path);
        }
    }
}

impl Store {
    /// Waits until no other worker has the key. Look the key up again afterwards: the other may have finished it.
    /// `on_wait` is called once if there is something to wait for, `cancelled` while waiting.
    ///
    /// Where locks are off, fail, or take longer than [`crate::cache::Options::lock_timeout`], the lock is not held:
    /// see [`Lock::is_held`].
    ///
    /// # Errors
    /// [`StoreError::Cancelled`], and when the directory for locks cannot be created.
    pub fn lock(&self, key: &StageKey, on_wait: &mut dyn FnMut(), cancelled: &dyn Fn() -> bool) -> Result<Lock> {
        let without = Lock::without(key);
        if !self.options.locks || self.is_read_only() {
            return Ok(without);
        }
        self.prepare()?;
        let path = self.dir.join("locks").join(key.to_string());
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut open = File::options();
        open.read(true).write(true).create(true).truncate(false).custom_flags(flags.bits() as i32);
        let (start, mut pause, mut told) = (Instant::now(), FIRST_PAUSE, false);
        loop {
            let file = match open.open(&path) {
                Ok(file) => file,
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "working without a lock");
                    return Ok(without);
                }
            };
            match file.try_lock() {
                Ok(()) if is_named(&file, &path) => return Ok(Lock { held: Some((file, path)), ..without }),
                // The one before has just finished and removed it.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        on_wait();
                        told = true;
                    }
                }
                Err(TryLockError::Error(error)) => {
                    tracing::debug!(file = %path.display(), %error, "the file system cannot lock");
                    // Then nobody works under its name either.
                    if [Errno::NOLCK, Errno::NOTSUP, Errno::NOSYS]
                        .iter()
                        .any(|no| error.raw_os_error() == Some(no.raw_os_error()))
                    {
                        let _ = fs::remove_file(&path);
                    }
                    return Ok(without);
                }
            }
            if cancelled() {
                return Err(StoreError::Cancelled);
            }
            if start.elapsed() >= self.options.lock_timeout {
                tracing::warn!(
                    key = key.short(),
                    seconds = self.options.lock_timeout.as_secs(),
                    "another process has held this stage too long: doing the work as well"
                );
                return Ok(without);
            }
            // Other processes cannot wake this one.
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Store {
    /// Removes the lock files that killed runs have left. Who gets a lock removes its name while holding it, as [`Lock`]
    /// does, so that nobody can be working under it.
    pub(super) fn sweep_locks(&self, now: SystemTime) {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut open = File::options();
        open.read(true).write(true).custom_flags(flags.bits() as i32);
        for path in disk::entries(&self.dir.join("locks")) {
            let old = disk::age(&path, now).is_some_and(|age| age > GRACE);
            if old
                && let Ok(file) = open.open(&path)
                && file.try_lock().is_ok()
                && is_named(&file, &path)
            {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// Whether the path still names this open file.
fn is_named(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::cache::{Digest, Options};

    fn store(dir: &Path, options: Options) -> (Store, StageKey) {
        let key = StageKey::parse(&Digest::of(b"k").to_string()).unwrap();
        (Store::open_with(dir, options).unwrap(), key)
    }

    #[test]
    fn only_one_of_many_threads_has_the_lock_and_each_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let (store, key) = store(dir.path(), Options::default());
        let (inside, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let lock = store.lock(&key, &mut || {}, &|| false).unwrap();
                        assert!(lock.is_held());
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 160);
        assert_eq!(fs::read_dir(dir.path().join("locks")).unwrap().count(), 0);
    }

    #[test]
    fn who_waits_says_so_once_and_can_be_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let (store, key) = store(dir.path(), Options::default());
        let _held = store.lock(&key, &mut || panic!("nothing to wait for"), &|| false).unwrap();
        let (mut told, asked) = (0, AtomicUsize::new(0));
        let stop = || asked.fetch_add(1, Ordering::SeqCst) >= 3;
        assert!(matches!(store.lock(&key, &mut || told += 1, &stop), Err(StoreError::Cancelled)));
        assert_eq!(told, 1);
    }

    #[test]
    fn a_holder_that_never_lets_go_is_not_waited_for_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let (store, key) = store(dir.path(), Options { lock_timeout: Duration::from_millis(5), ..Options::default() });
        let held = store.lock(&key, &mut || {}, &|| false).unwrap();
        assert!(!store.lock(&key, &mut || {}, &|| false).unwrap().is_held());
        assert!(held.is_held());
    }

    #[test]
    fn files_of_killed_runs_are_swept_and_locks_that_are_held_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (store, key) = store(dir.path(), Options::default());
        let _held = store.lock(&key, &mut || {}, &|| false).unwrap();
        let left = dir.path().join("locks").join(Digest::of(b"killed").to_string());
        fs::write(&left, "").unwrap();
        store.sweep_locks(SystemTime::now());
        assert!(left.exists(), "it is young: somebody may be about to lock it");
        store.sweep_locks(SystemTime::now() + 2 * GRACE);
        assert!(!left.exists());
        assert!(dir.path().join("locks").join(key.to_string()).exists());
    }

    #[test]
    fn locks_can_be_turned_off() {
        let dir = tempfile::tempdir().unwrap();
        let (store, key) = store(dir.path(), Options { locks: false, ..Options::default() });
        assert!(!store.lock(&key, &mut || {}, &|| false).unwrap().is_held());
        assert!(!dir.path().join("locks").exists());
    }

    #[test]
    fn a_lock_that_cannot_be_made_is_done_without() {
        let dir = tempfile::tempdir().unwrap();
        let (store, key) = store(dir.path(), Options::default());
        store.prepare().unwrap();
        fs::create_dir(dir.path().join("locks").join(key.to_string())).unwrap();
        assert!(!store.lock(&key, &mut || {}, &|| false).unwrap().is_held());
    }
}
