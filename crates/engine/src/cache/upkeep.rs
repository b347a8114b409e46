//! Looking after a store: what is in it, how large it is, and whether all of it is sound.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::check::{Damage, Trust};
use crate::cache::disk::{self, Stat};
use crate::cache::error::During;
use crate::cache::{Digest, FileEntry, Manifest, Result, StageKey, Store, manifest};

/// A stored stage.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ListedManifest {
    /// What is kept of it.
    pub manifest: Manifest,
    /// The stages, as `pipeline/stage`, that have it as their last result.
    pub refs: Vec<String>,
}

/// How many bytes a store takes, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoreSize {
    /// How many files are stored.
    pub blobs: usize,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Those that no stage needs, which cleaning would remove.
    pub unused_bytes: u64,
    /// How many stages are stored.
    pub manifests: usize,
    /// Files being written, or left by killed runs.
    pub tmp_bytes: u64,
    /// Checkpoints of stages that were interrupted.
    pub scratch_bytes: u64,
    /// Damaged files that were moved away.
    pub bad_bytes: u64,
}

/// What a full check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Stages that were checked.
    pub manifests: usize,
    /// Files that were hashed.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Everything that is wrong.
    pub damage: Vec<Damage>,
    /// Stages that cannot be used any more, as they are called in their manifests.
    pub stages: Vec<String>,
    /// What was moved to `bad/`.
    pub moved: usize,
}

/// A manifest file in the store.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) read: Result<Manifest, String>,
    /// What it names, even if the rest of it cannot be understood.
    pub(super) names: BTreeSet<Digest>,
    /// Whether it seems to be of a newer version, and not damaged.
    pub(super) newer: bool,
}

impl Store {
    /// All stored stages that can be read, newest first.
    pub fn ls(&self) -> Vec<ListedManifest> {
        let mut refs: BTreeMap<StageKey, Vec<String>> = BTreeMap::new();
        for (_, found) in self.refs() {
            refs.entry(found.key).or_default().push(format!("{}/{}", found.pipeline, found.stage));
        }
        let manifests = self.manifests().into_iter().filter_map(|found| found.read.ok());
        let mut listed: Vec<_> = manifests
            .map(|manifest| ListedManifest { refs: refs.remove(&manifest.key).unwrap_or_default(), manifest })
            .collect();
        listed.sort_by_key(|listed| (std::cmp::Reverse(listed.manifest.created), listed.manifest.key));
        listed
    }

    /// The names of the pipelines that have, or had, anything in the store.
    pub fn pipelines(&self) -> BTreeSet<String> {
        let made = self.manifests().into_iter().filter_map(|found| found.read.ok()?.pipeline);
        made.chain(self.refs().into_iter().map(|(_, found)| found.pipeline)).collect()
    }

    /// How large the store is.
    pub fn du(&self) -> StoreSize {
        let manifests = self.manifests();
        let used: BTreeSet<Digest> = manifests.iter().flat_map(|found| found.names.iter().copied()).collect();
        let mut size = StoreSize { manifests: manifests.len(), ..StoreSize::default() };
        for (path, digest) in self.blobs() {
            let bytes = fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
            size.blobs += 1;
            size.blob_bytes += bytes;
            size.unused_bytes += if digest.is_some_and(|digest| used.contains(&digest)) { 0 } else { bytes };
        }
        size.tmp_bytes = bytes_below(&self.tmp());
        size.scratch_bytes = bytes_below(&self.dir.join("scratch"));
        size.bad_bytes = bytes_below(&self.dir.join("bad"));
        size
    }

