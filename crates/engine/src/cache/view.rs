//! The stable place to open the files of a stage from other tools.
//!
//! Each file is a reflink of the blob, else a hard link, else a copy. What was placed is listed beside the files, so
//! that the next stage output can take the place of this one and the user's own files are never touched. Deleting the
//! view loses nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use crate::cache::disk::Stat;
use crate::cache::error::During;
use crate::cache::manifest::VIEW_NAME as MANIFEST;
use crate::cache::view_dir::{How, ViewDir};
use crate::cache::{Digest, FileEntry, Manifest, Result, Store, StoreError, digest, manifest};

pub(super) const LISTING: &str = ".ncf-pipe-view.json";
const SCHEMA: u32 = 1;
const MAX_BYTES: u64 = 1 << 20;

/// What lies in a directory of the view because it was put there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    schema: u32,
    /// The directory below the root: a listing that was moved or copied speaks of no files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    /// The checksum of the manifest that is shown; nothing while files are being replaced.
    manifest: Option<Digest>,
    pub(super) files: BTreeMap<String, Placed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Placed {
    pub(super) digest: Digest,
    /// Whether it is another name of the blob.
    link: bool,
    inode: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Placed {
    fn new(digest: Digest, how: How, stat: Stat) -> Self {
        let Stat { ino, size, mtime, ctime, .. } = stat;
        Self { digest, link: how == How::Link, inode: ino, size, mtime, ctime }
    }

    /// Whether this is the file that was placed, unchanged since. Names of it elsewhere do not count: they change `ctime`.
    pub(super) fn is(&self, stat: &Stat) -> bool {
        (self.inode, self.size, self.mtime) == (stat.ino, stat.size, stat.mtime)
    }
}

impl Store {
    /// Shows the files of a stage in the directory `place` below `root`, with its manifest as `manifest.json`, and
    /// removes what an earlier run has shown there. Returns the directory. If all is there already, that costs a few
    /// looks at file times only.
    ///
    /// # Errors
    /// When the user's own file has the name of one of these, when `place` leads out of `root` or through a link, and
    /// when the directory cannot be written to.
    pub fn view(&self, manifest: &Manifest, root: &Path, place: &Path) -> Result<PathBuf> {
        let Some(dir) = ViewDir::open(root, place, true)? else {
            return Err(StoreError::io("create", &root.join(place), io::Error::from(io::ErrorKind::NotFound)));
        };
        let old = read_listing(&dir);
        let files = manifest.files();
        if old.manifest == Some(manifest.checksum())
            && old.place == place.to_str().map(str::to_owned)
            && old.files.len() == files.len() + 1
            && files.iter().all(|(name, file)| self.is_right(&dir, &old, name, *file))
            && is_unchanged(&dir, &old, MANIFEST)
        {
            return Ok(dir.path().to_owned());
        }
        match self.replace(&dir, place, &old, manifest) {
            // Another process may have placed its files since the listing was read; a listing is written first.
            Err(StoreError::Refused { .. }) if read_listing(&dir) != old => {
                self.replace(&dir, place, &read_listing(&dir), manifest)?;
            }
            result => result?,
        }
        Ok(dir.path().to_owned())
    }

    fn replace(&self, dir: &ViewDir, place: &Path, old: &Listing, manifest: &Manifest) -> Result<()> {
        let text = manifest.to_bytes().map_err(io::Error::from).during("write", &dir.path().join(MANIFEST))?;
        let text_entry = FileEntry { digest: Digest::of(&text), size: text.len() as u64 };
        let files = manifest.files();
        let wanted = || files.iter().map(|(name, file)| (*name, *file)).chain([(MANIFEST, text_entry)]);
        for (name, file) in wanted() {
            refuse_users_file(dir, old, name, file)?;
        }
        dir.sweep();

        // From here on all these names are ours, even if this process is killed half-way.
        let place = place.to_str().map(str::to_owned);
        let mut listing = Listing { schema: SCHEMA, place, manifest: None, files: old.files.clone() };
        let unknown = Stat { dev: 0, ino: 0, size: 0, mtime: (0, 0), ctime: (0, 0) };
        for (name, file) in wanted() {
            listing.files.entry(name.to_owned()).or_insert(Placed::new(file.digest, How::Own, unknown));
        }
        write_listing(dir, &listing)?;
        dir.sync().during("sync", dir.path())?;

        for (name, placed) in &old.files {
            if name != MANIFEST && !files.contains_key(name.as_str()) {
                self.keeping_memo(&[placed.digest], || dir.remove(name)).during("remove", &dir.path().join(name))?;
                listing.files.remove(name);
            }
        }
        for (name, file) in wanted() {
            let path = dir.path().join(name);
            let how = if name == MANIFEST {
                dir.write(name, &text).during("write", &path)?;
                How::Own
            } else if self.is_right(dir, old, name, file) {
                continue;
            } else {
                let replaced = old.files.get(name).map_or(file.digest, |placed| placed.digest);
                self.keeping_memo(&[file.digest, replaced], || self.place(dir, name, file))?
            };
            if let Some((stat, _)) = dir.stat(name).during("look at", &path)? {
                listing.files.insert(name.to_owned(), Placed::new(file.digest, how, stat));
            }
        }
        listing.manifest = Some(manifest.checksum());
        write_listing(dir, &listing)?;
        if dir.is_littered() {
            // Left unfinished, so that the next run comes by and sweeps.
            listing.manifest = None;
            write_listing(dir, &listing)?;
        }
        Ok(())
    }

    fn place(&self, dir: &ViewDir, name: &str, file: FileEntry) -> Result<How> {
        let blob = self.blob_path(&file.digest);
        if !self.no_reflink.load(Ordering::Relaxed) {
            match dir.reflink(name, &blob) {
                Ok(()) => return Ok(How::Own),
                Err(_) => self.no_reflink.store(true, Ordering::Relaxed),
            }
        }
        if dir.link(name, &blob).is_ok() {
            return Ok(How::Link);
        }
        let path = dir.path().join(name);
        let copied =
            dir.copy(name, &blob, file).map_err(|error| StoreError::io_sized("write", &path, error, file.size))?;
        if copied {
            return Ok(How::Own);
        }
        Err(StoreError::Refused {
            message: format!("stored file `{}` for `{}` is damaged: content changed", blob.display(), path.display()),
            help: "run again: the stage that wrote it is then repeated".to_owned(),
        })
    }

    /// Whether the file that was placed under a name is still there, and still the blob.
    fn is_right(&self, dir: &ViewDir, old: &Listing, name: &str, file: FileEntry) -> bool {
        let Some(placed) = old.files.get(name).filter(|placed| placed.digest == file.digest) else { return false };
        if !placed.link {
            return placed.size == file.size && is_unchanged(dir, old, name);
        }
        let blob = fs::symlink_metadata(self.blob_path(&file.digest)).map(|meta| Stat::from(&meta));
        matches!((dir.stat(name), blob), (Ok(Some((shown, _))), Ok(blob)) if shown == blob)
    }
}

/// Whether the file that was placed under a name has not been touched since.
fn is_unchanged(dir: &ViewDir, old: &Listing, name: &str) -> bool {
    let Some(placed) = old.files.get(name) else { return false };
    let as_placed = |stat: Stat| Placed { link: placed.link, ..Placed::new(placed.digest, How::Own, stat) };
    matches!(dir.stat(name), Ok(Some((stat, _))) if as_placed(stat) == *placed)
}

/// Refuses to replace what is not ours. What has the wanted bytes anyway may be taken over.
fn refuse_users_file(dir: &ViewDir, old: &Listing, name: &str, file: FileEntry) -> Result<()> {
    let path = dir.path().join(name);
    let same_bytes = || -> io::Result<bool> {
        let (actual, size) = digest::hash_file(&mut dir.open_file(name)?, file.size)?;
        Ok(actual == file.digest && size == file.size)
    };
    let ours = match dir.stat(name).during("look at", &path)? {
        None => true,
        Some((_, FileType::Directory)) => false,
        Some(_) if old.files.contains_key(name) => true,
        Some((stat, FileType::RegularFile)) => stat.size == file.size && same_bytes().during("read", &path)?,
        Some(_) => false,
    };
    if ours {
        return Ok(());
    }
    Err(StoreError::Refused {
        message: format!("`{}` is in the way: it was not put there by ncf-pipe", path.display()),
        help: "move it away, or put the outputs elsewhere with `--outputs DIR`".to_owned(),
    })
}

/// What was placed. Where the listing is missing or damaged, what the manifest beside it says.
pub(super) fn read_listing(dir: &ViewDir) -> Listing {
    let listing = dir.read(LISTING, MAX_BYTES).ok().and_then(|bytes| serde_json::from_slice::<Listing>(&bytes).ok());
    listing
        .filter(|listing| listing.schema == SCHEMA && listing.files.keys().all(|name| is_plain(name)))
        .unwrap_or_else(|| listing_of_manifest(dir).unwrap_or_default())
}

/// What a whole manifest says was placed: those files whose bytes are still what it says, and itself. Its checksum fits,
/// so that nobody has written it by hand.
fn listing_of_manifest(dir: &ViewDir) -> Option<Listing> {
    let manifest = Manifest::parse_any(&dir.read(MANIFEST, manifest::MAX_BYTES).ok()?).ok()?;
    let whole = |name: &str, file: FileEntry| {
        let hashed = dir.open_file(name).and_then(|mut open| digest::hash_file(&mut open, file.size));
        hashed.is_ok_and(|found| found == (file.digest, file.size))
    };
    let unknown = Stat { dev: 0, ino: 0, size: 0, mtime: (0, 0), ctime: (0, 0) };
    let placed = |name: &str, digest| (name.to_owned(), Placed::new(digest, How::Own, unknown));
    let files = manifest.files().into_iter().filter(|(name, file)| whole(name, *file));
    let files = files.map(|(name, file)| placed(name, file.digest)).chain([placed(MANIFEST, manifest.checksum())]);
    Some(Listing { schema: SCHEMA, place: None, manifest: None, files: files.collect() })
}

/// Whether a name in a listing is that of a file in the directory and not a way out of it.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

fn write_listing(dir: &ViewDir, listing: &Listing) -> Result<()> {
    let path = dir.path().join(LISTING);
    let bytes = serde_json::to_vec(listing).map_err(io::Error::from).during("write", &path)?;
    dir.write(LISTING, &bytes).during("write", &path)
}
