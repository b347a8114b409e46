use crate::cache::{Options, Trust};

use super::*;

#[test]
fn a_stage_is_visible_when_published_and_not_before() {
    let (_dir, store) = new_store();
    assert_eq!(store.lookup(&key(1)), Lookup::Miss);
    assert!(!store.dir().exists(), "looking creates nothing");
    let work = store.begin(acquire(&store, 1), None).unwrap();
    fs::write(work.out().join("a.txt"), "bytes").unwrap();
    assert_eq!(store.lookup(&key(1)), Lookup::Miss);
    let published = work.publish(described(1, "toy", &[("a.txt", b"bytes")])).unwrap();
    let found = hit(&store, 1);
    assert_eq!(found, published);
    assert_eq!(store.check(&found, Trust::Always), Ok(()));
    let blob = store.blob_path(&Digest::of(b"bytes"));
    assert_eq!(fs::read(&blob).unwrap(), b"bytes");
    assert_eq!(fs::metadata(&blob).unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(fs::read_dir(store.dir().join("tmp")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(store.dir().join("scratch")).unwrap().count(), 0);
}

#[test]
fn a_stage_that_fails_leaves_nothing_but_its_scratch() {
    let (_dir, store) = new_store();
    let work = store.begin(acquire(&store, 1), None).unwrap();
    fs::write(work.out().join("a.txt"), "half").unwrap();
    fs::write(work.scratch().join("checkpoint"), "epoch 3").unwrap();
    drop(work);
    assert_eq!(store.lookup(&key(1)), Lookup::Miss);
    assert_eq!(fs::read_dir(store.dir().join("tmp")).unwrap().count(), 0);
    let again = store.begin(acquire(&store, 1), None).unwrap();
    assert_eq!(fs::read(again.scratch().join("checkpoint")).unwrap(), b"epoch 3");
    assert_eq!(fs::read_dir(again.out()).unwrap().count(), 0);
}

#[test]
fn without_a_lock_the_scratch_is_not_shared() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(dir.path(), Options { locks: false, ..Options::default() }).unwrap();
    let (a, b) = (store.begin(acquire(&store, 1), None).unwrap(), store.begin(acquire(&store, 1), None).unwrap());
    assert_ne!(a.scratch(), b.scratch());
    assert_ne!(a.out(), b.out());
}

#[test]
fn what_does_not_match_its_manifest_is_not_published() {
    let (_dir, store) = new_store();
    let attempt = |write: &dyn Fn(&Path), manifest: Manifest| {
        let work = store.begin(acquire(&store, 1), None).unwrap();
        write(work.out());
        let error = work.publish(manifest).unwrap_err();
        assert_eq!(store.lookup(&key(1)), Lookup::Miss);
        error.to_string()
    };
    let manifest = || described(1, "toy", &[("a.txt", b"bytes")]);
    assert!(attempt(&|_| {}, manifest()).contains("cannot open"));
    assert!(attempt(&|out| fs::write(out.join("a.txt"), "byte").unwrap(), manifest()).contains("4 bytes instead of 5"));
    assert!(attempt(&|out| fs::create_dir(out.join("a.txt")).unwrap(), manifest()).contains("not a regular file"));
    let link = |out: &Path| std::os::unix::fs::symlink("/etc/passwd", out.join("a.txt")).unwrap();
    assert!(attempt(&link, manifest()).contains("cannot open"));
    let good = |out: &Path| fs::write(out.join("a.txt"), "bytes").unwrap();
    assert!(attempt(&good, described(2, "toy", &[("a.txt", b"bytes")])).contains("belongs to key"));
    let named = described(1, "toy", &[("../a.txt", b"bytes")]);
    assert!(attempt(&good, named).contains("not a name for a stored file"));
}

#[test]
fn stages_with_the_same_content_share_it() {
    let (_dir, store) = new_store();
    put(&store, 1, &[("a.txt", b"same"), ("b.txt", b"same"), ("c.txt", b"")]);
    put(&store, 2, &[("x.txt", b"same")]);
    for n in [1, 2] {
        assert_eq!(store.check(&hit(&store, n), Trust::Always), Ok(()));
    }
    assert_eq!(store.du().blobs, 2);
    assert_eq!(store.du().blob_bytes, 4);
}

#[test]
fn many_threads_can_publish_the_same_key_with_and_without_locks() {
    for locks in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let stores: Vec<Store> =
            (0..4).map(|_| Store::open_with(dir.path(), Options { locks, ..Options::default() }).unwrap()).collect();
        let start = std::sync::Barrier::new(stores.len());
        std::thread::scope(|scope| {
            for store in &stores {
                scope.spawn(|| {
                    for n in 0..5 {
                        start.wait();
                        put(store, n, &[("a.txt", b"the same"), ("b.txt", &n.to_le_bytes())]);
                        assert_eq!(store.check(&hit(store, n), Trust::Always), Ok(()));
                    }
                });
            }
        });
        let report = stores[0].verify_all(false).unwrap();
        assert_eq!((report.damage.len(), report.manifests, report.blobs), (0, 5, 6));
        assert!(!dir.path().join("bad").read_dir().unwrap().any(|_| true));
    }
}

