//! The stage `remap`: raw ids become dense ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::dataset::Dataset;
use crate::artifacts::interactions::Interactions;
use crate::data::remap::remap;
use crate::data::scan::Scan;
use crate::stage::{Context, Output, Port, Result, Stage};

/// Numbers users and items from 0, in ascending order of their raw ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remap {}

impl Stage for Remap {
    const KIND: &'static str = "remap";
    const ABOUT: &'static str = "numbers users and items from 0, in ascending order of their raw ids";
    const CHANGES: &'static [&'static str] = &["first version"];
    const INPUTS: &'static [Port] = &[Port::one::<Interactions>("interactions")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Dataset>("dataset")];

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let input: Interactions = context.input("interactions")?;
        context.cancel().check()?;
        let mut sink = None;
        let names = remap(&input.rows, &mut |sizes, frames| {
            let sink = sink.get_or_insert_with(|| Dataset::sink(Self::KIND, sizes, input.rows.optional(), context));
            sink.write(&frames)
        })?;
        if let Some(sink) = sink {
            sink.finish()?;
        }
        Dataset::write_names(&names, Self::KIND, context)?;
        let (rows, users, items) = (input.rows.rows(), names.users.height(), names.items.height());
        context.fact("rows", rows);
        context.fact("n_users", users);
        context.fact("n_items", items);
        context.fact("density", rows as f64 / (users as f64 * items as f64));
        Ok(())
    }
}
