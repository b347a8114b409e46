//! The stage `colliding_inference`: lets a model predict together with similar users.

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::model::{History, Model};
use crate::artifacts::split::Split;
use crate::eval::{self, similar_users};
use crate::fit::{self, similar_users as users_with_the_same};
use crate::model::{AnyModel, Average, Catalogue, Colliding, Config, Refused};
use crate::stage::{Context, Fault, Output, ParamError, Port, Result, Stage};

/// Mixes the predictions of a model with those for the users who are most similar in extra feedback (Wang et al. 2021).
/// Who is similar says `feedback`, by the cosine of the sets of items in its training part; or `vectors`, a model of extra
/// feedback, by the cosine of what it has learnt of users; or both: `vectors`, among users who have any `feedback`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CollidingInference {
    /// How many neighbours a user has at most; only users with a similarity above 0 are neighbours, and who has none
    /// keeps the prediction of the model. The paper tries 1 to 100.
    #[schemars(range(min = 1, max = 65_536))]
    neighbours: u32,
    /// λ, what the mean over the neighbours counts, from 0 to 1; the model's own prediction counts the rest.
    #[schemars(range(min = 0.0, max = 1.0))]
    weight: f64,
    /// What is averaged: `scores` for models whose scores are no logits.
    average: Average,
}

impl Default for CollidingInference {
    fn default() -> Self {
        Self { neighbours: 20, weight: 0.5, average: Average::Probabilities }
    }
}

impl CollidingInference {
    fn colliding(&self, model: &AnyModel) -> Colliding {
        let model = Box::new(model.clone());
        Colliding { model, neighbours: self.neighbours, weight: self.weight, average: self.average }
    }
}

impl Stage for CollidingInference {
    const KIND: &'static str = "colliding_inference";
    const ABOUT: &'static str = "lets a model predict together with similar users";
    const CHANGES: &'static [&'static str] = &["first version"];
    const INPUTS: &'static [Port] =
        &[Port::one::<Model>("model"), Port::optional::<Split>("feedback"), Port::optional::<Model>("vectors")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Model>("model")];

    fn normalise(self) -> Result<Self, ParamError> {
        if !(1..=65_536).contains(&self.neighbours) {
            return Err(ParamError::new("neighbours", format!("{} is not from 1 to 65536", self.neighbours)));
        }
        if !(0.0..=1.0).contains(&self.weight) {
            return Err(ParamError::new("weight", format!("{} is not from 0 to 1", self.weight))
                .help("0 is the model alone, 1 its neighbours alone"));
        }
        Ok(self)
    }

    fn check_inputs(&self, connected: &[&str]) -> Result<(), ParamError> {
        if connected.iter().any(|port| matches!(*port, "feedback" | "vectors")) {
            return Ok(());
        }
        Err(ParamError::new("neighbours", "nothing says which users are similar")
            .help("connect a split as `feedback`, a model as `vectors`, or both"))
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let model: Model = context.input("model")?;
        let (feedback, vectors) = (context.optional::<Split>("feedback")?, context.optional::<Model>("vectors")?);
        let mut colliding = AnyModel::Colliding(self.colliding(&model.config.model));
        colliding.normalise().map_err(|Refused { field, message }| {
            let help = match field {
                "average" => "set `average: scores`",
                "model" => "connect the model that it was made of",
                _ => "give a value in that range",
            };
            Fault::data(format!("`{field}` {message}")).help(help)
        })?;
        let Config { n_users, n_items, .. } = model.config;
        check_same(&model, feedback.as_ref(), vectors.as_ref())?;
        let neighbours = match (&feedback, &vectors) {
            (_, Some(vectors)) => self.by_vectors(vectors, feedback.as_ref(), context)?,
            (Some(feedback), None) => self.by_feedback(feedback, context)?,
            (None, None) => vec![Vec::new(); n_users as usize],
        };
        tell(&neighbours, context);
        let catalogue = Catalogue { n_users, n_items };
        let mixed = self.colliding(&model.config.model);
        let width = mixed.width(catalogue);
        let filled = |list: Vec<u32>| {
            let ids = list.into_iter().map(|user| user as i32);
            ids.chain(std::iter::repeat(-1)).take(width)
        };
        let lists = neighbours.into_iter().flat_map(filled).collect();
        let weights = mixed.weights(catalogue, &model.weights, lists)?;
        let config = Config { model: colliding, n_users, n_items };
        Model { config, weights, ..model }.write(History::default(), Self::KIND, context)
    }
}

