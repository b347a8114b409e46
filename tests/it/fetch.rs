//! The stage `fetch` and what reads from it, given to the real program: local files, no network, and a server in the test.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::{Project, Ran};

const RATINGS: &str = "1\t2\t5\t10\n1\t3\t4\t11\n2\t2\t3\t12\n";
/// Of `RATINGS`, by `sha256sum`.
const SHA256: &str = "0a77f334fc05a20cf65126c7aefcc7f5e7cf54c7350ac40e7ab10b4977fcac7f";

/// A server that has one file at every path, for as long as the test runs; the number of requests so far.
fn server(bytes: &'static [u8]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            seen.fetch_add(1, Ordering::SeqCst);
            for line in BufReader::new(&stream).lines() {
                if line.unwrap().is_empty() {
                    break;
                }
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
            stream.write_all(&[head.as_bytes(), bytes].concat()).unwrap();
        }
    });
    (port, requests)
}

/// Fetches one file, and reads it.
fn pipeline(file: &str) -> String {
    format!(
        "name: f\nparams: {{data: \"\"}}\nstages:\n  download:\n    kind: fetch\n    local: ${{data}}\n    files: [{{{file}}}]\n  ratings: {{kind: read, inputs: {{files: download}}, file: u.data}}\n"
    )
}

/// The program, which is to find the test's server whatever proxies this machine has.
fn ncf(project: &Project, args: &[&str]) -> Ran {
    Ran::of(project.command(args).env("NO_PROXY", "*").env_remove("SSL_CERT_FILE").output().unwrap())
}

fn run(project: &Project, more: &[&str]) -> Ran {
    ncf(project, &[&["run", "p.yaml", "--json"], more].concat())
}

fn offline() -> String {
    pipeline("url: \"https://nowhere.invalid/files/all.zip\", members: [all/u.data]")
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    // Long lines are wrapped, and framed.
    let flat: String = text.split_whitespace().filter(|word| !matches!(*word, "│" | "·")).collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(flat.contains(word), "`{word}` is missing in:\n{text}");
    }
}

#[test]
fn local_files_are_taken_and_the_network_is_not_touched() {
    let (port, requests) = server(b"not this");
    let project = Project::new();
    project.write("here/u.data", RATINGS);
    project.write("p.yaml", pipeline(&format!("url: \"http://127.0.0.1:{port}/u.data\", allow_http: true")));
    let local = ["--set", "data=here"];
    let ran = run(&project, &local).ends(0);
    assert_eq!(ran.with("ran"), ["download", "ratings"]);
    assert_eq!(ran.json()["stages"][0].get("warnings"), None);
    assert_eq!(fs::read_to_string(project.path("outputs/f/download/u.data")).unwrap(), RATINGS);
    let list: Value =
        serde_json::from_slice(&fs::read(project.path("outputs/f/download/files.json")).unwrap()).unwrap();
    let file = serde_json::json!({
        "name": "u.data", "size": RATINGS.len(), "sha256": SHA256, "url": format!("http://127.0.0.1:{port}/u.data"),
    });
    assert_eq!(list, serde_json::json!({ "files": [file] }));
    assert_eq!(run(&project, &local).ends(0).with("fresh"), ["download", "ratings"]);

    // The content counts, not the place.
    project.write("there/u.data", RATINGS);
    assert_eq!(run(&project, &["--set", "data=there"]).ends(0).with("fresh"), ["download", "ratings"]);
    project.write("there/u.data", format!("{RATINGS}3\t2\t1\t13\n"));
    let ran = run(&project, &["--set", "data=there"]).ends(0);
    assert_eq!(ran.with("ran"), ["download", "ratings"]);
    assert_eq!(ran.json()["stages"][0]["why"], serde_json::json!(["source `local/u.data`: content changed"]));
    assert_eq!(requests.load(Ordering::SeqCst), 0);
}

