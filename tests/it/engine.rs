//! The engine with ten-line toy stages that count their runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use ncf_pipe::cache::{Store, Trust};
use ncf_pipe::config;
use ncf_pipe::pipeline::{
    self, Observer, Options, Quiet, RunReport, Selection, StageReport, Started, State, Status, World,
};
use ncf_pipe::stage::{
    Artifact, ArtifactDir, Context, Fault, FileSpec, Output, ParamError, Port, Progress, Registry, Result, Silent,
    Source, Stage, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

struct Number(i64);

impl Artifact for Number {
    const KIND: &'static str = "number";
    const FILES: &'static [FileSpec] = &[FileSpec::always("number.txt")];
    fn load(dir: &ArtifactDir) -> Result<Self> {
        let text = String::from_utf8(dir.read("number.txt")?).map_err(Fault::data)?;
        Ok(Self(text.parse().map_err(Fault::data)?))
    }
}

fn save(context: &Context<'_>, number: i64) -> Result<()> {
    let mut file = context.create("number.txt")?;
    file.put(number.to_string().as_bytes())?;
    file.finish()
}

static RUNS: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

/// Counts a run; `tag` is unique to a test.
fn count(tag: &str, stage: &str) {
    *RUNS.lock().unwrap().entry(format!("{tag}/{stage}")).or_default() += 1;
}

fn runs(tag: &str, stage: &str) -> u32 {
    RUNS.lock().unwrap().get(&format!("{tag}/{stage}")).copied().unwrap_or(0)
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Emit {
    tag: String,
    value: i64,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    fail: bool,
}

impl Stage for Emit {
    const KIND: &'static str = "emit";
    const ABOUT: &'static str = "Writes a number";
    const CHANGES: &'static [&'static str] = &["first"];
    const OUTPUTS: &'static [Output] = &[Output::of::<Number>("number")];
    fn normalise(self) -> Result<Self, ParamError> {
        if self.value == 13 { Err(ParamError::new("value", "13 is refused").help("take 12")) } else { Ok(self) }
    }
    fn run(&self, context: &Context<'_>) -> Result<()> {
        count(&self.tag, "emit");
        if self.fail {
            return Err(Fault::failed("asked to fail").help("do not ask"));
        }
        save(context, self.value)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Half {
    tag: String,
    #[serde(default)]
    add: i64,
}

impl Stage for Half {
    const KIND: &'static str = "half";
    const ABOUT: &'static str = "Halves a number, rounding down";
    const CHANGES: &'static [&'static str] = &["first"];
    const INPUTS: &'static [Port] = &[Port::one::<Number>("of")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Number>("number")];
    fn run(&self, context: &Context<'_>) -> Result<()> {
        count(&self.tag, "half");
        save(context, context.input::<Number>("of")?.0.div_euclid(2) + self.add)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sum {
    tag: String,
}

impl Stage for Sum {
    const KIND: &'static str = "sum";
    const ABOUT: &'static str = "Adds numbers up";
    const CHANGES: &'static [&'static str] = &["first"];
    const INPUTS: &'static [Port] = &[Port::many::<Number>("of")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Number>("number")];
    fn is_seeded(&self) -> bool {
        true
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        count(&self.tag, "sum");
        let mut sum = context.seed() as i64;
        for input in context.inputs("of") {
            sum += Number::load(&input.dir)?.0;
        }
        save(context, sum)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Copy {
    path: PathBuf,
    tag: String,
}

impl Stage for Copy {
    const KIND: &'static str = "copy";
    const ABOUT: &'static str = "Reads a number from a file outside";
    const CHANGES: &'static [&'static str] = &["first"];
    const OUTPUTS: &'static [Output] = &[Output::of::<Number>("number")];
    fn sources(&self) -> Vec<Source> {
        vec![Source::new("path", &self.path)]
    }
    fn run(&self, context: &Context<'_>) -> Result<()> {
        count(&self.tag, "copy");
        let text = String::from_utf8(context.source("path")?.read_all()?).map_err(Fault::data)?;
        save(context, text.trim().parse().map_err(Fault::data)?)
    }
}

/// How often a restless stage was run.
static CALLS: AtomicI64 = AtomicI64::new(0);

/// Misbehaves.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rogue {
    how: String,
}

impl Stage for Rogue {
    const KIND: &'static str = "rogue";
    const ABOUT: &'static str = "Breaks the contract";
    const CHANGES: &'static [&'static str] = &["first"];
    const OUTPUTS: &'static [Output] = &[Output::of::<Number>("number")];
    fn run(&self, context: &Context<'_>) -> Result<()> {
        match self.how.as_str() {
            "panic" => panic!("on purpose"),
            "restless" => save(context, CALLS.fetch_add(1, Ordering::SeqCst)),
            "extra" => {
                save(context, 1)?;
                context.write_json("undeclared.json", &1)
            }
            _ => Ok(()),
        }
    }
}

static TOYS: Registry = Registry::new(&[
    StageKind::of::<Emit>(),
    StageKind::of::<Half>(),
    StageKind::of::<Sum>(),
    StageKind::of::<Copy>(),
    StageKind::of::<Rogue>(),
]);

pub(crate) struct Toy {
    dir: tempfile::TempDir,
    pub(crate) options: Options,
}

impl Toy {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), options: Options { jobs: 3, ..Options::default() } }
    }

    fn world(&self) -> World {
        World {
            store: Store::open(self.dir.path().join("store")).unwrap(),
            outputs: self.dir.path().join("outputs"),
            workdir: self.dir.path().to_owned(),
            trust: Trust::Stat,
        }
    }

    pub(crate) fn run(&self, yaml: &str) -> RunReport {
        pipeline::run(&graph(yaml), &self.world(), &self.options, &Quiet).unwrap()
    }

    pub(crate) fn number(&self, path: &str) -> i64 {
        std::fs::read_to_string(self.dir.path().join("outputs").join(path).join("number.txt")).unwrap().parse().unwrap()
    }
}

