use std::collections::BTreeMap;
use std::path::Path;

use polars::prelude::df;
use serde_json::{Value, json};

use super::*;
use crate::artifacts::interactions::Interactions;
use crate::artifacts::split::SplitFrames;
use crate::stage::{ArtifactDir, ContextParts, DynStage, Input, Note, StageKind};
use crate::stages::{Binarise, Filter, Remap};

/// Runs `work` as a stage with this input, and gives its output and what it noted.
fn run(
    out: &Path,
    name: &str,
    input: Option<(&str, &ArtifactDir)>,
    work: impl FnOnce(&Context<'_>) -> Result<()>,
) -> Result<(ArtifactDir, Vec<Note>)> {
    let out = out.join(name);
    std::fs::create_dir(&out).unwrap();
    let input = input.map(|(port, dir)| {
        (
            port.to_owned(),
            vec![Input { stage: dir.producer.clone(), cell: BTreeMap::new(), dir: dir.clone(), runs: Vec::new() }],
        )
    });
    let context =
        Context::new(ContextParts { seed: 7, inputs: input.into_iter().collect(), ..ContextParts::in_dir(&out) });
    work(&context)?;
    let (written, notes) = context.into_results();
    Ok((ArtifactDir::written(name, &out, written), notes))
}

fn stage<S: Stage>(params: Value) -> Result<Box<dyn DynStage>, ParamError> {
    (StageKind::of::<S>().decode)(params)
}

fn params(params: Value) -> Result<Value, ParamError> {
    stage::<SplitStage>(params).map(|stage| stage.params())
}

fn fact(notes: &[Note], name: &str) -> Value {
    let value = |note: &Note| match note {
        Note::Fact(key, value) if key == name => Some(value.clone()),
        _ => None,
    };
    notes.iter().find_map(value).unwrap()
}

/// Users 10 and 20 like items 1 to 5 and 1 to 2, and do not like item 9; user 20 has item 1 twice.
fn ratings() -> polars::prelude::DataFrame {
    df!(
        "user_id" => [10i64, 10, 10, 10, 10, 10, 20, 20, 20],
        "item_id" => [1i64, 2, 3, 4, 5, 9, 1, 1, 2],
        "rating" => [4.0f32, 5.0, 4.0, 5.0, 4.0, 1.0, 4.0, 5.0, 5.0],
        "timestamp" => [1i64, 2, 3, 4, 4, 5, 1, 2, 3],
    )
    .unwrap()
}

#[test]
fn ratings_become_a_split_that_is_read_back() {
    let root = tempfile::tempdir().unwrap();
    let made = |name: &str, input: Option<(&str, &ArtifactDir)>, stage: Box<dyn DynStage>| {
        run(root.path(), name, input, |context| stage.run(context)).unwrap()
    };
    let write = |context: &Context<'_>| Interactions::write(&ratings(), &FrameMeta::of("read"), context);
    let (read, _) = run(root.path(), "read", None, write).unwrap();
    let binarise = stage::<Binarise>(json!({ "threshold": 4 })).unwrap();
    let (positives, notes) = made("binarise", Some(("interactions", &read)), binarise);
    assert_eq!(
        (fact(&notes, "rows_in"), fact(&notes, "rows"), fact(&notes, "dropped")),
        (9.into(), 8.into(), 1.into())
    );
    let (filtered, notes) = made("filter", Some(("interactions", &positives)), stage::<Filter>(json!({})).unwrap());
    assert_eq!((fact(&notes, "rows"), fact(&notes, "duplicates")), (7.into(), 1.into()));
    let (ids, notes) = made("remap", Some(("interactions", &filtered)), stage::<Remap>(json!({})).unwrap());
    assert_eq!(
        (fact(&notes, "n_users"), fact(&notes, "n_items"), fact(&notes, "density")),
        (2.into(), 5.into(), 0.7.into())
    );
    let leave_one_out = stage::<SplitStage>(json!({ "strategy": "leave_one_out" })).unwrap();
    let (split, notes) = made("split", Some(("dataset", &ids)), leave_one_out);
    assert_eq!((fact(&notes, "n_users_evaluated"), fact(&notes, "n_users_short")), (1.into(), 1.into()));
    // Items 4 and 5 of user 10 have the time 4; one is for validation, the other for test.
    let warning = "1 of 2 users have interactions of the same time in two parts: the item ids decided which goes where";
    assert!(notes.contains(&Note::Warning(warning.to_owned())));

    assert!(<Split as crate::stage::Artifact>::FILES.iter().all(|file| split.has(file.name)));
    for file in ["users.parquet", "items.parquet"] {
        assert_eq!(split.files[file].digest, ids.files[file].digest);
    }
    let split = <Split as crate::stage::Artifact>::load(&split).unwrap();
    assert_eq!((split.n_users, split.n_items), (2, 5));
    assert_eq!((&split.train.users[..], &split.train.items[..]), (&[0, 0, 0, 1, 1][..], &[0, 1, 2, 0, 1][..]));
    assert_eq!((&split.valid.items[..], &split.test.items[..]), (&[3][..], &[4][..]));
    assert_eq!(split.train.csr().unwrap().row(1), [0, 1]);
    assert_eq!(split.raw_users().unwrap(), df!("user_id" => [0i32, 1], "raw_user_id" => [10i64, 20]).unwrap());
}

#[test]
fn a_run_that_is_asked_to_stop_leaves_no_file() {
    let root = tempfile::tempdir().unwrap();
    let write = |context: &Context<'_>| {
        context.cancel().cancel();
        let stopped = Interactions::write(&ratings(), &FrameMeta::of("read"), context).unwrap_err();
        assert_eq!(stopped.class, crate::stage::Class::Cancelled);
        Ok(())
    };
    let (dir, _) = run(root.path(), "read", None, write).unwrap();
    assert!(dir.files.is_empty());
}

