//! `sample:` in a matrix: random search over its axes.
//!
//! A cell is a pure function of the seed, its number and the names of the axes, so that more cells keep those that there
//! were, and only the new ones run. Random search: Bergstra and Bengio, "Random search for hyper-parameter optimization",
//! JMLR 13 (2012).

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use crate::config::Spanned;
use crate::config::label::canonical;

/// How the values of an axis are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Distribution {
    /// Numbers, all of an interval alike.
    Uniform(f64, f64),
    /// Numbers whose logarithm is uniform.
    LogUniform(f64, f64),
    /// Whole numbers, both ends included.
    IntUniform(i64, i64),
}

/// What is written to say how, for messages.
pub(super) const DISTRIBUTIONS: &str =
    "write a list, or one of `{uniform: [0, 0.5]}`, `{log_uniform: [1e-4, 1e-1]}`, `{int_uniform: [1, 8]}`";

impl Distribution {
    /// Reads `{log_uniform: [1e-4, 1e-1]}`.
    ///
    /// # Errors
    /// What is wrong, for a message that begins with the name of the axis.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        let one = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
        let (name, bounds) = one.ok_or("is a mapping, and not that of one distribution")?;
        let ends = bounds.as_array().filter(|ends| ends.len() == 2);
        let [low, high] = ends.map(|ends| [&ends[0], &ends[1]]).ok_or(format!("needs `{name}: [low, high]`"))?;
        let ordered = |low: f64, high: f64| {
            if low < high && low.is_finite() && high.is_finite() {
                Ok((low, high))
            } else {
                Err(format!("needs a low end that is less than the high end, not {low} and {high}"))
            }
        };
        let number = |end: &Value| end.as_f64().ok_or(format!("needs numbers as the ends of `{name}`"));
        match name.as_str() {
            "uniform" => {
                let (low, high) = ordered(number(low)?, number(high)?)?;
                if !(high - low).is_finite() {
                    return Err(format!("needs ends that are closer to each other than {low} and {high}"));
                }
                Ok(Self::Uniform(low, high))
            }
            "log_uniform" => {
                let (low, high) = ordered(number(low)?, number(high)?)?;
                if low <= 0.0 {
                    return Err(format!("needs a low end above 0 for `log_uniform`, not {low}"));
                }
                Ok(Self::LogUniform(low, high))
            }
            "int_uniform" => {
                let whole = |end: &Value| {
                    // Past 2^53 not every whole number could be drawn.
                    let end = end.as_i64().filter(|end| end.unsigned_abs() <= 1 << 53);
                    end.ok_or(format!("needs whole numbers up to 2^53 as the ends of `{name}`"))
                };
                let (low, high) = (whole(low)?, whole(high)?);
                ordered(low as f64, high as f64)?;
                Ok(Self::IntUniform(low, high))
            }
            other => Err(format!("knows no distribution `{other}`")),
        }
    }

    /// The value for `unit` in [0, 1).
    fn at(self, unit: f64) -> Value {
        match self {
            Self::Uniform(low, high) => number(low + unit * (high - low), low, high),
            Self::LogUniform(low, high) => number((low.ln() + unit * (high.ln() - low.ln())).exp(), low, high),
            Self::IntUniform(low, high) => {
                let count = (high - low + 1) as f64;
                Value::from((low + (unit * count) as i64).min(high))
            }
        }
    }
}

/// Six significant digits, which are then exactly what runs and what the outputs are named after.
fn number(value: f64, low: f64, high: f64) -> Value {
    let rounded = format!("{value:.5e}").parse().unwrap_or(value).clamp(low, high);
    Number::from_f64(rounded).map_or(Value::Null, Value::Number)
}

/// What `sample:` says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    /// How many combinations to draw.
    pub(super) cells: usize,
    /// What they depend on.
    pub(super) seed: u64,
    /// Axes that are not drawn: every drawn combination gets all of their values.
    pub(super) cross: Vec<Spanned<String>>,
}

/// What a drawn axis chooses from.
pub(super) enum Choice<'a> {
    List(Vec<&'a Value>),
    Drawn(Distribution),
}