impl CollidingInference {
    fn by_feedback(&self, feedback: &Split, context: &Context<'_>) -> Result<Vec<Vec<u32>>> {
        let progress = context.progress();
        let watch = fit::Watch {
            start: &|total, _| progress.start(Some(total), "users"),
            advance: &|done| progress.advance(done),
            cancelled: &|| context.cancel().is_cancelled(),
            saves: &|| 0,
            scratch: None,
        };
        Ok(users_with_the_same(&feedback.train.csr()?, self.neighbours, watch)?)
    }

    fn by_vectors(&self, vectors: &Model, feedback: Option<&Split>, context: &Context<'_>) -> Result<Vec<Vec<u32>>> {
        let Some(learnt) = vectors.config.model.user_vectors(&vectors.weights)? else {
            let name = vectors.config.model.name();
            return Err(Fault::data(format!("{name} has no vectors of users"))
                .help("connect a model with embeddings as `vectors`, such as `gmf` or `ials`, or only `feedback`"));
        };
        let n_users = vectors.config.n_users;
        let users: Vec<u32> = match feedback {
            None => (0..n_users).collect(),
            Some(feedback) => {
                let has = feedback.train.csr()?;
                (0..n_users).filter(|user| !has.row(*user).is_empty()).collect()
            }
        };
        let progress = context.progress();
        progress.start(Some(users.len() as u64), "users");
        let watch =
            eval::Watch { advance: &|users| progress.advance(users), stop: &|| context.cancel().is_cancelled() };
        Ok(similar_users(&learnt, n_users, &users, self.neighbours, &watch)?)
    }
}

/// Refuses feedback and vectors of other ids, or that may have seen what is held out from the model.
fn check_same(model: &Model, feedback: Option<&Split>, vectors: Option<&Model>) -> Result<()> {
    let size = (model.config.n_users, model.config.n_items);
    let sizes = [
        ("feedback", feedback.map(|split| (split.n_users, split.n_items))),
        ("vectors", vectors.map(|model| (model.config.n_users, model.config.n_items))),
    ];
    if let Some((port, _)) = sizes.iter().find(|(_, other)| other.is_some_and(|other| other != size)) {
        return Err(Fault::data(format!(
            "what is connected as `{port}` has other numbers of users or items than the model"
        ))
        .help("make it of the split that the model was trained on, with `extra_feedback`"));
    }
    if let Some(feedback) = feedback {
        model.check_split(feedback)?;
    }
    match (vectors.and_then(|vectors| vectors.trained_on.as_ref()), &model.trained_on) {
        (Some(other), Some(own)) if other != own => {
            Err(Fault::data("the models connected as `model` and `vectors` were trained on other rows")
                .help("train both on one split, or on a part of it by `extra_feedback`"))
        }
        _ => Ok(()),
    }
}

/// Notes how many neighbours there are.
fn tell(neighbours: &[Vec<u32>], context: &Context<'_>) {
    let (users, all) = (neighbours.len(), neighbours.iter().map(Vec::len).sum::<usize>());
    let without = neighbours.iter().filter(|list| list.is_empty()).count();
    context.fact("users_without_neighbours", without);
    context.fact("mean_neighbours", all as f64 / users.max(1) as f64);
    if without > 0 {
        context.warn(format!("{without} of {users} users have no neighbours and keep the prediction of the model"));
    }
}
