//! Which interactions a model learns from, which it is tuned on and which it is judged by.

mod assign;
#[cfg(test)]
mod tests;
mod times;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use polars::prelude::{BooleanChunked, DataFrame, Int64Type, NewChunkedArray};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::filter::find_duplicates;
use crate::frame::{self, ITEM, TIMESTAMP, USER, polars_error};
use crate::runs::Runs;
use crate::scan::{Piece, Scan, each_piece};
use crate::split::assign::{Rows, UserCounts};
use crate::split::times::Times;
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

/// What is worth knowing about the parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// Interactions that the model learns from.
    pub train: usize,
    /// Interactions that stopping and choosing go by; there may be none.
    pub valid: usize,
    /// Interactions that results are reported on.
    pub test: usize,
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

/// The interactions to be split, with dense ids, sorted by user, time and item.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The interactions.
    pub interactions: &'a dyn Scan,
    /// How many users there are.
    pub n_users: usize,
    /// How many items there are.
    pub n_items: usize,
    /// The raw ids of a user and of an item, for a message.
    pub show: &'a (dyn Fn(u32, u32) -> Result<(String, String)> + Sync),
}

/// Frames of whole users: what the model learns from, what stopping goes by, what results are reported on.
pub type PartFrames = [Vec<DataFrame>; 3];

/// Splits interactions, and hands the parts on. They keep the order; together with what was dropped they are all the
/// interactions, each once. Goes through the rows once, and through their times once or a few times more where time is
/// cut for all users.
///
/// # Errors
/// When a pair of user and item repeats, when times are needed and missing, when a user cannot be split and the rules
/// forbid it, when a part that was asked for is empty, or when `write` fails.
pub fn split(input: Input<'_>, rules: &Rules, write: &mut dyn FnMut(PartFrames) -> Result<()>) -> Result<Parts> {
    let Input { interactions, n_items, .. } = input;
    let timed = !matches!(rules.strategy, Strategy::Ratio { order: Order::Random, .. });
    let times = match &rules.strategy {
        Strategy::GlobalTime { cuts } => Some(times::of_cuts(cuts, interactions)?),
        _ => None,
    };
    let in_train: Vec<AtomicBool> = (0..n_items).map(|_| AtomicBool::new(false)).collect();
    let in_test: Vec<AtomicU64> = (0..n_items).map(|_| AtomicU64::new(0)).collect();
    let work = |piece: &Piece| {
        let done = split_piece(piece, input, rules, timed, times)?;
        for (part, &item) in done.parts.iter().zip(&done.items) {
            match part {
                Part::Train => in_train[item as usize].store(true, Ordering::Relaxed),
                Part::Test => _ = in_test[item as usize].fetch_add(1, Ordering::Relaxed),
                Part::Valid | Part::Dropped => {}
            }
        }
        let of = |wanted| select(&piece.frame, &done.parts, wanted);
        let frames = [of(Part::Train)?, of(Part::Valid)?, of(Part::Test)?];
        Ok((frames, done))
    };
    let (mut all, mut found, mut repeats, mut example) = (Parts::default(), UserCounts::default(), 0, None);
    each_piece(interactions, None, work, |pieces| {
        let mut frames = PartFrames::default();
        for (parts, done) in pieces {
            let count = |wanted| done.parts.iter().filter(|&&part| part == wanted).count();
            all.train += count(Part::Train);
            all.valid += count(Part::Valid);
            all.test += count(Part::Test);
            all.dropped += count(Part::Dropped);
            all.users_evaluated += done.evaluated;
            found = found + done.found;
            repeats += done.repeats;
            example = example.or(done.example);
            for (frames, part) in frames.iter_mut().zip(parts) {
                frames.push(part);
            }
        }
        write(frames)
    })?;
    if let Some((user, item)) = example {
        let (user, item) = (input.show)(user, item)?;
        return Err(Fault::data(format!(
            "user {user} has item {item} more than once, and could have it in two parts (repeated interactions: {repeats})"
        ))
        .help("put a `filter` stage before, with `deduplicate: last`"));
    }
    (all.short_users, all.new_users, all.tied_users) = (found.short, found.new, found.tied);
    let cold = in_test.iter().zip(&in_train).filter(|(_, trained)| !trained.load(Ordering::Relaxed));
    all.cold_test = cold.map(|(count, _)| count.load(Ordering::Relaxed) as usize).sum();
    refuse_users(rules, &found)?;
    refuse_empty(&rules.strategy, &all)?;
    Ok(all)
}

