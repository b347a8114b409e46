//! The parameters of `fetch`, and what it takes from a directory.

use serde_json::{Value, json};

use super::*;
use crate::stage::{Artifact, ArtifactDir, ContextParts, DynStage, Note, Registry, SourceFile, StageKind};

static KINDS: Registry = Registry::new(&[StageKind::of::<Fetch>()]);

fn decode(params: Value) -> Result<Box<dyn DynStage>, ParamError> {
    (KINDS.get("fetch").unwrap().decode)(params)
}

#[test]
fn names_and_defaults_are_filled_in_and_credentials_left_out() {
    let params = json!({
        "local": "",
        "files": [
            {"url": "https://u:canary@h.org/a/u.data?sig=canary", "sha256": "AB".repeat(32)},
            {"url": "https://h.org/b.zip", "members": ["x/one.csv"]},
            {"url": "https://h.org/c.zip", "members": ["x/two.csv", "y/three.csv"]},
            {"url": "https://h.org/download?id=7", "name": "seven.csv"},
        ],
    });
    let seen = decode(params).unwrap().params();
    let expected = json!({
        "files": [
            {
                "url": "https://h.org/a/u.data", "sha256": "ab".repeat(32), "size_limit": 4_294_967_296_u64,
                "allow_http": false, "name": "u.data",
            },
            {
                "url": "https://h.org/b.zip", "size_limit": 4_294_967_296_u64, "allow_http": false,
                "members": ["x/one.csv"], "name": "one.csv",
            },
            {
                "url": "https://h.org/c.zip", "size_limit": 4_294_967_296_u64, "allow_http": false,
                "members": ["x/two.csv", "y/three.csv"],
            },
            {
                "url": "https://h.org/download?id=7", "size_limit": 4_294_967_296_u64, "allow_http": false,
                "name": "seven.csv",
            },
        ],
    });
    assert_eq!(seen, expected);
    // What was filled in must decode to itself.
    assert_eq!(decode(seen).unwrap().params(), expected);
}

