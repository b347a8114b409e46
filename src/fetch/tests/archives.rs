//! Archives, made by hand, field by field (APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16).

use std::io::Write;

use crate::fetch::{Archive, Copied, Error, Hooks, Kind, Result, SIZE_LIMIT};

/// A member of a hand-made archive.
#[derive(Clone)]
struct Member {
    name: String,
    method: u16,
    flags: u16,
    /// Of the file when it is unpacked, as the archive says.
    size: u32,
    crc: u32,
    packed: Vec<u8>,
    /// The upper half is the mode of Unix.
    attributes: u32,
}

/// CRC-32 of `bytes`, bit by bit (APPNOTE 4.4.7).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

fn stored(name: &str, bytes: &[u8]) -> Member {
    Member {
        name: name.to_owned(),
        method: 0,
        flags: 0,
        size: bytes.len() as u32,
        crc: crc32(bytes),
        packed: bytes.to_vec(),
        attributes: 0o100_644 << 16,
    }
}

/// So many MiB of zeros, deflated to a thousandth.
fn zeros(name: &str, mib: usize) -> Member {
    Member { name: name.to_owned(), ..zip_of(&vec![0; mib << 20]) }
}

/// The bytes deflated by the library that the reader comes with, cut out of an archive that it wrote.
fn zip_of(bytes: &[u8]) -> Member {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    writer.start_file("x", options).unwrap();
    writer.write_all(bytes).unwrap();
    let mut archive = zip::ZipArchive::new(writer.finish().unwrap()).unwrap();
    let mut packed = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_index_raw(0).unwrap(), &mut packed).unwrap();
    Member { method: 8, packed, ..stored("x", bytes) }
}

fn archive(members: &[Member]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let offset = out.len() as u32;
        let mut shared = Vec::new();
        for word in [20, member.flags, member.method, 0, 0x21] {
            shared.extend(u16::to_le_bytes(word));
        }
        for word in [member.crc, member.packed.len() as u32, member.size] {
            shared.extend(word.to_le_bytes());
        }
        shared.extend((member.name.len() as u16).to_le_bytes());
        shared.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&shared);
        out.extend(member.name.as_bytes());
        out.extend(&member.packed);
        directory.extend(b"PK\x01\x02\x1e\x03");
        directory.extend(&shared);
        // Comment, disk and internal attributes.
        directory.extend([0; 6]);
        directory.extend(member.attributes.to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(member.name.as_bytes());
    }
    let start = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([members.len() as u16; 2].map(u16::to_le_bytes).concat());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// Unpacks members one after the other from an archive of these bytes.
fn unpack(bytes: &[u8], members: &[&str], limit: u64) -> Result<Vec<(Vec<u8>, Copied)>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut archive = Archive::open(file.path(), "a.zip", limit)?;
    let mut unpacked = Vec::new();
    for member in members {
        let mut out = Vec::new();
        let copied = archive.extract(member, &mut out, Hooks::NONE)?;
        unpacked.push((out, copied));
    }
    Ok(unpacked)
}

#[track_caller]
fn refused(members: &[Member], wanted: &str, words: &[&str]) -> Error {
    let error = unpack(&archive(members), &[wanted], SIZE_LIMIT).unwrap_err();
    assert_eq!(error.kind, Kind::Data, "{error}");
    for word in words {
        assert!(error.message.contains(word), "`{word}` is missing in: {error}");
    }
    error
}

#[test]
fn named_members_come_out_with_their_digests() {
    let text = b"1\t2\t3\t4\n".repeat(10_000);
    let bytes = archive(&[stored("a/README", b"read me\n"), Member { name: "a/u.data".to_owned(), ..zip_of(&text) }]);
    let unpacked = unpack(&bytes, &["a/u.data", "a/README"], SIZE_LIMIT).unwrap();
    assert_eq!((unpacked[0].0.as_slice(), unpacked[1].0.as_slice()), (text.as_slice(), &b"read me\n"[..]));
    // `printf 'read me\n' | sha256sum`
    assert_eq!(
        unpacked[1].1,
        Copied { size: 8, sha256: "65ce01fcc3e22e78b63419ef0f4493b0950daac7cee97329b428f5cafd395cda".to_owned() }
    );
}