fn graph(yaml: &str) -> pipeline::Graph {
    try_graph(yaml).unwrap_or_else(|text| panic!("{text}"))
}

fn try_graph(yaml: &str) -> std::result::Result<pipeline::Graph, String> {
    let text = |problems: config::Problems| problems.iter().map(describe).collect::<Vec<_>>().join("\n");
    let spec = config::parse("toy.yaml", yaml.as_bytes(), &[]).map_err(text)?;
    pipeline::build(&spec, &TOYS).map_err(text)
}

fn describe(problem: &config::Problem) -> String {
    let (line, column) = problem.line_column().unwrap();
    let help = problem.remedy().map_or_else(String::new, |help| format!(" ({help})"));
    format!("{line}:{column}: {}{help}", problem.message())
}

fn statuses(report: &RunReport) -> String {
    let word = |status| match status {
        Status::Fresh => "fresh",
        Status::Ran => "ran",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
    };
    report.stages.iter().map(|stage| format!("{} {}", stage.name, word(stage.status))).collect::<Vec<_>>().join(", ")
}

fn chain(tag: &str, value: i64, add: i64) -> String {
    format!(
        "name: toy\nstages:\n  a: {{kind: emit, tag: {tag}, value: {value}}}\n  b: {{kind: half, inputs: {{of: a}}, tag: {tag}}}\n  c: {{kind: half, inputs: {{of: b}}, tag: {tag}, add: {add}}}\n"
    )
}

#[test]
fn a_second_run_does_nothing() {
    let toy = Toy::new();
    assert_eq!(statuses(&toy.run(&chain("twice", 8, 0))), "a ran, b ran, c ran");
    assert_eq!(statuses(&toy.run(&chain("twice", 8, 0))), "a fresh, b fresh, c fresh");
    assert_eq!((runs("twice", "emit"), runs("twice", "half")), (1, 2));
    assert_eq!(toy.number("toy/c"), 2);
}

#[test]
fn a_changed_parameter_runs_only_what_depends_on_it() {
    let toy = Toy::new();
    toy.run(&chain("param", 8, 0));
    let report = toy.run(&chain("param", 8, 5));
    assert_eq!(statuses(&report), "a fresh, b fresh, c ran");
    assert_eq!(report.stages[2].why, ["`params.add`: 0 -> 5"]);
}

#[test]
fn the_same_bytes_from_above_cut_the_run_short() {
    let toy = Toy::new();
    toy.run(&chain("cutoff", 8, 0));
    // 8 and 9 halve to the same number: `c` has nothing new to read.
    assert_eq!(statuses(&toy.run(&chain("cutoff", 9, 0))), "a ran, b ran, c fresh");
}

