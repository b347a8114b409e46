//! What running processes use, so that nothing is cleaned away under them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crate::cache::error::During;
use crate::cache::host::Owner;
use crate::cache::store::lock;
use crate::cache::{Result, StageKey, Store, disk};

const BEAT: Duration = Duration::from_mins(1);

/// A lease of another host that has been silent this long is over.
const SILENT: Duration = Duration::from_mins(10);

/// A lease of this host that has been silent this long is over even if some process has its number now.
const LONG_SILENT: Duration = Duration::from_hours(7 * 24);

const MAX_BYTES: u64 = 64 << 20;

/// Says that a run is going on, and which keys it uses, until dropped.
#[derive(Debug)]
pub struct Lease(Option<Live>);

#[derive(Debug)]
struct Live {
    path: PathBuf,
    file: Mutex<File>,
    stop: Option<Sender<()>>,
    beat: Option<JoinHandle<()>>,
}

impl Store {
    /// Begins a lease. In a store that can only be read it has no effect.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn lease(&self) -> Result<Lease> {
        if self.is_read_only() || self.is_unused() {
            return Ok(Lease(None));
        }
        self.prepare()?;
        let dir = self.dir.join("leases");
        // Removed again if anything below fails.
        let lease = tempfile::Builder::new()
            .prefix(&Owner::this().prefix())
            .permissions(disk::shared())
            .tempfile_in(&dir)
            .during("create a file in", &dir)?;
        let beating = lease.as_file().try_clone().during("open", lease.path())?;
        let (stop, stopped) = channel();
        let beat = std::thread::Builder::new().name("lease".into()).spawn(move || {
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                // A missed beat is made up for by the next.
                let _ = beating.set_modified(SystemTime::now());
            }
        });
        let beat = beat.during("start a thread for", lease.path())?;
        let (file, path) = lease.keep().map_err(|error| error.error).during("keep a file in", &dir)?;
        Ok(Lease(Some(Live { path, file: Mutex::new(file), stop: Some(stop), beat: Some(beat) })))
    }

    /// The keys that runs are using now.
    pub(super) fn leased(&self, now: SystemTime) -> BTreeSet<StageKey> {
        let live = disk::entries(&self.dir.join("leases")).into_iter().filter(|path| is_live(path, now));
        let text = |path: PathBuf| disk::read_capped(&path, MAX_BYTES).ok().and_then(|b| String::from_utf8(b).ok());
        live.filter_map(text).flat_map(|text| text.lines().filter_map(StageKey::parse).collect::<Vec<_>>()).collect()
    }

    /// Removes what killed runs have left.
    pub(super) fn sweep_leases(&self, now: SystemTime) {
        for path in disk::entries(&self.dir.join("leases")) {
            if !is_live(&path, now) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Lease {
    /// Says that the run uses these keys.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn keep<'a>(&self, keys: impl IntoIterator<Item = &'a StageKey>) -> Result<()> {
        let Some(live) = &self.0 else { return Ok(()) };
        let lines: Vec<String> = keys.into_iter().map(|key| format!("{key}\n")).collect();
        lock(&live.file).write_all(lines.concat().as_bytes()).during("write", &live.path)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(beat) = self.beat.take() {
            let _ = beat.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn is_live(path: &Path, now: SystemTime) -> bool {
    let silent = disk::age(path, now).unwrap_or(Duration::ZERO);
    let owner = path.file_name().and_then(|name| Owner::parse(&name.to_string_lossy()));
    silent < SILENT || (silent < LONG_SILENT && owner.is_some_and(|owner| owner.is_alive()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Digest;
    use crate::cache::host::tests::{dead, elsewhere};

    fn key(n: u8) -> StageKey {
        StageKey::parse(&Digest::of(&[n]).to_string()).unwrap()
    }

    #[test]
    fn keys_are_leased_until_the_lease_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (a, b) = (store.lease().unwrap(), store.lease().unwrap());
        a.keep([&key(1), &key(2)]).unwrap();
        b.keep([&key(3)]).unwrap();
        assert_eq!(store.leased(SystemTime::now()), BTreeSet::from([key(1), key(2), key(3)]));
        drop(a);
        assert_eq!(store.leased(SystemTime::now()), BTreeSet::from([key(3)]));
        drop(b);
        assert_eq!(fs::read_dir(dir.path().join("leases")).unwrap().count(), 0);
    }

    #[test]
    fn the_lease_of_a_process_that_is_gone_ends_and_that_of_one_that_hangs_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.prepare().unwrap();
        let put = |owner: &Owner, n: u8, silent: Duration| {
            let path = dir.path().join("leases").join(format!("{}{n}", owner.prefix()));
            fs::write(&path, format!("{}\n", key(n))).unwrap();
            File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - silent).unwrap();
        };
        put(&dead(), 1, Duration::from_secs(5));
        put(&dead(), 2, Duration::from_hours(1));
        put(&Owner::this(), 3, Duration::from_hours(1));
        put(&Owner::this(), 4, Duration::from_hours(30 * 24));
        put(&elsewhere(), 5, Duration::from_mins(1));
        put(&elsewhere(), 6, Duration::from_hours(1));
        let live = BTreeSet::from([key(1), key(3), key(5)]);
        assert_eq!(store.leased(SystemTime::now()), live);
        store.sweep_leases(SystemTime::now());
        assert_eq!(fs::read_dir(dir.path().join("leases")).unwrap().count(), 3);
        assert_eq!(store.leased(SystemTime::now()), live);
    }
}
