//! Reading `sample:` and making the cells of a matrix that has it.

use serde_json::Value;

use crate::config::label::canonical;
use crate::config::matrix::{Axis, Cell, Grid, MAX_CELLS, Numbers, Reader, Row, Rule};
use crate::config::names::{did_you_mean, quote};
use crate::config::node::Entry;
use crate::config::search::{Choice, Search, draw};
use crate::config::{Span, Spanned};

const EXAMPLE: &str = "write `sample: {cells: 20, seed: 1, cross: [seed]}`";

impl Reader<'_> {
    /// Reads `sample:`.
    pub(super) fn search(&mut self, entry: &Entry, axes: &[Axis]) -> Option<Search> {
        let Some(entries) = entry.value.entries() else {
            self.wrong(entry.value.span, format!("`sample` is {}, not a mapping", entry.value.what()), EXAMPLE);
            return None;
        };
        let mut search = Search { cells: 0, seed: 0, cross: Vec::new() };
        for Entry { key, value: node } in entries {
            let value = self.value(node)?;
            match key.value.as_str() {
                "cells" => {
                    let cells = value.as_u64().filter(|cells| (1..=MAX_CELLS as u64).contains(cells));
                    let Some(cells) = cells else {
                        self.wrong(node.span, format!("`cells` is not a number from 1 to {MAX_CELLS}"), EXAMPLE);
                        return None;
                    };
                    search.cells = cells as usize;
                }
                "seed" => {
                    let Some(seed) = value.as_u64() else {
                        self.wrong(node.span, "`seed` is not a whole number from 0 on", EXAMPLE);
                        return None;
                    };
                    search.seed = seed;
                }
                "cross" => search.cross = self.crossed(node.span, &value, axes)?,
                other => {
                    let help = did_you_mean(other, "settings", ["cells", "seed", "cross"].into_iter());
                    self.wrong(key.span, format!("`sample` has no setting {}", quote(other)), help);
                    return None;
                }
            }
        }
        if search.cells == 0 {
            self.wrong(entry.key.span, "`sample` does not say how many cells to draw", EXAMPLE);
            return None;
        }
        Some(search)
    }

    /// The axes that are not drawn.
    fn crossed(&mut self, span: Span, value: &Value, axes: &[Axis]) -> Option<Vec<Spanned<String>>> {
        let names: Option<Vec<&str>> = value.as_array().and_then(|names| names.iter().map(Value::as_str).collect());
        let Some(names) = names else {
            self.wrong(span, "`cross` is not a list of axes", EXAMPLE);
            return None;
        };
        for name in &names {
            match axes.iter().find(|axis| axis.name.value == *name) {
                None => {
                    let help = did_you_mean(name, "axes", axes.iter().map(|axis| axis.name.value.as_str()));
                    self.wrong(span, format!("the matrix has no axis {}", quote(name)), help);
                    return None;
                }
                Some(axis) if axis.drawn.is_some() => {
                    self.wrong(span, format!("the axis `{name}` is a distribution, and cannot be crossed"), EXAMPLE);
                    return None;
                }
                Some(_) => {}
            }
        }
        Some(names.into_iter().map(|name| Spanned::new(name.to_owned(), span)).collect())
    }

    /// The drawn cells, each with all values of the axes that are crossed.
    pub(super) fn sample(&mut self, key: Span, axes: Vec<Axis>, search: &Search, excludes: &[Rule]) -> Option<Grid> {
        let crossed = |axis: &Axis| search.cross.iter().any(|name| name.value == axis.name.value);
        let times: usize =
            axes.iter().filter(|axis| crossed(axis)).map(|axis| axis.values.len()).fold(1, usize::saturating_mul);
        let cells = times.saturating_mul(search.cells);
        if cells > MAX_CELLS {
            let message = format!("the matrix has {} x {times} cells; the most is {MAX_CELLS}", search.cells);
            self.wrong(key, message, "draw fewer cells, or cross fewer values");
            return None;
        }
        self.budget.take_cells(cells, self.source, key).map_err(|problem| self.problems.push(problem)).ok()?;
        let longest = |axis: &Axis| axis.values.iter().map(|value| canonical(&value.value).len()).max().unwrap_or(20);
        let bytes =
            axes.iter().map(|axis| cells.saturating_mul(2 * longest(axis) + 100)).fold(0, usize::saturating_add);
        self.budget.take(bytes, self.source, key).map_err(|problem| self.problems.push(problem)).ok()?;
        let drawn: Vec<&Axis> = axes.iter().filter(|axis| !crossed(axis)).collect();
        if drawn.is_empty() {
            self.wrong(key, "all axes are crossed, and none is left to draw", "remove `sample`");
            return None;
        }
        let choices: Vec<(&str, Choice<'_>)> = drawn
            .iter()
            .map(|axis| {
                let list = || Choice::List(axis.values.iter().map(|value| &value.value).collect());
                (axis.name.value.as_str(), axis.drawn.map_or_else(list, Choice::Drawn))
            })
            .collect();
        let found = draw(search, &choices);
        if found.len() < search.cells {
            let message = format!("{} different cells can be drawn, and `sample` wants {}", found.len(), search.cells);
            self.wrong(key, message, "draw fewer, or give the axes more values");
            return None;
        }
        let names: Vec<String> = drawn.iter().map(|axis| axis.name.value.clone()).collect();
        let mut cells: Vec<Cell> = Vec::new();
        for values in found {
            let mut combined = vec![names.iter().cloned().zip(values).collect::<Cell>()];
            for axis in axes.iter().filter(|axis| crossed(axis)) {
                combined = combined
                    .iter()
                    .flat_map(|cell| {
                        axis.values.iter().map(|value| {
                            let mut cell = cell.clone();
                            cell.insert(axis.name.value.clone(), value.value.clone());
                            cell
                        })
                    })
                    .collect();
            }
            cells.extend(combined);
        }
        let mut numbers = Numbers::default();
        let rows = cells.into_iter().map(|cell| {
            let values =
                axes.iter().map(|axis| cell.get(&axis.name.value).map_or(0, |value| numbers.of(value))).collect();
            Row { cell, values, excluded: None }
        });
        let rows = rows.collect();
        let mut grid = Grid { axes, rows, numbers };
        for rule in excludes {
            // Whether a rule meets a drawn cell is chance, and no mistake when it does not.
            let positions = self.positions(&mut grid, rule)?;
            for row in &mut grid.rows {
                if positions.iter().all(|(axis, value)| row.values.get(*axis) == Some(value)) {
                    row.excluded.get_or_insert(rule.span);
                }
            }
        }
        Some(grid)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn a_sampled_matrix_draws_cells_and_crosses_the_others() {
        let text = |cells: u32| {
            format!(
                "name: a\nstages:\n  t:\n    kind: b\n    x: [\"${{rate}}\", \"${{kind}}\", \"${{seed}}\"]\n    matrix:\n      \
                 rate: {{log_uniform: [1e-4, 1e-1]}}\n      kind: [u, v]\n      seed: [1, 2]\n      \
                 exclude: [{{kind: u, seed: 2}}]\n      sample: {{cells: {cells}, seed: 3, cross: [seed]}}\n"
            )
        };
        let cells = |n: u32| {
            parse("p.yaml", text(n).as_bytes(), &[]).unwrap().stages[0].matrix.as_ref().unwrap().cells().to_vec()
        };
        let (few, many) = (cells(4), cells(8));
        assert!(few.iter().all(|cell| many.contains(cell)));
        // Of 8 drawn pairs each has seed 1, and seed 2 unless it is of kind `u`.
        let of =
            |seed: i64, kind: &str| many.iter().filter(|cell| cell["seed"] == seed && cell["kind"] == kind).count();
        assert_eq!(of(1, "u") + of(1, "v"), 8);
        assert_eq!((of(2, "u"), of(2, "v")), (0, of(1, "v")));
        assert!(of(1, "u") > 0 && of(1, "v") > 0, "both kinds are drawn");
    }
}
