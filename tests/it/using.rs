//! Trained models in use, through the program: recommending, predicting, comparing, checking, auditing.

use std::fs;

use serde_json::Value;

use crate::support::{Project, Ran};

const PIPELINE: &str = r"
name: use
seed: 3
params: {epochs: 2, least: 0.0}
stages:
  ratings: {kind: synthesize, users: 60, items: 40, interactions: 1200}
  positives: {kind: binarise, inputs: {interactions: ratings}, threshold: 4}
  ids: {kind: remap, inputs: {interactions: positives}}
  split: {kind: split, inputs: {dataset: ids}, strategy: leave_one_out}
  pool: {kind: negative_pool, inputs: {split: split}, eval: {negatives: 9}}
  sound: {kind: audit, inputs: {split: split, pool: pool}, k: [5]}
  train:
    kind: train
    inputs: {split: sound.split}
    matrix: {factors: [4, 8]}
    model: {kind: gmf, factors: '${factors}'}
    epochs: ${epochs}
  evaluate: {kind: evaluate, inputs: {model: train, split: split, pool: pool}, full: true, k: [1, 10]}
  lists: {kind: recommend, inputs: {model: train, split: split}, k: 10}
  agreement: {kind: overlap, inputs: {lists: lists, split: split}, k: [5, 10]}
  to_tested: {kind: recommend, inputs: {model: train, split: split}, k: 10, users: test}
  spread: {kind: overlap, inputs: {lists: to_tested, split: split}, k: [1, 10]}
  expected:
    kind: check
    inputs: {metrics: evaluate}
    expect: ['evaluate.sampled.hr@10 >= ${least}', 'evaluate[factors=4].full.hr@1 <= 1',
             'evaluate.full.coverage@10 > evaluate.full.popularity.coverage@10']
";

fn project() -> Project {
    let project = Project::new();
    project.write("p.yaml", PIPELINE);
    project
}

fn json(project: &Project, path: &str) -> Value {
    serde_json::from_slice(&fs::read(project.path(path)).unwrap()).unwrap()
}

/// The command `recommend` or `predict` for the model with 4 factors.
fn ask(project: &Project, command: &str, more: &[&str]) -> Ran {
    project.ncf(&[&[command, "p.yaml", "train[factors=4]", "--json"], more].concat())
}

/// A raw user id of the data.
fn a_user(project: &Project) -> String {
    let shown = project.ncf(&["show", "p.yaml", "ids", "--json", "--rows", "8"]).ends(0).json();
    let files = shown[0]["files"].as_array().unwrap();
    let users = files.iter().find(|file| file["name"] == "users.parquet").unwrap();
    users["preview"]["head"][7][1].as_str().unwrap().to_owned()
}

