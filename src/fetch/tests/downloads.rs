//! What becomes of a download.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::fetch::tests::server::{Asked, Reply, Server, cut, redirect, response, rest, status, whole};
use crate::fetch::{Client, Download, Error, Hooks, Kind, Request, Result, SIZE_LIMIT, Settings, Url, download};

const TEXT: &[u8] = b"user item rating\n";
/// `printf 'user item rating\n' | sha256sum`
const SHA256: &str = "eba2171f4de77845bc15a0911f1bf59dc24c83b8a7c5f8f7f127cb01365bb92b";

fn hurried() -> Settings {
    Settings {
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(200),
        pauses: vec![Duration::from_millis(1); 3],
        environment: false,
    }
}

fn request(url: &Url) -> Request<'_> {
    Request { url, allow_http: true, sha256: None, size_limit: SIZE_LIMIT }
}

fn get_into(dir: &Path, request: Request<'_>, hooks: Hooks<'_>) -> Result<Download> {
    download(request, dir, "0", &Client::new(hurried()).unwrap(), hooks)
}

/// What a test asks for beside the URL.
struct Terms<'a> {
    allow_http: bool,
    sha256: Option<&'a str>,
    size_limit: u64,
}

/// Downloads into a new directory; the bytes, or the error and whether anything was kept.
fn get<'a>(server: &Server, path: &str, change: impl FnOnce(&mut Terms<'a>)) -> Result<Vec<u8>, (Error, bool)> {
    let dir = tempfile::tempdir().unwrap();
    let url = Url::parse(&server.url(path)).unwrap();
    let mut terms = Terms { allow_http: true, sha256: None, size_limit: SIZE_LIMIT };
    change(&mut terms);
    let Terms { allow_http, sha256, size_limit } = terms;
    match get_into(dir.path(), Request { url: &url, allow_http, sha256, size_limit }, Hooks::NONE) {
        Ok(got) => {
            let bytes = std::fs::read(&got.path).unwrap();
            assert_eq!(got.size, bytes.len() as u64);
            Ok(bytes)
        }
        Err(error) => Err((error, dir.path().read_dir().unwrap().next().is_some())),
    }
}

#[track_caller]
fn refused(result: Result<Vec<u8>, (Error, bool)>, kind: Kind, words: &[&str]) -> Error {
    let (error, kept) = result.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    for word in words {
        assert!(error.message.contains(word), "`{word}` is missing in: {error}");
    }
    assert!(!kept || kind != Kind::Data, "something of it was kept");
    error
}

/// Bytes of which no two stretches are alike.
fn many(n: u32) -> Vec<u8> {
    (0..n).flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_le_bytes()).collect()
}

#[test]
fn a_file_arrives_with_its_digest_and_the_bytes_are_counted() {
    let server = Server::new(|_, _| whole(TEXT));
    let dir = tempfile::tempdir().unwrap();
    let url = Url::parse(&server.url("/u.data")).unwrap();
    let (started, counted) = (Mutex::new(Vec::new()), AtomicU64::new(0));
    let hooks = Hooks {
        start: &|total| started.lock().unwrap().push(total),
        advance: &|n| {
            counted.fetch_add(n, Ordering::Relaxed);
        },
        cancelled: &|| false,
    };
    let got = get_into(dir.path(), request(&url), hooks).unwrap();
    assert_eq!((got.size, got.sha256.as_str()), (17, SHA256));
    assert_eq!(std::fs::read(&got.path).unwrap(), TEXT);
    assert_eq!((started.into_inner().unwrap(), counted.into_inner()), (vec![Some(17)], 17));
    let asked = &server.asked()[0];
    assert_eq!((asked.path.as_str(), asked.header("accept-encoding")), ("/u.data", Some("identity")));
    assert!(asked.header("user-agent").unwrap().starts_with("ncf-pipe/"));
    // What is complete is not asked for again.
    assert_eq!(get_into(dir.path(), request(&url), Hooks::NONE).unwrap(), got);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_file_of_unknown_length_arrives_whole() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nuser \r\nc\r\nitem rating\n\r\n0\r\n\r\n";
    let server = Server::new(|_, _| Reply::Raw(chunked.to_vec()));
    assert_eq!(get(&server, "/", |_| {}).unwrap(), TEXT);
    let server = Server::new(|_, _| Reply::Raw(response("200 OK", &[], TEXT)));
    assert_eq!(get(&server, "/", |_| {}).unwrap(), TEXT);
}

