//! Which value of a stage's parameters does not fit, and what to write in its place.
//!
//! serde speaks of Rust's types, and inside an enum that a `kind` tells apart it does not say where. The JSON Schema of a
//! kind knows what each value takes, so it is asked once serde has refused: what fits is decided by serde alone.

#[cfg(test)]
mod tests;
mod words;

use serde_json::{Map, Value};

use crate::config::suggest;
use crate::pipeline::misfit::words::{expected, list, number_meant, one_of, plain, short, shown, typical};

/// A value that is not what its parameter takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Keys and positions from the stage down to the value.
    pub(super) path: Vec<String>,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) help: String,
}

/// How a value would be written at a path: `k: [10]`.
pub(super) type Write<'a> = &'a dyn Fn(&[String], &str) -> String;

/// The first value that does not fit the schema.
pub(super) fn misfit(schema: &Value, params: &Value, write: Write<'_>) -> Option<Misfit> {
    Search { root: schema, write }.look(schema, params, &[])
}

/// The paths of all parameters, those of every alternative included, the shorter ones first.
pub(super) fn paths(schema: &Value) -> Vec<Vec<String>> {
    const DEPTH: usize = 3;
    let search = Search { root: schema, write: &|_, _| String::new() };
    let (mut found, mut open) = (Vec::new(), vec![(Vec::new(), schema)]);
    while !open.is_empty() {
        let mut below = Vec::new();
        for (path, schema) in open {
            for part in search.parts(schema) {
                let branches = ["oneOf", "anyOf"].iter().filter_map(|key| part.get(*key)?.as_array()).flatten();
                let parts = branches.flat_map(|branch| search.parts(branch)).chain([part]);
                for (name, property) in parts.filter_map(|part| part.get("properties")?.as_object()).flatten() {
                    let path: Vec<String> = [path.as_slice(), std::slice::from_ref(name)].concat();
                    if !found.contains(&path) {
                        found.push(path.clone());
                    }
                    below.push((path, property));
                }
            }
        }
        below.retain(|(path, _)| path.len() < DEPTH);
        open = below;
    }
    found
}

struct Search<'a> {
    root: &'a Value,
    write: Write<'a>,
}

/// References in a schema that are followed, one below the other.
const DEEPEST: usize = 32;

