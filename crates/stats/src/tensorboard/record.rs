//! Records of TensorFlow's TFRecord format.

use crc::CRC_32_ISCSI;
use crc::Crc;

const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// A record: length (8 bytes, little-endian), masked checksum of the length, `data`, masked checksum of `data`.
///
/// Source: TensorFlow, "TFRecord and tf.train.Example", section "TFRecords format details".
pub fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked(data).to_le_bytes());
    record
}

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4), rotated right by 15 bits and moved by a constant, so that a checksum of
/// bytes with checksums in them stays useful.
fn masked(data: &[u8]) -> u32 {
    CRC32C.checksum(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        // RFC 3720, appendix B.4, "CRC Examples"; the bytes there are in the order of transmission, so little-endian.
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        let read: [u8; 48] = [
            0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        ];
        let cases: [(&[u8], [u8; 4]); 5] = [
            (&[0; 32], [0xaa, 0x36, 0x91, 0x8a]),
            (&[0xff; 32], [0x43, 0xab, 0xa8, 0x62]),
            (&ascending, [0x4e, 0x79, 0xdd, 0x46]),
            (&descending, [0x5c, 0xdb, 0x3f, 0x11]),
            (&read, [0x56, 0x3a, 0x96, 0xd9]),
        ];
        for (data, want) in cases {
            assert_eq!(CRC32C.checksum(data).to_le_bytes(), want);
        }
    }

    #[test]
    fn an_empty_record_is_sixteen_bytes() {
        // CRC-32C of nothing is 0, so its mask is the constant alone.
        let record = frame(&[]);
        assert_eq!(record.len(), 16);
        assert_eq!(record[12..], 0xa282_ead8u32.to_le_bytes());
    }
}