#[test]
fn a_wrong_checksum_is_refused_with_both_and_nothing_is_kept() {
    let server = Server::new(|_, _| whole(TEXT));
    assert_eq!(get(&server, "/", |terms| terms.sha256 = Some(SHA256)).unwrap(), TEXT);
    let upper = SHA256.to_uppercase();
    assert_eq!(get(&server, "/", |terms| terms.sha256 = Some(&upper)).unwrap(), TEXT);
    let wrong = "ab".repeat(32);
    refused(get(&server, "/", |terms| terms.sha256 = Some(&wrong)), Kind::Data, &[SHA256, &wrong]);
}

#[test]
fn plain_http_needs_a_word() {
    let server = Server::new(|_, _| whole(TEXT));
    refused(get(&server, "/", |terms| terms.allow_http = false), Kind::Data, &["not https"]);
    assert!(server.asked().is_empty());
}

#[test]
fn redirects_are_followed_where_they_may_be() {
    let server = Server::new(|_, asked| match asked.path.as_str() {
        "/old/a" => redirect("../new/a?x=1"),
        "/new/a?x=1" => whole(TEXT),
        "/file" => redirect("file:///etc/passwd"),
        "/ftp" => redirect("ftp://127.0.0.1/x"),
        "/data" => redirect("data:text/plain,x"),
        "/bare" => redirect("https://"),
        "/loop" => redirect("/loop"),
        "/secret" => redirect("file:///x?X-Amz-Signature=canary"),
        path => redirect(&format!("/{}", path[1..].parse::<u32>().unwrap() - 1)).clone(),
    });
    assert_eq!(get(&server, "/old/a", |_| {}).unwrap(), TEXT);
    for (path, word) in [("/file", "`file`"), ("/ftp", "`ftp`"), ("/data", "`data`"), ("/bare", "not a URL")] {
        refused(get(&server, path, |_| {}), Kind::Data, &["redirects", word]);
    }
    refused(get(&server, "/loop", |_| {}), Kind::Data, &["more than 5 times"]);
    assert_eq!(server.asked().iter().filter(|asked| asked.path == "/loop").count(), 6);
    let error = refused(get(&server, "/secret", |_| {}), Kind::Data, &["redirects"]);
    assert!(!format!("{error:?}").contains("canary"));
}

