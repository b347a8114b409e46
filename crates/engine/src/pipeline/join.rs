//! How the cells of several matrices meet in a stage that reads from them: a natural join on the shared axes.

use std::collections::{BTreeMap, BTreeSet};

use crate::pipeline::graph::Cell;

/// No pipeline has this many cells on purpose.
pub(super) const MOST_CELLS: usize = 100_000;

/// Why cells could not be joined.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JoinError {
    /// An axis has other values on one side than on the other.
    Differs { axis: String },
    /// The product is larger than [`MOST_CELLS`].
    TooMany,
}

/// The values of a cell on some axes, as JSON text: equal for cells that agree on them.
pub(super) fn place(axes: &[String], cell: &Cell) -> Vec<String> {
    axes.iter().map(|axis| cell.get(axis).map_or_else(String::new, ToString::to_string)).collect()
}

/// Every union of a cell of `left` and a cell of `right` that agree, `left` slowest.
pub(super) fn natural_join(left: &[Cell], right: &[Cell]) -> Result<Vec<Cell>, JoinError> {
    let (left_axes, right_axes) = (axes(left), axes(right));
    let mut shared = Vec::new();
    for (axis, values) in &left_axes {
        match right_axes.get(axis) {
            Some(others) if others != values => return Err(JoinError::Differs { axis: axis.clone() }),
            Some(_) => shared.push(axis.clone()),
            None => {}
        }
    }
    // Grouped by the shared axes, so that joining a large sweep with itself stays linear.
    let mut by_place: BTreeMap<Vec<String>, Vec<&Cell>> = BTreeMap::new();
    for cell in right {
        by_place.entry(place(&shared, cell)).or_default().push(cell);
    }
    let mut joined = Vec::new();
    for a in left {
        for b in by_place.get(&place(&shared, a)).into_iter().flatten() {
            joined.push(a.iter().chain(b.iter()).map(|(axis, value)| (axis.clone(), value.clone())).collect());
            if joined.len() > MOST_CELLS {
                return Err(JoinError::TooMany);
            }
        }
    }
    Ok(joined)
}

/// The values that each axis takes, as JSON text.
fn axes(cells: &[Cell]) -> BTreeMap<String, BTreeSet<String>> {
    let mut axes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (axis, value) in cells.iter().flatten() {
        axes.entry(axis.clone()).or_default().insert(value.to_string());
    }
    axes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cell(pairs: &[(&str, i64)]) -> Cell {
        pairs.iter().map(|(axis, value)| ((*axis).to_owned(), json!(value))).collect()
    }

    #[test]
    fn disjoint_axes_multiply_and_shared_axes_match() {
        let a = [cell(&[("x", 1)]), cell(&[("x", 2)])];
        let b = [cell(&[("y", 1)]), cell(&[("y", 2)])];
        let product = natural_join(&a, &b).unwrap();
        assert_eq!(product.len(), 4);
        assert_eq!(product[1], cell(&[("x", 1), ("y", 2)]));
        assert_eq!(natural_join(&product, &a).unwrap(), product);
    }

    #[test]
    fn an_axis_with_other_values_is_refused() {
        let a = [cell(&[("x", 1)]), cell(&[("x", 2)])];
        let b = [cell(&[("x", 1)]), cell(&[("x", 3)])];
        assert_eq!(natural_join(&a, &b), Err(JoinError::Differs { axis: "x".to_owned() }));
    }

    #[test]
    fn a_product_without_end_is_refused() {
        let wide = |axis: &str| -> Vec<Cell> { (0..400).map(|i| cell(&[(axis, i)])).collect() };
        assert_eq!(natural_join(&wide("x"), &wide("y")), Err(JoinError::TooMany));
    }
}
