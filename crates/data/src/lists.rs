//! Lists of recommended items: long rows on disk, a list for each user in memory.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use polars::prelude::Int32Type;

use crate::frame::{self, FrameMeta, ITEM, ParquetFile, ROW_GROUP, USER, dense_ids};
use crate::runs::Runs;
use crate::stream::StreamWriter;
use crate::{Fault, Result};

/// The place of an item in its list, from 1.
pub const RANK: &str = "rank";
/// What the model gave the pair.
pub const SCORE: &str = "score";

/// Recommendations in long form: for each user the items from rank 1 on. All columns have the same length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListRows {
    /// Dense user ids.
    pub users: Vec<u32>,
    /// Dense item ids.
    pub items: Vec<u32>,
    /// Places, from 1.
    pub ranks: Vec<u32>,
    /// Scores.
    pub scores: Vec<f32>,
}

impl ListRows {
    /// Adds a user's list, the best item first.
    pub fn push(&mut self, user: u32, list: &[(u32, f32)]) {
        for (rank, &(item, score)) in (1..).zip(list) {
            self.users.push(user);
            self.items.push(item);
            self.ranks.push(rank);
            self.scores.push(score);
        }
    }

    fn batch(&self) -> Result<RecordBatch> {
        let ids = |ids: &[u32]| -> ArrayRef { Arc::new(ids.iter().map(|&id| id as i32).collect::<Int32Array>()) };
        let scores: ArrayRef = Arc::new(Float32Array::from(self.scores.clone()));
        let columns = vec![ids(&self.users), ids(&self.items), ids(&self.ranks), scores];
        RecordBatch::try_new(schema(), columns).map_err(Fault::data)
    }
}

fn schema() -> SchemaRef {
    let field = |(name, kind): (&str, DataType)| Field::new(name, kind, false);
    let columns =
        [(USER, DataType::Int32), (ITEM, DataType::Int32), (RANK, DataType::Int32), (SCORE, DataType::Float32)];
    Arc::new(Schema::new(columns.map(field).to_vec()))
}

/// How many users of `k` items each to hand to [`write_lists`] at once: enough rows for all threads to encode, and
/// little memory.
pub fn users_at_once(k: usize) -> usize {
    (4 * ROW_GROUP / k.max(1)).max(1)
}

/// Writes rows `(user_id Int32, item_id Int32, rank Int32, score Float32)` as `next` gives them, user by user, until it
/// gives none.
///
/// # Errors
/// Those of `next`, and when `out` cannot be written to.
pub fn write_lists<W: Write + Send>(
    out: W,
    meta: &FrameMeta,
    next: &mut dyn FnMut() -> Result<Option<Vec<ListRows>>>,
) -> Result<W> {
    let mut file = StreamWriter::new(out, schema(), meta)?;
    while let Some(rows) = next()? {
        file.write(rows.iter().map(ListRows::batch).collect::<Result<Vec<_>>>()?)?;
    }
    file.finish()
}

/// The list of each user, the best item first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    n_users: u32,
    n_items: u32,
    /// Ascending and distinct.
    users: Vec<u32>,
    /// The list of `users[k]` is `items[offsets[k]..offsets[k + 1]]`.
    offsets: Vec<usize>,
    items: Vec<u32>,
}

impl Lists {
    /// The lists in rows that are sorted by user, and of a user by rank.
    ///
    /// # Errors
    /// When the columns differ in length, users do not ascend, an id is not below `n_users` or `n_items`, or a list
    /// names an item twice.
    pub fn from_rows(n_users: u32, n_items: u32, users: &[u32], items: Vec<u32>) -> Result<Self> {
        if users.len() != items.len() {
            return Err(Fault::data(format!("{} user ids stand beside {} item ids", users.len(), items.len())));
        }
        if let Some(item) = items.iter().find(|item| **item >= n_items) {
            return Err(Fault::data(format!("item id {item} is not below the number of items, {n_items}")));
        }
        if let Some(user) = users.last().filter(|user| **user >= n_users) {
            return Err(Fault::data(format!("user id {user} is not below the number of users, {n_users}")));
        }
        let runs = Runs::of(users.len(), |row| users[row])?;
        let mut sorted = Vec::new();
        for rows in runs.iter() {
            sorted.clear();
            sorted.extend_from_slice(&items[rows.clone()]);
            sorted.sort_unstable();
            if let Some([item, _]) = sorted.array_windows().find(|[one, next]| one == next) {
                return Err(Fault::data(format!("the list of user {} has item {item} twice", users[rows.start])));
            }
        }
        let offsets = runs.firsts().iter().copied().chain([users.len()]).collect();
        let users = runs.firsts().iter().map(|&row| users[row]).collect();
        Ok(Self { n_users, n_items, users, offsets, items })
    }

