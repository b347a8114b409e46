use crate::cache::GcOptions;
use crate::cache::host::tests::dead;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn options(change: impl FnOnce(&mut GcOptions)) -> GcOptions {
    let mut options = GcOptions::default();
    change(&mut options);
    options
}

/// Three stages of 100, 200 and 300 bytes; the first is the oldest by an hour, the last the youngest.
fn three() -> (TempDir, Store) {
    let (dir, store) = new_store();
    for n in 1..=3u64 {
        let files: [(&str, &[u8]); 1] = [("a.bin", &vec![n as u8; n as usize * 100])];
        let mut manifest = described(n, &format!("s{n}"), &files);
        manifest.created -= (3 - n) * HOUR.as_secs();
        let work = store.begin(acquire(&store, n), None).unwrap();
        fs::write(work.out().join("a.bin"), files[0].1).unwrap();
        work.publish(manifest).unwrap();
    }
    (dir, store)
}

fn left(store: &Store) -> Vec<u64> {
    (1..=3).filter(|n| matches!(store.lookup(&key(*n)), Lookup::Hit(_))).collect()
}

fn later() -> SystemTime {
    SystemTime::now() + HOUR
}

#[test]
fn what_no_pipeline_has_as_its_last_result_goes_with_its_files() {
    let (_dir, store) = three();
    store.set_ref("p", "s2", &key(2)).unwrap();
    let dry = store.gc_at(&options(|o| o.dry_run = true), later()).unwrap();
    assert_eq!(left(&store), [1, 2, 3]);
    let report = store.gc_at(&GcOptions::default(), later()).unwrap();
    assert_eq!(report, dry);
    assert_eq!(report.stages, ["p/s1", "p/s3"]);
    assert_eq!(report.blobs, 2);
    assert_eq!(left(&store), [2]);
    assert_eq!((store.du().blob_bytes, store.du().unused_bytes), (200, 0));
    assert_eq!(store.ls()[0].refs, ["p/s2"]);
}

#[test]
fn what_is_young_stays() {
    let (_dir, store) = three();
    let report = store.gc(&GcOptions::default()).unwrap();
    assert_eq!((report.stages.len(), report.blobs), (0, 0), "files were written just now");
    assert_eq!(left(&store), [1, 2, 3]);
}

#[test]
fn what_a_run_has_leased_stays() {
    let (_dir, store) = three();
    let lease = store.lease().unwrap();
    lease.keep([&key(1)]).unwrap();
    store.gc_at(&GcOptions::default(), later()).unwrap();
    assert_eq!(left(&store), [1]);
    store.check(&hit(&store, 1), crate::cache::Trust::Always).unwrap();
    drop(lease);
    store.gc_at(&GcOptions::default(), later()).unwrap();
    assert!(left(&store).is_empty());
}

#[test]
fn age_and_size_limit_what_goes_oldest_first() {
    let ages = |limit: Duration| {
        let (_dir, store) = three();
        store.gc_at(&options(|o| o.older_than = Some(limit)), later()).unwrap();
        left(&store)
    };
    // Ages are counted from when the file was last written, which is now for all of them.
    assert_eq!(ages(HOUR * 2), [1, 2, 3]);
    assert_eq!(ages(HOUR / 2), Vec::<u64>::new());
    let sizes = |limit: u64| {
        let (_dir, store) = three();
        for n in 1..=3u64 {
            let path = store.manifest_path(&key(n));
            File::open(path).unwrap().set_modified(SystemTime::now() - HOUR * (3 - n as u32)).unwrap();
        }
        store.gc_at(&options(|o| o.max_bytes = Some(limit)), later()).unwrap();
        left(&store)
    };
    assert_eq!(sizes(600), [1, 2, 3]);
    assert_eq!(sizes(599), [2, 3]);
    assert_eq!(sizes(500), [2, 3]);
    assert_eq!(sizes(499), [3]);
    assert_eq!(sizes(0), Vec::<u64>::new());
}

#[test]
fn files_that_stages_share_count_once_and_stay_while_one_of_them_does() {
    let (_dir, store) = new_store();
    put(&store, 1, &[("a.bin", &[1; 100]), ("b.bin", b"x")]);
    put(&store, 2, &[("a.bin", &[1; 100])]);
    store.set_ref("p", "toy", &key(2)).unwrap();
    store.gc_at(&options(|o| o.max_bytes = Some(101)), later()).unwrap();
    assert_eq!(left(&store), [1, 2]);
    store.gc_at(&options(|o| o.max_bytes = Some(100)), later()).unwrap();
    assert_eq!(left(&store), [2]);
    assert_eq!(store.du().blob_bytes, 100);
}

