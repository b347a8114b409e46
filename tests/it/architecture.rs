//! The rules of the house, checked: which room may import which, and what only one room may do.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::repository;

/// Every room, the crate that it lies in (`.` is the package at the top), and the rooms that it may import.
const ROOMS: &[(&str, &str, &[&str])] = &[
    ("fault", "crates/fault", &[]),
    ("config", "crates/engine", &["fault"]),
    ("cache", "crates/engine", &["fault"]),
    ("stage", "crates/engine", &["fault"]),
    ("pipeline", "crates/engine", &["fault", "config", "cache", "stage"]),
    ("data", "crates/data", &["fault"]),
    ("kernel", "crates/kernel", &[]),
    ("gpu", "crates/gpu", &["kernel"]),
    ("emulation", "crates/emulation", &["gpu"]),
    ("model", "crates/learn", &["fault", "kernel"]),
    ("loss", "crates/learn", &[]),
    ("metric", "crates/learn", &[]),
    ("train", "crates/learn", &["fault", "data", "model", "loss", "kernel", "gpu"]),
    ("fit", "crates/learn", &["fault", "data", "model"]),
    ("eval", "crates/learn", &["fault", "data", "model", "metric", "kernel", "gpu"]),
    ("stats", "crates/stats", &[]),
    ("figures", "crates/figures", &[]),
    ("page", "crates/page", &[]),
    ("fetch", ".", &[]),
    ("artifacts", ".", &["stage", "data", "model", "figures"]),
    (
        "stages",
        ".",
        &["stage", "artifacts", "fetch", "data", "model", "loss", "metric", "train", "fit", "eval", "stats", "figures"],
    ),
    ("cli", ".", &["fault", "pipeline", "stages", "stage", "artifacts", "config", "cache", "stats", "figures", "page"]),
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
    ("cudarc", &["gpu"]),
    ("libloading", &["gpu", "emulation"]),
    ("faer", &["fit"]),
    ("clap", &["cli"]),
    ("comfy_table", &["cli"]),
    ("indicatif", &["cli"]),
    ("ureq", &["fetch"]),
    ("zip", &["fetch"]),
    ("sha2", &["fetch", "page"]),
    ("maud", &["page"]),
    ("resvg", &["figures"]),
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

fn top() -> &'static Path {
    repository()
}

/// Where a room lies: in a crate that is one room, all of its `src`; else a folder of it.
fn folder(room: &str, home: &str) -> PathBuf {
    let src = top().join(home).join("src");
    let alone = ROOMS.iter().filter(|(_, other, _)| *other == home).count() == 1;
    if alone { src } else { src.join(room) }
}

/// Calls `check` with room, place and text of every line of code of the rooms, without comments and unit tests.
fn each_line(mut check: impl FnMut(&str, &str, &str)) {
    for (room, home, _) in ROOMS {
        let mut files = Vec::new();
        rust_files(&folder(room, home), &mut files);
        assert!(!files.is_empty(), "room `{room}` is empty");
        for file in files.iter().filter(|file| !file.iter().any(|part| part == "tests" || part == "tests.rs")) {
            let text = fs::read_to_string(file).unwrap();
            let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
            for (n, line) in code.enumerate() {
                let place = format!("{}:{}", file.strip_prefix(top()).unwrap().display(), n + 1);
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

fn folders(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
}

#[test]
fn every_crate_and_every_folder_of_a_shared_one_is_a_room() {
    let homes = folders(&top().join("crates")).map(|path| format!("crates/{}", path.file_name().unwrap().display()));
    for home in homes.chain([".".to_owned()]) {
        let rooms: Vec<&str> = ROOMS.iter().filter(|(_, other, _)| *other == home).map(|(room, ..)| *room).collect();
        assert!(!rooms.is_empty(), "add `{home}` to ROOMS, and say what it may import");
        if rooms.len() > 1 {
            for path in folders(&top().join(&home).join("src")) {
                let room = path.file_name().unwrap().to_str().unwrap().to_owned();
                assert!(rooms.contains(&room.as_str()), "add `{room}` to ROOMS, and say what it may import");
            }
        }
    }
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut broken = Vec::new();
    each_line(|room, place, line| {
        let (_, home, may) = ROOMS.iter().find(|(name, ..)| *name == room).unwrap();
        let alone = ROOMS.iter().filter(|(_, other, _)| other == home).count() == 1;
        // Grouped and climbing paths would slip past the check below.
        assert!(alone || !line.contains("crate::{"), "{place}: write `use crate::room::thing;`, one room a line");
        // In a crate that is one room, `crate::` leads nowhere else.
        let inside = if alone { Vec::new() } else { words_after(line, "crate::") };
        for word in inside.into_iter().chain(words_after(line, "ncf_pipe_")) {
            let known = ROOMS.iter().any(|(name, ..)| *name == word);
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
    rust_files(&top().join("src"), &mut files);
    rust_files(&top().join("crates"), &mut files);
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 500, "{} has {lines} lines: look for the seam", file.display());
    }
}

/// What the compiler leaves out of the function for which an instruction set was chosen is compiled without it, and then each
/// vector instruction in it is a call: right, but ten times as slow, and no other test would see it.
#[test]
#[cfg(target_arch = "x86_64")]
fn no_vector_instruction_is_a_function() {
    // How candle converts bf16.
    const OTHERS: &[&str] = &["_mm256_loadu_ps", "_mm256_storeu_ps", "_mm256_cvtpbh_ps", "_mm256_cvtneps_pbh"];
    let program = fs::read(env!("CARGO_BIN_EXE_ncf-pipe")).unwrap();
    let names: Vec<&str> = program.split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok()).collect();
    let kernel = names.iter().filter(|name| name.contains("15ncf_pipe_kernel")).count();
    assert!(kernel > 10, "the program has no symbols to check");
    let mut alone: Vec<&str> =
        names.into_iter().filter(|name| name.contains("_mm512_") || name.contains("_mm256_")).collect();
    alone.retain(|name| !OTHERS.iter().any(|other| name.contains(other)));
    assert!(
        alone.is_empty(),
        "these are called one by one; make a loop of `for_each`, and a function with `#[inline(always)]` of the closure around \
         them: {alone:#?}"
    );
}
