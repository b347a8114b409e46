//! `matrix:` multiplies a stage: one cell for each combination of the axes' values.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::label::{canonical, cell_label};
use crate::config::names::{PARAM_NAME_HELP, did_you_mean, is_param_name, quote};
use crate::config::node::{Entry, Node, Tree};
use crate::config::params::{Budget, referred_bytes};
use crate::config::problem::ENOUGH;
use crate::config::reference::{references, substitute, unknown, whole};
use crate::config::search::{DISTRIBUTIONS, Distribution};
use crate::config::stage::Given;
use crate::config::{Params, Problem, Source, Span, Spanned};

/// The most cells that the matrices of a pipeline can have, all together.
pub const MAX_CELLS: usize = 10_000;

/// The most axes that a matrix can have.
const MAX_AXES: usize = 16;

/// A combination: the value of each axis.
pub type Cell = BTreeMap<String, Value>;

/// The matrix of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    axes: Vec<Axis>,
    cells: Vec<Cell>,
}

/// One axis: a name, and the values that it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Its name, usable as `${name}`.
    pub name: Spanned<String>,
    /// Its values, all different, in the order of the file; none when they are drawn.
    pub values: Vec<Spanned<Value>>,
    pub(super) drawn: Option<Distribution>,
}

impl Matrix {
    /// The axes in the order of the file.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The cells: all combinations, the first axis slowest, or those that `sample` draws; without those of `exclude`;
    /// then those of `include`.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }
}

/// Reads `matrix:`; `None` when something is wrong with it.
pub(super) fn matrix(source: &Source, key: Span, node: &Node, given: &mut Given<'_>) -> Option<Matrix> {
    let before = given.problems.len();
    let mut reader = Reader { source, params: given.params, budget: given.budget, problems: given.problems };
    let Some(entries) = node.entries() else {
        reader.wrong(
            node.span,
            format!("`matrix` is {}, not a mapping of axes", node.what()),
            "write `matrix: {factors: [8, 16]}`",
        );
        return None;
    };
    let reserved = |entry: &&Entry| matches!(entry.key.value.as_str(), "include" | "exclude" | "sample");
    let axes: Vec<Axis> =
        entries.iter().filter(|entry| !reserved(entry)).filter_map(|entry| reader.axis(entry)).collect();
    let rules = |name: &str| entries.iter().find(|entry| entry.key.value == name);
    let excludes = rules("exclude").map_or_else(Vec::new, |entry| reader.rules(entry));
    let includes = rules("include").map_or_else(Vec::new, |entry| reader.rules(entry));
    let search = match rules("sample") {
        Some(entry) => Some(reader.search(entry, &axes)?),
        None => None,
    };
    if search.is_none()
        && let Some(axis) = axes.iter().find(|axis| axis.drawn.is_some())
    {
        let message =
            format!("the axis `{}` is a distribution, and nothing says how many values to draw", axis.name.value);
        reader.wrong(axis.name.span, message, "add `sample: {cells: 20}` to the matrix");
    }
    if axes.is_empty() && reader.problems.len() == before {
        reader.wrong(key, "the matrix has no axis", "write `matrix: {factors: [8, 16]}`, or remove it");
    }
    if reader.problems.len() > before {
        return None;
    }
    let mut grid = if let Some(search) = search {
        reader.sample(key, axes, &search, &excludes)?
    } else {
        let mut grid = reader.grid(key, axes)?;
        reader.exclude(&mut grid, &excludes);
        grid
    };
    reader.include(&mut grid, &includes);
    if reader.problems.len() > before {
        return None;
    }
    let cells: Vec<Cell> = grid.rows.into_iter().filter(|row| row.excluded.is_none()).map(|row| row.cell).collect();
    if cells.is_empty() {
        reader.wrong(key, "no cell of the matrix is left", "remove some of `exclude`");
    }
    reader.labels(key, &cells);
    (reader.problems.len() == before).then_some(Matrix { axes: grid.axes, cells })
}

