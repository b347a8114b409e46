//! What a comparison is asked for, and whether its runs can have it: known before anything has run.

use std::collections::BTreeSet;

use crate::artifacts::cells::{group, labels, stage_of};
use crate::stage::{Connected, ParamError, Result};
use crate::stages::compare::groups::{Baseline, Known, find_baseline, same};
use crate::stages::names::{known, measured};

/// Refuses metrics that none of the runs has, where that is known.
///
/// # Errors
/// Names the first of them.
pub(super) fn refuse_unknown_metrics(metrics: &[String], runs: &[Connected]) -> Result<(), ParamError> {
    let Some(there) = measured(runs) else { return Ok(()) };
    let there: BTreeSet<&String> = there.values().flatten().collect();
    match metrics.iter().enumerate().find(|(_, metric)| !there.contains(metric)) {
        None => Ok(()),
        Some((place, metric)) => {
            let help = known(metric, "they have", there.into_iter().map(String::as_str));
            Err(ParamError::new(&format!("metrics.{place}"), format!("no connected run has the metric `{metric}`"))
                .help(format!("{help}; `metrics` and `k` of the evaluating stage say which are computed")))
        }
    }
}

/// Refuses a baseline that no connected run is, or several groups of runs of one protocol are, as far as it is known of
/// which protocols they are.
///
/// # Errors
/// When there is none, with the names that there are.
pub(super) fn refuse_unknown(baseline: &Baseline, runs: &[Connected], repeat: &str) -> Result<(), ParamError> {
    let groups = group(runs.iter().map(|run| (run.stage.as_str(), &run.cell, ())), repeat);
    let names = labels(groups.iter().map(|(stage, cell, _)| (stage.as_str(), cell)));
    match baseline {
        Baseline::Stage(wanted) => {
            let stages = || runs.iter().map(|run| stage_of(&run.stage));
            if !stages().any(|stage| stage == wanted) && !names.contains(wanted) {
                let all = stages().chain(names.iter().map(String::as_str));
                return Err(ParamError::new("baseline", format!("no connected run is `{wanted}`")).help(known(
                    wanted,
                    "there are",
                    all,
                )));
            }
        }
        Baseline::Cell(wanted) => {
            let has = |run: &Connected| {
                wanted.iter().all(|(axis, value)| run.cell.get(axis).is_some_and(|other| same(value, other)))
            };
            if !runs.iter().any(has) {
                let all = names.iter().map(String::as_str);
                return Err(ParamError::new("baseline", "no connected run has these coordinates").help(known(
                    "",
                    "there are",
                    all,
                )));
            }
        }
    }
    refuse_ambiguous(baseline, runs, repeat)
}

/// Finds the baseline as it will be found among the results, protocol by protocol.
fn refuse_ambiguous(baseline: &Baseline, runs: &[Connected], repeat: &str) -> Result<(), ParamError> {
    let Some(there) = measured(runs) else { return Ok(()) };
    let of_run = |run: &'_ Connected| run.measures.iter().flat_map(|own| own.keys().cloned()).collect::<Vec<_>>();
    let rows: Vec<(&Connected, String)> =
        runs.iter().flat_map(|run| of_run(run).into_iter().map(move |protocol| (run, protocol))).collect();
    let groups = group(rows.iter().map(|(run, protocol)| (run.stage.as_str(), &run.cell, protocol)), repeat);
    let names = labels(groups.iter().map(|(stage, cell, _)| (stage.as_str(), cell)));
    let known: Vec<Known<'_>> = groups
        .iter()
        .zip(&names)
        .map(|((stage, cell, places), name)| Known { name, stage, cell, protocol: &rows[places[0]].1 })
        .collect();
    for protocol in there.keys() {
        if let Err(fault) = find_baseline(&known, baseline, protocol) {
            return Err(ParamError { help: fault.help, ..ParamError::new("baseline", fault.message) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn run(stage: &str, cell: Value, measured: &[(&str, &[&str])]) -> Connected {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Connected {
            port: "runs",
            stage: stage.to_owned(),
            cell: serde_json::from_value(cell).unwrap(),
            measures: (!measured.is_empty())
                .then(|| measured.iter().map(|(protocol, of)| ((*protocol).to_owned(), names(of))).collect())
                .map(Arc::new),
            ..Connected::default()
        }
    }

    fn baseline(value: Value, runs: &[Connected]) -> Result<(), (String, String)> {
        let baseline: Baseline = serde_json::from_value(value).unwrap();
        refuse_unknown(&baseline, runs, "seed").map_err(|error| (error.message, error.help.unwrap()))
    }

    #[test]
    fn a_baseline_that_is_no_run_is_refused_with_what_there_is() {
        let runs = [
            run("bce[seed=1]", json!({"seed": 1}), &[]),
            run("focal[gamma=0.0,seed=1]", json!({"gamma": 0.0, "seed": 1}), &[]),
        ];
        for known in [json!("bce"), json!("focal"), json!("focal gamma=0.0"), json!({"gamma": 0})] {
            assert_eq!(baseline(known, &runs), Ok(()));
        }
        let (message, help) = baseline(json!("bpr"), &runs).unwrap_err();
        assert_eq!(message, "no connected run is `bpr`");
        assert_eq!(help, "there are: `bce`, `focal`, `focal gamma=0.0`");
        assert_eq!(baseline(json!({"gamma": 1}), &runs).unwrap_err().0, "no connected run has these coordinates");
    }

    #[test]
    fn a_baseline_that_several_groups_are_is_refused() {
        let of = |gamma: u32, seed: u32, protocol| {
            let cell = json!({"gamma": gamma, "seed": seed});
            run(&format!("e[gamma={gamma},seed={seed}]"), cell, &[(protocol, &["hr@10"])])
        };
        let runs = [of(0, 1, "full"), of(0, 2, "full"), of(2, 1, "full")];
        let (message, help) = baseline(json!("e"), &runs).unwrap_err();
        assert_eq!(message, "2 groups of runs are the `baseline`: `gamma=0`, `gamma=2`");
        assert!(help.contains("more coordinates"));
        assert_eq!(baseline(json!({"gamma": 0}), &runs), Ok(()));
        // One of each protocol is what is wanted; one of a single protocol leaves the other without.
        assert_eq!(baseline(json!("e"), &[of(0, 1, "full"), of(2, 1, "sampled")]), Ok(()));
        let (message, help) = baseline(json!({"gamma": 0}), &[of(0, 1, "full"), of(2, 1, "sampled")]).unwrap_err();
        assert_eq!(message, "the `baseline` has no results of the protocol `sampled`, which others have");
        assert!(help.contains("compare runs of the same protocols"));
        // What is not known is left to the run.
        assert_eq!(baseline(json!("e"), &[of(0, 1, "full"), run("e[gamma=2]", json!({"gamma": 2}), &[])]), Ok(()));
    }

    #[test]
    fn a_metric_that_no_run_has_is_refused_with_those_there_are() {
        let runs = [run("e", json!({}), &[("full", &["hr@10", "popularity.hr@10"]), ("sampled", &["hr@10", "auc"])])];
        let metrics = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            refuse_unknown_metrics(&names, &runs)
                .map_err(|error| (error.path.join("."), error.message, error.help.unwrap()))
        };
        assert_eq!(metrics(&["auc", "hr@10"]), Ok(()));
        let (path, message, help) = metrics(&["auc", "hr@100"]).unwrap_err();
        assert_eq!((path.as_str(), message.as_str()), ("metrics.1", "no connected run has the metric `hr@100`"));
        assert!(help.starts_with("did you mean `hr@10`? they have: `auc`, `hr@10`;"), "{help}");
    }
}
