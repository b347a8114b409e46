//! Cleaning: what may go, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::cache::host::Owner;
use crate::cache::upkeep::bytes_below;
use crate::cache::{Digest, Result, StageKey, Store, StoreError, disk};

/// Nothing younger than this is removed: a run may be about to name it in a manifest.
pub(super) const GRACE: Duration = Duration::from_mins(10);

/// Checkpoints of interrupted runs, and what other hosts have left, are kept this long.
const LEFT_BEHIND: Duration = Duration::from_hours(7 * 24);

/// What to clean away. The default removes what no stage of any pipeline has as its last result. Where both limits
/// are given, what is over either of them goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcOptions {
    /// Removes stages that were finished longer ago than this.
    pub older_than: Option<Duration>,
    /// Removes stages, oldest first, until the files of all stages take no more than this many bytes.
    pub max_bytes: Option<u64>,
    /// Removes stages of these pipelines only; of all if empty.
    pub pipelines: Vec<String>,
    /// Keeps the last result of each stage. Otherwise those of `pipelines` may go as well.
    pub keep_refs: bool,
    /// Only says what would be removed.
    pub dry_run: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self { older_than: None, max_bytes: None, pipelines: Vec::new(), keep_refs: true, dry_run: false }
    }
}

/// What was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GcReport {
    /// Stages, as they are called in their manifests.
    pub stages: Vec<String>,
    /// Stored files.
    pub blobs: usize,
    /// Temporary, damaged and abandoned things.
    pub leftovers: usize,
    /// The bytes of all of them.
    pub bytes: u64,
}

/// What decides whether a stored stage may go.
#[derive(Debug, Clone)]
struct Candidate {
    name: String,
    path: PathBuf,
    /// Since it was finished, or last written.
    age: Duration,
    files: BTreeMap<Digest, u64>,
    /// Whether nothing may remove it.
    kept: bool,
}

