//! The stage `evaluate`: ranks held-out interactions with a trained model.

mod report;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::metrics::{Metrics, OF_LISTS, OF_POPULARITY, UserCounts};
use crate::artifacts::model::Model;
use crate::artifacts::pool::Pool;
use crate::artifacts::split::Split;
use crate::data::csr::Csr;
use crate::eval::{self, Audience, Candidates, Counts, Evaluation, Fame, Place, Popularity, Ranked, Task, Watch};
use crate::metric::{Measure, Metric};
use crate::model::AnyModel;
use crate::model::scorer::Scorer;
use crate::stage::{Connections, Context, Fault, Measures, Output, ParamError, Port, Result, Stage};
use crate::stages::device::Gpu;
use crate::stages::evaluate::report::Found;

/// What `metrics.json` says about ties.
pub(super) const TIE_RULE: &str = "expected value over uniformly random orders of equal scores";

/// Ranks held-out interactions with a trained model: against a fixed pool of sampled candidates, against all items,
/// or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluate {
    /// The part of the split that is ranked.
    on: Part,
    /// Whether to rank against all items also when a pool is connected. Without a pool this is done in any case.
    full: bool,
    /// What full ranking masks. By default all that was known when the held-out part was: training items, and
    /// validation items when testing.
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<Mask>,
    /// What to compute. `mrr`, `map` and `auc` are also, or only, given for the whole ranking.
    metrics: Vec<Metric>,
    /// The lengths of the recommended list. Full ranking also says of the lists of each length, all users together, how
    /// they cover the catalogue and how popular what they recommend is.
    #[schemars(inner(range(min = 1)))]
    k: Vec<usize>,
    /// Whether to give the same metrics for recommending to everybody what is popular in training.
    popularity_baseline: bool,
}

/// A held-out part of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    /// The test part.
    Test,
    /// The validation part.
    Valid,
}

/// Items of a user that are no candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mask {
    /// No items.
    None,
    /// The training items.
    Train,
    /// The training and validation items.
    TrainValid,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Valid => "valid",
        }
    }
}

impl Mask {
    /// What is masked.
    pub(super) fn of<'a>(self, train: &'a Csr, valid: &'a Csr) -> Vec<&'a Csr> {
        match self {
            Self::None => Vec::new(),
            Self::Train => vec![train],
            Self::TrainValid => vec![train, valid],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Train => "train",
            Self::TrainValid => "train_valid",
        }
    }
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            on: Part::Test,
            full: false,
            mask: None,
            metrics: vec![Metric::Hr, Metric::Ndcg, Metric::Recall, Metric::Mrr, Metric::Auc],
            k: vec![5, 10, 20],
            popularity_baseline: true,
        }
    }
}

impl Evaluate {
    fn mask(&self) -> Mask {
        self.mask.unwrap_or(match self.on {
            Part::Test => Mask::TrainValid,
            Part::Valid => Mask::Train,
        })
    }

    fn measures(&self) -> Vec<Measure> {
        let lengths: Vec<NonZeroUsize> = self.k.iter().copied().filter_map(NonZeroUsize::new).collect();
        Measure::of_all(&self.metrics, &lengths)
    }
}

