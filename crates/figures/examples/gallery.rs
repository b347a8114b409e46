//! Writes every chart as SVG and as light and dark PNG into a folder: `cargo run --example gallery -- FOLDER`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a program for developers"
)]

use std::path::PathBuf;

use ncf_pipe_figures::plot::Style;
use ncf_pipe_figures::plot::Theme;

#[path = "../tests/it/sample.rs"]
mod sample;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| String::from("gallery")));
    std::fs::create_dir_all(&folder)?;
    for (name, chart) in sample::all() {
        let style = Style { id: name.into(), ..Style::default() };
        std::fs::write(folder.join(format!("{name}.svg")), chart.svg(&style)?)?;
        for (theme, suffix) in [(Theme::Light, "light"), (Theme::Dark, "dark")] {
            let style = Style { theme, ..style.clone() };
            std::fs::write(folder.join(format!("{name}.{suffix}.png")), chart.png(&style, 1.0)?)?;
        }
    }
    Ok(())
}
