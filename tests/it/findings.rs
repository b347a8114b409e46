//! From runs to findings: sweeps, comparisons, figures, the report, and what can be followed while a run goes on.

use std::fs;

use serde_json::Value;

use crate::support::Project;

/// Two losses by three seeds, compared, drawn.
const SWEEP: &str = r#"
# What a sweep leads to.
name: sweep
seed: 3
params: {gammas: [0.5, 2.0], seeds: [1, 2, 3]}
stages:
  ratings: {kind: synthesize, users: 80, items: 60, interactions: 2400}
  positives: {kind: binarise, inputs: {interactions: ratings}, threshold: 4}
  ids: {kind: remap, inputs: {interactions: positives}}
  split: {kind: split, inputs: {dataset: ids}, strategy: leave_one_out}
  pool: {kind: negative_pool, inputs: {split: split}, eval: {negatives: 20}}
  bce:
    kind: train
    inputs: {split: split}
    matrix: {seed: "${seeds}"}
    seed: ${seed}
    model: {kind: gmf, factors: 4}
    epochs: 3
  focal:
    kind: train
    inputs: {split: split}
    matrix: {gamma: "${gammas}", seed: "${seeds}"}
    seed: ${seed}
    model: {kind: gmf, factors: 4}
    loss: {kind: focal, gamma: "${gamma}", alpha: 0.5}
    epochs: 3
  of_bce: {kind: evaluate, inputs: {model: bce, split: split, pool: pool}, metrics: [hr, ndcg], k: [5]}
  of_focal: {kind: evaluate, inputs: {model: focal, split: split, pool: pool}, metrics: [hr, ndcg], k: [5]}
  results:
    kind: compare
    inputs: {runs: [of_bce, of_focal]}
    baseline: of_bce
    tests: [{over: seeds, test: paired_t}, {over: users, test: wilcoxon}, {over: users, test: bootstrap, resamples: 500}]
  by_gamma: {kind: plot, inputs: {results: results}, figure: {kind: bars, metric: ndcg@5}}
  curves: {kind: plot, inputs: {models: [bce, focal]}, figure: {kind: curves, y: [train_loss]}}
  users: {kind: plot, inputs: {runs: of_bce}, figure: {kind: distribution, metric: ndcg@5, view: ecdf}}
"#;

fn json(project: &Project, name: &str) -> Value {
    serde_json::from_slice(&fs::read(project.path(name)).unwrap()).unwrap()
}

