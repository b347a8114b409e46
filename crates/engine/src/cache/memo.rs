//! What files hashed to, so that a file that has not changed is not hashed again.
//!
//! One file for each store, read once and written at the end. It may be lost, stale or garbage at any time: an entry
//! counts only while the file's size, inode and times are those of its last full hash.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cache::Digest;
use crate::cache::disk::{self, Stat};

const MAGIC: &[u8] = b"ncf-pipe memo 1\n";
const MAX_BYTES: u64 = 64 << 20;
const MAX_ENTRIES: usize = 100_000;

/// A file written again within the resolution of its clock would look the same, so times younger than this tell
/// nothing. Two seconds is the coarsest resolution in use (FAT).
const SETTLED_SECONDS: i64 = 2;

/// Which file an entry is about: `b` and a digest, or `s` and a path.
type Name = Box<[u8]>;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    stat: Stat,
    digest: Digest,
    /// Unix seconds.
    made: i64,
}

/// The memo of a store.
#[derive(Debug)]
pub(super) struct Memo {
    file: PathBuf,
    entries: BTreeMap<Name, Entry>,
    changed: BTreeSet<Name>,
}

/// The name of the blob of this digest.
pub(super) fn blob(digest: &Digest) -> [u8; 33] {
    let mut name = [b'b'; 33];
    name[1..].copy_from_slice(digest.as_bytes());
    name
}

/// The name of a file outside the store. The path is canonical.
pub(super) fn source(path: &Path) -> Vec<u8> {
    [b"s", path.as_os_str().as_bytes()].concat()
}

/// Unix seconds; 0 if the clock stands before 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

impl Memo {
    /// Loads it, or begins an empty one.
    pub(super) fn load(file: PathBuf) -> Self {
        let entries = read(&file);
        Self { file, entries, changed: BTreeSet::new() }
    }

    /// What the file hashed to, if nothing about it has changed since.
    pub(super) fn recall(&self, name: &[u8], stat: Stat) -> Option<Digest> {
        let entry = self.entries.get(name)?;
        (entry.stat == stat && settled(name, stat, entry.made.min(now()))).then_some(entry.digest)
    }

    /// Keeps that the file hashed to `digest` while it had these times, unless they are too young to tell.
    pub(super) fn remember(&mut self, name: &[u8], stat: Stat, digest: Digest) {
        let made = now();
        if settled(name, stat, made) {
            self.entries.insert(name.into(), Entry { stat, digest, made });
            self.changed.insert(name.into());
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.changed.is_empty()
    }

    /// Writes it if there is something new, together with what others have written meanwhile.
    pub(super) fn save(&mut self, tmp: &Path) -> io::Result<()> {
        if self.is_clean() {
            return Ok(());
        }
        let mut all = read(&self.file);
        for name in std::mem::take(&mut self.changed) {
            if let Some(entry) = self.entries.get(&name) {
                all.insert(name, *entry);
            }
        }
        if all.len() > MAX_ENTRIES {
            let mut times: Vec<i64> = all.values().map(|entry| entry.made).collect();
            times.sort_unstable();
            let oldest_kept = times[times.len() - MAX_ENTRIES / 2];
            all.retain(|_, entry| entry.made >= oldest_kept);
        }
        disk::write_whole(tmp, &self.file, &write(&all), false)?;
        self.entries = all;
        Ok(())
    }
}

/// Whether a file last changed long enough before `when` that any later change shows. Whoever writes a file outside the
/// store can set the time of its content back, so there the time of its status counts as well. Blobs are ours and cannot
/// be written to; their status changes whenever they are linked.
fn settled(name: &[u8], stat: Stat, when: i64) -> bool {
    let changed = if name.first() == Some(&b's') { stat.mtime.0.max(stat.ctime.0) } else { stat.mtime.0 };
    changed.saturating_add(SETTLED_SECONDS) < when
}

fn write(entries: &BTreeMap<Name, Entry>) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 192 + 64);
    out.extend(MAGIC);
    out.extend((entries.len() as u64).to_le_bytes());
    for (name, Entry { stat, digest, made }) in entries {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend(name);
        let words = [stat.dev, stat.ino, stat.size];
        let times = [stat.mtime.0, stat.mtime.1, stat.ctime.0, stat.ctime.1, *made];
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        out.extend(times.iter().flat_map(|time| time.to_le_bytes()));
        out.extend(digest.as_bytes());
    }
    out.extend(Digest::of(&out).as_bytes());
    out
}

