//! Integration tests: the engine with toy stages, the real program as a user runs it, and the rules of the house.

mod architecture;
mod cli;
mod engine;
mod faults;
mod golden;
mod pipelines;
mod support;
