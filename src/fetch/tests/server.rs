//! An HTTP server of a few lines that answers as it is told, and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Sends these bytes as they are, and closes.
    Raw(Vec<u8>),
    /// Sends these bytes, and then neither sends nor closes.
    Hang(Vec<u8>),
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte that was asked for.
    pub(super) fn offset(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

pub(super) struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// A server that gives the n-th request, counted from 0, to `reply`. It ends with the test.
    pub(super) fn new(reply: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else { continue };
                let n = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    seen.len() - 1
                };
                match reply(n, &request) {
                    // The other end may be gone; that is its business.
                    Reply::Raw(bytes) => drop(stream.write_all(&bytes)),
                    Reply::Hang(bytes) => {
                        let _ = stream.write_all(&bytes);
                        hanging.push(stream);
                    }
                }
            }
        });
        Self { port, asked }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Asked { path, headers })
}

/// A response with these header lines and this body, whatever the lines say of it.
pub(super) fn response(status: &str, lines: &[String], body: &[u8]) -> Vec<u8> {
    let head =
        [&[format!("HTTP/1.1 {status}")], lines, &["Connection: close\r\n\r\n".to_owned()]].concat().join("\r\n");
    [head.as_bytes(), body].concat()
}

/// A whole file.
pub(super) fn whole(body: &[u8]) -> Reply {
    Reply::Raw(response("200 OK", &[format!("Content-Length: {}", body.len())], body))
}

pub(super) fn status(status: &str) -> Reply {
    Reply::Raw(response(status, &["Content-Length: 0".to_owned()], b""))
}

pub(super) fn redirect(to: &str) -> Reply {
    Reply::Raw(response("302 Found", &[format!("Location: {to}"), "Content-Length: 0".to_owned()], b""))
}

/// `body` from byte `offset` on, as a server that supports ranges sends it.
pub(super) fn rest(body: &[u8], offset: usize, etag: &str) -> Vec<u8> {
    let range = format!("Content-Range: bytes {offset}-{}/{}", body.len() - 1, body.len());
    let length = format!("Content-Length: {}", body.len() - offset);
    response("206 Partial Content", &[range, length, format!("ETag: {etag}")], &body[offset..])
}

/// The first `n` bytes of `body`, as if all of it followed.
pub(super) fn cut(body: &[u8], n: usize, etag: &str) -> Vec<u8> {
    response("200 OK", &[format!("Content-Length: {}", body.len()), format!("ETag: {etag}")], &body[..n])
}
