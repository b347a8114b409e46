//! One request, in a thread of its own.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use ureq::http::{HeaderMap, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Timeout};

use crate::fetch::{Error, Hooks, Result, Settings, Url};

/// How often it is asked whether to stop.
const POLL: Duration = Duration::from_millis(100);
/// After which silence of a server it is said that it is waited for.
const SILENT: Duration = Duration::from_secs(10);
const CHUNK: usize = 128 << 10;

/// Makes requests. Connections are kept for the next one.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    pub(super) settings: Settings,
}

/// The rest of a file, from where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rest {
    /// The first byte that is wanted.
    pub(super) offset: u64,
    /// Only if the file is still the one with this strong `ETag`.
    pub(super) etag: Option<String>,
}

/// The head of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// How many bytes follow.
    pub(super) length: Option<u64>,
    /// A strong `ETag`.
    pub(super) etag: Option<String>,
    /// The first byte and the length of the whole, from `Content-Range`.
    pub(super) range: Option<(u64, Option<u64>)>,
    pub(super) location: Option<String>,
    /// How the bytes are encoded, other than gzip, which is undone on the way.
    pub(super) encoding: Option<String>,
}

/// What a request comes to.
#[derive(Debug)]
pub(super) enum Event {
    Head(Head),
    Bytes(Vec<u8>),
    End,
    Failed(Failure),
}

/// Why a request failed, as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) why: Why,
    pub(super) what: String,
    pub(super) help: Option<&'static str>,
}

/// Whether it is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// There seems to be no way to the host. It would hardly be better a second later.
    NoWay,
    /// What may pass.
    Passing,
    /// What will not.
    Lasting,
}

impl Client {
    /// A client with these settings.
    ///
    /// # Errors
    /// When `SSL_CERT_FILE` names no file of certificates.
    pub fn new(settings: Settings) -> Result<Self> {
        let mut config = Agent::config_builder()
            .user_agent(concat!("ncf-pipe/", env!("CARGO_PKG_VERSION")))
            // Bytes are counted and hashed as they are stored at the other end.
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(Some(settings.connect))
            .timeout_connect(Some(settings.connect))
            .timeout_per_read(Some(settings.stall))
            .timeout_per_write(Some(settings.stall));
        if !settings.environment {
            config = config.proxy(None);
        } else if let Some(roots) = roots_of_environment()? {
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Self { agent: config.build().into(), settings })
    }

    /// What messages call the way to a URL. The user and password of a proxy are no part of it.
    pub(super) fn way_to(&self, url: &Url) -> String {
        match self.agent.config().proxy().filter(|proxy| !proxy.is_no_proxy(url.uri())) {
            Some(proxy) => format!("`{}` by the proxy `{}:{}`", url.host(), proxy.host(), proxy.port()),
            None => format!("`{}`", url.host()),
        }
    }

    /// Asks for a file, or the rest of it.
    pub(super) fn get(&self, url: &Url, from: Option<&Rest>) -> Exchange {
        let mut request = self.agent.get(url.uri());
        if let Some(authorization) = url.authorization() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(Rest { offset, etag }) = from {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
            if let Some(etag) = etag {
                request = request.header(header::IF_RANGE, etag);
            }
        }
        let (events, received) = sync_channel(8);
        let failed = events.clone();
        let work = move || {
            let answer = request.call();
            // Nobody listens any more if the receiver is gone.
            let _ = relay(answer, &events);
        };
        if let Err(error) = std::thread::Builder::new().name("fetch".to_owned()).spawn(work) {
            let what = format!("no thread can be made for it ({error})");
            let _ = failed.send(Event::Failed(Failure { why: Why::Passing, what, help: None }));
        }
        Exchange { received, host: url.host().to_owned() }
    }

