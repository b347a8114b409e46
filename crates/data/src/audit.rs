//! What can be wrong with a split, or with a pool of candidates, so that figures on it mean less than they seem to.
//!
//! Leakage over time is what Ji, Sun, Zhang and Li describe ("A Critical Study on Data Leakage in Recommender System
//! Offline Evaluation", ACM TOIS 2023): a model that learns from interactions later than those that it is tested on
//! knows what it could not have known.

use crate::csr::Csr;
use crate::pool::Pool;

/// How many examples are kept of each problem.
pub const EXAMPLES: usize = 5;

/// How often a problem occurs, and where first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding<E> {
    /// How often.
    pub count: u64,
    /// With how many users.
    pub users: u64,
    /// The first few, by user.
    pub examples: Vec<E>,
    last: Option<u32>,
}

impl<E> Default for Finding<E> {
    fn default() -> Self {
        Self { count: 0, users: 0, examples: Vec::new(), last: None }
    }
}

impl<E> Finding<E> {
    /// Adds an occurrence; those of one user follow one another.
    fn add(&mut self, user: u32, example: impl FnOnce() -> E) {
        self.count += 1;
        self.users += u64::from(self.last != Some(user));
        self.last = Some(user);
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }
}

/// A pair of user and item that is in two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// The user.
    pub user: u32,
    /// The item.
    pub item: u32,
    /// The places of the two parts among those that were given.
    pub parts: [usize; 2],
}

/// Pairs that are in two of these parts, each once for any two parts.
pub fn overlap(parts: &[&Csr]) -> Finding<Shared> {
    let mut found = Finding::default();
    let n_users = parts.iter().map(|part| part.n_users()).max().unwrap_or(0);
    for user in 0..n_users {
        for (one, part) in parts.iter().enumerate() {
            for (other, next) in parts.iter().enumerate().skip(one + 1) {
                for &item in part.row(user).iter().filter(|item| next.contains(user, **item)) {
                    found.add(user, || Shared { user, item, parts: [one, other] });
                }
            }
        }
    }
    found
}

/// A candidate that is a positive of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positive {
    /// The user.
    pub user: u32,
    /// The item.
    pub item: u32,
    /// The place of the first part that has the pair, among those that were given.
    pub part: usize,
}

/// Candidates that are items of their user in any of these parts, and so no negatives. A candidate that is listed twice
/// counts twice.
pub fn positives_among(pool: &Pool, parts: &[&Csr]) -> Finding<Positive> {
    let mut found = Finding::default();
    for (user, list) in pool.rows() {
        for &item in list {
            if let Some(part) = parts.iter().position(|part| part.contains(user, item)) {
                found.add(user, || Positive { user, item, part });
            }
        }
    }
    found
}

/// Users who are ranked and have no list in the pool.
pub fn without_candidates(pool: &Pool, ranked: &Csr) -> Finding<u32> {
    let mut found = Finding::default();
    for user in (0..ranked.n_users()).filter(|user| !ranked.row(*user).is_empty()) {
        if pool.candidates(user).is_none() {
            found.add(user, || user);
        }
    }
    found
}

/// A ranked user, and how many candidates each of the user's positives has, itself included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Few {
    /// The user.
    pub user: u32,
    /// The candidates.
    pub candidates: u64,
}

/// Ranked users with no more than `k` candidates: a list of length `k` holds all of them, and is always a hit.
/// `candidates` gives their number for a user, or nothing for one that is not ranked.
pub fn few_candidates(ranked: &Csr, k: u64, candidates: impl Fn(u32) -> Option<u64>) -> Finding<Few> {
    let mut found = Finding::default();
    for user in (0..ranked.n_users()).filter(|user| !ranked.row(*user).is_empty()) {
        if let Some(candidates) = candidates(user).filter(|candidates| *candidates <= k) {
            found.add(user, || Few { user, candidates });
        }
    }
    found
}

/// Interactions of a part of a split, with their times. All columns have the same length.
#[derive(Debug, Clone, Copy)]
pub struct Timed<'a> {
    /// Dense user ids, ascending.
    pub users: &'a [u32],
    /// Dense item ids.
    pub items: &'a [u32],
    /// Seconds.
    pub times: &'a [i64],
}

impl Timed<'_> {
    fn rows(&self) -> impl Iterator<Item = Moment> {
        self.users.iter().zip(self.items).zip(self.times).map(|((&user, &item), &time)| Moment { user, item, time })
    }
}

/// An interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The user.
    pub user: u32,
    /// The item.
    pub item: u32,
    /// When, in seconds.
    pub time: i64,
}

/// A training interaction, and the earliest held-out interaction that it should not be later than.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leak {
    /// What is learnt from.
    pub trained: Moment,
    /// What is held out.
    pub held_out: Moment,
}

/// What times tell about a split.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeProblems {
    /// Training interactions later than the same user's earliest held-out one.
    pub of_user: Finding<Leak>,
    /// Training interactions later than the earliest test interaction of anybody.
    pub of_anybody: Finding<Leak>,
    /// Users who have a training interaction of the same time as their earliest held-out one, so that something else
    /// than time decided which is which.
    pub ties: Finding<Leak>,
}