#[test]
fn pipelines_limit_what_goes_and_the_refs_of_others_always_count() {
    let with = |pipelines: &[&str], keep_refs: bool| {
        let (_dir, store) = three();
        store.set_ref("p", "s1", &key(1)).unwrap();
        store.set_ref("p", "s2", &key(2)).unwrap();
        store.set_ref("q", "s2", &key(2)).unwrap();
        let pipelines = pipelines.iter().map(ToString::to_string).collect();
        store.gc_at(&GcOptions { pipelines, keep_refs, ..GcOptions::default() }, later()).unwrap();
        (left(&store), store.refs().len())
    };
    assert_eq!(with(&[], true), (vec![1, 2], 3));
    assert_eq!(with(&[], false), (vec![], 0));
    assert_eq!(with(&["other"], false), (vec![1, 2, 3], 3));
    assert_eq!(with(&["p"], true), (vec![1, 2], 3));
    assert_eq!(with(&["p"], false), (vec![2], 2));
}

#[test]
fn what_a_newer_version_has_written_stays_with_its_files() {
    let (_dir, store) = three();
    let path = store.manifest_path(&key(1));
    let newer = fs::read_to_string(&path).unwrap().replace("\"schema\": 1", "\"schema\": 2");
    fs::write(&path, newer).unwrap();
    fs::write(store.manifest_path(&key(2)), "garbage").unwrap();
    store.gc_at(&GcOptions::default(), later()).unwrap();
    assert!(path.exists());
    assert!(!store.manifest_path(&key(2)).exists());
    assert!(store.blob_path(&Digest::of(&[1; 100])).exists());
    assert_eq!(store.du().blobs, 1);
    assert_eq!(store.verify_all(true).unwrap().damage, []);
}

#[test]
fn leftovers_go_once_nobody_can_need_them() {
    let (_dir, store) = three();
    let owned = |prefix: String| {
        let path = store.tmp().join(format!("{prefix}x"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("half"), "x").unwrap();
        path
    };
    let (theirs, ours) = (owned(dead().prefix()), owned(crate::cache::host::Owner::this().prefix()));
    let scratch = store.scratch(&key(9));
    fs::create_dir_all(&scratch).unwrap();
    let bad = store.dir().join("bad/x.1");
    fs::write(&bad, "x").unwrap();
    let keep = options(|o| o.older_than = Some(HOUR * 1000));
    assert_eq!(store.gc(&keep).unwrap().leftovers, 0);
    assert_eq!(store.gc_at(&keep, later()).unwrap().leftovers, 2);
    assert!(!theirs.exists() && !bad.exists() && ours.exists() && scratch.exists());
    assert_eq!(store.gc_at(&keep, SystemTime::now() + HOUR * 24 * 8).unwrap().leftovers, 1);
    assert!(ours.exists() && !scratch.exists());
}

#[test]
fn cleaning_while_others_publish_takes_nothing_from_them() {
    let (_dir, store) = new_store();
    let other = Store::open(store.dir()).unwrap();
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            for n in 0..40 {
                put(&store, n, &[("a.bin", &n.to_le_bytes()), ("b.bin", b"shared")]);
                assert_eq!(store.check(&hit(&store, n), crate::cache::Trust::Always), Ok(()));
            }
        });
        while !publishing.is_finished() {
            other.gc(&GcOptions { keep_refs: false, ..GcOptions::default() }).unwrap();
        }
    });
    assert_eq!(store.verify_all(false).unwrap().manifests, 40);
}

#[test]
fn the_listing_names_stage_size_and_refs_newest_first() {
    let (_dir, store) = three();
    store.set_ref("p", "s1", &key(1)).unwrap();
    store.set_ref("q", "same", &key(1)).unwrap();
    let listed: Vec<_> =
        store.ls().into_iter().map(|row| (row.manifest.stage.clone(), row.manifest.size(), row.refs)).collect();
    let none = Vec::<String>::new();
    let refs = vec!["p/s1".to_owned(), "q/same".to_owned()];
    assert_eq!(listed, [("s3".into(), 300, none.clone()), ("s2".into(), 200, none), ("s1".into(), 100, refs)]);
}
