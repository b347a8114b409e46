//! Fewer interactions: one for each pair of user and item, and only users and items with enough of them.

mod duplicates;
mod minima;

use polars::prelude::{BooleanChunked, DataFrame, Float32Type, NewChunkedArray};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dictionary;
use crate::frame::{self, ITEM, RATING, USER, polars_error};
use crate::{Fault, Result};

pub(crate) use duplicates::find as find_duplicates;

/// Which interaction stands for a pair of user and item that occurs more than once. "First" and "last" go by time,
/// then rating, then the clean flag: by values, so that the order of the rows in the source cannot matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deduplicate {
    /// The latest; of equally late ones the highest rated.
    #[default]
    Last,
    /// The earliest; of equally early ones the lowest rated.
    First,
    /// The highest rated; of equally rated ones the latest.
    Max,
    /// None: a repeated pair is an error.
    Error,
    /// All of them.
    Keep,
}

/// What to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What happens to pairs that occur more than once. It comes before the counting.
    pub deduplicate: Deduplicate,
    /// The least interactions of a user.
    pub min_user: u64,
    /// The least interactions of an item.
    pub min_item: u64,
    /// Whether what is left must satisfy both minima (with equal minima: the k-core), or whether both are counted
    /// only once, on the same rows.
    pub until_stable: bool,
}

/// What was kept, and what was not.
#[derive(Debug, Clone)]
pub struct Filtered {
    /// The interactions left, in their order.
    pub frame: DataFrame,
    /// Interactions that repeated a pair and were dropped.
    pub duplicates: usize,
    /// Users before.
    pub users_in: usize,
    /// Items before.
    pub items_in: usize,
    /// Users with an interaction left.
    pub users: usize,
    /// Items with an interaction left.
    pub items: usize,
}

/// Drops repeated pairs, then users and items with too few interactions. `interactions` are sorted by user, time,
/// item, rating and clean flag.
///
/// # Errors
/// When a pair is repeated and the rules forbid it, when ratings are needed and missing, when the rows are not sorted
/// by user, or when no interaction is left.
pub fn filter(interactions: &DataFrame, rules: &Rules) -> Result<Filtered> {
    let users = frame::raw_ids(interactions, USER)?;
    let runs = users.runs()?;
    let raw_items = frame::raw_ids(interactions, ITEM)?;
    let (items, item_values) = dictionary::of_raw(&raw_items)?;
    let n_items = item_values.len();
    let mut keep = vec![true; items.len()];

    let duplicates = match rules.deduplicate {
        Deduplicate::Keep => 0,
        Deduplicate::First => duplicates::mark(&runs, &items, n_items, |_, _| false, &mut keep).dropped,
        Deduplicate::Last => duplicates::mark(&runs, &items, n_items, |_, _| true, &mut keep).dropped,
        Deduplicate::Max => {
            if !frame::has(interactions, RATING) {
                let message = "`deduplicate: max` needs ratings, and the interactions have no column `rating`";
                return Err(Fault::data(message).help("use `deduplicate: last`"));
            }
            let ratings = frame::slice::<Float32Type>(interactions, RATING)?;
            let replaces = |earlier: usize, later: usize| ratings[later] >= ratings[earlier];
            duplicates::mark(&runs, &items, n_items, replaces, &mut keep).dropped
        }
        Deduplicate::Error => match duplicates::find(&runs, &items, n_items) {
            (Some((row, _)), rows) => {
                let (user, item) = (users.show(row), raw_items.show(row));
                let error =
                    Fault::data(format!("user {user} has item {item} more than once (repeated interactions: {rows})"));
                return Err(error.help("choose which to keep: `deduplicate: last`, `first` or `max`"));
            }
            (None, _) => 0,
        },
    };

    let minima = (rules.min_user, rules.min_item);
    let before = minima::counts(&runs, &items, n_items, &keep);
    if rules.until_stable {
        minima::until_stable(&runs, &items, n_items, minima, &mut keep)?;
    } else if minima.0 > 1 || minima.1 > 1 {
        minima::once(&runs, &items, n_items, minima, &mut keep);
    }
    if !keep.contains(&true) {
        return Err(nothing_left(&before, rules));
    }
    let after = minima::counts(&runs, &items, n_items, &keep);
    let left = |counts: &[u64]| counts.iter().filter(|&&count| count > 0).count();
    let mask = BooleanChunked::from_slice("keep".into(), &keep);
    Ok(Filtered {
        frame: interactions.filter(&mask).map_err(|error| polars_error(&error))?,
        duplicates,
        users_in: runs.len(),
        items_in: n_items,
        users: left(&after.0),
        items: left(&after.1),
    })
}

