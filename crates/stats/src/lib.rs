//! Statistics for comparing recommenders, and TensorBoard event files.
//!
//! | module | what it does |
//! |---|---|
//! | [`summary`] | mean, spread, interval and quantiles of one sample |
//! | [`hypothesis`], [`paired`] | a claim in words, and the test of it |
//! | [`paired_t`], [`wilcoxon`], [`bootstrap`] | the tests |
//! | [`rounding`] | differences of means, in which ties are ties |
//! | [`multiple`] | Holm, Bonferroni, Benjamini–Hochberg |
//! | [`effect`] | effect sizes |
//! | [`distribution`] | normal and Student's t, accurate in both tails |
//! | [`tensorboard`] | scalars as TensorBoard reads them |
//!
//! Differences are always `a − b`, paired by position. Degenerate input is a [`StatsError`], never NaN. The same input
//! gives the same bits, for any number of threads. Fixtures from scipy, statsmodels and mpmath hold the numbers to 1e-9.

pub mod bootstrap;
pub mod distribution;
pub mod effect;
pub mod error;
pub mod hypothesis;
pub mod interval;
pub mod multiple;
pub mod paired;
pub mod paired_t;
mod ranks;
pub mod rounding;
mod sample;
mod signed_rank;
pub mod summary;
pub mod tensorboard;
pub mod wilcoxon;

pub use error::StatsError;
