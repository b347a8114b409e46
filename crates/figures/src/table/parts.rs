//! The parts of a cell as plain text, shared by the formats that round.

use crate::number;
use crate::plot::Better;
use crate::plot::clean;
use crate::table::Cell;
use crate::table::Column;
use crate::table::Mark;
use crate::table::Number;
use crate::table::Table;

/// A cell as text: the value and what stands behind it. Empty where there is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parts {
    /// The rounded value, the count or the text.
    pub(crate) value: String,
    /// The rounded standard deviation.
    pub(crate) sd: String,
    /// The ends of the interval, in brackets.
    pub(crate) interval: String,
    /// The difference with its sign.
    pub(crate) difference: String,
    /// The change with its sign, and a percent sign.
    pub(crate) change: String,
    pub(crate) mark: Option<Mark>,
    /// Whether `value` is the user's text, which needs escaping.
    pub(crate) is_text: bool,
}

/// What is shown where there is no number.
const NOTHING: &str = "n/a";

/// A number with the digits of its column and commas between thousands; a power of ten beyond 1e15.
fn rounded(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return String::from(NOTHING);
    }
    if value.abs() >= 1e15 {
        return format!("{value:.digits$e}");
    }
    number::thousands(&number::fixed(value, digits))
}

/// As [`rounded`], with a sign.
fn signed(value: f64, digits: usize) -> String {
    let text = rounded(value, digits);
    if value > 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) { format!("+{text}") } else { text }
}

/// The parts of one cell.
pub(crate) fn parts(table: &Table, column: &Column, cell: &Cell) -> Parts {
    match cell {
        Cell::Missing => Parts { value: String::from("–"), ..Parts::default() },
        Cell::Text(text) => Parts { value: one_line(text), is_text: true, ..Parts::default() },
        Cell::Integer(count) => Parts { value: number::thousands(&count.to_string()), ..Parts::default() },
        Cell::Number(number) => of_number(table, usize::from(column.digits.min(12)), number),
    }
}

fn of_number(table: &Table, digits: usize, number: &Number) -> Parts {
    let Some(value) = number.value.filter(|value| value.is_finite()) else {
        return Parts { value: String::from(NOTHING), ..Parts::default() };
    };
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let interval = number.interval.filter(|(low, high)| low.is_finite() && high.is_finite());
    Parts {
        value: rounded(value, digits),
        sd: finite(number.sd).map(|sd| rounded(sd, digits)).unwrap_or_default(),
        interval: interval
            .map(|(low, high)| format!("[{}, {}]", rounded(low, digits), rounded(high, digits)))
            .unwrap_or_default(),
        difference: finite(number.difference).map(|value| signed(value, digits)).unwrap_or_default(),
        change: finite(number.change).map(|value| format!("{}%", signed(value, 1))).unwrap_or_default(),
        mark: table.significance.as_ref().map(|rule| rule.mark(number.p)),
        is_text: false,
    }
}

/// Text without line breaks, control characters and marks that turn the direction of what follows.
pub(crate) fn one_line(text: &str) -> String {
    clean(text)
}

/// The heading of a column without its arrow: name and unit.
pub(crate) fn heading(column: &Column) -> String {
    match &column.unit {
        Some(unit) => one_line(&format!("{} ({unit})", column.name)),
        None => one_line(&column.name),
    }
}

/// Whether a column holds nothing but names: those are aligned to the left.
pub(crate) fn is_names(table: &Table, at: usize) -> bool {
    !table.rows.is_empty() && table.rows.iter().all(|row| matches!(row[at], Cell::Text(_) | Cell::Missing))
}

/// What stands below a table. `star` and `dagger` are the marks of the format; all else goes through `escape`.
pub(crate) fn notes(table: &Table, star: &str, dagger: &str, escape: impl Fn(&str) -> String) -> Vec<String> {
    let numbers = || {
        let cells = table.rows.iter().flatten();
        cells.filter_map(|cell| if let Cell::Number(number) = cell { Some(number) } else { None })
    };
    let mut notes = Vec::new();
    let against = table.baseline_name().map(|name| format!(" against {}", one_line(name))).unwrap_or_default();
    if numbers().any(|number| number.sd.is_some()) {
        notes.push(escape("± is one standard deviation."));
    }
    if numbers().any(|number| number.interval.is_some()) {
        notes.push(escape("Brackets are confidence intervals."));
    }
    if numbers().any(|number| number.difference.is_some() || number.change.is_some()) {
        notes.push(escape(&format!("Numbers with a sign are the difference and the change{against}.")));
    }
    if let Some(rule) = &table.significance {
        let below = |level: f64| format!(" {}", escape(&format!("p < {}", number::exact(level))));
        let strict = rule.strict.map(|level| format!(", {dagger}{}", below(level))).unwrap_or_default();
        let baseline = table.baseline_name().map(|name| format!("{} ", escape(&format!("against {}", one_line(name)))));
        let words = format!("({}, {}; correction: {}).", rule.test, rule.alternative, rule.correction);
        notes.push(format!(
            "{star}{}{strict} {}{}",
            below(rule.level),
            baseline.unwrap_or_default(),
            escape(&one_line(&words))
        ));
    }
    notes.extend(table.notes.iter().map(|note| escape(&one_line(note))));
    notes
}

/// The arrow of a column's direction.
pub(crate) fn arrow(better: Better) -> &'static str {
    match better {
        Better::Higher => "↑",
        Better::Lower => "↓",
        Better::None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_stand_before_what_is_not_zero() {
        assert_eq!(signed(0.01234, 3), "+0.012");
        assert_eq!(signed(0.0001, 3), "0.000");
        assert_eq!(signed(-0.0001, 3), "0.000");
        assert_eq!(signed(-2.5, 0), "-2");
        assert_eq!(rounded(1e20, 2), "1.00e20");
    }
}
