//! The language, from the outside.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config::{Cell, Pipeline, Problem, Problems, Reference, cell_label, load, parse};

const FULL: &str = r#"# a comment
name: quickstart
seed: 7
params: {epochs: 20, threshold: 4, path: data/u.data, sizes: [8, 16]}
stages:
  ratings: {kind: read, path: "${path}"}
  positives:
    kind: binarise
    inputs: {ratings: ratings}
    threshold: ${threshold}
  train:
    kind: train
    seed: ${seed}
    inputs:
      split: positives
      pool: pool.candidates
    matrix:
      factors: ${sizes}
      seed: [1, 2, 3]
      exclude: [{factors: 16, seed: 3}]
      include: [{factors: 32, seed: 1}]
    epochs: ${epochs}
    model:
      kind: gmf
      factors: ${factors}
    note: "run-${seed}: $${literal}"
  best:
    kind: compare
    inputs: {runs: [train, positives]}
"#;

fn parsed(text: &str) -> Result<Pipeline, Problems> {
    parse("f.yaml", text.as_bytes(), &[])
}

/// What `part` writes for each number, one after the other.
fn each(numbers: std::ops::Range<usize>, part: impl Fn(usize) -> String) -> String {
    numbers.map(part).collect::<Vec<_>>().concat()
}

fn with(text: &str, sets: &[&str]) -> Result<Pipeline, Problems> {
    parse("f.yaml", text.as_bytes(), &sets.iter().map(|&set| set.to_owned()).collect::<Vec<_>>())
}

/// The first problem: line, column and message.
fn first(text: &str) -> (usize, usize, String) {
    let problems = parsed(text).unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert!(problem.remedy().is_some(), "no remedy: {problem:?}");
    let (line, column) = problem.line_column().unwrap();
    (line, column, problem.message().to_owned())
}

fn steps(path: &[&str]) -> Vec<String> {
    path.iter().map(|&step| step.to_owned()).collect()
}

#[test]
fn a_full_pipeline_is_read_in_the_order_of_the_file() {
    let pipeline = parsed(FULL).unwrap();
    assert_eq!((pipeline.name.value.as_str(), pipeline.seed), ("quickstart", 7));
    assert!(pipeline.warnings.is_empty(), "{:?}", pipeline.warnings);
    let names: Vec<_> = pipeline.stages.iter().map(|stage| stage.name.value.as_str()).collect();
    assert_eq!(names, ["ratings", "positives", "train", "best"]);
    let train = &pipeline.stages[2];
    let inputs: Vec<_> = train
        .inputs
        .iter()
        .map(|input| (input.port.value.as_str(), input.listed, input.refs[0].value.clone()))
        .collect();
    let reference =
        |stage: &str, output: Option<&str>| Reference { stage: stage.to_owned(), output: output.map(str::to_owned) };
    assert_eq!(
        inputs,
        [("split", false, reference("positives", None)), ("pool", false, reference("pool", Some("candidates")))]
    );
    assert!(pipeline.stages[3].inputs[0].listed);
    assert_eq!(pipeline.stages[3].inputs[0].refs.len(), 2);
}

#[test]
fn cells_come_in_the_order_of_the_axes_the_first_slowest() {
    let pipeline = parsed(FULL).unwrap();
    let labels: Vec<_> = pipeline.stages[2].matrix.as_ref().unwrap().cells().iter().map(cell_label).collect();
    assert_eq!(
        labels,
        [
            "factors=8,seed=1",
            "factors=8,seed=2",
            "factors=8,seed=3",
            "factors=16,seed=1",
            "factors=16,seed=2",
            "factors=32,seed=1"
        ]
    );
}

#[test]
fn a_stage_resolves_in_each_cell_and_whole_references_keep_their_type() {
    let pipeline = parsed(FULL).unwrap();
    let train = &pipeline.stages[2];
    let cell = &train.matrix.as_ref().unwrap().cells()[5];
    let resolved = train.resolve(&pipeline.params, cell).unwrap();
    assert_eq!(resolved.seed, Some(1));
    assert_eq!(
        Value::from(resolved.params),
        json!({"epochs": 20, "model": {"kind": "gmf", "factors": 32}, "note": "run-1: ${literal}"})
    );
    let positives = pipeline.stages[1].resolve(&pipeline.params, &Cell::new()).unwrap();
    assert_eq!(positives.params["threshold"], json!(4));
    assert_eq!(positives.seed, None);
}

