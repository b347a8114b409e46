//! Recommendations that another program made.

use crate::columns::{Columns, IdColumn};
use crate::runs::Runs;
use crate::{Fault, Result};

/// What puts a list in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOrder {
    /// The column `timestamp` of [`Columns`] holds ranks: the smaller, the better.
    Rank,
    /// The column `rating` of [`Columns`] holds scores: the greater, the better.
    Score,
}

/// An item of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its dense id; `None` for an item that the data does not have, which still takes its place.
    pub item: Option<u32>,
    /// Items of the same group are tied; groups count from 0, the best.
    pub group: u32,
}

/// The lists of users, and what could not be used of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Where the list of each user lies among the entries.
    places: Vec<(usize, usize)>,
    entries: Vec<Entry>,
    /// Users that the data does not have, whose lists are left out.
    pub unknown_users: usize,
    /// Rows with an item that the data does not have.
    pub unknown_items: usize,
}

impl Given {
    /// The lists in columns that are in canonical order; equal ranks or scores are ties. `user` and `item` give the dense
    /// ids of a row, below `n_users` and the number of items, or `None` for those that the data does not have.
    ///
    /// # Errors
    /// When the column that gives the order is missing, or a user has an item twice.
    pub fn from_columns(
        n_users: u32,
        columns: &Columns,
        order: ListOrder,
        user: impl Fn(usize) -> Option<u32>,
        item: impl Fn(usize) -> Option<u32>,
    ) -> Result<Self> {
        let no_order = || Fault::data("the lists have neither ranks nor scores");
        let ranks = columns.timestamp.as_deref().filter(|_| order == ListOrder::Rank);
        let scores = columns.rating.as_deref().filter(|_| order == ListOrder::Score);
        if ranks.is_none() && scores.is_none() {
            return Err(no_order());
        }
        // Both in ascending order; scores are finite.
        let compare = |a: usize, b: usize| match (ranks, scores) {
            (Some(ranks), _) => ranks[a].cmp(&ranks[b]),
            (None, Some(scores)) => (scores[b] + 0.0).total_cmp(&(scores[a] + 0.0)),
            (None, None) => std::cmp::Ordering::Equal,
        };
        let mut given = Self { places: vec![(0, 0); n_users as usize], ..Self::default() };
        let (mut rows, mut items) = (Vec::new(), Vec::new());
        for run in Runs::of(columns.len(), |row| code(&columns.user, row))?.iter() {
            items.clear();
            items.extend(run.clone().map(|row| (code(&columns.item, row), row)));
            items.sort_unstable();
            if let Some([(_, row), _]) = items.array_windows().find(|[one, next]| one.0 == next.0) {
                let (user, item) = (show(&columns.user, *row), show(&columns.item, *row));
                return Err(Fault::data(format!("the list of user {user} has item {item} more than once"))
                    .help("a list names each item once: remove the others where the file is made"));
            }
            let Some(place) = user(run.start).and_then(|user| given.places.get_mut(user as usize)) else {
                given.unknown_users += 1;
                continue;
            };
            rows.clear();
            rows.extend(run);
            rows.sort_by(|a, b| compare(*a, *b));
            let start = given.entries.len();
            let mut group = 0;
            for (n, &row) in rows.iter().enumerate() {
                group += u32::from(n > 0 && compare(rows[n - 1], row).is_ne());
                let item = item(row);
                given.unknown_items += usize::from(item.is_none());
                given.entries.push(Entry { item, group });
            }
            *place = (start, given.entries.len());
        }
        Ok(given)
    }

    /// The list of a user, the best first; empty for a user without a list.
    pub fn of(&self, user: u32) -> &[Entry] {
        self.places.get(user as usize).map_or(&[], |&(start, end)| &self.entries[start..end])
    }

    /// How many users of the data have a list.
    pub fn len(&self) -> usize {
        self.places.iter().filter(|(start, end)| start < end).count()
    }