impl Store {
    /// Removes what is no longer wanted. Never removes what a running process has leased, what was written within
    /// the last ten minutes, or what a newer version has written.
    ///
    /// # Errors
    /// When the store is read-only, or something cannot be removed.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport> {
        self.gc_at(options, self.now())
    }

    /// What the file system says is the time: it made all the times that are compared, and the clock of this host may be
    /// ahead of it.
    fn now(&self) -> SystemTime {
        let probe = || {
            let file = tempfile::Builder::new().prefix(&Owner::this().prefix()).tempfile_in(self.tmp())?;
            file.as_file().metadata()?.modified()
        };
        let told = if self.is_read_only() { None } else { probe().ok() };
        told.unwrap_or_else(SystemTime::now)
    }

    /// As if it were `now`.
    pub(super) fn gc_at(&self, options: &GcOptions, now: SystemTime) -> Result<GcReport> {
        if self.is_read_only() && !options.dry_run {
            return Err(StoreError::ReadOnly { dir: self.dir.clone() });
        }
        let mut report = GcReport::default();
        let act = |path: &Path| if options.dry_run { Ok(()) } else { Self::delete(path) };
        let in_scope = |name: &str| options.pipelines.is_empty() || options.pipelines.iter().any(|want| want == name);

        let (released, kept_refs): (Vec<_>, Vec<_>) =
            self.refs().into_iter().partition(|(_, found)| !options.keep_refs && in_scope(&found.pipeline));
        let mut protected: BTreeSet<StageKey> = kept_refs.into_iter().map(|(_, found)| found.key).collect();
        protected.extend(self.leased(now));
        let released_keys: BTreeSet<StageKey> = released.iter().map(|(_, found)| found.key).collect();

        let candidates = self.candidates(now, |key, pipeline| {
            let scope = pipeline.is_some_and(in_scope) || options.pipelines.is_empty() || released_keys.contains(key);
            protected.contains(key) || !scope
        });
        let chosen = choose(&candidates, options);
        let mut gone = BTreeSet::new();
        for candidate in chosen {
            // A run may have begun to use it since.
            let key = candidate.path.file_stem().and_then(|stem| StageKey::parse(&stem.to_string_lossy()));
            if key.is_some_and(|key| self.leased(now).contains(&key)) {
                continue;
            }
            report.bytes += fs::symlink_metadata(&candidate.path).map_or(0, |meta| meta.len());
            act(&candidate.path)?;
            report.stages.push(candidate.name.clone());
            gone.insert(candidate.path.clone());
        }
        for (path, found) in released {
            let manifest = self.manifest_path(&found.key);
            if gone.contains(&manifest) || fs::symlink_metadata(&manifest).is_err() {
                act(&path)?;
            }
        }

        // Listed again, so that stages finished meanwhile keep their files.
        let remaining = self.manifests().into_iter().filter(|found| !gone.contains(&found.path));
        let used: BTreeSet<Digest> = remaining.flat_map(|found| found.names).collect();
        for (path, digest) in self.blobs() {
            if digest.is_some_and(|digest| used.contains(&digest)) || changed_within(&path, GRACE, now) {
                continue;
            }
            report.bytes += fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
            act(&path)?;
            report.blobs += 1;
        }
        for path in self.leftovers(now) {
            report.bytes += bytes_below(&path) + fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
            act(&path)?;
            report.leftovers += 1;
        }
        if !options.dry_run {
            self.sweep_leases(now);
            self.sweep_locks(now);
        }
        Ok(report)
    }

    fn candidates(&self, now: SystemTime, kept: impl Fn(&StageKey, Option<&str>) -> bool) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for found in self.manifests() {
            let written = disk::age(&found.path, now).unwrap_or_default();
            candidates.push(match found.read {
                Ok(manifest) => {
                    let created = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(manifest.created));
                    let since = created.and_then(|created| now.duration_since(created).ok()).unwrap_or_default();
                    let pipeline = manifest.pipeline.as_deref();
                    Candidate {
                        name: format!("{}{}", pipeline.map(|p| format!("{p}/")).unwrap_or_default(), manifest.stage),
                        age: written.min(since),
                        files: manifest.files().values().map(|file| (file.digest, file.size)).collect(),
                        kept: kept(&manifest.key, pipeline),
                        path: found.path,
                    }
                }
                Err(reason) => Candidate {
                    name: format!("`{}`: {reason}", found.path.display()),
                    age: written,
                    files: BTreeMap::new(),
                    kept: found.newer,
                    path: found.path,
                },
            });
        }
        candidates
    }

    /// Temporary files of processes that are gone, damaged files, and checkpoints that nobody came back for.
    fn leftovers(&self, now: SystemTime) -> Vec<PathBuf> {
        let old = |path: &PathBuf, than: Duration| disk::age(path, now).is_some_and(|age| age > than);
        let mut paths = disk::entries(&self.tmp());
        paths.retain(|path| {
            let owner = path.file_name().and_then(|name| Owner::parse(&name.to_string_lossy()));
            let alive = owner.as_ref().is_some_and(Owner::is_alive);
            let dead = owner.as_ref().is_some_and(Owner::is_dead);
            !alive && (old(path, LEFT_BEHIND) || (dead && old(path, GRACE)))
        });
        paths.extend(disk::entries(&self.dir.join("bad")).into_iter().filter(|path| !changed_within(path, GRACE, now)));
        let leased = self.leased(now);
        let key = |path: &PathBuf| path.file_name().and_then(|name| StageKey::parse(&name.to_string_lossy()));
        let abandoned = |path: &PathBuf| {
            let newest = disk::entries(path).iter().chain([path]).filter_map(|path| disk::age(path, now)).min();
            newest.is_some_and(|age| age > LEFT_BEHIND) && !key(path).is_some_and(|key| leased.contains(&key))
        };
        paths.extend(disk::entries(&self.dir.join("scratch")).into_iter().filter(abandoned));
        paths
    }
}

/// Which stages go, oldest first.
fn choose<'a>(candidates: &'a [Candidate], options: &GcOptions) -> Vec<&'a Candidate> {
    let mut users: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut total = 0u64;
    for (digest, size) in candidates.iter().flat_map(|candidate| &candidate.files) {
        let count = users.entry(*digest).or_default();
        total = total.saturating_add(if *count == 0 { *size } else { 0 });
        *count += 1;
    }
    let mut free: Vec<&Candidate> = candidates.iter().filter(|c| !c.kept && c.age > GRACE).collect();
    free.sort_by(|a, b| (b.age, &a.path).cmp(&(a.age, &b.path)));
    let unlimited = options.older_than.is_none() && options.max_bytes.is_none();
    let mut chosen = Vec::new();
    for candidate in free {
        let too_old = options.older_than.is_some_and(|limit| candidate.age > limit);
        let too_much = options.max_bytes.is_some_and(|limit| total > limit);
        if !(too_old || too_much || unlimited) {
            continue;
        }
        for (digest, size) in &candidate.files {
            if let Some(count) = users.get_mut(digest) {
                *count -= 1;
                total = total.saturating_sub(if *count == 0 { *size } else { 0 });
            }
        }
        chosen.push(candidate);
    }
    chosen
}

/// Whether a file was written or renamed within `span` before `now`, or seems to have been after.
fn changed_within(path: &Path, span: Duration, now: SystemTime) -> bool {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, seconds);
    fs::symlink_metadata(path).is_ok_and(|meta| meta.mtime().max(meta.ctime()).saturating_add(seconds(span)) >= now)
}
