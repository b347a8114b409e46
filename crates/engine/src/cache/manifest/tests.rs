use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::cache::key::tests::identity;

fn entry(bytes: &[u8]) -> FileEntry {
    FileEntry { digest: Digest::of(bytes), size: bytes.len() as u64 }
}

fn output(kind: &str, files: &[(&str, &[u8])]) -> OutputEntry {
    OutputEntry::new(kind, files.iter().map(|(name, bytes)| ((*name).to_owned(), entry(bytes))).collect())
}

fn manifest() -> Manifest {
    let outputs = BTreeMap::from([
        ("split".to_owned(), output("split", &[("train.parquet", b"rows"), ("valid.parquet", b"")])),
        ("pool".to_owned(), output("pool", &[("eval.parquet", b"negatives")])),
    ]);
    let run = RunRecord {
        pipeline: Some("quick".into()),
        stage: "train[loss=bce]".into(),
        facts: BTreeMap::from([
            ("rows".into(), json!(55_375)),
            ("share".into(), json!(0.1 + 0.2)),
            ("none".into(), Value::Null),
        ]),
        warnings: vec!["only \u{201c}3\u{201d} users".into()],
        seconds: 1.000_000_047_497_451_3,
        device: "cpu".into(),
        threads: 2,
        engine: Some("reference".into()),
    };
    Manifest::new(&identity(), outputs, run).unwrap()
}

fn resealed(mut value: Value) -> Vec<u8> {
    value.as_object_mut().unwrap().remove("checksum");
    value["checksum"] = json!(checksum(&value).unwrap());
    serde_json::to_vec_pretty(&value).unwrap()
}

type Edit = Box<dyn Fn(&mut Value)>;

#[test]
fn a_manifest_is_read_back_as_it_was_written() {
    let written = manifest();
    let read = Manifest::parse(&written.to_bytes().unwrap(), &written.key).unwrap();
    assert_eq!(read, written);
    assert_eq!(read.files().len(), 3);
    assert_eq!(read.size(), 13);
    let compact = serde_json::to_vec(&written).unwrap();
    assert_eq!(Manifest::parse(&compact, &written.key).unwrap(), written);
}

#[test]
fn names_of_published_files_can_be_stored() {
    let files: [(&str, &[u8]); 3] = [("ml-1m.train.rating", b"1"), ("README", b"2"), ("ratings_Books.csv", b"3")];
    let mut manifest = manifest();
    manifest.outputs.insert("files".to_owned(), output("files", &files));
    manifest.seal();
    assert_eq!(Manifest::parse(&manifest.to_bytes().unwrap(), &manifest.key).unwrap(), manifest);
}

#[test]
fn the_digest_of_an_output_depends_on_names_contents_and_nothing_else() {
    let base = output("split", &[("a", b"1"), ("b", b"2")]);
    assert_eq!(base.digest, output("other", &[("b", b"2"), ("a", b"1")]).digest);
    for other in [
        output("split", &[("a", b"2"), ("b", b"1")]),
        output("split", &[("a", b"1")]),
        output("split", &[("a", b"1"), ("c", b"2")]),
        output("split", &[]),
    ] {
        assert_ne!(base.digest, other.digest);
    }
}

/// Whoever edits a manifest and leaves its checksum alone is found out whatever the edit.
#[test]
fn an_edit_without_the_checksum_is_found() {
    let good = serde_json::to_value(manifest()).unwrap();
    for pointer in [
        "/key",
        "/identity/params/epochs",
        "/pipeline",
        "/stage",
        "/kind",
        "/outputs/split/digest",
        "/outputs/split/files/train.parquet/size",
        "/facts/rows",
        "/warnings/0",
        "/seconds",
        "/created",
        "/device",
        "/threads",
        "/tool",
        "/engine",
    ] {
        for value in [json!(1), json!("x"), Value::Null] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            let reason = Manifest::parse(&serde_json::to_vec(&bad).unwrap(), &manifest().key).unwrap_err();
            assert!(reason.contains("checksum"), "{pointer}: {reason}");
        }
    }
}