fn nothing_left((of_user, of_item): &(Vec<u64>, Vec<u64>), rules: &Rules) -> Fault {
    let error = Fault::data("0 interactions after `filter`");
    let (Some(user), Some(item)) = (of_user.iter().max(), of_item.iter().max()) else {
        return error.help("there were none before it either: look at the stage before");
    };
    error.help(format!(
        "asked for are {} interactions a user and {} an item{}; the most active user has {user}, the most popular item \
         {item}: lower the minima",
        rules.min_user,
        rules.min_item,
        if rules.until_stable { ", in what is left" } else { "" },
    ))
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Int64Type, df};

    use super::*;

    const RULES: Rules = Rules { deduplicate: Deduplicate::Last, min_user: 1, min_item: 1, until_stable: false };

    /// User 1 has item 5 three times, user 2 has items 5 and 6.
    fn repeated() -> DataFrame {
        df!(
            "user_id" => [1i64, 1, 1, 2, 2],
            "item_id" => [5i64, 5, 5, 5, 6],
            "rating" => [1.0f32, 4.0, 2.0, 3.0, 3.0],
            "timestamp" => [10i64, 20, 30, 10, 20],
        )
        .unwrap()
    }

    fn times(frame: &DataFrame) -> Vec<i64> {
        frame::slice::<Int64Type>(frame, "timestamp").unwrap().to_vec()
    }

    #[test]
    fn each_policy_leaves_the_row_it_names() {
        for (deduplicate, expected) in [
            (Deduplicate::Last, vec![30, 10, 20]),
            (Deduplicate::First, vec![10, 10, 20]),
            (Deduplicate::Max, vec![20, 10, 20]),
            (Deduplicate::Keep, vec![10, 20, 30, 10, 20]),
        ] {
            let found = filter(&repeated(), &Rules { deduplicate, ..RULES }).unwrap();
            assert_eq!(times(&found.frame), expected, "{deduplicate:?}");
            assert_eq!(found.duplicates, 5 - expected.len());
        }
    }

    #[test]
    fn repeated_pairs_can_be_an_error() {
        let error = filter(&repeated(), &Rules { deduplicate: Deduplicate::Error, ..RULES }).unwrap_err();
        assert_eq!(error.message, "user `1` has item `5` more than once (repeated interactions: 2)");
        assert_eq!(error.help.unwrap(), "choose which to keep: `deduplicate: last`, `first` or `max`");
    }

    #[test]
    fn the_highest_rating_needs_ratings() {
        let frame = repeated().drop("rating").unwrap();
        let error = filter(&frame, &Rules { deduplicate: Deduplicate::Max, ..RULES }).unwrap_err();
        assert_eq!(error.message, "`deduplicate: max` needs ratings, and the interactions have no column `rating`");
    }

    #[test]
    fn pairs_are_counted_after_deduplication() {
        // With its repetitions, user 1 would have three interactions.
        let found = filter(&repeated(), &Rules { min_user: 2, ..RULES }).unwrap();
        assert_eq!(times(&found.frame), [10, 20]);
        assert_eq!((found.users_in, found.items_in, found.users, found.items), (2, 2, 1, 2));
    }

    #[test]
    fn strings_are_filtered_like_numbers() {
        let numbers = repeated();
        let name = |id: &str| {
            numbers
                .column(id)
                .unwrap()
                .i64()
                .unwrap()
                .into_no_null_iter()
                .map(|id| format!("n{id}"))
                .collect::<Vec<_>>()
        };
        let strings = df!(
            "user_id" => name("user_id"),
            "item_id" => name("item_id"),
            "timestamp" => times(&numbers),
        )
        .unwrap();
        let rules = Rules { min_item: 2, ..RULES };
        assert_eq!(times(&filter(&strings, &rules).unwrap().frame), times(&filter(&numbers, &rules).unwrap().frame));
    }

    #[test]
    fn nothing_left_says_what_there_was() {
        let error = filter(&repeated(), &Rules { min_user: 3, until_stable: true, ..RULES }).unwrap_err();
        assert_eq!(error.message, "0 interactions after `filter`");
        assert_eq!(
            error.help.unwrap(),
            "asked for are 3 interactions a user and 1 an item, in what is left; the most active user has 2, the most \
             popular item 2: lower the minima"
        );
    }

    #[test]
    fn unsorted_users_are_refused() {
        let frame = df!("user_id" => [2i64, 1], "item_id" => [1i64, 1]).unwrap();
        assert_eq!(filter(&frame, &RULES).unwrap_err().message, "the interactions are not sorted by user at row 1");
    }
}
