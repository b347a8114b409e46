//! Agreement with scipy, statsmodels, mpmath and TensorBoard's writer: `fixtures/scipy.json`, which
//! `fixtures/make_scipy_fixtures.py` writes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]
#![allow(missing_docs)]

#[path = "fixture/compare.rs"]
mod compare;
#[path = "fixture/distributions.rs"]
mod distributions;
#[path = "fixture/effects.rs"]
mod effects;
#[path = "fixture/events.rs"]
mod events;
#[path = "fixture/paired.rs"]
mod paired;
#[path = "fixture/resampling.rs"]
mod resampling;