impl<'a> Search<'a> {
    /// A schema, what it refers to, and what it is joined with.
    fn parts(&self, schema: &'a Value) -> Vec<&'a Map<String, Value>> {
        let mut parts = Vec::new();
        let mut open = vec![(schema, 0)];
        while let Some((schema, depth)) = open.pop() {
            let Value::Object(part) = schema else { continue };
            parts.push(part);
            if depth == DEEPEST {
                continue;
            }
            if let Some(target) = part.get("$ref").and_then(Value::as_str) {
                let found = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
                open.extend(found.map(|found| (found, depth + 1)));
            }
            open.extend(part.get("allOf").and_then(Value::as_array).into_iter().flatten().map(|all| (all, depth + 1)));
        }
        parts
    }

    fn look(&self, schema: &'a Value, value: &Value, path: &[String]) -> Option<Misfit> {
        let parts = self.parts(schema);
        for part in &parts {
            for branches in ["oneOf", "anyOf"].iter().filter_map(|key| part.get(*key)?.as_array()) {
                if let Some(found) = self.choose(&parts, branches, value, path) {
                    return Some(found);
                }
            }
            if let Some(words) = words_of(part)
                && !words.contains(&value.as_str().unwrap_or_default())
            {
                return Some(no_word(&words, value, path));
            }
        }
        if let Some(types) = parts.iter().find_map(|part| part.get("type"))
            && !takes(types, &parts, value)
        {
            return Some(self.wrong_type(types, &parts, value, path));
        }
        let below = |step: String| [path, &[step]].concat();
        match value {
            Value::Object(map) => map.iter().find_map(|(key, value)| {
                let property = |part: &&'a Map<String, Value>| part.get("properties")?.get(key);
                let other = |part: &&'a Map<String, Value>| part.get("additionalProperties");
                let schema = parts.iter().find_map(property).or_else(|| parts.iter().find_map(other))?;
                self.look(schema, value, &below(key.clone()))
            }),
            Value::Array(items) => {
                let schema = parts.iter().find_map(|part| part.get("items"))?;
                let look = |(i, item): (usize, &Value)| self.look(schema, item, &below(i.to_string()));
                items.iter().enumerate().find_map(look)
            }
            _ => None,
        }
    }

    /// Looks into the branch that is meant.
    fn choose(
        &self,
        outside: &[&'a Map<String, Value>],
        branches: &'a [Value],
        value: &Value,
        path: &[String],
    ) -> Option<Misfit> {
        let resolved: Vec<(&'a Value, Vec<&'a Map<String, Value>>)> =
            branches.iter().map(|branch| (branch, self.parts(branch))).collect();
        if let Some((tag, words)) = tags(&resolved.iter().map(|(_, parts)| parts.as_slice()).collect::<Vec<_>>()) {
            let Value::Object(map) = value else { return Some(self.no_tagged(&tag, &words, value, path)) };
            let Some(given) = map.get(&tag) else {
                let takes = |parts: &[&'a Map<String, Value>], key: &str| {
                    parts.iter().any(|part| part.get("properties").is_some_and(|known| known.get(key).is_some()))
                };
                let all = |parts: &[&'a Map<String, Value>]| map.keys().all(|key| takes(parts, key));
                let fit = words.iter().zip(&resolved).filter(|(_, (_, parts))| all(parts)).map(|(word, _)| *word);
                let fit: Vec<&str> = fit.collect();
                let help = match fit[..] {
                    [word] => format!("add `{tag}: {word}`"),
                    [] => format!("add `{tag}: …`, one of {}", list(&words)),
                    _ => format!("add `{tag}: …`, one of {}", list(&fit)),
                };
                return Some(miss_at(path, format!("missing field `{tag}`"), help));
            };
            let place = given.as_str().and_then(|given| words.iter().position(|word| *word == given));
            let Some(place) = place else {
                return Some(no_word(&words, given, &[path, &[tag]].concat()));
            };
            return self.look(resolved[place].0, value, path);
        }
        let all_words: Option<Vec<Vec<&str>>> =
            resolved.iter().map(|(_, parts)| parts.iter().find_map(|part| words_of(part))).collect();
        if let Some(words) = all_words {
            let words = words.concat();
            let known = value.as_str().is_some_and(|value| words.contains(&value));
            return (!known).then(|| no_word(&words, value, path));
        }
        let mut found = None;
        for (branch, parts) in &resolved {
            let miss = self.look(branch, value, path)?;
            // What is wrong inside the branch of the same type says more than that no branch fits.
            let type_fits =
                parts.iter().find_map(|part| part.get("type")).is_none_or(|types| takes(types, parts, value));
            let null = parts.iter().any(|part| part.get("type") == Some(&Value::from("null")));
            if !null && (found.is_none() || (type_fits && miss.path.len() > path.len())) {
                found = Some(miss);
            }
        }
        let expected: Vec<String> = resolved
            .iter()
            .filter_map(|(_, parts)| {
                if let Some(words) = parts.iter().find_map(|part| words_of(part)) {
                    return Some(list(&words));
                }
                let types = parts.iter().find_map(|part| part.get("type"))?;
                (types != "null").then(|| expected(types, parts))
            })
            .collect();
        match found {
            Some(miss) if miss.path.len() == path.len() && expected.len() > 1 => {
                let example = outside.iter().find_map(|part| part.get("default")).filter(|value| !value.is_null());
                let help = match example {
                    Some(example) => format!("write for example `{}`", (self.write)(path, &plain(example))),
                    None => format!("give {}", expected.join(", or ")),
                };
                Some(miss_at(path, format!("expected {}, not {}", expected.join(", or "), shown(value)), help))
            }
            found => found,
        }
    }

    /// Something else where a mapping stands whose `kind` says what it is.
    fn no_tagged(&self, tag: &str, words: &[&str], value: &Value, path: &[String]) -> Misfit {
        let given = value.as_str();
        let near = given.and_then(|given| suggest(given, words.iter().copied()));
        let word = near.or_else(|| words.first().copied()).unwrap_or_default();
        let example = (self.write)(path, &format!("{{{tag}: {word}}}"));
        let lead = match near {
            Some(near) if given != Some(near) => format!("did you mean `{example}`?"),
            _ => format!("write `{example}`;"),
        };
        let message = format!("expected a mapping with `{tag}`, not {}", shown(value));
        miss_at(path, message, format!("{lead} `{tag}` is one of {}", list(words)))
    }

    fn wrong_type(&self, types: &Value, parts: &[&'a Map<String, Value>], value: &Value, path: &[String]) -> Misfit {
        let message = format!("expected {}, not {}", expected(types, parts), shown(value));
        let has = |name: &str| names(types).any(|known| known == name);
        let example = |value: &str| (self.write)(path, value);
        let help = if has("integer") || has("number") {
            match number_meant(value, has("integer")).filter(|meant| takes(types, parts, &Value::Number(meant.clone())))
            {
                Some(meant) if value.is_string() => {
                    format!("write it without quotes: `{}`", example(&meant.to_string()))
                }
                Some(meant) => format!("write `{}`", example(&meant.to_string())),
                None => format!("write a number, such as `{}`", example(&typical(parts, has("integer")))),
            }
        } else if has("boolean") {
            format!("write `{}` or `{}`", example("true"), example("false"))
        } else if has("array") {
            match value {
                Value::String(text) if text.trim_start().starts_with('[') => {
                    let inner = text.trim().trim_start_matches('[').trim_end_matches([',', ' ', ']']);
                    format!(
                        "it has a bracket that is not closed, which makes it text: write `{}`",
                        example(&format!("[{inner}]"))
                    )
                }
                Value::String(text) if text.is_empty() => format!("write a list, such as `{}`", example("[…]")),
                Value::Object(_) | Value::Null => format!("write a list, such as `{}`", example("[…]")),
                value => format!("write `{}`", example(&format!("[{}]", plain(value)))),
            }
        } else if has("object") {
            let keys: Vec<&str> = parts
                .iter()
                .filter_map(|part| part.get("properties")?.as_object())
                .flat_map(|properties| properties.keys().map(String::as_str))
                .collect();
            match keys.first() {
                Some(first) => format!("write `{}`; its keys are {}", example(&format!("{{{first}: …}}")), list(&keys)),
                None => format!("write `{}`", example("{name: …}")),
            }
        } else {
            match value {
                Value::Number(_) | Value::Bool(_) => {
                    format!("put it in quotes: `{}`", example(&format!("\"{value}\"")))
                }
                _ => format!("write a text, such as `{}`", example("\"…\"")),
            }
        };
        miss_at(path, message, help)
    }
}

fn no_word(words: &[&str], value: &Value, path: &[String]) -> Misfit {
    let near = value.as_str().and_then(|value| suggest(value, words.iter().copied()));
    let help = near.map_or_else(|| format!("one of {}", list(words)), |near| format!("did you mean `{near}`?"));
    let message = match value {
        Value::String(text) => format!("unknown variant `{}`, expected {}", short(text), one_of(words)),
        value => format!("expected {}, not {}", one_of(words), shown(value)),
    };
    miss_at(path, message, help)
}

fn miss_at(path: &[String], message: String, help: String) -> Misfit {
    Misfit { path: path.to_vec(), message, help }
}

/// The words that a schema takes, if it takes nothing but words.
fn words_of(part: &Map<String, Value>) -> Option<Vec<&str>> {
    if let Some(word) = part.get("const") {
        return word.as_str().map(|word| vec![word]);
    }
    part.get("enum")?.as_array()?.iter().map(Value::as_str).collect()
}

/// The key by which branches are told apart, and its value in each of them.
fn tags<'a>(branches: &[&[&'a Map<String, Value>]]) -> Option<(String, Vec<&'a str>)> {
    let keys = branches.first()?.iter().filter_map(|part| part.get("properties")?.as_object()).flat_map(Map::keys);
    let word = |parts: &[&'a Map<String, Value>], key: &str| {
        parts.iter().find_map(|part| part.get("properties")?.get(key)?.get("const")?.as_str())
    };
    keys.into_iter().find_map(|key| {
        let words: Option<Vec<&'a str>> = branches.iter().map(|parts| word(parts, key)).collect();
        words.map(|words| (key.clone(), words))
    })
}

/// The names of the types in `type`, which is a text or a list.
fn names(types: &Value) -> impl Iterator<Item = &str> {
    types.as_str().into_iter().chain(types.as_array().into_iter().flatten().filter_map(Value::as_str))
}

/// Whether a value is of a type; whole numbers also have to fit into the format.
fn takes(types: &Value, parts: &[&Map<String, Value>], value: &Value) -> bool {
    names(types).any(|name| match (name, value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_))
        | ("number", Value::Number(_)) => true,
        ("integer", Value::Number(number)) => {
            let (least, most) = format_of(parts);
            let number = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            number.is_some_and(|number| (least..=most).contains(&number))
        }
        _ => false,
    })
}

/// What the format of whole numbers can hold.
fn format_of(parts: &[&Map<String, Value>]) -> (i128, i128) {
    match parts.iter().find_map(|part| part.get("format")?.as_str()).unwrap_or_default() {
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" | "uint" => (0, u64::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN.into(), u64::MAX.into()),
    }
}
