//! The stage `plot`: a figure of results, as SVG and PNG.

mod curves;
mod spread;
mod sweep;

pub use curves::learning_curves;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::comparison::Comparison;
use crate::artifacts::figure::Drawing;
use crate::artifacts::metrics::Metrics;
use crate::artifacts::model::Model;
use crate::figures::plot::Axis;
use crate::stage::{Connected, Connections, Context, Fault, Output, ParamError, Port, Result, Stage};
use crate::stages::names::{known, measured, refuse_unknown_repeat, refuse_unmeasured, seed};

/// A figure of results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plot {
    /// What is shown.
    figure: Figure,
    /// What stands above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The axis of repetitions: runs that differ in nothing else are shown as a mean with a band of one standard deviation.
    #[serde(default = "seed")]
    repeat: String,
    /// Width in pixels.
    #[serde(default = "width")]
    #[schemars(range(min = 240, max = 4096))]
    width: u32,
    /// Height in pixels, without the legend.
    #[serde(default = "height")]
    #[schemars(range(min = 160, max = 4096))]
    height: u32,
}

fn width() -> u32 {
    720
}

fn height() -> u32 {
    420
}

/// What a figure shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Figure {
    /// How training went, by epoch or step; reads `models`.
    Curves(Curves),
    /// A metric against a swept parameter, with bands; reads `results`.
    Sweep(Sweep),
    /// A metric as grouped bars with error bars; reads `results`.
    Bars(Bars),
    /// A metric over a grid of two parameters; reads `results`.
    Heat(Heat),
    /// How a metric is distributed over users; reads `runs`.
    Distribution(Spread),
}

/// How training went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Curves {
    /// Columns of `history.parquet` (`train_loss`, `valid_loss`, `valid_ndcg_10`) or of `denoising.parquet`
    /// (`dropped`, `precision`, `recall`).
    y: Vec<String>,
    /// What is on the horizontal axis.
    #[serde(default)]
    x: Progress,
    /// Whether the vertical axis is logarithmic.
    #[serde(default)]
    log_y: bool,
}

/// How far training has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Progress {
    /// In epochs.
    #[default]
    Epoch,
    /// In steps.
    Step,
}

/// A metric against a swept parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sweep {
    /// The matrix axis on the horizontal axis.
    x: String,
    /// The metric.
    metric: String,
    /// The protocol, where results have both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    /// Whether the horizontal axis is logarithmic.
    #[serde(default)]
    log_x: bool,
}

/// A metric as grouped bars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Bars {
    /// The matrix axis whose values are groups of bars; the models themselves where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    /// The metric.
    metric: String,
    /// The protocol, where results have both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
}

/// A metric over a grid of two parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Heat {
    /// The matrix axis of the columns.
    x: String,
    /// The matrix axis of the rows.
    y: String,
    /// The metric.
    metric: String,
    /// The protocol, where results have both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
}

/// How a metric is distributed over users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Spread {
    /// The metric.
    metric: String,
    /// The protocol, where results have both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    /// How it is shown.
    #[serde(default)]
    view: View,
}

/// How a distribution is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum View {
    /// The share of users in each bin.
    #[default]
    Histogram,
    /// The share of users up to each value.
    Ecdf,
    /// Median, quartiles, whiskers and mean.
    Boxes,
}

impl Plot {
    /// Refuses a metric or a protocol that the results will not have, where that is known.
    fn refuse_unmeasured(&self, results: &[Connected]) -> Result<(), ParamError> {
        let (metric, protocol) = match &self.figure {
            Figure::Sweep(of) => (&of.metric, &of.protocol),
            Figure::Bars(of) => (&of.metric, &of.protocol),
            Figure::Heat(of) => (&of.metric, &of.protocol),
            Figure::Distribution(of) => return results.iter().try_for_each(|run| spread::refuse_unmeasured(of, run)),
            Figure::Curves(_) => return Ok(()),
        };
        match measured(results) {
            Some(there) => refuse_unmeasured(metric, protocol.as_deref(), &there, ["figure.metric", "figure.protocol"]),
            None => Ok(()),
        }
    }
}

impl Figure {
    /// The port that it reads, and its name after `kind:`.
    fn reads(&self) -> (&'static str, &'static str) {
        match self {
            Self::Curves(_) => ("models", "curves"),
            Self::Sweep(_) => ("results", "sweep"),
            Self::Bars(_) => ("results", "bars"),
            Self::Heat(_) => ("results", "heat"),
            Self::Distribution(_) => ("runs", "distribution"),
        }
    }
}