#[test]
fn a_download_and_a_local_copy_of_the_same_bytes_are_the_same_to_what_follows() {
    let (port, requests) = server(RATINGS.as_bytes());
    let project = Project::new();
    project.write("p.yaml", pipeline(&format!("url: \"http://127.0.0.1:{port}/u.data\", allow_http: true")));
    let ran = run(&project, &[]).ends(0);
    assert_eq!(ran.with("ran"), ["download", "ratings"]);
    says(&ran.json()["stages"][0]["warnings"][0].to_string(), &[&format!("add `sha256: {SHA256}`")]);
    assert_eq!(run(&project, &[]).ends(0).with("fresh"), ["download", "ratings"]);
    assert_eq!(requests.load(Ordering::SeqCst), 1);

    project.write("here/u.data", RATINGS);
    let ran = run(&project, &["--set", "data=here"]).ends(0);
    assert_eq!((ran.with("ran"), ran.with("fresh")), (vec!["download".to_owned()], vec!["ratings".to_owned()]));
    assert_eq!(requests.load(Ordering::SeqCst), 1);

    // And the same as reading the file itself.
    let fetched = fs::read(project.path("outputs/f/ratings/interactions.parquet")).unwrap();
    project.write("plain.yaml", "name: g\nstages:\n  ratings: {kind: read, path: here/u.data}\n");
    ncf(&project, &["run", "plain.yaml", "--json"]).ends(0);
    assert_eq!(fs::read(project.path("outputs/g/ratings/interactions.parquet")).unwrap(), fetched);
}

#[test]
fn a_pinned_file_with_other_bytes_is_refused_wherever_it_comes_from() {
    let (port, _) = server(b"something else");
    let project = Project::new();
    let url = format!("url: \"http://127.0.0.1:{port}/u.data\", allow_http: true, sha256: {SHA256}");
    project.write("p.yaml", pipeline(&url));
    project.write("here/u.data", "something else");
    project.write("good/u.data", RATINGS);
    // `printf 'something else' | sha256sum`
    let other = "f41f3fa625ff120ddca7ef456bf66371ecea23c129f4e4c32367101edb516cf8";
    for more in [&[][..], &["--set", "data=here"]] {
        let ran = run(&project, more).ends(2);
        let error = ran.json()["stages"][0]["error"].to_string();
        says(&error, &[SHA256, other]);
    }
    assert!(!project.path("outputs/f/download/u.data").exists());
    let ran = run(&project, &["--set", "data=good"]).ends(0);
    assert_eq!(ran.with("ran"), ["download", "ratings"]);
}

#[test]
fn without_a_network_the_error_says_which_files_to_give_and_how() {
    let project = Project::new();
    project.write("p.yaml", offline());
    let ran = ncf(&project, &["-q", "run", "p.yaml"]).ends(3);
    let words = ["nowhere.invalid", "`DIR/u.data`", "`all/u.data` of", "run with `--set data=DIR`"];
    says(&ran.err, &words);
    project.write("p.yaml", offline().replace("    local: ${data}\n", "").replace("params: {data: \"\"}\n", ""));
    says(&ncf(&project, &["-q", "run", "p.yaml"]).ends(3).err, &["`DIR/u.data`", "set `local: DIR` in the stage"]);
}

#[test]
fn the_proxy_of_the_environment_is_used_and_named_without_its_password() {
    let project = Project::new();
    project.write("p.yaml", offline());
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let proxied = |no_proxy: &str| {
        let mut command = project.command(&["-q", "run", "p.yaml"]);
        for name in ["ALL_PROXY", "all_proxy", "no_proxy", "SSL_CERT_FILE"] {
            command.env_remove(name);
        }
        command.env("HTTPS_PROXY", format!("http://user:canary@127.0.0.1:{port}")).env("NO_PROXY", no_proxy);
        Ran::of(command.output().unwrap()).ends(3).err
    };
    let text = proxied("elsewhere.invalid");
    says(&text, &[&format!("from `nowhere.invalid` by the proxy `127.0.0.1:{port}`: it refuses connections")]);
    assert!(!text.contains("canary"), "{text}");
    let text = proxied("*.invalid");
    assert!(!text.contains("by the proxy"), "{text}");
}

