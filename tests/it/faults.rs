//! Bad input and damaged files, given to the real program: every one is refused with a place and a remedy and the
//! right exit code, or recovered from. Never a panic, never a wrong number.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use crate::support::{Project, Ran};

/// A pipeline that reads `FILE` and does all the rest to it.
fn pipeline(read: &str) -> String {
    format!(
        "name: f\nstages:\n  a: {{kind: read, {read}}}\n  b: {{kind: binarise, inputs: {{interactions: a}}, threshold: 4}}\n  c: {{kind: remap, inputs: {{interactions: b}}}}\n  d: {{kind: split, inputs: {{dataset: c}}, strategy: leave_one_out}}\n  e: {{kind: negative_pool, inputs: {{split: d}}, eval: {{negatives: 2}}}}\n"
    )
}

/// What the program says about a data file, as one text.
fn refused(name: &str, bytes: &[u8], options: &str) -> String {
    let project = Project::new();
    project.write(name, bytes);
    project.write("p.yaml", pipeline(&format!("path: {name}{options}")));
    let ran = project.ncf(&["-q", "run", "p.yaml"]).ends(2);
    assert!(!ran.err.contains("panicked") && !ran.err.contains("defect"), "{}", ran.err);
    ran.err
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in:\n{text}");
    }
}

#[test]
fn malformed_lines_are_refused_with_their_place() {
    says(&refused("r.tsv", b"1\t2\t5\t10\n1\t3\tfive\t11\n", ""), &["r.tsv", "2", "five"]);
    says(&refused("r.tsv", b"1\t2\t5\t10\n1\t3\n", ""), &["r.tsv", "2"]);
    says(&refused("r.dat", b"1::2::5::10\n1::3::4::1.5\n", ""), &["r.dat", "2", "1.5"]);
    says(&refused("r.csv", b"user_id,item_id,rating,timestamp\n1,\"2,5,10\n", ""), &["r.csv", "2"]);
    says(&refused("r.jsonl", b"{\"user_id\":1,\"item_id\":2,\"rating\":5}\n{\"user_id\":1,\n", ""), &["r.jsonl", "2"]);
}

