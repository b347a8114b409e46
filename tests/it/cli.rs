//! The program as a user runs it: what runs again after which change, exit codes, and what is printed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Project, Ran, repository};

const ALL: [&str; 7] = ["ratings", "positives", "ids", "split", "pool", "train", "evaluate"];

/// A project with a small copy of the quickstart as `q.yaml`.
fn quick() -> Project {
    let project = Project::new();
    project.write("q.yaml", quickstart());
    project
}

fn quickstart() -> String {
    let mut text = fs::read_to_string(repository().join("pipelines/quickstart.yaml")).unwrap();
    for (from, to) in [
        ("users: 1000", "users: 80"),
        ("items: 500", "items: 50"),
        ("interactions: 60000", "interactions: 1800"),
        ("factors: 16", "factors: 4"),
        ("epochs: 20", "epochs: 2"),
        ("negatives: 99", "negatives: 10"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

#[test]
fn a_changed_parameter_runs_exactly_what_depends_on_it() {
    let project = quick();
    assert_eq!(project.run("q.yaml", &[]).ends(0).with("ran"), ALL);
    assert_eq!(project.run("q.yaml", &[]).ends(0).with("fresh"), ALL);
    let ran = project.run("q.yaml", &["--set", "epochs=3"]).ends(0);
    assert_eq!(ran.with("ran"), ["train", "evaluate"]);
    assert_eq!(project.run("q.yaml", &["--set", "negatives=11"]).ends(0).with("ran"), ["pool", "evaluate"]);
    // What was there before is still there.
    assert_eq!(project.run("q.yaml", &[]).ends(0).with("fresh"), ALL);
}

#[test]
fn touching_commenting_and_reordering_the_file_runs_nothing() {
    let project = quick();
    project.run("q.yaml", &[]).ends(0);
    let text = quickstart();
    let (head, stages) = text.split_once("stages:\n").unwrap();
    let mut blocks: Vec<&str> = stages.split("\n\n").collect();
    blocks.reverse();
    let blocks: Vec<&str> = blocks.iter().map(|block| block.trim_end()).collect();
    project.write("q.yaml", format!("# another comment\n{head}stages:\n{}\n", blocks.join("\n\n")));
    let ran = project.run("q.yaml", &[]).ends(0);
    assert_eq!(ran.with("fresh").len(), ALL.len(), "{}", ran.out);
}

#[test]
fn a_deleted_or_flipped_stored_file_runs_its_stage_again_and_says_why() {
    let project = quick();
    project.run("q.yaml", &[]).ends(0);
    for flip in [false, true] {
        let view = project.path("outputs/quickstart/split/test.parquet");
        let bytes = fs::read(&view).unwrap();
        let digest = blake3::hash(&bytes).to_hex().to_string();
        let blob = project.path(&format!(".ncf-pipe/blobs/{}/{digest}", &digest[..2]));
        fs::remove_file(&blob).unwrap();
        if flip {
            let mut bytes = bytes.clone();
            bytes[100] ^= 1;
            fs::write(&blob, bytes).unwrap();
        }
        let plan = project.ncf(&["plan", "q.yaml"]).ends(0);
        assert!(plan.out.contains("stored file was damaged"), "{}", plan.out);
        let ran = project.run("q.yaml", &[]).ends(0);
        assert_eq!(ran.with("ran"), ["split"]);
        let json = ran.json();
        let why = json["stages"][3]["why"][0].as_str().unwrap();
        assert!(why.contains("stored file was damaged"), "{why}");
        assert_eq!(fs::read(&view).unwrap(), bytes, "the same bytes are back");
    }
}

#[test]
fn an_edited_view_never_reaches_another_stage() {
    let project = quick();
    project.run("q.yaml", &[]).ends(0);
    let view = project.path("outputs/quickstart/split/train.parquet");
    let good = fs::read(&view).unwrap();
    // What an editor does that insists on writing a read-only file: the link and the stored file are one.
    let mut permissions = fs::metadata(&view).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false, reason = "the fault under test")]
    permissions.set_readonly(false);
    fs::set_permissions(&view, permissions).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 0xff;
    fs::write(&view, &bad).unwrap();
    project.run("q.yaml", &["--set", "epochs=3"]).ends(0);
    assert_eq!(fs::read(&view).unwrap(), good);
}

#[test]
fn the_view_can_be_deleted_and_comes_back_without_a_run() {
    let project = quick();
    project.run("q.yaml", &[]).ends(0);
    fs::remove_dir_all(project.path("outputs")).unwrap();
    assert_eq!(project.run("q.yaml", &[]).ends(0).with("fresh"), ALL);
    assert!(project.path("outputs/quickstart/evaluate/metrics.json").is_file());
}

#[test]
fn the_report_has_the_promised_fields() {
    let json = quick().run("q.yaml", &[]).ends(0).json();
    assert_eq!(json["pipeline"], "quickstart");
    assert_eq!(json["ok"], true);
    assert!(json["seconds"].is_number());
    for stage in json["stages"].as_array().unwrap() {
        for field in ["name", "kind", "status", "seconds", "key", "output"] {
            assert!(!stage[field].is_null(), "{field} of {stage}");
        }
        assert_eq!(stage["key"].as_str().unwrap().len(), 64);
    }
}

#[test]
fn results_do_not_depend_on_jobs_or_threads() {
    let digests = |jobs: &str, threads: &str| {
        let project = quick();
        let output =
            project.command(&["run", "q.yaml", "-j", jobs]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut all = Vec::new();
        for stage in ALL {
            let mut files: Vec<_> = fs::read_dir(project.path("outputs/quickstart").join(stage))
                .unwrap()
                .map(|e| e.unwrap().path())
                .collect();
            files.sort();
            for file in files.iter().filter(|file| {
                file.file_name().unwrap() != "manifest.json"
                    && !file.file_name().unwrap().to_str().unwrap().starts_with('.')
            }) {
                all.push((file.file_name().unwrap().to_owned(), blake3::hash(&fs::read(file).unwrap())));
            }
        }
        all
    };
    let one = digests("1", "1");
    assert!(one.len() > 12);
    assert_eq!(one, digests("4", "2"));
    assert_eq!(one, digests("2", "4"));
}

#[test]
fn exit_codes_tell_whose_fault_it_was() {
    let project = quick();
    // 2: the pipeline, the command line, the data.
    project.ncf(&["run", "nowhere.yaml"]).ends(2);
    project.ncf(&["run", "q.yaml", "--set", "epoch=3"]).ends(2);
    project.ncf(&["run", "q.yaml", "--only", "trian"]).ends(2);
    project.ncf(&["run", "q.yaml", "--device", "gpu"]).ends(2);
    project.ncf(&["run", "q.yaml", "--frobnicate"]).ends(2);
    project.write("bad.yaml", "name: bad\nstages:\n  a: {kind: read, path: missing.tsv}\n");
    project.ncf(&["run", "bad.yaml"]).ends(2);
    // 1: a stage failed: with this learning rate the loss is not a number.
    let text = quickstart().replace(
        "    epochs: ${epochs}\n",
        "    epochs: ${epochs}\n    optimizer: {kind: adam, learning_rate: 1.0e30}\n",
    );
    project.write("diverges.yaml", text);
    let ran = project.ncf(&["run", "diverges.yaml"]).ends(1);
    assert!(ran.err.contains("learning_rate"), "{}", ran.err);
    project.ncf(&["store", "verify", "--store", "nowhere"]).ends(2);
    // 3: the store.
    project.write("file", "not a directory");
    project.ncf(&["run", "q.yaml", "--store", "file"]).ends(3);
    project.ncf(&["run", "q.yaml", "--outputs", "file/below"]).ends(3);
}

/// On a machine without a GPU, or in a build without the feature `cuda`; a GPU 4,000,000,000 is nowhere.
#[test]
fn a_gpu_that_is_not_there_is_refused_and_auto_does_without() {
    let project = quick();
    for dry in [&[][..], &["--dry-run"]] {
        let args = [&["run", "q.yaml", "--device", "cuda:4000000000", "--json"], dry].concat();
        let refused = project.ncf(&args).ends(2);
        let told = if cfg!(feature = "cuda") {
            ["libcuda", "no GPU 4000000000", "GPU failed"].iter().any(|text| refused.err.contains(text))
        } else {
            refused.err.contains("--features cuda")
        };
        assert!(told && refused.err.contains("--device cpu"), "{}", refused.err);
        assert_eq!(refused.json()["ok"], false);
    }
    assert!(!project.path("outputs").exists(), "nothing has run");
    for device in ["cuda:", "cuda:-1", "cuda:x", "CUDA"] {
        let refused = project.ncf(&["run", "q.yaml", "--device", device]).ends(2);
        assert!(refused.err.contains("cuda:"), "{}", refused.err);
    }
    let ran = project.ncf(&["run", "q.yaml", "--device", "cpu", "--gpu-precision", "tf32"]).ends(0);
    assert!(ran.err.contains("`--gpu-precision` changes nothing"), "{}", ran.err);
    // What the manifests say is what was, whatever was asked for.
    let manifest = fs::read_to_string(project.path("outputs/quickstart/train/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!((&manifest["device"], &manifest["facts"]["engine"]), (&"cpu".into(), &"fused".into()));
    let ran = project.ncf(&["run", "q.yaml", "--device", "auto"]).ends(0);
    assert!(!ran.err.contains("GPU"), "{}", ran.err);
}

#[test]
fn parameters_in_other_places_or_by_other_names_are_recognised() {
    let project = Project::new();
    for (model, rest, help) in [
        ("{kind: gmf, factors: 8}", "lr: 0.01", "did you mean `optimizer.learning_rate`? known"),
        ("{kind: gmf}", "factors: 8", "did you mean `model.factors`?"),
        ("{kind: gmf, embedding_dim: 8}", "epochs: 1", "did you mean `factors`?"),
        ("{kind: gmf, n_epochs: 3}", "epochs: 1", "did you mean `epochs` beside `model`?"),
        ("{kind: gmf}", "optimizer: {kind: adam, weight_decay: 0.1}", "did you mean `l2`?"),
        ("{kind: gmf}", "nonsense: 1", "help: known parameters: `model`"),
    ] {
        let stages = format!(
            "  r: {{kind: synthesize, users: 9, items: 9, interactions: 30}}\n  i: {{kind: remap, inputs: {{interactions: r}}}}\n  \
             s: {{kind: split, inputs: {{dataset: i}}, strategy: leave_one_out}}\n  \
             t: {{kind: train, inputs: {{split: s}}, model: {model}, {rest}}}\n"
        );
        project.write("p.yaml", format!("name: p\nstages:\n{stages}"));
        let refused = project.ncf(&["plan", "p.yaml"]).ends(2);
        assert!(refused.err.contains(help), "{}", refused.err);
    }
}

#[test]
fn plan_dag_show_store_and_completions_answer() {
    let project = quick();
    let plan = project.ncf(&["plan", "q.yaml", "--json"]).ends(0).json();
    assert_eq!(plan["stages"][0]["state"], "stale");
    assert_eq!(plan["stages"][1]["state"], "unknown");
    assert!(project.ncf(&["run", "q.yaml", "--dry-run"]).ends(0).out.contains("never run"));
    assert!(!project.path("outputs").exists());
    assert!(project.ncf(&["dag", "q.yaml"]).ends(0).out.contains("← ids as dataset"));
    assert!(project.ncf(&["dag", "q.yaml", "--format", "mermaid"]).ends(0).out.starts_with("flowchart"));
    assert!(project.ncf(&["dag", "q.yaml", "--format", "dot"]).ends(0).out.starts_with("digraph"));
    let shown = project.ncf(&["show", "q.yaml", "train"]).ends(0).out;
    assert!(shown.contains("optimizer.learning_rate: 0.001"), "defaults are visible before a run: {shown}");
    project.run("q.yaml", &[]).ends(0);
    let shown = project.ncf(&["show", "q.yaml", "split", "--rows", "2"]).ends(0).out;
    assert!(shown.contains("train.parquet") && shown.contains("Int32"), "{shown}");
    let json = project.ncf(&["show", "q.yaml", "split", "--json"]).ends(0).json();
    assert_eq!(json[0]["files"][0]["preview"]["columns"][0]["name"], "user_id");
    assert_eq!(project.ncf(&["store", "ls"]).ends(0).out.lines().count(), 1 + ALL.len());
    project.ncf(&["store", "verify"]).ends(0);
    project.ncf(&["store", "du"]).ends(0);
    project.ncf(&["store", "gc", "--dry-run"]).ends(0);
    assert!(project.ncf(&["completions", "bash"]).ends(0).out.contains("ncf-pipe"));
    project.ncf(&["init", "fresh"]).ends(0);
    project.ncf(&["check", "fresh/pipelines/quickstart.yaml"]).ends(0);
}

#[test]
fn plan_why_gives_each_change_once_with_all_stages_that_it_concerns() {
    let project = quick();
    project.run("q.yaml", &[]).ends(0);
    assert_eq!(project.ncf(&["plan", "q.yaml", "--why"]).ends(0).out, format!("{} fresh\n", ALL.len()));
    let changed = project.ncf(&["plan", "q.yaml", "--why", "--set", "epochs=7"]).ends(0).out;
    let blocks: Vec<&str> = changed.trim_end().split("\n\n").collect();
    assert_eq!(blocks.len(), 3, "{changed}");
    assert!(blocks[0].contains("epochs") && blocks[0].contains('7') && blocks[0].ends_with("\n    train"), "{changed}");
    assert_eq!(blocks[1], "known once what they read is there\n    evaluate");
    assert!(blocks[2].starts_with("5 fresh, 1 to run"), "{changed}");
    project.ncf(&["plan", "q.yaml", "--why", "--json"]).ends(2);
}

#[test]
fn workdir_moves_data_store_and_outputs() {
    let project = Project::new();
    project.write("sub/data.tsv", "1\t10\t5\t100\n1\t11\t5\t101\n2\t10\t4\t100\n");
    project.write("p.yaml", "name: moved\nstages:\n  a: {kind: read, path: data.tsv}\n");
    project.ncf(&["run", "p.yaml"]).ends(2);
    project.ncf(&["--workdir", "sub", "run", "p.yaml"]).ends(0);
    assert!(project.path("sub/outputs/moved/a/interactions.parquet").is_file());
    assert!(project.path("sub/.ncf-pipe").is_dir());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let project = quick();
    let mut child = project.command(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_stopped_run_says_so_and_resumes_to_the_same_bytes() {
    use rustix::process::{Pid, Signal, kill_process};
    let weights = |project: &Project| fs::read(project.path("outputs/quickstart/train/model.safetensors")).unwrap();
    let whole = quick();
    whole.run("q.yaml", &["--set", "epochs=4000"]).ends(0);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let project = quick();
        let follow = ["run", "q.yaml", "--set", "epochs=4000", "--json", "--events", "events.jsonl"];
        // Whoever started the tests may ignore these signals, as a shell does for what it runs in the background.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,TERM,HUP", env!("CARGO_BIN_EXE_ncf-pipe")]).args(follow);
        command.current_dir(project.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Two epochs are done, and most are still to come.
        let epochs =
            || fs::read_to_string(project.path("events.jsonl")).map_or(0, |text| text.matches("\"point\"").count());
        while epochs() < 2 && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ran = Ran::of(child.wait_with_output().unwrap()).ends(code);
        assert!(ran.with("skipped").ends_with(&["train".to_owned(), "evaluate".to_owned()]));
        assert!(ran.json()["error"].as_str().unwrap().starts_with("stopped by signal"), "{}", ran.out);
        let ran = project.run("q.yaml", &["--set", "epochs=4000"]).ends(0);
        assert!(ran.with("ran").ends_with(&["train".to_owned(), "evaluate".to_owned()]));
        let facts = &ran.json()["stages"][5]["facts"];
        assert!(facts["resumed_in_epoch"].as_u64().unwrap() > 1, "it went on where it was: {facts}");
        assert!(weights(&project) == weights(&whole), "the same bytes as without the interruption");
    }
}

#[test]
fn a_request_for_a_checkpoint_neither_stops_a_run_nor_changes_its_bytes() {
    use rustix::process::{Pid, Signal, kill_process};
    let model = |project: &Project| fs::read(project.path("outputs/quickstart/train/model.safetensors")).unwrap();
    let (whole, asked) = (quick(), quick());
    whole.run("q.yaml", &["--set", "epochs=100"]).ends(0);
    let mut child = asked.command(&["-q", "run", "q.yaml", "--set", "epochs=100"]).spawn().unwrap();
    // The store is made after the handlers are there.
    while !asked.path(".ncf-pipe/leases").exists() {
        std::thread::yield_now();
    }
    while child.try_wait().unwrap().is_none() {
        kill_process(Pid::from_child(&child), Signal::USR1).unwrap();
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(model(&asked) == model(&whole));
}

/// Runs the program as another user, whom permissions stop: who tests in a container is root.
fn as_nobody(project: &Project, args: &[&str]) -> Ran {
    // Nobody may be allowed to enter the directory that it was built in.
    let program = project.path("ncf-pipe");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_ncf-pipe"), &program).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(args);
    Ran::of(command.current_dir(project.path("")).env("NO_COLOR", "1").output().unwrap())
}

#[test]
fn a_store_that_can_only_be_read_is_used_and_what_is_missing_is_kept_beside_the_outputs() {
    if !rustix::process::geteuid().is_root() || Command::new("setpriv").arg("--version").output().is_err() {
        println!("skipped: only root can become another user, and needs `setpriv` for it");
        return;
    }
    let project = quick();
    project.run("q.yaml", &[]).ends(0);
    let theirs = project.path("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::set_permissions(project.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&theirs, Permissions::from_mode(0o777)).unwrap();
    let run =
        |more: &[&str]| as_nobody(&project, &[&["run", "q.yaml", "--json", "--outputs", "theirs"], more].concat());
    let ran = run(&[]).ends(0);
    assert!(ran.err.contains("is read-only: what is missing in it is kept in `theirs/.ncf-pipe`"), "{}", ran.err);
    assert!(ran.with("ran").is_empty());
    let stale = ["--set", "epochs=3"];
    assert_eq!(run(&stale).ends(0).with("ran"), ["train", "evaluate"]);
    assert!(run(&stale).ends(0).with("ran").is_empty());
    // Outputs of somebody else are refused before anything is computed.
    fs::set_permissions(project.path("outputs"), Permissions::from_mode(0o777)).unwrap();
    let refused = as_nobody(&project, &["run", "q.yaml", "--json", "--set", "epochs=4"]).ends(3);
    assert!(refused.err.contains("cannot write to the outputs directory `outputs/quickstart/"), "{}", refused.err);
    assert!(refused.json()["stages"].as_array().unwrap().is_empty());
}

#[test]
fn a_model_is_not_judged_on_a_split_that_it_was_not_trained_on() {
    let project = Project::new();
    let more = "  other: {kind: split, inputs: {dataset: ids}, strategy: leave_last_n, valid_n: 0, test_n: 1}\n  leak: {kind: evaluate, inputs: {model: train, split: other}}\n";
    project.write("q.yaml", quickstart() + more);
    let ran = project.ncf(&["-q", "run", "q.yaml"]).ends(2);
    assert!(ran.err.contains("the model was trained on other rows"), "{}", ran.err);
}

#[test]
fn with_json_there_is_a_report_also_when_nothing_could_run() {
    let project = Project::new();
    let json = project.run("nowhere.yaml", &[]).ends(2).json();
    assert_eq!((json["ok"].as_bool(), json["stages"].as_array().map(Vec::len)), (Some(false), Some(0)));
    assert!(json["error"].as_str().unwrap().contains("nowhere.yaml"));
}

#[test]
fn a_failure_keeps_its_exit_code_when_the_reader_has_gone_away() {
    let project = Project::new();
    project.write("bad.yaml", "name: bad\nstages:\n  a: {kind: read, path: missing.tsv}\n");
    let mut child =
        project.command(&["run", "bad.yaml"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing.tsv"));
}

#[test]
fn force_outside_of_only_is_refused() {
    let ran = quick().ncf(&["plan", "q.yaml", "--only", "split", "--force", "train"]).ends(2);
    assert!(ran.err.contains("add `--only train`"), "{}", ran.err);
}