#[test]
fn names_order_comments_and_written_defaults_do_not_matter() {
    let toy = Toy::new();
    toy.run(&chain("cosmetic", 8, 0));
    let other = "# a comment\nname: toy\nstages:\n  last: {tag: cosmetic, inputs: {of: middle}, kind: half}\n  middle: {kind: half, tag: cosmetic, add: 0, inputs: {of: a}}\n  a: {value: 8, comment: '', kind: emit, tag: cosmetic}\n";
    assert_eq!(statuses(&toy.run(other)), "a fresh, middle fresh, last fresh");
}

#[test]
fn a_damaged_or_lost_file_is_made_again_and_the_run_says_why() {
    let toy = Toy::new();
    toy.run(&chain("damage", 8, 0));
    for (bytes, why) in [(Some("9"), "damaged"), (None, "damaged")] {
        let blob = blob_of(&toy, b"4");
        std::fs::remove_file(&blob).unwrap();
        if let Some(bytes) = bytes {
            std::fs::write(&blob, bytes).unwrap();
        }
        let report = toy.run(&chain("damage", 8, 0));
        assert_eq!(statuses(&report), "a fresh, b ran, c fresh");
        assert!(report.stages[1].why[0].contains(why), "{:?}", report.stages[1].why);
    }
    assert_eq!(toy.number("toy/b"), 4);
}

fn blob_of(toy: &Toy, content: &[u8]) -> PathBuf {
    let digest = blake3::hash(content).to_hex().to_string();
    toy.dir.path().join("store/blobs").join(&digest[..2]).join(digest)
}

#[test]
fn a_source_counts_by_content_not_by_path_or_time() {
    let toy = Toy::new();
    let yaml = |path: &str| format!("name: toy\nstages:\n  a: {{kind: copy, path: {path}, tag: source}}\n");
    std::fs::write(toy.dir.path().join("one.txt"), "1").unwrap();
    std::fs::write(toy.dir.path().join("other.txt"), "1").unwrap();
    assert_eq!(statuses(&toy.run(&yaml("one.txt"))), "a ran");
    assert_eq!(statuses(&toy.run(&yaml("other.txt"))), "a fresh");
    std::fs::write(toy.dir.path().join("one.txt"), "2").unwrap();
    let report = toy.run(&yaml("one.txt"));
    assert_eq!(statuses(&report), "a ran");
    assert_eq!(report.stages[0].why, ["source `path`: content changed"]);
}

#[test]
fn a_missing_source_fails_its_stage_with_the_remedy() {
    let report = Toy::new().run("name: toy\nstages:\n  a: {kind: copy, path: nowhere.txt, tag: t}\n");
    assert_eq!(statuses(&report), "a failed");
    assert!(report.stages[0].error.as_ref().unwrap().contains("nowhere.txt"));
    assert!(report.stages[0].help.as_ref().unwrap().contains("working directory"));
}

#[test]
fn after_a_failure_keep_going_runs_what_does_not_need_it() {
    let yaml = "name: toy\nstages:\n  a: {kind: emit, tag: keep, value: 1, fail: true}\n  b: {kind: half, inputs: {of: a}, tag: keep}\n  c: {kind: emit, tag: keep, value: 2}\n  d: {kind: half, inputs: {of: c}, tag: keep}\n";
    let mut toy = Toy::new();
    toy.options.jobs = 1;
    let report = toy.run(yaml);
    assert_eq!(statuses(&report), "a failed, b skipped, c skipped, d skipped");
    assert_eq!(report.stages[1].why, ["needs `a`"]);
    assert!(!report.ok);
    toy.options.keep_going = true;
    assert_eq!(statuses(&toy.run(yaml)), "a failed, b skipped, c ran, d ran");
}

#[test]
fn only_runs_what_a_stage_needs_and_force_runs_it_again() {
    let mut toy = Toy::new();
    toy.options.selection = Selection { only: vec!["b".to_owned()], force: Vec::new() };
    assert_eq!(statuses(&toy.run(&chain("only", 8, 0))), "a ran, b ran");
    toy.options.selection.force = vec!["b".to_owned()];
    assert_eq!(statuses(&toy.run(&chain("only", 8, 0))), "a fresh, b ran");
    toy.options.selection.only = vec!["bb".to_owned()];
    let error = pipeline::run(&graph(&chain("only", 8, 0)), &toy.world(), &toy.options, &Quiet).unwrap_err();
    assert_eq!(error.message, "there is no stage `bb`: did you mean `b`?");
}