#[test]
fn ratings_that_are_no_numbers_are_refused() {
    for rating in ["NaN", "inf", "-inf", "1e99", ""] {
        let text = refused("r.tsv", format!("1\t2\t5\t10\n1\t3\t{rating}\t11\n").as_bytes(), "");
        says(&text, &["r.tsv", "2"]);
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_offset() {
    says(&refused("r.tsv", b"1\t2\t5\t10\n1\t\xe9\t5\t11\n", ""), &["r.tsv", "UTF-8"]);
    says(&refused("r.tsv", b"1\t2\t5\t10\n1\t3\0\t5\t11\n", ""), &["r.tsv", "2"]);
}

#[test]
fn nothing_left_is_an_error_that_names_the_stage() {
    says(&refused("r.tsv", b"", ""), &["0 interactions"]);
    says(&refused("r.csv", b"user_id,item_id,rating,timestamp\n", ""), &["0 interactions"]);
    says(&refused("r.tsv", b"1\t2\t3\t10\n1\t3\t2\t11\n", ""), &["0 interactions", "threshold"]);
}

#[test]
fn a_damaged_parquet_file_is_refused() {
    let good = {
        let project = Project::new();
        project.write("p.yaml", "name: p\nstages:\n  a: {kind: synthesize, users: 20, items: 20, interactions: 100}\n");
        project.run("p.yaml", &[]).ends(0);
        fs::read(project.path("outputs/p/a/interactions.parquet")).unwrap()
    };
    for cut in [0, 1, 4, good.len() / 2, good.len() - 1] {
        says(&refused("r.parquet", &good[..cut], ""), &["r.parquet"]);
    }
    let mut footer = good.clone();
    let at = footer.len() - 40;
    footer[at..at + 8].fill(0xff);
    says(&refused("r.parquet", &footer, ""), &["r.parquet"]);
}

#[test]
fn missing_odd_and_unreadable_sources_are_refused() {
    let project = Project::new();
    fs::create_dir(project.path("dir")).unwrap();
    symlink("nowhere", project.path("dangling")).unwrap();
    symlink("loop", project.path("loop")).unwrap();
    for path in ["nowhere.tsv", "dir", "dangling", "loop", "/dev/zero"] {
        project.write("p.yaml", pipeline(&format!("path: {path}, format: tsv")));
        let ran = project.ncf(&["-q", "run", "p.yaml"]).ends(2);
        says(&ran.err, &[path, "help"]);
    }
}

#[test]
fn a_symbolic_link_to_a_source_is_followed_and_counts_by_content() {
    let project = Project::new();
    project.write("real.tsv", "1\t2\t5\t10\n1\t3\t5\t11\n1\t4\t5\t12\n2\t2\t5\t10\n");
    symlink("real.tsv", project.path("link.tsv")).unwrap();
    project.write("p.yaml", pipeline("path: link.tsv"));
    assert_eq!(project.run("p.yaml", &[]).ends(0).with("ran").len(), 5);
    project.write("p.yaml", pipeline("path: real.tsv"));
    assert_eq!(project.run("p.yaml", &[]).ends(0).with("fresh").len(), 5);
}

#[test]
fn outputs_that_lead_elsewhere_are_refused() {
    let project = Project::new();
    let elsewhere = tempfile::tempdir().unwrap();
    project.write("r.tsv", "1\t2\t5\t10\n");
    project.write("p.yaml", "name: p\nstages:\n  a: {kind: read, path: r.tsv}\n");
    fs::create_dir_all(project.path("outputs/p")).unwrap();
    symlink(elsewhere.path(), project.path("outputs/p/a")).unwrap();
    let ran = project.ncf(&["-q", "run", "p.yaml"]).ends(3);
    says(&ran.err, &["outputs/p/a"]);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_users_own_file_in_the_outputs_is_not_overwritten() {
    let project = Project::new();
    project.write("r.tsv", "1\t2\t5\t10\n");
    project.write("p.yaml", "name: p\nstages:\n  a: {kind: read, path: r.tsv}\n");
    project.write("outputs/p/a/interactions.parquet", "mine");
    let ran = project.ncf(&["-q", "run", "p.yaml"]).ends(3);
    says(&ran.err, &["interactions.parquet", "help"]);
    assert_eq!(fs::read(project.path("outputs/p/a/interactions.parquet")).unwrap(), b"mine");
}

#[test]
fn names_that_lead_out_of_the_outputs_are_refused() {
    let project = Project::new();
    for name in ["../x", "/etc", "a/b", "A", "a.", "a b", "-a", "con\u{0}", ""] {
        let text = format!("name: p\nstages:\n  {name:?}: {{kind: read, path: r.tsv}}\n");
        project.write("p.yaml", text);
        project.ncf(&["check", "p.yaml"]).ends(2);
        project.write("p.yaml", format!("name: {name:?}\nstages:\n  a: {{kind: read, path: r.tsv}}\n"));
        project.ncf(&["check", "p.yaml"]).ends(2);
    }
}

#[test]
fn hostile_yaml_is_refused_with_line_and_column() {
    let project = Project::new();
    let stage = "{kind: read, path: r.tsv}";
    let bomb: String = (b'b'..=b'i').fold("a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, c| {
        let (now, before) = (c as char, (c - 1) as char);
        text + &format!("{now}: &{now} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n")
    });
    for (text, words) in [
        (format!("name: p\nstages:\n  a: {stage}\n  a: {stage}\n"), &["p.yaml:4:3", "a"][..]),
        (format!("name: p\nstages: !!map\n  a: {stage}\n"), &["p.yaml:2"]),
        (format!("name: p\nbase: &b {stage}\nstages:\n  a: *b\n"), &["p.yaml:2"]),
        (format!("name: p\nstages:\n  a:\n    <<: {stage}\n"), &["p.yaml:4:5"]),
        (format!("name: p\nstages:\n  a: {stage}\n---\nname: q\n"), &["p.yaml:4"]),
        (format!("name: p\nseed: 1_000\nstages:\n  a: {stage}\n"), &["p.yaml:2:7", "1000"]),
        (format!("name: p\nseed: 0x10\nstages:\n  a: {stage}\n"), &["p.yaml:2:7"]),
        ("name: p\nstages:\n\ta: 1\n".to_owned(), &["p.yaml:3"]),
        (format!("name: p\nstage:\n  a: {stage}\n"), &["p.yaml:2:1", "stages"]),
        (format!("name: p\nstages:\n  a: {}", "{a: ".repeat(50_000)), &["p.yaml:3"]),
        (format!("name: p\nstages:\n  a: {}", "[".repeat(100_000)), &["p.yaml:3"]),
        (bomb, &["p.yaml:1"]),
        (String::new(), &["p.yaml"]),
        ("[]".to_owned(), &["p.yaml:1:1"]),
    ] {
        project.write("p.yaml", &text);
        let ran = project.ncf(&["check", "p.yaml"]).ends(2);
        says(&ran.err, words);
    }
    // A byte order mark is no mistake.
    project.write("p.yaml", format!("\u{feff}name: p\nstages:\n  a: {stage}\n"));
    project.ncf(&["check", "p.yaml"]).ends(0);
}

#[test]
fn an_edited_manifest_is_never_a_hit() {
    let project = Project::new();
    project.write("r.tsv", "1\t2\t5\t10\n1\t3\t5\t11\n");
    project.write("p.yaml", "name: p\nstages:\n  a: {kind: read, path: r.tsv}\n");
    let key = project.run("p.yaml", &[]).ends(0).json()["stages"][0]["key"].as_str().unwrap().to_owned();
    let path = project.path(&format!(".ncf-pipe/manifests/{}/{key}.json", &key[..2]));
    let good = fs::read_to_string(&path).unwrap();
    let edits: [(&str, &str); 4] = [
        ("\"schema\": 1", "\"schema\": 999"),
        ("interactions.parquet", "../../../x"),
        ("\"rows\": 2", "\"rows\": 3"),
        ("{", ""),
    ];
    for (from, to) in edits {
        assert!(good.contains(from), "{from} is not in {good}");
        fs::remove_file(&path).unwrap();
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let ran = project.run("p.yaml", &[]).ends(0);
        assert_eq!(ran.with("ran"), ["a"]);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), good.lines().count());
    }
}

