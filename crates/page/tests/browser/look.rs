//! Sizes, colours and media.

use serde_json::json;

use crate::sweep;

/// No part of the page is wider than the window, whatever is unfolded; what is wider scrolls in its own box.
const OVERFLOW: &str = "(() => { const w = document.documentElement.clientWidth;
    const wide = [...document.body.querySelectorAll('*')].filter((e) => !e.closest('.scroll, pre, .vh, .skip')
        && e.getBoundingClientRect().right > w + 0.5).map((e) => e.outerHTML.slice(0, 80));
    return [document.documentElement.scrollWidth > w, ...wide]; })()";

#[test]
fn a_phone_shows_everything_without_scrolling_sideways() {
    let Some(mut browser) = sweep() else { return };
    browser.size(360, 740);
    browser.shot("phone-light-top", false);
    assert_eq!(browser.eval(OVERFLOW), json!([false]));
    browser.eval("document.querySelectorAll('details').forEach((d, i) => { if (i < 20) d.open = true })");
    browser.eval("document.querySelectorAll('.choose select').forEach((s, i) => { s.selectedIndex = 30 + 41 * i; s.dispatchEvent(new Event('change')) })");
    browser.eval("document.querySelectorAll('[aria-expanded=false]').forEach((b) => b.click())");
    assert_eq!(browser.eval(OVERFLOW), json!([false]));
    // The first column stays in sight while the table scrolls.
    let left = "document.querySelector('#table-1 ~ .scroll tbody th').getBoundingClientRect().left";
    let before = browser.eval(left);
    browser.eval("document.querySelector('#table-1 ~ .scroll').scrollLeft = 200");
    assert_eq!(browser.eval("document.querySelector('#table-1 ~ .scroll').scrollLeft"), json!(200));
    assert_eq!(browser.eval(left), before);
    for (name, place) in [
        ("table", "#results"),
        ("figure", "#figure-1"),
        ("graph", "#pipeline"),
        ("compare", "#compare"),
        ("runs", "#stage-6"),
        ("run", "#run-6"),
    ] {
        browser.eval(&format!("document.querySelector('{place}').scrollIntoView()"));
        browser.shot(&format!("phone-light-{name}"), false);
    }
    browser.media("", "dark");
    browser.eval("document.querySelector('#results').scrollIntoView()");
    browser.shot("phone-dark-table", false);
}

#[test]
fn other_widths_fit_as_well() {
    let Some(mut browser) = sweep() else { return };
    for width in [320, 768, 1024, 1280, 1920] {
        browser.size(width, 900);
        assert_eq!(browser.eval(OVERFLOW), json!([false]), "{width}");
    }
}

#[test]
fn the_paper_is_dark_where_the_system_is_and_the_toggle_turns_it() {
    let Some(mut browser) = sweep() else { return };
    browser.size(1280, 1000);
    // The values of `--paper` in assets/tokens.css.
    let (light, dark) = (json!("rgb(255, 254, 251)"), json!("rgb(21, 24, 27)"));
    let paper = "getComputedStyle(document.body).backgroundColor";
    browser.media("", "light");
    assert_eq!(browser.eval(paper), light);
    browser.shot("desktop-light-top", false);
    browser.shot("desktop-light-whole", true);
    browser.media("", "dark");
    assert_eq!(browser.eval(paper), dark);
    browser.shot("desktop-dark-top", false);
    browser.shot("desktop-dark-whole", true);
    browser.click(".theme");
    assert_eq!(browser.eval(paper), light);
    browser.click(".theme");
    assert_eq!(browser.eval(paper), dark);
    browser.media("print", "dark");
    assert_eq!(browser.eval(paper), light);
    assert_eq!(browser.eval("getComputedStyle(document.querySelector('nav')).display"), json!("none"));
}

/// Contrast by WCAG 2.2, "relative luminance" and "contrast ratio", of all text against what is painted behind it.
const CONTRAST: &str = "(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const rgb = (css) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255]; };
    const bad = new Set();
    for (const e of document.body.querySelectorAll('*')) {
        if (!e.getClientRects().length || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
        const style = getComputedStyle(e);
        const box = e.closest('a.node')?.querySelector('.box');
        const paper = box ? rgb(getComputedStyle(box).fill) : behind(e);
        const ink = rgb(e instanceof SVGElement ? style.fill : style.color);
        const [hi, lo] = [light(ink), light(paper)].sort((a, b) => b - a);
        const ratio = (hi + 0.05) / (lo + 0.05);
        if (ratio < 4.5) bad.add(`${e.tagName}.${e.getAttribute('class')} ${ratio.toFixed(2)}`);
    }
    return [...bad];
})()";

#[test]
fn all_text_has_the_contrast_of_wcag_aa_in_dark_and_light() {
    let Some(mut browser) = sweep() else { return };
    browser.eval("document.querySelectorAll('details').forEach((d, i) => { if (i < 60) d.open = true })");
    browser.eval("document.querySelectorAll('.choose select').forEach((s, i) => { s.selectedIndex = 30 + 41 * i; s.dispatchEvent(new Event('change')) })");
    for scheme in ["light", "dark"] {
        browser.media("", scheme);
        assert_eq!(browser.eval(CONTRAST), json!([]), "{scheme}");
    }
}

#[test]
fn without_script_everything_is_there() {
    let Some(mut browser) = crate::Browser::start() else { return };
    browser.send("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    browser.open(&ncf_pipe_page::render(&crate::support::sample::page()).unwrap());
    // The protocol's own evaluation still works with the page's script off.
    assert_eq!(browser.eval("document.querySelectorAll('tbody tr').length"), json!(12 + 11 + 120 + 1));
    assert_eq!(browser.eval("document.querySelectorAll('details.run').length"), json!(126));
    assert_eq!(browser.eval("document.querySelectorAll('button, input, select').length"), json!(0));
    assert_eq!(browser.eval("document.querySelector('#compare').getClientRects().length"), json!(0));
    assert_eq!(browser.eval("document.querySelectorAll('#figure-1 title').length"), json!(12));
    // A link to a folded run unfolds it, by the HTML standard ("ancestor details revealing algorithm").
    browser.click("a[href='#run-1']");
    assert_eq!(browser.eval("document.querySelector('#run-1').closest('details').open"), json!(true));
    assert_eq!(browser.eval(OVERFLOW), json!([false]));
}
