//! One file that holds all that is needed to go on with a run.
//!
//! It is the BLAKE3 digest of the rest (32 bytes), then a safetensors file. A checkpoint is only ever a saving of
//! time: one that is missing, damaged or of another run is passed over.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::model::{Weights, file};
use crate::train::engine::State;
use crate::train::{Data, EpochRecord, Error, Pairs, Recipe, Result};

/// The name of the file in a run's scratch directory.
pub(super) const FILE: &str = "checkpoint";

/// The metadata key of [`Cursor`].
const CURSOR: &str = "cursor";

/// Where a run stands.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    /// Weights and the optimizer's memory.
    pub(super) state: State,
    /// The finished epochs.
    pub(super) history: Vec<EpochRecord>,
    /// The weights of the best validation, where they are kept.
    pub(super) best: Option<Weights>,
    /// How far the order of the current epoch has been walked.
    pub(super) place: u64,
    /// The sum of the losses of the current epoch's samples so far.
    pub(super) loss_sum: f64,
}

/// What is not a tensor. Numbers are whole, because JSON does not carry the last bit of others.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    fingerprint: String,
    steps: u64,
    place: u64,
    loss_sum_bits: u64,
}

/// A digest of everything that decides how a run goes: settings, seed and data.
pub(super) fn fingerprint(recipe: &Recipe, seed: u64, data: &Data<'_>) -> String {
    let mut hasher = blake3::Hasher::new();
    // Plain structs with string keys always have a JSON form.
    let settings = serde_json::to_vec(recipe).unwrap_or_default();
    for bytes in [b"ncf-pipe checkpoint 1".as_slice(), &settings] {
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    hasher.update(&seed.to_le_bytes());
    hasher.update(&data.catalogue.n_users.to_le_bytes()).update(&data.catalogue.n_items.to_le_bytes());
    for Pairs { users, items } in [data.train, data.valid, data.test] {
        for ids in [users, items] {
            hasher.update(&(ids.len() as u64).to_le_bytes()).update_rayon(bytemuck::cast_slice(ids));
        }
    }
    hasher.finalize().to_hex().to_string()
}

impl Checkpoint {
    /// Puts the checkpoint in the place of an older one. A kill at any time leaves one of the two.
    pub(super) fn save(&self, dir: &Path, fingerprint: &str) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::io(format!("cannot write `{}`", dir.join(FILE).display()), error)
                .help("free some space, or put the store elsewhere with `--store DIR`")
        };
        let bytes = self.to_bytes(fingerprint)?;
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(|error| failed(&error))?;
        file.write_all(blake3::hash(&bytes).as_bytes())
            .and_then(|()| file.write_all(&bytes))
            .and_then(|()| file.as_file().sync_all())
            .map_err(|error| failed(&error))?;
        file.persist(dir.join(FILE)).map_err(|error| failed(&error.error))?;
        Ok(())
    }

    /// The checkpoint in `dir`, if there is a whole one of the same run.
    pub(super) fn load(dir: &Path, fingerprint: &str) -> Option<Self> {
        let bytes = std::fs::read(dir.join(FILE)).ok()?;
        let found = Self::from_bytes(&bytes, fingerprint);
        if found.is_none() {
            tracing::warn!("the checkpoint is damaged or of another run; training starts anew");
        }
        found
    }

    fn to_bytes(&self, fingerprint: &str) -> Result<Vec<u8>> {
        let mut tensors = BTreeMap::new();
        let groups = [
            ("weights", Some(self.state.weights.tensors())),
            ("moments", Some(&self.state.moments)),
            ("best", self.best.as_ref().map(Weights::tensors)),
        ];
        for (group, members) in groups {
            let members = members.into_iter().flatten();
            tensors.extend(members.map(|(name, tensor)| (format!("{group}/{name}"), tensor.clone())));
        }
        let columns: [(&str, Vec<f64>); 2] = [
            ("history/train_loss", self.history.iter().map(|epoch| epoch.train_loss).collect()),
            // Losses are finite, so that NaN is free to stand for none.
            ("history/valid_loss", self.history.iter().map(|epoch| epoch.valid_loss.unwrap_or(f64::NAN)).collect()),
        ];
        for (name, column) in columns {
            tensors.insert(name.to_owned(), Tensor::from_vec(column, self.history.len(), &Device::Cpu)?);
        }
        let cursor = Cursor {
            fingerprint: fingerprint.to_owned(),
            steps: self.state.steps,
            place: self.place,
            loss_sum_bits: self.loss_sum.to_bits(),
        };
        Ok(file::encode(&tensors, CURSOR, serde_json::to_string(&cursor).map_err(Error::failed)?)?)
    }

    fn from_bytes(bytes: &[u8], fingerprint: &str) -> Option<Self> {
        let (digest, bytes) = bytes.split_first_chunk::<32>()?;
        if blake3::hash(bytes) != *digest {
            return None;
        }
        let file::Contents { tensors, metadata } = file::decode(bytes, CURSOR).ok()?;
        let cursor: Cursor = serde_json::from_str(&metadata?).ok().filter(|c: &Cursor| c.fingerprint == fingerprint)?;
        let group = |group: &str| -> BTreeMap<String, Tensor> {
            let strip = |(name, tensor): (&String, &Tensor)| {
                Some((name.strip_prefix(group)?.strip_prefix('/')?.to_owned(), tensor.clone()))
            };
            tensors.iter().filter_map(strip).collect()
        };
        let column = |name| tensors.get(name)?.to_vec1::<f64>().ok();
        let history = column("history/train_loss")?
            .into_iter()
            .zip(column("history/valid_loss")?)
            .map(|(train_loss, valid)| EpochRecord { train_loss, valid_loss: (!valid.is_nan()).then_some(valid) })
            .collect();
        let best = Some(group("best")).filter(|best| !best.is_empty()).map(Weights::from_tensors);
        let weights = Weights::from_tensors(group("weights"));
        let state = State { weights, moments: group("moments"), steps: cursor.steps };
        Some(Self { state, history, best, place: cursor.place, loss_sum: f64::from_bits(cursor.loss_sum_bits) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Checkpoint {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let one = |name: &str, values: &[f32]| BTreeMap::from([(name.to_owned(), tensor(values))]);
        let weights = Weights::from_tensors(one("w", &[0.1, -0.2]));
        Checkpoint {
            state: State { weights: weights.clone(), moments: one("m.w", &[0.3]), steps: 7 },
            history: vec![
                EpochRecord { train_loss: 0.1 + 0.2, valid_loss: None },
                EpochRecord { train_loss: 1.0 / 3.0, valid_loss: Some(2.0 / 3.0) },
            ],
            best: Some(weights),
            place: 11,
            loss_sum: 1.0 / 7.0,
        }
    }

    #[test]
    fn a_checkpoint_comes_back_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        for checkpoint in [example(), Checkpoint { history: Vec::new(), best: None, ..example() }] {
            checkpoint.save(dir.path(), "print").unwrap();
            let back = Checkpoint::load(dir.path(), "print").unwrap();
            assert_eq!((&back.history, back.place, back.loss_sum), (&checkpoint.history, 11, 1.0 / 7.0));
            assert_eq!(back.best.is_some(), checkpoint.best.is_some());
            assert_eq!(back.to_bytes("print").unwrap(), checkpoint.to_bytes("print").unwrap());
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary files are left");
    }

    #[test]
    fn a_checkpoint_that_is_missing_or_of_another_run_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Checkpoint::load(dir.path(), "print").is_none());
        example().save(dir.path(), "print").unwrap();
        assert!(Checkpoint::load(dir.path(), "other").is_none());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        example().save(dir.path(), "print").unwrap();
        let bytes = std::fs::read(dir.path().join(FILE)).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Checkpoint::from_bytes(&flipped, "print").is_none(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Checkpoint::from_bytes(&bytes[..length], "print").is_none(), "length {length}");
        }
    }
}
