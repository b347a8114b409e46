//! Bytes, well-formedness and hostile data of charts and tables.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]

mod charts;
mod golden;
mod hostile;
mod sample;
mod tables;