#[test]
fn a_matrix_fans_out_and_a_gathering_port_fans_in() {
    let yaml = "name: toy\nseed: 0\nstages:\n  a: {kind: emit, matrix: {v: [10, 20, 30]}, tag: fan, value: '${v}'}\n  b: {kind: half, inputs: {of: a}, matrix: {w: [0, 1]}, tag: fan, add: '${w}'}\n  s: {kind: sum, inputs: {of: [b]}, tag: fan}\n";
    let toy = Toy::new();
    let report = toy.run(yaml);
    assert_eq!(report.stages.len(), 3 + 6 + 1);
    assert_eq!(toy.number("toy/s"), 2 * (5 + 10 + 15) + 3);
    assert_eq!(toy.number("toy/b/v=20,w=1"), 11);
    // One more value runs its own cells and what gathers them, and nothing else.
    let report = toy.run(&yaml.replace("[10, 20, 30]", "[10, 20, 30, 40]"));
    assert_eq!(report.count(Status::Ran), 1 + 2 + 1);
    assert_eq!(report.count(Status::Fresh), 3 + 6);
    assert_eq!(toy.number("toy/s"), 2 * (5 + 10 + 15 + 20) + 4);
}

#[test]
fn two_matrices_with_a_shared_axis_match_one_to_one() {
    let yaml = "name: toy\nstages:\n  a: {kind: emit, matrix: {v: [2, 4]}, tag: axis, value: '${v}'}\n  b: {kind: half, inputs: {of: a}, tag: axis, add: '${v}'}\n  c: {kind: sum, inputs: {of: [a, b]}, tag: axis}\n";
    let toy = Toy::new();
    let report = toy.run(yaml);
    assert_eq!(statuses(&report), "a[v=2] ran, a[v=4] ran, b[v=2] ran, b[v=4] ran, c ran");
    assert_eq!(toy.number("toy/c"), 42 + 2 + 4 + 3 + 6);
}

#[test]
fn the_plan_says_what_a_run_would_do_and_touches_nothing() {
    let toy = Toy::new();
    let plan = |yaml: &str| {
        let plan = pipeline::plan(&graph(yaml), &toy.world(), &Selection::default()).unwrap();
        plan.stages.iter().map(|stage| (stage.state, stage.why.join("; "))).collect::<Vec<_>>()
    };
    let never = (State::Stale, "never run".to_owned());
    let waits = |name: &str| (State::Unknown, format!("waits for `{name}`"));
    assert_eq!(plan(&chain("plan", 8, 0)), [never, waits("a"), waits("b")]);
    assert_eq!(runs("plan", "emit"), 0);
    toy.run(&chain("plan", 8, 0));
    assert!(plan(&chain("plan", 8, 0)).iter().all(|(state, _)| *state == State::Fresh));
    let stale = plan(&chain("plan", 8, 1));
    assert_eq!(stale[2], (State::Stale, "`params.add`: 0 -> 1".to_owned()));
}

#[test]
fn a_stage_that_panics_or_breaks_the_contract_fails_and_the_rest_lives() {
    let toy = Toy::new();
    let run = |how: &str| toy.run(&format!("name: toy\nstages:\n  r: {{kind: rogue, how: {how}}}\n"));
    let error = |how: &str| run(how).stages[0].error.clone().unwrap();
    assert_eq!(error("panic"), "stopped by a defect: on purpose");
    assert!(error("extra").contains("it wrote `undeclared.json`"), "{}", error("extra"));
    assert!(error("nothing").contains("it did not write `number.txt`"), "{}", error("nothing"));
}

#[test]
fn a_stage_that_writes_other_bytes_the_second_time_is_found_and_nothing_of_that_is_published() {
    let mut toy = Toy::new();
    toy.options.check_determinism = true;
    let report = toy.run(
        "name: toy\nstages:\n  r: {kind: rogue, how: restless}\n  b: {kind: half, inputs: {of: r}, tag: restless}\n",
    );
    assert_eq!(statuses(&report), "r failed, b skipped");
    let error = report.stages[0].error.as_ref().unwrap();
    assert_eq!(error, "stage `r` is not deterministic: a second run wrote another `number.txt`");
    assert!(report.stages[0].help.as_ref().unwrap().contains("nothing was published from the second run"));
    assert_eq!(toy.number("toy/r"), 0, "the first result stays");
    assert_eq!(statuses(&toy.run(&chain("again", 8, 0))), "a ran, b ran, c ran");
    assert_eq!(statuses(&toy.run(&chain("again", 8, 0))), "a fresh, b fresh, c fresh");
    assert_eq!((runs("again", "emit"), toy.number("toy/c")), (3, 2));
    assert_eq!(std::fs::read_dir(toy.dir.path().join("store/tmp")).unwrap().count(), 0);
}

