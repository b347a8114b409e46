use std::os::unix::fs::FileExt;

use crate::cache::disk::Stat;
use crate::cache::{Trust, memo};

use super::*;

/// A stored stage whose file has been hashed long after it was written, so that its times are trusted.
fn settled(bytes: &[u8]) -> (TempDir, Store, Manifest, PathBuf) {
    let (dir, store) = new_store();
    let manifest = put(&store, 1, &[("a.bin", bytes)]);
    let blob = blobs(&store, &manifest).remove(0);
    set_old(&blob);
    assert_eq!(store.check(&manifest, Trust::Stat), Ok(()));
    assert!(is_trusted(&store, &blob));
    (dir, store, manifest, blob)
}

fn is_trusted(store: &Store, blob: &Path) -> bool {
    let stat = Stat::from(&fs::symlink_metadata(blob).unwrap()).anywhere();
    let digest = Digest::parse(&blob.file_name().unwrap().to_string_lossy()).unwrap();
    store.memo(|memo| memo.recall(&memo::blob(&digest), stat)).is_some()
}

fn words(result: Result<(), Vec<crate::cache::Damage>>) -> Vec<String> {
    result.unwrap_err().iter().map(|damage| format!("{}: {}", damage.file, damage.what)).collect()
}

/// Pseudo-random numbers, so that the places differ but are the same in every run.
fn places(count: usize, below: usize) -> impl Iterator<Item = usize> {
    let mut state = 1u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    })
    .take(count)
}

/// Flips one bit of a file in place.
fn flip(path: &Path, bit: usize) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit as u64 / 8).unwrap();
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, bit as u64 / 8).unwrap();
}

#[test]
fn each_of_1000_bit_flips_is_found_with_either_trust_and_moved_away() {
    let bytes: Vec<u8> = (0..20_000u32).map(|n| ((n * n) >> 5) as u8).collect();
    for trust in [Trust::Always, Trust::Stat] {
        let (_dir, store, manifest, blob) = settled(&bytes);
        let moved = store.dir().join("bad").join(format!("{}.1", Digest::of(&bytes)));
        for bit in places(1000, bytes.len() * 8) {
            flip(&blob, bit);
            assert_eq!(words(store.check(&manifest, trust)), ["a.bin: content changed"], "bit {bit}");
            assert!(!blob.exists());
            fs::rename(&moved, &blob).unwrap();
            flip(&blob, bit);
            set_old(&blob);
            assert_eq!(store.check(&manifest, trust), Ok(()));
            assert!(is_trusted(&store, &blob));
        }
    }
}

/// As `touch -r` or a careful editor does: size and time of writing are the same, only the time of change tells.
#[test]
fn a_change_that_hides_its_time_is_found() {
    let (_dir, store, manifest, blob) = settled(b"some bytes");
    for _ in 0..20 {
        let old = fs::metadata(&blob).unwrap().modified().unwrap();
        next_tick(&blob);
        overwrite(&blob, b"Some bytes");
        File::open(&blob).unwrap().set_modified(old).unwrap();
        assert_eq!(words(store.check(&manifest, Trust::Stat)), ["a.bin: content changed"]);
        fs::write(&blob, b"some bytes").unwrap();
        set_old(&blob);
        assert_eq!(store.check(&manifest, Trust::Stat), Ok(()));
    }
}

#[test]
fn truncation_growth_and_loss_are_found_and_named() {
    let bytes = vec![7u8; 1000];
    for trust in [Trust::Always, Trust::Stat] {
        for length in [0, 1, 500, 999, 1001] {
            let (_dir, store, manifest, blob) = settled(&bytes);
            overwrite(&blob, &vec![7u8; length]);
            let expected = format!("a.bin: size {length} instead of 1000");
            assert_eq!(words(store.check(&manifest, trust)), [expected]);
            assert_eq!(words(store.check(&manifest, trust)), ["a.bin: missing"]);
        }
        let (_dir, store, manifest, blob) = settled(&bytes);
        fs::remove_dir_all(blob.parent().unwrap()).unwrap();
        assert_eq!(words(store.check(&manifest, trust)), ["a.bin: missing"]);
    }
}

