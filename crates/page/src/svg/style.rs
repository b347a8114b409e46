//! Styles of figures: kept inside the figure, and kept from loading anything.

use crate::svg::names;

/// Refuses what could load something or hide it from this check.
///
/// # Errors
/// If `css` has an escape, a reference that is not to an id of the figure, or a function that loads.
pub(super) fn check(css: &str) -> Result<(), String> {
    let plain: String = css.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    for bad in
        ["\\", "<", "javascript:", "expression(", "image(", "image-set(", "src(", "element(", "@import", "@font-face"]
    {
        if plain.contains(bad) {
            return Err(format!("`{bad}` is not allowed in a figure: remove it"));
        }
    }
    // Exactly `url(#`: with quotes or spaces the prefix of ids would not be found.
    if css.to_ascii_lowercase().matches("url(").count() != css.matches("url(#").count() || plain.contains("url(#)") {
        return Err("`url(…)` is external: refer to an id, as in `url(#clip)`".to_owned());
    }
    Ok(())
}

/// The declarations of a `style` attribute as presentation attributes: the page's policy applies no `style` attribute.
///
/// # Errors
/// If one of them is no presentation attribute, or not allowed.
pub(super) fn declarations(css: &str) -> Result<Vec<(&str, &str)>, String> {
    check(css)?;
    let mut found = Vec::new();
    for part in css.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (property, value) = part.split_once(':').unwrap_or((part, ""));
        let (property, value) = (property.trim(), value.trim());
        if !names::PROPERTIES.contains(&property) || value.contains("url(") || value.contains('!') {
            return Err(format!("`{part}` cannot be an attribute: use a class and a `<style>` element"));
        }
        found.push((property, value));
    }
    Ok(found)
}

/// The rules of a `<style>` element, nested into `scope` so that they apply to nothing else on the page.
///
/// # Errors
/// If the rules have something that is not allowed, an id, or braces or quotes that do not match.
pub(super) fn scoped(css: &str, scope: &str) -> Result<String, String> {
    let css = without_comments(css)?;
    check(&css)?;
    if css.contains("url(") {
        return Err("`url(…)` is not allowed in `<style>`: use a presentation attribute".to_owned());
    }
    let mut depth = 0_i32;
    let mut quote = None;
    for c in css.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), '\n' | '\r' | '{' | '}') => {
                return Err("a quote in its `<style>` is not closed: close it".to_owned());
            }
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    if depth != 0 || quote.is_some() {
        return Err("the braces or quotes in its `<style>` do not match: correct them".to_owned());
    }
    Ok(format!("{scope} {{\n{}\n}}\n", css.trim()))
}

fn without_comments(css: &str) -> Result<String, String> {
    let mut out = String::with_capacity(css.len());
    let mut rest = css;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        out.push(' ');
        let (_, after) = after.split_once("*/").ok_or("a comment in its `<style>` is not closed: close it")?;
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
