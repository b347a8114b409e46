//! Digests of contents.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Read in pieces of this many bytes, so that hashing runs on all cores.
const PIECE: u64 = 4 << 20;

/// BLAKE3 of some bytes. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Reads exactly 64 lower-case hexadecimal digits; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        blake3::Hash::from_hex(text).ok().map(|hash| Self(*hash.as_bytes()))
    }

    pub(super) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first two digits, which name the directory that the content lies in.
    pub(super) fn shard(&self) -> String {
        format!("{:02x}", self.0[0])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a digest is 64 lower-case hexadecimal digits"))
    }
}

/// Hashes a file from where it stands to its end. `size` is how long it is thought to be. Returns the digest and the
/// number of bytes read.
pub(super) fn hash_file(file: &mut File, size: u64) -> io::Result<(Digest, u64)> {
    // Nobody stops it.
    hash_file_until(file, size, &|| false)?.ok_or_else(|| io::ErrorKind::Other.into())
}

/// As [`hash_file`], but gives up when `cancelled`, which is asked every few megabytes.
pub(super) fn hash_file_until(
    file: &mut File,
    size: u64,
    cancelled: &dyn Fn() -> bool,
) -> io::Result<Option<(Digest, u64)>> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; size.clamp(4096, PIECE) as usize];
    let mut total = 0;
    while !cancelled() {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some((Digest(*hasher.finalize().as_bytes()), total))),
            Ok(n) => {
                // Small pieces would pay more for the thread pool than they gain.
                if n >= 1 << 20 {
                    hasher.update_rayon(&buffer[..n]);
                } else {
                    hasher.update(&buffer[..n]);
                }
                total += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_blake3_test_vectors() {
        // https://github.com/BLAKE3-team/BLAKE3/blob/master/test_vectors/test_vectors.json, input_len 0.
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(Digest::parse(empty), Some(Digest::of(b"")));
    }

    #[test]
    fn only_64_lower_case_hex_digits_are_a_digest() {
        let good = Digest::of(b"x").to_string();
        for bad in [
            String::new(),
            good[..63].to_owned(),
            format!("{good}0"),
            good.to_uppercase(),
            format!("../{}", &good[3..]),
            format!("{}\u{e9}", &good[2..]),
            format!(" {}", &good[1..]),
        ] {
            assert_eq!(Digest::parse(&bad), None, "{bad}");
            assert!(serde_json::from_value::<Digest>(bad.into()).is_err());
        }
    }

    #[test]
    fn a_file_hashes_as_its_bytes_whatever_its_length_was_thought_to_be() {
        let bytes: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, &bytes).unwrap();
        for size in [0, 1, 4096, 5_000_000, u64::MAX] {
            let got = hash_file(&mut File::open(&path).unwrap(), size).unwrap();
            assert_eq!(got, (Digest::of(&bytes), 5_000_000));
        }
    }
}
