//! The rules of the house, checked: which room may import which, and what only one room may do.

use std::fs;
use std::path::{Path, PathBuf};

const ROOMS: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("cache", &[]),
    ("stage", &[]),
    ("fetch", &[]),
    ("data", &[]),
    ("kernel", &[]),
    ("model", &["kernel"]),
    ("loss", &[]),
    ("metric", &[]),
    ("train", &["data", "model", "loss", "kernel"]),
    ("fit", &["data", "model"]),
    ("eval", &["data", "model", "metric", "kernel"]),
    ("artifacts", &["stage", "data", "model"]),
    ("stages", &["stage", "artifacts", "fetch", "data", "model", "loss", "metric", "train", "fit", "eval"]),
    ("pipeline", &["config", "cache", "stage"]),
    ("cli", &["pipeline", "stages", "stage", "artifacts", "config", "cache"]),
];

/// Crates that only these rooms may name.
const CRATES: &[(&str, &[&str])] = &[
    ("serde_yaml", &["config"]),
    ("saphyr_parser", &["config"]),
    ("petgraph", &["pipeline"]),
    ("pulp", &["kernel"]),
    ("polars", &["data", "artifacts", "stages"]),
    ("candle_core", &["model", "loss", "train"]),
    ("candle_nn", &["model", "loss", "train"]),
    ("faer", &["fit"]),
    ("clap", &["cli"]),
    ("comfy_table", &["cli"]),
    ("indicatif", &["cli"]),
    ("ureq", &["fetch"]),
    ("zip", &["fetch"]),
    ("sha2", &["fetch"]),
];

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            out.push(path);
        }
    }
}

/// Calls `check` with room, place and text of every line of code under `src`, without comments and unit tests.
fn each_line(mut check: impl FnMut(&str, &str, &str)) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (room, _) in ROOMS {
        let mut files = Vec::new();
        rust_files(&src.join(room), &mut files);
        assert!(!files.is_empty(), "room `{room}` is empty");
        for file in files.iter().filter(|file| !file.iter().any(|part| part == "tests" || part == "tests.rs")) {
            let text = fs::read_to_string(file).unwrap();
            let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
            for (n, line) in code.enumerate() {
                let place = format!("{}:{}", file.strip_prefix(&src).unwrap().display(), n + 1);
                if !line.trim_start().starts_with("//") {
                    check(room, &place, line);
                }
            }
        }
    }
}

fn words_after<'a>(line: &'a str, start: &str) -> Vec<&'a str> {
    let word_end = |s: &str| s.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(s.len());
    line.split(start).skip(1).map(|rest| &rest[..word_end(rest)]).collect()
}

#[test]
fn every_folder_of_src_is_a_room() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(src).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let room = entry.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(ROOMS.iter().any(|(name, _)| *name == room), "add `{room}` to ROOMS, and say what it may import");
    }
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut broken = Vec::new();
    each_line(|room, place, line| {
        // Grouped and climbing paths would slip past the check below.
        assert!(!line.contains("crate::{"), "{place}: write `use crate::room::thing;`, one room a line");
        let may = ROOMS.iter().find(|(name, _)| *name == room).unwrap().1;
        for word in words_after(line, "crate::") {
            let known = ROOMS.iter().any(|(name, _)| *name == word);
            if known && word != room && !may.contains(&word) {
                broken.push(format!("{place}: `{room}` imports `{word}`"));
            }
        }
    });
    assert!(broken.is_empty(), "the house rules are broken:\n{}", broken.join("\n"));
}

#[test]
fn crates_stay_in_their_rooms() {
    let mut broken = Vec::new();
    each_line(|room, place, line| {
        for (name, rooms) in CRATES {
            if line.contains(&format!("{name}::")) && !rooms.contains(&room) {
                broken.push(format!("{place}: `{room}` uses `{name}`"));
            }
        }
    });
    assert!(broken.is_empty(), "the house rules are broken:\n{}", broken.join("\n"));
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 500, "{} has {lines} lines: look for the seam", file.display());
    }
}
