//! The page in a real browser: chromium, where there is one. `NCF_PIPE_BROWSER=required` makes its absence a failure.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "says how long it took")]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod driver;
mod hostile;
mod look;
mod parts;
#[path = "../support/mod.rs"]
mod support;

use crate::driver::Browser;

/// A browser with the page of the sweep.
fn sweep() -> Option<Browser> {
    let mut browser = Browser::start()?;
    browser.open(&ncf_pipe_page::render(&support::sample::page()).unwrap());
    Some(browser)
}
