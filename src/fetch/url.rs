//! URLs that keep their secrets.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ureq::http::Uri;

use crate::fetch::base_name;

/// Names of query parameters that hold credentials or expire with them, in lower case: presigned URLs of S3, Google and
/// CloudFront, and what tokens are usually called.
const SECRET_KEYS: [&str; 9] =
    ["sig", "awsaccesskeyid", "googleaccessid", "key-pair-id", "policy", "expires", "key", "auth", "jwt"];
/// What comes with `sig` in a shared access signature of Azure, and may mean anything elsewhere.
const SIGNED_KEYS: [&str; 13] =
    ["sv", "st", "se", "sr", "sp", "spr", "sip", "skoid", "sktid", "skt", "ske", "sks", "skv"];
/// What the name of a parameter with a credential begins with or has in it.
const SECRET_STARTS: [&str; 3] = ["x-amz-", "x-goog-", "x-ms-"];
const SECRET_PARTS: [&str; 8] =
    ["token", "secret", "passw", "credential", "signature", "apikey", "api_key", "access_key"];

/// An http or https URL. As text, in JSON and in `Debug` it is without its credentials: user and password, signatures
/// and tokens in the query. Two URLs that differ only in those are the same file.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Without user and password.
    uri: Uri,
    /// The value of an `Authorization` header.
    authorization: Option<String>,
    shown: String,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong, without the URL itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a URL has only ASCII characters, and others as `%20`".to_owned());
        }
        match scheme(text) {
            Some(scheme) if ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) => {}
            Some(scheme) => return Err(format!("`{scheme}` is neither https nor http")),
            None => return Err("a URL begins with `https://`".to_owned()),
        }
        let uri: Uri = text.parse().map_err(|_| "not a URL".to_owned())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("a URL has a host, as in `https://example.org/file`".to_owned());
        };
        if authority.host().is_empty() {
            return Err("the URL has no host".to_owned());
        }
        let (user, place) = match authority.as_str().rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority.as_str()),
        };
        let port = place.strip_prefix(authority.host()).and_then(|port| port.strip_prefix(':'));
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err("the URL has no number for a port".to_owned());
        }
        let rest = uri.path_and_query().map_or("", |rest| rest.as_str());
        let path_and_query = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        let shown = format!("{scheme}://{place}{}", without_secrets(&path_and_query));
        let bare = format!("{scheme}://{place}{path_and_query}").parse().map_err(|_| "not a URL".to_owned())?;
        Ok(Self { uri: bare, authorization: user.map(basic), shown })
    }

    /// The host, without the port.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// Whether it is encrypted.
    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The name of the file at the end of the path; empty if there is none.
    pub fn file_name(&self) -> &str {
        base_name(self.uri.path())
    }

    /// What a `Location` header means here (RFC 3986, section 5.2). Credentials go along only to the same server.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn join(&self, location: &str) -> Result<Self, String> {
        let location = location.split('#').next().unwrap_or_default().replace(' ', "%20");
        if scheme(&location).is_some() {
            return Self::parse(&location);
        }
        let (own_scheme, place) = (self.uri.scheme_str().unwrap_or_default(), self.place());
        if location.starts_with("//") {
            return Self::parse(&format!("{own_scheme}:{location}"));
        }
        let (path, query) =
            location.split_once('?').map_or((location.as_str(), None), |(path, query)| (path, Some(query)));
        let base = self.uri.path();
        let query = query.or_else(|| self.uri.query().filter(|_| path.is_empty()));
        let path = if path.is_empty() {
            base.to_owned()
        } else if path.starts_with('/') {
            without_dots(path)
        } else {
            without_dots(&format!("{}/{path}", base.rsplit_once('/').map_or("", |(parent, _)| parent)))
        };
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        let joined = Self::parse(&format!("{own_scheme}://{place}{path}{query}"))?;
        Ok(Self { authorization: self.authorization.clone(), ..joined })
    }

    fn place(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

/// What stands before the first `:`, if that can be a scheme.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain)).then_some(scheme)
}

/// Section 5.2.4 of RFC 3986, for an absolute path.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut open = false;
    for part in path.split('/').skip(1) {
        open = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}{}", parts.join("/"), if open && !parts.is_empty() { "/" } else { "" })
}

