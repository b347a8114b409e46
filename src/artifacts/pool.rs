//! Pools of negatives: evaluation candidates, and optional training negatives.

use crate::artifacts::frames::{named, open, read};
use crate::artifacts::split::Split;
use crate::data::csr::Csr;
use crate::data::frame::{FrameMeta, ITEM, USER, dense_ids};
use crate::data::pool;
use crate::stage::{Artifact, ArtifactDir, Context, Fault, FileSpec, Result};

/// The file of evaluation candidates: `user_id` Int32, `item_id` List(Int32), ascending.
pub const EVAL: &str = "eval.parquet";
/// The file of training negatives: `user_id` Int32, `item_id` Int32, sorted.
pub const TRAIN: &str = "train.parquet";

/// The candidates that held-out positives are ranked against.
#[derive(Debug, Clone)]
pub struct Pool {
    lists: pool::Pool,
    ids_digest: Option<String>,
    /// Whether they were drawn here, where no training positive of their split is drawn; else they are published ones.
    drawn: bool,
}

/// The kind of the stage that draws pools.
pub const DRAWN: &str = "negative_pool";

/// The key of a footer whose value is the [`Split::ids_digest`] of the split that a pool was drawn for.
pub const IDS: &str = "ids";

impl Artifact for Pool {
    const KIND: &'static str = "pool";
    const FILES: &'static [FileSpec] = &[FileSpec::always(EVAL), FileSpec::maybe(TRAIN)];

    /// Reads the evaluation candidates; training negatives stay unread.
    fn load(dir: &ArtifactDir) -> Result<Self> {
        let file = open(dir, EVAL)?;
        let ids_digest = file.meta().extra.get(IDS).cloned();
        let drawn = file.meta().kind == DRAWN;
        let lists = pool::Pool::read(&file).map_err(|error| named(dir, EVAL, error))?;
        Ok(Self { lists, ids_digest, drawn })
    }
}

impl Pool {
    /// The candidates of a user, ascending; `None` for a user without a list. See [`pool::Pool`].
    pub fn candidates(&self, user: u32) -> Option<&[u32]> {
        self.lists.candidates(user)
    }

    /// Refuses a split that is not the one that the pool was drawn for: one of other ids, or one in whose training part,
    /// `train`, candidates of a user are positives. Of published candidates that are, it warns.
    ///
    /// # Errors
    /// When the pool was drawn for another split.
    pub fn check_split(&self, split: &Split, train: &Csr, context: &Context<'_>) -> Result<()> {
        self.check_ids(split)?;
        let (found, Some(first)) = self.lists.among(train) else { return Ok(()) };
        let all: usize = self.lists.rows().map(|(_, list)| list.len()).sum();
        let what = seen(found, all, "candidates", first, split)?;
        if self.drawn {
            return Err(Fault::data(format!("the pool was drawn for another split: {what}")).help(OWN_POOL));
        }
        context.warn(format!("{what}; they are ranked as if they were negatives"));
        Ok(())
    }

    /// Refuses a split whose ids are not those of the pool.
    ///
    /// # Errors
    /// When the pool was drawn for other data.
    pub fn check_ids(&self, split: &Split) -> Result<()> {
        let sizes = (u64::from(self.lists.n_users()), u64::from(self.lists.n_items()));
        check(sizes, self.ids_digest.as_deref(), split)
    }

    /// The training negatives, user by user; `None` for a pool without any. `train` is the training part of the split.
    ///
    /// # Errors
    /// When the file is damaged, or was drawn for another split: negatives are positives in the training part.
    pub fn training(dir: &ArtifactDir, split: &Split, train: &Csr) -> Result<Option<(Vec<u32>, Vec<u32>)>> {
        if !dir.has(TRAIN) {
            return Ok(None);
        }
        let (frame, meta) = read(dir, TRAIN, Some(&[USER, ITEM]))?;
        check((meta.n_users.unwrap_or(0), meta.n_items.unwrap_or(0)), meta.extra.get(IDS).map(String::as_str), split)?;
        let bound = |n: Option<u64>| n.map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let users = dense_ids(&frame, USER, bound(meta.n_users));
        let items = dense_ids(&frame, ITEM, bound(meta.n_items));
        let (users, items) = users.and_then(|users| Ok((users, items?))).map_err(|error| named(dir, TRAIN, error))?;
        let mut positives = users.iter().zip(&items).filter(|&(&user, &item)| train.contains(user, item));
        if let Some((&user, &item)) = positives.next() {
            let what = seen(1 + positives.count() as u64, users.len(), "training negatives", (user, item), split)?;
            return Err(Fault::data(format!("the pool was drawn for another split: {what}")).help(OWN_POOL));
        }
        Ok(Some((users, items)))
    }

    /// All lists and the numbers of users and items.
    pub fn lists(&self) -> &pool::Pool {
        &self.lists
    }

    /// The digest of the candidates: two results are comparable when theirs are equal.
    pub fn digest(dir: &ArtifactDir) -> Option<String> {
        dir.files.get(EVAL).map(|file| file.digest.clone())
    }

    /// Writes lists that were not drawn here, such as published ones.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(lists: &pool::Pool, meta: &FrameMeta, context: &Context<'_>) -> Result<()> {
        lists.write(context.create(EVAL)?, meta)?.finish()
    }
}

/// Dense ids say nothing by themselves: those of other data would be taken for these.
fn check((users, items): (u64, u64), ids: Option<&str>, split: &Split) -> Result<()> {
    let what = if (users, items) != (u64::from(split.n_users), u64::from(split.n_items)) {
        format!(
            "the pool is for {users} users and {items} items, and the split has {} and {}",
            split.n_users, split.n_items
        )
    } else if ids.is_some() && split.ids_digest().is_some_and(|own| ids != Some(&own)) {
        "the pool is for other users or items: its ids are not those of the split".to_owned()
    } else {
        return Ok(());
    };
    Err(Fault::data(what).help(OWN_POOL))
}

const OWN_POOL: &str = "connect the pool that was drawn for this split";

/// Says how many of a pool's negatives are positives in the training part, and which is the first.
fn seen(found: u64, all: usize, negatives: &str, (user, item): (u32, u32), split: &Split) -> Result<String> {
    let (user, item) = (split.user_table()?.show(user), split.item_table()?.show(item));
    Ok(format!(
        "{found} of its {all} {negatives} are positives of their user in the training part, first item {item} of user {user}"
    ))
}