    /// Hashes every stored file and checks every manifest. With `repair`, moves to `bad/` what is damaged and the
    /// manifests that need it, so that those stages run again.
    ///
    /// # Errors
    /// When something cannot be moved.
    pub fn verify_all(&self, repair: bool) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let mut wrong: BTreeMap<Digest, Option<Stat>> = BTreeMap::new();
        for (path, digest) in self.blobs() {
            let size = fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
            let checked = match digest {
                // Nobody stops it but a signal, which ends the process.
                Some(digest) => self.inspect(FileEntry { digest, size }, Trust::Always, &|| false),
                None => None,
            };
            let Some(checked) = checked else { continue };
            report.blobs += 1;
            report.bytes += size;
            if let (Some(digest), Err(fault)) = (digest, checked) {
                report.damage.push(damage(&path, &fault.what));
                wrong.insert(digest, fault.wrong);
            }
        }
        let mut drop_manifests = Vec::new();
        for found in self.manifests() {
            report.manifests += 1;
            match &found.read {
                Err(_) if found.newer => {}
                Err(reason) => {
                    report.damage.push(damage(&found.path, reason));
                    drop_manifests.push(found.path);
                }
                Ok(manifest) => {
                    let mut usable = true;
                    for (name, file) in manifest.files() {
                        let path = self.blob_path(&file.digest);
                        let what = match fs::symlink_metadata(&path) {
                            Err(_) => Some("missing".to_owned()),
                            Ok(meta) if meta.len() != file.size => {
                                Some(format!("size {} instead of {}", meta.len(), file.size))
                            }
                            // It has been reported already.
                            Ok(_) if wrong.contains_key(&file.digest) => {
                                usable = false;
                                None
                            }
                            Ok(_) => None,
                        };
                        if let Some(what) = what {
                            usable = false;
                            report.damage.push(Damage { file: name.to_owned(), path, what });
                        }
                    }
                    if !usable {
                        let pipeline = manifest.pipeline.as_deref().map(|name| format!("{name}/"));
                        report.stages.push(format!("{}{}", pipeline.unwrap_or_default(), manifest.stage));
                        drop_manifests.push(found.path);
                    }
                }
            }
        }
        if repair {
            let blobs = wrong.into_iter().filter(|(_, seen)| seen.is_some()).map(|(digest, _)| self.blob_path(&digest));
            for path in blobs.chain(drop_manifests) {
                self.move_to_bad(&path)?;
                report.moved += 1;
            }
        }
        Ok(report)
    }

    /// All manifests that can be read.
    pub fn all_manifests(&self) -> Vec<Manifest> {
        let below = self.below().map(Self::all_manifests).unwrap_or_default();
        self.manifests().into_iter().filter_map(|found| found.read.ok()).chain(below).collect()
    }

    /// All manifest files.
    pub(super) fn manifests(&self) -> Vec<Found> {
        let shards = disk::entries(&self.dir.join("manifests"));
        shards.iter().flat_map(|shard| disk::entries(shard)).map(|path| self.found(path)).collect()
    }

    fn found(&self, path: PathBuf) -> Found {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let key = name.strip_suffix(".json").and_then(StageKey::parse);
        let bytes = disk::read_capped(&path, manifest::MAX_BYTES);
        let read = match (&bytes, key) {
            (Ok(bytes), Some(key)) if self.manifest_path(&key) == path => Manifest::parse(bytes, &key),
            (Err(error), _) => Err(format!("it cannot be read: {error}")),
            _ => Err("its name is not its key".to_owned()),
        };
        let (names, newer) = if let Ok(manifest) = &read {
            (manifest.files().values().map(|file| file.digest).collect(), false)
        } else {
            let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default());
            (digests_in(&text), is_newer(&text))
        };
        Found { path, read, names, newer }
    }

    /// All files under `blobs/`, with the digest that their place says.
    pub(super) fn blobs(&self) -> Vec<(PathBuf, Option<Digest>)> {
        let shards = disk::entries(&self.dir.join("blobs"));
        let place = |path: PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let digest = Digest::parse(&name).filter(|digest| self.blob_path(digest) == path);
            (path, digest)
        };
        shards.iter().flat_map(|shard| disk::entries(shard)).map(place).collect()
    }

    /// Removes a file or directory of the store.
    pub(super) fn delete(path: &Path) -> Result<()> {
        match disk::remove(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).during("remove", path),
            _ => Ok(()),
        }
    }
}

fn damage(path: &Path, what: &str) -> Damage {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Damage { file, path: path.to_owned(), what: what.to_owned() }
}

/// Every word of 64 hexadecimal digits.
fn digests_in(text: &str) -> BTreeSet<Digest> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(Digest::parse).collect()
}

/// Whether the text is a manifest of a schema that this version does not know yet.
fn is_newer(text: &str) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let schema = value.as_ref().and_then(|value| value.get("schema")).and_then(serde_json::Value::as_u64);
    schema.is_some_and(|schema| schema > u64::from(manifest::SCHEMA))
}

/// The bytes of all files below a directory; links are not followed.
pub(super) fn bytes_below(dir: &Path) -> u64 {
    let size = |path: &PathBuf| match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => bytes_below(path),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    disk::entries(dir).iter().map(size).fold(0, u64::saturating_add)
}
