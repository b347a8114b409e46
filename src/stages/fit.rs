//! The stage `fit`: fits a model that needs no gradients.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::model::{History, Model};
use crate::artifacts::split::Split;
use crate::fit::{self, Watch};
use crate::model::{Config, FitSpec, Refused};
use crate::stage::{Class, Context, Fault, Output, ParamError, Port, Result, Stage, space};

/// Fits a model that needs no gradients to the training part of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// The model and its hyper-parameters.
    model: FitSpec,
}

impl Stage for Fit {
    const KIND: &'static str = "fit";
    const ABOUT: &'static str = "fits a model that needs no gradients";
    const CHANGES: &'static [&'static str] = &[
        "first version",
        "item-kNN says how it weighs users",
        "cosines in item-kNN that are equal as fractions are ties",
    ];
    const INPUTS: &'static [Port] = &[Port::one::<Split>("split")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Model>("model")];

    fn is_seeded(&self) -> bool {
        matches!(self.model, FitSpec::Ials(_))
    }

    fn normalise(mut self) -> Result<Self, ParamError> {
        match self.model.normalise() {
            Ok(()) => Ok(self),
            Err(Refused { field, message }) => Err(ParamError::new(&format!("model.{field}"), message)),
        }
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let split: Split = context.input("split")?;
        let train = split.train.csr()?;
        let progress = context.progress();
        let watch = Watch {
            start: &|total, unit| progress.start(Some(total), unit),
            advance: &|done| progress.advance(done),
            cancelled: &|| context.cancel().is_cancelled(),
            saves: &|| context.cancel().saves(),
            scratch: Some(context.scratch()),
        };
        let started = Instant::now();
        let fitted = fit::fit(&self.model, &train, context.seed(), context.memory().total(), watch);
        let fitted = fitted.map_err(|error| {
            let fault = Fault::from(error);
            if fault.class == Class::Io { fault.help(space(context.scratch(), None)) } else { fault }
        })?;
        context.fact("fitting_seconds", started.elapsed().as_secs_f64());
        if let Some(sweep) = fitted.resumed_in {
            context.fact("resumed_in_sweep", sweep);
        }
        if let Some(last) = fitted.objective.last() {
            context.fact("objective", *last);
        }
        let sweeps = fitted.objective.len();
        let history = History {
            epoch: (1..).take(sweeps).collect(),
            step: (1..).take(sweeps).collect(),
            valid_loss: vec![None; sweeps],
            train_loss: fitted.objective,
            valid_metric: None,
        };
        let config = Config { model: self.model.clone().into(), n_users: split.n_users, n_items: split.n_items };
        let trained_on = Some(split.train_digest().to_owned());
        Model { config, weights: fitted.weights, trained_on, chosen_on: None, begun_on: None }.write(
            history,
            Self::KIND,
            context,
        )
    }
}
