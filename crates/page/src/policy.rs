//! The page's Content-Security-Policy: its own script and styles by hash, and nothing else.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::Digest;
use sha2::Sha256;

/// The source expression for an inline script or style with exactly this text (CSP Level 3, "hash-source").
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// The policy for a page with this one script and these styles.
///
/// No images, fonts, frames, forms or connections. `require-trusted-types-for` also keeps the page's own script from
/// ever making HTML out of text.
pub(crate) fn policy(script: &str, styles: &[&str]) -> String {
    let styles: Vec<String> = styles.iter().map(|style| hash(style)).collect();
    format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(script),
        styles.join(" "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_openssl() {
        // printf "alert('Hello, world.');" | openssl dgst -sha256 -binary | base64
        assert_eq!(hash("alert('Hello, world.');"), "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='");
    }
}