#[test]
fn credentials_are_masked_where_a_mistake_in_the_pipeline_is_shown() {
    let project = Project::new();
    let url = "\"https://user:canary@nowhere.invalid/u.data?token=canary\"";
    project.write("p.yaml", pipeline(&format!("url: {url}, sha256: abc")));
    let text = ncf(&project, &["check", "p.yaml"]).ends(2).err;
    says(&text, &["64 hexadecimal digits", "@nowhere.invalid/u.data?"]);
    assert!(!text.contains("canary"), "{text}");
    project.write("p.yaml", pipeline("url: \"${data}\", sha256: abc"));
    let set = format!("data={url}");
    let text = ncf(&project, &["check", "p.yaml", "--set", &set]).ends(2).err;
    assert!(!text.contains("canary"), "{text}");
    let text = ncf(&project, &["check", "p.yaml", "--set", &set.replace("data", "date")]).ends(2).err;
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn a_local_file_that_is_missing_is_named_with_its_path() {
    let project = Project::new();
    project.write("p.yaml", offline());
    fs::create_dir(project.path("here")).unwrap();
    let ran = ncf(&project, &["-q", "run", "p.yaml", "--set", "data=here"]).ends(2);
    says(&ran.err, &["parameter `local`", "here/u.data` does not exist", "`--set data=…`"]);
    // Under the path in the archive it is not looked for: one name, one place.
    project.write("here/all/u.data", RATINGS);
    ncf(&project, &["-q", "run", "p.yaml", "--set", "data=here"]).ends(2);
    project.write("here/u.data", RATINGS);
    ncf(&project, &["-q", "run", "p.yaml", "--set", "data=here"]).ends(0);
}

#[test]
fn members_of_an_archive_are_fetched_and_shown_and_verified() {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in [("all/u.data", RATINGS), ("all/ReadMe-1st", "hello\n"), ("all/rest", "not asked for")] {
        writer.start_file(name, options).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    let (port, _) = server(writer.finish().unwrap().into_inner().leak());
    let project = Project::new();
    let file =
        format!("url: \"http://127.0.0.1:{port}/all.zip\", allow_http: true, members: [all/u.data, all/ReadMe-1st]");
    project.write("p.yaml", pipeline(&file));
    run(&project, &[]).ends(0);
    let mut names: Vec<_> =
        project.path("outputs/f/download").read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".ncf-pipe-view.json", "ReadMe-1st", "files.json", "manifest.json", "u.data"]);
    let shown = ncf(&project, &["show", "p.yaml", "download"]).ends(0).out;
    says(&shown, &["ReadMe-1st 6 B", "files.json", "u.data"]);
    ncf(&project, &["store", "verify"]).ends(0);
    // A damaged file is found when it is read, and made again.
    let digest = blake3::hash(RATINGS.as_bytes()).to_hex().to_string();
    let blob = project.path(&format!(".ncf-pipe/blobs/{}/{digest}", &digest[..2]));
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, RATINGS.replace('5', "1")).unwrap();
    let ran = run(&project, &[]).ends(0);
    assert_eq!(ran.with("ran"), ["download"]);
    assert_eq!(fs::read_to_string(blob).unwrap(), RATINGS);
}

