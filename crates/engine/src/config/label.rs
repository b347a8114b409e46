//! Short, readable names for the cells of a matrix, safe as file names.

use std::fmt::Write;

use serde_json::Value;

use crate::config::Cell;

/// The longest text of one value.
const LONGEST_VALUE: usize = 40;
/// The longest label: a directory name can have 255 bytes, and others put words of their own around it.
const LONGEST: usize = 160;

/// The name of a cell: `factors=8,seed=1`, axes in alphabetical order, only `[A-Za-z0-9._=,+-]`.
///
/// It depends on nothing but the cell, so that the outputs of a cell stay where they are when the matrix grows.
/// Where a value had to be shortened or rewritten, eight digits of its digest follow, so that values that look
/// the same stay apart. An empty cell has an empty label.
pub fn cell_label(cell: &Cell) -> String {
    let label = axis_labels(cell).join(",");
    if label.len() <= LONGEST {
        return label;
    }
    let all = Value::Object(cell.iter().map(|(axis, value)| (axis.clone(), value.clone())).collect());
    format!("{}-{}", &label[..label.floor_char_boundary(LONGEST)], digest(&all))
}

/// The coordinates of a cell one by one, as they stand in its label.
pub fn axis_labels(cell: &Cell) -> Vec<String> {
    cell.iter().map(|(axis, value)| format!("{axis}={}", value_label(value))).collect()
}

fn value_label(value: &Value) -> String {
    let (text, exact) = match value {
        Value::Array(items) if items.len() > 1 => {
            let parts: Vec<_> = items.iter().map(scalar_label).collect();
            let exact = parts.iter().all(|(part, exact)| *exact && !part.contains('+'));
            (parts.into_iter().map(|(part, _)| part).collect::<Vec<_>>().join("+"), exact)
        }
        value => scalar_label(value),
    };
    if exact && text.len() <= LONGEST_VALUE {
        return text;
    }
    format!("{}-{}", &text[..text.floor_char_boundary(LONGEST_VALUE)], digest(value))
}

/// A readable text, and whether it can stand for nothing but this value.
fn scalar_label(value: &Value) -> (String, bool) {
    match value {
        Value::Null => ("null".to_owned(), true),
        Value::Bool(value) => (value.to_string(), true),
        Value::Number(number) => (number.to_string(), true),
        Value::String(text) => {
            let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let shown: String = text.chars().map(|c| if safe(c) { c } else { '_' }).collect();
            let like_another = matches!(text.as_str(), "" | "null" | "true" | "false") || text.parse::<f64>().is_ok();
            let exact = shown == *text && !like_another && !text.ends_with('.');
            (shown, exact)
        }
        Value::Array(items) => {
            let parts: Vec<String> = items.iter().map(|item| scalar_label(item).0).collect();
            (parts.join("+"), false)
        }
        Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(key, item)| scalar_label(&Value::from(format!("{key}.{}", scalar_label(item).0))).0)
                .collect();
            (parts.join("+"), false)
        }
    }
}

/// The first eight hexadecimal digits of the digest of the value's canonical JSON.
fn digest(value: &Value) -> String {
    blake3::hash(canonical(value).as_bytes()).to_hex()[..8].to_owned()
}

/// JSON with sorted keys: equal exactly when the values are, and 4 is not 4.0.
pub(super) fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                // Writing to a `String` cannot fail.
                let _ = write!(out, "{comma}{}:", Value::from(key.as_str()));
                write_canonical(item, out);
            }
            out.push('}');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn label(value: Value) -> String {
        cell_label(&BTreeMap::from([("a".to_owned(), value)]))
    }

    #[test]
    fn simple_cells_read_as_they_were_written() {
        let cell: Cell =
            [("seed", json!(1)), ("factors", json!(8))].map(|(axis, value)| (axis.to_owned(), value)).into();
        assert_eq!(cell_label(&cell), "factors=8,seed=1");
        assert_eq!(label(json!(0.001)), "a=0.001");
        assert_eq!(label(json!(-1e-7)), "a=-1e-7");
        assert_eq!(label(json!("bce")), "a=bce");
        assert_eq!(label(json!(true)), "a=true");
        assert_eq!(label(json!([64, 32, 16])), "a=64+32+16");
        assert_eq!(cell_label(&Cell::new()), "");
    }

    #[test]
    fn values_that_look_the_same_stay_apart() {
        let values = [
            json!(8),
            json!(8.0),
            json!("8"),
            json!([8]),
            json!("8+9"),
            json!([8, 9]),
            json!(["8", "9"]),
            json!("a b"),
            json!("a_b"),
            json!("a/b"),
            json!(null),
            json!("null"),
            json!(""),
            json!([]),
            json!({}),
            json!({"a": 1}),
            json!("a.1"),
            json!("x".repeat(200)),
            json!("x".repeat(201)),
        ];
        let labels: std::collections::BTreeSet<_> = values.iter().cloned().map(label).collect();
        assert_eq!(labels.len(), values.len(), "{labels:?}");
    }

    #[test]
    fn maps_are_shown_by_their_words() {
        let shown = label(json!({"kind": "power", "gamma": 2}));
        assert!(shown.starts_with("a=gamma.2_kind.power-") || shown.starts_with("a=gamma.2+kind.power-"), "{shown}");
    }

    #[test]
    fn canonical_json_tells_integers_from_floats() {
        assert_ne!(canonical(&json!(4)), canonical(&json!(4.0)));
        assert_eq!(canonical(&json!({"b": [1, {"d": 1, "c": 2}], "a": "\""})), r#"{"a":"\"","b":[1,{"c":2,"d":1}]}"#);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i16>().prop_map(Value::from),
            any::<f32>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| Value::from(f64::from(x))),
            "(?s).{0,60}|[0-9.+a-c]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Value::from))
    }

    proptest! {
        #[test]
        fn labels_are_safe_file_names_and_differ_when_values_do(a in value(), b in value()) {
            for shown in [label(a.clone()), cell_label(&("abcdef".chars().map(|axis| (axis.to_string(), a.clone())).collect()))] {
                prop_assert!(shown.len() <= 200);
                prop_assert!(shown.chars().all(|c| c.is_ascii_alphanumeric() || "._=,+-".contains(c)));
                prop_assert!(!shown.ends_with('.'));
            }
            prop_assert_eq!(canonical(&a) == canonical(&b), label(a) == label(b));
        }
    }
}