type Harm = fn(&Path);

#[test]
fn publishing_again_replaces_what_was_damaged() {
    let (_dir, store) = new_store();
    let manifest = put(&store, 1, &[("a.txt", b"bytes")]);
    let blob = &blobs(&store, &manifest)[0];
    let harms: [Harm; 4] = [
        |blob| overwrite(blob, b"bytEs"),
        |blob| overwrite(blob, b"short"),
        |blob| {
            fs::remove_file(blob).unwrap();
            fs::create_dir(blob).unwrap();
            fs::write(blob.join("inside"), "x").unwrap();
        },
        |blob| {
            fs::remove_file(blob).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", blob).unwrap();
        },
    ];
    for harm in harms {
        harm(blob);
        assert!(store.check(&manifest, Trust::Always).is_err() || !blob.exists());
        harm_again(blob, harm);
        put(&store, 1, &[("a.txt", b"bytes")]);
        assert_eq!(store.check(&hit(&store, 1), Trust::Always), Ok(()));
    }
    fs::remove_file(store.manifest_path(&key(1))).unwrap();
    fs::create_dir(store.manifest_path(&key(1))).unwrap();
    assert!(matches!(store.lookup(&key(1)), Lookup::Invalid { .. }));
    put(&store, 1, &[("a.txt", b"bytes")]);
    hit(&store, 1);
}

/// The check has moved the damaged file away; another of the kind is in the way of publishing.
fn harm_again(blob: &Path, harm: Harm) {
    fs::write(blob, "bytes").unwrap();
    harm(blob);
}

#[test]
fn temporary_files_are_swept_a_day_after_their_process_is_gone() {
    use crate::cache::host::Owner;
    use crate::cache::host::tests::{dead, elsewhere};
    let (_dir, store) = new_store();
    store.prepare().unwrap();
    let left = |owner: &Owner, n: u8, hours: u64| {
        let path = store.tmp().join(format!("{}{n}", owner.prefix()));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("half"), "x").unwrap();
        File::open(&path).unwrap().set_modified(SystemTime::now() - Duration::from_hours(hours)).unwrap();
        path
    };
    let gone = left(&dead(), 1, 25);
    let kept = [left(&dead(), 2, 23), left(&Owner::this(), 3, 100), left(&elsewhere(), 4, 100)];
    assert_eq!(store.sweep(), 1);
    assert!(!gone.exists());
    assert!(kept.iter().all(|path| path.exists()));
}

#[test]
fn a_store_that_can_only_be_read_gives_hits_and_refuses_work_with_a_remedy() {
    let (dir, store) = new_store();
    let manifest = put(&store, 1, &[("a.txt", b"bytes")]);
    let store = Store::open(store.dir()).unwrap().made_read_only();
    assert!(store.is_read_only());
    assert_eq!(store.check(&hit(&store, 1), Trust::Stat), Ok(()));
    let error = store.begin(acquire(&store, 2), None).unwrap_err();
    assert_eq!(error.to_string(), format!("store `{}` is read-only", store.dir().display()));
    assert!(error.help().unwrap().contains("--store DIR"));
    assert!(!error.is_users());
    store.set_ref("p", "toy", &key(1)).unwrap();
    store.lease().unwrap().keep([&key(1)]).unwrap();
    store.flush().unwrap();
    assert_eq!(store.sweep(), 0);
    assert!(matches!(store.gc(&crate::cache::GcOptions::default()), Err(StoreError::ReadOnly { .. })));
    overwrite(&blobs(&store, &manifest)[0], b"other");
    assert!(store.check(&manifest, Trust::Stat).is_err());
    assert!(blobs(&store, &manifest)[0].exists(), "nothing is moved");
    store.view(&manifest, &dir.path().join("outputs"), Path::new("p/toy")).unwrap();
}