/// Panics at every word.
struct Deaf;

impl Observer for Deaf {
    fn started(&self, _: &Started<'_>) -> Box<dyn Progress + '_> {
        Box::new(Silent)
    }
    fn finished(&self, _: &StageReport, _: usize, _: usize) {
        panic!("deaf")
    }
    fn waiting(&self, _: &str) {
        panic!("deaf")
    }
    fn warning(&self, _: &str) {
        panic!("deaf")
    }
}

#[test]
fn an_observer_that_panics_neither_stops_a_run_nor_leaves_workers_waiting() {
    let toy = Toy::new();
    let report = pipeline::run(&graph(&chain("deaf", 8, 0)), &toy.world(), &toy.options, &Deaf).unwrap();
    assert_eq!(statuses(&report), "a ran, b ran, c ran");
}

#[test]
fn mistakes_in_the_wiring_are_refused_with_place_and_remedy() {
    let of = |stages: &str| try_graph(&format!("name: toy\nstages:\n{stages}")).unwrap_err();
    let all: Vec<String> = [
        "  a: {kind: emitt, tag: t, value: 1}\n",
        "  a: {kind: emit, tag: t, valeu: 1}\n",
        "  a: {kind: emit, tag: t}\n",
        "  a: {kind: emit, tag: t, value: many}\n",
        "  a: {kind: emit, tag: t, value: 13}\n",
        "  a: {kind: half, tag: t}\n",
        "  a: {kind: emit, tag: t, value: 1}\n  b: {kind: half, inputs: {of: c}, tag: t}\n",
        "  a: {kind: emit, tag: t, value: 1}\n  b: {kind: half, inputs: {off: a}, tag: t}\n",
        "  a: {kind: emit, tag: t, value: 1, seed: 3}\n",
        "  a: {kind: half, inputs: {of: c}, tag: t}\n  b: {kind: half, inputs: {of: a}, tag: t}\n  c: {kind: half, inputs: {of: b}, tag: t}\n",
        "  a: {kind: half, inputs: {of: a}, tag: t}\n",
        "  a: {kind: emit, matrix: {v: [1]}, tag: t, value: '${v}'}\n  b: {kind: emit, matrix: {v: [2]}, tag: t, value: '${v}'}\n  c: {kind: half, inputs: {of: a}, matrix: {v: [1]}, tag: t}\n",
    ]
    .iter()
    .map(|stages| of(stages))
    .collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    3:13: unknown stage kind `emitt` (did you mean `emit`?)
    3:27: stage `a` has no parameter `valeu` (did you mean `value`?)
    3:13: stage `a` needs the parameter `value` (add `value: …`; the README and `ncf-pipe schema` list the parameters of `emit`)
    3:34: stage `a`: `value`: expected a whole number, not the text `many` (write a number, such as `value: 1`)
    3:34: stage `a`: `value`: 13 is refused (take 12)
    3:13: input `of` of stage `a` is not connected (it takes `number`, which no stage of this pipeline gives; a stage of kind `emit` or `half` or `sum` or `copy` or `rogue` would)
    4:32: there is no stage `c` (inputs name a stage of this file, or one of its outputs as `stage.output`)
    4:19: input `of` of stage `b` is not connected (add `inputs: {of: …}`; `number` comes from `a`)
    4:28: `half` has no input `off` (did you mean `of`?)
    3:13: stage `a` draws nothing at random (remove `seed` from the stage)
    4:32: the stages form a cycle: b → c → a → b (a stage cannot wait for itself: remove one of the connections)
    3:32: the stages form a cycle: a → a (a stage cannot wait for itself: remove one of the connections)
    5:45: axis `v` is already swept above stage `c` (use its value as `${…}` here, or give this axis another name)
    "#);
}
