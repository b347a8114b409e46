//! The pipelines and schemas that ship.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Project, data, repository};

const SCHEMA_LINE: &str = "# yaml-language-server: $schema=../schemas/pipeline.schema.json";

fn shipped() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(repository().join("pipelines"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 2);
    files
}

#[test]
fn every_shipped_pipeline_is_valid_and_names_its_schema() {
    for file in shipped() {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().next(), Some(SCHEMA_LINE), "{}", file.display());
        let name = format!("name: {}\n", file.file_stem().unwrap().to_str().unwrap());
        assert!(text.contains(&name), "{}: the pipeline is called otherwise than its file", file.display());
        Project::new().ncf(&["check", file.to_str().unwrap()]).ends(0);
    }
}

#[test]
fn the_committed_schema_is_the_one_that_the_program_prints() {
    let path = repository().join("schemas/pipeline.schema.json");
    let printed = Project::new().ncf(&["schema"]).ends(0).out;
    if std::env::var_os("NCF_PIPE_BLESS").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == printed,
        "schemas/pipeline.schema.json is stale: `cargo run --release -- schema > schemas/pipeline.schema.json`"
    );
}

/// What no validator would accept: `additionalProperties` looks at the `properties` beside it alone. CI holds the schema
/// against a validator (`tests/interop/schema.py`).
#[test]
fn the_schema_of_each_kind_knows_all_of_its_properties_wherever_it_allows_no_others() {
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(repository().join("schemas/pipeline.schema.json")).unwrap()).unwrap();
    let kinds: Vec<_> =
        schema["$defs"].as_object().unwrap().iter().filter(|(name, _)| name.starts_with("stage.")).collect();
    assert!(kinds.len() > 20);
    for (name, kind) in kinds {
        let shapes = match kind["anyOf"].as_array() {
            Some(branches) => {
                assert!(kind.get("additionalProperties").is_none(), "{name}");
                branches.iter().collect()
            }
            None => vec![kind],
        };
        for shape in shapes {
            assert_eq!(shape["additionalProperties"], Value::Bool(false), "{name}");
            for property in ["kind", "inputs", "matrix", "seed"] {
                assert!(shape["properties"].get(property).is_some(), "{name} has no `{property}`");
            }
            for property in shape["required"].as_array().into_iter().flatten() {
                assert!(shape["properties"].get(property.as_str().unwrap()).is_some(), "{name} lacks {property}");
            }
        }
    }
}

#[test]
fn quickstart_runs_on_data_that_it_makes_itself() {
    let project = Project::new();
    let file = repository().join("pipelines/quickstart.yaml");
    let small = ["--set", "users=200", "--set", "items=120", "--set", "interactions=8000", "--set", "epochs=4"];
    let ran = project.run(file.to_str().unwrap(), &small).ends(0);
    assert_eq!(ran.with("ran"), ["ratings", "positives", "ids", "split", "pool", "train", "evaluate"]);
    for name in [
        "split/train.parquet",
        "split/valid.parquet",
        "split/test.parquet",
        "pool/eval.parquet",
        "train/model.safetensors",
        "evaluate/metrics.json",
        "evaluate/per_user.parquet",
    ] {
        assert!(project.path("outputs/quickstart").join(name).is_file(), "{name}");
    }
    assert_eq!(project.run(file.to_str().unwrap(), &small).ends(0).with("fresh").len(), 7);
}

#[test]
fn ml100k_gives_the_counts_of_the_field_and_beats_popularity() {
    let Some(ratings) = data("ml-100k/u.data") else { return };
    let project = Project::new();
    let file = repository().join("pipelines/ml100k_gmf.yaml");
    let set = format!("ratings={}", ratings.display());
    let report = project.run(file.to_str().unwrap(), &["--set", &set]).ends(0).json();
    let fact = |stage: &str, name: &str| {
        let stages = report["stages"].as_array().unwrap();
        stages.iter().find(|s| s["name"] == stage).unwrap()["facts"][name].clone()
    };
    // Counted with pandas: d = read_csv(u.data); p = d[d.rating >= 4]; len(p), p.user.nunique(), p.item.nunique()
    assert_eq!(fact("positives", "rows"), 55_375);
    assert_eq!(fact("ids", "n_users"), 942);
    assert_eq!(fact("ids", "n_items"), 1_447);
    let metrics = fs::read_to_string(project.path("outputs/ml100k_gmf/evaluate/metrics.json")).unwrap();
    let metrics: Value = serde_json::from_str(&metrics).unwrap();
    let sampled = &metrics["protocols"]["sampled"];
    let hr = |of: &str| sampled[of]["hr@10"].as_f64().unwrap();
    assert!(hr("metrics") > hr("popularity") + 0.05, "{sampled}");
}
