//! `Event` messages, encoded by hand: of `event.proto` and `summary.proto`, five fields are needed.
//!
//! Fields are written in the order of their numbers and zeros are left out, so the bytes are those of Google's
//! serialiser.

/// The version that TensorBoard expects in the first record.
pub const FILE_VERSION: &str = "brain.Event:2";

// Wire types of the protocol buffers' encoding.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// An event that is being encoded: `wall_time = 1`, `step = 2` and one of `file_version = 3`, `summary = 5`,
/// `session_log = 7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    bytes: Vec<u8>,
}

impl Event {
    /// An event at `step` and `wall_time`, in seconds since 1970, that says nothing yet.
    pub fn new(step: i64, wall_time: f64) -> Self {
        let mut bytes = Vec::new();
        // Only +0 is the default that is left out; the serialiser goes by bits.
        if wall_time.to_bits() != 0 {
            bytes.push(key(1, FIXED64));
            bytes.extend_from_slice(&wall_time.to_le_bytes());
        }
        if step != 0 {
            bytes.push(key(2, VARINT));
            varint(step as u64, &mut bytes);
        }
        Self { bytes }
    }

    /// The version of the file.
    #[must_use]
    pub fn file_version(mut self, version: &str) -> Self {
        field(3, version.as_bytes(), &mut self.bytes);
        self
    }

    /// Scalars: `Summary { value = 1: Value { tag = 1, simple_value = 2 } }`. Values are rounded to 32 bits, and every NaN
    /// is the same one.
    #[must_use]
    pub fn summary(mut self, values: &[(&str, f64)]) -> Self {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut message = Vec::new();
            field(1, tag.as_bytes(), &mut message);
            message.push(key(2, FIXED32));
            let value = if value.is_nan() { f32::NAN } else { *value as f32 };
            message.extend_from_slice(&value.to_le_bytes());
            field(1, &message, &mut summary);
        }
        field(5, &summary, &mut self.bytes);
        self
    }

    /// The start of a session: `SessionLog { status = 1: START }`.
    #[must_use]
    pub fn session_start(mut self) -> Self {
        const START: u8 = 1;
        field(7, &[key(1, VARINT), START], &mut self.bytes);
        self
    }

    /// The encoded message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Number and wire type of a field below 16.
fn key(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

/// A field with a length.
fn field(number: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(key(number, BYTES));
    varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

/// Seven bits a byte, the lowest first; negative numbers take ten bytes.
fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_guides_example_of_a_varint() {
        // Protocol buffers' "Encoding" guide: 150 is 96 01.
        let mut bytes = Vec::new();
        varint(150, &mut bytes);
        assert_eq!(bytes, [0x96, 0x01]);
    }

    #[test]
    fn zeros_of_the_event_are_left_out_and_a_zero_value_is_not() {
        let event = Event::new(0, 0.0).summary(&[("a", 0.0)]);
        assert_eq!(event.into_bytes(), [0x2a, 10, 0x0a, 8, 0x0a, 1, b'a', 0x15, 0, 0, 0, 0]);
    }
}
