//! Gets files from the network: one request at a time, resumed where it broke off, checked, bounded, and without a trace
//! of credentials in anything that is shown or kept.
//!
//! The network belongs to a thread of its own for each request, which hands bytes on through a bounded channel, so that
//! the caller can stop within a moment whatever the server does.

mod archive;
mod client;
mod copy;
mod download;
mod error;
mod names;
mod part;
mod settings;
#[cfg(test)]
mod tests;
mod url;

pub use archive::Archive;
pub use client::Client;
pub use copy::{Copied, copy};
pub use download::{Download, Request, download};
pub use error::{Error, Kind, Result};
pub use names::{base_name, check_member, check_name, check_sha256};
pub use settings::{Hooks, Settings};
pub use url::Url;

/// What a file may have at most, unless it says otherwise: 4 GiB.
pub const SIZE_LIMIT: u64 = 4 << 30;