#[test]
fn what_cannot_work_is_refused_before_anything_runs() {
    let file = |file: Value| json!({ "files": [file] });
    let found = [
        json!({"files": []}),
        json!({}),
        file(json!({"url": "http://h/a"})),
        file(json!({"url": "ftp://h/a", "allow_http": true})),
        file(json!({"url": "u.data"})),
        file(json!({"url": "https://h/a", "sha256": "abc"})),
        file(json!({"url": "https://h/a", "size_limit": 0})),
        file(json!({"url": "https://h/a", "md5": "abc"})),
        file(json!({"url": "https://h/"})),
        file(json!({"url": "https://h/a%20b"})),
        file(json!({"url": "https://h/a", "name": "../a"})),
        file(json!({"url": "https://h/a", "name": ".a"})),
        file(json!({"url": "https://h/files.json"})),
        file(json!({"url": "https://h/a", "name": "Manifest.json"})),
        file(json!({"url": "https://h/a.zip", "members": ["../a"]})),
        file(json!({"url": "https://h/a.zip", "members": ["/a"]})),
        file(json!({"url": "https://h/a.zip", "members": ["a", "b c"]})),
        file(json!({"url": "https://h/a.zip", "members": ["a", "b"], "name": "c"})),
        file(json!({"url": "https://h/a.zip", "members": ["x/a", "y/A"]})),
        json!({"files": [{"url": "https://h/a"}, {"url": "https://h/x/a"}]}),
    ]
    .map(|params| {
        let error = decode(params).err().unwrap();
        format!("{}: {} [{}]", error.path.join("."), error.message, error.help.unwrap_or_default())
    });
    insta::assert_snapshot!(found.join("\n"), @r"
    files: no files to fetch [list at least one `{url: …}`]
    : missing field `files` []
    files.0.url: plain http can be read and changed on the way [use https, or set `allow_http: true` where the network is trusted]
    files.[0].url: `ftp` is neither https nor http []
    files.[0].url: a URL begins with `https://` []
    files.0.sha256: `abc` is not a SHA-256 digest: 64 hexadecimal digits [`sha256sum FILE` prints that of a file]
    files.0.size_limit: 0 bytes are no file [give a number of bytes, or leave it out]
    files.[0].md5: unknown field `md5`, expected one of `url`, `sha256`, `size_limit`, `allow_http`, `members`, `name` []
    files.0.name: `` is empty [set `name` to what the file should be stored under, such as `ratings.csv`]
    files.0.name: `a%20b` has other characters than letters, digits, `_`, `-` and dots [set `name` to what the file should be stored under, such as `ratings.csv`]
    files.0.name: `../a` has a path in it [set `name` to what the file should be stored under, such as `ratings.csv`]
    files.0.name: `.a` begins with a dot [set `name` to what the file should be stored under, such as `ratings.csv`]
    files.0: `files.json` is the name of a file that is always written [store it under another `name`]
    files.0: `Manifest.json` is the name of a file that is always written [store it under another `name`]
    files.0.members.0: `../a` climbs out of the archive [give the full name in the archive, such as `ml-100k/u.data`]
    files.0.members.0: `/a` is absolute [give the full name in the archive, such as `ml-100k/u.data`]
    files.0.members.1: `b c` has other characters than letters, digits, `_`, `-` and dots [fetch it as the only member, and set `name`]
    files.0.name: one name for several members [leave `name` out: members are stored under the last part of their names]
    files.0: a second file would be stored as `A` [set another `name`, or fetch them in two stages; case does not tell names apart]
    files.1: a second file would be stored as `a` [set another `name`, or fetch them in two stages; case does not tell names apart]
    ");
}

#[test]
fn a_directory_gives_one_source_for_each_stored_file() {
    let stage = decode(json!({
        "local": "dir",
        "files": [{"url": "https://h/a.zip", "members": ["x/one", "y/two"]}, {"url": "https://h/three"}],
    }))
    .unwrap();
    let sources: Vec<_> = stage.sources().iter().map(|s| (s.name(), s.path.display().to_string())).collect();
    let expected = ["one", "two", "three"].map(|name| (format!("local/{name}"), format!("dir/{name}")));
    assert_eq!(sources, expected);
}

/// Runs the stage on a directory with one file.
fn take(text: &str, file: &Value) -> (Result<Files>, Vec<Note>) {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("u.data");
    std::fs::write(&path, text).unwrap();
    let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
    let stage = decode(json!({ "local": dir.path(), "files": [file] })).unwrap();
    let source = SourceFile { path, digest, size: text.len() as u64 };
    let context = Context::new(ContextParts {
        sources: [("local/u.data".to_owned(), source)].into(),
        ..ContextParts::in_dir(out.path())
    });
    let result = stage.run(&context);
    let (written, notes) = context.into_results();
    (result.and_then(|()| Files::load(&ArtifactDir::written("d", out.path(), written))), notes)
}

#[test]
fn local_files_are_held_to_checksum_and_limit() {
    // `printf abc | sha256sum`
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let (files, notes) = take("abc", &json!({"url": "https://h/u.data", "sha256": abc}));
    let files = files.unwrap().files;
    assert_eq!((files[0].size, files[0].sha256.as_str(), files[0].url.as_str()), (3, abc, "https://h/u.data"));
    assert!(notes.iter().all(|note| matches!(note, Note::Fact(..))), "{notes:?}");
    let (refused, _) = take("abd", &json!({"url": "https://h/u.data", "sha256": abc}));
    let error = refused.unwrap_err();
    assert_eq!(error.class, Class::Data);
    assert!(error.message.ends_with(&format!("instead of {abc}")), "{error}");
    let (refused, _) = take("abc", &json!({"url": "https://h/u.data", "size_limit": 2}));
    assert!(refused.unwrap_err().message.contains("`size_limit`"));
    // The checksum of an archive says nothing of a member of it.
    let member = json!({"url": "https://h/a.zip", "members": ["x/u.data"], "sha256": "ab".repeat(32)});
    assert_eq!(take("abc", &member).0.unwrap().files[0].member.as_deref(), Some("x/u.data"));
}
