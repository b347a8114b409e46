//! The models that need no gradients, on real data.

use std::fs;

use serde_json::Value;

use crate::support::{Project, data, repository};

#[test]
fn every_baseline_beats_popularity_on_ml100k_and_popularity_is_popularity() {
    let Some(ratings) = data("ml-100k/u.data") else { return };
    let project = Project::new();
    let file = repository().join("pipelines/ml100k_baselines.yaml");
    let set = format!("ratings={}", ratings.display());
    project.run(file.to_str().unwrap(), &["--set", &set]).ends(0);
    let figures = |model: &str| -> Value {
        let path = project.path("outputs/ml100k_baselines").join(format!("evaluate_{model}/metrics.json"));
        serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap()["protocols"].take()
    };
    for protocol in ["sampled", "full"] {
        let popularity = figures("popularity");
        // The baseline that `evaluate` counts for itself.
        assert_eq!(popularity[protocol]["metrics"], popularity[protocol]["popularity"]);
        for model in ["item_knn", "ials", "ease"] {
            let found = figures(model);
            let metric = |of: &str, name: &str| found[protocol][of][name].as_f64().unwrap();
            for name in ["hr@10", "ndcg@10"] {
                let (own, baseline) = (metric("metrics", name), metric("popularity", name));
                println!("{model} {protocol} {name}: {own:.4}, popularity {baseline:.4}");
                assert!(own > 1.3 * baseline, "{model} {protocol} {name}: {own} beside {baseline}");
            }
        }
    }
}

#[test]
fn an_unseeded_baseline_is_fresh_under_another_seed_and_a_seeded_one_is_not() {
    let project = Project::new();
    let pipeline = |seed: u32| {
        format!(
            "name: p\nseed: {seed}\nstages:\n  \
             ready: {{kind: read_split, format: ncf, train: train.rating, test: test.rating}}\n  \
             knn: {{kind: fit, inputs: {{split: ready}}, model: {{kind: item_knn}}}}\n  \
             ials: {{kind: fit, inputs: {{split: ready}}, model: {{kind: ials, factors: 2}}}}\n"
        )
    };
    project.write("train.rating", "0\t0\n0\t1\n1\t1\n1\t2\n2\t0\n");
    project.write("test.rating", "0\t2\n1\t0\n");
    project.write("p.yaml", pipeline(1));
    assert_eq!(project.run("p.yaml", &[]).ends(0).with("ran"), ["ready", "knn", "ials"]);
    // A history by sweep is there for who has sweeps.
    assert!(project.path("outputs/p/ials/history.parquet").is_file());
    assert!(!project.path("outputs/p/knn/history.parquet").exists());
    project.write("p.yaml", pipeline(2));
    assert_eq!(project.run("p.yaml", &[]).ends(0).with("ran"), ["ials"]);
}

#[test]
fn each_of_train_and_fit_names_the_other_for_its_models() {
    for (stage, kind, remedy) in [("train", "ease", "use the stage `fit`"), ("fit", "gmf", "use the stage `train`")] {
        let project = Project::new();
        project.write("a.rating", "0\t0\n");
        project.write(
            "p.yaml",
            format!(
                "name: p\nstages:\n  ready: {{kind: read_split, format: ncf, train: a.rating, test: a.rating}}\n  \
                 model: {{kind: {stage}, inputs: {{split: ready}}, model: {{kind: {kind}}}}}\n"
            ),
        );
        let said = project.ncf(&["check", "p.yaml"]).ends(2).err;
        assert!(said.contains(remedy), "{said}");
    }
}
