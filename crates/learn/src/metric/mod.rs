//! Ranking metrics: pure formulas from where the positives stand to a number for one user.
//!
//! # Ties
//! A positive whose score equals that of other candidates has no rank of its own. Implementations that sort give it
//! one by accident (the order of the input, or whatever the sort leaves), and a model that gives every item the same
//! score can look perfect. Here every metric is its *expected value when the order within each group of equal scores
//! is drawn uniformly at random*, in closed form. The rule and most of the formulas are those of McSherry and Najork,
//! "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores", ECIR 2008.
//! Without ties they are the usual definitions.
//!
//! # Notation
//! For one user: `n` candidates, `P` of them positive; `k` the length of the list that is shown. A tie group `g` has
//! `s_g` candidates with equal scores, `c_g` of them positive, and `a_g` candidates with greater scores. Positions and
//! ranks in formulas start at 1. When `k > n` the list is the whole ranking.
//!
//! This room imports no other room.

mod agreement;
mod auc;
mod average_precision;
#[cfg(test)]
mod brute;
mod exposure;
mod hits;
mod measure;
mod ndcg;
mod ranking;
mod reciprocal_rank;

pub use agreement::Agreement;
pub use auc::auc;
pub use average_precision::average_precision;
pub use exposure::{coverage, gini, popularity_ranks, self_information};
pub use hits::{hit_rate, precision, recall};
pub use measure::{Measure, Metric};
pub use ndcg::ndcg;
pub use ranking::{Ranking, TieGroup};
pub use reciprocal_rank::reciprocal_rank;

#[cfg(test)]
#[path = "seeds_tests.rs"]
mod seeds_tests;