    /// Whether no user of the data has a list.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The length of the longest list.
    pub fn longest(&self) -> usize {
        self.places.iter().map(|(start, end)| end - start).max().unwrap_or(0)
    }
}

/// A number for each raw id of the column, ascending with it.
fn code(ids: &IdColumn, row: usize) -> i64 {
    match ids {
        IdColumn::Int(ids) => ids[row],
        IdColumn::Str(ids) => i64::from(ids.codes[row]),
    }
}

fn show(ids: &IdColumn, row: usize) -> String {
    match ids {
        IdColumn::Int(ids) => format!("`{}`", ids[row]),
        IdColumn::Str(ids) => format!("`{}`", crate::frame::printable(&ids.values[ids.codes[row] as usize])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(rows: &[(i64, i64, i64, f32)]) -> Columns {
        let mut columns = Columns {
            user: IdColumn::Int(rows.iter().map(|row| row.0).collect()),
            item: IdColumn::Int(rows.iter().map(|row| row.1).collect()),
            timestamp: Some(rows.iter().map(|row| row.2).collect()),
            rating: Some(rows.iter().map(|row| row.3).collect()),
            clean: None,
            label: None,
        };
        columns.sort_canonical();
        columns
    }

    /// Users 10 and 11 are 1 and 0; item `i` is `i`, below 5.
    fn given(columns: &Columns, order: ListOrder) -> Result<Given> {
        let (IdColumn::Int(users), IdColumn::Int(items)) = (&columns.user, &columns.item) else { panic!() };
        let user = |row: usize| [(10, 1), (11, 0)].iter().find(|(raw, _)| *raw == users[row]).map(|(_, id)| *id);
        let item = |row: usize| u32::try_from(items[row]).ok().filter(|item| *item < 5);
        Given::from_columns(3, columns, order, user, item)
    }

    fn list(given: &Given, user: u32) -> Vec<(Option<u32>, u32)> {
        given.of(user).iter().map(|entry| (entry.item, entry.group)).collect()
    }

    #[test]
    fn ranks_or_scores_put_a_list_in_order_and_equal_ones_are_tied() {
        let rows = columns(&[(11, 3, 9, 0.5), (10, 4, 2, 0.0), (11, 1, 7, -0.5), (10, 2, 1, -0.0), (11, 0, 9, 0.5)]);
        let ranked = given(&rows, ListOrder::Rank).unwrap();
        assert_eq!(list(&ranked, 0), [(Some(1), 0), (Some(0), 1), (Some(3), 1)]);
        assert_eq!(list(&ranked, 1), [(Some(2), 0), (Some(4), 1)]);
        let scored = given(&rows, ListOrder::Score).unwrap();
        assert_eq!(list(&scored, 0), [(Some(0), 0), (Some(3), 0), (Some(1), 1)]);
        // Zero and negative zero are a tie.
        assert_eq!(list(&scored, 1).iter().map(|entry| entry.1).collect::<Vec<_>>(), [0, 0]);
        assert_eq!((ranked.len(), ranked.longest(), ranked.of(2)), (2, 3, [].as_slice()));
    }

    #[test]
    fn unknown_users_are_left_out_and_unknown_items_take_their_place() {
        let rows = columns(&[(10, 99, 1, 0.0), (10, 1, 2, 0.0), (77, 1, 1, 0.0), (78, 1, 1, 0.0)]);
        let found = given(&rows, ListOrder::Rank).unwrap();
        assert_eq!(list(&found, 1), [(None, 0), (Some(1), 1)]);
        assert_eq!((found.unknown_users, found.unknown_items, found.len()), (2, 1, 1));
    }

    #[test]
    fn an_item_that_is_listed_twice_is_refused_with_its_place() {
        let rows = columns(&[(10, 3, 1, 0.0), (10, 4, 2, 0.0), (10, 3, 3, 0.0)]);
        let error = given(&rows, ListOrder::Rank).unwrap_err();
        assert_eq!(error.message, "the list of user `10` has item `3` more than once");
    }
}