#[test]
fn an_axis_of_an_upstream_stage_is_usable_where_the_engine_gives_it() {
    let text = "name: a\nstages:\n  t: {kind: train, matrix: {f: [1]}}\n  e: {kind: evaluate, inputs: {m: t}, note: \"${f}\"}\n";
    let pipeline = parsed(text).unwrap();
    let evaluate = &pipeline.stages[1];
    let cell = Cell::from([("f".to_owned(), json!(1))]);
    assert_eq!(evaluate.resolve(&pipeline.params, &cell).unwrap().params["note"], json!(1));
    let problem = evaluate.resolve(&pipeline.params, &Cell::new()).unwrap_err();
    assert_eq!((problem.message(), problem.line_column()), ("there is no param or axis `f`", Some((4, 46))));
}

#[test]
fn set_overrides_a_param_and_keeps_the_rest() {
    let problems = with(FULL, &["sizes=[64]"]).unwrap_err();
    assert!(problems.to_string().contains("matches no cell"), "sizes changed what `exclude` means: {problems}");
    let pipeline = with(FULL, &["epochs=3", "path=C:\\my data: new\\u.data", "threshold="]).unwrap();
    assert_eq!(pipeline.params["epochs"].value.value, json!(3));
    assert_eq!(pipeline.params["path"].value.value, json!("C:\\my data: new\\u.data"));
    assert_eq!(pipeline.params["threshold"].value.value, json!(""));
    assert_eq!(pipeline.params["sizes"].value.value, json!([8, 16]));
    assert_eq!(pipeline.params["epochs"].set.as_ref().unwrap().name(), "--set epochs=3");
}

#[test]
fn spans_of_parameters_are_those_of_the_deepest_part_that_exists() {
    let pipeline = parsed(FULL).unwrap();
    let train = &pipeline.stages[2];
    let text = |path: &[&str]| pipeline.source.slice(train.span_of(&steps(path)));
    assert_eq!(text(&["epochs"]), "${epochs}");
    assert_eq!(text(&["model", "factors"]), "${factors}");
    assert_eq!(text(&["model", "absent"]), "model", "a value on several lines is shown by its key");
    assert_eq!(text(&["absent"]), "train");
    assert_eq!(text(&[]), "train");
    assert_eq!(pipeline.source.slice(train.key_span_of(&steps(&["model", "factors"]))), "factors");
    assert_eq!(pipeline.source.slice(train.inputs_span()), "inputs");
    let text = "name: a\nstages:\n  a:\n    kind: b\n    layers: [64, {x: 1}]\n    none:\n";
    let pipeline = parsed(text).unwrap();
    let stage = &pipeline.stages[0];
    for (path, expected) in [
        (["layers", "0"], "64"),
        (["layers", "[1]"], "{x: 1}"),
        (["layers", "9"], "[64, {x: 1}]"),
        (["none", "x"], "none"),
    ] {
        assert_eq!(pipeline.source.slice(stage.span_of(&steps(&path))), expected);
    }
    assert_eq!(pipeline.source.slice(stage.span_of(&steps(&["layers", "1", "x"]))), "1");
    assert_eq!(stage.keys().map(|key| key.value.as_str()).collect::<Vec<_>>(), ["layers", "none"]);
}

