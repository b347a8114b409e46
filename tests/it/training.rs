//! Training through the program: interruption, longer runs, runs that start over.

use std::fs;
use std::time::Instant;

use crate::support::Project;

const PIPELINE: &str = r"
name: training
seed: 3
params: {epochs: 4, kind: neumf}
stages:
  ratings: {kind: synthesize, users: 120, items: 80, interactions: 4000}
  positives: {kind: binarise, inputs: {interactions: ratings}, threshold: 4}
  ids: {kind: remap, inputs: {interactions: positives}}
  split: {kind: split, inputs: {dataset: ids}, strategy: leave_one_out}
  train:
    kind: train
    inputs: {split: split}
    model: {kind: '${kind}', factors: 8}
    epochs: ${epochs}
    batch_size: 32
    validation: {every_steps: 100, metric: ndcg@10, keep: best}
  evaluate: {kind: evaluate, inputs: {model: train, split: split}, k: [10]}
";

fn project() -> Project {
    let project = Project::new();
    project.write("p.yaml", PIPELINE);
    project
}

/// The bytes of what training and evaluation wrote.
fn bytes(project: &Project) -> Vec<Vec<u8>> {
    let files =
        ["train/model.safetensors", "train/history.parquet", "evaluate/metrics.json", "evaluate/per_user.parquet"];
    files.map(|name| fs::read(project.path("outputs/training").join(name)).unwrap()).into()
}

