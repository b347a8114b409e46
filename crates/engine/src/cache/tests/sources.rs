use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cache::{SourceDigest, Trust};

use super::*;

fn said(store: &Store, path: &Path) -> String {
    let error = store.digest_source(path).unwrap_err();
    assert!(error.is_users(), "{error}");
    assert!(error.help().is_some());
    error.to_string().replace(&path.display().to_string(), "PATH")
}

#[test]
fn a_source_is_its_content_whatever_it_is_called() {
    let (dir, store) = new_store();
    let (a, b, link) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("link"));
    fs::write(&a, "ratings").unwrap();
    fs::write(&b, "ratings").unwrap();
    std::os::unix::fs::symlink("a", &link).unwrap();
    let expected = SourceDigest { digest: Digest::of(b"ratings"), size: 7 };
    for path in [&a, &b, &link, &dir.path().join("./x/../a").clone()] {
        fs::create_dir_all(dir.path().join("x")).unwrap();
        assert_eq!(store.digest_source(path).unwrap(), expected);
    }
    fs::write(&a, "ratinGs").unwrap();
    assert_eq!(store.digest_source(&link).unwrap().digest, Digest::of(b"ratinGs"));
}

#[test]
fn a_source_is_read_again_only_if_something_about_it_changed() {
    let (dir, store) = new_store();
    let path = dir.path().join("a");
    fs::write(&path, "ratings").unwrap();
    set_old(&path);
    let first = store.digest_source(&path).unwrap();
    assert_eq!(store.digest_source(&path).unwrap(), first);

    // Other bytes of the same length, with the old time of writing.
    let old = fs::metadata(&path).unwrap().modified().unwrap();
    next_tick(&path);
    fs::write(&path, "ratinGs").unwrap();
    File::open(&path).unwrap().set_modified(old).unwrap();
    assert_eq!(store.digest_source(&path).unwrap().digest, Digest::of(b"ratinGs"));

    // Another file in its place, with the old time of writing.
    let other = dir.path().join("other");
    fs::write(&other, "rAtings").unwrap();
    File::open(&other).unwrap().set_modified(old).unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(store.digest_source(&path).unwrap().digest, Digest::of(b"rAtings"));
}

/// All within one tick of the file system's clock, more often than not: no time tells the two contents apart.
#[test]
fn a_source_that_hides_its_time_is_read_again_however_fast_it_changes() {
    let (dir, store) = new_store();
    let path = dir.path().join("a");
    for round in 0..50 {
        let [first, second] = [format!("ratings {round:2}"), format!("ratinGs {round:2}")];
        for text in [first, second] {
            fs::write(&path, &text).unwrap();
            File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(store.digest_source(&path).unwrap().digest, Digest::of(text.as_bytes()));
        }
    }
}

#[test]
fn a_link_that_is_turned_elsewhere_is_another_source() {
    let (dir, store) = new_store();
    let link = dir.path().join("link");
    for (name, bytes) in [("a", "one"), ("b", "two")] {
        fs::write(dir.path().join(name), bytes).unwrap();
        set_old(&dir.path().join(name));
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(name, &link).unwrap();
        assert_eq!(store.digest_source(&link).unwrap().digest, Digest::of(bytes.as_bytes()));
    }
}

#[test]
fn what_cannot_be_a_source_is_refused_in_words() {
    let (dir, store) = new_store();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("dir")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    std::os::unix::fs::symlink("loop", at("loop")).unwrap();
    fs::write(at("file"), "x").unwrap();
    assert_eq!(said(&store, &at("none")), "input `PATH` does not exist");
    assert_eq!(said(&store, &at("dir")), "input `PATH` is a directory, not a file");
    assert_eq!(said(&store, &at("pipe")), "input `PATH` is a named pipe, not a file");
    assert_eq!(said(&store, Path::new("/dev/zero")), "input `PATH` is a device, not a file");
    assert_eq!(said(&store, &at("dangling")), "input `PATH` is a symbolic link that leads nowhere");
    assert_eq!(said(&store, &at("loop")), "input `PATH` is a symbolic link that leads to itself");
    assert_eq!(said(&store, &at("file/below")), "input `PATH` does not exist: a part of the path is not a directory");
    assert!(said(&store, Path::new("nul\0")).contains("cannot be read"));
    assert_eq!(store.digest_source(Path::new("")).unwrap_err().to_string(), "input `` does not exist");
    assert!(said(&store, &at(&"x".repeat(300))).contains("cannot be read"));
}

#[test]
fn a_source_that_changes_while_it_is_read_is_refused() {
    let (dir, store) = new_store();
    let path = dir.path().join("growing");
    fs::write(&path, vec![1u8; 8 << 20]).unwrap();
    let (stop, writing) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::options().append(true).open(&path).unwrap();
            while !stop.load(Ordering::SeqCst) {
                file.write_all(b"more").unwrap();
                writing.store(true, Ordering::SeqCst);
            }
        });
        while !writing.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        // The writer may have to wait for a processor now and then.
        let refused = (0..1000).any(|_| {
            let found = store.digest_source(&path);
            found.is_err_and(|error| error.to_string().ends_with("changed while it was being read"))
        });
        stop.store(true, Ordering::SeqCst);
        assert!(refused);
    });
    store.digest_source(&path).unwrap();
}

#[test]
fn hashing_a_large_file_stops_when_asked() {
    let (dir, store) = new_store();
    let path = dir.path().join("a");
    // A gigabyte of nothing, which takes longer to hash than what is asked of it here.
    File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let asked = std::cell::Cell::new(0);
    let stop = || asked.replace(asked.get() + 1) == 3;
    assert!(matches!(store.digest_source_until(&path, &stop), Err(StoreError::Cancelled)));
    assert_eq!(asked.get(), 4, "three pieces were read");
}

#[test]
fn checking_a_large_stored_file_stops_when_asked_and_finds_nothing_wrong_then() {
    let (_dir, store) = new_store();
    let manifest = put(&store, 1, &[("f", &vec![0; 64 << 20])]);
    let asked = std::cell::Cell::new(0);
    let stop = || asked.replace(asked.get() + 1) == 3;
    assert!(matches!(store.check_until(&manifest, Trust::Always, &stop), Err(StoreError::Cancelled)));
    assert_eq!(asked.get(), 4, "three pieces were read");
    assert_eq!(store.check(&manifest, Trust::Always), Ok(()), "it was not moved away");
}