#[test]
fn a_problem_with_a_parameter_says_what_its_references_were() {
    let pipeline = with(FULL, &["epochs=abc"]).unwrap();
    let train = &pipeline.stages[2];
    let cell = &train.matrix.as_ref().unwrap().cells()[0];
    let said = |path: &[&str]| {
        let problem = train.problem(&pipeline.params, cell, &steps(path), "wrong");
        let labels = miette::Diagnostic::labels(&problem).unwrap();
        labels.map(|label| label.label().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(said(&["epochs"]), ["`epochs` is `\"abc\"`, from `--set`"]);
    assert_eq!(said(&["model", "factors"]), ["`factors` is `8` in this cell"]);
    let problem = pipeline.stages[1].problem(&pipeline.params, &Cell::new(), &steps(&["threshold"]), "wrong");
    let labels: Vec<_> =
        miette::Diagnostic::labels(&problem).unwrap().map(|label| label.label().unwrap().to_owned()).collect();
    assert_eq!(labels, ["`threshold` is `4`", "`threshold` is given here"]);
}

#[test]
fn the_file_as_a_whole() {
    for (text, expected) in [
        ("", (1, 1, "the file is empty")),
        ("# nothing\n", (1, 1, "the file is empty")),
        ("---\n", (1, 1, "the file is empty")),
        ("[1]\n", (1, 1, "a pipeline is a mapping, not a list")),
        ("hello\n", (1, 1, "a pipeline is a mapping, not a text")),
        ("stages: {a: {kind: b}}\n", (1, 1, "the pipeline has no `name`")),
        ("name: a\n", (1, 1, "the pipeline has no `stages`")),
        ("name: a\nstages:\n", (2, 1, "`stages` is empty")),
        ("name: a\nstages: {}\n", (2, 1, "`stages` is empty")),
        ("name: a\nstages: [1]\n", (2, 1, "`stages` is a list, not a mapping of names to stages")),
        ("name: A\nstages: {a: {kind: b}}\n", (1, 7, "`A` cannot be the name of a pipeline")),
        ("name: 4\nstages: {a: {kind: b}}\n", (1, 7, "the name is a number, not a text")),
        ("name: ../x\nstages: {a: {kind: b}}\n", (1, 7, "`../x` cannot be the name of a pipeline")),
        (
            "name: a\nseed: 1.5\nstages: {a: {kind: b}}\n",
            (2, 7, "a seed is a whole number that is not negative, not `1.5`"),
        ),
        (
            "name: a\nseed: -1\nstages: {a: {kind: b}}\n",
            (2, 7, "a seed is a whole number that is not negative, not `-1`"),
        ),
        (
            "name: a\nseed: '1'\nstages: {a: {kind: b}}\n",
            (2, 7, "a seed is a whole number that is not negative, not `\"1\"`"),
        ),
        ("name: a\nparams: [1]\nstages: {a: {kind: b}}\n", (2, 9, "`params` is a list, not a mapping")),
        ("name: a\nparams: {A: 1}\nstages: {a: {kind: b}}\n", (2, 10, "`A` cannot be the name of a param")),
        (
            "name: a\nparams: {b: 1, a: \"x${b}\"}\nstages: {a: {kind: b}}\n",
            (2, 21, "a param cannot refer to another param"),
        ),
        ("name: a\nwhat: 1\nstages: {a: {kind: b}}\n", (2, 1, "unknown key `what`")),
    ] {
        let (line, column, message) = first(text);
        assert_eq!((line, column, message.as_str()), expected, "{text}");
    }
}

#[test]
fn stages_and_their_fixed_keys() {
    for (stage, expected) in [
        ("A: {kind: b}", (2, 10, "`A` cannot be the name of a stage")),
        ("a.b: {kind: b}", (2, 10, "`a.b` cannot be the name of a stage")),
        ("a: [1]", (2, 10, "the stage `a` is a list, not a mapping")),
        ("a: ", (2, 10, "the stage `a` is nothing, not a mapping")),
        ("a: {x: 1}", (2, 10, "the stage `a` has no `kind`")),
        ("a: {kind: 4}", (2, 20, "the `kind` of a stage is a text, not a number")),
        ("a: {kind: \"${k}\"}", (2, 20, "the kind of a stage cannot be a reference")),
        ("a: {kind: b, seed: x}", (2, 29, "a seed is a whole number that is not negative, not `\"x\"`")),
        ("a: {kind: b, seed: 18446744073709551616}", (2, 29, "`18446744073709551616` does not fit in 64 bits")),
        ("a: {kind: b, inputs: x}", (2, 31, "`inputs` is a text, not a mapping of ports")),
        ("a: {kind: b, inputs: {p: 1}}", (2, 35, "an input is the name of a stage, not a number")),
        ("a: {kind: b, inputs: {p: }}", (2, 32, "an input is the name of a stage, not nothing")),
        ("a: {kind: b, inputs: {p: []}}", (2, 35, "nothing is connected to the port `p`")),
        (
            "a: {kind: b, inputs: {p: a.b.c}}",
            (2, 35, "`a.b.c` is not the name of a stage, or of a stage and its output"),
        ),
        ("a: {kind: b, inputs: {p: \"${x}\"}}", (2, 35, "an input cannot be a reference such as `${x}`")),
        ("a: {kind: b, inputs: {p: [c, c]}}", (2, 39, "this input is connected twice to the same port")),
        ("a: {kind: b, x: \"${y}\"}", (2, 27, "there is no param or axis `y`")),
        ("a: {kind: b, x: {\"${y}\": 1}}", (2, 27, "references are not replaced in keys")),
        ("a: {kind: b, x: \"a${\"}", (2, 28, "the reference `${` is not closed")),
    ] {
        let (line, column, message) = first(&format!("name: a\nstages: {{{stage}}}\n"));
        assert_eq!((line, column, message.as_str()), expected, "{stage}");
    }
}

#[test]
fn a_matrix_that_cannot_be() {
    for (matrix, expected) in [
        ("[1]", (1, "`matrix` is a list, not a mapping of axes")),
        ("{}", (0, "the matrix has no axis")),
        ("{include: [{a: 1}]}", (0, "the matrix has no axis")),
        ("{A: [1]}", (2, "`A` cannot be the name of an axis")),
        ("{p: [1]}", (2, "`p` is both an axis and a param")),
        ("{a: 1}", (5, "the values of an axis are a list, not a number")),
        ("{a: []}", (5, "the axis `a` has no values")),
        ("{a: [1, {b: 2}, {b: 2}]}", (17, "the axis `a` has a value twice")),
        ("{a: \"${p}\"}", (5, "the param `p` is not a list")),
        ("{a: [\"${b}\"]}", (7, "there is no param or axis `b`")),
        ("{a: [1], exclude: {a: 1}}", (19, "`exclude` is a mapping, not a list of cells")),
        ("{a: [1], exclude: [1]}", (20, "a cell of `exclude` is a mapping of axes to values")),
        ("{a: [1], exclude: [{}]}", (20, "a cell of `exclude` is a mapping of axes to values")),
        ("{a: [1], exclude: [{b: 1}]}", (21, "the matrix has no axis `b`")),
        ("{a: [1], exclude: [{a: 2}]}", (20, "this `exclude` matches no cell of the matrix")),
        ("{a: {uniform: [0, 1]}}", (2, "the axis `a` is a distribution, and nothing says how many values to draw")),
        ("{a: {uniform: 1}, sample: {cells: 1}}", (5, "the axis `a` needs `uniform: [low, high]`")),
        ("{a: [1], sample: 3}", (18, "`sample` is a number, not a mapping")),
        ("{a: [1], sample: {}}", (10, "`sample` does not say how many cells to draw")),
        ("{a: [1], sample: {cells: 0}}", (26, "`cells` is not a number from 1 to 10000")),
        ("{a: [1], sample: {cell: 1}}", (19, "`sample` has no setting `cell`")),
        ("{a: [1], sample: {cells: 2}}", (0, "1 different cells can be drawn, and `sample` wants 2")),
        ("{a: [1], sample: {cells: 1, cross: [b]}}", (36, "the matrix has no axis `b`")),
        ("{a: [1], sample: {cells: 1, cross: [a]}}", (0, "all axes are crossed, and none is left to draw")),
        ("{a: [1, 2], exclude: [{a: 1}, {a: 1}]}", (31, "an earlier `exclude` removes all of these cells")),
        ("{a: [1], exclude: [{a: 1}]}", (0, "no cell of the matrix is left")),
        ("{a: [1], b: [1], include: [{a: 2}]}", (28, "this `include` gives no value for `b`")),
        ("{a: [1], include: [{a: 1}]}", (20, "this `include` is a cell that the matrix has already")),
        ("{a: [1], include: [{a: 2}, {a: 2}]}", (28, "this `include` is a cell that the matrix has already")),
        (
            "{a: [1, 2], exclude: [{a: 2}], include: [{a: 2}]}",
            (42, "this `include` is a cell that the matrix has already"),
        ),
        ("{a: [x, X]}", (0, "the cells `a=x` and `a=X` differ only in case")),
    ] {
        let prefix = "  s: {kind: b, a: \"${p}\", matrix: ";
        let (line, column, message) = first(&format!("name: a\nparams: {{p: 1}}\nstages:\n{prefix}{matrix}}}\n"));
        let key = prefix.len() - "matrix: ".len() + 1;
        let start = if expected.0 == 0 { key } else { prefix.len() + expected.0 };
        assert_eq!((line, column, message.as_str()), (4, start, expected.1), "{matrix}");
    }
}

#[test]
fn values_of_an_axis_differ_by_type() {
    let pipeline = parsed("name: a\nstages: {a: {kind: b, matrix: {x: [4, 4.0, '4', [4], {v: 4}]}}}\n").unwrap();
    let cells = pipeline.stages[0].matrix.as_ref().unwrap().cells();
    let labels: std::collections::BTreeSet<_> = cells.iter().map(cell_label).collect();
    assert_eq!((cells.len(), labels.len()), (5, 5));
}

#[test]
fn a_matrix_has_at_most_ten_thousand_cells() {
    let axis = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    let text = |a: usize, b: usize| {
        format!("name: a\nstages: {{a: {{kind: b, x: \"${{a}}\", matrix: {{a: [{}], b: [{}]}}}}}}\n", axis(a), axis(b))
    };
    assert_eq!(parsed(&text(100, 100)).unwrap().stages[0].matrix.as_ref().unwrap().cells().len(), 10_000);
    assert_eq!(first(&text(101, 100)).2, "the matrix has 101 x 100 cells; the most is 10000");
    let many = each(0..17, |i| format!("a{i}: [1, 2, 3], "));
    assert_eq!(
        first(&format!("name: a\nstages: {{a: {{kind: b, matrix: {{{many}}}}}}}\n")).2,
        "the matrix has 17 axes; the most is 16"
    );
}

#[test]
fn a_file_cannot_grow_without_bound_when_references_are_replaced() {
    let big = "x".repeat(100_000);
    let often = "\"${p}\", ".repeat(1000);
    let grown = "the pipeline is larger than 64 MiB when references are replaced";
    for stage in [
        format!("{{kind: b, x: [{often}]}}"),
        format!("{{kind: b, matrix: {{a: [{often}]}}}}"),
        format!(
            "{{kind: b, matrix: {{a: [\"${{p}}\"], b: [{}]}}}}",
            (0..1000).map(|i| i.to_string()).collect::<Vec<_>>().join(",")
        ),
    ] {
        let message = first(&format!("name: a\nparams: {{p: {big}}}\nstages: {{a: {stage}}}\n")).2;
        assert_eq!(message, grown);
    }
}

#[test]
fn what_nothing_uses_is_a_warning() {
    let text = "name: a\nseed: ${s}\nparams: {s: 1, m: [1], p: 1, q: 2}\nstages: {a: {kind: b, x: {y: [\"${p}\"]}, matrix: {f: \"${m}\", g: [1]}, seed: \"${g}\"}}\n";
    let pipeline = parsed(text).unwrap();
    let warnings: Vec<_> = pipeline.warnings.iter().map(Problem::message).collect();
    assert_eq!(warnings, ["nothing uses the param `q`", "nothing uses the axis `f`: its cells are all the same"]);
    assert_eq!(pipeline.seed, 1);
}

#[test]
fn crlf_and_a_byte_order_mark_change_nothing() {
    let plain = parsed(FULL).unwrap();
    let text = format!("\u{feff}{}", FULL.replace('\n', "\r\n"));
    let other = parsed(&text).unwrap();
    for (a, b) in plain.stages.iter().zip(&other.stages) {
        let cells =
            |stage: &crate::config::StageSpec| {
                stage.matrix.as_ref().map_or(
                    vec![Cell::from([("seed".to_owned(), json!(1)), ("factors".to_owned(), json!(1))])],
                    |matrix| matrix.cells().to_vec(),
                )
            };
        assert_eq!(cells(a), cells(b));
        for cell in cells(a) {
            assert_eq!(a.resolve(&plain.params, &cell).unwrap(), b.resolve(&other.params, &cell).unwrap());
        }
    }
}

#[test]
fn a_file_is_loaded_by_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yaml");
    std::fs::write(&path, FULL).unwrap();
    assert_eq!(load(&path, &[]).unwrap().name.value, "quickstart");
    assert!(load(Path::new("/nonexistent/p.yaml"), &[]).unwrap_err().to_string().contains("cannot read the file"));
    assert!(load(dir.path(), &[]).unwrap_err().to_string().contains("cannot read the file"));
    std::fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    assert_eq!(load(&path, &[]).unwrap_err().to_string(), "the file is larger than 1 MiB");
}

#[test]
fn hostile_files_are_refused() {
    let bomb = each(0..12, |i| format!("a{}: &a{} [{}]\n", i + 1, i + 1, format!("*a{i}, ").repeat(9)));
    let names = each(0..9000, |i| format!("p{i}: 1\n  "));
    let references = "\"${q}\", ".repeat(50_000);
    for text in [
        format!("a0: &a0 [x]\n{bomb}"),
        "{a: ".repeat(200_000),
        "[".repeat(1 << 20),
        "- ".repeat(500_000),
        "? ".repeat(500_000),
        "a: yes\n".repeat(100_000),
        "%TAG !a! b\n".repeat(50_000),
        "!a ".repeat(300_000),
        format!("name: a\nparams:\n  {names}\nstages: {{a: {{kind: b, x: [{references}]}}}}\n"),
        format!("name: a\nstages: {{a: {{kind: b, x: \"{}\"}}}}\n", "${q}".repeat(100_000)),
        format!("name: a\nstages:\n{}", each(0..10_001, |i| format!("  a{i}: {{kind: b}}\n"))),
        "'".repeat(1 << 20),
        "\"\\".repeat(1 << 19),
        ":".repeat(1 << 20),
        ": ".repeat(1 << 19),
        ",".repeat(1 << 20),
        format!("a: {}", "x ".repeat(1 << 18)),
        format!("a: |\n{}", " \n".repeat(1 << 18)),
    ] {
        let problems = parsed(&text).unwrap_err();
        assert!(problems.iter().count() <= 21);
        assert!(problems.iter().next().unwrap().line_column().is_some(), "{problems:?}");
    }
}

/// Splits a random tree of parameters over stages.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        "[a-z $#:é-]{0,10}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn parameters_come_out_as_they_were_written(trees in prop::collection::vec(tree(), 1..5)) {
        let stages: BTreeMap<String, Value> = trees.iter().enumerate().map(|(i, tree)| (format!("s{i}"), json!({"kind": "k", "value": tree}))).collect();
        let text = json!({"name": "a", "stages": stages}).to_string();
        let pipeline = parsed(&text).unwrap();
        for (stage, tree) in pipeline.stages.iter().zip(&trees) {
            let resolved = stage.resolve(&pipeline.params, &Cell::new()).unwrap();
            prop_assert_eq!(&resolved.params["value"], tree);
            let written = pipeline.source.slice(stage.span_of(&["value".to_owned()]));
            prop_assert_eq!(written, tree.to_string());
        }
    }

    #[test]
    fn a_damaged_pipeline_is_read_or_refused_with_a_place(at in 0..FULL.len(), text in "\\PC{0,3}|[\\[\\]{}:,&*!\n\t -]{1,3}", cut in 0usize..20) {
        let start = FULL.floor_char_boundary(at);
        let end = FULL.ceil_char_boundary((start + cut).min(FULL.len()));
        let damaged = format!("{}{text}{}", &FULL[..start], &FULL[end..]);
        if let Err(problems) = parsed(&damaged) {
            for problem in &problems {
                let (line, column) = problem.line_column().unwrap();
                let shown = damaged.split('\n').nth(line - 1);
                prop_assert!(shown.is_some_and(|shown| column <= shown.chars().count() + 1), "{problem:?}");
                prop_assert!(problem.remedy().is_some(), "{problem:?}");
            }
            let mut out = String::new();
            miette::GraphicalReportHandler::new().render_report(&mut out, &problems).unwrap();
        }
    }

    #[test]
    fn no_bytes_and_no_arguments_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), set in "\\PC{0,20}|epochs=[\\[\\]{}:,\"'$0-9a-z. ]{0,20}") {
        let _ = parse("f", &bytes, &[]);
        let _ = with(FULL, &[&set]);
    }
}

#[test]
fn a_problem_is_an_error_that_can_be_sent_between_threads() {
    fn check<T: std::error::Error + miette::Diagnostic + Send + Sync + 'static>() {}
    check::<Problem>();
    check::<Problems>();
}