/// The facts that the manifest of a stage keeps.
fn fact(project: &Project, name: &str) -> serde_json::Value {
    let text = fs::read_to_string(project.path("outputs/training/train/manifest.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["facts"][name].clone()
}

/// Kills runs of the pipeline at so many random moments, and compares what comes of them with a run that is left alone.
#[allow(clippy::disallowed_methods, reason = "a kill at a moment that nothing in the program determines")]
fn is_the_same_after_kills(pipeline: &str, kills: u32, epochs: u32) {
    let project = || {
        let project = Project::new();
        project.write("p.yaml", pipeline);
        project
    };
    let (whole, mut killed) = (project(), project());
    let epochs = format!("epochs={epochs}");
    let epochs = ["--set", &epochs];
    let begun = Instant::now();
    whole.run("p.yaml", &epochs).ends(0);
    let mut lasted = begun.elapsed();
    let mut interrupted = 0;
    for kill in 0..kills {
        let mut child = killed.command(&[&["-q", "run", "p.yaml"], &epochs[..]].concat()).spawn().unwrap();
        // From before the first stage to near the end of a run that is not interrupted.
        std::thread::sleep(lasted.mul_f64(f64::from(kill * 7 % 20) / 20.0));
        let was_running = child.try_wait().unwrap().is_none();
        // Now and then the signal that lets it save, else the one that does not.
        let signal = if kill % 5 == 4 { "-INT" } else { "-KILL" };
        let _ = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        child.wait().unwrap();
        if was_running {
            interrupted += 1;
        } else {
            // The machine was slower when the time was taken: anew, and earlier.
            (killed, lasted) = (project(), lasted / 2);
        }
    }
    assert!(interrupted > kills / 6, "{interrupted}");
    killed.run("p.yaml", &epochs).ends(0);
    assert!(bytes(&killed) == bytes(&whole));
}

#[test]
fn a_training_that_is_killed_at_random_moments_ends_with_the_bytes_of_one_that_is_not() {
    is_the_same_after_kills(PIPELINE, 20, 60);
}

#[test]
fn a_fit_by_sweeps_that_is_killed_at_random_moments_ends_with_the_bytes_of_one_that_is_not() {
    let at = (PIPELINE.find("  train:").unwrap(), PIPELINE.find("  evaluate:").unwrap());
    let fit = "  train: {kind: fit, inputs: {split: split}, model: {kind: ials, factors: 24, sweeps: '${epochs}'}}\n";
    let pipeline = [&PIPELINE[..at.0], fit, &PIPELINE[at.1..]].concat().replace(", kind: neumf", "");
    is_the_same_after_kills(&pipeline, 10, 300);
}

#[test]
fn more_epochs_continue_a_finished_run_and_end_as_if_there_had_been_so_many_from_the_start() {
    let (grown, whole) = (project(), project());
    grown.run("p.yaml", &[]).ends(0);
    let longer = ["--set", "epochs=6"];
    let ran = grown.run("p.yaml", &longer).ends(0);
    assert_eq!(ran.with("ran"), ["train", "evaluate"]);
    assert_eq!(fact(&grown, "resumed_in_epoch"), 5);
    assert!(ran.err.contains("goes on from the checkpoint of an earlier run, in epoch 5 of 6"), "{}", ran.err);
    whole.run("p.yaml", &longer).ends(0);
    assert!(bytes(&grown) == bytes(&whole));
}

#[test]
fn a_forced_run_starts_over() {
    let project = project();
    project.run("p.yaml", &[]).ends(0);
    let samples = fact(&project, "samples");
    let first = bytes(&project);
    project.run("p.yaml", &["--force", "train"]).ends(0);
    assert_eq!(fact(&project, "samples"), samples);
    assert_eq!(fact(&project, "resumed_in_epoch"), serde_json::Value::Null);
    assert!(bytes(&project) == first);
}

#[test]
fn both_engines_learn_the_same_and_are_told_apart_in_the_manifest_only() {
    let project = project();
    let with =
        |engine: &str| PIPELINE.replace("    batch_size: 32\n", &format!("    batch_size: 32\n    engine: {engine}\n"));
    project.write("p.yaml", with("reference"));
    let slow = project.run("p.yaml", &["--set", "epochs=1"]).ends(0);
    assert_eq!(fact(&project, "engine"), "reference");
    project.write("p.yaml", with("fused"));
    let same = project.run("p.yaml", &["--set", "epochs=1"]).ends(0);
    assert_eq!(same.with("fresh").len(), slow.statuses().len(), "the engine is no part of the key");
    project.run("p.yaml", &["--set", "epochs=1", "--force", "train"]).ends(0);
    assert_eq!(fact(&project, "engine"), "fused");
}

/// Columns of a Parquet file that a stage wrote.
fn column(project: &Project, file: &str, name: &str) -> Vec<Option<f64>> {
    let bytes = fs::read(project.path("outputs/training").join(file)).unwrap();
    let (frame, _) = ncf_pipe::data::frame::read_parquet(bytes, None).unwrap();
    frame.column(name).unwrap().f64().unwrap().iter().collect()
}

#[test]
fn an_epoch_may_be_chosen_on_the_test_part_as_papers_do_and_everything_says_so() {
    let project = Project::new();
    let pool = "  pool: {kind: negative_pool, inputs: {split: split}, eval: {negatives: 20}}\n  train:";
    let on_test = PIPELINE
        .replace("  train:", pool)
        .replace("inputs: {split: split}\n    model", "inputs: {split: split, candidates: pool}\n    model")
        .replace("{every_steps: 100, metric: ndcg@10, keep: best}", "{metric: hr@10, on: '${on}', keep: '${keep}'}")
        .replace(
            "{model: train, split: split}, k: [10]",
            "{model: train, split: split, pool: pool}, k: [10], full: true",
        )
        .replace("{epochs: 4, ", "{epochs: 4, on: test, keep: best, ");
    project.write("p.yaml", on_test + "  results: {kind: compare, inputs: {runs: [evaluate]}}\n");
    let table = || fs::read_to_string(project.path("outputs/training/results/table.txt")).unwrap();
    let note = "The epochs of all runs were chosen on the test part, which judges them here.";
    let hit_rate = || {
        let metrics = fs::read(project.path("outputs/training/evaluate/metrics.json")).unwrap();
        let metrics: serde_json::Value = serde_json::from_slice(&metrics).unwrap();
        (metrics["protocols"]["sampled"]["metrics"]["hr@10"].as_f64().unwrap(), metrics["chosen_on"].clone())
    };
    let seen = || column(&project, "train/history.parquet", "valid_hr_10").into_iter().flatten().collect::<Vec<f64>>();

    // What validation says of an epoch is what the evaluation says of its weights.
    let ran = project.run("p.yaml", &[]).ends(0);
    let (best, chosen_on) = hit_rate();
    assert_eq!(seen().len(), 4);
    assert!((seen().into_iter().fold(0.0, f64::max) - best).abs() < 1e-12, "{:?} {best}", seen());
    assert_eq!(chosen_on, "test");
    assert!(table().contains(note), "{}", table());
    let warned = ran.out.contains("chosen on the test part") || ran.err.contains("chosen on the test part");
    assert!(warned, "{}", ran.err);

    // Without a choice there is nothing to say.
    project.run("p.yaml", &["--set", "keep=last"]).ends(0);
    let (last, chosen_on) = hit_rate();
    assert!((seen()[3] - last).abs() < 1e-12);
    assert!(chosen_on.is_null() && !table().contains(note));

    // The validation part is another one.
    project.run("p.yaml", &["--set", "on=valid"]).ends(0);
    assert!(hit_rate().1.is_null());
}

#[test]
fn beginning_with_a_model_of_other_rows_is_warned_of() {
    let project = Project::new();
    project.write(
        "p.yaml",
        r"
name: start
seed: 1
stages:
  ratings: {kind: synthesize, users: 40, items: 30, interactions: 500}
  ids: {kind: remap, inputs: {interactions: ratings}}
  one: {kind: split, inputs: {dataset: ids}, strategy: leave_one_out}
  other: {kind: split, inputs: {dataset: ids}, strategy: ratio, order: random, test: 0.2}
  before: {kind: train, inputs: {split: other}, model: {kind: gmf, factors: 4}, epochs: 1}
  after: {kind: train, inputs: {split: one, start: before}, model: {kind: gmf, factors: 4}, epochs: 1}
  same: {kind: train, inputs: {split: other, start: before}, model: {kind: gmf, factors: 4}, epochs: 2}
  later: {kind: train, inputs: {split: one, start: after}, model: {kind: gmf, factors: 4}, epochs: 1}
  judge_same: {kind: evaluate, inputs: {model: same, split: other}, k: [5]}
  judge_later: {kind: evaluate, inputs: {model: later, split: one}, k: [5]}
",
    );
    let ran = project.run("p.yaml", &[]).ends(0);
    assert!(ran.err.contains("`after`: the model connected as `start` was trained on other rows"), "{}", ran.err);
    assert!(!ran.err.contains("`same`: the model connected"), "{}", ran.err);
    // Who judges it is told as well, however many models lie between.
    assert!(ran.err.contains("`judge_later`: the model began with one that was trained on other rows"), "{}", ran.err);
    assert!(!ran.err.contains("`judge_same`: the model began"), "{}", ran.err);
}
