//! YAML text to values with places: the scan and `serde_yaml`, which must agree.

use serde_json::Value;
use serde_yaml::Value as Yaml;

use crate::config::node::{Entry, Node, Tree};
use crate::config::scan::{Kind, Shape, scan};
use crate::config::{Problem, Source, Span, scalar, syntax};

/// Reads a text; `None` when it holds nothing.
///
/// # Errors
/// Everything that is wrong with it, as far as it could be read.
pub(super) fn read(source: &Source) -> Result<Option<Node>, Vec<Problem>> {
    let Some(shape) = scan(source)? else { return Ok(None) };
    let value: Yaml = serde_yaml::from_str(source.text()).map_err(|error| vec![second_reader(source, &error)])?;
    join(source, shape, value).map(Some).map_err(|problem| vec![problem])
}

/// An error of `serde_yaml` in a text that the scan could read.
fn second_reader(source: &Source, error: &serde_yaml::Error) -> Problem {
    let at = error.location().map_or(0, |location| offset(source.text(), location.line(), location.column()));
    // The location is repeated at the end of the message.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    syntax::explain(source, at, message, &syntax::tab_indents(source.text()))
}

/// The byte at this line and column, both from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[line_start..];
    line_start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
}

/// Gives the values of `serde_yaml` the places of the scan.
///
/// # Errors
/// Where the two differ in shape or value.
fn join(source: &Source, shape: Shape, value: Yaml) -> Result<Node, Problem> {
    let span = shape.span;
    let tree = match (shape.kind, value) {
        (Kind::List(items), Yaml::Sequence(values)) if items.len() == values.len() => {
            let pairs = items.into_iter().zip(values);
            Tree::List(pairs.map(|(item, value)| join(source, item, value)).collect::<Result<_, _>>()?)
        }
        (Kind::Map(entries), Yaml::Mapping(values)) if entries.len() == values.len() => {
            let pairs = entries.into_iter().zip(values).map(|((key, shape), (yaml_key, value))| {
                if yaml_key.as_str() != Some(&key.value) {
                    return Err(disagree(source, key.span));
                }
                Ok(Entry { key, value: join(source, shape, value)? })
            });
            Tree::Map(pairs.collect::<Result<_, _>>()?)
        }
        (Kind::Scalar { text, plain }, value) => {
            let expected = if plain { scalar::plain(&text).ok() } else { Some(Value::String(text)) };
            let value = json(value).filter(|value| Some(value) == expected.as_ref());
            Tree::Scalar(value.ok_or_else(|| disagree(source, span))?)
        }
        _ => return Err(disagree(source, span)),
    };
    Ok(Node { span, tree })
}

/// A scalar of `serde_yaml`, with integers and floats kept apart.
fn json(value: Yaml) -> Option<Value> {
    match value {
        Yaml::Null => Some(Value::Null),
        Yaml::Bool(value) => Some(Value::Bool(value)),
        Yaml::String(text) => Some(Value::String(text)),
        Yaml::Number(number) if number.is_f64() => number.as_f64().map(Value::from),
        Yaml::Number(number) => number.as_u64().map(Value::from).or_else(|| number.as_i64().map(Value::from)),
        Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => None,
    }
}

fn disagree(source: &Source, span: Span) -> Problem {
    Problem::new(source, span, "two readers of YAML understand this in different ways")
        .help("write it more simply: quote the text, or put it on one line")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Result<Option<Value>, Vec<Problem>> {
        let node = read(&Source::new("f", text))?;
        let plain = node.map(|node| node.value_with(&mut |_, text| Ok::<_, ()>(Value::from(text))).unwrap());
        Ok(plain)
    }

    #[test]
    fn values_of_every_style() {
        let text = "a: 1\nb: [1.0, 'x: y', \"\\t\", ~, true]\nc:\n- {d: }\n- |\n  two\n  lines\n- >-\n  fol\n  ded\ne: plain\n  folded\n";
        let expected = json!({
            "a": 1, "b": [1.0, "x: y", "\t", null, true], "c": [{"d": null}, "two\nlines\n", "fol ded"], "e": "plain folded"
        });
        assert_eq!(value(text).unwrap(), Some(expected));
    }

    #[test]
    fn nothing_is_nothing() {
        for text in ["", "\n\n", "# only a comment\n", "---\n...\n"] {
            assert!(value(text).is_ok_and(|value| value.is_none_or(|value| value.is_null())), "{text:?}");
        }
    }

    #[test]
    fn an_integer_and_a_float_of_the_same_size_stay_different() {
        let text = value("[4, 4.0]").unwrap().unwrap().to_string();
        assert_eq!(text, "[4,4.0]");
    }

    /// A JSON value of text that needs every kind of quoting.
    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            prop::num::f64::NORMAL.prop_map(Value::from),
            "[ -~é日\n\t]{0,12}".prop_map(Value::from),
            prop::sample::select(vec!["yes", "010", "1:2", "<<", "~", "null", "- a", "a: b", "#", "*a", "", "..."])
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[ -~é]{0,8}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().filter(|(key, _)| key != "<<").collect())),
            ]
        })
    }

    /// Block style with every key and text in double quotes, which JSON and YAML escape alike.
    fn block(value: &Value, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        match value {
            Value::Array(items) if !items.is_empty() => {
                for item in items {
                    out.extend(["\n", &pad, "-"]);
                    block(item, indent + 2, out);
                }
            }
            Value::Object(map) if !map.is_empty() => {
                for (key, item) in map {
                    out.extend(["\n", &pad, &Value::from(key.as_str()).to_string(), ":"]);
                    block(item, indent + 2, out);
                }
            }
            scalar => out.extend([" ", &scalar.to_string()]),
        }
    }

    proptest! {
        #[test]
        fn json_reads_back_as_itself(tree in tree()) {
            prop_assert_eq!(value(&tree.to_string()).unwrap(), Some(tree));
        }

        #[test]
        fn block_style_reads_back_as_itself(tree in tree()) {
            let mut text = String::new();
            block(&tree, 0, &mut text);
            prop_assert_eq!(value(&text).unwrap(), Some(tree));
        }

        #[test]
        fn what_another_writer_writes_reads_back_as_itself_or_is_refused(tree in tree()) {
            // serde_yaml leaves words such as `n` and `1:2` unquoted.
            let text = serde_yaml::to_string(&tree).unwrap();
            if let Ok(read) = value(&text) {
                prop_assert_eq!(read, Some(tree));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-\\[\\]{}:,?&*!|>'\"%@` \n\tab01#~<$.é\\\\]{0,80}|(?s).{0,80}") {
            let _ = value(&text);
        }
    }
}