impl Stage for Plot {
    const KIND: &'static str = "plot";
    const ABOUT: &'static str = "draws a figure of results, as SVG and PNG";
    const CHANGES: &'static [&'static str] = &[
        "first version",
        "means over runs are drawn where all runs have a value; of several validations in an epoch the last counts, and the \
         mean of the training losses, each by its steps",
        "what bands and error bars are stands below the picture, and the protocol in its title",
    ];
    const INPUTS: &'static [Port] =
        &[Port::optional::<Comparison>("results"), Port::any::<Model>("models"), Port::any::<Metrics>("runs")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Drawing>("figure")];

    fn normalise(self) -> Result<Self, ParamError> {
        for (name, value, least) in [("width", self.width, 240), ("height", self.height, 160)] {
            if !(least..=4096).contains(&value) {
                return Err(ParamError::new(name, format!("{value} is not from {least} to 4096 pixels")));
            }
        }
        if let Figure::Curves(curves) = &self.figure
            && curves.y.is_empty()
        {
            return Err(
                ParamError::new("figure.y", "there is nothing to draw").help("try `y: [train_loss, valid_loss]`")
            );
        }
        Ok(self)
    }

    fn check_inputs(&self, connected: &[&str]) -> Result<(), ParamError> {
        let (port, kind) = self.figure.reads();
        if !connected.contains(&port) {
            return Err(ParamError::new(
                "figure",
                format!("a figure of kind `{kind}` is drawn from the input `{port}`"),
            )
            .help(format!("connect it: `inputs: {{{port}: STAGE}}`")));
        }
        match connected.iter().find(|other| **other != port) {
            Some(other) => Err(ParamError::new("figure", format!("a figure of kind `{kind}` does not read `{other}`"))
                .help(format!("connect `{port}` only"))),
            None => Ok(()),
        }
    }

    fn check_connected(&self, connected: Connections<'_>) -> Result<(), ParamError> {
        let results = connected();
        refuse_unknown_repeat(&self.repeat, &results)?;
        self.refuse_unmeasured(&results)?;
        let axes: Vec<(&str, &String)> = match &self.figure {
            Figure::Sweep(of) => vec![("x", &of.x)],
            Figure::Bars(of) => of.x.iter().map(|x| ("x", x)).collect(),
            Figure::Heat(of) => vec![("x", &of.x), ("y", &of.y)],
            Figure::Curves(_) | Figure::Distribution(_) => Vec::new(),
        };
        if axes.is_empty() {
            return Ok(());
        }
        let there: BTreeSet<&String> = results.iter().flat_map(|results| &results.axes).collect();
        match axes.into_iter().find(|(_, axis)| !there.contains(axis)) {
            None => Ok(()),
            Some((parameter, axis)) => {
                let message = format!("no result is of a matrix with the axis `{axis}`");
                let there = there.iter().map(|axis| axis.as_str());
                Err(ParamError::new(&format!("figure.{parameter}"), message).help(known(
                    axis,
                    "axes of the results",
                    there,
                )))
            }
        }
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let title = |default: String| self.title.clone().unwrap_or(default);
        let chart = match &self.figure {
            Figure::Curves(curves) => curves::chart(curves, &title, &self.repeat, context)?,
            Figure::Sweep(of) => {
                let results = context.input("results")?;
                if let Some(groups) = sweep::left_out(&results, &of.x) {
                    context.warn(groups);
                }
                sweep::line(of, &title, &results)?
            }
            Figure::Bars(of) => {
                let results = context.input("results")?;
                let left_out = of.x.as_deref().and_then(|x| sweep::left_out(&results, x));
                if let Some(groups) = left_out {
                    context.warn(groups);
                }
                sweep::bars(of, &title, &results)?
            }
            Figure::Heat(of) => sweep::heat(of, &title, &context.input("results")?)?,
            Figure::Distribution(of) => spread::chart(of, &title, &self.repeat, context)?,
        };
        let drawing = Drawing { chart, width: self.width, height: self.height };
        drawing.write(context)
    }
}

/// Makes a default title unless one is given.
type Title<'a> = &'a dyn Fn(String) -> String;

/// An axis that is linear or logarithmic.
fn axis(name: &str, log: bool) -> Axis {
    if log { Axis::new(name).log() } else { Axis::new(name) }
}

/// Mean and sample standard deviation; no deviation of a single value.
fn moments(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let summary = crate::stats::summary::summarise(values, 0.95).ok()?;
    Some((summary.mean, summary.sd))
}

/// What a band means.
fn band_label(repeat: &str, n: usize) -> Option<String> {
    (n > 1).then(|| format!("± 1 standard deviation over {n} values of {repeat}"))
}

/// Nothing to draw: what was asked for, and what there is.
fn nothing(what: String, there: &[&str]) -> Fault {
    let there = if there.is_empty() {
        "nothing of the kind: connect what `train` has made".to_owned()
    } else {
        there.join(", ")
    };
    Fault::data(what).help(format!("there is {there}"))
}
