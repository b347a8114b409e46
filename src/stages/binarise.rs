//! The stage `binarise`: ratings become positives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::interactions::Interactions;
use crate::data::binarise::binarise;
use crate::data::frame::FrameMeta;
use crate::data::scan::Scan;
use crate::stage::{Context, Output, ParamError, Port, Result, Stage};

/// Whether a rating at the threshold is a positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Above {
    /// It is.
    #[default]
    Inclusive,
    /// It is not.
    Exclusive,
}

/// Keeps interactions with a high enough rating as positives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binarise {
    /// The rating from which an interaction is a positive.
    pub threshold: f64,
    /// Whether a rating at the threshold is a positive.
    #[serde(default)]
    pub above: Above,
    /// Whether the ratings stay beside the labels.
    #[serde(default = "yes")]
    pub keep_ratings: bool,
}

fn yes() -> bool {
    true
}

impl Stage for Binarise {
    const KIND: &'static str = "binarise";
    const ABOUT: &'static str = "keeps interactions with a high enough rating as positives";
    const CHANGES: &'static [&'static str] = &["first version"];
    const INPUTS: &'static [Port] = &[Port::one::<Interactions>("interactions")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Interactions>("interactions")];

    fn normalise(self) -> Result<Self, ParamError> {
        // The rating is compared as Float32, in which a large number would become infinite.
        if !(self.threshold as f32).is_finite() {
            return Err(ParamError::new("threshold", format!("{} is not a rating", self.threshold))
                .help("give a number from the scale of the ratings, such as 4"));
        }
        Ok(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let input: Interactions = context.input("interactions")?;
        context.cancel().check()?;
        let rows_in = input.rows.rows();
        let inclusive = self.above == Above::Inclusive;
        let mut sink = Interactions::sink(&FrameMeta::of(Self::KIND), input.rows.optional(), context);
        let rows =
            binarise(&input.rows, self.threshold, inclusive, self.keep_ratings, &mut |frames| sink.write(&frames))?;
        sink.finish()?;
        context.fact("rows_in", rows_in);
        context.fact("rows", rows);
        context.fact("dropped", rows_in - rows);
        context.fact("share", rows as f64 / rows_in as f64);
        Ok(())
    }
}