#[test]
fn a_split_of_a_file_without_sizes_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let write = |context: &Context<'_>| {
        let empty = df!("user_id" => [0i32; 0], "item_id" => [0i32; 0]).unwrap();
        let parts = SplitFrames { train: &empty, valid: &empty, test: &empty };
        Split::write_parts(parts, &FrameMeta::of("split"), context)
    };
    let (dir, _) = run(root.path(), "parts", None, write).unwrap();
    let error = <Split as crate::stage::Artifact>::load(&dir).unwrap_err();
    assert_eq!(error.message, "`train.parquet` of stage `parts`: its footer has no number of users");
}

#[test]
fn defaults_are_written_out() {
    assert_eq!(
        params(json!({ "strategy": "leave_one_out" })).unwrap(),
        json!({ "strategy": "leave_one_out", "valid": true, "min_interactions": 3, "short_users": "train" })
    );
    assert_eq!(
        params(json!({ "strategy": "leave_one_out", "valid": false })).unwrap(),
        json!({ "strategy": "leave_one_out", "valid": false, "min_interactions": 2, "short_users": "train" })
    );
    assert_eq!(
        params(json!({ "strategy": "global_time", "test": 0.2 })).unwrap(),
        json!({ "strategy": "global_time", "test": 0.2, "new_users": "drop" })
    );
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    for (given, path, message) in [
        (json!({ "strategy": "leave_last_n", "valid_n": 1, "test_n": 0 }), "test_n", "there is no test part"),
        (
            json!({ "strategy": "leave_last_n", "valid_n": 2, "test_n": 3, "min_interactions": 5 }),
            "min_interactions",
            "a user with 5 would have none left for training",
        ),
        (
            json!({ "strategy": "leave_last_n", "valid_n": 1, "test_n": u64::MAX }),
            "test_n",
            "no user has that many interactions",
        ),
        (json!({ "strategy": "ratio", "test": 0.0 }), "test", "0 is no share of the interactions"),
        (json!({ "strategy": "ratio", "valid": 0.5, "test": 0.5 }), "test", "`valid` and `test` together take 1"),
        (json!({ "strategy": "global_time" }), "", "`global_time` needs to know where time is cut"),
        (
            json!({ "strategy": "global_time", "test": 0.1, "test_at": 5 }),
            "",
            "`global_time` is given both times and shares",
        ),
        (
            json!({ "strategy": "global_time", "valid_at": 5, "test_at": 5 }),
            "valid_at",
            "the validation part would begin after the test part",
        ),
    ] {
        let error = params(given.clone()).unwrap_err();
        assert_eq!((error.path.join(".").as_str(), error.message.as_str()), (path, message), "{given}");
    }
}

#[test]
fn parameters_of_another_strategy_are_refused() {
    let error = params(json!({ "strategy": "leave_one_out", "test_n": 2 })).unwrap_err();
    assert!(error.message.contains("unknown field `test_n`"), "{}", error.message);
    assert!(params(json!({})).unwrap_err().message.contains("missing field `strategy`"));
    assert!(params(json!({ "strategy": "random" })).unwrap_err().message.contains("unknown variant `random`"));
}
