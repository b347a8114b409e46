//! What a schema takes and what a file holds, as parts of sentences.

use serde_json::{Map, Number, Value};

use crate::pipeline::misfit::names;

/// What a schema takes, in words.
pub(super) fn expected(types: &Value, parts: &[&Map<String, Value>]) -> String {
    let bound = |key: &str| parts.iter().find_map(|part| part.get(key).filter(|bound| bound.is_number()));
    let range = match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" from {least} on"),
        (None, Some(most)) => format!(" up to {most}"),
        (None, None) => String::new(),
    };
    let word = |name: &str| match name {
        "integer" => Some(format!("a whole number{range}")),
        "number" => Some(format!("a number{range}")),
        "boolean" => Some("`true` or `false`".to_owned()),
        "string" => Some("a text".to_owned()),
        "array" => Some("a list".to_owned()),
        "object" => Some("a mapping".to_owned()),
        _ => None,
    };
    names(types).filter_map(word).collect::<Vec<_>>().join(" or ")
}

/// The number that was probably meant by a text, or by one with a point.
pub(super) fn number_meant(value: &Value, whole: bool) -> Option<Number> {
    let meant = match value {
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        Value::Number(number) => number.as_f64()?,
        _ => return None,
    };
    if whole {
        // Beyond that, not all whole numbers have a double.
        return (meant.fract() == 0.0 && meant.abs() < 9e15).then(|| Number::from(meant as i64));
    }
    Number::from_f64(meant)
}

/// A number that fits: the default, the least, or 1.
pub(super) fn typical(parts: &[&Map<String, Value>], whole: bool) -> String {
    let of = |key: &str| parts.iter().find_map(|part| part.get(key).filter(|value| value.is_number()));
    let positive = |value: &&Value| value.as_f64().is_some_and(|value| value > 0.0);
    let other = || if whole { "1".to_owned() } else { "0.5".to_owned() };
    of("default").or_else(|| of("minimum").filter(positive)).map_or_else(other, ToString::to_string)
}

/// A value as part of a sentence.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.is_empty() => "an empty text".to_owned(),
        Value::String(text) => format!("the text `{}`", short(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// A text that a message can hold.
pub(super) fn short(text: &str) -> String {
    const SHOWN: usize = 60;
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let mut shown: String = text.chars().take(SHOWN).map(escape).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// A value as it is written in the file: words without quotes.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if is_word(text) => text.clone(),
        Value::String(text) => format!("\"{}\"", short(text)),
        value => value.to_string(),
    }
}

fn is_word(text: &str) -> bool {
    const NO_TEXT: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "y"];
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !NO_TEXT.contains(&text)
}

pub(super) fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

pub(super) fn one_of(words: &[&str]) -> String {
    if let [word] = words { format!("`{word}`") } else { format!("one of {}", list(words)) }
}
