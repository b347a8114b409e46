//! Which number of a column is best.

use crate::plot::Better;
use crate::table::Table;

/// How a cell stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    Best,
    Second,
    Other,
}

/// The ranks of all cells of column `at`, from top to bottom. Equal values have equal ranks; a column without a direction,
/// or with a single value in all its rows, has no best.
pub(crate) fn ranks(table: &Table, at: usize) -> Vec<Rank> {
    let values: Vec<Option<f64>> = table.rows.iter().map(|row| row[at].value()).collect();
    let sign = match table.columns[at].better {
        Better::Higher => 1.0,
        Better::Lower => -1.0,
        Better::None => return vec![Rank::Other; values.len()],
    };
    let mut order: Vec<f64> = values.iter().flatten().map(|value| value * sign + 0.0).collect();
    order.sort_by(|a, b| b.total_cmp(a));
    order.dedup();
    let rank = |value: &Option<f64>| match value {
        Some(value) if order.len() > 1 && Some(&(value * sign)) == order.first() => Rank::Best,
        Some(value) if order.len() > 2 && Some(&(value * sign)) == order.get(1) => Rank::Second,
        _ => Rank::Other,
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Cell;
    use crate::table::Column;
    use crate::table::Number;

    fn of(values: &[f64], better: Better) -> Vec<Rank> {
        let table = Table {
            columns: vec![Column { better, ..Column::default() }],
            rows: values.iter().map(|&value| vec![Cell::Number(Number::new(value))]).collect(),
            ..Table::default()
        };
        ranks(&table, 0)
    }

    #[test]
    fn direction_and_ties_count_and_nan_is_never_best() {
        use Rank::Best;
        use Rank::Other;
        use Rank::Second;
        assert_eq!(
            of(&[1.0, 3.0, f64::NAN, 3.0, 2.0, f64::INFINITY], Better::Higher),
            [Other, Best, Other, Best, Second, Other]
        );
        assert_eq!(of(&[1.0, 3.0, 2.0, f64::NEG_INFINITY], Better::Lower), [Best, Other, Second, Other]);
        assert_eq!(of(&[1.0, 3.0], Better::None), [Other, Other]);
        assert_eq!(of(&[f64::NAN], Better::Higher), [Other]);
        assert_eq!(of(&[2.0, 2.0], Better::Higher), [Other, Other]);
        assert_eq!(of(&[0.0, -0.0, -1.0], Better::Higher), [Best, Best, Other]);
    }
}
