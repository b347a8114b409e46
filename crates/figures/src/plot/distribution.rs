//! How a value is distributed over users: histogram, cumulative curve, boxes.

use serde::Deserialize;
use serde::Serialize;

use crate::error::FigureError;
use crate::number;
use crate::plot::at_most;
use crate::plot::bar::Orientation;
use crate::plot::frame::Axis;
use crate::plot::quantile::Five;
use crate::plot::scale::ScaleKind;
use crate::plot::spread;
use crate::plot::style::Style;
use crate::plot::svg::clean;

const MOST_SAMPLES: usize = 24;

/// Values of several models, one value a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Shown above the chart.
    pub title: String,
    /// What the values are.
    pub value: Axis,
    /// What is counted, such as "users".
    #[serde(default)]
    pub counted: String,
    /// The samples, at most 24.
    pub samples: Vec<Sample>,
    /// How they are shown.
    pub view: View,
}

/// The values of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// Its values, in any order; `None` and NaN are left out.
    pub values: Vec<Option<f64>>,
}

impl Sample {
    /// A sample of plain values.
    pub fn new(name: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        Self { name: name.into(), values: values.into_iter().map(Some).collect() }
    }
}

/// How a distribution is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "view", rename_all = "snake_case")]
pub enum View {
    /// The share of values in each bin, one outline a sample. Linear axis only.
    #[default]
    Histogram,
    /// The share of values up to each value: the empirical distribution function.
    Ecdf,
    /// Median, quartiles, whiskers to 1.5 interquartile ranges (Tukey), what lies beyond, and the mean.
    Boxes {
        /// Which way the boxes go.
        #[serde(default)]
        orientation: Orientation,
    },
}

/// A sample without what cannot be shown, sorted.
pub(crate) struct Sorted {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

impl Distribution {
    pub(crate) fn svg(&self, style: &Style) -> Result<String, FigureError> {
        at_most(&self.title, "samples", self.samples.len(), MOST_SAMPLES)?;
        let mut left_out = 0;
        let kind = if self.view == View::Histogram { ScaleKind::Linear } else { self.value.scale };
        let samples: Vec<Sorted> = self
            .samples
            .iter()
            .map(|sample| {
                let given = || sample.values.iter().filter_map(|value| *value);
                let mut values: Vec<f64> = given().filter_map(|value| kind.shows(value)).collect();
                left_out += given().count() - values.len();
                values.sort_by(f64::total_cmp);
                Sorted { name: clean(&sample.name), values }
            })
            .collect();
        Ok(match self.view {
            View::Histogram => spread::histogram(self, style, &samples, left_out),
            View::Ecdf => spread::ecdf(self, style, &samples, left_out),
            View::Boxes { orientation } => spread::boxes(self, style, &samples, left_out, orientation),
        })
    }

    /// What is counted, with a default.
    pub(crate) fn counted(&self) -> String {
        if self.counted.is_empty() { String::from("values") } else { clean(&self.counted) }
    }

    pub(crate) fn summary(&self, what: &str, samples: &[Sorted]) -> String {
        let mut words = format!("{what} of {}, {} samples.", self.value.label(), samples.len());
        for sample in samples {
            let name = if sample.name.is_empty() { "unnamed" } else { &sample.name };
            words.push_str(&match Five::of(&sample.values) {
                None => format!(" {name}: no data."),
                Some(five) => format!(" {name}: {}.", describe(&five, &self.counted())),
            });
        }
        words
    }
}

/// The numbers of a box in words.
pub(crate) fn describe(five: &Five, counted: &str) -> String {
    let human = number::human;
    format!(
        "{} {counted}, mean {}, median {}, quartiles {} and {}, whiskers {} and {}",
        number::thousands(&five.count.to_string()),
        human(five.mean),
        human(five.median),
        human(five.q1),
        human(five.q3),
        human(five.low),
        human(five.high)
    )
}
