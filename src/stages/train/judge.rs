//! Validation by a metric: what a model is worth in between.

use crate::artifacts::model::Trained;
use crate::artifacts::pool::Pool;
use crate::artifacts::split::{Pairs as Rows, Split};
use crate::data::csr::Csr;
use crate::eval::{self, Candidates, Ranked, Task};
use crate::metric::Measure;
use crate::model::scorer::Scorer;
use crate::model::{Catalogue, Weights};
use crate::stage::{Context, Fault, Result};
use crate::stages::evaluate::told;
use crate::train::{Criterion, OnDevice, Part, Recipe};

/// Says what a model is worth in between.
pub(super) struct Judge<'a> {
    recipe: &'a Recipe,
    split: &'a Split,
    /// What it is judged by.
    pub(super) part: &'a Rows,
    positives: Csr,
    pub(super) train: Csr,
    /// The rest of what was known at the time of the part.
    known: Option<Csr>,
    candidates: Option<Pool>,
    measures: Vec<Measure>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(recipe: &'a Recipe, split: &'a Split, context: &Context<'_>) -> Result<Self> {
        let rules = &recipe.validation;
        let (part, known) = match rules.on {
            Part::Valid => (&split.valid, None),
            Part::Test => (&split.test, Some(split.valid.csr()?)),
        };
        let train = split.train.csr()?;
        // The loss has negatives of its own.
        let (measures, candidates) = match &rules.metric {
            Criterion::Metric(name) => {
                let candidates: Option<Pool> = context.optional("candidates")?;
                candidates.as_ref().map_or(Ok(()), |pool| pool.check_split(split, &train, context))?;
                (Measure::parse(name).into_iter().collect(), candidates)
            }
            Criterion::Loss => (Vec::new(), None),
        };
        Ok(Self { recipe, split, part, positives: part.csr()?, train, known, candidates, measures })
    }

    /// The part's positives, ranked among the candidates that are connected, or among all items that were not known.
    pub(super) fn task<T>(&self, work: impl FnOnce(&Task<'_>) -> T) -> T {
        let masks: Vec<&Csr> = std::iter::once(&self.train).chain(&self.known).collect();
        let lists = self.candidates.as_ref().map(|pool| |user: u32| pool.candidates(user));
        work(&Task {
            positives: &self.positives,
            sampled: lists.as_ref().map(|lists| lists as &Candidates<'_>),
            full: lists.is_none().then_some(&masks),
            measures: &self.measures,
            audience: None,
        })
    }

    /// The mean of the metric by which validation goes.
    pub(super) fn value(&self, weights: &Weights, on: Option<&OnDevice>, context: &Context<'_>) -> Result<f64> {
        let Criterion::Metric(name) = &self.recipe.validation.metric else { return Ok(0.0) };
        let watch = eval::Watch { advance: &|_| (), stop: &|| context.cancel().is_cancelled() };
        let (seen, model) = (&self.train, &self.recipe.model);
        let catalogue = Catalogue { n_users: seen.n_users(), n_items: seen.n_items() };
        let found = if let (Some(on), Some(tower)) = (on, model.tower()) {
            let ranked = Ranked { tower: &tower, catalogue, weights };
            self.task(|task| eval::evaluate_on_device(&on.device, on.precision, ranked, task, &watch))
        } else {
            let scorer = model.scorer(catalogue, weights, &Trained(seen)).map_err(Fault::failed)?;
            self.task(|task| eval::evaluate(scorer.as_ref() as &dyn Scorer, task, &watch))
        };
        let found = found.map_err(|error| told(&error, self.split))?;
        let mean = found.sampled.as_ref().or(found.full.as_ref()).and_then(|table| table.mean(0));
        mean.map(|(mean, _)| mean)
            .ok_or_else(|| Fault::data(format!("`{name}` is not defined for any user of the part that is held out")))
    }
}
