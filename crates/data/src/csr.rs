//! Which items each user has: compressed sparse rows of sorted, distinct items.

use rayon::prelude::*;

use crate::{Fault, Result};

/// A set of (user, item) pairs, stored row by row: the items of each user, ascending and distinct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    n_items: u32,
    /// Row `u` is `items[offsets[u]..offsets[u + 1]]`; one more entry than there are users.
    offsets: Vec<usize>,
    items: Vec<u32>,
}

impl Csr {
    /// The pairs (`users[k]`, `items[k]`), in any order; a pair that occurs again counts once.
    ///
    /// # Errors
    /// When the columns differ in length, or an id is not below `n_users` or `n_items`.
    pub fn from_pairs(n_users: u32, n_items: u32, users: &[u32], items: &[u32]) -> Result<Self> {
        Self::union(n_users, n_items, &[(users, items)])
    }

    /// The pairs of all `parts`, each a column of users and one of items as in [`Csr::from_pairs`].
    ///
    /// # Errors
    /// As [`Csr::from_pairs`].
    pub fn union(n_users: u32, n_items: u32, parts: &[(&[u32], &[u32])]) -> Result<Self> {
        let mut offsets = vec![0usize; n_users as usize + 1];
        for (users, items) in parts {
            if users.len() != items.len() {
                return Err(Fault::data(format!("{} user ids stand beside {} item ids", users.len(), items.len())));
            }
            if let Some(item) = items.par_iter().find_any(|item| **item >= n_items) {
                return Err(out_of_range("item", *item, n_items));
            }
            for &user in *users {
                match offsets.get_mut(user as usize + 1) {
                    Some(count) => *count += 1,
                    None => return Err(out_of_range("user", user, n_users)),
                }
            }
        }
        for user in 1..offsets.len() {
            offsets[user] += offsets[user - 1];
        }
        let items = match parts {
            // Interactions are stored by user, so this is the common case.
            [(users, items)] if users.is_sorted() => items.to_vec(),
            _ => scatter(&offsets, parts),
        };
        let mut csr = Self { n_items, offsets, items };
        if sort_rows(&csr.offsets, &mut csr.items) {
            csr.remove_repeats();
        }
        Ok(csr)
    }

    /// Rows as they are stored.
    ///
    /// # Errors
    /// When the offsets do not ascend from 0 to `items.len()`, or a row is not ascending, distinct and below `n_items`.
    pub fn from_rows(n_items: u32, offsets: Vec<usize>, items: Vec<u32>) -> Result<Self> {
        if offsets.first() != Some(&0) || offsets.last() != Some(&items.len()) || !offsets.is_sorted() {
            return Err(Fault::data(format!("row offsets do not ascend from 0 to the {} items", items.len())));
        }
        for (user, bounds) in offsets.windows(2).enumerate() {
            let row = &items[bounds[0]..bounds[1]];
            if !row.is_sorted_by(|a, b| a < b) {
                return Err(Fault::data(format!("the items of user {user} are not ascending and distinct")));
            }
            if let Some(&item) = row.last().filter(|item| **item >= n_items) {
                return Err(out_of_range("item", item, n_items));
            }
        }
        Ok(Self { n_items, offsets, items })
    }

    /// How many users there are, with or without items.
    pub fn n_users(&self) -> u32 {
        (self.offsets.len() - 1) as u32
    }

    /// How many items there are, with or without users.
    pub fn n_items(&self) -> u32 {
        self.n_items
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items of a user, ascending; none for a user that does not exist.
    #[inline]
    pub fn row(&self, user: u32) -> &[u32] {
        let user = user as usize;
        match (self.offsets.get(user), self.offsets.get(user + 1)) {
            (Some(&start), Some(&end)) => &self.items[start..end],
            _ => &[],
        }
    }

    /// Whether the user has the item. Takes the logarithm of the row's length.
    #[inline]
    pub fn contains(&self, user: u32, item: u32) -> bool {
        self.row(user).binary_search(&item).is_ok()
    }

    /// Where the rows start, and where the last one ends: `n_users + 1` offsets into [`Csr::items`].
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The items of all rows.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// How many users have each item.
    pub fn item_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.n_items as usize];
        for &item in &self.items {
            counts[item as usize] += 1;
        }
        counts
    }

    /// The users of each item.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut offsets = vec![0usize; self.n_items as usize + 1];
        for &item in &self.items {
            offsets[item as usize + 1] += 1;
        }
        for item in 1..offsets.len() {
            offsets[item] += offsets[item - 1];
        }
        let mut next = offsets.clone();
        let mut users = vec![0; self.items.len()];
        for user in 0..self.n_users() {
            for &item in self.row(user) {
                users[next[item as usize]] = user;
                next[item as usize] += 1;
            }
        }
        Self { n_items: self.n_users(), offsets, items: users }
    }

    fn remove_repeats(&mut self) {
        let mut kept = 0;
        let mut start = 0;
        for end in &mut self.offsets[1..] {
            let row = start..*end;
            start = *end;
            let first = kept;
            for k in row {
                if kept == first || self.items[kept - 1] != self.items[k] {
                    self.items[kept] = self.items[k];
                    kept += 1;
                }
            }
            *end = kept;
        }
        self.items.truncate(kept);
    }
}