#[test]
fn trouble_that_passes_is_waited_out_and_trouble_that_does_not_is_reported() {
    for trouble in ["500 Oops", "502 Bad Gateway", "503 Busy", "429 Slow Down", "408 Late"] {
        let server = Server::new(move |n, _| if n < 3 { status(trouble) } else { whole(TEXT) });
        assert_eq!(get(&server, "/", |_| {}).unwrap(), TEXT);
        assert_eq!(server.asked().len(), 4);
    }
    let server = Server::new(|_, _| status("503 Busy"));
    refused(get(&server, "/", |_| {}), Kind::Network, &["127.0.0.1", "503"]);
    assert_eq!(server.asked().len(), 4);
    for (trouble, word) in [("404 Gone Fishing", "not there"), ("403 No", "not allowed"), ("204 Empty", "204")] {
        let server = Server::new(move |_, _| status(trouble));
        refused(get(&server, "/", |_| {}), Kind::Data, &[word]);
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_file_that_ends_early_never_counts_as_whole() {
    let server = Server::new(|_, _| Reply::Raw(cut(TEXT, 9, "W/\"weak\"")));
    refused(get(&server, "/", |_| {}), Kind::Network, &["after 9 of 17 bytes"]);
    // Without a strong tag or a checksum, the halves may be of two files: each attempt is for all of it.
    assert!(server.asked().iter().all(|asked| asked.offset().is_none()));
    let server = Server::new(|n, _| if n == 0 { Reply::Raw(cut(TEXT, 9, "W/\"weak\"")) } else { whole(TEXT) });
    assert_eq!(get(&server, "/", |_| {}).unwrap(), TEXT);
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nuser \r\nc\r\nitem";
    let server = Server::new(|_, _| Reply::Raw(chunked.to_vec()));
    refused(get(&server, "/", |_| {}), Kind::Network, &["127.0.0.1"]);
}

#[test]
fn a_server_that_stops_sending_is_given_up() {
    let server = Server::new(|_, _| Reply::Hang(cut(TEXT, 9, "\"a\"")));
    refused(get(&server, "/", |_| {}), Kind::Network, &["stopped sending", "after 9 of 17 bytes"]);
    let server = Server::new(|_, _| Reply::Hang(Vec::new()));
    refused(get(&server, "/", |_| {}), Kind::Network, &["stopped sending"]);
    let server = Server::new(|_, _| Reply::Raw(b"this is not the web\r\n\r\n".to_vec()));
    refused(get(&server, "/", |_| {}), Kind::Network, &["not HTTP"]);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = Url::parse(&format!("http://user:canary@127.0.0.1:{port}/u.data?token=canary")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = get_into(dir.path(), request(&url), Hooks::NONE).unwrap_err();
    assert_eq!(error.kind, Kind::Network);
    assert!(error.message.contains("127.0.0.1") && error.message.contains("refuses"), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
}

#[test]
fn what_is_larger_than_it_may_be_is_broken_off() {
    let body = many(1000);
    let server = Server::new(move |_, asked| match asked.path.as_str() {
        "/honest" => whole(&body),
        _ => Reply::Raw(response("200 OK", &[], &body)),
    });
    for path in ["/honest", "/silent"] {
        refused(get(&server, path, |terms| terms.size_limit = 3999), Kind::Data, &["3999", "size_limit"]);
        assert_eq!(get(&server, path, |terms| terms.size_limit = 4000).unwrap().len(), 4000);
    }
    // What lies behind the announced length is no part of the file.
    let server = Server::new(|_, _| Reply::Raw(response("200 OK", &["Content-Length: 4".to_owned()], TEXT)));
    assert_eq!(get(&server, "/", |_| {}).unwrap(), b"user");
}

/// A server that breaks off the first request after `n` bytes, and then answers as told.
fn broken_off(body: &[u8], n: usize, then: impl Fn(&[u8], &Asked) -> Reply + Send + Sync + 'static) -> Server {
    let body = body.to_vec();
    Server::new(move |at, asked| if at == 0 { Reply::Raw(cut(&body, n, "\"v1\"")) } else { then(&body, asked) })
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let body = many(50_000);
    let server = broken_off(&body, 60_000, |body, asked| {
        Reply::Raw(rest(body, asked.offset().unwrap(), asked.header("if-range").unwrap()))
    });
    assert_eq!(get(&server, "/", |_| {}).unwrap(), body);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let offset = asked[1].offset().unwrap();
    assert!((1..=60_000).contains(&offset), "{offset}");
    assert_eq!(asked[1].header("if-range"), Some("\"v1\""));
}

#[test]
fn a_server_that_cannot_resume_sends_all_of_it_again() {
    let body = many(50_000);
    let server = broken_off(&body, 60_000, |body, _| whole(body));
    assert_eq!(get(&server, "/", |_| {}).unwrap(), body);
    let server = broken_off(&body, 60_000, |body, asked| match asked.offset() {
        Some(_) => status("416 Range Not Satisfiable"),
        None => whole(body),
    });
    assert_eq!(get(&server, "/", |_| {}).unwrap(), body);
}

/// What a server sends in place of the rest of a file from an offset on.
type Lie = fn(&[u8], usize) -> Vec<u8>;

#[test]
fn a_part_of_another_file_is_never_joined_to_the_first() {
    let body = many(50_000);
    let lies: [Lie; 4] = [
        |body, _| rest(body, 7, "\"v1\""),
        |body, offset| rest(body, offset, "\"v2\""),
        |body, offset| rest(&[body, b"more"].concat(), offset, "\"v1\""),
        |body, offset| response("206 Partial Content", &["Content-Length: 3".to_owned()], &body[offset..offset + 3]),
    ];
    for lie in lies {
        let server = broken_off(&body, 60_000, move |body, asked| match asked.offset() {
            Some(offset) => Reply::Raw(lie(body, offset)),
            None => whole(body),
        });
        assert_eq!(get(&server, "/", |_| {}).unwrap(), body);
        assert_eq!(server.asked().len(), 3);
    }
}

#[test]
fn a_pinned_file_is_resumed_without_a_tag_and_fetched_whole_if_the_halves_do_not_fit() {
    let body = many(50_000);
    let sha256 = crate::fetch::copy("body", body.as_slice(), std::io::sink(), 1 << 20, Hooks::NONE).unwrap().sha256;
    let half =
        |body: &[u8]| Reply::Raw(response("200 OK", &[format!("Content-Length: {}", body.len())], &body[..60_000]));
    let changed: Vec<u8> = body.iter().map(|byte| byte ^ 1).collect();
    for (later, requests) in [(body.clone(), 2), (changed, 3)] {
        let first = body.clone();
        let server = Server::new(move |n, asked| match (n, asked.offset()) {
            (0, _) => half(&first),
            (_, Some(offset)) => Reply::Raw(rest(&later, offset, "\"x\"")),
            (_, None) => whole(&first),
        });
        assert_eq!(get(&server, "/", |terms| terms.sha256 = Some(&sha256)).unwrap(), body);
        assert_eq!(server.asked().len(), requests);
    }
}

#[test]
fn a_file_with_another_checksum_is_given_up_after_one_more_download_however_it_arrives() {
    let body = many(50_000);
    let wrong = "0".repeat(64);
    let told = body.clone();
    // Every download comes in two halves.
    let server = Server::new(move |_, asked| match asked.offset() {
        Some(offset) => Reply::Raw(rest(&told, offset, "\"x\"")),
        None => Reply::Raw(response("200 OK", &[format!("Content-Length: {}", told.len())], &told[..60_000])),
    });
    let (error, _) = get(&server, "/", |terms| terms.sha256 = Some(&wrong)).unwrap_err();
    assert!(error.message.contains("has the SHA-256"), "{}", error.message);
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_part_left_by_a_killed_process_is_taken_up_only_if_it_is_sound() {
    let body = many(50_000);
    let told = body.clone();
    let server = Server::new(move |n, asked| match (n % 2, asked.offset()) {
        (0, None) => Reply::Hang(cut(&told, 60_000, "\"v1\"")),
        (_, Some(offset)) => Reply::Raw(rest(&told, offset, "\"v1\"")),
        (_, None) => whole(&told),
    });
    let url = Url::parse(&server.url("/")).unwrap();
    let mut client = hurried();
    client.pauses.clear();
    for damage in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let run = || download(request(&url), dir.path(), "0", &Client::new(client.clone()).unwrap(), Hooks::NONE);
        assert_eq!(run().unwrap_err().kind, Kind::Network);
        let part = dir.path().join("0.part");
        let mut bytes = std::fs::read(&part).unwrap();
        if damage {
            bytes[100] ^= 1;
        }
        // Bytes that were never written down do not count.
        bytes.extend(b"garbage");
        std::fs::write(&part, bytes).unwrap();
        assert_eq!(std::fs::read(run().unwrap().path).unwrap(), body);
        assert_eq!(server.asked().last().unwrap().offset().is_none(), damage);
    }
}

#[test]
fn stopping_takes_a_moment_whatever_the_server_does() {
    let server = Server::new(|_, _| Reply::Hang(cut(TEXT, 9, "\"a\"")));
    let url = Url::parse(&server.url("/")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let patient = Settings { stall: Duration::from_hours(1), ..hurried() };
    let stop = AtomicBool::new(false);
    let hooks = Hooks {
        start: &|_| stop.store(true, Ordering::Relaxed),
        advance: &|_| {},
        cancelled: &|| stop.load(Ordering::Relaxed),
    };
    let begun = Instant::now();
    let error = download(request(&url), dir.path(), "0", &Client::new(patient).unwrap(), hooks).unwrap_err();
    assert_eq!(error.kind, Kind::Cancelled);
    // Generous for a busy machine, and far from the hour that the server would take.
    assert!(begun.elapsed() < Duration::from_mins(1));
}

#[test]
fn credentials_are_sent_to_the_server_that_they_are_for() {
    let other = Server::new(|_, _| whole(TEXT));
    let elsewhere = other.url("/there?sig=canary");
    let server = Server::new(move |_, _| redirect(&elsewhere));
    let dir = tempfile::tempdir().unwrap();
    let url = Url::parse(&server.url("/a?token=canary").replace("127.0.0.1", "user:canary@127.0.0.1")).unwrap();
    get_into(dir.path(), request(&url), Hooks::NONE).unwrap();
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/a?token=canary");
    // `printf 'user:canary' | base64`
    assert_eq!(asked.header("authorization"), Some("Basic dXNlcjpjYW5hcnk="));
    assert_eq!(asked.header("host").map(|host| host.contains("canary")), Some(false));
    assert_eq!(other.asked()[0].header("authorization"), None);
    for entry in dir.path().read_dir().unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    }
}