/// The parts of the rows of a piece.
struct Done {
    items: Vec<u32>,
    parts: Vec<Part>,
    found: UserCounts,
    /// Users with a test interaction.
    evaluated: usize,
    /// Rows that repeat a pair, and a user and an item of one.
    repeats: usize,
    example: Option<(u32, u32)>,
}

fn split_piece(
    Piece { frame, first }: &Piece,
    input: Input<'_>,
    rules: &Rules,
    timed: bool,
    cuts: Option<Times>,
) -> Result<Done> {
    let user = frame::dense_ids(frame, USER, input.n_users)?;
    let item = frame::dense_ids(frame, ITEM, input.n_items)?;
    let runs = Runs::below(*first, user.len(), |row| user[row])?;
    let time = if timed { times(frame)? } else { &[] };
    let rows = Rows { runs: &runs, user: &user, item: &item, time };
    if timed {
        assign::check_order(rows, *first)?;
    }
    let (repeated, repeats) = find_duplicates(&runs, &item, input.n_items);
    let example = repeated.map(|(row, _)| (user[row], item[row]));
    let mut parts = vec![Part::Train; user.len()];
    let found = if let Some(cuts) = cuts {
        assign::by_time(rows, cuts, &mut parts)
    } else {
        let short = if rules.short_users == ShortUsers::Train { Part::Train } else { Part::Dropped };
        assign::by_user(rows, &rules.strategy, short, rules.seed, &mut parts)
    };
    let evaluated = runs.iter().filter(|rows| parts[rows.clone()].contains(&Part::Test)).count();
    Ok(Done { items: item, parts, found, evaluated, repeats, example })
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
fn refuse_empty(strategy: &Strategy, parts: &Parts) -> Result<()> {
    let wants_valid = match *strategy {
        Strategy::LastN { valid, .. } => valid > 0,
        Strategy::Ratio { valid, .. } | Strategy::GlobalTime { cuts: Cuts::Shares { valid, .. } } => valid > 0.0,
        Strategy::GlobalTime { cuts: Cuts::At { valid, .. } } => valid.is_some(),
    };
    for (rows, name, wanted) in
        [(parts.train, "train", true), (parts.valid, "valid", wants_valid), (parts.test, "test", true)]
    {
        if wanted && rows == 0 {
            let help = match strategy {
                Strategy::GlobalTime { .. } if parts.new_users > 0 => format!(
                    "move the cuts: {} users have no interaction before the first cut, and were left out",
                    parts.new_users
                ),
                Strategy::GlobalTime { .. } => "move the cuts: many interactions may have the same time".to_owned(),
                Strategy::Ratio { .. } if name != "train" && parts.train > 0 => format!(
                    "hold out more for `{name}`: its share of every user's interactions rounds to 0, or no user has \
                     `min_interactions`"
                ),
                _ => "hold out less, or lower `min_interactions`: no user has enough interactions".to_owned(),
            };
            return Err(Fault::data(format!("0 interactions in part `{name}` after `split`")).help(help));
        }
    }
    Ok(())
}

fn select(frame: &DataFrame, parts: &[Part], wanted: Part) -> Result<DataFrame> {
    let mask: Vec<bool> = parts.iter().map(|&part| part == wanted).collect();
    let mask = BooleanChunked::from_slice("part".into(), &mask);
    frame.filter_seq(&mask).map_err(|error| polars_error(&error))
}
