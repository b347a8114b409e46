//! The stage `split`: training, validation and test interactions.

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::dataset::Dataset;
use crate::artifacts::frames::Sink;
use crate::artifacts::split::Split;
use crate::data::frame::FrameMeta;
use crate::data::scan::Scan;
use crate::data::split::{Cuts, Input, NewUsers, Order, Parts, Rules, ShortUsers, Strategy, split};
use crate::stage::{Context, Fault, Output, ParamError, Port, Result, Stage};

/// Splits interactions into training, validation and test parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitStage {
    /// Each user's last interaction is for test, the one before for validation.
    LeaveOneOut {
        /// Whether there is a validation part.
        #[serde(default = "yes")]
        valid: bool,
        /// The least interactions of a user who is split; by default enough to leave one for training.
        #[serde(default)]
        min_interactions: Option<u64>,
        /// What happens to users with fewer.
        #[serde(default)]
        short_users: ShortUsers,
    },
    /// Each user's last interactions are for test, the ones before for validation.
    LeaveLastN {
        /// Interactions of a user for validation.
        valid_n: u64,
        /// Interactions of a user for test.
        test_n: u64,
        /// The least interactions of a user who is split; by default enough to leave one for training.
        #[serde(default)]
        min_interactions: Option<u64>,
        /// What happens to users with fewer.
        #[serde(default)]
        short_users: ShortUsers,
    },
    /// A share of each user's interactions is for test, another for validation.
    Ratio {
        /// The share for validation.
        #[serde(default = "tenth")]
        valid: f64,
        /// The share for test.
        #[serde(default = "tenth")]
        test: f64,
        /// Which are held out: the latest, or any.
        #[serde(default)]
        order: Order,
        /// The least interactions of a user who is split.
        #[serde(default = "three")]
        min_interactions: u64,
        /// What happens to users with fewer.
        #[serde(default)]
        short_users: ShortUsers,
    },
    /// All interactions from a time on are for test, those from an earlier time on for validation. Give the times, or
    /// the shares of the interactions that fall after them.
    GlobalTime {
        /// The first time of the validation part, in seconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        valid_at: Option<i64>,
        /// The first time of the test part, in seconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test_at: Option<i64>,
        /// The share of the validation part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        valid: Option<f64>,
        /// The share of the test part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<f64>,
        /// What happens to users without an interaction before the first cut.
        #[serde(default)]
        new_users: NewUsers,
    },
}

fn yes() -> bool {
    true
}

fn tenth() -> f64 {
    0.1
}

fn three() -> u64 {
    3
}

impl Stage for SplitStage {
    const KIND: &'static str = "split";
    const ABOUT: &'static str = "splits interactions into training, validation and test parts";
    const CHANGES: &'static [&'static str] = &["first version"];
    const INPUTS: &'static [Port] = &[Port::one::<Dataset>("dataset")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Split>("split")];

    fn is_seeded(&self) -> bool {
        matches!(self, Self::Ratio { order: Order::Random, .. })
    }

    fn normalise(mut self) -> Result<Self, ParamError> {
        match &mut self {
            Self::LeaveOneOut { valid, min_interactions, .. } => {
                enough("valid", u64::from(*valid), 1, min_interactions)?;
            }
            Self::LeaveLastN { valid_n, test_n, min_interactions, .. } => {
                if *test_n == 0 {
                    return Err(ParamError::new("test_n", "there is no test part").help("hold out at least 1"));
                }
                enough("test_n", *valid_n, *test_n, min_interactions)?;
            }
            Self::Ratio { valid, test, .. } => shares(*valid, *test)?,
            Self::GlobalTime { valid_at, test_at, valid, test, .. } => {
                cuts(*valid_at, *test_at, *valid, *test)?;
            }
        }
        Ok(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let dataset: Dataset = context.input("dataset")?;
        context.cancel().check()?;
        let rules = self.rules(context.seed())?;
        let (n_users, n_items) = (dataset.n_users, dataset.n_items);
        let meta = FrameMeta {
            seed: self.is_seeded().then_some(rules.seed),
            ..FrameMeta::of(Self::KIND).sized(n_users, n_items)
        };
        let mut sinks = Split::sinks(&meta, &dataset.rows.optional(), context);
        let show = |user: u32, item: u32| dataset.show(user, item);
        let input = Input { interactions: &dataset.rows, n_users, n_items, show: &show };
        let parts = split(input, &rules, &mut |frames| {
            sinks.iter_mut().zip(frames).try_for_each(|(sink, frames)| sink.write(&frames))
        })?;
        sinks.into_iter().try_for_each(Sink::finish)?;
        dataset.copy_ids(context)?;
        tell(&parts, n_users, context);
        Ok(())
    }
}