/// Different combinations, one value for each axis; fewer than asked for when there are no more, or they are too hard to
/// find.
pub(super) fn draw(search: &Search, axes: &[(&str, Choice<'_>)]) -> Vec<Vec<Value>> {
    let mut seen = BTreeSet::new();
    let mut cells = Vec::new();
    // A full grid of n cells is found in about n ln n draws.
    for number in 0..200 + 40 * search.cells as u64 {
        if cells.len() == search.cells {
            break;
        }
        let values = axes.iter().map(|(name, choice)| {
            let unit = unit(search.seed, name, number);
            match choice {
                Choice::List(values) => values[((unit * values.len() as f64) as usize).min(values.len() - 1)].clone(),
                Choice::Drawn(distribution) => distribution.at(unit),
            }
        });
        let cell: Vec<Value> = values.collect();
        if seen.insert(cell.iter().map(canonical).collect::<Vec<_>>()) {
            cells.push(cell);
        }
    }
    cells
}

/// A number of [0, 1) with 53 random bits.
fn unit(seed: u64, axis: &str, number: u64) -> f64 {
    let mut hasher = blake3::Hasher::new_derive_key("ncf-pipe 2026-11 random search");
    hasher.update(&seed.to_le_bytes()).update(&number.to_le_bytes()).update(axis.as_bytes());
    let mut bits = [0; 8];
    hasher.finalize_xof().fill(&mut bits);
    (u64::from_le_bytes(bits) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn search(cells: usize, seed: u64) -> Search {
        Search { cells, seed, cross: Vec::new() }
    }

    fn rates(cells: usize, seed: u64) -> Vec<f64> {
        let rate = Distribution::read(&json!({"log_uniform": [1e-4, 1e-1]})).unwrap();
        let cells = draw(&search(cells, seed), &[("rate", Choice::Drawn(rate))]);
        cells.iter().map(|cell| cell[0].as_f64().unwrap()).collect()
    }

    #[test]
    fn more_cells_keep_those_that_there_were() {
        assert_eq!(rates(50, 1)[..20], rates(20, 1));
        assert_ne!(rates(20, 2), rates(20, 1));
    }

    #[test]
    fn a_logarithm_is_uniform() {
        // A third of the draws in each of three decades; the standard deviation of a share of 3,000 is 0.0086.
        let rates = rates(3000, 7);
        for decade in [1e-4, 1e-3, 1e-2] {
            let share = rates.iter().filter(|rate| (decade..10.0 * decade).contains(*rate)).count() as f64 / 3000.0;
            assert!((share - 1.0 / 3.0).abs() < 0.035, "{share}");
        }
    }

    #[test]
    fn whole_numbers_have_both_ends_and_nothing_else() {
        let width = Distribution::read(&json!({"int_uniform": [-1, 2]})).unwrap();
        let found: BTreeSet<i64> = (0..200).map(|n| width.at(unit(0, "width", n)).as_i64().unwrap()).collect();
        assert_eq!(found, (-1..=2).collect());
        assert_eq!(width.at(0.0), json!(-1));
        assert_eq!(width.at(1.0 - f64::EPSILON / 2.0), json!(2));
    }

    #[test]
    fn numbers_have_six_digits_and_stay_inside() {
        let share = Distribution::read(&json!({"uniform": [0.123_456_78, 0.9]})).unwrap();
        assert_eq!(share.at(0.0), json!(0.123_457));
        let narrow = Distribution::read(&json!({"uniform": [0.123_456_78, 0.123_456_79]})).unwrap();
        assert_eq!(narrow.at(0.5), json!(0.123_456_79));
        assert_eq!(share.at(0.5), json!(0.511_728));
    }

    #[test]
    fn a_small_grid_is_found_whole_and_never_twice() {
        let (a, b) = ([json!(1), json!(2), json!(3)], [json!("x"), json!("y")]);
        let axes = [("a", Choice::List(a.iter().collect())), ("b", Choice::List(b.iter().collect()))];
        let all = draw(&search(6, 1), &axes);
        assert_eq!(all.iter().map(|cell| json!(cell).to_string()).collect::<BTreeSet<_>>().len(), 6);
        assert_eq!(draw(&search(7, 1), &axes).len(), 6);
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        for (value, expected) in [
            (json!({"uniform": [1, 0]}), "needs a low end that is less than the high end, not 1 and 0"),
            (json!({"uniform": [0]}), "needs `uniform: [low, high]`"),
            (json!({"uniform": ["a", 1]}), "needs numbers as the ends of `uniform`"),
            (json!({"log_uniform": [0, 1]}), "needs a low end above 0 for `log_uniform`, not 0"),
            (json!({"int_uniform": [0.5, 1]}), "needs whole numbers up to 2^53 as the ends of `int_uniform`"),
            (json!({"int_uniform": [0, i64::MAX]}), "needs whole numbers up to 2^53 as the ends of `int_uniform`"),
            (
                json!({"uniform": [-1e308, 1e308]}),
                &format!("needs ends that are closer to each other than {} and {}", -1e308, 1e308),
            ),
            (json!({"normal": [0, 1]}), "knows no distribution `normal`"),
            (json!({"uniform": [0, 1], "log_uniform": [1, 2]}), "is a mapping, and not that of one distribution"),
        ] {
            assert_eq!(Distribution::read(&value).unwrap_err(), expected);
        }
    }
}
