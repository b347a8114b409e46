//! The tables and the summary of the page.

use std::fmt::Write;

use crate::artifacts::cells::distinct;
use crate::artifacts::comparison::{Comparison, Group, Marking, Test};
use crate::artifacts::metrics::{Means, Metrics, is_of_lists, names, protocols};
use crate::cli::exit::Failed;
use crate::cli::stored::Stored;
use crate::page::{Better, Cell, Column, Fact, Kind, Table};
use crate::stage::Artifact;
use crate::stats::rounding;

/// Digits of metrics, as papers give them.
const DIGITS: u8 = 4;

/// The comparisons of the pipeline: groups, then tests, then single runs; without any, its evaluations.
pub(super) fn tables(stored: &Stored) -> Result<(Vec<Table>, Vec<Fact>), Failed> {
    let (mut tables, mut facts) = (Vec::new(), Vec::new());
    for (_, node) in stored.nodes() {
        let Some(dir) = stored.artifact(node, Comparison::KIND) else { continue };
        let comparison = Comparison::load(&dir)?;
        for protocol in distinct(comparison.groups.iter().map(|group| group.protocol.as_str())) {
            let groups: Vec<&Group> = comparison.groups.iter().filter(|group| group.protocol == protocol).collect();
            for of_lists in [false, true] {
                tables.extend(of_groups(&node.name(), protocol, &groups, &comparison, of_lists));
            }
            facts.extend(best(protocol, &groups, &comparison.metrics));
        }
        if !comparison.tests.is_empty() {
            tables.push(of_tests(&node.name(), &comparison.tests));
        }
    }
    if tables.is_empty() {
        tables.extend(of_evaluations(stored)?);
    }
    Ok((tables, facts))
}

fn metric(name: &str) -> Column {
    let kind = Kind::Number { digits: Some(DIGITS), better: (!is_of_lists(name)).then_some(Better::Higher) };
    Column { name: name.to_owned(), kind, ..Column::default() }
}

fn number(name: &str, digits: Option<u8>, tooltip: &str) -> Column {
    Column { name: name.to_owned(), kind: Kind::Number { digits, better: None }, tooltip: tooltip.to_owned() }
}

fn text(name: &str) -> Column {
    Column { name: name.to_owned(), ..Column::default() }
}

/// The best group by the first metric that is shown; all that are, where there are ties.
fn best(protocol: &str, groups: &[&Group], metrics: &[String]) -> Option<Fact> {
    let name = metrics.iter().find(|name| !is_of_lists(name))?;
    let found = groups.iter().filter_map(|group| {
        let spread = group.metrics.iter().find(|spread| spread.metric == *name)?;
        Some((spread.mean, spread.sd, group.name.as_str()))
    });
    let found: Vec<(f64, Option<f64>, &str)> = found.collect();
    let (mean, sd, _) = *found.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let tied = found.iter().filter(|other| mean - other.0 <= rounding::of(mean));
    let tied: Vec<&str> = tied.map(|(.., group)| *group).collect();
    // Tied groups may deviate differently from their common mean.
    let sd = sd.filter(|_| tied.len() == 1).map_or_else(String::new, |sd| format!(" ± {sd:.4}"));
    let named = tied.iter().take(3).copied().collect::<Vec<_>>().join("; ");
    let more = tied.len().saturating_sub(3);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let even = if tied.len() > 1 { " (tied)" } else { "" };
    Some(Fact {
        name: format!("best {name}, {protocol} ranking: {named}{more}{even}"),
        value: format!("{mean:.4}{sd}"),
    })
}

/// The metrics of users, or the figures of all lists together; `None` where there is nothing to show.
fn of_groups(stage: &str, protocol: &str, groups: &[&Group], comparison: &Comparison, of_lists: bool) -> Option<Table> {
    let (tests, marks) = (&comparison.tests, Marking::of(&comparison.tests));
    let there = |name: &&str| groups.iter().any(|group| group.metrics.iter().any(|spread| spread.metric == **name));
    let all = comparison.metrics.iter().map(String::as_str).filter(there);
    let names: Vec<&str> = all.filter(|name| is_of_lists(name) == of_lists).collect();
    if names.is_empty() {
        return None;
    }
    let baseline = groups.iter().find(|group| group.is_baseline);
    let mut columns = vec![text("runs of")];
    for name in &names {
        columns.push(metric(name));
        if baseline.is_some() {
            columns.push(number(&format!("{name} change in %"), Some(1), "of the mean, against the baseline"));
        }
    }
    columns.push(number("runs", Some(0), ""));
    columns.push(number("seconds a model", Some(1), "mean time to train"));
    let rows = groups.iter().map(|group| {
        let mut row = vec![Cell::text(group.name.clone())];
        for name in &names {
            let spread = group.metrics.iter().find(|spread| spread.metric == *name);
            let of = |test: &&Test| test.group == group.name && test.metric == *name && test.protocol == protocol;
            let said: Vec<String> = tests.iter().filter(of).map(said).collect();
            let marked = |test: &&Test| marks.is_some_and(|marks| marks.is(test));
            let significant =
                tests.iter().filter(of).find(marked).is_some_and(|test| test.is_significant == Some(true));
            row.push(spread.map_or_else(Cell::default, |spread| Cell {
                value: Some(spread.mean),
                sd: spread.sd,
                mark: if significant { "*".to_owned() } else { String::new() },
                tooltip: said.join("; "),
                ..Cell::default()
            }));
            if baseline.is_some() {
                row.push(match spread.and_then(|spread| spread.percent) {
                    Some(percent) => Cell::number(percent),
                    None if group.is_baseline => Cell::text("baseline"),
                    None => Cell::default(),
                });
            }
        }
        row.push(Cell::number(group.runs as f64));
        row.push(group.model_seconds.map_or_else(Cell::default, Cell::number));
        row
    });
    let repeats = groups.iter().any(|group| group.runs > 1);
    let mut caption = if repeats { "Mean ± standard deviation over runs.".to_owned() } else { String::new() };
    if let Some(baseline) = baseline {
        let _ = write!(caption, " The baseline is {}", baseline.name);
        let _ = match marks.filter(|_| !of_lists) {
            Some(marks) => write!(caption, "; * differs from it by the {marks}, after correction."),
            None => write!(caption, "."),
        };
    }
    Some(Table {
        title: format!("{stage}: {}", title(protocol, of_lists)),
        caption: caption.trim().to_owned(),
        columns,
        rows: rows.collect(),
    })
}

