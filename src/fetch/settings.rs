//! How long to wait, and who is told.

use std::time::Duration;

/// How patient a download is. The defaults are for the real network; tests are in a hurry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// To find a host, and again to connect to it.
    pub connect: Duration,
    /// Without a single byte. A download as a whole may take as long as it likes.
    pub stall: Duration,
    /// Before each new attempt after one that failed for a reason that may pass.
    pub pauses: Vec<Duration>,
    /// Whether proxies (`HTTPS_PROXY`, `NO_PROXY`, …) and root certificates (`SSL_CERT_FILE`) are taken from the
    /// environment.
    pub environment: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            pauses: [500, 1000, 2000].map(Duration::from_millis).to_vec(),
            environment: true,
        }
    }
}

/// What the caller wants to hear, and whether to stop.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    /// Bytes begin to flow: so many, if that is known.
    pub start: &'a dyn Fn(Option<u64>),
    /// So many more bytes are there.
    pub advance: &'a dyn Fn(u64),
    /// Whether to stop. Asked at least every 100 ms.
    pub cancelled: &'a dyn Fn() -> bool,
}

impl Hooks<'_> {
    /// Nobody listens, and nothing stops.
    pub const NONE: Hooks<'static> = Hooks { start: &|_| {}, advance: &|_| {}, cancelled: &|| false };
}