#[test]
fn a_ready_split_is_read_from_fetched_files_as_from_paths() {
    let project = Project::new();
    for (name, text) in [
        ("a.train.rating", "0\t0\t1\n0\t1\t0\n1\t1\t1\n"),
        ("a.valid.rating", "0\t2\t1\n"),
        ("a.test.negative", "1\t0\n"),
        ("b.train.rating", "0\t0\n0\t1\n1\t1\n1\t2\n2\t0\n"),
        ("b.test.rating", "0\t2\t5\t9\n1\t0\t4\t8\n"),
        ("b.test.negative", "(0,2)\t3\t4\n(1,0)\t3\t4\n"),
    ] {
        project.write(&format!("d/{name}"), text);
    }
    let url = |name: &str| format!("{{url: \"https://nowhere.invalid/{name}\"}}");
    let files = |names: [&str; 3]| names.map(url).join(", ");
    project.write(
        "p.yaml",
        format!(
            "name: s\nstages:\n  a: {{kind: fetch, local: d, files: [{}]}}\n  b: {{kind: fetch, local: d, files: [{}]}}\n  \
             a1: {{kind: read_split, format: denoising, inputs: {{files: a}}, prefix: a}}\n  \
             a2: {{kind: read_split, format: denoising, train: d/a.train.rating, valid: d/a.valid.rating, test: d/a.test.negative}}\n  \
             b1: {{kind: read_split, format: ncf, inputs: {{files: b}}, prefix: b}}\n  \
             b2: {{kind: read_split, format: ncf, train: d/b.train.rating, test: d/b.test.rating, candidates: d/b.test.negative}}\n",
            files(["a.train.rating", "a.valid.rating", "a.test.negative"]),
            files(["b.train.rating", "b.test.rating", "b.test.negative"]),
        ),
    );
    run(&project, &[]).ends(0);
    let outputs = |stage: &str| -> Value {
        let text = fs::read(project.path("outputs/s").join(stage).join("manifest.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["outputs"].clone()
    };
    assert_eq!(outputs("a1"), outputs("a2"));
    assert_eq!(outputs("b1"), outputs("b2"));
    project.write("p.yaml", fs::read_to_string(project.path("p.yaml")).unwrap().replace("prefix: a", "prefix: c"));
    let ran = ncf(&project, &["-q", "run", "p.yaml"]).ends(2);
    says(&ran.err, &["stage `a` has no file `c.train.rating`", "`a.train.rating`"]);
}

#[test]
fn paths_and_files_exclude_each_other_before_anything_runs() {
    let project = Project::new();
    let fetch = "  d: {kind: fetch, files: [{url: \"https://nowhere.invalid/u.data\"}]}\n";
    for (stage, words) in [
        ("kind: read", &["no file is given"][..]),
        ("kind: read, path: u.data, file: u.data", &["both `path` and `file`"]),
        ("kind: read, file: u.data", &["nothing is connected", "inputs: {files: …}"]),
        ("kind: read, path: u.data, inputs: {files: d}", &["`files` is connected, but `file` is not given"]),
        ("kind: read_split, format: ncf", &["no training interactions"]),
        ("kind: read_split, format: ncf, prefix: a", &["nothing is connected"]),
        ("kind: read_split, format: ncf, prefix: a, train: b, inputs: {files: d}", &["`train`", "`prefix` is given"]),
        ("kind: read_split, format: ncf, train: a, test: b, inputs: {files: d}", &["`prefix` is not given"]),
    ] {
        project.write("p.yaml", format!("name: w\nstages:\n{fetch}  r: {{{stage}}}\n"));
        says(&ncf(&project, &["check", "p.yaml"]).ends(2).err, words);
    }
    project
        .write("p.yaml", format!("name: w\nstages:\n{fetch}  r: {{kind: read, file: u.data, inputs: {{files: d}}}}\n"));
    ncf(&project, &["check", "p.yaml"]).ends(0);
}

/// Every file below a directory, but for the pipeline itself.
fn all_bytes(dir: &Path, out: &mut Vec<u8>) {
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
        out.extend(entry.file_name().as_encoded_bytes());
        if entry.file_type().unwrap().is_dir() {
            all_bytes(&entry.path(), out);
        } else if entry.file_name() != "p.yaml" {
            out.extend(fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn credentials_in_a_url_leave_no_trace() {
    let (port, requests) = server(RATINGS.as_bytes());
    let project = Project::new();
    let url = |port: u16| {
        pipeline(&format!(
            "url: \"http://user:canary@127.0.0.1:{port}/u.data?x=1&X-Amz-Signature=canary&token=canary\", allow_http: true"
        ))
    };
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut said = String::new();
    for (port, code) in [(closed, 3), (port, 0)] {
        project.write("p.yaml", url(port));
        let ran = Ran::of(
            project
                .command(&["run", "p.yaml", "--json"])
                .env("NCF_PIPE_LOG", "trace")
                .env("NO_PROXY", "*")
                .output()
                .unwrap(),
        )
        .ends(code);
        let shown = ncf(&project, &["show", "p.yaml", "download"]).ends(0);
        let plan = ncf(&project, &["plan", "p.yaml"]).ends(0);
        said += &[ran.out, ran.err, shown.out, shown.err, plan.out, plan.err].concat();
    }
    assert!(said.contains(&format!("127.0.0.1:{port}/u.data?x=1")), "{said}");
    assert!(!said.contains("canary"), "{said}");
    let mut kept = Vec::new();
    all_bytes(&project.path("."), &mut kept);
    assert!(!kept.windows(6).any(|bytes| bytes == b"canary"));
    // Other credentials for the same file are no reason to fetch it again.
    project.write("p.yaml", url(port).replace("canary", "another"));
    assert_eq!(run(&project, &[]).ends(0).with("fresh"), ["download", "ratings"]);
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}
