//! Files that commands are told to write: nothing that was there is lost by a slip.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};

use crate::support::Project;

const PIPELINE: &str = "
name: p
stages:
  read: {kind: read, path: in.tsv, format: tsv}
  ids: {kind: remap, inputs: {interactions: read}}
";

fn project() -> Project {
    let project = Project::new();
    project.write("in.tsv", "1\t1\n1\t2\n2\t1\n");
    project.write("p.yaml", PIPELINE);
    project.run("p.yaml", &[]).ends(0);
    project
}

#[test]
fn what_a_pipeline_reads_or_has_stored_is_not_written_over() {
    let project = project();
    symlink("p.yaml", project.path("link")).unwrap();
    let first = |dir: &str| walk(&project.path(dir)).remove(0);
    let (stored, shown) = (first(".ncf-pipe/blobs"), first("outputs/p/ids"));
    for (file, what) in [
        ("p.yaml", "the pipeline file"),
        ("./p.yaml", "the pipeline file"),
        ("link", "the pipeline file"),
        ("in.tsv", "a file that the stage `read` reads"),
        (stored.as_str(), "the store"),
        (".ncf-pipe/new.html", "the store"),
        (shown.as_str(), "the outputs of the stage `ids`"),
    ] {
        let before = fs::read(project.path(file)).ok();
        let commands = [vec!["report", "p.yaml", "-o", file], vec!["run", "p.yaml", "--events", file]];
        for command in commands {
            let said = project.ncf(&command).ends(2).err;
            assert!(said.contains(&format!("would write over {what}")), "{command:?}: {said}");
            assert_eq!(fs::read(project.path(file)).ok(), before, "{command:?}");
        }
    }
    project.ncf(&["store", "verify"]).ends(0);
}

/// All files below a directory.
fn walk(dir: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] }).collect()
}

#[test]
fn a_page_goes_through_links_and_into_pipes() {
    let project = project();
    project.write("real.html", "old");
    symlink("real.html", project.path("page.html")).unwrap();
    project.ncf(&["report", "p.yaml", "-o", "page.html"]).ends(0);
    assert!(project.path("page.html").is_symlink());
    assert!(fs::read_to_string(project.path("real.html")).unwrap().contains("<html"));
    project.ncf(&["report", "p.yaml", "-o", "/dev/null"]).ends(0);
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let said = project.ncf(&["report", "p.yaml", "-o", "/dev/full"]).ends(3).err;
    assert!(said.contains("/dev/full"), "{said}");
    assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
}

#[test]
fn outputs_are_neither_in_the_store_nor_in_the_place_of_a_file() {
    let project = project();
    let said = project.run("p.yaml", &["--outputs", ".ncf-pipe/blobs"]).ends(2).err;
    assert!(said.contains("would be in the store"), "{said}");
    fs::remove_dir_all(project.path("outputs/p/ids")).unwrap();
    project.write("outputs/p/ids", "mine");
    let said = project.run("p.yaml", &[]).ends(3).err;
    assert!(said.contains("is in the way of the outputs") && said.contains("move it away"), "{said}");
    assert_eq!(fs::read_to_string(project.path("outputs/p/ids")).unwrap(), "mine");
}

#[test]
fn what_cannot_be_followed_is_refused_before_anything_runs() {
    let project = project();
    let pipe = project.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let refused = project.run("p.yaml", &["--events", "pipe"]).ends(2);
    assert!(refused.err.contains("`--events pipe` is a pipe"), "{}", refused.err);
    let refused = project.run("p.yaml", &["--tensorboard", "in.tsv"]).ends(2);
    assert!(refused.err.contains("`--tensorboard in.tsv` would write over a file that the stage `read` reads"));
    let refused = project.run("p.yaml", &["--tensorboard", ".ncf-pipe/curves"]).ends(2);
    assert!(refused.err.contains("would write over the store"), "{}", refused.err);
    project.write("file", "");
    let refused = project.run("p.yaml", &["--tensorboard", "file/curves"]).ends(3);
    assert!(refused.err.contains("give `--tensorboard` a directory"), "{}", refused.err);
}

#[test]
fn events_that_cannot_be_written_down_are_told_of_at_the_end() {
    let project = project();
    let ran = project.run("p.yaml", &["--events", "/dev/full"]).ends(3);
    assert!(ran.err.contains("error: events or curves of the run are not all written down"), "{}", ran.err);
    let report = ran.json();
    assert!(report["ok"] == true && report["error"].as_str().unwrap().contains("No space left"), "{report}");
    // The run was whole.
    assert!(project.run("p.yaml", &[]).ends(0).with("ran").is_empty());
}

#[test]
fn whoever_asks_for_json_gets_it_of_a_failure_too() {
    let project = project();
    project.write("gone.yaml", "name: gone\nstages:\n  rows: {kind: read, path: none.tsv}\n");
    for (args, said, pipeline) in [
        (&["plan", "none.yaml", "--json"][..], "none.yaml", Some("none.yaml")),
        (&["show", "p.yaml", "nothing", "--json"], "nothing", Some("p.yaml")),
        (&["compare", "p.yaml", "--json"], "no results yet", Some("p.yaml")),
        (&["store", "ls", "--json", "--store", "none"], "there is no store", None),
        (&["plan", "gone.yaml", "--json"], "none.tsv", Some("gone")),
        (&["run", "gone.yaml", "--json"], "none.tsv", Some("gone")),
    ] {
        let answer = project.ncf(args).ends(2).json();
        assert!(answer["ok"] == false && answer["error"].as_str().unwrap().contains(said), "{args:?}: {answer}");
        assert_eq!(answer.get("pipeline").and_then(|name| name.as_str()), pipeline, "{args:?}: {answer}");
    }
    assert_eq!(project.ncf(&["plan", "p.yaml", "--json"]).ends(0).json()["ok"], true);
}

#[test]
fn a_command_that_is_advised_has_the_options_of_the_one_that_failed() {
    let project = Project::new();
    let quickstart = fs::read_to_string(crate::support::repository().join("pipelines/quickstart.yaml")).unwrap();
    project.write("q.yaml", quickstart);
    let options = ["--set", "epochs=2", "--store", "else where", "--outputs", "out"];
    let said = project.ncf(&[&["compare", "q.yaml"][..], &options].concat()).ends(2).err;
    let expected = "`ncf-pipe run q.yaml --set epochs=2 --store 'else where' --outputs out`";
    assert!(said.contains(expected), "{said}");
}