type Make = fn(&Path);

#[test]
fn what_is_no_regular_file_is_found_without_opening_it() {
    let makes: [Make; 3] = [
        |path| fs::create_dir(path).unwrap(),
        |path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()),
        |path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap(),
    ];
    for make in makes {
        let (_dir, store, manifest, blob) = settled(b"bytes");
        fs::remove_file(&blob).unwrap();
        make(&blob);
        assert_eq!(words(store.check(&manifest, Trust::Stat)), ["a.bin: not a regular file"]);
        assert!(fs::symlink_metadata(&blob).is_err());
    }
}

#[test]
fn exchanged_files_are_found() {
    let (_dir, store) = new_store();
    let manifest = put(&store, 1, &[("a.bin", b"first"), ("b.bin", b"other")]);
    let paths = blobs(&store, &manifest);
    for path in &paths {
        set_old(path);
    }
    assert_eq!(store.check(&manifest, Trust::Stat), Ok(()));
    let aside = store.dir().join("aside");
    fs::rename(&paths[0], &aside).unwrap();
    fs::rename(&paths[1], &paths[0]).unwrap();
    fs::rename(&aside, &paths[1]).unwrap();
    assert_eq!(words(store.check(&manifest, Trust::Stat)), ["a.bin: content changed", "b.bin: content changed"]);
}

#[test]
fn times_are_trusted_by_stat_and_not_by_always() {
    let (_dir, store, manifest, blob) = settled(b"bytes");
    overwrite(&blob, b"bytEs");
    set_old(&blob);
    let stat = Stat::from(&fs::metadata(&blob).unwrap()).anywhere();
    store.memo(|memo| memo.remember(&memo::blob(&Digest::of(b"bytes")), stat, Digest::of(b"bytes")));
    assert_eq!(store.check(&manifest, Trust::Stat), Ok(()), "not hashed");
    assert_eq!(words(store.check(&manifest, Trust::Always)), ["a.bin: content changed"]);
}

#[test]
fn what_was_hashed_is_known_to_the_next_process_and_garbage_is_not() {
    let (_dir, store, manifest, blob) = settled(b"bytes");
    let dir = store.dir().to_owned();
    drop(store);
    let store = Store::open(&dir).unwrap();
    assert!(is_trusted(&store, &blob));
    drop(store);
    let memo = dir.join("stat/memo");
    let mut bytes = fs::read(&memo).unwrap();
    bytes[40] ^= 1;
    for garbage in [bytes, b"garbage".to_vec(), vec![]] {
        fs::write(&memo, garbage).unwrap();
        let store = Store::open(&dir).unwrap();
        assert!(!is_trusted(&store, &blob));
        assert_eq!(store.check(&manifest, Trust::Stat), Ok(()));
        drop(store);
        assert!(is_trusted(&Store::open(&dir).unwrap(), &blob), "mended");
    }
}

#[test]
fn clocks_that_are_wrong_make_files_be_hashed_and_nothing_else() {
    let (_dir, store, manifest, blob) = settled(b"bytes");
    let year = Duration::from_hours(365 * 24);
    for (time, trusted) in [
        (SystemTime::now() + 70 * year, false),
        (SystemTime::now(), false),
        (SystemTime::UNIX_EPOCH, true),
        (SystemTime::UNIX_EPOCH - 20 * year, true),
    ] {
        File::open(&blob).unwrap().set_modified(time).unwrap();
        assert!(!is_trusted(&store, &blob));
        assert_eq!(store.check(&manifest, Trust::Stat), Ok(()));
        assert_eq!(is_trusted(&store, &blob), trusted);
    }
    overwrite(&blob, b"bytEs");
    File::open(&blob).unwrap().set_modified(SystemTime::now() + year).unwrap();
    assert_eq!(words(store.check(&manifest, Trust::Stat)), ["a.bin: content changed"]);
}

