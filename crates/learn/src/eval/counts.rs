//! Who is evaluated, and who could hardly be served.

use crate::data::csr::Csr;

/// Facts about held-out positives that a reader of the metrics needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Users in the data.
    pub users: usize,
    /// Items in the data.
    pub items: usize,
    /// Users with at least one held-out positive: those who are evaluated.
    pub evaluated: usize,
    /// Users without: those who are not.
    pub without_positive: usize,
    /// Held-out positives.
    pub positives: usize,
    /// Evaluated users without any training interaction.
    pub cold_users: usize,
    /// Held-out items that nobody has in training.
    pub cold_items: usize,
    /// Held-out positives whose item is one of these.
    pub cold_positives: usize,
}

impl Counts {
    /// Counts `positives` against the interactions that were trained on.
    pub fn of(positives: &Csr, train: &Csr) -> Self {
        let users = positives.n_users();
        let evaluated = (0..users).filter(|&user| !positives.row(user).is_empty());
        let cold_users = evaluated.clone().filter(|&user| train.row(user).is_empty()).count();
        let evaluated = evaluated.count();
        let held_out = positives.item_counts();
        let trained = train.item_counts();
        // Items that are missing from `trained` would be cold too; the shapes are checked elsewhere.
        let trained = trained.into_iter().chain(std::iter::repeat(0));
        let cold: Vec<usize> = held_out
            .into_iter()
            .zip(trained)
            .filter(|&(held_out, trained)| held_out > 0 && trained == 0)
            .map(|(held_out, _)| held_out as usize)
            .collect();
        Self {
            users: users as usize,
            items: positives.n_items() as usize,
            evaluated,
            without_positive: users as usize - evaluated,
            positives: positives.len(),
            cold_users,
            cold_items: cold.len(),
            cold_positives: cold.iter().sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cold_users_and_items_are_counted_among_the_held_out() {
        let train = Csr::from_pairs(4, 5, &[0, 0, 3], &[0, 1, 2]).unwrap();
        // User 1 is cold; users 2 and 3 are not evaluated; items 3 and 4 are cold, 3 is held out twice.
        let positives = Csr::from_pairs(4, 5, &[0, 0, 1, 1], &[2, 3, 3, 4]).unwrap();
        let expected = Counts {
            users: 4,
            items: 5,
            evaluated: 2,
            without_positive: 2,
            positives: 4,
            cold_users: 1,
            cold_items: 2,
            cold_positives: 3,
        };
        assert_eq!(Counts::of(&positives, &train), expected);
    }
}
