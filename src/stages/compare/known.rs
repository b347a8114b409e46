//! Whether the baseline of a comparison can be any of its runs: known before anything has run.

use crate::artifacts::cells::{group, labels, stage_of};
use crate::stage::{Connected, ParamError, Result};
use crate::stages::compare::groups::{Baseline, same};
use crate::stages::names::known;

/// Refuses a baseline that no connected run is. Which of several is meant, and in which protocol, only results tell.
///
/// # Errors
/// When there is none, with the names that there are.
pub(super) fn refuse_unknown(baseline: &Baseline, runs: &[Connected], repeat: &str) -> Result<(), ParamError> {
    let groups = group(runs.iter().map(|run| (run.stage.as_str(), &run.cell, ())), repeat);
    let names = labels(groups.iter().map(|(stage, cell, _)| (stage.as_str(), cell)));
    match baseline {
        Baseline::Stage(wanted) => {
            let stages = || runs.iter().map(|run| stage_of(&run.stage));
            if stages().any(|stage| stage == wanted) || names.contains(wanted) {
                return Ok(());
            }
            let all = stages().chain(names.iter().map(String::as_str));
            Err(ParamError::new("baseline", format!("no connected run is `{wanted}`")).help(known(
                wanted,
                "there are",
                all,
            )))
        }
        Baseline::Cell(wanted) => {
            let has = |run: &Connected| {
                wanted.iter().all(|(axis, value)| run.cell.get(axis).is_some_and(|other| same(value, other)))
            };
            if runs.iter().any(has) {
                return Ok(());
            }
            let all = names.iter().map(String::as_str);
            Err(ParamError::new("baseline", "no connected run has these coordinates").help(known("", "there are", all)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_baseline_that_is_no_run_is_refused_with_what_there_is() {
        let run = |stage: &str, cell: Value| Connected {
            port: "runs",
            stage: stage.to_owned(),
            cell: serde_json::from_value(cell).unwrap(),
            axes: BTreeSet::new(),
        };
        let runs =
            [run("bce[seed=1]", json!({"seed": 1})), run("focal[gamma=0.0,seed=1]", json!({"gamma": 0.0, "seed": 1}))];
        let check = |baseline: Value| {
            let baseline: Baseline = serde_json::from_value(baseline).unwrap();
            refuse_unknown(&baseline, &runs, "seed").map_err(|error| (error.message, error.help.unwrap()))
        };
        for known in [json!("bce"), json!("focal"), json!("focal gamma=0.0"), json!({"gamma": 0})] {
            assert_eq!(check(known), Ok(()));
        }
        let (message, help) = check(json!("bpr")).unwrap_err();
        assert_eq!(message, "no connected run is `bpr`");
        assert_eq!(help, "there are: `bce`, `focal`, `focal gamma=0.0`");
        assert_eq!(check(json!({"gamma": 1})).unwrap_err().0, "no connected run has these coordinates");
    }
}