/// A cell given by `include` or `exclude`.
pub(super) struct Rule {
    pub(super) span: Span,
    cell: Vec<(Spanned<String>, Spanned<Value>)>,
}

pub(super) struct Row {
    pub(super) cell: Cell,
    /// The number of the value of each axis, in the order of the axes; see [`Numbers`].
    pub(super) values: Vec<usize>,
    pub(super) excluded: Option<Span>,
}

pub(super) struct Grid {
    pub(super) axes: Vec<Axis>,
    pub(super) rows: Vec<Row>,
    pub(super) numbers: Numbers,
}

/// Numbers for values: the same exactly when their canonical JSON is.
#[derive(Default)]
pub(super) struct Numbers(BTreeMap<String, usize>);

impl Numbers {
    pub(super) fn of(&mut self, value: &Value) -> usize {
        let next = self.0.len();
        *self.0.entry(canonical(value)).or_insert(next)
    }
}

pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    params: &'a Params,
    pub(super) budget: &'a mut Budget,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn wrong(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(self.source, span, message).help(help));
    }

    fn axis(&mut self, entry: &Entry) -> Option<Axis> {
        let name = &entry.key;
        if !is_param_name(&name.value) {
            self.wrong(name.span, format!("{} cannot be the name of an axis", quote(&name.value)), PARAM_NAME_HELP);
            return None;
        }
        if let Some(param) = self.params.get(&name.value) {
            self.problems.push(
                Problem::new(self.source, name.span, format!("`{}` is both an axis and a param", name.value))
                    .label("the axis")
                    .also(param.declared, "the param")
                    .help("rename one of them: `${name}` must have one meaning"),
            );
            return None;
        }
        if matches!(entry.value.tree, Tree::Map(_)) {
            let value = self.value(&entry.value)?;
            return match Distribution::read(&value) {
                Ok(drawn) => Some(Axis { name: name.clone(), values: Vec::new(), drawn: Some(drawn) }),
                Err(what) => {
                    self.wrong(entry.value.span, format!("the axis `{}` {what}", name.value), DISTRIBUTIONS);
                    None
                }
            };
        }
        let values = self.list(&entry.value)?;
        if values.is_empty() {
            self.wrong(entry.value.span, format!("the axis `{}` has no values", name.value), "list at least one value");
            return None;
        }
        let mut seen = BTreeMap::new();
        for value in &values {
            if let Some(first) = seen.insert(canonical(&value.value), value.span) {
                let problem =
                    Problem::new(self.source, value.span, format!("the axis `{}` has a value twice", name.value));
                let problem =
                    if first == value.span { problem } else { problem.label("again here").also(first, "first here") };
                self.problems.push(problem.help("list every value once"));
                return None;
            }
        }
        Some(Axis { name: name.clone(), values, drawn: None })
    }

    /// The values of an axis: a list, or a param that is one.
    fn list(&mut self, node: &Node) -> Option<Vec<Spanned<Value>>> {
        if let Tree::List(items) = &node.tree {
            return items.iter().map(|item| Some(Spanned::new(self.value(item)?, item.span))).collect();
        }
        if let Some(name) = whole(node) {
            if let Value::Array(values) = self.value(node)? {
                return Some(values.into_iter().map(|value| Spanned::new(value, node.span)).collect());
            }
            let help = format!("give it one: `{name}: [8, 16]`");
            self.wrong(node.span, format!("the param `{name}` is not a list"), help);
            return None;
        }
        self.wrong(node.span, format!("the values of an axis are a list, not {}", node.what()), "write `[8, 16]`");
        None
    }

    /// A value with its references to params replaced.
    pub(super) fn value(&mut self, node: &Node) -> Option<Value> {
        let before = self.problems.len();
        let params = self.params;
        let known: Vec<&str> = params.keys().map(String::as_str).collect();
        let found = references(self.source, node, self.problems);
        let enough = self.budget.take(referred_bytes(params, &found), self.source, node.span);
        self.problems.extend(enough.err());
        for reference in found.into_iter().take(ENOUGH) {
            if !params.contains_key(&reference.value) {
                self.problems.push(unknown(self.source, &reference.value, reference.span, &known));
            }
        }
        if self.problems.len() > before {
            return None;
        }
        let lookup = |name: &str| params.get(name).map(|param| &param.value.value);
        substitute(self.source, node, &lookup, &known).map_err(|problem| self.problems.push(problem)).ok()
    }

    /// The cells of `include` or `exclude`.
    fn rules(&mut self, entry: &Entry) -> Vec<Rule> {
        let name = &entry.key.value;
        let example = format!("write `{name}: [{{factors: 16, seed: 3}}]`");
        let Tree::List(items) = &entry.value.tree else {
            self.wrong(entry.value.span, format!("`{name}` is {}, not a list of cells", entry.value.what()), example);
            return Vec::new();
        };
        let mut rules = Vec::new();
        for item in items {
            if self.problems.len() > ENOUGH {
                break;
            }
            match item.entries() {
                Some(entries) if !entries.is_empty() => {
                    let pairs = entries.iter().filter_map(|entry| {
                        Some((entry.key.clone(), Spanned::new(self.value(&entry.value)?, entry.value.span)))
                    });
                    rules.push(Rule { span: item.span, cell: pairs.collect() });
                }
                _ => {
                    self.wrong(
                        item.span,
                        format!("a cell of `{name}` is a mapping of axes to values"),
                        example.clone(),
                    );
                }
            }
        }
        rules
    }

    /// All combinations, the first axis slowest.
    fn grid(&mut self, key: Span, axes: Vec<Axis>) -> Option<Grid> {
        if axes.len() > MAX_AXES {
            let message = format!("the matrix has {} axes; the most is {MAX_AXES}", axes.len());
            self.wrong(key, message, "write values that change together as one axis of mappings");
            return None;
        }
        let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.values.len()));
        if count.is_none_or(|count| count > MAX_CELLS) {
            let sizes: Vec<String> = axes.iter().map(|axis| axis.values.len().to_string()).collect();
            self.wrong(
                key,
                format!("the matrix has {} cells; the most is {MAX_CELLS}", sizes.join(" x ")),
                "list fewer values, or split the stage",
            );
            return None;
        }
        let cells = count.unwrap_or(0);
        self.budget.take_cells(cells, self.source, key).map_err(|problem| self.problems.push(problem)).ok()?;
        let bytes = axes.iter().map(|axis| {
            // Each value is kept twice, with some memory around it.
            let written: usize = axis.values.iter().map(|value| 2 * canonical(&value.value).len() + 100).sum();
            written.saturating_mul(cells / axis.values.len())
        });
        let enough = self.budget.take(bytes.fold(0, usize::saturating_add), self.source, key);
        enough.map_err(|problem| self.problems.push(problem)).ok()?;
        let mut numbers = Numbers::default();
        let mut rows = vec![Row { cell: Cell::new(), values: Vec::new(), excluded: None }];
        for axis in &axes {
            let values: Vec<_> = axis.values.iter().map(|value| (&value.value, numbers.of(&value.value))).collect();
            rows = rows
                .iter()
                .flat_map(|row| {
                    values.iter().map(|(value, number)| {
                        let mut cell = row.cell.clone();
                        cell.insert(axis.name.value.clone(), (*value).clone());
                        let values = row.values.iter().chain([number]).copied().collect();
                        Row { cell, values, excluded: None }
                    })
                })
                .collect();
        }
        Some(Grid { axes, rows, numbers })
    }

    /// The axes that a rule names, as positions with the numbers of the values; `None` when one is no axis.
    pub(super) fn positions(
        &mut self,
        Grid { axes, numbers, .. }: &mut Grid,
        rule: &Rule,
    ) -> Option<Vec<(usize, usize)>> {
        let before = self.problems.len();
        let mut positions = Vec::new();
        for (name, value) in &rule.cell {
            if let Some(position) = axes.iter().position(|axis| axis.name.value == name.value) {
                positions.push((position, numbers.of(&value.value)));
            } else {
                let help = did_you_mean(&name.value, "axes", axes.iter().map(|axis| axis.name.value.as_str()));
                self.wrong(name.span, format!("the matrix has no axis {}", quote(&name.value)), help);
            }
        }
        (self.problems.len() == before).then_some(positions)
    }

    fn exclude(&mut self, grid: &mut Grid, rules: &[Rule]) {
        // Every rule removes a cell or ends the reading, so the work is bounded by the square of the cells.
        for rule in rules {
            let Some(positions) = self.positions(grid, rule) else { return };
            let matches = |row: &Row| positions.iter().all(|(axis, value)| row.values.get(*axis) == Some(value));
            let (mut removed, mut earlier) = (false, None);
            for row in grid.rows.iter_mut().filter(|row| matches(row)) {
                removed |= row.excluded.is_none();
                earlier = earlier.or(row.excluded);
                row.excluded.get_or_insert(rule.span);
            }
            if removed {
                continue;
            }
            let problem = match earlier {
                Some(earlier) => {
                    Problem::new(self.source, rule.span, "an earlier `exclude` removes all of these cells")
                        .also(earlier, "removed here")
                        .help("remove one of the two")
                }
                None => Problem::new(self.source, rule.span, "this `exclude` matches no cell of the matrix")
                    .help("compare it with the values of the axes: 4, 4.0 and \"4\" are different"),
            };
            self.problems.push(problem);
            return;
        }
    }

    fn include(&mut self, grid: &mut Grid, rules: &[Rule]) {
        let mut seen: BTreeMap<Vec<usize>, Option<Span>> =
            grid.rows.iter().map(|row| (row.values.clone(), row.excluded)).collect();
        for rule in rules {
            let Some(mut positions) = self.positions(grid, rule) else { return };
            positions.sort_unstable();
            let named = |axis: &str| rule.cell.iter().any(|(name, _)| name.value == axis);
            let missing: Vec<String> =
                grid.axes.iter().filter(|axis| !named(&axis.name.value)).map(|axis| quote(&axis.name.value)).collect();
            if !missing.is_empty() {
                let message = format!("this `include` gives no value for {}", missing.join(", "));
                self.wrong(rule.span, message, "an added cell needs a value for every axis");
                return;
            }
            let values: Vec<usize> = positions.into_iter().map(|(_, value)| value).collect();
            if let Some(excluded) = seen.insert(values.clone(), Some(rule.span)) {
                let problem =
                    Problem::new(self.source, rule.span, "this `include` is a cell that the matrix has already");
                self.problems.push(match excluded {
                    Some(first) => problem.also(first, "written or excluded here").help("remove one of the two"),
                    None => problem.help("remove it: the axes give this cell"),
                });
                return;
            }
            if let Err(problem) = self.budget.take_cells(1, self.source, rule.span) {
                self.problems.push(problem);
                return;
            }
            let cell = rule.cell.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect();
            grid.rows.push(Row { cell, values, excluded: None });
        }
    }

    /// Cells are directories: no two may fall together where case is ignored.
    fn labels(&mut self, key: Span, cells: &[Cell]) {
        let mut seen = BTreeMap::new();
        for cell in cells {
            let label = cell_label(cell);
            if let Some(other) = seen.insert(label.to_ascii_lowercase(), label.clone()) {
                self.wrong(
                    key,
                    format!("the cells {} and {} differ only in case", quote(&other), quote(&label)),
                    "rename one of the values",
                );
                return;
            }
        }
    }
}
