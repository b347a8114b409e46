//! Preparation in hardly any memory writes the bytes that it writes in plenty.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::support::Project;

/// Rows with repeated pairs, equal times, and users and items that a core drops; `text` decides about ids.
fn ratings(text: bool) -> String {
    let mut lines = String::new();
    for row in 0..60_000_u64 {
        let x = row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        // The square of a uniform number: a few are popular.
        let small = |n: u64, shift: u32| ((x >> shift) % 1000).pow(2) * n / 1_000_000;
        let (user, item) = (small(1500, 3), small(900, 17));
        let (rating, time) = (x % 5 + 1, 1_000_000 + x % 97);
        let user = if text && row > 40_000 { format!("u{user}") } else { user.to_string() };
        let _ = writeln!(lines, "{user}\t{item}\t{rating}\t{time}");
    }
    lines
}

fn pipeline(filter: &str, split: &str) -> String {
    format!(
        "name: memory
seed: 3
stages:
  ratings: {{kind: read, path: ratings.tsv}}
  positives: {{kind: binarise, inputs: {{interactions: ratings}}, threshold: 3}}
  enough: {{kind: filter, inputs: {{interactions: positives}}, {filter}}}
  ids: {{kind: remap, inputs: {{interactions: enough}}}}
  split: {{kind: split, inputs: {{dataset: ids}}, {split}}}
  pool: {{kind: negative_pool, inputs: {{split: split}}, eval: {{negatives: 20}}, train: {{negatives: 2}}}}
  popular:
    kind: negative_pool
    inputs: {{split: split}}
    exclude: train
    short_pool: with_replacement
    eval: {{negatives: 40, sampling: popularity}}
    train: {{negatives: 3, sampling: popularity}}
"
    )
}

/// The digests of all Parquet files below a directory.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for stage in std::fs::read_dir(dir).unwrap().flatten() {
        for file in std::fs::read_dir(stage.path()).unwrap().flatten() {
            let name = file.path().strip_prefix(dir).unwrap().display().to_string();
            if name.ends_with(".parquet") {
                found.insert(name, blake3::hash(&std::fs::read(file.path()).unwrap()).to_hex().to_string());
            }
        }
    }
    found
}

#[test]
fn every_stage_writes_the_same_bytes_in_hardly_any_memory() {
    let cases = [
        (false, "k_core: 5", "strategy: leave_one_out"),
        (true, "deduplicate: first, k_core: 12", "strategy: leave_last_n, valid_n: 2, test_n: 3"),
        (false, "deduplicate: max, min_user_interactions: 4", "strategy: ratio, order: random"),
        (true, "min_item_interactions: 30", "strategy: ratio, test: 0.3"),
        (false, "deduplicate: last", "strategy: global_time, valid: 0.1, test: 0.2"),
        (true, "k_core: 8", "strategy: global_time, valid_at: 1000070, test_at: 1000080"),
    ];
    for (text, filter, split) in cases {
        let project = Project::new();
        project.write("ratings.tsv", ratings(text));
        project.write("p.yaml", pipeline(filter, split));
        let run = |name: &str, more: &[&str]| {
            let places = ["--store", &format!("{name}-store"), "--outputs", name].map(str::to_owned);
            let mut args = vec!["run", "p.yaml", "-j", "1"];
            args.extend(places.iter().map(String::as_str));
            args.extend(more);
            let ran = project.command(&args).output().unwrap();
            assert!(ran.status.success(), "{filter}, {split}: {}", String::from_utf8_lossy(&ran.stderr));
        };
        run("plenty", &[]);
        run("little", &["--memory", "300KB"]);
        // One stage at a time: nothing is left in memory by the one before.
        for stage in ["ratings", "positives", "enough", "ids", "split", "pool", "popular"] {
            run("steps", &["--memory", "300KB", "--only", stage]);
        }
        let [plenty, little, steps] =
            ["plenty", "little", "steps"].map(|name| files(&project.path(name).join("memory")));
        assert!(plenty.len() > 14, "{plenty:?}");
        assert_eq!(plenty, little, "{filter}, {split}");
        assert_eq!(plenty, steps, "{filter}, {split}");
    }
}

#[test]
fn training_and_fitting_that_need_more_memory_than_there_is_are_refused_with_what_to_change() {
    let project = Project::new();
    let rows: String =
        (0..40).flat_map(|user| (0..10).map(move |k| format!("{user},{},5,{k}\n", (user * 7 + k * 3) % 60))).collect();
    project.write("r.csv", format!("user_id,item_id,rating,timestamp\n{rows}"));
    project.write(
        "p.yaml",
        "name: p
seed: 1
stages:
  ratings: {kind: read, path: r.csv}
  positives: {kind: binarise, inputs: {interactions: ratings}, threshold: 1}
  ids: {kind: remap, inputs: {interactions: positives}}
  split: {kind: split, inputs: {dataset: ids}, strategy: leave_one_out}
  gmf: {kind: train, inputs: {split: split}, model: {kind: gmf, factors: 8}, epochs: 1}
  ease: {kind: fit, inputs: {split: split}, model: {kind: ease, regularisation: 10}}
",
    );
    project.run("p.yaml", &["--only", "split"]).ends(0);
    for (stage, takes, change) in [
        (
            "gmf",
            "training GMF with 40 users and 60 items takes about 52.3 kB of memory, and there are 20.0 kB",
            "factors",
        ),
        ("ease", "EASE for 40 users and 60 items takes about 43.2 kB of memory, and there are 20.0 kB", "`item_knn`"),
    ] {
        let ran = project.run("p.yaml", &["--memory", "20kB", "--only", stage]).ends(2);
        assert_eq!(ran.with("failed"), [stage]);
        assert!(ran.err.contains(takes) && ran.err.contains(change), "{}", ran.err);
    }
    // What is enough is enough, and the limit is no part of any key.
    project.run("p.yaml", &["--memory", "1GB"]).ends(0);
    assert_eq!(project.run("p.yaml", &[]).ends(0).with("fresh").len(), 6);
}
