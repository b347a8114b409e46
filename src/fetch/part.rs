//! A file that is not all there yet, and what is known of it, in a directory that outlives the process.
//!
//! What counts is what was brought to the disk and hashed: a part is taken up again only if its bytes still have the
//! digest that was written down with their number.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fetch::copy::{cannot_write, fill, hex};
use crate::fetch::{Error, Hooks, Result};

/// A process that is killed loses at most this much.
const SAVE_EVERY: u64 = 64 << 20;

/// What is written down of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// How long the whole file is.
    total: Option<u64>,
    /// Its strong `ETag`.
    etag: Option<String>,
    /// How many bytes are there.
    length: u64,
    /// Their SHA-256.
    sha256: String,
    /// Whether that is all.
    complete: bool,
}

/// A file that is being downloaded.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    state_path: PathBuf,
    file: File,
    hasher: Sha256,
    state: State,
    unsaved: u64,
    /// Whether the bytes did not come in one piece.
    joined: bool,
}

impl Part {
    /// Takes up what an earlier process left in `dir`, or begins.
    pub(super) fn open(dir: &Path, name: &str, hooks: Hooks<'_>) -> Result<Self> {
        let path = dir.join(format!("{name}.part"));
        let state_path = dir.join(format!("{name}.part.json"));
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| cannot_write(&path.display().to_string(), error))?;
        let state = fs::read(&state_path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut part =
            Self { path, state_path, file, hasher: Sha256::new(), state: State::default(), unsaved: 0, joined: true };
        if let Some(state) = state
            && part.holds(&state, hooks)?
        {
            part.state = state;
            part.cut().map_err(|error| part.cannot_write(&error))?;
        } else {
            part.restart()?;
        }
        Ok(part)
    }

    /// Whether the bytes on the disk are those that were written down; then they are in the hasher.
    fn holds(&mut self, state: &State, hooks: Hooks<'_>) -> Result<bool> {
        let mut input = (&self.file).take(state.length);
        let mut buffer = vec![0; 1 << 20];
        loop {
            if (hooks.cancelled)() {
                return Err(Error::cancelled());
            }
            let filled = fill(&mut input, &mut buffer)
                .map_err(|error| Error::io(format!("cannot read `{}`", self.path.display()), error))?;
            if filled == 0 {
                return Ok(input.limit() == 0 && hex(&self.hasher.clone().finalize()) == state.sha256);
            }
            self.hasher.update(&buffer[..filled]);
        }
    }

    /// Removes what lies behind the bytes that count.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.state.length)?;
        self.file.seek(SeekFrom::Start(self.state.length)).map(drop)
    }

    fn cannot_write(&self, error: &io::Error) -> Error {
        cannot_write(&self.path.display().to_string(), error)
    }

    /// Forgets all bytes.
    pub(super) fn restart(&mut self) -> Result<()> {
        (self.state, self.hasher, self.unsaved, self.joined) = (State::default(), Sha256::new(), 0, false);
        self.cut().map_err(|error| self.cannot_write(&error))
    }

    /// Begins a file of which the server says this.
    pub(super) fn begin(&mut self, total: Option<u64>, etag: Option<String>) -> Result<()> {
        self.restart()?;
        (self.state.total, self.state.etag) = (total, etag);
        Ok(())
    }

    /// How many bytes are there.
    pub(super) fn length(&self) -> u64 {
        self.state.length
    }

    /// How long the whole file is, as far as the server said.
    pub(super) fn total(&self) -> Option<u64> {
        self.state.total
    }

    pub(super) fn etag(&self) -> Option<&str> {
        self.state.etag.as_deref()
    }

    /// Notes that what follows comes from another response than what is there.
    pub(super) fn join(&mut self) {
        self.joined = true;
    }

    /// Whether the bytes did not come in one piece, and so may be of two versions of the file.
    pub(super) fn is_joined(&self) -> bool {
        self.joined
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state.complete
    }

    /// The SHA-256 of the bytes that are there.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds bytes at the end.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.cannot_write(&error))?;
        self.hasher.update(bytes);
        self.state.length += bytes.len() as u64;
        self.unsaved += bytes.len() as u64;
        if self.unsaved >= SAVE_EVERY { self.save() } else { Ok(()) }
    }

    /// Marks the file as all there.
    pub(super) fn complete(&mut self) -> Result<()> {
        self.state.complete = true;
        self.save()
    }

    /// Brings the bytes to the disk, and then writes down how many they are.
    pub(super) fn save(&mut self) -> Result<()> {
        self.state.sha256 = self.sha256();
        self.unsaved = 0;
        let saved = || -> io::Result<()> {
            self.file.sync_data()?;
            let next = self.state_path.with_extension("next");
            fs::write(&next, serde_json::to_vec(&self.state)?)?;
            fs::rename(&next, &self.state_path)
        };
        saved().map_err(|error| self.cannot_write(&error))
    }

    /// Removes it, with all that is known of it.
    pub(super) fn discard(self) {
        // What is left would only take space until the stage has run.
        let _ = fs::remove_file(&self.state_path);
        let _ = fs::remove_file(&self.path);
    }
}
