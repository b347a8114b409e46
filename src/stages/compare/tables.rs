//! The comparison as a table for the terminal, Markdown, LaTeX and CSV.

use crate::artifacts::comparison::{Comparison, Group, Marking, Test};
use crate::artifacts::metrics::is_of_lists;
use crate::figures::FigureError;
use crate::figures::plot::Better;
use crate::figures::table::{Cell, Column, Latex, Number, Significance, Table};
use crate::stage::{Context, Fault, Result};

/// Digits of metrics, as papers give them.
const DIGITS: u8 = 4;
/// Characters of a line in the text for terminals.
const WIDTH: usize = 120;

/// Writes `table.txt`, `table.md` and `table.tex`, protocol by protocol, and `table.csv`, where all are one table.
pub(super) fn write(comparison: &Comparison, level: f64, context: &Context<'_>) -> Result<()> {
    let tables = tables(comparison, level);
    let join = |of: &dyn Fn(&Table) -> Result<String, FigureError>| {
        let texts: Result<Vec<String>, FigureError> = tables.iter().map(|(_, table)| of(table)).collect();
        texts.map(|texts| texts.join("\n")).map_err(|error| Fault::failed(&error))
    };
    for (name, text) in [
        ("table.txt", join(&|table| table.terminal(WIDTH))?),
        ("table.md", join(&Table::markdown)?),
        ("table.tex", join(&|table| table.latex(&Latex::default()))?),
        ("table.csv", one(tables).csv().map_err(|error| Fault::failed(&error))?),
    ] {
        let mut file = context.create(name)?;
        file.put(text.as_bytes())?;
        file.finish()?;
    }
    Ok(())
}

/// All tables as one, for programs: the first column says of which protocol a row is.
fn one(tables: Vec<(String, Table)>) -> Table {
    let mut one = Table::default();
    for (protocol, table) in tables {
        if one.columns.is_empty() {
            one.columns.push(Column { name: "protocol".to_owned(), ..Column::default() });
            one.columns.extend(table.columns);
        }
        one.significance = one.significance.or(table.significance.map(|mut test| {
            // How many hypotheses are corrected for differs from protocol to protocol.
            if let Some((name, _)) = test.correction.split_once(',') {
                test.correction = if name == "none" { "not corrected".to_owned() } else { name.to_owned() };
            }
            test
        }));
        one.rows.extend(table.rows.into_iter().map(|row| [vec![Cell::text(protocol.clone())], row].concat()));
    }
    one
}

/// A table for each protocol: a row for each group, mean and standard deviation of each metric, and what it is above or
/// below the baseline in per cent.
fn tables(comparison: &Comparison, level: f64) -> Vec<(String, Table)> {
    let mut protocols: Vec<&str> = Vec::new();
    for group in &comparison.groups {
        if !protocols.contains(&group.protocol.as_str()) {
            protocols.push(&group.protocol);
        }
    }
    protocols.into_iter().map(|protocol| (protocol.to_owned(), table(comparison, protocol, level))).collect()
}

fn table(comparison: &Comparison, protocol: &str, level: f64) -> Table {
    let metrics = &comparison.metrics;
    let groups: Vec<&Group> = comparison.groups.iter().filter(|group| group.protocol == protocol).collect();
    let tests: Vec<&Test> = comparison.tests.iter().filter(|test| test.protocol == protocol).collect();
    let marks = Marking::of(&comparison.tests);
    let p = |group: &Group, metric: &str| {
        let marks = marks?;
        let is = |test: &&&Test| test.group == group.name && test.metric == metric && marks.is(test);
        tests.iter().find(is)?.p_adjusted
    };
    let column = |name: &str, better, digits| Column { name: name.to_owned(), better, digits, unit: None };
    let mut columns = vec![column("runs of", Better::None, 0)];
    columns.extend(metrics.iter().map(|metric| {
        let better = if is_of_lists(metric) { Better::None } else { Better::Higher };
        column(metric, better, DIGITS)
    }));
    columns.push(column("runs", Better::None, 0));
    let rows = groups.iter().map(|group| {
        let mut row = vec![Cell::text(group.name.clone())];
        for metric in metrics {
            let spread = group.metrics.iter().find(|spread| spread.metric == *metric);
            row.push(spread.map_or(Cell::Missing, |spread| {
                Cell::Number(Number {
                    value: Some(spread.mean),
                    sd: spread.sd,
                    interval: None,
                    n: None,
                    p: p(group, metric),
                    difference: spread.difference,
                    change: spread.percent,
                })
            }));
        }
        row.push(Cell::Integer(group.runs as i64));
        row
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let users = comparison.rows.iter().filter(|row| row.protocol == protocol).map(|row| row.n_users);
    let (least, most) = (users.clone().min().unwrap_or(0), users.max().unwrap_or(0));
    let users = if least == most { least.to_string() } else { format!("{least} to {most}") };
    let repeats = groups.iter().any(|group| group.runs > 1);
    let significance = marks.and_then(|marks| {
        let test = tests.iter().find(|test| marks.is(test))?;
        Some(Significance {
            test: marks.to_string(),
            alternative: test.alternative.clone(),
            correction: test.correction.clone(),
            // Without what binary fractions add: 0.05, not 0.050000000000000044.
            level: ((1.0 - level) * 1e6).round() / 1e6,
            strict: None,
        })
    });
    Table {
        caption: format!("{protocol} ranking of {users} users"),
        columns,
        rows,
        baseline: groups.iter().position(|group| group.is_baseline),
        significance,
        notes: [
            repeats.then(|| "Means and standard deviations are over runs.".to_owned()),
            chosen(comparison, protocol),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

/// What to say of models whose epoch was chosen by what judges them.
fn chosen(comparison: &Comparison, protocol: &str) -> Option<String> {
    let rows: Vec<_> = comparison.rows.iter().filter(|row| row.protocol == protocol).collect();
    let chosen: Vec<_> = rows.iter().filter_map(|row| row.chosen_on.as_deref()).collect();
    let part = chosen.first()?;
    let of = if chosen.len() == rows.len() { "all".to_owned() } else { format!("{} of {}", chosen.len(), rows.len()) };
    Some(format!("The epochs of {of} runs were chosen on the {part} part, which judges them here."))
}