impl SplitStage {
    fn rules(&self, seed: u64) -> Result<Rules> {
        let mut rules = Rules {
            strategy: Strategy::LastN { valid: 0, test: 1, min_interactions: 0 },
            short_users: ShortUsers::default(),
            new_users: NewUsers::default(),
            seed,
        };
        match *self {
            Self::LeaveOneOut { valid, min_interactions, short_users } => {
                let min_interactions = min_interactions.unwrap_or_default();
                rules.strategy = Strategy::LastN { valid: u64::from(valid), test: 1, min_interactions };
                rules.short_users = short_users;
            }
            Self::LeaveLastN { valid_n, test_n, min_interactions, short_users } => {
                let min_interactions = min_interactions.unwrap_or_default();
                rules.strategy = Strategy::LastN { valid: valid_n, test: test_n, min_interactions };
                rules.short_users = short_users;
            }
            Self::Ratio { valid, test, order, min_interactions, short_users } => {
                rules.strategy = Strategy::Ratio { valid, test, order, min_interactions };
                rules.short_users = short_users;
            }
            Self::GlobalTime { valid_at, test_at, valid, test, new_users } => {
                let cuts = cuts(valid_at, test_at, valid, test).map_err(|error| Fault::data(error.message))?;
                rules.strategy = Strategy::GlobalTime { cuts };
                rules.new_users = new_users;
            }
        }
        Ok(rules)
    }
}

/// Fills in the least interactions of a user who is split, or refuses one that leaves none for training.
fn enough(name: &str, valid: u64, test: u64, min_interactions: &mut Option<u64>) -> Result<(), ParamError> {
    let least = valid.checked_add(test).and_then(|held_out| held_out.checked_add(1));
    let least = least.ok_or_else(|| ParamError::new(name, "no user has that many interactions"))?;
    match *min_interactions {
        Some(given) if given < least => {
            Err(ParamError::new("min_interactions", format!("a user with {given} would have none left for training"))
                .help(format!("use {least} or more")))
        }
        given => {
            *min_interactions = Some(given.unwrap_or(least));
            Ok(())
        }
    }
}

/// Refuses shares that leave nothing for training or test.
fn shares(valid: f64, test: f64) -> Result<(), ParamError> {
    for (name, share) in [("valid", valid), ("test", test)] {
        let enough = if name == "test" { share > 0.0 } else { share >= 0.0 };
        if !enough || share >= 1.0 {
            let none = if name == "test" { "" } else { ", or 0 for none" };
            return Err(ParamError::new(name, format!("{share} is no share of the interactions"))
                .help(format!("give a share between 0 and 1, such as 0.1{none}")));
        }
    }
    if valid + test >= 1.0 {
        return Err(ParamError::new("test", format!("`valid` and `test` together take {}", valid + test))
            .help("leave some for training"));
    }
    Ok(())
}

/// The cuts, given as times or as shares.
fn cuts(
    valid_at: Option<i64>,
    test_at: Option<i64>,
    valid: Option<f64>,
    test: Option<f64>,
) -> Result<Cuts, ParamError> {
    match (test_at, test) {
        (Some(test_at), None) if valid.is_none() => match valid_at {
            Some(valid_at) if valid_at >= test_at => {
                Err(ParamError::new("valid_at", "the validation part would begin after the test part")
                    .help("give a time before `test_at`"))
            }
            valid => Ok(Cuts::At { valid, test: test_at }),
        },
        (None, Some(test)) if valid_at.is_none() => {
            let valid = valid.unwrap_or(0.0);
            shares(valid, test)?;
            Ok(Cuts::Shares { valid, test })
        }
        (test_at, test) if (test_at.is_some() || valid_at.is_some()) && (test.is_some() || valid.is_some()) => {
            Err(ParamError::new("", "`global_time` is given both times and shares")
                .help("keep either `test_at` and `valid_at`, or the shares `test` and `valid`"))
        }
        _ => Err(ParamError::new("", "`global_time` needs to know where time is cut").help(
            "give `test_at` and perhaps `valid_at`, in seconds since 1970, or the shares `test` and perhaps `valid`",
        )),
    }
}

fn tell(parts: &Parts, n_users: usize, context: &Context<'_>) {
    for (name, count) in [
        ("rows_train", parts.train),
        ("rows_valid", parts.valid),
        ("rows_test", parts.test),
        ("rows_dropped", parts.dropped),
        ("n_users", n_users),
        ("n_users_evaluated", parts.users_evaluated),
        ("n_users_short", parts.short_users),
        ("n_users_new", parts.new_users),
        ("n_users_tied", parts.tied_users),
        ("rows_test_cold_item", parts.cold_test),
    ] {
        context.fact(name, count);
    }
    if parts.dropped > 0 {
        let rows = parts.train + parts.valid + parts.test + parts.dropped;
        context.warn(format!(
            "{} of {rows} interactions are in no part: their users have too few, or none before the first cut",
            parts.dropped
        ));
    }
    if parts.tied_users > 0 {
        context.warn(format!(
            "{} of {n_users} users have interactions of the same time in two parts: the item ids decided which goes where",
            parts.tied_users
        ));
    }
}