fn title(protocol: &str, of_lists: bool) -> String {
    format!("{protocol} ranking{}", if of_lists { ", the lists of all users together" } else { "" })
}

/// A test in a few words.
fn said(test: &Test) -> String {
    match (test.p_adjusted, &test.why_not) {
        (Some(p), _) => format!("p = {p:.2e} ({} over {}, {})", test.test, test.over, test.correction),
        (None, Some(why)) => format!("no test over {}: {why}", test.over),
        (None, None) => String::new(),
    }
}

fn of_tests(stage: &str, tests: &[Test]) -> Table {
    let columns = vec![
        text("hypothesis"),
        text("protocol"),
        text("over"),
        text("test"),
        number("pairs", Some(0), ""),
        number("difference", Some(5), "mean of the paired differences"),
        text("interval"),
        number("p", None, "not corrected"),
        number("p corrected", None, "for the number of hypotheses of the same test and protocol"),
        text("correction"),
        number("d", Some(3), "Cohen's d of the paired differences"),
        number("r", Some(3), "matched-pairs rank-biserial correlation"),
    ];
    let maybe = |value: Option<f64>| value.map_or_else(Cell::default, Cell::number);
    let small =
        |value: Option<f64>| value.map_or_else(Cell::default, |p| Cell { value: Some(rounded(p)), ..Cell::default() });
    let rows = tests.iter().map(|test| {
        let interval = test.interval.map_or_else(String::new, |(low, high)| format!("{low:.5} to {high:.5}"));
        let why = test.why_not.clone().unwrap_or_default();
        vec![
            Cell { tooltip: why, ..Cell::text(test.hypothesis.clone()) },
            Cell::text(test.protocol.clone()),
            Cell::text(test.over.clone()),
            Cell::text(test.test.clone()),
            Cell::number(test.n as f64),
            maybe(test.difference),
            Cell::text(interval),
            small(test.p),
            small(test.p_adjusted),
            Cell::text(test.correction.clone()),
            maybe(test.d_z),
            maybe(test.rank_biserial),
        ]
    });
    Table { title: format!("{stage}: tests against the baseline"), columns, rows: rows.collect(), ..Table::default() }
}

/// Three significant digits.
fn rounded(p: f64) -> f64 {
    format!("{p:.2e}").parse().unwrap_or(p)
}

fn of_evaluations(stored: &Stored) -> Result<Vec<Table>, Failed> {
    let mut found = Vec::new();
    for (_, node) in stored.nodes() {
        if let Some(dir) = stored.artifact(node, Metrics::KIND) {
            found.push((node.name(), Metrics::load(&dir)?));
        }
    }
    let table = |(protocol, of_lists): (&String, bool)| {
        let of = || found.iter().filter_map(|(stage, metrics)| Some((stage, metrics.protocols.get(protocol)?)));
        let all: Vec<&Means> = of().map(|(_, result)| result.figures(of_lists)).collect();
        let names = names(all.iter().copied());
        if names.is_empty() {
            return None;
        }
        let columns = std::iter::once(text("stage"))
            .chain(names.iter().map(|name| metric(name)))
            .chain([number("users", Some(0), "")])
            .collect();
        let rows = of().zip(&all).map(|((stage, result), means)| {
            let value = |name: &&str| means.get(name).map_or_else(Cell::default, Cell::number);
            std::iter::once(Cell::text(stage.clone()))
                .chain(names.iter().map(value))
                .chain([Cell::number(result.n_users as f64)])
                .collect()
        });
        Some(Table { title: title(protocol, of_lists), columns, rows: rows.collect(), ..Table::default() })
    };
    let protocols = protocols(found.iter().map(|(_, metrics)| metrics)).into_iter();
    Ok(protocols.flat_map(|protocol| [(protocol, false), (protocol, true)]).filter_map(table).collect())
}
