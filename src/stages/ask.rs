//! Questions to a trained model about one user, in raw ids: what the commands `recommend` and `predict` answer.

use serde::Serialize;
use serde_json::Value;

use crate::artifacts::model::Model;
use crate::artifacts::raw::RawTable;
use crate::artifacts::split::Split;
use crate::data::csr::Csr;
use crate::data::frame::printable;
use crate::data::lists::ListRows;
use crate::eval::{self, Wanted, Watch};
use crate::model::scorer::Scorer;
use crate::stage::{Artifact, ArtifactDir, Fault, Result};
use crate::stages::recommend::check_shape;

/// A trained model, and the split that it was trained on.
pub struct Trained {
    scorer: Box<dyn Scorer + Send + Sync>,
    train: Csr,
    valid: Csr,
    test: Csr,
    users: RawTable,
    items: RawTable,
}

/// The answer to "what would this user like?".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommended {
    /// The raw id of the user.
    pub user: Value,
    /// The dense id.
    pub user_id: u32,
    /// How many items the user has in training; without any, the model has learnt nothing about the user.
    pub train_items: usize,
    /// The items, the best first.
    pub items: Vec<RecommendedItem>,
}

/// A recommended item.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecommendedItem {
    /// Its place, from 1.
    pub rank: usize,
    /// The raw id.
    pub item: Value,
    /// The dense id.
    pub item_id: u32,
    /// What the model gives it: the greater, the better. A logit for models that are trained with one.
    pub score: f32,
    /// The part of the split in which the user has the item: `train`, `valid` or `test`.
    pub part: Option<&'static str>,
}

/// The answer to "would this user like this item?".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Predicted {
    /// The raw id of the user.
    pub user: Value,
    /// The dense id.
    pub user_id: u32,
    /// How many items the user has in training.
    pub train_items: usize,
    /// The raw id of the item.
    pub item: Value,
    /// The dense id.
    pub item_id: u32,
    /// What the model gives the pair: the greater, the better. A logit for models that are trained with one.
    pub score: f32,
    /// The part of the split in which the user has the item: `train`, `valid` or `test`.
    pub part: Option<&'static str>,
    /// The place, from 1, among this item and all those that the user has neither in training nor in validation.
    pub rank: usize,
    /// How many items these are.
    pub candidates: usize,
}

impl Trained {
    /// Reads the model and its split.
    ///
    /// # Errors
    /// When a file is damaged, or the model was trained on another split.
    pub fn load(model: &ArtifactDir, split: &ArtifactDir) -> Result<Self> {
        let (model, split) = (Model::load(model)?, Split::load(split)?);
        model.check_split(&split)?;
        let train = split.train.csr()?;
        let scorer = model.scorer(&train)?;
        check_shape("users", scorer.n_users(), split.n_users)?;
        check_shape("items", scorer.n_items(), split.n_items)?;
        let (valid, test) = (split.valid.csr()?, split.test.csr()?);
        Ok(Self { scorer, train, valid, test, users: split.user_table()?, items: split.item_table()? })
    }

    /// The `k` best items for a user, without what the user has in training and validation unless `include_seen`.
    ///
    /// # Errors
    /// When there is no such user, or the model gives no usable score.
    pub fn recommend(&self, user: &str, k: usize, include_seen: bool) -> Result<Recommended> {
        let id = self.user(user)?;
        let seen = [&self.train, &self.valid];
        let rows = self.ranked(id, k, if include_seen { &[] } else { &seen })?;
        let listed = rows.ranks.iter().zip(&rows.items).zip(&rows.scores);
        let items = listed.map(|((rank, item), score)| RecommendedItem {
            rank: *rank as usize,
            item: self.items.value(*item),
            item_id: *item,
            score: *score,
            part: self.part(id, *item),
        });
        let items = items.collect();
        Ok(Recommended { user: self.users.value(id), user_id: id, train_items: self.train.row(id).len(), items })
    }

    /// The score of a pair, and the place of the item among those that `recommend` would choose from.
    ///
    /// # Errors
    /// When there is no such user or item, or the model gives no usable score.
    pub fn predict(&self, user: &str, item: &str) -> Result<Predicted> {
        let user_id = self.user(user)?;
        let item_id = self.items.find(item).ok_or_else(|| unknown("item", item, &self.items))?;
        let mut place = None;
        let mut above = 0;
        let mut seen_above = 0;
        let all = self.ranked(user_id, self.items.len(), &[])?;
        for (other, score) in all.items.iter().zip(&all.scores) {
            if *other == item_id {
                (place, seen_above) = (Some(*score), above);
            } else if !self.seen(user_id, *other) {
                above += 1;
            }
        }
        let score = place.ok_or_else(|| Fault::failed(format!("the model gives item `{item}` no score")))?;
        Ok(Predicted {
            user: self.users.value(user_id),
            user_id,
            train_items: self.train.row(user_id).len(),
            item: self.items.value(item_id),
            item_id,
            score,
            part: self.part(user_id, item_id),
            rank: seen_above + 1,
            candidates: above + 1,
        })
    }

