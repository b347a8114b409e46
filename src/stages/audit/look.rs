//! From the kernels' findings in dense ids to a report in raw ids.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::artifacts::audit::Problem;
use crate::artifacts::pool::Pool;
use crate::artifacts::raw::RawTable;
use crate::artifacts::split::Split;
use crate::data::audit::{
    self, Few, Finding, Leak, Timed, few_candidates, overlap, positives_among, without_candidates,
};
use crate::data::csr::Csr;
use crate::stage::Result;
use crate::stages::evaluate::{Mask, Part};

/// The parts of a split, in the order in which they are handed to kernels.
const PARTS: [&str; 3] = ["train", "valid", "test"];

/// What was found, and what could not be looked for.
pub(super) struct Looked {
    pub(super) problems: Vec<Problem>,
    pub(super) not_checked: BTreeMap<String, String>,
}

/// Looks for every kind of problem; the actions are left empty.
pub(super) fn look(split: &Split, pool: Option<&Pool>, on: Part, k: u32) -> Result<Looked> {
    let (train, valid, test) = (split.train.csr()?, split.valid.csr()?, split.test.csr()?);
    let names = Names { users: split.user_table()?, items: split.item_table()? };
    let mut looked = Looked { problems: Vec::new(), not_checked: BTreeMap::new() };

    let parts = [&train, &valid, &test];
    let shared = told(&overlap(&parts), |found| {
        let names_of = found.parts.map(|part| PARTS[part]);
        json!({"user": names.users.value(found.user), "item": names.items.value(found.item), "parts": names_of})
    });
    looked.add("overlap", "interactions are in two parts", shared);

    let ranked = if on == Part::Test { &test } else { &valid };
    let mask = if on == Part::Test { Mask::TrainValid } else { Mask::Train };
    if let Some(pool) = pool {
        pool.check_ids(split)?;
        let positives = told(&positives_among(pool.lists(), &parts), |found| {
            let part = PARTS[found.part];
            json!({"user": names.users.value(found.user), "item": names.items.value(found.item), "part": part})
        });
        looked.add("pool_positives", "candidates are positives of their user", positives);
        let missing = without_candidates(pool.lists(), ranked);
        let missing = told(&missing, |user| json!({"user": names.users.value(*user)}));
        looked.add("pool_missing", "users are to be ranked and have no candidates", missing);
    }
    let candidates = |user: u32| match pool {
        // Evaluation leaves out held-out positives; the one that is ranked is a candidate, too.
        Some(pool) => pool.candidates(user).map(|list| {
            let negatives = list.iter().filter(|&&item| !ranked.contains(user, item));
            negatives.count() as u64 + 1
        }),
        None => Some(unmasked(split.n_items, &mask.of(&train, &valid), user)),
    };
    let few = told(
        &few_candidates(ranked, u64::from(k), candidates),
        |few: &Few| json!({"user": names.users.value(few.user), "candidates": few.candidates}),
    );
    looked.add("few_candidates", &format!("users have {k} candidates or fewer, all of which a list of {k} holds"), few);

    looked.times(split, &names)?;
    Ok(looked)
}

impl Looked {
    fn add(&mut self, problem: &str, about: &str, (count, users, examples): Told) {
        let (problem, about) = (problem.to_owned(), about.to_owned());
        self.problems.push(Problem { problem, about, action: String::new(), count, users, examples });
    }

    fn times(&mut self, split: &Split, names: &Names) -> Result<()> {
        let [Some(train), Some(valid), Some(test)] = split.times()? else {
            for problem in ["user_future", "global_future", "timestamp_ties"] {
                self.not_checked.insert(problem.to_owned(), "the split has no times".to_owned());
            }
            return Ok(());
        };
        let train = Timed { users: &split.train.users, items: &split.train.items, times: &train };
        let valid = Timed { users: &split.valid.users, items: &split.valid.items, times: &valid };
        let test = Timed { users: &split.test.users, items: &split.test.items, times: &test };
        let found = audit::times(split.n_users, train, valid, test);
        let leak = |leak: &Leak| names.leak(leak);
        let about = "training interactions are later than the user's first held-out one";
        self.add("user_future", about, told(&found.of_user, leak));
        let about = "training interactions are later than the first test interaction of all users";
        self.add("global_future", about, told(&found.of_anybody, leak));
        let about = "training interactions have the time of the user's first held-out one";
        self.add("timestamp_ties", about, told(&found.ties, leak));
        Ok(())
    }
}

/// How often, with how many users, and the first few in raw ids.
type Told = (u64, u64, Vec<Value>);

fn told<E>(found: &Finding<E>, tell: impl Fn(&E) -> Value) -> Told {
    (found.count, found.users, found.examples.iter().map(tell).collect())
}

/// From dense ids to raw ones.
struct Names {
    users: RawTable,
    items: RawTable,
}

impl Names {
    fn leak(&self, leak: &Leak) -> Value {
        json!({
            "user": self.users.value(leak.trained.user),
            "item": self.items.value(leak.trained.item),
            "time": leak.trained.time,
            "held_out_user": self.users.value(leak.held_out.user),
            "held_out_item": self.items.value(leak.held_out.item),
            "held_out_time": leak.held_out.time,
        })
    }
}

/// How many items full ranking leaves for a user.
fn unmasked(n_items: u32, masks: &[&Csr], user: u32) -> u64 {
    let mut masked: Vec<u32> = masks.iter().flat_map(|mask| mask.row(user)).copied().collect();
    masked.sort_unstable();
    masked.dedup();
    u64::from(n_items) - masked.len() as u64
}
