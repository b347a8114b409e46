//! From a URL to a file on the disk, over as many requests as it takes.

use std::path::{Path, PathBuf};

use crate::fetch::client::{Client, Event, Failure, Head, Rest, Why, pause};
use crate::fetch::copy::too_long;
use crate::fetch::part::Part;
use crate::fetch::{Error, Hooks, Kind, Result, Url};

/// More than this lead nowhere.
const MOST_REDIRECTS: usize = 5;
/// An attempt that got this much further does not count as failed.
const HEADWAY: u64 = 1 << 20;

/// What to download.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// From where.
    pub url: &'a Url,
    /// Whether plain http will do.
    pub allow_http: bool,
    /// The SHA-256 that the bytes must have, in hexadecimal of either case.
    pub sha256: Option<&'a str>,
    /// How many bytes there may be.
    pub size_limit: u64,
}

/// A file that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Why an attempt ended without the file.
enum Ended {
    /// There is no point in another.
    For(Error),
    /// Another may do better.
    Now(Failure),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::For(error)
    }
}

/// Downloads a file into `dir`, where an earlier, interrupted download of it under the same `name` is taken up again.
///
/// # Errors
/// When the server cannot be reached, has no such file, redirects to where one must not follow, sends more than it may,
/// less than it says, or something else than the checksum stands for; and when the caller asks to stop.
pub fn download(request: Request<'_>, dir: &Path, name: &str, client: &Client, hooks: Hooks<'_>) -> Result<Download> {
    if !request.allow_http && !request.url.is_https() {
        return Err(Error::data(format!("`{}` is not https", request.url))
            .help("use https, or set `allow_http: true` where the network is trusted"));
    }
    let mut part = Part::open(dir, name, hooks)?;
    let result = Task { request, client, hooks }.run(&mut part);
    match result {
        Ok(()) => Ok(Download { path: part.path().to_owned(), size: part.length(), sha256: part.sha256() }),
        Err(error) => {
            // Threads that still wait for the network end with their connections.
            client.shut_down();
            if error.kind == Kind::Data {
                part.discard();
            } else {
                // What cannot be saved is downloaded again; the error that counts is the first.
                let _ = part.save();
            }
            Err(error)
        }
    }
}

struct Task<'a> {
    request: Request<'a>,
    client: &'a Client,
    hooks: Hooks<'a>,
}