#[test]
fn a_sweep_is_compared_with_statistics_and_only_new_cells_run() {
    let project = Project::new();
    project.write("p.yaml", SWEEP);
    project.run("p.yaml", &[]).ends(0);
    let results = json(&project, "outputs/sweep/results/results.json");
    let rows = results["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 9);
    for row in rows {
        assert!(row["seconds"].as_f64().unwrap() > 0.0 && row["model_seconds"].as_f64().unwrap() > 0.0);
        assert_eq!((row["key"].as_str().unwrap().len(), row["model_key"].as_str().unwrap().len()), (64, 64));
    }
    let groups = results["groups"].as_array().unwrap();
    let names: Vec<&str> = groups.iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["of_bce", "of_focal gamma=0.5", "of_focal gamma=2.0"]);
    // Means and differences by hand from the rows.
    let mean = |stage: &str, gamma: Option<f64>| {
        let of = rows
            .iter()
            .filter(|row| row["stage"].as_str().unwrap().starts_with(stage) && row["cell"]["gamma"].as_f64() == gamma);
        let values: Vec<f64> = of.map(|row| row["metrics"]["ndcg@5"].as_f64().unwrap()).collect();
        assert_eq!(values.len(), 3);
        values.iter().sum::<f64>() / 3.0
    };
    let (base, other) = (mean("of_bce", None), mean("of_focal", Some(2.0)));
    let spread = groups[2]["metrics"].as_array().unwrap().iter().find(|spread| spread["metric"] == "ndcg@5").unwrap();
    assert!((spread["mean"].as_f64().unwrap() - other).abs() < 1e-12);
    assert!((spread["difference"].as_f64().unwrap() - (other - base)).abs() < 1e-12);
    // Two groups by two metrics by three tests.
    let tests = results["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 12);
    for test in tests {
        let (p, adjusted) = (test["p"].as_f64(), test["p_adjusted"].as_f64());
        assert!(test["why_not"].is_string() || p.unwrap() <= adjusted.unwrap(), "{test}");
        assert!(test["hypothesis"].as_str().unwrap().contains("of_focal"));
    }
    for file in
        ["table.txt", "table.md", "table.tex", "table.csv", "results.parquet", "groups.parquet", "tests.parquet"]
    {
        assert!(fs::metadata(project.path("outputs/sweep/results").join(file)).unwrap().len() > 100, "{file}");
    }
    assert_eq!(project.run("p.yaml", &[]).ends(0).with("ran"), [""; 0]);
    let ran = project.run("p.yaml", &["--set", "gammas=[0.5, 1.0, 2.0]"]).ends(0).with("ran");
    let new: Vec<&String> = ran.iter().filter(|name| name.starts_with("focal") || name.starts_with("of_")).collect();
    assert!(new.len() == 6 && new.iter().all(|name| name.contains("gamma=1.0")), "{ran:?}");
}

#[test]
fn figures_are_svg_and_png() {
    let project = Project::new();
    project.write("p.yaml", SWEEP);
    project.run("p.yaml", &[]).ends(0);
    for stage in ["by_gamma", "curves", "users"] {
        let dir = project.path("outputs/sweep").join(stage);
        let svg = fs::read_to_string(dir.join("figure.svg")).unwrap();
        assert!(svg.contains("<svg") && svg.contains("role=\"img\""), "{stage}");
        assert_eq!(fs::read(dir.join("figure.png")).unwrap()[..4], *b"\x89PNG", "{stage}");
    }
    let bad = SWEEP.replace("metric: ndcg@5}}\n  curves", "metric: ndcg@7}}\n  curves");
    project.write("bad.yaml", bad);
    let said = project.run("bad.yaml", &[]).ends(2);
    assert!(
        said.err.contains("no result of the protocol `sampled` has the metric `ndcg@7`")
            && said.err.contains("there are: `hr@5`, `ndcg@5`"),
        "{}",
        said.err
    );
    let wrong =
        SWEEP.replace("inputs: {results: results}, figure: {kind: bars", "inputs: {models: bce}, figure: {kind: bars");
    project.write("wrong.yaml", wrong);
    let said = project.ncf(&["check", "wrong.yaml"]).ends(2);
    assert!(said.err.contains("is drawn from the input `results`"), "{}", said.err);
}

#[test]
fn results_are_printed_and_reported() {
    let project = Project::new();
    project.write("p.yaml", SWEEP);
    let nothing = project.ncf(&["compare", "p.yaml"]).ends(2);
    assert!(nothing.err.contains("run it first: `ncf-pipe run p.yaml`"), "{}", nothing.err);
    project.run("p.yaml", &[]).ends(0);
    let printed = project.ncf(&["compare", "p.yaml"]).ends(0).out;
    assert!(printed.contains("sampled ranking of") && printed.contains("of_focal gamma=2.0"), "{printed}");
    let one = project.ncf(&["compare", "p.yaml", "of_bce"]).ends(0).out;
    assert!(one.contains("of_bce[seed=3]") && !one.contains("of_focal"), "{one}");
    project.ncf(&["report", "p.yaml", "-o", "page.html"]).ends(0);
    let page = fs::read_to_string(project.path("page.html")).unwrap();
    for part in ["What a sweep leads to.", "of_focal gamma=2.0", "training loss of focal", "ncf-pipe run p.yaml"] {
        assert!(page.contains(part), "{part}");
    }
    let nowhere = project.ncf(&["report", "p.yaml", "-o", "no/such/page.html"]).ends(3);
    assert!(nowhere.err.contains("cannot write") && nowhere.err.contains("-o"), "{}", nowhere.err);
}

#[test]
fn a_run_can_be_followed_as_json_lines_and_in_tensorboard() {
    let project = Project::new();
    project.write("p.yaml", SWEEP);
    let follow = ["--only", "bce", "--events", "events.jsonl", "--tensorboard", "tb"];
    project.run("p.yaml", &follow).ends(0);
    let text = fs::read_to_string(project.path("events.jsonl")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    // The split and what it needs, and three trainings of three epochs with a validation each.
    assert_eq!((count("started"), count("finished"), count("finished_run")), (7, 7, 1));
    let steps = events.iter().filter(|event| event["event"] == "point" && event["stage"] == "bce[seed=2]");
    let steps: Vec<u64> = steps.map(|event| event["step"].as_u64().unwrap()).collect();
    assert!(steps.len() >= 3 && steps.is_sorted(), "{steps:?}");
    let files = |project: &Project| {
        let dirs = fs::read_dir(project.path("tb/sweep/bce")).unwrap().map(|entry| entry.unwrap().path());
        dirs.map(|dir| fs::read_dir(dir).unwrap().count()).collect::<Vec<_>>()
    };
    assert_eq!(files(&project), [1, 1, 1]);
    // What is fresh has its curves written from what is stored.
    fs::remove_dir_all(project.path("tb")).unwrap();
    project.run("p.yaml", &follow).ends(0);
    assert_eq!(files(&project), [1, 1, 1]);
}

#[test]
fn a_plan_says_how_long_a_stage_is_likely_to_take() {
    let project = Project::new();
    project.write("p.yaml", SWEEP);
    let before = project.ncf(&["plan", "p.yaml", "--json"]).ends(0).json();
    assert!(before["stages"].as_array().unwrap().iter().all(|stage| stage.get("forecast").is_none()));
    project.run("p.yaml", &[]).ends(0);
    let longer = SWEEP.replace("epochs: 3", "epochs: 30");
    project.write("longer.yaml", longer);
    let plan = project.ncf(&["plan", "longer.yaml", "--json"]).ends(0).json();
    let of = |name: &str| {
        plan["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == name).unwrap()["forecast"].clone()
    };
    let manifest = json(&project, "outputs/sweep/bce/seed=2/manifest.json");
    let forecast = of("bce[seed=2]");
    // Ten times the epochs of the one run that is most like it.
    assert_eq!(forecast["runs"], 1);
    assert!((forecast["seconds"].as_f64().unwrap() - 10.0 * manifest["seconds"].as_f64().unwrap()).abs() < 1e-9);
    assert!(of("of_bce[seed=2]")["bytes"].as_u64().unwrap() > 0);
}

/// Two data sets of the same size, each split, with a pool and a popularity model of its own.
fn two_data_sets(project: &Project, rest: &str) {
    for (name, first) in [("a", 1), ("b", 101)] {
        let line = |user: u32, item: u32| format!("{}\t{item}\t5\t{}\n", first + user, user * 100 + item);
        // Eight of twelve items each.
        let rows = (0..12).flat_map(|user| (0..8).map(move |n| (user, 1 + (user + n) % 12)));
        project.write(&format!("{name}.tsv"), rows.map(|(user, item)| line(user, item)).collect::<String>());
    }
    let stages = |name: &str| {
        format!(
            "  rows_{name}: {{kind: read, path: {name}.tsv}}\n  \
             positives_{name}: {{kind: binarise, inputs: {{interactions: rows_{name}}}, threshold: 4}}\n  \
             ids_{name}: {{kind: remap, inputs: {{interactions: positives_{name}}}}}\n  \
             split_{name}: {{kind: split, inputs: {{dataset: ids_{name}}}, strategy: leave_one_out, valid: false}}\n  \
             pool_{name}: {{kind: negative_pool, inputs: {{split: split_{name}}}, eval: {{negatives: 3}}, train: {{negatives: 1}}}}\n  \
             popular_{name}: {{kind: fit, inputs: {{split: split_{name}}}, model: {{kind: popularity}}}}\n"
        )
    };
    project.write("p.yaml", format!("name: two\nstages:\n{}{}{rest}", stages("a"), stages("b")));
}

#[test]
fn a_pool_of_other_data_is_refused_even_if_it_has_the_same_size() {
    let project = Project::new();
    two_data_sets(
        &project,
        "  wrong: {kind: evaluate, inputs: {model: popular_a, split: split_a, pool: pool_b}, k: [3]}\n  \
         worse: {kind: train, inputs: {split: split_a, pool: pool_b}, model: {kind: gmf, factors: 2}, negatives: 1, epochs: 1}\n  \
         right: {kind: evaluate, inputs: {model: popular_a, split: split_a, pool: pool_a}, k: [3]}\n",
    );
    project.ncf(&["run", "p.yaml", "--only", "right"]).ends(0);
    for stage in ["wrong", "worse"] {
        let said = project.ncf(&["run", "p.yaml", "--only", stage]).ends(2).err;
        assert!(said.contains("its ids are not those of the split"), "{said}");
        assert!(said.contains("connect the pool that was drawn for this split"), "{said}");
    }
}

#[test]
fn a_pool_of_another_split_of_the_same_data_is_refused() {
    let project = Project::new();
    two_data_sets(
        &project,
        "  split_c: {kind: split, inputs: {dataset: ids_a}, strategy: leave_last_n, test_n: 1, valid_n: 3}\n  \
         pool_c: {kind: negative_pool, inputs: {split: split_c}, exclude: train, eval: {negatives: 3}, train: {negatives: 1}}\n  \
         wrong: {kind: evaluate, inputs: {model: popular_a, split: split_a, pool: pool_c}, k: [3]}\n  \
         worse: {kind: train, inputs: {split: split_a, pool: pool_c}, model: {kind: gmf, factors: 2}, negatives: 1, epochs: 1}\n",
    );
    for (stage, what) in [("wrong", "candidates are positives"), ("worse", "training negatives are positives")] {
        let said = project.ncf(&["run", "p.yaml", "--only", stage]).ends(2).err;
        assert!(said.contains("the pool was drawn for another split: ") && said.contains(what), "{said}");
        assert!(said.contains("in the training part, first item `"), "{said}");
        assert!(said.contains("connect the pool that was drawn for this split"), "{said}");
    }
}

#[test]
fn users_are_the_same_where_only_items_were_filtered() {
    let project = Project::new();
    let few = (0..12).flat_map(|user| (0..8).map(move |n| (user, 1 + (user + n) % 12)));
    let line = |(user, item): (u32, u32)| format!("{}\t{item}\t5\t{}\n", 1 + user, user * 100 + item);
    // An item that three users have.
    let rare = (0..3).map(|user| (user, 40));
    project.write("a.tsv", few.chain(rare).map(line).collect::<String>());
    let stages = |name: &str, filter: &str| {
        format!(
            "  rows_{name}: {{kind: filter, inputs: {{interactions: rows}}{filter}}}\n  \
             ids_{name}: {{kind: remap, inputs: {{interactions: rows_{name}}}}}\n  \
             split_{name}: {{kind: split, inputs: {{dataset: ids_{name}}}, strategy: leave_one_out, valid: false}}\n  \
             popular_{name}: {{kind: fit, inputs: {{split: split_{name}}}, model: {{kind: popularity}}}}\n  \
             {name}: {{kind: evaluate, inputs: {{model: popular_{name}, split: split_{name}}}, k: [3]}}\n"
        )
    };
    project.write(
        "p.yaml",
        format!(
            "name: two\nstages:\n  rows: {{kind: read, path: a.tsv}}\n{}{}  \
             results: {{kind: compare, inputs: {{runs: [one, other]}}, baseline: one, tests: [{{over: users, test: wilcoxon}}]}}\n",
            stages("one", ", min_item_interactions: 1"),
            stages("other", ", min_item_interactions: 4"),
        ),
    );
    let said = project.ncf(&["run", "p.yaml"]).ends(0).err;
    assert!(!said.contains("different users"), "{said}");
    assert!(said.contains("the users, items or positives that they are evaluated on"), "{said}");
    let found = json(&project, "outputs/two/results/results.json");
    assert!(found["tests"].as_array().unwrap().iter().all(|test| test["n"] == 12), "{found}");
}

#[test]
fn users_of_different_data_are_not_paired() {
    let project = Project::new();
    two_data_sets(
        &project,
        "  one: {kind: evaluate, inputs: {model: popular_a, split: split_a, pool: pool_a}, k: [3]}\n  \
         other: {kind: evaluate, inputs: {model: popular_b, split: split_b, pool: pool_b}, k: [3]}\n  \
         results: {kind: compare, inputs: {runs: [one, other]}, baseline: one, tests: [{over: users, test: wilcoxon}]}\n",
    );
    project.ncf(&["run", "p.yaml"]).ends(0);
    let found = json(&project, "outputs/two/results/results.json");
    let tests = found["tests"].as_array().unwrap();
    assert!(!tests.is_empty());
    for test in tests {
        assert_eq!((&test["p"], test["n"].as_u64()), (&Value::Null, Some(0)));
        assert!(test["why_not"].as_str().unwrap().contains("different users"), "{test}");
    }
    let said = project.ncf(&["compare", "p.yaml"]).ends(0);
    assert!(said.err.contains("equal user ids are different users"), "{}", said.err);
}

#[test]
fn runs_that_share_not_all_metrics_or_seeds_are_compared_in_what_they_share() {
    let project = Project::new();
    let sweep = SWEEP.replace(
        "split: split, pool: pool}, metrics: [hr, ndcg], k: [5]}",
        "split: split, pool: pool}, metrics: [hr], k: [K]}",
    );
    let sweep = sweep.replacen("k: [K]", "k: [5]", 1).replacen("k: [K]", "k: [5, 10]", 1);
    let sweep = sweep.replace("ndcg@5", "hr@5").replace(
        "matrix: {gamma: \"${gammas}\", seed: \"${seeds}\"}",
        "matrix: {gamma: \"${gammas}\", seed: [2, 3, 4]}",
    );
    project.write("p.yaml", sweep);
    let ran = project.run("p.yaml", &[]).ends(0);
    assert!(ran.err.contains("repetitions 4 only of `of_focal gamma=0.5`, and 1 only of `of_bce`"), "{}", ran.err);
    let results = json(&project, "outputs/sweep/results/results.json");
    let tests = results["tests"].as_array().unwrap();
    let of = |metric: &str, over: &str| {
        let found = tests.iter().filter(|test| test["metric"] == metric && test["over"] == over);
        found.map(|test| (test["n"].as_u64().unwrap(), test["why_not"].clone())).collect::<Vec<_>>()
    };
    assert!(of("hr@5", "users").iter().all(|(n, why_not)| *n == 80 && why_not.is_null()), "{tests:?}");
    assert!(of("hr@5", "seeds").iter().all(|(n, _)| *n == 2), "{tests:?}");
    let missing = of("hr@10", "users");
    assert!(
        !missing.is_empty() && missing.iter().all(|(_, why_not)| why_not == "`of_bce[seed=1]` has no `hr@10`"),
        "{tests:?}"
    );
}

#[test]
fn what_no_run_will_have_is_refused_before_anything_runs() {
    let project = Project::new();
    for (old, new, said) in [
        ("baseline: of_bce", "baseline: of_focal", "2 groups of runs are the `baseline`: `of_focal gamma=0.5`,"),
        ("baseline: of_bce", "baseline: of_bce\n    metrics: [ndcg@10]", "no connected run has the metric `ndcg@10`"),
        (
            "{kind: bars, metric: ndcg@5}",
            "{kind: bars, metric: ndcg@50}",
            "no result of the protocol `sampled` has the metric",
        ),
        (
            "{kind: bars, metric: ndcg@5}",
            "{kind: bars, metric: ndcg@5, protocol: full}",
            "no result is of the protocol `full`",
        ),
        ("metric: ndcg@5, view: ecdf", "metric: ndgc@5, view: ecdf", "did you mean `ndcg@5`?"),
    ] {
        assert!(SWEEP.contains(old));
        project.write("p.yaml", SWEEP.replace(old, new));
        let refused = project.ncf(&["check", "p.yaml"]).ends(2);
        assert!(refused.err.contains(said), "{new}: {}", refused.err);
    }
}

#[test]
fn a_cell_is_found_by_its_coordinates_in_any_order() {
    let project = Project::new();
    project.write("p.yaml", SWEEP);
    // Coordinates may be given in any order, all or some.
    let planned = |cell: &str| {
        let stages = project.ncf(&["plan", "p.yaml", "--only", cell, "--json"]).ends(0).json()["stages"].clone();
        let named = stages.as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap().to_owned());
        named.filter(|name| name.starts_with("focal[")).collect::<Vec<String>>()
    };
    assert_eq!(planned("focal[seed=1,gamma=0.5]"), ["focal[gamma=0.5,seed=1]"]);
    assert_eq!(planned("focal[seed=1]").len(), 2);
}