/// The same by someone who knows how to compute the checksum.
#[test]
fn an_edit_with_a_right_checksum_is_found_where_it_could_do_harm() {
    let digest = Digest::of(b"other").to_string();
    let file = |name: &str| json!({"kind": "split", "digest": digest, "files": {name: entry(b"rows")}});
    let honest = |name: &str| {
        let output = output("split", &[(name, b"rows")]);
        json!({"split": output})
    };
    let set = |pointer: &'static str, value: Value| -> Edit {
        Box::new(move |v| *v.pointer_mut(pointer).unwrap() = value.clone())
    };
    let table: Vec<(Edit, &str)> = vec![
        (set("/schema", json!(999)), "schema 999"),
        (set("/schema", json!(0)), "schema 0"),
        (set("/schema", json!("1")), "no `schema`"),
        (set("/schema", json!(1.0)), "no `schema`"),
        (set("/key", json!(digest)), "belongs to key"),
        (set("/key", json!("../../etc/passwd")), "expected form"),
        (set("/identity/params/epochs", json!(21)), "hash to its key"),
        (set("/identity/params/epochs", json!(20.0)), "hash to its key"),
        (set("/identity", json!("")), "hash to its key"),
        (set("/identity", Value::Null), "hash to its key"),
        (set("/kind", json!("evaluate")), "kind"),
        (set("/outputs/split/digest", json!(digest)), "digest of output"),
        (set("/outputs/split/files/train.parquet/size", json!(5)), "digest of output"),
        (set("/outputs/split/files/train.parquet/size", json!(-1)), "expected form"),
        (set("/outputs/split/files/train.parquet/size", json!(1e300)), "expected form"),
        (set("/outputs/split/files/train.parquet/digest", json!("AB".repeat(32))), "expected form"),
        (set("/outputs/split/files/train.parquet/digest", json!("../../x")), "expected form"),
        (set("/outputs/split", file("train.parquet")), "digest of output"),
        (set("/outputs", honest("../../x")), "not a name"),
        (set("/outputs", honest("/etc/passwd")), "not a name"),
        (set("/outputs", honest("a/b")), "not a name"),
        (set("/outputs", honest("a\\b")), "not a name"),
        (set("/outputs", honest("..")), "not a name"),
        (set("/outputs", honest(".hidden")), "not a name"),
        (set("/outputs", honest("trailing.")), "not a name"),
        (set("/outputs", honest("")), "not a name"),
        (set("/outputs", honest("-rf")), "not a name"),
        (set("/outputs", honest("a b")), "not a name"),
        (set("/outputs", honest("\u{e9}")), "not a name"),
        (set("/outputs", honest("nul\0")), "not a name"),
        (set("/outputs", honest(&"x".repeat(129))), "not a name"),
        (set("/outputs", honest("manifest.json")), "not a name"),
        (set("/outputs", honest("Manifest.json")), "not a name"),
        (set("/outputs", json!({"a": output("s", &[("u.data", b"1"), ("U.DATA", b"1")])})), "only in case"),
        (set("/outputs", json!([])), "expected form"),
        (set("/outputs", json!({"../x": output("split", &[])})), "not a name"),
        (set("/outputs", json!({"a": output("s", &[("f", b"1")]), "b": output("s", &[("f", b"2")])})), "disagree"),
        (
            set("/outputs", {
                let huge = |n: &str| (n.to_owned(), FileEntry { digest: Digest::of(b""), size: u64::MAX });
                json!({"a": OutputEntry::new("s", BTreeMap::from([huge("a"), huge("b")]))})
            }),
            "2^64",
        ),
        (set("/threads", json!(-1)), "expected form"),
        (set("/warnings", json!("x")), "expected form"),
        (Box::new(|v| v["extra"] = json!(1)), "unknown field"),
        (Box::new(|v| drop(v.as_object_mut().unwrap().remove("outputs"))), "missing field"),
        (Box::new(|v| v["outputs"]["split"]["extra"] = json!(1)), "unknown field"),
    ];
    for (edit, expected) in table {
        let mut bad = serde_json::to_value(manifest()).unwrap();
        edit(&mut bad);
        let reason = Manifest::parse(&resealed(bad), &manifest().key).unwrap_err();
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}

#[test]
fn bytes_that_are_no_manifest_are_refused() {
    let key = manifest().key;
    let text = String::from_utf8(manifest().to_bytes().unwrap()).unwrap();
    let twice = text.replacen("\"kind\": \"train\"", "\"kind\": \"train\",\n  \"kind\": \"train\"", 1);
    assert_ne!(twice, text);
    for bad in ["", "{}", "[]", "null", "1", "\"\"", &twice, &"[".repeat(100_000), &text[..text.len() / 2]] {
        assert!(Manifest::parse(bad.as_bytes(), &key).is_err());
    }
    let huge = format!("{}{text}", " ".repeat(MAX_BYTES as usize));
    assert!(Manifest::parse(huge.as_bytes(), &key).unwrap_err().contains("larger than"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn a_mutated_manifest_is_refused_or_means_the_same(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..4),
    ) {
        let good = manifest();
        let mut bytes = good.to_bytes().unwrap();
        for (place, byte, how) in edits {
            let at = place.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        if let Ok(read) = Manifest::parse(&bytes, &good.key) {
            prop_assert_eq!(read, good);
        }
    }

    #[test]
    fn a_manifest_with_values_exchanged_is_refused_or_means_the_same(
        value in canonical::tests::any_value(),
        place in any::<prop::sample::Index>(),
        seal in any::<bool>(),
    ) {
        let good = manifest();
        let mut json = serde_json::to_value(&good).unwrap();
        let mut pointers = Vec::new();
        collect(&json, String::new(), &mut pointers);
        *json.pointer_mut(&pointers[place.index(pointers.len())]).unwrap() = value;
        let bytes = if seal && json.is_object() { resealed(json) } else { serde_json::to_vec(&json).unwrap() };
        if let Ok(read) = Manifest::parse(&bytes, &good.key) {
            // A right checksum over other facts is the privilege of those who may write to the store.
            prop_assert_eq!(read.key, good.key);
            prop_assert_eq!(&read.identity.to_string(), &good.identity.to_string());
            prop_assert!(seal || read == good);
            for (name, output) in &read.outputs {
                prop_assert!(is_name(name) && output.digest == digest_of(&output.files));
                prop_assert!(output.files.keys().all(|file| is_file_name(file)));
            }
        }
    }
}

fn collect(value: &Value, at: String, out: &mut Vec<String>) {
    if let Value::Object(map) = value {
        for (key, inner) in map {
            collect(inner, format!("{at}/{key}"), out);
        }
    }
    out.push(at);
}
