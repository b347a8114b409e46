//! Copies bytes, and counts and hashes them on the way.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use crate::fetch::{Error, Hooks, Result};

/// Large enough for the other end to hash with several threads.
const BUFFER: usize = 1 << 20;

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// How many bytes.
    pub size: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Why a copy ended early.
pub(super) enum Stopped {
    Cancelled,
    Reading(io::Error),
    Writing(io::Error),
    /// There is more than the limit.
    TooLong,
}

/// Copies all of `input`, which messages call `name`, if it has no more than `limit` bytes.
///
/// # Errors
/// When it is longer, or reading or writing fails, or the caller asks to stop.
pub fn copy(name: &str, input: impl Read, out: impl Write, limit: u64, hooks: Hooks<'_>) -> Result<Copied> {
    copy_bounded(input, out, limit, hooks).map_err(|stopped| match stopped {
        Stopped::Cancelled => Error::cancelled(),
        Stopped::Reading(error) => Error::io(format!("cannot read `{name}`"), error),
        Stopped::Writing(error) => cannot_write(name, error),
        Stopped::TooLong => too_long(name, limit),
    })
}

pub(super) fn cannot_write(name: &str, error: impl std::fmt::Display) -> Error {
    Error::io(format!("cannot write `{name}`"), error)
        .help("free some space, or put the store elsewhere with `--store DIR`")
}

pub(super) fn too_long(name: &str, limit: u64) -> Error {
    Error::data(format!("`{name}` has more than {limit} bytes, its `size_limit`"))
        .help("raise `size_limit` if the file is meant to be that large")
}

pub(super) fn copy_bounded(
    mut input: impl Read,
    mut out: impl Write,
    limit: u64,
    hooks: Hooks<'_>,
) -> Result<Copied, Stopped> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0_u64;
    loop {
        if (hooks.cancelled)() {
            return Err(Stopped::Cancelled);
        }
        let filled = fill(&mut input, &mut buffer).map_err(Stopped::Reading)?;
        if filled == 0 {
            return Ok(Copied { size, sha256: hex(&hasher.finalize()) });
        }
        size += filled as u64;
        if size > limit {
            return Err(Stopped::TooLong);
        }
        hasher.update(&buffer[..filled]);
        out.write_all(&buffer[..filled]).map_err(Stopped::Writing)?;
        (hooks.advance)(filled as u64);
    }
}

/// Reads until the buffer is full or the input ends.
pub(super) fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