#[test]
fn a_member_that_is_not_there_is_an_error_with_those_that_are() {
    let error = refused(&[stored("a/u.data", b"x"), stored("a/", b"")], "u.data", &["no member `u.data`"]);
    assert_eq!(error.help.unwrap(), "its files: `a/u.data`");
    // Case and separators are not guessed at.
    refused(&[stored("a/u.data", b"x")], "A/u.data", &["no member"]);
}

#[test]
fn names_that_lead_elsewhere_are_never_unpacked() {
    for name in ["../u.data", "/etc/passwd", "a/../../u.data", "a\\..\\u.data", "C:/u.data"] {
        refused(&[stored(name, b"x")], name, &["`"]);
        // Beside the member that is wanted, they do no harm.
        let bytes = archive(&[stored(name, b"x"), stored("u.data", b"good")]);
        assert_eq!(unpack(&bytes, &["u.data"], SIZE_LIMIT).unwrap()[0].0, b"good");
    }
}

#[test]
fn members_that_are_no_plain_files_are_refused() {
    let link = Member { attributes: 0o120_777 << 16, ..stored("u.data", b"/etc/passwd") };
    refused(&[link], "u.data", &["is a link"]);
    refused(&[stored("dir/", b"")], "dir/", &["is a directory"]);
    let encrypted = Member { flags: 1, ..stored("u.data", &[0; 20]) };
    refused(&[encrypted], "u.data", &["is encrypted"]);
    // Method 12 is bzip2.
    refused(&[Member { method: 12, ..stored("u.data", b"x") }], "u.data", &["compressed with"]);
    refused(&[stored("u.data", b"one"), stored("u.data", b"two")], "u.data", &["two members of the same name"]);
}

#[test]
fn bombs_and_lies_are_refused() {
    let bomb = zeros("u.data", 8);
    assert!(bomb.packed.len() < 10_000);
    refused(std::slice::from_ref(&bomb), "u.data", &["more than 200 times"]);
    // What says that it is small, and is not.
    refused(&[Member { size: 100, ..bomb }], "u.data", &["`u.data` in `a.zip`"]);
    refused(&[Member { size: 2, ..stored("u.data", b"xyz") }], "u.data", &["`u.data` in `a.zip`"]);
    refused(&[Member { size: 5, ..stored("u.data", b"xyz") }], "u.data", &["`u.data` in `a.zip`"]);
    refused(&[Member { crc: 1, ..stored("u.data", b"xyz") }], "u.data", &["is damaged"]);
    // Small files may be compressed as well as they like.
    assert_eq!(unpack(&archive(&[zeros("z", 1)]), &["z"], SIZE_LIMIT).unwrap()[0].0.len(), 1 << 20);
}

#[test]
fn the_limit_is_for_all_members_together() {
    let bytes = archive(&[stored("a", &[1; 60]), stored("b", &[2; 60])]);
    assert!(unpack(&bytes, &["a"], 60).is_ok() && unpack(&bytes, &["a", "b"], 120).is_ok());
    for (members, limit) in [(&["a"][..], 59), (&["a", "b"], 119), (&["a", "a"], 119)] {
        let error = unpack(&bytes, members, limit).unwrap_err();
        assert!(error.message.contains("size_limit"), "{error}");
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let good = archive(&[stored("u.data", b"xyz")]);
    for bytes in [&b""[..], b"u.data", b"PK\x03\x04", &good[..good.len() - 5], &good[20..]] {
        let error = unpack(bytes, &["u.data"], SIZE_LIMIT).unwrap_err();
        assert_eq!(error.kind, Kind::Data, "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_archive_makes_the_reader_panic_or_write_more_than_it_may(
        edits in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 1..6),
    ) {
        let mut bytes = archive(&[zip_of(b"some text, some text, some text"), stored("u.data", b"xyz")]);
        for (place, byte) in edits {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        for member in ["x", "u.data"] {
            if let Ok(unpacked) = unpack(&bytes, &[member], 1000) {
                proptest::prop_assert!(unpacked[0].0.len() <= 1000);
            }
        }
    }
}