impl Stage for Evaluate {
    const KIND: &'static str = "evaluate";
    const ABOUT: &'static str = "ranks held-out interactions with a trained model";
    const CHANGES: &'static [&'static str] = &[
        "first version",
        "coverage, Gini index and popularity of the lists of full ranking",
        "the digest of the table of users",
        "the digest of users, by their raw ids",
    ];
    const INPUTS: &'static [Port] =
        &[Port::one::<Model>("model"), Port::one::<Split>("split"), Port::optional::<Pool>("pool")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Metrics>("metrics")];

    fn normalise(mut self) -> Result<Self, ParamError> {
        if self.k.contains(&0) {
            return Err(ParamError::new("k", "a list of length 0 recommends nothing").help("give lengths from 1 on"));
        }
        if self.metrics.is_empty() {
            return Err(ParamError::new("metrics", "there is no metric to compute").help("try `metrics: [hr, ndcg]`"));
        }
        if self.k.is_empty() && self.metrics.iter().any(|metric| metric.has_cut()) {
            return Err(ParamError::new("k", "there is no length to compute the metrics at").help("try `k: [10]`"));
        }
        self.mask = Some(self.mask());
        if self.on == Part::Valid && self.mask == Some(Mask::TrainValid) {
            return Err(ParamError::new("mask", "`train_valid` would mask the items that `on: valid` ranks")
                .help("use `mask: train`"));
        }
        // The order in which they are asked for makes no difference, so it must make none to the key.
        self.k.sort_unstable();
        self.k.dedup();
        self.metrics.sort_unstable();
        self.metrics.dedup();
        Ok(self)
    }

    fn measures(&self, connected: Connections<'_>) -> Option<Measures> {
        let is_sampled = connected().iter().any(|input| input.port == "pool");
        let of_users = || self.measures().into_iter().map(|measure| measure.name());
        let of_lists = || OF_LISTS.iter().flat_map(|name| self.k.iter().map(move |k| format!("{name}@{k}")));
        let with_baseline = |names: Vec<String>| {
            let baseline =
                names.iter().filter(|_| self.popularity_baseline).map(|name| format!("{OF_POPULARITY}{name}"));
            baseline.chain(names.iter().cloned()).collect()
        };
        let sampled = is_sampled.then(|| ("sampled".to_owned(), with_baseline(of_users().collect())));
        let full = (self.full || !is_sampled)
            .then(|| ("full".to_owned(), with_baseline(of_users().chain(of_lists()).collect())));
        Some(sampled.into_iter().chain(full).collect())
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let model: Model = context.input("model")?;
        let split: Split = context.input("split")?;
        model.check_split(&split)?;
        let pool: Option<Pool> = context.optional("pool")?;
        let train = split.train.csr()?;
        pool.as_ref().map_or(Ok(()), |pool| pool.check_split(&split, &train, context))?;
        let valid = split.valid.csr()?;
        let test = split.test.csr()?;
        let positives = if self.on == Part::Test { &test } else { &valid };
        let masks = self.mask().of(&train, &valid);
        let lists = pool.as_ref().map(|pool| |user: u32| pool.candidates(user));
        let measures = self.measures();
        let fame = Fame::new(u64::from(split.n_users), train.item_counts());
        let task = Task {
            positives,
            sampled: lists.as_ref().map(|lists| lists as &Candidates<'_>),
            full: (self.full || pool.is_none()).then_some(&masks),
            measures: &measures,
            audience: Some(Audience { lengths: &self.k, fame: &fame, train: &train }),
        };
        let counts = Counts::of(positives, &train);
        let rounds = 1 + u64::from(self.popularity_baseline);
        context.progress().start(Some(rounds * counts.evaluated as u64), "users");
        let evaluation = match on_gpu(&model, &task, &split, context)? {
            Some(evaluation) => evaluation,
            None => evaluate(model.scorer(&train)?.as_ref(), &task, &split, context)?,
        };
        let popularity = self
            .popularity_baseline
            .then(|| evaluate(&Popularity::new(counts.users, &train.item_counts()), &task, &split, context))
            .transpose()?;
        let found = Found {
            measures: &measures,
            lengths: &self.k,
            model: &evaluation,
            popularity: popularity.as_ref(),
            mask: self.mask().name(),
        };
        for warning in found.warnings() {
            context.warn(warning);
        }
        if model.chosen_on.as_deref() == Some(self.on.name()) {
            context.warn(format!(
                "the epoch of the model was chosen on the {} part, which judges it here: the figures are better than for \
                 new data",
                self.on.name()
            ));
        }
        if model.begun_on.is_some() {
            context.warn(
                "the model began with one that was trained on other rows than this split's training part: if what is held out \
                 here is among them, the figures are better than for new data",
            );
        }
        let metrics = Metrics {
            on: self.on.name().to_owned(),
            protocols: found.protocols(),
            counts: user_counts(counts),
            tie_rule: TIE_RULE.to_owned(),
            pool_digest: context.inputs("pool").first().and_then(|pool| Pool::digest(&pool.dir)),
            users_digest: Some(split.users_digest()?),
            chosen_on: model.chosen_on.clone(),
        };
        metrics.write(found.per_user(positives), Self::KIND, context)
    }
}

/// The error with raw ids, which are those that a user knows.
pub(super) fn told(error: &eval::Error, split: &Split) -> Fault {
    let user = |id: u32| split.user_table().map_or_else(|_| id.to_string(), |table| table.show(id));
    let item = |id: u32| split.item_table().map_or_else(|_| id.to_string(), |table| table.show(id));
    Fault { message: error.naming(&user, &item), ..Fault::from(error.clone()) }
}

fn evaluate(scorer: &dyn Scorer, task: &Task<'_>, split: &Split, context: &Context<'_>) -> Result<Evaluation> {
    let progress = context.progress();
    let watch = Watch { advance: &|users| progress.advance(users), stop: &|| context.cancel().is_cancelled() };
    eval::evaluate(scorer, task, &watch).map_err(|error| told(&error, split))
}

/// The evaluation on the GPU of the run, if it has one that can do it; else says why not.
fn on_gpu(model: &Model, task: &Task<'_>, split: &Split, context: &Context<'_>) -> Result<Option<Evaluation>> {
    let Some(gpu) = Gpu::of(context) else { return Ok(None) };
    let tower = match &model.config.model {
        AnyModel::Trained(model) => model.tower(),
        AnyModel::Fitted(_) | AnyModel::Colliding(_) => None,
    };
    let place = match &tower {
        Some(tower) => {
            let progress = context.progress();
            let watch = Watch { advance: &|users| progress.advance(users), stop: &|| context.cancel().is_cancelled() };
            let ranked = Ranked { tower, catalogue: model.config.catalogue(), weights: &model.weights };
            eval::evaluate_on(&gpu.offer(), ranked, task, &watch).map_err(|error| told(&error, split))?
        }
        None => Place::Processor(format!("the GPU's kernels do not know {}", model.config.model.name())),
    };
    match place {
        Place::Gpu(name, evaluation) => {
            gpu.note(&name, context);
            Ok(Some(*evaluation))
        }
        Place::Processor(reason) => {
            tracing::info!("ranks on the processor: {reason}");
            context.fact("not_on_gpu", reason);
            Ok(None)
        }
    }
}

pub(super) fn user_counts(counts: Counts) -> UserCounts {
    UserCounts {
        users: counts.users,
        items: counts.items,
        evaluated: counts.evaluated,
        without_positive: counts.without_positive,
        positives: counts.positives,
        cold_users: counts.cold_users,
        cold_items: counts.cold_items,
        cold_positives: counts.cold_positives,
    }
}
