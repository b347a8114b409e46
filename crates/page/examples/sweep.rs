//! Writes the page of a made-up sweep: `cargo run --example sweep -- report.html`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a program for developers"
)]

#[path = "../tests/support/mod.rs"]
mod support;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("say where to write the page, as in `-- report.html`")?;
    std::fs::write(path, ncf_pipe_page::render(&support::sample::page())?)?;
    Ok(())
}