#[test]
fn a_pipeline_audits_recommends_compares_and_checks() {
    let project = project();
    let report = project.run("p.yaml", &[]).ends(0).json();
    let stage = |name: &str| report["stages"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap();
    let audit = json(&project, "outputs/use/sound/audit.json");
    assert_eq!((&audit["on"], &audit["users"]), (&"test".into(), &60.into()));
    for problem in audit["problems"].as_array().unwrap() {
        let found = problem["count"].as_u64().unwrap();
        assert!(found == 0 || problem["action"] == "warn", "{problem}");
    }
    // What was audited is the split, byte for byte.
    for name in ["train.parquet", "test.parquet", "items.parquet"] {
        let read = |stage: &str| fs::read(project.path(&format!("outputs/use/{stage}/{name}"))).unwrap();
        assert!(read("sound") == read("split"), "{name}");
    }
    assert_eq!(stage("lists[factors=4]")["facts"]["users"], 60);
    let overlap = json(&project, "outputs/use/agreement/overlap.json");
    let pairs = overlap["pairs"].as_array().unwrap();
    assert_eq!((pairs.len(), overlap["lists"].as_array().unwrap().len()), (2, 4));
    assert_eq!((&pairs[0]["one"], &pairs[0]["other"]), (&"lists[factors=4]".into(), &"lists[factors=8]".into()));
    assert_eq!(overlap["lists"][0]["cell"]["factors"], 4);
    // The lists that `evaluate` looks at are those that `recommend` writes for the same users.
    let spread = json(&project, "outputs/use/spread/overlap.json");
    for list in spread["lists"].as_array().unwrap() {
        let place = format!("outputs/use/evaluate/factors={}/metrics.json", list["cell"]["factors"]);
        let found = &json(&project, &place)["protocols"]["full"]["lists"];
        for (figure, name) in [("coverage", "coverage"), ("gini", "gini"), ("popularity", "arp")] {
            let (one, other) = (&list[figure], &found[format!("{name}@{}", list["k"])]);
            assert!((one.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 1e-12, "{name}: {one} {other}");
        }
    }
    let checks = json(&project, "outputs/use/expected/checks.json");
    assert_eq!((&checks["passed"], checks["checks"][0]["left"]["stages"].as_array().unwrap().len()), (&true.into(), 2));
    assert_eq!(project.run("p.yaml", &[]).ends(0).with("fresh").len(), report["stages"].as_array().unwrap().len());
    // The same bytes have the same keys: taking the audit out makes nothing run.
    project.write("p.yaml", PIPELINE.replace("{split: sound.split}", "{split: split}"));
    assert_eq!(project.run("p.yaml", &[]).ends(0).with("ran"), [""; 0]);
}

#[test]
fn an_expectation_that_does_not_hold_ends_with_code_1_and_both_values() {
    let project = project();
    let ran = project.ncf(&["-q", "run", "p.yaml", "--set", "least=1.5"]).ends(1);
    assert!(ran.err.contains("1 of 3 expectations do not hold"), "{}", ran.err);
    assert!(ran.err.contains("(mean of 2 cells) against 1.5"), "{}", ran.err);
    let text = PIPELINE.replace("evaluate[factors=4].full", "evaluate[factors=4].ful");
    project.write("p.yaml", text);
    let ran = project.ncf(&["-q", "run", "p.yaml"]).ends(2);
    assert!(ran.err.contains("did you mean `full`?"), "{}", ran.err);
    project.write("p.yaml", PIPELINE.replace(">= ${least}", "=> ${least}"));
    let ran = project.ncf(&["check", "p.yaml"]).ends(2);
    assert!(ran.err.contains("`=>` is no comparison") && ran.err.contains("p.yaml:"), "{}", ran.err);
}

#[test]
fn a_model_recommends_and_predicts_in_raw_ids_and_agrees_with_its_lists() {
    let project = project();
    project.run("p.yaml", &[]).ends(0);
    let user = a_user(&project);
    let answer = ask(&project, "recommend", &["--user", &user, "-k", "3"]).ends(0).json();
    assert_eq!((&answer["pipeline"], &answer["stage"]), (&"use".into(), &"train[factors=4]".into()));
    assert_eq!((&answer["user_id"], answer["user"].to_string().trim_matches('"')), (&7.into(), user.as_str()));
    let items = answer["items"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    assert!(items.iter().all(|item| item["part"].is_null() || item["part"] == "test"), "{answer}");
    // The third item has place 3 for `predict`, with the same score.
    let item = items[2]["item"].to_string();
    let found = ask(&project, "predict", &["--user", &user, "--item", item.trim_matches('"')]).ends(0).json();
    assert_eq!((&found["rank"], &found["score"]), (&3.into(), &items[2]["score"]));
    // And the stage's file has the same three.
    let shown = project.ncf(&["show", "p.yaml", "lists[factors=4]", "--json", "--rows", "600"]).ends(0).json();
    let head = shown[0]["files"][0]["preview"]["head"].as_array().unwrap();
    let of_user: Vec<&str> = head.iter().filter(|row| row[0] == "7").map(|row| row[1].as_str().unwrap()).collect();
    let asked: Vec<String> = items.iter().map(|item| item["item_id"].to_string()).collect();
    assert_eq!(of_user[..3], asked);
    // With what is seen there is more to choose from.
    let all = ask(&project, "recommend", &["--user", &user, "-k", "40", "--include-seen"]).ends(0).json();
    assert!(all["items"].as_array().unwrap().iter().any(|item| item["part"] == "train"));
    let text = project.ncf(&["recommend", "p.yaml", "train[factors=4]", "--user", &user]).ends(0).out;
    assert_eq!(text.lines().count(), 11, "{text}");
}

#[test]
fn what_cannot_be_asked_is_an_error_that_says_what_to_do() {
    let project = project();
    let refused = |args: &[&str], what: &str| {
        let ran = project.ncf(args).ends(2);
        assert!(ran.err.contains(what), "{what} is not in\n{}", ran.err);
    };
    let cell = "train[factors=4]";
    refused(
        &["recommend", "p.yaml", cell, "--user", "1"],
        "stage `train[factors=4]` has not run as the pipeline is now",
    );
    refused(
        &["recommend", "p.yaml", cell, "--set", "epochs=1", "--user", "1"],
        "run it first: `ncf-pipe run p.yaml --set epochs=1 --only 'train[factors=4]'`",
    );
    project.run("p.yaml", &[]).ends(0);
    refused(&["recommend", "p.yaml", "train", "--user", "1"], "say which: 'train[factors=4]', 'train[factors=8]'");
    refused(&["recommend", "p.yaml", "split", "--user", "1"], "stages that do: `train`");
    refused(&["recommend", "p.yaml", "trian", "--user", "1"], "did you mean `train`?");
    refused(&["recommend", "p.yaml", cell, "--user", "nobody"], "there is no user `nobody`");
    refused(&["recommend", "p.yaml", cell, "--user", "1", "-k", "0"], "0 is not in 1..");
    let user = a_user(&project);
    refused(&["predict", "p.yaml", cell, "--user", &user, "--item", "nothing"], "there is no item `nothing`");
    refused(&["predict", "p.yaml", cell, "--user", &user], "--item");
    refused(&["recommend", "p.yaml", cell, "--set", "epochs=1", "--user", &user], "has not run as the pipeline is now");
    // The stage where it begins is named, not those that wait for it.
    let read = "{kind: read, path: gone.tsv, format: tsv}";
    project.write("p.yaml", PIPELINE.replace("{kind: synthesize, users: 60, items: 40, interactions: 1200}", read));
    for what in ["as the pipeline is now: `ratings`: ", "gone.tsv", "put that right, then run it: `ncf-pipe run p.yaml"]
    {
        refused(&["recommend", "p.yaml", cell, "--user", &user], what);
    }
}

#[test]
fn the_lists_of_a_model_given_as_a_file_have_the_metrics_of_its_evaluation() {
    let project = project();
    project.run("p.yaml", &[]).ends(0);
    let path = "outputs/use/lists/factors=4/recommendations.parquet";
    let given = format!(
        "  given: {{kind: evaluate_lists, inputs: {{split: split}}, path: '{path}', ids: dense, k: [1, 10]}}\n  both: {{kind: \
         compare, inputs: {{runs: [evaluate, given]}}}}\n"
    );
    project.write("p.yaml", PIPELINE.to_owned() + &given);
    project.run("p.yaml", &[]).ends(0);
    let model = json(&project, "outputs/use/evaluate/factors=4/metrics.json");
    let given = json(&project, "outputs/use/given/metrics.json");
    let of = |metrics: &Value, name: &str| metrics["protocols"]["full"]["metrics"][name].as_f64().unwrap();
    for name in ["hr@1", "hr@10", "ndcg@10", "recall@10", "mrr@10"] {
        // The same terms, summed in the same order.
        assert_eq!(of(&model, name), of(&given, name), "{name}");
    }
    assert_eq!(given["protocols"]["full"]["mask"], "train_valid");
    assert_eq!(given["protocols"]["full"]["candidates"], model["protocols"]["full"]["candidates"]);
    let rows = json(&project, "outputs/use/both/results.json");
    assert_eq!(rows["rows"].as_array().unwrap().iter().filter(|row| row["protocol"] == "full").count(), 3);
}

#[test]
fn a_split_that_leaks_is_refused_before_training() {
    let project = Project::new();
    let text = PIPELINE.replace("strategy: leave_one_out", "strategy: ratio, order: random");
    project.write("p.yaml", text);
    let ran = project.run("p.yaml", &["--keep-going"]).ends(2);
    assert!(ran.err.contains("`user_future`") && ran.err.contains("on_problem"), "{}", ran.err);
    assert!(ran.with("skipped").contains(&"train[factors=4]".to_owned()), "{}", ran.out);
}
