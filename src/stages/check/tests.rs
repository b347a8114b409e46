use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::artifacts::metrics::PerUser;
use crate::artifacts::metrics::tests::sampled;
use crate::stage::{Class, StageKind};
use crate::stages::tests::{Bench, Done};

/// Results by the name of their stage: the hit rate at 10 of the protocol `sampled`.
fn bench(runs: &[(&str, f64)]) -> Bench {
    let mut bench = Bench::new();
    for (stage, hit_rate) in runs {
        bench.connect("metrics", stage, |context| {
            let mut metrics = sampled(*hit_rate, "ab");
            let protocol = metrics.protocols.get_mut("sampled").unwrap();
            protocol.popularity = Some([("hr@10".to_owned(), Some(0.25))].into_iter().collect());
            let undefined = protocol.metrics.iter().map(|(name, mean)| (name.to_owned(), mean));
            protocol.metrics = undefined.chain([("auc".to_owned(), None)]).collect();
            metrics.write(PerUser::default(), "evaluate", context).unwrap();
        });
    }
    bench
}

fn grid() -> Bench {
    let cells = [("bce", 1, 0.5), ("bce", 2, 0.75), ("focal", 1, 0.625), ("focal", 2, 1.0)];
    let runs = cells.map(|(loss, seed, hit_rate)| (format!("e[loss={loss},seed={seed}]"), hit_rate));
    bench(&runs.iter().map(|(stage, hit_rate)| (stage.as_str(), *hit_rate)).collect::<Vec<_>>())
}

fn run(bench: &Bench, expect: &[&str]) -> Result<Done> {
    bench.run::<Check>(json!({"expect": expect}))
}

#[test]
fn what_holds_is_written_with_both_values() {
    let bench = bench(&[("bce", 0.5), ("focal", 0.75)]);
    let done =
        run(&bench, &["focal.sampled.hr@10 >= bce.sampled.hr@10", "bce.sampled.popularity.hr@10 == 0.25"]).unwrap();
    let expected = json!({
        "passed": true,
        "checks": [
            {
                "expect": "focal.sampled.hr@10 >= bce.sampled.hr@10",
                "passed": true,
                "left": {"value": 0.75, "stages": ["focal"]},
                "right": {"value": 0.5, "stages": ["bce"]},
            },
            {
                "expect": "bce.sampled.popularity.hr@10 == 0.25",
                "passed": true,
                "left": {"value": 0.25, "stages": ["bce"]},
                "right": {"value": 0.25},
            },
        ],
    });
    assert_eq!(done.json("checks.json"), expected);
    assert_eq!((done.warnings().len(), done.fact("checks"), done.fact("failed")), (0, 2.into(), 0.into()));
    assert!(Checks::load(&done.dir).unwrap().passed);
}

#[test]
fn what_does_not_hold_fails_the_stage_with_both_values() {
    let bench = bench(&[("bce", 0.75), ("focal", 0.5)]);
    let expect = [
        "focal.sampled.hr@10 > 0.125",
        "focal.sampled.hr@10 >= bce.sampled.hr@10",
        "bce.sampled.hr@10 ~= 1 within 0.125",
    ];
    let error = run(&bench, &expect).err().unwrap();
    assert_eq!(error.class, Class::Failed);
    let expected = "2 of 3 expectations do not hold:\n  `focal.sampled.hr@10 >= bce.sampled.hr@10`: 0.5 against 0.75\n  \
                    `bce.sampled.hr@10 ~= 1 within 0.125`: 0.75 against 1";
    assert_eq!(error.message, expected);
    let done = bench.run::<Check>(json!({"expect": expect, "on_failure": "warn"})).unwrap();
    assert_eq!((done.warnings(), &done.json("checks.json")["passed"]), (vec![expected], &json!(false)));
}

#[test]
fn a_stage_without_its_cell_is_the_mean_of_all_cells() {
    // (0.5 + 0.75 + 0.625 + 1) / 4 = 0.71875; bce (0.5 + 0.75) / 2, focal (0.625 + 1) / 2.
    let expect = [
        "e.sampled.hr@10 == 0.71875",
        "e[loss=bce].sampled.hr@10 == 0.625",
        "e[loss=focal].sampled.hr@10 == 0.8125",
        "e[loss=focal,seed=2].sampled.hr@10 == 1",
        "e[seed=2,loss=focal].sampled.hr@10 == 1",
    ];
    let done = run(&grid(), &expect).unwrap();
    let checks = Checks::load(&done.dir).unwrap().checks;
    assert_eq!(checks[1].left.stages, ["e[loss=bce,seed=1]", "e[loss=bce,seed=2]"]);
    let error = run(&grid(), &["e.sampled.hr@10 > e[seed=2].sampled.hr@10"]).err().unwrap();
    assert!(error.message.ends_with("0.71875 (mean of 4 cells) against 0.875 (mean of 2 cells)"), "{error}");
}

