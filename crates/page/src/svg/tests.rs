use super::*;

fn figure(inside: &str) -> Figure {
    let svg = format!(r#"<svg xmlns="{SVG}" xmlns:xlink="{XLINK}" viewBox="0 0 600 300">{inside}</svg>"#);
    Figure { title: "t".to_owned(), caption: String::new(), svg }
}

fn rebuilt(inside: &str) -> Result<String, PageError> {
    rebuild(&figure(inside), 2).map(|drawing| drawing.svg)
}

#[test]
fn shapes_colours_and_tooltips_come_through() {
    let svg = rebuilt(
        r##"<!-- axes --><g class="a" clip-path="url(#c)"><circle cx="1" fill="var(--series-1)" data-tooltip="γ = 2 &lt; 3"/>
        <path d="M0 0" style="stroke: red; stroke-width:2"><title>x<![CDATA[<b>]]></title></path><use xlink:href="#m"/></g>"##,
    )
    .unwrap();
    assert!(svg.starts_with(
        r#"<svg role="img" aria-label="t" width="600" height="300" class="wide " viewBox="0 0 600 300">"#
    ));
    assert!(svg.contains(r#"<g class="a" clip-path="url(#f2-c)"><circle cx="1" fill="var(--series-1)"><title>γ = 2 &lt; 3</title></circle>"#));
    assert!(svg.contains(
        r##"<path d="M0 0" stroke="red" stroke-width="2"><title>x&lt;b&gt;</title></path><use href="#f2-m"></use>"##
    ));
    assert!(!svg.contains("axes") && !svg.contains("CDATA"));
}

#[test]
fn what_runs_loads_or_holds_html_is_refused() {
    // The first part is the list of the brief; the rest are parser differences known from sanitiser bypasses
    // (DOMPurify's test suite: foreignObject, style breaking out, animate on href, use of data URIs).
    for inside in [
        "<script>alert(1)</script>",
        "<SCRIPT/>",
        r#"<rect onclick="alert(1)"/>"#,
        r#"<rect ONLOAD="alert(1)"/>"#,
        r#"<a href="javascript:alert(1)"><text>x</text></a>"#,
        r#"<use href="javascript:alert(1)"/>"#,
        r#"<use href="http://example.org/a.svg#b"/>"#,
        r#"<use xlink:href="data:image/svg+xml,x#b"/>"#,
        r#"<image href="http://example.org/a.png"/>"#,
        r#"<rect fill="url(http://example.org/a)"/>"#,
        r#"<rect fill="URL(//example.org/a)"/>"#,
        r#"<rect fill="u\72l(//example.org/a)"/>"#,
        r#"<rect fill="url( #a)"/>"#,
        r#"<rect style="fill:url(//example.org/a)"/>"#,
        r#"<rect style="--x:1"/>"#,
        r#"<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>"#,
        r#"<p xmlns="http://www.w3.org/1999/xhtml">x</p>"#,
        "<p>x</p>",
        "<animate attributeName=\"href\"/>",
        "<style>@import url(//example.org/a.css);</style>",
        "<style>a{background:url(//example.org/a)}</style>",
        "<style>} body{display:none} x{</style>",
        "<style>a{content:\"{\"} } body{display:none}</style>",
        "<style>a{}/*</style>",
        "<style>&lt;/style>&lt;script></style>",
        r#"<iframe src="//example.org"/>"#,
        "<g>",
        r#"<rect x:y="1"/>"#,
    ] {
        let error = rebuilt(inside).expect_err(inside);
        assert!(matches!(error, PageError::Figure { .. }), "{inside}");
    }
    let entity =
        r#"<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">&a;</svg>"#;
    assert!(rebuild(&Figure { svg: entity.to_owned(), ..Figure::default() }, 1).is_err());
}

#[test]
fn elements_in_a_title_become_text_because_html_would_run_them() {
    // In HTML, `<title>` inside SVG is an HTML integration point (HTML standard, section 13.2.6).
    assert_eq!(
        rebuilt(r#"<g><title><text onload="x">a</text></title></g>"#).unwrap().split_once("><g>").unwrap().1,
        "<title>a</title></g></svg>"
    );
}

#[test]
fn deep_nesting_is_refused_without_running_out_of_stack() {
    for n in [DEPTH + 1, 200_000] {
        let error = rebuilt(&format!("{}{}", "<g>".repeat(n), "</g>".repeat(n))).unwrap_err();
        assert!(error.to_string().contains("deep"));
    }
    assert!(rebuilt(&format!("{}{}", "<g>".repeat(DEPTH - 1), "</g>".repeat(DEPTH - 1))).is_ok());
    assert!(rebuilt(&"<g/>".repeat(1000)).is_ok());
}

#[test]
fn rules_apply_to_their_figure_only() {
    let drawing = rebuild(&figure("<style>/* axes */ .axis { stroke: var(--ink) }</style>"), 3).unwrap();
    assert_eq!(drawing.style, "#figure-3 {\n.axis { stroke: var(--ink) }\n}\n");
}
