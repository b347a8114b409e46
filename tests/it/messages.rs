//! What the program says to a user who wrote something else than it takes: where it is, and what to write.

use crate::support::{Project, Ran};

const PIPELINE: &str = r"
name: said
params: {epochs: 1, k: [5, 10]}
stages:
  ratings: {kind: synthesize, users: 30, items: 20, interactions: 250}
  positives: {kind: binarise, inputs: {interactions: ratings}, threshold: 4}
  ids: {kind: remap, inputs: {interactions: positives}}
  split: {kind: split, inputs: {dataset: ids}, strategy: leave_one_out}
  train: {kind: train, inputs: {split: split}, matrix: {gamma: [0.0, 2.0]}, model: {kind: gmf, factors: 4}, loss: {kind: focal, gamma: '${gamma}'}, epochs: '${epochs}'}
  evaluate: {kind: evaluate, inputs: {model: train, split: split}, k: '${k}'}
  results: {kind: compare, inputs: {runs: evaluate}, baseline: {gamma: 0.0}}
  drawn: {kind: plot, inputs: {results: results}, figure: {kind: bars, x: gamma, metric: hr@10}}
  expected: {kind: check, inputs: {metrics: evaluate}, expect: ['evaluate[gamma=0].full.hr@10 >= 0']}
";

