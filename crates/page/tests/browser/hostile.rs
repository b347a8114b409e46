//! What must not happen: scripts of others, requests, complaints of the browser.

use ncf_pipe_page::Page;
use serde_json::Value;
use serde_json::json;

use crate::Browser;
use crate::support;
use crate::sweep;

#[test]
fn the_browser_has_nothing_to_complain_about_and_nothing_is_asked_of_the_network() {
    let Some(mut browser) = sweep() else { return };
    browser.eval("document.querySelectorAll('button:not(.node)').forEach((b) => b.click())");
    browser.eval("document.querySelectorAll('details').forEach((d) => d.open = true)");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.requests(), Vec::<String>::new());
}

/// Ways to get a script to run from text in a page (OWASP, "XSS filter evasion"); each would set `pwned`.
const ATTACK: &str = concat!(
    "</title></style></script></textarea></svg>]]>--><script>pwned=1</script>",
    "\"'><img src=x onerror=pwned=1><svg onload=pwned=1>",
    "<a href=\"javascript:pwned=1\">x</a><details open ontoggle=pwned=1>",
    "{{constructor.constructor('pwned=1')()}}${pwned=1}`\u{0}\u{202e}<!--"
);

/// Puts the attack behind every text of a page.
fn poison(value: &mut Value) {
    match value {
        Value::String(text) => text.push_str(ATTACK),
        Value::Array(values) => values.iter_mut().for_each(poison),
        Value::Object(values) => {
            values.iter_mut().filter(|(name, _)| !is_fixed(name)).for_each(|(_, value)| poison(value));
        }
        _ => {}
    }
}

/// Words of our own, and SVG, which is refused with an attack in it.
fn is_fixed(name: &str) -> bool {
    matches!(name, "state" | "level" | "kind" | "better" | "svg" | "cells")
}

#[test]
fn a_page_full_of_attacks_runs_none_of_them() {
    let Some(mut browser) = Browser::start() else { return };
    let mut value = serde_json::to_value(support::sample::page()).unwrap();
    poison(&mut value);
    let page: Page = serde_json::from_value(value).unwrap();
    browser.open(&ncf_pipe_page::render(&page).unwrap());
    browser.eval("document.querySelectorAll('details').forEach((d) => d.open = true)");
    browser.eval("document.querySelectorAll('.choose select').forEach((s, i) => { s.selectedIndex = 30 + 41 * i; s.dispatchEvent(new Event('change')) })");
    browser.eval("document.querySelectorAll('[data-tooltip]').forEach((e) => { if (e.tabIndex >= 0) e.focus() })");
    browser.eval("document.querySelectorAll('button').forEach((b) => b.click())");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.requests(), Vec::<String>::new());
    assert_eq!(browser.eval("typeof pwned"), json!("undefined"));
    assert_eq!(
        browser.eval("document.querySelectorAll('img, [onerror], [onload], [ontoggle], main script').length"),
        json!(0)
    );
    assert!(browser.eval("document.title").as_str().unwrap().contains("<script>pwned=1</script>"));
}

#[test]
fn a_script_that_got_into_the_file_would_not_run() {
    let Some(mut browser) = Browser::start() else { return };
    let html = ncf_pipe_page::render(&support::sample::page()).unwrap();
    // Not by us: this is what the policy is for, should all else fail.
    let injected = "<main><script>pwned=1</script><img src=x onerror=pwned=1><svg onload=pwned=1></svg>\
        <link rel=stylesheet href='file:///x.css'><iframe srcdoc='<script>parent.pwned=1</script>'></iframe><p style='color:red'>";
    browser.open(&html.replacen("<main", &format!("{injected}<main"), 1));
    assert_eq!(browser.eval("typeof pwned"), json!("undefined"));
    let complaints = browser.complaints().join("\n");
    for directive in ["script-src", "style-src", "default-src"] {
        assert!(complaints.contains(directive), "{directive}: {complaints}");
    }
}
