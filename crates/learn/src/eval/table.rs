//! What one protocol found, user by user.

/// The values of one protocol, one row a user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    candidates: Vec<u32>,
    ranks: Vec<f64>,
    /// A column a measure.
    values: Vec<Vec<Option<f64>>>,
    irregular: usize,
}

/// A row of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// How many candidates each positive was ranked among, itself included.
    pub(super) candidates: usize,
    /// The expected rank of the positives, averaged over them.
    pub(super) rank: f64,
    /// A value a measure.
    pub(super) values: Vec<Option<f64>>,
    /// See [`Table::irregular`].
    pub(super) irregular: usize,
}

impl Table {
    pub(super) fn from_rows(measures: usize, rows: impl IntoIterator<Item = Row>) -> Self {
        let mut table = Self { values: vec![Vec::new(); measures], ..Self::default() };
        for row in rows {
            // There are no more candidates than items, and these have 32-bit ids.
            table.candidates.push(row.candidates as u32);
            table.ranks.push(row.rank);
            table.irregular += row.irregular;
            for (column, value) in table.values.iter_mut().zip(row.values) {
                column.push(value);
            }
        }
        table
    }

    /// How many candidates the user's positives were ranked among: in the sampled protocol the negatives and one
    /// positive, in the full one all items that are not masked.
    pub fn candidates(&self) -> &[u32] {
        &self.candidates
    }

    /// The expected rank of the user's positives, averaged over them; 1 is the best.
    pub fn ranks(&self) -> &[f64] {
        &self.ranks
    }

    /// The column of the measure with this index, in the order of the task; `None` where a value is not defined.
    pub fn column(&self, measure: usize) -> &[Option<f64>] {
        self.values.get(measure).map_or(&[], Vec::as_slice)
    }

    /// The mean of a measure over the users for whom it is defined, and how many these are; `None` if there are none.
    /// Summed in the order of the users.
    pub fn mean(&self, measure: usize) -> Option<(f64, usize)> {
        let column = self.column(measure);
        let defined = column.iter().flatten().count();
        (defined > 0).then(|| (column.iter().flatten().sum::<f64>() / defined as f64, defined))
    }

    /// What should not occur: candidates that are held-out positives of the user and were left out (sampled), or
    /// held-out positives that are masked and were ranked all the same (full).
    pub fn irregular(&self) -> usize {
        self.irregular
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_the_users_with_a_value() {
        let row = |value| Row { candidates: 2, rank: 1.0, values: vec![value, None], irregular: 1 };
        let table = Table::from_rows(2, [row(Some(1.0)), row(None), row(Some(0.5))]);
        assert_eq!(table.mean(0), Some((0.75, 2)));
        assert_eq!(table.mean(1), None);
        assert_eq!(table.mean(2), None);
        assert_eq!(table.irregular(), 3);
    }
}