/// What `ncf-pipe check` says, in one line, of the pipeline with a change and these arguments.
fn said(from: &str, to: &str, more: &[&str]) -> String {
    assert!(from.is_empty() || PIPELINE.contains(from), "{from}");
    let project = Project::new();
    project.write("p.yaml", if from.is_empty() { PIPELINE.to_owned() } else { PIPELINE.replace(from, to) });
    let said = project.ncf(&[&["check", "p.yaml"], more].concat()).ends(2).err;
    let words: Vec<&str> = said.split(['│', ' ', '\n']).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[test]
fn the_pipeline_itself_is_sound() {
    let project = Project::new();
    project.write("p.yaml", PIPELINE);
    project.ncf(&["check", "p.yaml"]).ends(0);
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_what_to_write() {
    let model = "model: {kind: gmf, factors: 4}";
    for (from, to, parts) in [
        (
            model,
            "model: gmf",
            &["`model`: expected a mapping with `kind`, not the text `gmf`", "write `model: {kind: gmf}`"][..],
        ),
        (
            "loss: {kind: focal, gamma: '${gamma}'}",
            "loss: focal",
            &["write `loss: {kind: focal}`; `kind` is one of `bce`, `focal`"],
        ),
        ("kind: gmf, factors: 4", "kind: gmff", &["`model.kind`: unknown variant `gmff`", "did you mean `gmf`?"]),
        ("kind: gmf, factors: 4", "kind: ease", &["use the stage `fit`"]),
        (
            "factors: 4",
            "factors: '4'",
            &[
                "`model.factors`: expected a whole number from 1 to 65536, not the text `4`",
                "write it without quotes: `factors: 4`",
            ],
        ),
        ("factors: 4", "factors: -4", &["`model.factors`", "write a number, such as `factors: 32`"]),
        ("factors: 4", "factors: 4.5", &["`model.factors`", "not the number 4.5"]),
        (
            "threshold: 4",
            "threshold: '4'",
            &["`threshold`: expected a number, not the text `4`", "write it without quotes: `threshold: 4"],
        ),
        ("k: '${k}'", "k: 10", &["`k`: expected a list, not the number 10", "write `k: [10]`"]),
        ("k: '${k}'", "k: '${k}', metrics: [hr@10]", &["`metrics[0]`", "write `metrics: [hr]` and `k: [10]`"]),
        (
            "epochs: '${epochs}'",
            "epochs: 1, optimizer: {kind: adam, learning_rate: fast}",
            &["`optimizer.learning_rate`", "such as `learning_rate: 0.001`"],
        ),
        (
            "epochs: '${epochs}'",
            "epochs: 1, schedule: {decay: {kind: step, every: 2.0, factor: 1}}",
            &["`schedule.decay.every`", "write `every: 2`"],
        ),
        ("epochs: '${epochs}'", "epochs: 1, batch_size: 256.0", &["`batch_size`", "write `batch_size: 256`"]),
        (
            "['evaluate[gamma=0].full.hr@10 >= 0']",
            "'evaluate.full.hr@10 >= 0'",
            &["write `expect: [\"evaluate.full.hr@10 >= 0\"]`"],
        ),
    ] {
        let said = said(from, to, &[]);
        assert!(parts.iter().all(|part| said.contains(part)), "{to}: {said}");
    }
}

#[test]
fn an_argument_of_the_wrong_type_is_answered_with_an_argument() {
    for (set, part) in [
        ("epochs=three", "write a number, such as `--set epochs=20`"),
        ("epochs=", "write a number, such as `--set epochs=20`"),
        ("epochs=1e1", "write `--set epochs=10`"),
        ("k=10", "write `--set k=[10]`"),
        ("k=[5,", "it has a bracket that is not closed, which makes it text: write `--set k=[5]`"),
    ] {
        let said = said("", "", &["--set", set]);
        assert!(said.contains(part), "{set}: {said}");
    }
}

#[test]
fn names_of_runs_and_axes_are_checked_before_anything_runs() {
    for (from, to, part) in [
        ("evaluate[gamma=0].", "evalute.", "no connected stage is called `evalute`"),
        ("evaluate[gamma=0].", "evaluate[gamma=1].", "no cell of `evaluate` is `gamma=1`"),
        ("x: gamma", "x: gama", "no result is of a matrix with the axis `gama`"),
        ("baseline: {gamma: 0.0}", "baseline: bpr", "no connected run is `bpr`"),
        ("baseline: {gamma: 0.0}", "baseline: {gamma: 1}", "no connected run has these coordinates"),
        ("baseline: {gamma: 0.0}", "repeat: gama", "did you mean `gamma`? axes of the connected runs: `gamma`"),
        ("x: gamma, metric: hr@10}", "x: gamma, metric: hr@10}, repeat: sed", "with the axis `sed`"),
    ] {
        let said = said(from, to, &[]);
        assert!(said.contains(part), "{to}: {said}");
    }
}

#[test]
fn settings_that_would_do_nothing_or_cannot_work_are_refused_before_anything_runs() {
    for (from, to, parts) in [
        ("epochs: '${epochs}'", "negatives: 0", &["`negatives`: must be between 1 and 1000, not 0"][..]),
        (
            "epochs: '${epochs}'",
            "optimizer: {kind: adamw, weight_decay: 5000}",
            &["`optimizer.weight_decay`", "below 1 / `learning_rate`"],
        ),
        ("epochs: '${epochs}'", "pretrained_alpha: 0.5", &["`pretrained_alpha`", "inputs: {gmf: STAGE, mlp: STAGE}"]),
        (
            "train: {kind: train, inputs: {split: split}",
            "pool: {kind: negative_pool, inputs: {split: split}, train: {negatives: 1}}\n  train: {kind: train, sampling: {redraw: false}, inputs: {split: split, pool: pool}",
            &["`sampling`", "drawn already"],
        ),
        ("model: {kind: gmf, factors: 4}", "model: {factors: 4}", &["`model.kind`", "add `kind: …`, one of `gmf`"]),
        ("loss: {kind: focal, gamma: '${gamma}'}", "loss: {gamma: '${gamma}'}", &["add `kind: focal`"]),
    ] {
        let said = said(from, to, &[]);
        assert!(parts.iter().all(|part| said.contains(part)), "{to}: {said}");
    }
}

#[test]
fn what_is_asked_of_the_wrong_stage_is_answered_with_the_right_ones() {
    let project = Project::new();
    project.write("p.yaml", PIPELINE);
    let said = project.ncf(&["compare", "p.yaml", "split"]).ends(2).err;
    assert!(said.contains("stage `split` (split) is no comparison and no evaluation"), "{said}");
    assert!(said.contains("stages that are: `evaluate`, `results`"), "{said}");
    let said = project.ncf(&["plan", "p.yaml", "--only", "train[gamma=3]"]).ends(2).err;
    let cells = "no cell `train[gamma=3]`; those of `train` are `train[gamma=0.0]`, `train[gamma=2.0]`";
    assert!(said.contains(cells), "{said}");
    project.run("p.yaml", &["--only", "split"]).ends(0);
    let said = project.ncf(&["store", "gc", "--pipeline", "nope"]).ends(2).err;
    assert!(said.contains("no pipeline `nope`") && said.contains("the store knows `said`"), "{said}");
    project.ncf(&["store", "gc", "--pipeline", "said", "--dry-run"]).ends(0);
}

#[test]
fn an_environment_variable_that_is_empty_is_named() {
    let project = Project::new();
    let refused = Ran::of(project.command(&["store", "ls"]).env("NCF_PIPE_STORE", "").output().unwrap());
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("NCF_PIPE_STORE is empty: unset it"), "{}", refused.err);
}

#[test]
fn what_cannot_be_held_is_refused_before_it_is_built() {
    let project = Project::new();
    project.write("a.rating", "0\t0\t1\t1\n0\t1\t1\t1\n1\t0\t1\t1\n");
    project.write("b.rating", "1\t1\t1\t1\n");
    project.write(
        "p.yaml",
        "name: large\nstages:\n  split: {kind: read_split, format: ncf, train: a.rating, test: b.rating, items: 2147483647}\n",
    );
    let refused = project.run("p.yaml", &["--memory", "500MB"]).ends(2);
    assert!(refused.err.contains("a split of 2147483647 users and items"), "{}", refused.err);
    assert!(refused.err.contains("one more than the largest id suffices"), "{}", refused.err);
}
