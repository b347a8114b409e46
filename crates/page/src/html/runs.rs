//! The runs by stage, and the place where two of them are compared.

use std::collections::BTreeMap;

use maud::html;

use crate::html::Section;
use crate::html::stage_runs;
use crate::model::run::Run;

/// The runs of one stage, with their numbers among all runs, counted from 1.
pub(super) struct StageRuns<'a> {
    pub(super) stage: &'a str,
    /// The number of the stage, counted from 1.
    pub(super) number: usize,
    pub(super) runs: Vec<(usize, &'a Run)>,
}

/// The runs by stage, stages in the order of their first run.
fn by_stage(runs: &[Run]) -> Vec<StageRuns<'_>> {
    let mut numbers = BTreeMap::new();
    let mut stages: Vec<StageRuns> = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        let at = *numbers.entry(run.stage.as_str()).or_insert(stages.len());
        if at == stages.len() {
            stages.push(StageRuns { stage: &run.stage, number: at + 1, runs: Vec::new() });
        }
        stages[at].runs.push((i + 1, run));
    }
    stages
}

/// Where on the page each stage's runs are: the run itself if there is only one.
pub(super) fn links(runs: &[Run]) -> BTreeMap<&str, String> {
    let link = |stage: &StageRuns| match stage.runs.as_slice() {
        [(number, _)] => format!("#run-{number}"),
        _ => format!("#stage-{}", stage.number),
    };
    by_stage(runs).iter().map(|stage| (stage.stage, link(stage))).collect()
}

/// All runs, or nothing if there are none.
pub(super) fn section(runs: &[Run]) -> Option<Section> {
    if runs.is_empty() {
        return None;
    }
    let stages = by_stage(runs);
    // A stage with one run is one line, and links lead to the run.
    let many = stages.iter().filter(|stage| stage.runs.len() > 1);
    let parts = many.map(|stage| (format!("stage-{}", stage.number), stage.stage.to_owned())).collect();
    let body = html! { @for stage in &stages { (stage_runs::markup(stage)) } };
    Some(Section { id: "runs", heading: "Runs", body, parts, scripted: false })
}

/// The place where script puts the comparison of two runs.
pub(super) fn compare(runs: &[Run]) -> Option<Section> {
    if runs.len() < 2 {
        return None;
    }
    let body = html! {
        p.caption { "Choose them here, or by the buttons in a run's details: which parameters, metrics and lines of the configuration differ." }
        div data-compare {}
    };
    Some(Section { id: "compare", heading: "Compare two runs", body, parts: Vec::new(), scripted: true })
}
