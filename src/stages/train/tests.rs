//! What the stage does as a whole.

use std::collections::BTreeMap;
use std::path::Path;

use polars::df;

use super::*;
use crate::artifacts::split::SplitFrames;
use crate::data::csr::Csr;
use crate::data::frame::FrameMeta;
use crate::stage::{ArtifactDir, ContextParts, Device, FileRef, Input, Note, StageKind};

/// A finished run of a stage: its files and notes.
struct Finished {
    dir: ArtifactDir,
    notes: Vec<Note>,
}

/// Runs `work` in a fresh output directory below `root`.
fn stage(
    root: &Path,
    name: &str,
    change: impl FnOnce(&mut ContextParts<'_>),
    work: impl FnOnce(&Context<'_>) -> Result<()>,
) -> Result<Finished> {
    let (out, scratch) = (root.join(name), root.join("scratch"));
    std::fs::create_dir(&out).unwrap();
    std::fs::create_dir_all(&scratch).unwrap();
    let mut parts = ContextParts { seed: 1, scratch, ..ContextParts::in_dir(&out) };
    change(&mut parts);
    let context = Context::new(parts);
    work(&context)?;
    let (written, notes) = context.into_results();
    Ok(Finished { dir: ArtifactDir::written(name, &out, written), notes })
}

/// A split of 20 users and 15 items, each user with six items for training and one each to hold out.
fn split(root: &Path) -> ArtifactDir {
    let part = |of: std::ops::Range<i32>| {
        let rows = || (0..20).flat_map(|user| of.clone().map(move |k| (user, (user + 2 * k) % 15)));
        let (users, items): (Vec<i32>, Vec<i32>) = rows().unzip();
        df!("user_id" => users, "item_id" => items).unwrap()
    };
    let (train, valid, test) = (part(0..6), part(6..7), part(7..8));
    let finished = stage(
        root,
        "split",
        |_| {},
        |context| {
            let meta = FrameMeta::of("split").sized(20, 15);
            Split::write_parts(SplitFrames { train: &train, valid: &valid, test: &test }, &meta, context)
        },
    );
    finished.unwrap().dir
}

fn train(root: &Path, name: &str, change: impl FnOnce(&mut ContextParts<'_>)) -> Result<Finished> {
    let recipe = r#"{"model": {"kind": "gmf", "factors": 4}, "epochs": 3, "batch_size": 32}"#;
    let recipe: Train = serde_json::from_str(recipe).unwrap();
    let recipe = Stage::normalise(recipe).unwrap();
    let dir = root.join("split");
    let dir = if dir.exists() { reopened(&dir) } else { split(root) };
    let connect = |parts: &mut ContextParts<'_>| {
        let input = Input { stage: "split".to_owned(), cell: BTreeMap::new(), dir, runs: Vec::new() };
        parts.inputs.insert("split".to_owned(), vec![input]);
        change(parts);
    };
    stage(root, name, connect, |context| Stage::run(&recipe, context))
}

fn reopened(dir: &Path) -> ArtifactDir {
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let digest = blake3::hash(&bytes).to_hex().to_string();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), FileRef { path, digest, size: bytes.len() as u64 })
    };
    ArtifactDir::new("split".to_owned(), std::fs::read_dir(dir).unwrap().map(file).collect())
}

fn digests(finished: &Finished) -> BTreeMap<String, String> {
    finished.dir.files.iter().map(|(name, file)| (name.clone(), file.digest.clone())).collect()
}

#[test]
fn the_stage_writes_a_model_that_can_be_used_and_notes_how_it_went() {
    let root = tempfile::tempdir().unwrap();
    let finished = train(root.path(), "train", |_| {}).unwrap();
    let model: Model = crate::stage::Artifact::load(&finished.dir).unwrap();
    let scorer = model.scorer(&Csr::union(0, 0, &[]).unwrap()).unwrap();
    assert_eq!((scorer.n_users(), scorer.n_items()), (20, 15));
    let fact = |name: &str| {
        let facts = finished.notes.iter().filter_map(|note| match note {
            Note::Fact(fact, value) if fact == name => Some(value.clone()),
            _ => None,
        });
        facts.collect::<Vec<_>>().pop().unwrap()
    };
    // 120 positives, each with 4 negatives, 3 times.
    assert_eq!((fact("samples"), fact("epochs")), (1800.into(), 3.into()));
    assert_eq!(fact("engine"), "fused");
    assert!(fact("valid_loss").is_f64());
}

#[test]
fn the_files_depend_on_the_seed_alone() {
    let root = tempfile::tempdir().unwrap();
    let one = digests(&train(root.path(), "one", |_| {}).unwrap());
    assert_eq!(digests(&train(root.path(), "two", |parts| parts.device = Device::Cpu).unwrap()), one);
    let other = digests(&train(root.path(), "other", |parts| parts.seed = 2).unwrap());
    assert_ne!(other["model.safetensors"], one["model.safetensors"]);
    assert_eq!(other["config.json"], one["config.json"]);
}

#[test]
fn a_cancelled_stage_goes_on_later_with_the_same_result() {
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = digests(&train(other.path(), "whole", |_| {}).unwrap());
    let stopped = train(root.path(), "stopped", |parts| parts.cancel.cancel()).err().unwrap();
    assert_eq!(stopped.class, Class::Cancelled);
    let resumed = train(root.path(), "resumed", |_| {}).unwrap();
    assert_eq!(digests(&resumed), whole);
    assert!(resumed.notes.contains(&Note::Fact("resumed_in_epoch".to_owned(), 1.into())));
}

#[test]
fn a_gpu_that_is_named_and_not_there_is_no_reason_to_train_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    let refused = train(root.path(), "train", |parts| parts.device = Device::Cuda(usize::MAX)).err().unwrap();
    assert!(refused.message.starts_with("on the GPU: "), "{refused}");
    assert!(train(root.path(), "auto", |parts| parts.device = Device::Auto).is_ok());
}

#[test]
fn parameters_that_cannot_work_are_refused_with_their_path() {
    let decode = StageKind::of::<Train>().decode;
    let refused = |params| decode(params).err().unwrap().path;
    let gmf = serde_json::json!({"kind": "gmf", "factors": 0});
    assert_eq!(refused(serde_json::json!({ "model": gmf })), ["model", "factors"]);
    let adam = serde_json::json!({"kind": "adam", "epsilon": 0});
    assert_eq!(refused(serde_json::json!({"model": {"kind": "gmf"}, "optimizer": adam})), ["optimizer", "epsilon"]);
}