#[test]
fn a_name_that_does_not_exist_is_an_error_that_says_what_does() {
    let bench = grid();
    let refused = |expect: &str| {
        let error = run(&bench, &[expect]).err().unwrap();
        assert_eq!(error.class, Class::Data);
        (error.message, error.help.unwrap())
    };
    let of = |name: &str, what: &str| format!("`{name} > 0`: {what}");
    assert_eq!(
        refused("ee.sampled.hr@10 > 0"),
        (
            of("ee.sampled.hr@10", "no connected stage is called `ee`"),
            "did you mean `e`? connected to `metrics`: `e`".into()
        )
    );
    assert_eq!(
        refused("e[loss=bec].sampled.hr@10 > 0").1,
        "the cells are: `loss=bce,seed=1`, `loss=bce,seed=2`, `loss=focal,seed=1`, `loss=focal,seed=2`"
    );
    assert_eq!(
        refused("e.smapled.hr@10 > 0"),
        (
            of("e.smapled.hr@10", "`e[loss=bce,seed=1]` has no protocol `smapled`"),
            "did you mean `sampled`? its protocols are: `sampled`".into()
        )
    );
    let (message, help) = refused("e.sampled.hr@1 > 0");
    assert_eq!(message, of("e.sampled.hr@1", "`e[loss=bce,seed=1]` has no metric `hr@1` in the protocol `sampled`"));
    assert!(help.starts_with("did you mean `hr@10`? its metrics are: `auc`, `hr@10`"), "{help}");
    let (message, _) = refused("e.sampled.auc > 0");
    assert!(message.ends_with("`auc` of `e[loss=bce,seed=1]` is not defined for any user"), "{message}");
}

#[test]
fn numbers_in_coordinates_count_by_value() {
    let bench = bench(&[("e[gamma=0.0]", 0.5), ("e[gamma=2.0]", 0.75)]);
    for cell in ["gamma=0", "gamma=0.0", "gamma=0.00"] {
        let done = run(&bench, &[&format!("e[{cell}].sampled.hr@10 == 0.5")]).unwrap();
        assert_eq!(done.json("checks.json")["checks"][0]["left"]["stages"], json!(["e[gamma=0.0]"]), "{cell}");
    }
    assert!(run(&bench, &["e[gamma=1].sampled.hr@10 == 0.5"]).is_err());
}

#[test]
fn names_are_looked_up_before_anything_runs() {
    let connected = || {
        let run = |stage: &str| Connected { port: "metrics", stage: stage.to_owned(), ..Connected::default() };
        let names = ["hr@10", "popularity.hr@10"].map(str::to_owned);
        let known = Connected { measures: Some(Arc::new([("full".to_owned(), names.into())].into())), ..run("known") };
        Rc::from([run("e[gamma=0.0]"), run("plain"), known])
    };
    let check = |text: &str| {
        let check = Check { expect: vec![text.to_owned()], ..Check::default() };
        check.check_connected(&connected).map_err(|error| format!("{}: {}", error.path.join("."), error.message))
    };
    assert_eq!(check("e[gamma=0].full.auc > plain.full.auc"), Ok(()));
    assert_eq!(
        check("0.5 < eval.full.auc"),
        Err("expect.0: `0.5 < eval.full.auc`: no connected stage is called `eval`".to_owned())
    );
    assert_eq!(
        check("e[gamma=1].full.auc > 0"),
        Err("expect.0: `e[gamma=1].full.auc > 0`: no cell of `e` is `gamma=1`".to_owned())
    );
    assert!(check("plain[gamma=1].full.auc > 0").unwrap_err().contains("`plain` has no cells"));
    assert_eq!(check("known.full.hr@10 > known.full.popularity.hr@10"), Ok(()));
    for (text, message) in [
        ("known.full.auc > 0", "`known` has no metric `auc` in the protocol `full`"),
        ("known.full.popularity.auc > 0", "`known` has no metric `auc` in the protocol `full`"),
        ("known.sampled.hr@10 > 0", "`known` has no protocol `sampled`"),
    ] {
        assert_eq!(check(text), Err(format!("expect.0: `{text}`: {message}")));
    }
}

#[test]
fn expectations_are_read_before_anything_runs() {
    let decode = StageKind::of::<Check>().decode;
    let error = decode(json!({"expect": ["e.full.auc > 0.5", "e.full.auc = 0.5"]})).err().unwrap();
    assert_eq!((error.path, error.message.as_str()), (vec!["expect".into(), "1".into()], "`=` is no comparison"));
    assert_eq!(decode(json!({"expect": []})).err().unwrap().path, ["expect"]);
    assert!(decode(json!({})).is_err());
}
