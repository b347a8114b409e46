//! Integration tests: the engine with toy stages, the real program as a user runs it, and the rules of the house.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "says when data is missing")]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod architecture;
mod baselines;
mod cli;
mod dags;
mod engine;
mod faults;
mod fetch;
mod findings;
mod fuzz;
mod golden;
mod hostile;
mod memory;
mod messages;
mod notebooks;
mod pipelines;
mod support;
mod targets;
mod training;
mod using;
mod view;
