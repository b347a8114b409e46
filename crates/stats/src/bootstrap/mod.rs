//! The paired bootstrap of a mean difference.

mod interval;
mod resample;

use serde::Serialize;

use crate::error::Result;
use crate::error::StatsError;
use crate::hypothesis::Alternative;
use crate::interval::Interval;
use crate::interval::tail;
use crate::sample;
use crate::summary::quantile_of_sorted;

pub use crate::bootstrap::resample::MOST_RESAMPLES;
pub use crate::bootstrap::resample::means_at;
pub use crate::bootstrap::resample::resample_means;

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Number of resamples.
    pub resamples: usize,
    /// The result is a function of the data and this number, whatever the number of threads.
    pub seed: u64,
    /// Confidence level of the intervals, in (0, 1).
    pub level: f64,
    /// Which alternative is tested.
    pub alternative: Alternative,
}

impl Default for Options {
    fn default() -> Self {
        Self { resamples: 10_000, seed: 0, level: 0.95, alternative: Alternative::TwoSided }
    }
}

/// Result of the paired bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairedBootstrap {
    /// Number of pairs, at least 2.
    pub n: usize,
    /// Number of resamples.
    pub resamples: usize,
    /// Mean of the differences `a − b`.
    pub mean_difference: f64,
    /// Standard deviation of the resampled means (divisor: their number − 1).
    pub standard_error: f64,
    /// Percentile interval (Efron and Tibshirani 1993, chapter 13).
    pub percentile: Interval,
    /// Bias-corrected and accelerated interval (Efron 1987; Efron and Tibshirani 1993, 14.3). `None` where it is not
    /// defined: all resampled means on one side of the mean, or a correction beyond its pole.
    pub bca: Option<Interval>,
    /// The p-value of the shift method: resampled means θ* are moved so that their centre is the null hypothesis, zero, and
    /// those at least as extreme as the observed mean θ are counted,
    ///
    /// * two-sided: `(1 + #{|θ* − θ| ≥ |θ|}) / (R + 1)`,
    /// * greater: `(1 + #{θ* − θ ≥ θ}) / (R + 1)`, less: `(1 + #{θ* − θ ≤ θ}) / (R + 1)`,
    ///
    /// with `R` resamples: Efron and Tibshirani (1993), 16.4; Smucker, Allan and Carterette (2007) for comparing retrieval
    /// systems. The one that is added counts the observed sample itself, so that no p-value is zero (Davison and Hinkley
    /// 1997, equation 4.11): the smallest is `1/(R + 1)`. The interval is not made from this p-value; the two may disagree
    /// near the level.
    pub p: f64,
    /// Which alternative was tested.
    pub alternative: Alternative,
}

/// Resamples pairs with replacement and describes the mean of `a − b`.
///
/// `a[i]` and `b[i]` belong to the same user. With few pairs (ten seeds) the bootstrap's intervals are too narrow; a
/// paired t-test is then the better choice.
///
/// # Errors
/// Samples of different lengths, fewer than two pairs, NaN or infinite values, fewer than two resamples, a level outside
/// (0, 1), differences that are all zero or all equal.
pub fn paired_bootstrap(a: &[f64], b: &[f64], options: &Options) -> Result<PairedBootstrap> {
    tail(options.level, options.alternative)?;
    let differences = sample::differences("paired bootstrap", 2, a, b)?;
    sample::check_spread("paired bootstrap", &differences, a, b)?;
    let means = resample_means(&differences, options.resamples, options.seed)?;
    from_means(&differences, means, options.level, options.alternative)
}

/// The description of resampled `means` of `differences`, however they were drawn.
///
/// # Errors
/// Fewer than two differences or means, values that are not finite, a level outside (0, 1), differences that are all
/// equal.
pub fn from_means(
    differences: &[f64],
    mut means: Vec<f64>,
    level: f64,
    alternative: Alternative,
) -> Result<PairedBootstrap> {
    let tail = tail(level, alternative)?;
    sample::check_count("paired bootstrap", 2, differences)?;
    sample::check_finite("differences", differences)?;
    sample::check_count("resampled means", 2, &means)?;
    sample::check_finite("resampled means", &means)?;
    let zeros = vec![0.0; differences.len()];
    let observed = sample::check_spread("paired bootstrap", differences, differences, &zeros)?.mean;
    means.sort_unstable_by(f64::total_cmp);
    let ties = tie_width(differences);
    let bounds = |low, high| {
        let (low, high) = (quantile_of_sorted(&means, low), quantile_of_sorted(&means, high));
        Interval::bounded(low, high, level, alternative)
    };
    let acceleration = interval::acceleration(differences, observed);
    let bca =
        interval::bca_probabilities(&means, observed, ties, acceleration, tail).map(|(low, high)| bounds(low, high));
    Ok(PairedBootstrap {
        n: differences.len(),
        resamples: means.len(),
        mean_difference: observed,
        standard_error: sample::moments(&means)?.sd,
        percentile: bounds(tail, 1.0 - tail),
        bca,
        p: p_value(&means, observed, ties, alternative),
        alternative,
    })
}

/// See [`PairedBootstrap::p`]. Values within `ties` of each other count as equal.
fn p_value(means: &[f64], observed: f64, ties: f64, alternative: Alternative) -> f64 {
    let extreme = |mean: &&f64| {
        let moved = **mean - observed;
        match alternative {
            Alternative::TwoSided => moved.abs() >= observed.abs() - ties,
            Alternative::Greater => moved >= observed - ties,
            Alternative::Less => moved <= observed + ties,
        }
    };
    (1.0 + means.iter().filter(extreme).count() as f64) / (means.len() as f64 + 1.0)
}

/// How far two means of the same values, added in another order, may lie apart by rounding.
fn tie_width(differences: &[f64]) -> f64 {
    let n = differences.len() as f64;
    let size = differences.iter().map(|d| d.abs()).sum::<f64>() / n;
    4.0 * f64::EPSILON * n.sqrt() * size
}

/// Refuses sums of differences that could leave the range of f64.
pub(crate) fn check_sum(differences: &[f64]) -> Result<()> {
    let largest = differences.iter().fold(0.0f64, |largest, d| largest.max(d.abs()));
    let fits = (largest * differences.len() as f64).is_finite();
    if fits { Ok(()) } else { Err(StatsError::Overflow { what: "sum of differences" }) }
}

#[cfg(test)]
mod tests;