impl Task<'_> {
    fn run(&self, part: &mut Part) -> Result<()> {
        let mut again = false;
        loop {
            if !part.is_complete() {
                self.transfer(part)?;
            }
            let seen = part.sha256();
            match self.request.sha256 {
                Some(wanted) if !wanted.eq_ignore_ascii_case(&seen) => {
                    // Where the second time ends like the first, a third would.
                    if again || !part.is_joined() {
                        return Err(Error::data(format!(
                            "`{}` has the SHA-256 {seen} instead of {}",
                            self.request.url,
                            wanted.to_ascii_lowercase()
                        ))
                        .help("the file there has changed, or was changed on the way: nothing of it was kept"));
                    }
                    // The file may have changed between two halves of it.
                    part.restart()?;
                    again = true;
                }
                _ => return part.complete(),
            }
        }
    }

    /// Makes attempts until all bytes are there.
    fn transfer(&self, part: &mut Part) -> Result<()> {
        let mut pauses = self.client.settings.pauses.iter();
        let mut best = part.length();
        loop {
            let failure = match self.attempt(part) {
                Ok(()) => return Ok(()),
                Err(Ended::For(error)) => return Err(error),
                Err(Ended::Now(failure)) => failure,
            };
            if part.length() >= best.saturating_add(HEADWAY) {
                best = part.length();
                pauses = self.client.settings.pauses.iter();
            }
            let hopeless = match failure.why {
                Why::Lasting => true,
                Why::NoWay => best == 0,
                Why::Passing => false,
            };
            match pauses.next().filter(|_| !hopeless) {
                Some(length) => pause(*length, self.hooks)?,
                None => return Err(self.failed(&failure)),
            }
        }
    }

    fn failed(&self, failure: &Failure) -> Error {
        let url = self.request.url;
        let error = Error::network(format!("cannot get `{url}` from {}: {}", self.client.way_to(url), failure.what));
        match failure.help {
            Some(help) => error.help(help),
            None => error,
        }
    }

    /// One request, with the redirects on its way.
    fn attempt(&self, part: &mut Part) -> Result<(), Ended> {
        let from = self.resumable(part).then(|| Rest { offset: part.length(), etag: part.etag().map(str::to_owned) });
        if from.is_none() {
            part.restart()?;
        }
        let mut url = self.request.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let exchange = self.client.get(&url, from.as_ref());
            let head = match exchange.next(self.hooks)? {
                Event::Head(head) => head,
                Event::Failed(mut failure) => {
                    if url.host() != self.request.url.host() {
                        failure.what = format!("it redirects to {}: {}", self.client.way_to(&url), failure.what);
                    }
                    return Err(Ended::Now(failure));
                }
                Event::Bytes(_) | Event::End => return Err(passing("what it answers is not HTTP")),
            };
            if let (301 | 302 | 303 | 307 | 308, Some(location)) = (head.status, &head.location) {
                url = follow(&url, location, self.request.allow_http)?;
                continue;
            }
            self.judge(part, &head)?;
            return self.receive(part, &mut || exchange.next(self.hooks));
        }
        Err(Ended::For(
            Error::data(format!("`{}` redirects more than {MOST_REDIRECTS} times", self.request.url))
                .help("give the URL that the redirects end at"),
        ))
    }

    /// Whether the rest of a part can be asked for: it must be sure in the end that both halves are of one file.
    fn resumable(&self, part: &Part) -> bool {
        let sure = part.etag().is_some() || self.request.sha256.is_some();
        part.length() > 0 && sure && part.total().is_some_and(|total| part.length() < total)
    }

    /// Gets the part ready for the bytes that follow, if they are those of the file.
    fn judge(&self, part: &mut Part, head: &Head) -> Result<(), Ended> {
        let url = self.request.url;
        if let Some(encoding) = &head.encoding {
            return Err(Ended::For(
                Error::data(format!("`{url}` comes encoded as `{}`, which was not asked for", encoding.escape_debug()))
                    .help("give the URL of the plain file"),
            ));
        }
        match head.status {
            200 => part.begin(head.length, head.etag.clone())?,
            206 => {
                let first = head.range.map(|(first, _)| first);
                let total = head.range.and_then(|(_, total)| total);
                let same_etag = head.etag.is_none() || part.etag().is_none() || head.etag.as_deref() == part.etag();
                if first != Some(part.length()) || total != part.total() || part.length() == 0 || !same_etag {
                    part.restart()?;
                    return Err(passing("it sends another part of the file than it was asked for"));
                }
                part.join();
            }
            416 => {
                part.restart()?;
                return Err(passing("it does not have the rest of the file"));
            }
            408 | 425 | 429 | 500..=599 => return Err(passing(&format!("it answers with status {}", head.status))),
            status => {
                let what = match status {
                    401 | 403 => " (not allowed)",
                    404 | 410 => " (not there)",
                    _ => "",
                };
                let error = Error::data(format!("`{url}` answers with status {status}{what}"));
                let help = match status {
                    401 | 403 => {
                        "the server lets only some in, or no programs: download it by other means, and give the file with `local`"
                    }
                    _ => "check the URL: the file may have moved",
                };
                return Err(Ended::For(error.help(help)));
            }
        }
        if part.total().is_some_and(|total| total > self.request.size_limit) {
            return Err(Ended::For(too_long(&url.to_string(), self.request.size_limit)));
        }
        (self.hooks.start)(part.total());
        (self.hooks.advance)(part.length());
        Ok(())
    }

    /// Takes bytes until the end.
    fn receive(&self, part: &mut Part, next: &mut dyn FnMut() -> Result<Event>) -> Result<(), Ended> {
        loop {
            match next()? {
                Event::Bytes(bytes) => {
                    if part.length() + bytes.len() as u64 > self.request.size_limit {
                        return Err(Ended::For(too_long(&self.request.url.to_string(), self.request.size_limit)));
                    }
                    part.append(&bytes)?;
                    (self.hooks.advance)(bytes.len() as u64);
                }
                Event::End => {
                    return match part.total() {
                        Some(total) if total != part.length() => Err(cut_off(part)),
                        _ => Ok(()),
                    };
                }
                Event::Failed(failure) if failure.why == Why::Passing && part.total().is_some() => {
                    let Failure { what, .. } = failure;
                    return Err(passing(&format!("{what} {}", so_far(part))));
                }
                Event::Failed(failure) => return Err(Ended::Now(failure)),
                Event::Head(_) => return Err(passing("what it answers is not HTTP")),
            }
        }
    }
}

fn passing(what: &str) -> Ended {
    Ended::Now(Failure { why: Why::Passing, what: what.to_owned(), help: None })
}

fn cut_off(part: &Part) -> Ended {
    passing(&format!("the file ended {}", so_far(part)))
}

fn so_far(part: &Part) -> String {
    let total = part.total().map_or_else(String::new, |total| format!(" of {total}"));
    format!("after {}{total} bytes", part.length())
}

/// Where a redirect leads. Never to anything but https, except from http to http where that is allowed.
fn follow(from: &Url, location: &str, allow_http: bool) -> Result<Url> {
    let refuse = |what: String| {
        Error::data(format!("`{from}` redirects to where one must not follow: {what}"))
            .help("give the https URL of the file itself")
    };
    let to = from.join(location).map_err(refuse)?;
    if to.is_https() || (allow_http && !from.is_https()) {
        Ok(to)
    } else {
        Err(refuse(format!("`{}` without https", to.host())))
    }
}

#[cfg(test)]
mod follow_tests {
    use super::*;

    #[test]
    fn a_redirect_never_leaves_https() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (secure, plain) = (url("https://h/a?sig=canary"), url("http://h/a"));
        for allow_http in [false, true] {
            assert_eq!(follow(&secure, "/b", allow_http).unwrap().to_string(), "https://h/b");
            assert_eq!(follow(&plain, "https://h/b", allow_http).unwrap().to_string(), "https://h/b");
            for location in ["http://h/a?sig=canary", "file:///etc/passwd", "ftp://h/a", "data:,x", "https://"] {
                let error = follow(&secure, location, allow_http).unwrap_err();
                assert!(!error.message.contains("canary"), "{error}");
            }
        }
        assert_eq!(follow(&plain, "b", true).unwrap().to_string(), "http://h/b");
        assert!(follow(&plain, "b", false).is_err());
    }
}
