//! The stage `recommend`: the best items of each user.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::model::Model;
use crate::artifacts::recommendations::Recommendations;
use crate::artifacts::split::Split;
use crate::data::csr::Csr;
use crate::data::frame::FrameMeta;
use crate::data::lists::users_at_once;
use crate::eval::{self, Wanted, Watch};
use crate::stage::{Context, Output, ParamError, Port, Result, Stage};
use crate::stages::evaluate::Mask;

/// Recommends to each user the items with the greatest scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Recommend {
    /// How long the lists are.
    #[schemars(range(min = 1))]
    k: usize,
    /// What is not recommended to a user. By default what the user has, but for the test part: a test item may be
    /// recommended, which is what is tested.
    exclude: Mask,
    /// Who gets a list.
    users: Users,
}

/// Who gets a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Users {
    /// Everybody.
    All,
    /// Those with a test interaction.
    Test,
    /// Those with a validation interaction.
    Valid,
}

impl Default for Recommend {
    fn default() -> Self {
        Self { k: 10, exclude: Mask::TrainValid, users: Users::All }
    }
}

impl Stage for Recommend {
    const KIND: &'static str = "recommend";
    const ABOUT: &'static str = "recommends to each user the items with the greatest scores";
    const CHANGES: &'static [&'static str] = &["first version", "the scores of popularity are its counts"];
    const INPUTS: &'static [Port] = &[Port::one::<Model>("model"), Port::one::<Split>("split")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Recommendations>("recommendations")];

    fn normalise(self) -> Result<Self, ParamError> {
        if self.k == 0 {
            return Err(ParamError::new("k", "a list of length 0 recommends nothing").help("give a length from 1 on"));
        }
        Ok(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let model: Model = context.input("model")?;
        let split: Split = context.input("split")?;
        model.check_split(&split)?;
        let (train, valid) = (split.train.csr()?, split.valid.csr()?);
        let scorer = model.scorer(&train)?;
        check_shape("users", scorer.n_users(), split.n_users)?;
        check_shape("items", scorer.n_items(), split.n_items)?;
        let users: Vec<u32> = match self.users {
            Users::All => (0..split.n_users).collect(),
            Users::Test => with_items(&split.test.csr()?),
            Users::Valid => with_items(&valid),
        };
        let masks = self.exclude.of(&train, &valid);
        let wanted = Wanted { k: self.k, masks: &masks };
        context.progress().start(Some(users.len() as u64), "users");
        let progress = context.progress();
        let watch = Watch { advance: &|users| progress.advance(users), stop: &|| context.cancel().is_cancelled() };
        let mut meta = FrameMeta::of(Self::KIND).sized(split.n_users as usize, split.n_items as usize);
        meta.extra.insert("k".to_owned(), self.k.to_string());
        meta.extra.insert("exclude".to_owned(), self.exclude.name().to_owned());

        let mut pieces = users.chunks(users_at_once(self.k.min(split.n_items as usize)));
        let mut rows = 0_u64;
        let mut short = 0;
        Recommendations::write(&split, &meta, context, || {
            let Some(users) = pieces.next() else { return Ok(None) };
            let lists = eval::recommend(scorer.as_ref(), users, wanted, &watch)?;
            let whole = lists.ranks.iter().filter(|rank| **rank as usize == self.k).count();
            rows += lists.users.len() as u64;
            short += users.len() - whole;
            Ok(Some(vec![lists]))
        })?;
        context.fact("users", users.len());
        context.fact("rows", rows);
        context.fact("short_users", short);
        if users.is_empty() {
            context.warn("nobody is to get a list: the part of the split that `users` names is empty");
        }
        if short > 0 {
            context.warn(format!(
                "{short} of {} users have fewer than {} items left and get a shorter list, or none",
                users.len(),
                self.k
            ));
        }
        Ok(())
    }
}

/// Refuses a model of other users or items than those of the split.
pub(super) fn check_shape(what: &'static str, model: usize, data: u32) -> Result<()> {
    let data = data as usize;
    if model == data { Ok(()) } else { Err(eval::Error::Shape { what, model, data }.into()) }
}

fn with_items(part: &Csr) -> Vec<u32> {
    (0..part.n_users()).filter(|&user| !part.row(user).is_empty()).collect()
}

#[cfg(test)]
mod tests;
