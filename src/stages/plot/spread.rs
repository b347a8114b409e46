//! How a metric is distributed over users.

use std::collections::BTreeMap;

use crate::artifacts::cells::{group, labels};
use crate::artifacts::metrics::{Metrics, user_values};
use crate::artifacts::metrics::{OF_POPULARITY, is_of_lists};
use crate::figures::plot::{self, Axis, Chart, Distribution, Sample};
use crate::stage::{Artifact, Connected, Context, Fault, ParamError, Result};
use crate::stages::names::{known, of_protocol};
use crate::stages::plot::{Spread, Title, View};

/// Refuses what a run will have no values of users of, where that is known.
pub(super) fn refuse_unmeasured(of: &Spread, run: &Connected) -> Result<(), ParamError> {
    let Some(there) = run.measures.as_deref() else { return Ok(()) };
    let none = format!("`{}` has no results", run.stage);
    let Some((_, names)) = of_protocol(of.protocol.as_deref(), there, &none, "figure.protocol")? else { return Ok(()) };
    let of_users = || names.iter().filter(|name| !name.starts_with(OF_POPULARITY) && !is_of_lists(name));
    // The names of columns will do: `hr_10`, and the rank that evaluations of models give beside the metrics.
    if of.metric == "rank" || of_users().any(|name| *name == of.metric || name.replace('@', "_") == of.metric) {
        return Ok(());
    }
    let what = if is_of_lists(&of.metric) {
        format!("`{}` is of all lists together: no user has a value", of.metric)
    } else {
        format!("`{}` has no metric `{}`", run.stage, of.metric)
    };
    Err(ParamError::new("figure.metric", what).help(format!(
        "{}; `metrics` and `k` of that stage say which are computed",
        known(&of.metric, "its metrics of users are", of_users().map(String::as_str))
    )))
}

/// A sample for each group of runs: the values of its users, each the mean over repetitions.
pub(super) fn chart(of: &Spread, title: Title<'_>, repeat: &str, context: &Context<'_>) -> Result<Chart> {
    let runs = context.inputs("runs");
    let groups = group(runs.iter().map(|run| (run.stage.as_str(), &run.cell, ())), repeat);
    let names = labels(groups.iter().map(|(stage, cell, _)| (stage.as_str(), cell)));
    let mut samples = Vec::new();
    for ((_, _, places), name) in groups.iter().zip(names) {
        let mut users: BTreeMap<u32, (f64, u32)> = BTreeMap::new();
        for place in places {
            let run = &runs[*place];
            let metrics = Metrics::load(&run.dir)?;
            let protocols: Vec<&String> = metrics.protocols.keys().collect();
            let protocol = match (&of.protocol, &protocols[..]) {
                (Some(protocol), _) => protocol,
                (None, [one]) => *one,
                (None, _) => {
                    return Err(Fault::data("results are of several protocols")
                        .help("say which: `protocol: full` or `protocol: sampled`"));
                }
            };
            for (user, value) in user_values(&run.dir, protocol, &of.metric)? {
                let entry = users.entry(user).or_default();
                (entry.0, entry.1) = (entry.0 + value, entry.1 + 1);
            }
        }
        samples.push(Sample::new(name, users.into_values().map(|(sum, n)| sum / f64::from(n))));
    }
    Ok(Chart::Distribution(Distribution {
        title: title(format!("{} over users", of.metric)),
        value: Axis::new(of.metric.clone()),
        counted: "users".to_owned(),
        samples,
        view: match of.view {
            View::Histogram => plot::View::Histogram,
            View::Ecdf => plot::View::Ecdf,
            View::Boxes => plot::View::Boxes { orientation: plot::Orientation::default() },
        },
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_no_user_has_a_value_of_is_refused() {
        let run = |stage: &str, protocols: &[(&str, &[&str])]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let measures = protocols.iter().map(|(name, of)| ((*name).to_owned(), names(of))).collect();
            Connected { stage: stage.to_owned(), measures: Some(Arc::new(measures)), ..Connected::default() }
        };
        let full = run("f", &[("full", &["hr@10", "coverage@10", "popularity.auc"])]);
        let both = run("b", &[("full", &["hr@10"]), ("sampled", &["hr@10"])]);
        let refused = |metric: &str, protocol: Option<&str>, run: &Connected| {
            let of = Spread { metric: metric.to_owned(), protocol: protocol.map(str::to_owned), view: View::Histogram };
            refuse_unmeasured(&of, run).err().map(|error| error.message)
        };
        // Runs may differ in their protocol, if each has one only; names of columns will do.
        for metric in ["hr@10", "hr_10", "rank"] {
            assert_eq!(refused(metric, None, &full), None);
            assert_eq!(refused(metric, Some("sampled"), &both), None);
        }
        assert_eq!(refused("anything", None, &Connected::default()), None);
        let said = |metric: &str, protocol, run| refused(metric, protocol, run).unwrap();
        assert_eq!(said("hr@10", None, &both), "results are of the protocols full and sampled");
        assert_eq!(said("hr@10", Some("sampled"), &full), "`f` has no results of the protocol `sampled`");
        assert_eq!(said("coverage@10", None, &full), "`coverage@10` is of all lists together: no user has a value");
        assert_eq!(said("auc", None, &full), "`f` has no metric `auc`");
    }
}