    /// Reads what [`write_lists`] wrote; scores stay unread.
    ///
    /// # Errors
    /// When columns are missing, the footer does not state the numbers of users and items, or the rows are not in order.
    pub fn read(file: &ParquetFile) -> Result<Self> {
        let size = |what: &str, n: Option<u64>| {
            n.and_then(|n| u32::try_from(n).ok()).filter(|n| i32::try_from(*n).is_ok()).ok_or_else(|| {
                Fault::data(format!("the footer does not state a possible number of {what}"))
                    .help("make the recommendations again")
            })
        };
        let n_users = size("users", file.meta().n_users)?;
        let n_items = size("items", file.meta().n_items)?;
        let frame = file.read(Some(&[USER, ITEM, RANK]))?;
        let users = dense_ids(&frame, USER, n_users as usize)?;
        let items = dense_ids(&frame, ITEM, n_items as usize)?;
        let lists = Self::from_rows(n_users, n_items, &users, items)?;
        let expected = lists.offsets.windows(2).flat_map(|bounds| 1..=(bounds[1] - bounds[0]) as i32);
        if !frame::slice::<Int32Type>(&frame, RANK)?.iter().copied().eq(expected) {
            return Err(Fault::data("the ranks of a list do not count from 1").help("make the recommendations again"));
        }
        Ok(lists)
    }

    /// How many users the data has, with or without a list.
    pub fn n_users(&self) -> u32 {
        self.n_users
    }

    /// How many items the data has.
    pub fn n_items(&self) -> u32 {
        self.n_items
    }

    /// How many users have a list.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether no user has a list.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The users who have a list, ascending.
    pub fn users(&self) -> &[u32] {
        &self.users
    }

    /// The list of a user, the best item first; none for a user without a list.
    pub fn of(&self, user: u32) -> &[u32] {
        match self.users.binary_search(&user) {
            Ok(place) => &self.items[self.offsets[place]..self.offsets[place + 1]],
            Err(_) => &[],
        }
    }

    /// All lists, by user.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[u32])> {
        let lists = self.offsets.windows(2).map(|bounds| &self.items[bounds[0]..bounds[1]]);
        self.users.iter().copied().zip(lists)
    }

    /// The length of the longest list.
    pub fn longest(&self) -> usize {
        self.offsets.windows(2).map(|bounds| bounds[1] - bounds[0]).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lists: &[(u32, &[u32])]) -> ListRows {
        let mut rows = ListRows::default();
        for (user, items) in lists {
            let scored: Vec<(u32, f32)> = items.iter().map(|&item| (item, item as f32 / 4.0)).collect();
            rows.push(*user, &scored);
        }
        rows
    }

    fn written(batches: Vec<ListRows>) -> Vec<u8> {
        let mut left = batches.into_iter();
        let meta = FrameMeta::of("recommend").sized(9, 5);
        write_lists(Vec::new(), &meta, &mut || Ok(left.next().map(|rows| vec![rows]))).unwrap()
    }

    #[test]
    fn lists_are_read_back_as_written_however_they_were_handed_over() {
        let whole = written(vec![rows(&[(1, &[4, 0]), (7, &[2]), (8, &[3, 1, 0])])]);
        assert!(whole == written(vec![rows(&[(1, &[4, 0])]), rows(&[]), rows(&[(7, &[2]), (8, &[3, 1, 0])])]));
        let lists = Lists::read(&ParquetFile::open(whole).unwrap()).unwrap();
        let found: Vec<(u32, &[u32])> = lists.rows().collect();
        assert_eq!(found, [(1, [4, 0].as_slice()), (7, &[2]), (8, &[3, 1, 0])]);
        assert_eq!((lists.of(8), lists.of(2)), ([3, 1, 0].as_slice(), [].as_slice()));
        assert_eq!((lists.n_users(), lists.n_items(), lists.len(), lists.longest()), (9, 5, 3, 3));
    }

    #[test]
    fn nobody_has_a_list_in_an_empty_file() {
        let lists = Lists::read(&ParquetFile::open(written(Vec::new())).unwrap()).unwrap();
        assert!(lists.is_empty() && lists.longest() == 0 && lists.rows().next().is_none());
    }

    #[test]
    fn lists_that_make_no_sense_are_refused() {
        let message = |users: &[u32], items: &[u32]| Lists::from_rows(2, 3, users, items.to_vec()).unwrap_err().message;
        assert_eq!(message(&[0, 0], &[1, 1]), "the list of user 0 has item 1 twice");
        assert_eq!(message(&[0, 0], &[1, 3]), "item id 3 is not below the number of items, 3");
        assert_eq!(message(&[0, 2], &[1, 1]), "user id 2 is not below the number of users, 2");
        assert_eq!(message(&[1, 0], &[1, 1]), "the interactions are not sorted by user at row 1");
        let mut skipped = rows(&[(1, &[4, 0])]);
        skipped.ranks = vec![1, 3];
        let file = ParquetFile::open(written(vec![skipped])).unwrap();
        assert_eq!(Lists::read(&file).unwrap_err().message, "the ranks of a list do not count from 1");
    }
}
