//! Lists of recommended items.

use crate::data::csr::Csr;
use crate::data::lists::ListRows;
use crate::eval::error::Result;
use crate::eval::evaluate::Watch;
use crate::eval::top::top_k;
use crate::model::scorer::Scorer;

/// What to recommend.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// How long the lists are.
    pub k: usize,
    /// What is never recommended to a user: all that any of these has for them.
    pub masks: &'a [&'a Csr],
}

/// The items with the greatest scores for each of `users`, in the order of `users`; of equal scores the smaller id first.
/// A user with fewer than `k` items left gets a shorter list. Memory grows with `users` times `k`: give many users piece
/// by piece.
///
/// # Errors
/// When a score is not finite, the model fails, or the caller asked to stop.
pub fn recommend(scorer: &dyn Scorer, users: &[u32], wanted: Wanted<'_>, watch: &Watch<'_>) -> Result<ListRows> {
    let top = top_k(scorer, users, wanted.masks, wanted.k, watch)?;
    let mut rows = ListRows::default();
    let mut list = Vec::new();
    for (place, &user) in users.iter().enumerate() {
        let (items, scores) = top.row(place);
        list.clear();
        list.extend(items.iter().copied().zip(scores.iter().copied()));
        rows.push(user, &list);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::error::Error;
    use crate::model::scorer::{Result as ScoreResult, ScoreError};

    /// User `u` gives item `i` the score `(7 u + 3 i) mod 5`.
    struct Mixed {
        n_users: usize,
        n_items: usize,
        bad: Option<(u32, u32)>,
    }

    impl Scorer for Mixed {
        fn n_users(&self) -> usize {
            self.n_users
        }

        fn n_items(&self) -> usize {
            self.n_items
        }

        fn score_user(&self, user: u32, items: &[u32], out: &mut [f32]) -> ScoreResult<()> {
            if user as usize >= self.n_users {
                return Err(ScoreError::new("no such user"));
            }
            for (&item, score) in items.iter().zip(out) {
                *score = if self.bad == Some((user, item)) { f32::NAN } else { ((7 * user + 3 * item) % 5) as f32 };
            }
            Ok(())
        }
    }

    const QUIET: Watch<'static> = Watch { advance: &|_| (), stop: &|| false };

    fn joined(rows: &ListRows) -> Vec<(u32, u32, u32, f32)> {
        let row = |n: usize| (rows.users[n], rows.items[n], rows.ranks[n], rows.scores[n]);
        (0..rows.users.len()).map(row).collect()
    }

    #[test]
    fn the_best_items_that_are_not_masked_come_in_order() {
        let scorer = Mixed { n_users: 3, n_items: 6, bad: None };
        let (seen, more) =
            (Csr::from_pairs(3, 6, &[1], &[1]).unwrap(), Csr::from_pairs(3, 6, &[1, 2], &[4, 0]).unwrap());
        let wanted = Wanted { k: 2, masks: &[&seen, &more] };
        // User 1 scores 2, 0, 3, 1, 4, 2, of which the items 1 and 4 are masked; items 0 and 5 are tied.
        // User 2 scores 4, 2, 0, 3, 1, 4, of which item 0 is masked.
        let found = joined(&recommend(&scorer, &[2, 1], wanted, &QUIET).unwrap());
        assert_eq!(found, [(2, 5, 1, 4.0), (2, 3, 2, 3.0), (1, 2, 1, 3.0), (1, 0, 2, 2.0)]);
    }

    #[test]
    fn a_user_with_few_items_left_gets_a_short_list_and_one_with_none_gets_none() {
        let scorer = Mixed { n_users: 2, n_items: 2, bad: None };
        let seen = Csr::from_pairs(2, 2, &[0, 0, 1], &[0, 1, 0]).unwrap();
        let found = joined(&recommend(&scorer, &[0, 1], Wanted { k: 5, masks: &[&seen] }, &QUIET).unwrap());
        assert_eq!(found, [(1, 1, 1, 0.0)]);
    }

    #[test]
    fn lists_do_not_depend_on_threads_or_on_the_other_users() {
        let scorer = Mixed { n_users: 700, n_items: 300, bad: None };
        let users: Vec<u32> = (0..700).collect();
        let wanted = Wanted { k: 7, masks: &[] };
        let lists = |users: &[u32], threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            joined(&pool.install(|| recommend(&scorer, users, wanted, &QUIET)).unwrap())
        };
        let all = lists(&users, 1);
        assert_eq!(all.len(), 4900);
        assert_eq!(lists(&users, 4), all);
        assert_eq!(lists(&[699], 2), all[4893..]);
    }

    #[test]
    fn scores_that_are_no_numbers_and_failures_stop_it() {
        let scorer = Mixed { n_users: 100, n_items: 4, bad: Some((1, 2)) };
        let wanted = Wanted { k: 1, masks: &[] };
        let error = recommend(&scorer, &[0, 1], wanted, &QUIET).unwrap_err();
        assert_eq!(error.to_string(), "the score of user 1 and item 2 is NaN");
        assert_eq!(
            recommend(&scorer, &[100], wanted, &QUIET).unwrap_err(),
            Error::Shape { what: "users", model: 100, data: 101 }
        );
        let stop = Watch { advance: &|_| (), stop: &|| true };
        assert_eq!(recommend(&scorer, &[0], wanted, &stop).unwrap_err(), Error::Cancelled);
    }
}