#[test]
fn outputs_whose_name_is_no_text_are_reported_as_well_as_can_be() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let project = Project::new();
    project.write("r.tsv", "1\t2\t5\t10\n1\t3\t5\t11\n");
    project.write("p.yaml", "name: p\nstages:\n  a: {kind: read, path: r.tsv}\n");
    let mut command = project.command(&["-q", "run", "p.yaml", "--json", "--outputs"]);
    let ran = Ran::of(command.arg(OsStr::from_bytes(b"\xff\xfe")).output().unwrap()).ends(0);
    assert_eq!(ran.json()["stages"][0]["output"], "\u{fffd}\u{fffd}/p/a");
}

#[test]
fn a_lost_listing_of_the_outputs_does_not_put_them_in_the_way() {
    let project = Project::new();
    project.write("r.tsv", "1\t2\t5\t10\n1\t3\t5\t11\n");
    project.write("p.yaml", "name: p\nstages:\n  a: {kind: read, path: r.tsv}\n");
    project.run("p.yaml", &[]).ends(0);
    project.write("outputs/p/a/.ncf-pipe-view.json", "");
    project.write("r.tsv", "1\t2\t5\t10\n1\t3\t5\t12\n");
    project.run("p.yaml", &[]).ends(0);
    assert!(project.path("outputs/p/a/manifest.json").exists());
}

#[test]
fn a_source_that_changes_is_read_again_whatever_its_times_say() {
    let project = Project::new();
    let path = project.write("r.tsv", "1\t2\t5\t10\n1\t3\t5\t11\n");
    project.write("p.yaml", "name: p\nstages:\n  a: {kind: read, path: r.tsv}\n");
    project.run("p.yaml", &[]).ends(0);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(b"1\t2\t4").unwrap();
    // Same length, and the clock set back to what it was.
    file.set_modified(before).unwrap();
    drop(file);
    assert_eq!(project.run("p.yaml", &[]).ends(0).with("ran"), ["a"]);
}

#[test]
fn splits_that_cannot_be_made_say_why() {
    let project = Project::new();
    project.write("p.yaml", pipeline("path: r.csv"));
    project.write("r.csv", "user_id,item_id,rating\n1,2,5\n1,3,5\n1,4,5\n");
    says(&project.ncf(&["-q", "run", "p.yaml"]).ends(2).err, &["`d`", "timestamp"]);
    project.write("r.csv", "user_id,item_id,rating,timestamp\n1,2,5,1\n1,2,5,2\n1,4,5,3\n");
    says(&project.ncf(&["-q", "run", "p.yaml"]).ends(2).err, &["`d`", "deduplicate"]);
}

#[test]
fn a_user_who_has_seen_everything_gets_a_shorter_pool_and_nobody_hangs() {
    let project = Project::new();
    let mut rows: Vec<String> = (1..=5).map(|item| format!("1\t{item}\t5\t{item}\n")).collect();
    rows.push("2\t1\t5\t1\n2\t2\t5\t2\n2\t3\t5\t3\n".to_owned());
    project.write("r.tsv", rows.concat());
    project.write("p.yaml", pipeline("path: r.tsv").replace("negatives: 2", "negatives: 99"));
    let json = project.run("p.yaml", &[]).ends(0).json();
    let warnings = json["stages"][4]["warnings"].to_string();
    says(&warnings, &["2"]);
}