    /// Breaks off all connections, so that no thread stays behind.
    pub(super) fn shut_down(&self) {
        self.agent.clone().shutdown();
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Exchange {
    received: Receiver<Event>,
    host: String,
}

impl Exchange {
    /// The next thing that happens; [`Kind::Cancelled`](crate::fetch::Kind) when the caller wants to stop.
    pub(super) fn next(&self, hooks: Hooks<'_>) -> Result<Event> {
        let since = std::time::Instant::now();
        let mut is_said = false;
        loop {
            if (hooks.cancelled)() {
                return Err(Error::cancelled());
            }
            match self.received.recv_timeout(POLL) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) => {
                    if !is_said && since.elapsed() >= SILENT {
                        is_said = true;
                        tracing::warn!("`{}` has sent nothing for {} s: still waiting", self.host, SILENT.as_secs());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let what = "the request was abandoned".to_owned();
                    return Ok(Event::Failed(Failure { why: Why::Passing, what, help: None }));
                }
            }
        }
    }
}

/// Waits before another attempt.
pub(super) fn pause(length: Duration, hooks: Hooks<'_>) -> Result<()> {
    let until = std::time::Instant::now() + length;
    loop {
        if (hooks.cancelled)() {
            return Err(Error::cancelled());
        }
        match until.checked_duration_since(std::time::Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::park_timeout(left.min(POLL)),
            _ => return Ok(()),
        }
    }
}

/// Tells the other end of the channel all that comes; `Err` when nobody listens any more.
fn relay(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    events: &SyncSender<Event>,
) -> Result<(), std::sync::mpsc::SendError<Event>> {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return events.send(Event::Failed(failure(error))),
    };
    let head = head(response.status().as_u16(), response.headers());
    let has_body = matches!(head.status, 200 | 206);
    events.send(Event::Head(head))?;
    if !has_body {
        return Ok(());
    }
    let mut body = response.into_body().into_reader();
    loop {
        let mut buffer = vec![0; CHUNK];
        match body.read(&mut buffer) {
            Ok(0) => return events.send(Event::End),
            Ok(n) => {
                buffer.truncate(n);
                events.send(Event::Bytes(buffer))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return events.send(Event::Failed(failure(error.into()))),
        }
    }
}

fn head(status: u16, headers: &HeaderMap) -> Head {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let range = text(header::CONTENT_RANGE).and_then(|value| {
        let (span, total) = value.strip_prefix("bytes ")?.split_once('/')?;
        let (first, _) = span.split_once('-')?;
        Some((first.parse().ok()?, total.parse().ok()))
    });
    Head {
        status,
        length: text(header::CONTENT_LENGTH).and_then(|value| value.parse().ok()),
        etag: text(header::ETAG).filter(|etag| etag.starts_with('"')).map(str::to_owned),
        range,
        location: headers.get(header::LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        encoding: text(header::CONTENT_ENCODING).filter(|value| *value != "identity").map(str::to_owned),
    }
}

/// What an error of the client means. Its text is used only where it cannot have a URL in it.
fn failure(error: ureq::Error) -> Failure {
    const TRUST: &str = "if a proxy here inspects traffic, name its root certificate with `SSL_CERT_FILE`";
    let failed = |why: Why, what: String| Failure { why, what, help: None };
    match error {
        ureq::Error::HostNotFound => failed(Why::NoWay, "no such host is known".to_owned()),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            failed(Why::NoWay, "it does not answer".to_owned())
        }
        ureq::Error::Timeout(_) => failed(Why::Passing, "it stopped sending".to_owned()),
        ureq::Error::Rustls(error) => {
            Failure { why: Why::Lasting, what: format!("no secure connection: {error}"), help: Some(TRUST) }
        }
        ureq::Error::Tls(what) => failed(Why::Lasting, format!("no secure connection: {what}")),
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::InvalidData => {
                Failure { why: Why::Lasting, what: format!("no secure connection: {error}"), help: Some(TRUST) }
            }
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable => {
                failed(Why::NoWay, "there is no way to it".to_owned())
            }
            io::ErrorKind::ConnectionRefused => failed(Why::Passing, "it refuses connections".to_owned()),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                failed(Why::Passing, "the connection broke off".to_owned())
            }
            // What `getaddrinfo` says has no kind of its own.
            _ if error.to_string().contains("lookup address") => {
                failed(Why::NoWay, "no such host is known, or there is no network".to_owned())
            }
            _ => failed(Why::Passing, error.to_string()),
        },
        ureq::Error::ConnectionFailed => failed(Why::NoWay, "there is no way to it".to_owned()),
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => Failure {
            why: Why::Lasting,
            what: "the proxy refuses to connect".to_owned(),
            help: Some("check `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`"),
        },
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            failed(Why::Passing, "what it answers is not HTTP".to_owned())
        }
        ureq::Error::Decompress(..) => failed(Why::Passing, "what it sends cannot be decompressed".to_owned()),
        // The texts of the others may have a URL in them.
        _ => failed(Why::Lasting, "the request cannot be made".to_owned()),
    }
}

/// The certificates in the file that `SSL_CERT_FILE` names, as OpenSSL and curl take them.
fn roots_of_environment() -> Result<Option<RootCerts>> {
    let Some(path) = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) else { return Ok(None) };
    let what = || format!("`SSL_CERT_FILE` names `{}`, which", path.to_string_lossy());
    let help = "correct the variable, or unset it to trust Mozilla's certificates";
    let text =
        std::fs::read(&path).map_err(|error| Error::io(format!("{} cannot be read", what()), error).help(help))?;
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        return Err(Error::data(format!("{} has no certificates", what())).help(help));
    }
    Ok(Some(RootCerts::new_with_certs(&certificates)))
}
