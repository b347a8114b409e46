//! Credentials in URLs, kept out of what is printed.

/// The text with `*` in place of every byte of a user, a password or a query in a URL. Its length stays, so that places in
/// it do, too.
pub(super) fn masked(text: &str) -> String {
    const START: &str = "://";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(START) {
        let (before, url) = rest.split_at(at + START.len());
        out.push_str(before);
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '}' | ']' | ',');
        let (url, after) = url.split_at(url.find(ends).unwrap_or(url.len()));
        let (place, query) = url.split_at(url.find('?').map_or(url.len(), |at| at + 1));
        let user = place[..place.find('/').unwrap_or(place.len())].rfind('@').unwrap_or(0);
        out.extend(std::iter::repeat_n('*', user));
        out.push_str(&place[user..]);
        out.extend(std::iter::repeat_n('*', query.len()));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_passwords_and_queries_are_masked_and_nothing_moves() {
        for (text, expected) in [
            ("no url, a@b ? c", "no url, a@b ? c"),
            ("{url: \"https://h.org/a\"}", "{url: \"https://h.org/a\"}"),
            ("{url: \"https://u:p@h.org/a?x=1\", b: 2}", "{url: \"https://***@h.org/a?***\", b: 2}"),
            ("a://\u{e9}@h b://h?\u{e9}\nc?d", "a://**@h b://h?**\nc?d"),
            ("https://h/a@b", "https://h/a@b"),
            ("https://u:p", "https://u:p"),
        ] {
            assert_eq!(masked(text), expected);
            assert_eq!(masked(text).len(), text.len());
        }
    }
}
