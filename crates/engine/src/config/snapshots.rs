//! What the user sees: errors as they are printed.

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::config::{Problems, parse};

fn render(problems: &dyn Diagnostic) -> String {
    let mut out = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false)
        .render_report(&mut out, problems)
        .unwrap();
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn refused_with(text: impl AsRef<[u8]>, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let problems: Problems = parse("pipeline.yaml", text.as_ref(), &sets).unwrap_err();
    render(&problems)
}

fn refused(text: impl AsRef<[u8]>) -> String {
    refused_with(text, &[])
}

#[test]
fn a_stage_that_is_written_twice() {
    insta::assert_snapshot!(refused("name: a\nstages:\n  split: {kind: split}\n  pool: {kind: pool}\n  split: {kind: other}\n"), @"
     × `split` is written twice in the same mapping
      ╭─[pipeline.yaml:5:3]
    2 │ stages:
    3 │   split: {kind: split}
      ·   ──┬──
      ·     ╰── first here
    4 │   pool: {kind: pool}
    5 │   split: {kind: other}
      ·   ──┬──
      ·     ╰── again here
      ╰────
     help: remove or rename one of them
    ");
}

#[test]
fn anchors_and_aliases() {
    insta::assert_snapshot!(refused("name: a\nparams: &all {x: 1}\nstages: {a: *all}\n"), @"
     × YAML anchors and aliases are not supported
      ╭─[pipeline.yaml:2:9]
    1 │ name: a
    2 │ params: &all {x: 1}
      ·         ──┬─
      ·           ╰── here
    3 │ stages: {a: *all}
      ╰────
     help: name the value under `params:` and use it as `${name}`; put a text that starts with `&` or
           `*` in quotes
    ");
}

#[test]
fn a_merge_key() {
    insta::assert_snapshot!(refused("name: a\nstages:\n  a:\n    <<: {kind: read}\n"), @"
     × merge keys are not supported
      ╭─[pipeline.yaml:4:5]
    3 │   a:
    4 │     <<: {kind: read}
      ·     ─┬
      ·      ╰── here
      ╰────
     help: name the shared values under `params:` and use them as `${name}`
    ");
}

#[test]
fn a_tag() {
    insta::assert_snapshot!(refused("name: a\nparams: {x: !!python/object:os.system ls}\nstages: {a: {kind: b, x: \"${x}\"}}\n"), @r#"
     × YAML tags such as `!!python/object:os.system` are not supported
      ╭─[pipeline.yaml:2:13]
    1 │ name: a
    2 │ params: {x: !!python/object:os.system ls}
      ·             ─────────────────────────
    3 │ stages: {a: {kind: b, x: "${x}"}}
      ╰────
     help: remove it: the type of a value is seen from how it is written; put a text that starts with
           `!` in quotes
    "#);
}

#[test]
fn a_second_document() {
    insta::assert_snapshot!(refused("name: a\nstages: {a: {kind: b}}\n---\nname: b\n"), @"
     × a second YAML document begins here
      ╭─[pipeline.yaml:3:1]
    2 │ stages: {a: {kind: b}}
    3 │ ---
      · ───
    4 │ name: b
      ╰────
     help: one file is one pipeline: put the other document in a file of its own
    ");
}

#[test]
fn a_hundred_thousand_braces_on_one_line() {
    insta::assert_snapshot!(refused("{a: ".repeat(100_000)), @"
     × nested deeper than 64 levels
      ╭─[pipeline.yaml:1:1021]
    1 │ …{a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: …
      ·                                                              ─┬─
      ·                                                               ╰── one level too many
      ╰────
     help: a pipeline needs about six levels: is a bracket missing?
    ");
}

#[test]
fn a_tab_in_the_indentation() {
    insta::assert_snapshot!(refused("name: a\nstages:\n\ta: {kind: b}\n"), @"
     × a tab in the indentation
      ╭─[pipeline.yaml:3:1]
    2 │ stages:
    3 │     a: {kind: b}
      · ────
      ╰────
     help: YAML is indented with spaces: replace the tab
    ");
}

#[test]
fn a_file_in_latin_1() {
    insta::assert_snapshot!(refused(b"name: a\n# r\xe9sum\xe9\n"), @"
     × not UTF-8: byte 0xE9 at offset 11
      ╭─[pipeline.yaml:2:4]
    1 │ name: a
    2 │ # r�sum�
      ·    ┬
      ·    ╰── this byte
      ╰────
     help: save the file as UTF-8
    ");
}

#[test]
fn a_terminal_escape() {
    insta::assert_snapshot!(refused("name: a # \u{1b}[2J\n"), @r#"
     × a control character (U+001B)
      ╭─[pipeline.yaml:1:11]
    1 │ name: a # ␛[2J
      ·           ┬
      ·           ╰── here
      ╰────
     help: remove it; inside a text in double quotes it can be written as `\x1b`
    "#);
}

#[test]
fn words_that_other_readers_take_for_something_else() {
    insta::assert_snapshot!(
        refused("name: a\nparams: {a: yes, b: 010, c: 1_000}\nstages: {a: {kind: b, x: 1:30, y: .nan}}\n"),
        @r#"
      × 5 problems

    Error:
      × `yes` can be read as text or as a truth value
       ╭─[pipeline.yaml:2:13]
     1 │ name: a
     2 │ params: {a: yes, b: 010, c: 1_000}
       ·             ───
     3 │ stages: {a: {kind: b, x: 1:30, y: .nan}}
       ╰────
      help: write `true`, or `"yes"` in quotes if it is text

    Error:
      × `010` can be read in two ways: a number with a leading zero is octal to some readers
       ╭─[pipeline.yaml:2:21]
     1 │ name: a
     2 │ params: {a: yes, b: 010, c: 1_000}
       ·                     ───
     3 │ stages: {a: {kind: b, x: 1:30, y: .nan}}
       ╰────
      help: write it as `10`, or as `"010"` if it is text

    Error:
      × `1_000` can be read in two ways: numbers have no underscores here
       ╭─[pipeline.yaml:2:29]
     1 │ name: a
     2 │ params: {a: yes, b: 010, c: 1_000}
       ·                             ─────
     3 │ stages: {a: {kind: b, x: 1:30, y: .nan}}
       ╰────
      help: write it as `1000`, or as `"1_000"` if it is text

    Error:
      × `1:30` is a number in base 60 to some readers of YAML
       ╭─[pipeline.yaml:3:26]
     2 │ params: {a: yes, b: 010, c: 1_000}
     3 │ stages: {a: {kind: b, x: 1:30, y: .nan}}
       ·                          ────
       ╰────
      help: quote it: `"1:30"`

    Error:
      × `.nan` is not a finite number
       ╭─[pipeline.yaml:3:35]
     2 │ params: {a: yes, b: 010, c: 1_000}
     3 │ stages: {a: {kind: b, x: 1:30, y: .nan}}
       ·                                   ────
       ╰────
      help: leave it out, write a finite number, or quote it: `".nan"`
    "#
    );
}

#[test]
fn unknown_keys_are_listed_together() {
    insta::assert_snapshot!(refused("nmae: a\nparam: {x: 1}\nstages: {a: {knid: b}}\nsplit: {kind: split}\n"), @"
      × 4 problems

    Error:
      × unknown key `nmae`
       ╭─[pipeline.yaml:1:1]
     1 │ nmae: a
       · ────
     2 │ param: {x: 1}
       ╰────
      help: did you mean `name`? the keys of a pipeline: `name`, `seed`, `params`, `stages`

    Error:
      × unknown key `param`
       ╭─[pipeline.yaml:2:1]
     1 │ nmae: a
     2 │ param: {x: 1}
       · ─────
     3 │ stages: {a: {knid: b}}
       ╰────
      help: did you mean `params`? the keys of a pipeline: `name`, `seed`, `params`, `stages`

    Error:
      × the stage `a` has no `kind`
       ╭─[pipeline.yaml:3:10]
     2 │ param: {x: 1}
     3 │ stages: {a: {knid: b}}
       ·          ─   ──┬─
       ·          │     ╰── did you mean `kind`?
     4 │ split: {kind: split}
       ╰────
      help: write `kind: …`

    Error:
      × unknown key `split`
       ╭─[pipeline.yaml:4:1]
     3 │ stages: {a: {knid: b}}
     4 │ split: {kind: split}
       · ─────
       ╰────
      help: stages stand under `stages:`: indent it
    ");
}

#[test]
fn a_reference_to_nothing() {
    insta::assert_snapshot!(refused("name: a\nparams: {epochs: 1}\nstages:\n  a: {kind: b, epochs: \"${epoch}\"}\n"), @r#"
     × there is no param or axis `epoch`
      ╭─[pipeline.yaml:4:25]
    3 │ stages:
    4 │   a: {kind: b, epochs: "${epoch}"}
      ·                         ────────
      ╰────
     help: did you mean `epochs`? params and axes here: `epochs`
    "#);
}

#[test]
fn a_reference_without_quotes_in_braces() {
    insta::assert_snapshot!(refused("name: a\nparams: {epochs: 1}\nstages:\n  a: {kind: b, epochs: ${epochs}}\n"), @r#"
     × a reference inside `[ ]` or `{ }` needs quotes
      ╭─[pipeline.yaml:4:24]
    3 │ stages:
    4 │   a: {kind: b, epochs: ${epochs}}
      ·                        ─────────
      ╰────
     help: write `"${name}"` in quotes
    "#);
}

#[test]
fn an_axis_named_like_a_param() {
    insta::assert_snapshot!(
        refused("name: a\nparams:\n  factors: 8\nstages:\n  a:\n    kind: b\n    matrix: {factors: [8, 16]}\n"),
        @"
     × `factors` is both an axis and a param
      ╭─[pipeline.yaml:7:14]
    2 │ params:
    3 │   factors: 8
      ·   ───┬───
      ·      ╰── the param
    4 │ stages:
    5 │   a:
    6 │     kind: b
    7 │     matrix: {factors: [8, 16]}
      ·              ───┬───
      ·                 ╰── the axis
      ╰────
     help: rename one of them: `${name}` must have one meaning
    "
    );
}

#[test]
fn an_exclude_that_matches_nothing() {
    insta::assert_snapshot!(
        refused("name: a\nstages:\n  a:\n    kind: b\n    f: ${f}\n    matrix:\n      f: [8, 16]\n      exclude: [{f: 8.0}]\n"),
        @r#"
     × this `exclude` matches no cell of the matrix
      ╭─[pipeline.yaml:8:17]
    7 │       f: [8, 16]
    8 │       exclude: [{f: 8.0}]
      ·                 ────────
      ╰────
     help: compare it with the values of the axes: 4, 4.0 and "4" are different
    "#
    );
}

#[test]
fn a_set_argument_that_names_no_param() {
    insta::assert_snapshot!(
        refused_with("name: a\nparams: {epochs: 1}\nstages: {a: {kind: b, e: \"${epochs}\"}}\n", &["epoch=2", "a.e=3"]),
        @"
      × 2 problems

    Error:
      × the pipeline has no param `epoch`
       ╭─[--set epoch=2:1:1]
     1 │ epoch=2
       · ─────
       ╰────
      help: did you mean `epochs`? params: `epochs`

    Error:
      × the pipeline has no param `a.e`
       ╭─[--set a.e=3:1:1]
     1 │ a.e=3
       · ───
       ╰────
      help: `--set` changes what is under `params:`, not the parameters of stages: declare a param and
            use it there. params: `epochs`
    "
    );
}

#[test]
fn a_warning() {
    let text = "name: a\nparams: {epochs: 1}\nstages: {a: {kind: b}}\n";
    let pipeline = parse("pipeline.yaml", text.as_bytes(), &[]).unwrap();
    insta::assert_snapshot!(render(&pipeline.warnings[0]), @"
     ⚠ nothing uses the param `epochs`
      ╭─[pipeline.yaml:2:10]
    1 │ name: a
    2 │ params: {epochs: 1}
      ·          ──────
    3 │ stages: {a: {kind: b}}
      ╰────
     help: use it as `${epochs}`, or remove it
    ");
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(refused(""), @"
    × the file is empty
     ╭─[pipeline.yaml:1:1]
     ╰────
    help: write `name: …` and `stages:`; `ncf-pipe init` makes an example
    ");
}