fn without_secrets(path_and_query: &str) -> String {
    let Some((path, query)) = path_and_query.split_once('?') else { return path_and_query.to_owned() };
    let key = |pair: &str| {
        String::from_utf8_lossy(&percent_decoded(pair.split('=').next().unwrap_or_default())).to_ascii_lowercase()
    };
    let signed = query.split('&').any(|pair| key(pair) == "sig");
    let is_secret = |pair: &&str| {
        let key = key(pair);
        SECRET_KEYS.contains(&key.as_str())
            || (signed && SIGNED_KEYS.contains(&key.as_str()))
            || SECRET_STARTS.iter().any(|start| key.starts_with(start))
            || SECRET_PARTS.iter().any(|part| key.contains(part))
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_secret(pair)).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = hex.filter(|_| bytes[at] == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

/// The `Authorization` header for `user:password` (RFC 7617).
fn basic(user: &str) -> String {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let plain = [percent_decoded(name), b":".to_vec(), percent_decoded(password)].concat();
    format!("Basic {}", base64(&plain))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digit = move |n: usize| {
            if n > chunk.len() { '=' } else { char::from(DIGITS[(word >> (18 - 6 * n)) as usize & 63]) }
        };
        (0..4).map(digit)
    });
    digits.collect()
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({})", self.shown)
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown)
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<'de, str>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Url {
    fn schema_name() -> Cow<'static, str> {
        "Url".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^https?://" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"))
    }

    #[test]
    fn credentials_are_sent_and_never_shown() {
        let secret =
            url("https://user:p%40ss@host.org:8443/a/b.zip?download=1&X-Amz-Signature=canary&x-amz-credential=canary\
             &sig=canary&Expires=1&access_token=canary&%73ig=canary&file=u.data#canary");
        let shown = "https://host.org:8443/a/b.zip?download=1&file=u.data";
        assert_eq!(secret.to_string(), shown);
        assert_eq!(format!("{secret:?}"), format!("Url({shown})"));
        assert_eq!(serde_json::to_value(&secret).unwrap(), shown);
        assert_eq!((secret.host(), secret.file_name(), secret.is_https()), ("host.org", "b.zip", true));
        // `printf 'user:p@ss' | base64`
        assert_eq!(secret.authorization(), Some("Basic dXNlcjpwQHNz"));
        assert!(secret.uri().to_string().contains("X-Amz-Signature=canary"));
        assert!(!secret.uri().to_string().contains("user"));
        assert_eq!(url("http://h?sig=canary&sv=2020&st=x").to_string(), "http://h/");
        assert_eq!(url("http://h?sv=2020&st=x").to_string(), "http://h/?sv=2020&st=x");
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        let table =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, encoded) in table {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn what_is_no_web_address_is_refused_without_being_shown() {
        for text in [
            "",
            "u.data",
            "/data",
            "file:///etc/canary",
            "ftp://canary/x",
            "https://",
            "https:///canary",
            "https://a b/canary",
            "https://\u{e9}.org/canary",
            "https://u:canary@",
            "https://h:canary/",
            "javascript:canary",
        ] {
            let reason = Url::parse(text).unwrap_err();
            assert!(!reason.contains("canary"), "{text}: {reason}");
        }
    }

    #[test]
    fn a_location_means_what_the_standard_says() {
        // RFC 3986, section 5.4, with `http://a/b/c/d?q` in place of `http://a/b/c/d;p?q`, and without fragments.
        let base = url("http://u:p@a/b/c/d;p?q");
        for (location, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("https://h/x y", "https://h/x%20y"),
        ] {
            assert_eq!(base.join(location).unwrap().to_string(), expected, "{location}");
        }
        assert!(base.join("g").unwrap().authorization().is_some());
        for elsewhere in ["//g", "http://a.evil/", "https://a/"] {
            assert!(base.join(elsewhere).unwrap().authorization().is_none(), "{elsewhere}");
        }
        assert_eq!(base.join("file:///etc/passwd").unwrap_err(), "`file` is neither https nor http");
    }
}
