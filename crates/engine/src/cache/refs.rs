//! The last key of each stage of each pipeline, so that a plan can say why a stage is stale.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cache::error::During;
use crate::cache::{Digest, Lookup, Manifest, Result, StageKey, Store, disk};

const MAX_BYTES: u64 = 1 << 20;

/// The content of a file under `refs/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ref {
    pub(super) pipeline: String,
    pub(super) stage: String,
    pub(super) key: StageKey,
}

impl Store {
    /// Keeps that the stage of this name, with its matrix cell, now has this key. Nothing is written if it had.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_ref(&self, pipeline: &str, stage: &str, key: &StageKey) -> Result<()> {
        let path = self.ref_path(pipeline, stage);
        let new = Ref { pipeline: pipeline.to_owned(), stage: stage.to_owned(), key: *key };
        if self.is_read_only() || self.last_key(pipeline, stage).as_ref() == Some(key) {
            return Ok(());
        }
        self.prepare()?;
        let dir = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(dir).during("create", dir)?;
        let text = serde_json::to_vec(&new).map_err(io::Error::from).during("write", &path)?;
        disk::write_whole(&self.tmp(), &path, &text, false).during("write", &path)
    }

    /// The key that the stage of this name had last.
    pub fn last_key(&self, pipeline: &str, stage: &str) -> Option<StageKey> {
        let below = || self.below().and_then(|below| below.last_key(pipeline, stage));
        self.read_ref(pipeline, stage).map(|found| found.key).or_else(below)
    }

    /// The manifest of the last key that the stage of this name had.
    pub fn last_manifest(&self, pipeline: &str, stage: &str) -> Option<Manifest> {
        match self.lookup(&self.last_key(pipeline, stage)?) {
            Lookup::Hit(manifest) => Some(manifest),
            Lookup::Miss | Lookup::Invalid { .. } => None,
        }
    }

    /// All refs that can be read, with their files.
    pub(super) fn refs(&self) -> Vec<(PathBuf, Ref)> {
        let mut found = Vec::new();
        for dir in disk::entries(&self.dir.join("refs")) {
            for path in disk::entries(&dir) {
                let bytes = disk::read_capped(&path, MAX_BYTES).ok();
                if let Some(read) = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
                    found.push((path, read));
                }
            }
        }
        found
    }

    fn read_ref(&self, pipeline: &str, stage: &str) -> Option<Ref> {
        let bytes = disk::read_capped(&self.ref_path(pipeline, stage), MAX_BYTES).ok()?;
        let found: Ref = serde_json::from_slice(&bytes).ok()?;
        (found.pipeline == pipeline && found.stage == stage).then_some(found)
    }

    fn ref_path(&self, pipeline: &str, stage: &str) -> PathBuf {
        self.dir.join("refs").join(file_name(pipeline)).join(format!("{}.json", file_name(stage)))
    }
}

/// A file name for any text: itself where that is harmless, else what is harmless of it and a digest.
fn file_name(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if (1..=64).contains(&text.len()) && text.chars().all(harmless) {
        return text.to_owned();
    }
    let slug: String = text.chars().take(48).map(|c| if harmless(c) { c } else { '_' }).collect();
    // The `+` keeps it apart from texts that are harmless as they are.
    format!("{slug}+{:.16}", Digest::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn file_names_of_stages_are_harmless_and_differ() {
        let long = "x".repeat(300);
        let texts = [
            "train",
            "train[loss=bce]",
            "train[loss=bpr]",
            "train_loss_bce_",
            "..",
            ".",
            "",
            "../../x",
            "/",
            "a/b",
            "a\0b",
            "Train",
            "tr\u{e9}",
            "e",
            &long,
            &long[1..],
        ];
        let names: BTreeSet<String> = texts.iter().map(|text| file_name(text)).collect();
        assert_eq!(names.len(), texts.len());
        for name in names {
            assert!(name.len() <= 80 && !name.starts_with('.') && !name.contains(['/', '\0']), "{name}");
        }
        assert_eq!(file_name("train"), "train");
    }

    #[test]
    fn the_last_key_of_a_stage_is_kept_by_pipeline_and_cell() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = |n: u8| StageKey::parse(&Digest::of(&[n]).to_string()).unwrap();
        assert_eq!(store.last_key("p", "train"), None);
        store.set_ref("p", "train", &key(1)).unwrap();
        store.set_ref("p", "train[loss=bce]", &key(2)).unwrap();
        store.set_ref("q", "train", &key(3)).unwrap();
        store.set_ref("p", "train", &key(4)).unwrap();
        assert_eq!(store.last_key("p", "train"), Some(key(4)));
        assert_eq!(store.last_key("p", "train[loss=bce]"), Some(key(2)));
        assert_eq!(store.last_key("q", "train"), Some(key(3)));
        assert_eq!(store.last_key("q", "other"), None);
        assert_eq!(store.refs().len(), 3);
        assert!(store.last_manifest("p", "train").is_none());
    }

    #[test]
    fn a_ref_that_is_unchanged_is_not_written_and_a_damaged_one_is_none() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = StageKey::parse(&Digest::of(b"k").to_string()).unwrap();
        store.set_ref("p", "train", &key).unwrap();
        let path = dir.path().join("refs/p/train.json");
        let inode = fs::metadata(&path).unwrap().ino();
        store.set_ref("p", "train", &key).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        for damaged in ["", "{}", "\u{0}", "{\"pipeline\":\"p\",\"stage\":\"other\",\"key\":\"x\"}"] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(store.last_key("p", "train"), None);
        }
        store.set_ref("p", "train", &key).unwrap();
        assert_eq!(store.last_key("p", "train"), Some(key));
    }
}
