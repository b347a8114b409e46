//! Which interactions a model learns from, which it is tuned on and which it is judged by.

mod assign;
#[cfg(test)]
mod tests;

use polars::prelude::{BooleanChunked, DataFrame, Int64Type, NewChunkedArray};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::filter::find_duplicates;
use crate::frame::{self, ITEM, RAW_ITEM, RAW_USER, TIMESTAMP, USER, polars_error};
use crate::remap::Remapped;
use crate::runs::Runs;
use crate::split::assign::{Rows, UserCounts};
use crate::{Fault, Result};

/// What an interaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// The model learns from it.
    Train,
    /// Stopping and choosing go by it.
    Valid,
    /// Results are reported on it.
    Test,
    /// It is left out.
    Dropped,
}

/// What happens to users with too few interactions to be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShortUsers {
    /// All their interactions are for training.
    #[default]
    Train,
    /// They are left out.
    Drop,
    /// They are an error.
    Error,
}

/// What happens to users without an interaction before the first cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewUsers {
    /// They are left out: training on their interactions would be training on the future.
    #[default]
    Drop,
    /// They are an error.
    Error,
}

/// Which of a user's interactions are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The latest; of equally late ones those with the greatest raw item id.
    #[default]
    Time,
    /// Any, drawn with the seed for each user and item.
    Random,
}

/// Where time is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cuts {
    /// At given times, in seconds.
    At {
        /// The first time of the validation part, if there is one.
        valid: Option<i64>,
        /// The first time of the test part.
        test: i64,
    },
    /// So that each part has a share of the interactions.
    Shares {
        /// The share of the validation part; 0 for none.
        valid: f64,
        /// The share of the test part.
        test: f64,
    },
}

/// How interactions are split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strategy {
    /// The last interactions of each user are held out: the last `test`, and the `valid` before them.
    LastN {
        /// Interactions for validation.
        valid: u64,
        /// Interactions for test.
        test: u64,
        /// Users with fewer interactions, or with none left for training, are not split.
        min_interactions: u64,
    },
    /// A share of each user's interactions is held out, rounded to the nearest whole number, halves up; one always
    /// stays for training.
    Ratio {
        /// The share for validation.
        valid: f64,
        /// The share for test.
        test: f64,
        /// Which are held out.
        order: Order,
        /// Users with fewer interactions are not split.
        min_interactions: u64,
    },
    /// All interactions from a time on are held out, the same time for all users.
    GlobalTime {
        /// The times.
        cuts: Cuts,
    },
}

/// How interactions are split, and what happens to users who cannot be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// How interactions are split.
    pub strategy: Strategy,
    /// Users with too few interactions.
    pub short_users: ShortUsers,
    /// Users without an interaction before the first cut.
    pub new_users: NewUsers,
    /// What random draws depend on.
    pub seed: u64,
}

/// The three parts, and what is worth knowing about them.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What the model learns from.
    pub train: DataFrame,
    /// What stopping and choosing go by; it may be empty.
    pub valid: DataFrame,
    /// What results are reported on.
    pub test: DataFrame,
    /// Interactions that were left out.
    pub dropped: usize,
    /// Users with a test interaction.
    pub users_evaluated: usize,
    /// Users with too few interactions to be split.
    pub short_users: usize,
    /// Users without an interaction before the first cut.
    pub new_users: usize,
    /// Users for whom two interactions of the same time fall on two sides of a cut, so that the item ids decided.
    pub tied_users: usize,
    /// Test interactions whose item is not in the training part.
    pub cold_test: usize,
}