/// The entries in a file; none if it is missing or not exactly what was written here.
fn read(file: &Path) -> BTreeMap<Name, Entry> {
    let Ok(bytes) = disk::read_capped(file, MAX_BYTES) else { return BTreeMap::new() };
    let entries = parse(&bytes);
    if entries.is_none() {
        tracing::debug!(file = %file.display(), "ignoring a damaged memo: files will be hashed again");
    }
    entries.unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Option<BTreeMap<Name, Entry>> {
    let (body, checksum) = bytes.split_last_chunk::<32>()?;
    if Digest::of(body).as_bytes() != checksum {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    let count = u64::from_le_bytes(take(&mut rest)?);
    let mut entries = Vec::new();
    for _ in 0..count {
        let length = u32::from_le_bytes(take(&mut rest)?) as usize;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        let mut word = || take(&mut rest).map(u64::from_le_bytes);
        let (dev, ino, size) = (word()?, word()?, word()?);
        let mut time = || word().map(u64::cast_signed);
        let stat = Stat { dev, ino, size, mtime: (time()?, time()?), ctime: (time()?, time()?) };
        let made = time()?;
        let digest = Digest::from_bytes(take(&mut rest)?);
        entries.push((name.into(), Entry { stat, digest, made }));
    }
    // Sorted input makes a map in one pass.
    rest.is_empty().then(|| entries.into_iter().collect())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stat(mtime: i64) -> Stat {
        Stat { dev: 1, ino: 2, size: 3, mtime: (mtime, 4), ctime: (5, 6) }
    }

    fn filled(dir: &Path, count: u64) -> Memo {
        let mut memo = Memo::load(dir.join("memo"));
        for n in 0..count {
            let digest = Digest::of(&n.to_le_bytes());
            memo.remember(&blob(&digest), Stat { ino: n, ..stat(1) }, digest);
        }
        memo
    }

    #[test]
    fn a_saved_memo_is_read_back_and_an_unchanged_one_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut memo = filled(dir.path(), 1000);
        memo.remember(&source(Path::new("/a b/\u{e9}")), stat(7), Digest::of(b"s"));
        memo.save(dir.path()).unwrap();
        let mut again = Memo::load(dir.path().join("memo"));
        assert_eq!(again.entries, memo.entries);
        assert_eq!(again.entries.len(), 1001);
        std::fs::remove_file(dir.path().join("memo")).unwrap();
        again.save(dir.path()).unwrap();
        assert!(!dir.path().join("memo").exists());
    }

    #[test]
    fn any_change_of_the_file_makes_the_entry_worthless() {
        let dir = tempfile::tempdir().unwrap();
        let mut memo = Memo::load(dir.path().join("memo"));
        let digest = Digest::of(b"x");
        memo.remember(b"sx", stat(100), digest);
        assert_eq!(memo.recall(b"sx", stat(100)), Some(digest));
        let base = stat(100);
        for changed in [
            Stat { dev: 9, ..base },
            Stat { ino: 9, ..base },
            Stat { size: 9, ..base },
            Stat { mtime: (100, 5), ..base },
            Stat { mtime: (99, 4), ..base },
            Stat { ctime: (5, 7), ..base },
            Stat { ctime: (4, 6), ..base },
        ] {
            assert_eq!(memo.recall(b"sx", changed), None);
        }
        assert_eq!(memo.recall(b"sy", base), None);
    }

    #[test]
    fn a_file_written_just_now_or_in_the_future_is_never_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let mut memo = Memo::load(dir.path().join("memo"));
        for mtime in [now(), now() - 1, now() + 3600, i64::MAX] {
            memo.remember(b"sx", stat(mtime), Digest::of(b"x"));
            assert_eq!(memo.recall(b"sx", stat(mtime)), None);
        }
        // The time of the content may have been set back.
        for ctime in [now(), now() - 1, now() + 3600] {
            let stat = Stat { ctime: (ctime, 0), ..stat(1) };
            memo.remember(b"sx", stat, Digest::of(b"x"));
            assert_eq!(memo.recall(b"sx", stat), None);
        }
        memo.remember(b"sx", stat(now() - 4), Digest::of(b"x"));
        assert_eq!(memo.entries.len(), 1);
    }

    #[test]
    fn an_entry_made_by_a_clock_that_ran_ahead_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let mut memo = Memo::load(dir.path().join("memo"));
        let ahead = now() + 10_000;
        memo.entries.insert((*b"sx").into(), Entry { stat: stat(ahead - 10), digest: Digest::of(b"x"), made: ahead });
        assert_eq!(memo.recall(b"sx", stat(ahead - 10)), None);
    }

    #[test]
    fn two_writers_keep_each_others_entries() {
        let dir = tempfile::tempdir().unwrap();
        let (mut a, mut b) = (filled(dir.path(), 0), filled(dir.path(), 0));
        a.remember(b"sa", stat(1), Digest::of(b"a"));
        b.remember(b"sb", stat(1), Digest::of(b"b"));
        a.save(dir.path()).unwrap();
        b.save(dir.path()).unwrap();
        assert_eq!(Memo::load(dir.path().join("memo")).entries.len(), 2);
    }

    #[test]
    fn a_memo_that_has_grown_too_large_forgets_the_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let mut memo = filled(dir.path(), MAX_ENTRIES as u64 + 1);
        for (age, entry) in memo.entries.values_mut().enumerate() {
            entry.made = now() - age as i64;
        }
        memo.save(dir.path()).unwrap();
        assert_eq!(memo.entries.len(), MAX_ENTRIES / 2);
    }

    #[test]
    fn a_damaged_memo_is_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut memo = filled(dir.path(), 3);
        memo.save(dir.path()).unwrap();
        let path = dir.path().join("memo");
        let good = std::fs::read(&path).unwrap();
        assert_eq!(read(&path).len(), 3);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(parse(&bad), None);
            assert_eq!(parse(&good[..at]), None);
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(read(&path).len(), 0);
    }

    proptest! {
        /// With a right checksum too: whoever writes it, nothing may panic or ask for absurd memory.
        #[test]
        fn garbage_is_no_memo(mut bytes in prop::collection::vec(any::<u8>(), 0..200), sealed in any::<bool>()) {
            if sealed {
                bytes = [MAGIC, &bytes].concat();
                let checksum = Digest::of(&bytes);
                bytes.extend(checksum.as_bytes());
            }
            if let Some(entries) = parse(&bytes) {
                prop_assert!(entries.len() <= bytes.len());
            }
        }
    }
}