    fn user(&self, user: &str) -> Result<u32> {
        self.users.find(user).ok_or_else(|| unknown("user", user, &self.users))
    }

    fn ranked(&self, user: u32, k: usize, masks: &[&Csr]) -> Result<ListRows> {
        let watch = Watch { advance: &|_| (), stop: &|| false };
        Ok(eval::recommend(self.scorer.as_ref(), &[user], Wanted { k, masks }, &watch)?)
    }

    fn seen(&self, user: u32, item: u32) -> bool {
        self.train.contains(user, item) || self.valid.contains(user, item)
    }

    fn part(&self, user: u32, item: u32) -> Option<&'static str> {
        let parts = [("train", &self.train), ("valid", &self.valid), ("test", &self.test)];
        parts.into_iter().find(|(_, part)| part.contains(user, item)).map(|(name, _)| name)
    }
}

fn unknown(what: &str, id: &str, table: &RawTable) -> Fault {
    Fault::data(format!("there is no {what} `{}` in the split that the model was trained on", printable(id))).help(
        format!(
            "give the id as the data has it, {}; `{what}s.parquet` of the split lists all {} (filters may have dropped \
             others)",
            table.examples(),
            table.len()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Class;
    use crate::stages::tests::Bench;

    /// The score of item `i` is `4 · scores[i] + 2` for everybody.
    fn trained(scores: [f32; 5]) -> Trained {
        let mut bench = Bench::with_split();
        bench.model(scores);
        Trained::load(bench.dir("model"), bench.dir("split")).unwrap()
    }

    fn items(recommended: &Recommended) -> Vec<(Value, f32, Option<&'static str>)> {
        recommended.items.iter().map(|item| (item.item.clone(), item.score, item.part)).collect()
    }

    #[test]
    fn raw_ids_come_in_and_go_out() {
        let trained = trained([0.0, 1.0, 2.0, 3.0, 4.0]);
        let found = trained.recommend("100", 10, false).unwrap();
        assert_eq!((&found.user, found.user_id, found.train_items), (&Value::from(100), 0, 2));
        // User 100 has a and b in training, c in validation, d in test.
        assert_eq!(items(&found), [("e".into(), 18.0, None), ("d".into(), 14.0, Some("test"))]);
        let found = trained.recommend("100", 3, true).unwrap();
        let expected = [("e".into(), 18.0, None), ("d".into(), 14.0, Some("test")), ("c".into(), 10.0, Some("valid"))];
        assert_eq!(items(&found), expected);
        assert_eq!(found.items[2].rank, 3);
    }

    #[test]
    fn a_pair_has_a_score_and_a_place_among_what_the_user_does_not_have() {
        let trained = trained([4.0, 1.0, 2.0, 2.0, 3.0]);
        let found = trained.predict("100", "d").unwrap();
        assert_eq!((found.score, found.part, found.rank, found.candidates), (10.0, Some("test"), 2, 2));
        // Seen itself, `a` still has a place: before e and d.
        let found = trained.predict("100", "a").unwrap();
        assert_eq!((found.score, found.part, found.rank, found.candidates), (18.0, Some("train"), 1, 3));
        // c and d are tied, and stand in the order of their ids.
        assert_eq!(trained.predict("102", "c").unwrap().rank, 3);
        assert_eq!(trained.predict("102", "d").unwrap().rank, 4);
        let listed = trained.recommend("102", 10, false).unwrap();
        assert_eq!((&listed.items[3].item, listed.items[3].rank), (&Value::from("d"), 4));
    }

    #[test]
    fn unknown_ids_are_errors_that_say_what_ids_look_like() {
        let trained = trained([0.0; 5]);
        let error = trained.recommend("7", 10, false).unwrap_err();
        assert_eq!(error.class, Class::Data);
        assert_eq!(error.message, "there is no user `7` in the split that the model was trained on");
        assert!(error.help.unwrap().contains("such as `100`, `101`, `102`; `users.parquet` of the split lists all 3"));
        let error = trained.predict("100", "z").unwrap_err();
        assert_eq!(error.message, "there is no item `z` in the split that the model was trained on");
    }
}