/// Splits interactions that are sorted by user, time and item. The parts keep the order; together with what was
/// dropped they are all the interactions, each once.
///
/// # Errors
/// When a pair of user and item repeats, when times are needed and missing, when a user cannot be split and the rules
/// forbid it, or when a part that was asked for is empty.
pub fn split(dataset: &Remapped, rules: &Rules) -> Result<Parts> {
    let frame = &dataset.interactions;
    let n_items = dataset.items.height();
    let user = frame::dense_ids(frame, USER, dataset.users.height())?;
    let item = frame::dense_ids(frame, ITEM, n_items)?;
    let runs = Runs::of(user.len(), |row| user[row])?;
    let timed = !matches!(rules.strategy, Strategy::Ratio { order: Order::Random, .. });
    let time = if timed { times(frame)? } else { &[] };
    let rows = Rows { runs: &runs, user: &user, item: &item, time };
    if timed {
        assign::check_order(rows)?;
    }
    if let (Some((row, _)), repeats) = find_duplicates(&runs, &item, n_items) {
        let name =
            |names: &DataFrame, raw: &str, id: u32| Ok::<_, Fault>(frame::raw_ids(names, raw)?.show(id as usize));
        return Err(Fault::data(format!(
            "user {} has item {} more than once, and could have it in two parts (repeated interactions: {repeats})",
            name(&dataset.users, RAW_USER, user[row])?,
            name(&dataset.items, RAW_ITEM, item[row])?,
        ))
        .help("put a `filter` stage before, with `deduplicate: last`"));
    }

    let mut parts = vec![Part::Train; user.len()];
    let found = match &rules.strategy {
        Strategy::GlobalTime { cuts } => assign::by_time(rows, assign::times(cuts, time)?, &mut parts),
        strategy => {
            let short = if rules.short_users == ShortUsers::Train { Part::Train } else { Part::Dropped };
            assign::by_user(rows, strategy, short, rules.seed, &mut parts)
        }
    };
    refuse_users(rules, &found)?;
    refuse_empty(&rules.strategy, &parts)?;

    let mut in_train = vec![false; n_items];
    for (row, &item) in item.iter().enumerate() {
        in_train[item as usize] |= parts[row] == Part::Train;
    }
    let of_test = |row: &usize| parts[*row] == Part::Test;
    Ok(Parts {
        train: select(frame, &parts, Part::Train)?,
        valid: select(frame, &parts, Part::Valid)?,
        test: select(frame, &parts, Part::Test)?,
        dropped: parts.iter().filter(|&&part| part == Part::Dropped).count(),
        users_evaluated: runs.iter().filter(|rows| rows.clone().any(|row| of_test(&row))).count(),
        short_users: found.short,
        new_users: found.new,
        tied_users: found.tied,
        cold_test: (0..parts.len()).filter(|row| of_test(row) && !in_train[item[*row] as usize]).count(),
    })
}

fn times(frame: &DataFrame) -> Result<&[i64]> {
    if !frame::has(frame, TIMESTAMP) {
        return Err(Fault::data("this `strategy` goes by time, and the interactions have no column `timestamp`")
            .help("map a timestamp column in `read`, or use `strategy: ratio` with `order: random`"));
    }
    frame::slice::<Int64Type>(frame, TIMESTAMP)
}

fn refuse_users(rules: &Rules, found: &UserCounts) -> Result<()> {
    if rules.short_users == ShortUsers::Error && found.short > 0 {
        return Err(Fault::data(format!("users with too few interactions to be split: {}", found.short))
            .help("drop them with a `filter` stage before, or keep them for training with `short_users: train`"));
    }
    if rules.new_users == NewUsers::Error && found.new > 0 {
        return Err(Fault::data(format!("users without an interaction before the first cut: {}", found.new))
            .help("leave them out with `new_users: drop`, or cut later"));
    }
    Ok(())
}

/// Refuses a part that was asked for and is empty.
fn refuse_empty(strategy: &Strategy, parts: &[Part]) -> Result<()> {
    let wants_valid = match *strategy {
        Strategy::LastN { valid, .. } => valid > 0,
        Strategy::Ratio { valid, .. } | Strategy::GlobalTime { cuts: Cuts::Shares { valid, .. } } => valid > 0.0,
        Strategy::GlobalTime { cuts: Cuts::At { valid, .. } } => valid.is_some(),
    };
    for (part, name, wanted) in
        [(Part::Train, "train", true), (Part::Valid, "valid", wants_valid), (Part::Test, "test", true)]
    {
        if wanted && !parts.contains(&part) {
            let help = match strategy {
                Strategy::GlobalTime { .. } => "move the cuts: many interactions may have the same time",
                _ => "hold out less, or lower `min_interactions`: no user has enough interactions",
            };
            return Err(Fault::data(format!("0 interactions in part `{name}` after `split`")).help(help));
        }
    }
    Ok(())
}

fn select(frame: &DataFrame, parts: &[Part], wanted: Part) -> Result<DataFrame> {
    let mask: Vec<bool> = parts.par_iter().map(|&part| part == wanted).collect();
    let mask = BooleanChunked::from_slice("part".into(), &mask);
    frame.filter(&mask).map_err(|error| polars_error(&error))
}