#[test]
fn every_flip_and_cut_of_a_manifest_is_a_miss_or_means_the_same() {
    let (_dir, store) = new_store();
    let manifest = put(&store, 1, &[("a.bin", b"bytes")]);
    let path = store.manifest_path(&key(1));
    let good = fs::read(&path).unwrap();
    let judge = |bytes: &[u8]| match Manifest::parse(bytes, &key(1)) {
        Ok(read) => assert_eq!(read, manifest),
        Err(reason) => assert!(reason.starts_with("it ") || reason.starts_with("its "), "{reason}"),
    };
    for at in 0..good.len() {
        judge(&good[..at]);
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            judge(&bad);
        }
    }
    for length in [0, 1, good.len() / 2, good.len() - 2] {
        fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(store.lookup(&key(1)), Lookup::Invalid { .. }));
    }
}

#[test]
fn a_manifest_under_another_key_is_a_miss() {
    let (_dir, store) = new_store();
    put(&store, 1, &[("a.bin", b"one")]);
    put(&store, 2, &[("a.bin", b"two")]);
    fs::copy(store.manifest_path(&key(1)), store.manifest_path(&key(2))).unwrap();
    let Lookup::Invalid { reason } = store.lookup(&key(2)) else { panic!() };
    assert_eq!(reason, format!("it belongs to key `{}`", key(1)));
}

#[test]
fn a_full_check_reports_and_repairs() {
    let (_dir, store) = new_store();
    let good = put(&store, 1, &[("a.bin", b"good")]);
    let flipped = put(&store, 2, &[("a.bin", b"flipped"), ("b.bin", b"good")]);
    let lost = put(&store, 3, &[("a.bin", b"lost")]);
    put(&store, 4, &[("a.bin", b"good")]);
    assert_eq!(store.verify_all(false).unwrap().damage, []);
    overwrite(&store.blob_path(&Digest::of(b"flipped")), b"flippeD");
    fs::remove_file(&blobs(&store, &lost)[0]).unwrap();
    fs::write(store.manifest_path(&key(4)), "{}").unwrap();
    let found = store.verify_all(false).unwrap();
    let mut what: Vec<_> = found.damage.iter().map(|damage| damage.what.as_str()).collect();
    what.sort_unstable();
    assert_eq!(what, ["content changed", "it has no `schema`", "missing"]);
    assert_eq!((found.manifests, found.blobs, found.bytes, found.moved), (4, 2, 11, 0));
    assert_eq!(found.stages, ["p/toy", "p/toy"]);
    assert_eq!(store.verify_all(false).unwrap(), found, "nothing was moved");
    let repaired = store.verify_all(true).unwrap();
    assert_eq!(repaired.moved, 4);
    let clean = store.verify_all(false).unwrap();
    assert_eq!((clean.damage.len(), clean.manifests, clean.blobs), (0, 1, 1));
    assert_eq!(store.check(&good, Trust::Always), Ok(()));
    assert_eq!(store.lookup(&flipped.key), Lookup::Miss);
}

#[test]
fn a_manifest_that_lies_about_a_size_costs_its_own_stage_and_no_blob() {
    let (_dir, store) = new_store();
    let sound = put(&store, 1, &[("a.bin", b"shared")]);
    let mut forged = put(&store, 2, &[("a.bin", b"shared")]);
    let entry = FileEntry { digest: Digest::of(b"shared"), size: 0 };
    let outputs = OutputEntry::new("toy", BTreeMap::from([("a.bin".to_owned(), entry)]));
    forged.outputs = BTreeMap::from([("out".to_owned(), outputs)]);
    forged.seal();
    assert_eq!(words(store.check(&forged, Trust::Stat)), ["a.bin: size 6 instead of 0"]);
    assert_eq!(store.check(&sound, Trust::Always), Ok(()));
    // One that is cut is moved away as before.
    overwrite(&blobs(&store, &sound)[0], b"sha");
    assert_eq!(words(store.check(&sound, Trust::Stat)), ["a.bin: size 3 instead of 6"]);
    assert!(!blobs(&store, &sound)[0].exists());
}