#[test]
fn only_a_store_or_an_empty_place_can_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path| Store::open(path).unwrap_err();
    fs::write(dir.path().join("file"), "x").unwrap();
    for path in [dir.path().join("file"), dir.path().join("file/below"), dir.path().join("file/a/b")] {
        let error = refused(&path);
        assert!(error.to_string().contains("a file lies where a directory is needed"), "{error}");
        assert!(error.help().unwrap().contains("--store DIR"));
    }
    assert!(refused(dir.path()).to_string().contains("holds `file`"));
    let (_own, store) = new_store();
    put(&store, 1, &[("a.txt", b"bytes")]);
    let format = store.dir().join("format");
    fs::write(&format, "ncf-pipe store 2\n").unwrap();
    assert!(refused(store.dir()).to_string().contains("has layout 2, this version knows 1"));
    fs::write(&format, "something else\n").unwrap();
    assert!(refused(store.dir()).to_string().contains("is not that of a store"));
    // As after a kill or a loss of power while it was first written.
    fs::write(&format, "").unwrap();
    hit(&Store::open(store.dir()).unwrap(), 1);
    fs::remove_file(&format).unwrap();
    let again = Store::open(store.dir()).unwrap();
    put(&again, 2, &[("a.txt", b"bytes")]);
    assert_eq!(fs::read_to_string(&format).unwrap(), "ncf-pipe store 1\n");
}

#[test]
fn checkpoints_that_were_being_written_when_a_run_was_killed_are_removed() {
    let (_dir, store) = new_store();
    let scratch = store.begin(acquire(&store, 1), None).unwrap().scratch().to_owned();
    fs::write(scratch.join(".tmpAbC123"), "half").unwrap();
    fs::write(scratch.join("checkpoint"), "whole").unwrap();
    let work = store.begin(acquire(&store, 1), None).unwrap();
    assert_eq!(work.scratch(), scratch);
    let left: Vec<_> = fs::read_dir(&scratch).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["checkpoint"]);
}

#[test]
fn over_a_store_that_can_only_be_read_hits_are_found_and_the_rest_is_kept_above() {
    let (dir, below) = new_store();
    let one = put(&below, 1, &[("a.txt", b"A")]);
    below.set_ref("p", "s", &one.key).unwrap();
    let damaged = put(&below, 3, &[("c.txt", b"C")]);
    overwrite(&blobs(&below, &damaged)[0], b"X");
    let before = below.du();
    let over = Store::open_over(dir.path().join("over"), below.made_read_only()).unwrap();
    assert!(!over.is_read_only());
    assert_eq!(hit(&over, 1), one);
    assert_eq!(over.last_manifest("p", "s"), Some(one.clone()));
    assert_eq!(over.check(&one, Trust::Always), Ok(()));
    assert_eq!(fs::read(&blobs(&over, &one)[0]).unwrap(), b"A");
    over.set_ref("p", "s", &one.key).unwrap();
    drop(over.lease().unwrap());
    over.flush().unwrap();
    assert!(!over.dir().exists(), "nothing was missing");
    // A miss is kept above, and so is what replaces damage, which stays where it is.
    let two = put(&over, 2, &[("b.txt", b"B")]);
    assert_eq!(hit(&over, 2), two);
    for trust in [Trust::Always, Trust::Stat] {
        assert!(over.check(&damaged, trust).is_err());
    }
    let mended = put(&over, 3, &[("c.txt", b"C")]);
    assert_eq!(over.check(&mended, Trust::Always), Ok(()));
    assert_eq!(over.all_manifests().len(), 4);
    let shown = over.view(&one, &dir.path().join("outputs"), Path::new("p/s")).unwrap();
    assert_eq!(fs::read(shown.join("a.txt")).unwrap(), b"A");
    assert_eq!(Store::open(dir.path().join("store")).unwrap().du(), before);
}