fn out_of_range(what: &str, id: u32, n: u32) -> Fault {
    Fault::data(format!("{what} id {id} is not below the number of {what}s, {n}"))
        .help("the file does not belong to this id map: read or remap it again")
}

/// The items in the order of their users.
fn scatter(offsets: &[usize], parts: &[(&[u32], &[u32])]) -> Vec<u32> {
    let mut next = offsets.to_vec();
    let mut out = vec![0; offsets.last().copied().unwrap_or(0)];
    for (users, items) in parts {
        for (&user, &item) in users.iter().zip(*items) {
            out[next[user as usize]] = item;
            next[user as usize] += 1;
        }
    }
    out
}

/// Sorts each row and says whether one holds an item twice. `items` starts at the first offset.
fn sort_rows(offsets: &[usize], items: &mut [u32]) -> bool {
    let rows = offsets.len() - 1;
    if rows > 1 && items.len() > 1 << 14 {
        let middle = rows / 2;
        let (left, right) = items.split_at_mut(offsets[middle] - offsets[0]);
        let (a, b) = rayon::join(|| sort_rows(&offsets[..=middle], left), || sort_rows(&offsets[middle..], right));
        return a | b;
    }
    let mut repeats = false;
    for bounds in offsets.windows(2) {
        let row = &mut items[bounds[0] - offsets[0]..bounds[1] - offsets[0]];
        row.sort_unstable();
        repeats |= row.windows(2).any(|pair| pair[0] == pair[1]);
    }
    repeats
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_hold_the_distinct_pairs_in_order(pairs in prop::collection::vec((0u32..7, 0u32..9), 0..80), cut in 0usize..80) {
            let (users, items): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
            let cut = cut.min(pairs.len());
            let csr = Csr::union(7, 9, &[(&users[..cut], &items[..cut]), (&users[cut..], &items[cut..])]).unwrap();
            let expected: BTreeSet<(u32, u32)> = pairs.iter().copied().collect();
            let rows: Vec<(u32, u32)> = (0..7).flat_map(|u| csr.row(u).iter().map(move |&i| (u, i))).collect();
            prop_assert!(rows.iter().eq(expected.iter()));
            for (u, i) in (0..7).flat_map(|u| (0..9).map(move |i| (u, i))) {
                prop_assert_eq!(csr.contains(u, i), expected.contains(&(u, i)));
            }
            let mut sorted = pairs.clone();
            sorted.sort_unstable();
            let (users, items): (Vec<u32>, Vec<u32>) = sorted.into_iter().unzip();
            prop_assert_eq!(&Csr::from_pairs(7, 9, &users, &items).unwrap(), &csr);
            prop_assert_eq!(&csr.transpose().transpose(), &csr);
            let counts: Vec<u32> = (0..9).map(|i| csr.transpose().row(i).len() as u32).collect();
            prop_assert_eq!(&csr.item_counts(), &counts);
            prop_assert_eq!(Csr::from_rows(9, csr.offsets().to_vec(), csr.items().to_vec()).unwrap(), csr);
        }
    }

    #[test]
    fn long_rows_are_sorted_in_parallel_too() {
        let n = 100_000u32;
        let users: Vec<u32> = (0..n).map(|k| k * 7 % 13).collect();
        let items: Vec<u32> = (0..n).map(|k| k * 31 % 5_003).collect();
        let csr = Csr::from_pairs(13, 5_003, &users, &items).unwrap();
        let expected: BTreeSet<(u32, u32)> = users.into_iter().zip(items).collect();
        assert!((0..13).flat_map(|u| csr.row(u).iter().map(move |&i| (u, i))).eq(expected));
    }

    #[test]
    fn ids_outside_are_refused() {
        let message = |result: Result<Csr>| result.unwrap_err().message;
        assert_eq!(message(Csr::from_pairs(2, 3, &[2], &[0])), "user id 2 is not below the number of users, 2");
        assert_eq!(message(Csr::from_pairs(2, 3, &[0], &[3])), "item id 3 is not below the number of items, 3");
        assert_eq!(message(Csr::from_pairs(2, 3, &[0], &[])), "1 user ids stand beside 0 item ids");
        assert!(Csr::from_pairs(0, 0, &[], &[]).unwrap().is_empty());
        assert_eq!(Csr::from_pairs(2, 3, &[], &[]).unwrap().row(9), &[0u32; 0]);
        for (offsets, items) in [
            (vec![0, 1], vec![3]),
            (vec![0, 2], vec![1, 1]),
            (vec![0, 2, 1], vec![0]),
            (vec![], vec![]),
            (vec![0], vec![1]),
        ] {
            assert!(Csr::from_rows(3, offsets, items).is_err());
        }
    }
}