/// Compares the times of training with those of what is held out.
pub fn times(n_users: u32, train: Timed<'_>, valid: Timed<'_>, test: Timed<'_>) -> TimeProblems {
    let earlier = |first: &mut Option<Moment>, row: Moment| {
        if first.is_none_or(|first| row.time < first.time) {
            *first = Some(row);
        }
    };
    let mut first_of: Vec<Option<Moment>> = vec![None; n_users as usize];
    for row in valid.rows().chain(test.rows()) {
        if let Some(first) = first_of.get_mut(row.user as usize) {
            earlier(first, row);
        }
    }
    let mut first_test = None;
    test.rows().for_each(|row| earlier(&mut first_test, row));
    let mut found = TimeProblems::default();
    for trained in train.rows() {
        if let Some(held_out) = first_of.get(trained.user as usize).copied().flatten() {
            if trained.time > held_out.time {
                found.of_user.add(trained.user, || Leak { trained, held_out });
            } else if trained.time == held_out.time {
                found.ties.add(trained.user, || Leak { trained, held_out });
            }
        }
        if let Some(held_out) = first_test.filter(|first| trained.time > first.time) {
            found.of_anybody.add(trained.user, || Leak { trained, held_out });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csr(pairs: &[(u32, u32)]) -> Csr {
        let (users, items): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
        Csr::from_pairs(9, 9, &users, &items).unwrap()
    }

    /// Columns of `(user, item, time)`.
    struct Table(Vec<u32>, Vec<u32>, Vec<i64>);

    impl Table {
        fn of(rows: &[(u32, u32, i64)]) -> Self {
            let column = |of: fn(&(u32, u32, i64)) -> u32| rows.iter().map(of).collect();
            Self(column(|row| row.0), column(|row| row.1), rows.iter().map(|row| row.2).collect())
        }

        fn rows(&self) -> Timed<'_> {
            Timed { users: &self.0, items: &self.1, times: &self.2 }
        }
    }

    #[test]
    fn pairs_in_two_parts_are_counted_by_pair_and_by_user() {
        let [train, valid, test] =
            [csr(&[(0, 1), (0, 2), (3, 4), (5, 6)]), csr(&[(0, 2), (3, 5)]), csr(&[(0, 1), (3, 5), (4, 6), (5, 6)])];
        let found = overlap(&[&train, &valid, &test]);
        assert_eq!((found.count, found.users), (4, 3));
        let shared = |user, item, one, other| Shared { user, item, parts: [one, other] };
        assert_eq!(found.examples, [shared(0, 2, 0, 1), shared(0, 1, 0, 2), shared(3, 5, 1, 2), shared(5, 6, 0, 2)]);
        let all = csr(&(0..9).map(|item| (1, item)).collect::<Vec<_>>());
        let found = overlap(&[&all, &all]);
        assert_eq!((found.count, found.users, found.examples.len()), (9, 1, EXAMPLES));
    }

    #[test]
    fn candidates_are_held_against_the_items_of_their_own_user() {
        let pool = Pool::new(9, 9, vec![0, 2], vec![0, 3, 5], vec![1, 1, 3, 1, 4]).unwrap();
        let found = positives_among(&pool, &[&csr(&[(2, 3), (1, 4)]), &csr(&[(0, 1)])]);
        assert_eq!((found.count, found.users), (2, 1));
        assert_eq!(found.examples[0], Positive { user: 0, item: 1, part: 1 });
        let missing = without_candidates(&pool, &csr(&[(0, 5), (1, 5), (2, 5), (7, 5)]));
        assert_eq!((missing.count, missing.examples), (2, vec![1, 7]));
    }

    #[test]
    fn a_list_of_all_candidates_is_too_long() {
        let few = |k| few_candidates(&csr(&[(0, 5), (1, 5)]), k, |user| Some(10 + u64::from(user))).count;
        assert_eq!([9, 10, 11].map(few), [0, 1, 2]);
        assert_eq!(few_candidates(&csr(&[(0, 5)]), 99, |_| None).count, 0);
    }

    #[test]
    fn times_are_compared_with_the_earliest_that_is_held_out() {
        let train = Table::of(&[(0, 0, 10), (0, 1, 30), (0, 2, 31), (1, 0, 5), (2, 0, 100)]);
        let valid = Table::of(&[(0, 3, 30)]);
        let test = Table::of(&[(0, 4, 40), (1, 4, 50)]);
        let found = times(9, train.rows(), valid.rows(), test.rows());
        let moment = |user, item, time| Moment { user, item, time };
        let leak = |trained, held_out| Leak { trained, held_out };
        assert_eq!(found.of_user.examples, [leak(moment(0, 2, 31), moment(0, 3, 30))]);
        assert_eq!(found.ties.examples, [leak(moment(0, 1, 30), moment(0, 3, 30))]);
        // The earliest test interaction of all is at 40.
        assert_eq!(found.of_anybody.examples, [leak(moment(2, 0, 100), moment(0, 4, 40))]);
    }

    #[test]
    fn a_split_in_order_of_time_has_no_problem() {
        let (train, test) = (Table::of(&[(0, 0, 1), (1, 0, 2)]), Table::of(&[(0, 1, 3), (1, 1, 4)]));
        let none = Table::of(&[]);
        assert_eq!(times(9, train.rows(), none.rows(), test.rows()), TimeProblems::default());
        assert_eq!(times(9, train.rows(), none.rows(), none.rows()), TimeProblems::default());
    }
}
