//! Why two keys differ, field by field.

use std::fmt;

use serde_json::{Map, Value};

use crate::cache::canonical::{self, Nulls};

/// Longer values are cut in messages.
const SHOWN: usize = 60;

/// One difference between two identities. Its `Display` is the sentence for the user.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The way to what changed, such as `params`, `loss`, `gamma`.
    pub path: Vec<String>,
    /// What it was; `None` if it is new.
    pub old: Option<Value>,
    /// What it is; `None` if it is gone.
    pub new: Option<Value>,
}

/// All differences between two identities as they are kept in manifests. It is empty exactly when the keys are equal.
pub fn diff(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(&mut Vec::new(), Some(old), Some(new), &mut changes);
    changes
}

fn compare(path: &mut Vec<String>, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                path.push(key.clone());
                compare(path, before.get(key), after.get(key), changes);
                path.pop();
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after)))
            if path.first().is_some_and(|first| first == "inputs") && before.len() == after.len() =>
        {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                path.push(index.to_string());
                compare_inputs(path, before, after, changes);
                path.pop();
            }
        }
        (Some(before), Some(after)) if same(before, after) => {}
        _ => changes.push(Change { path: path.clone(), old: old.cloned(), new: new.cloned() }),
    }
}

/// An input is one thing: its content and its coordinates change together.
fn compare_inputs(path: &[String], old: &Value, new: &Value, changes: &mut Vec<Change>) {
    if !same(old, new) {
        changes.push(Change { path: path.to_vec(), old: Some(old.clone()), new: Some(new.clone()) });
    }
}

/// Whether two values are the same for a key: `1` and `1.0` are not, nor are `0.0` and `-0.0`.
fn same(a: &Value, b: &Value) -> bool {
    canonical::encode(a, Nulls::Allowed) == canonical::encode(b, Nulls::Allowed)
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match steps.as_slice() {
            ["inputs", port] => match (&self.old, &self.new) {
                (Some(old), Some(new)) => {
                    write!(f, "input `{port}`: {} -> {} connected stages", count(old), count(new))
                }
                (None, _) => write!(f, "input `{port}`: newly connected"),
                (_, None) => write!(f, "input `{port}`: no longer connected"),
            },
            ["inputs", port, _] => self.input(f, port),
            ["sources", param] => match (&self.old, &self.new) {
                (Some(_), Some(_)) => write!(f, "source `{param}`: content changed"),
                (None, _) => write!(f, "source `{param}`: new"),
                (_, None) => write!(f, "source `{param}`: no longer used"),
            },
            [] => f.write_str("everything changed"),
            _ => match (&self.old, &self.new) {
                (Some(old), Some(new)) => write!(f, "`{}`: {} -> {}", self.path.join("."), Shown(old), Shown(new)),
                (None, Some(new)) => write!(f, "`{}`: now set to {}", self.path.join("."), Shown(new)),
                (Some(old), None) => write!(f, "`{}`: no longer set, was {}", self.path.join("."), Shown(old)),
                (None, None) => Ok(()),
            },
        }
    }
}

impl Change {
    fn input(&self, f: &mut fmt::Formatter<'_>, port: &str) -> fmt::Result {
        let part = |value: &Option<Value>, name: &str| value.as_ref().and_then(|value| value.get(name)).cloned();
        let (old_cell, new_cell) = (part(&self.old, "cell"), part(&self.new, "cell"));
        let at = |cell: Option<Value>| match cell {
            Some(Value::Object(cell)) if !cell.is_empty() => Coordinates(&cell).to_string(),
            _ => "no matrix".to_owned(),
        };
        if old_cell != new_cell {
            return write!(f, "input `{port}`: from ({}) -> ({})", at(old_cell), at(new_cell));
        }
        let same_content = part(&self.old, "digest") == part(&self.new, "digest");
        let what = match renamed(part(&self.old, "runs"), part(&self.new, "runs")) {
            _ if !same_content => "content changed".to_owned(),
            Some((old, new)) => format!("the stage `{old}` is now `{new}`, with the same content"),
            None => "made again, with the same content".to_owned(),
        };
        match new_cell {
            Some(Value::Object(cell)) if !cell.is_empty() => {
                write!(f, "input `{port}` ({}): {what}", Coordinates(&cell))
            }
            _ => write!(f, "input `{port}`: {what}"),
        }
    }
}

/// The first of the runs behind an input that has another name now: both names.
fn renamed(old: Option<Value>, new: Option<Value>) -> Option<(String, String)> {
    let names = |runs: Option<Value>| -> Option<Vec<String>> {
        runs?.as_array()?.iter().map(|run| run.get("stage")?.as_str().map(str::to_owned)).collect()
    };
    names(old)?.into_iter().zip(names(new)?).find(|(old, new)| old != new)
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

/// Matrix coordinates as `loss=bce, seed=1`.
struct Coordinates<'a>(&'a Map<String, Value>);

impl fmt::Display for Coordinates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (axis, value)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            match value {
                Value::String(text) => write!(f, "{comma}{axis}={text}")?,
                other => write!(f, "{comma}{axis}={}", Shown(other))?,
            }
        }
        Ok(())
    }
}

/// A value as JSON, cut where it is long.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}...", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::cache::key::tests::{any_identity, identity};
    use crate::cache::{Digest, Identity, InputIdentity};

    fn said(change: impl Fn(&mut Identity)) -> Vec<String> {
        let old = identity();
        let mut new = old.clone();
        change(&mut new);
        diff(&old.to_json(), &new.to_json()).iter().map(ToString::to_string).collect()
    }

    fn at(axis: &str, value: Value, content: &[u8]) -> InputIdentity {
        InputIdentity {
            cell: BTreeMap::from([(axis.to_owned(), value)]),
            digest: Digest::of(content),
            runs: Vec::new(),
        }
    }

    #[test]
    fn changes_are_said_field_by_field() {
        assert_eq!(said(|i| i.params["epochs"] = json!(30)), ["`params.epochs`: 20 -> 30"]);
        assert_eq!(said(|i| i.params["epochs"] = json!(20.0)), ["`params.epochs`: 20 -> 20.0"]);
        assert_eq!(said(|i| i.params["model"]["factors"] = json!(16)), ["`params.model.factors`: 8 -> 16"]);
        assert_eq!(said(|i| i.params["patience"] = json!("x")), ["`params.patience`: now set to \"x\""]);
        assert_eq!(
            said(|i| drop(i.params.as_object_mut().unwrap().remove("lr"))),
            ["`params.lr`: no longer set, was 0.001"]
        );
        assert_eq!(said(|i| i.version = 4), ["`version`: 3 -> 4"]);
        assert_eq!(said(|i| i.seed = Some(43)), ["`seed`: 42 -> 43"]);
        assert_eq!(said(|i| i.seed = None), ["`seed`: no longer set, was 42"]);
        assert_eq!(
            said(|i| i.sources = BTreeMap::from([("path".into(), Digest::of(b"2"))])),
            ["source `path`: content changed"]
        );
        assert_eq!(said(|i| i.sources.clear()), ["source `path`: no longer used"]);
        assert_eq!(
            said(|i| i.inputs.get_mut("split").unwrap()[0].digest = Digest::of(b"2")),
            ["input `split`: content changed"]
        );
        assert_eq!(said(|i| i.inputs.clear()), ["input `split`: no longer connected"]);
        assert_eq!(said(|i| drop(i.inputs.insert("pool".into(), vec![]))), ["input `pool`: newly connected"]);
    }

    #[test]
    fn a_gathering_port_names_the_cell() {
        let mut old = identity();
        old.inputs.insert("metrics".into(), vec![at("loss", json!("bce"), b"1"), at("loss", json!("bpr"), b"2")]);
        let mut new = old.clone();
        new.inputs.get_mut("metrics").unwrap()[1] = at("loss", json!("bpr"), b"3");
        let said = |new: &Identity| -> Vec<String> {
            diff(&old.to_json(), &new.to_json()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(said(&new), ["input `metrics` (loss=bpr): content changed"]);
        new.inputs.get_mut("metrics").unwrap()[1] = at("loss", json!("hinge"), b"2");
        assert_eq!(said(&new), ["input `metrics`: from (loss=bpr) -> (loss=hinge)"]);
        new.inputs.get_mut("metrics").unwrap().push(at("loss", json!(1), b"2"));
        assert_eq!(said(&new), ["input `metrics`: 2 -> 3 connected stages"]);
    }

    #[test]
    fn a_stage_that_is_called_otherwise_is_said_to_be() {
        let run = |stage: &str, key: &str| json!({"stage": stage, "kind": "evaluate", "key": key, "seconds": 1.0});
        let with = |runs: Vec<Value>, content: &[u8]| {
            let mut of = identity();
            let input = InputIdentity { cell: BTreeMap::new(), digest: Digest::of(content), runs };
            of.inputs.insert("runs".into(), vec![input]);
            of.to_json()
        };
        let old = with(vec![run("e[seed=1]", "a"), run("train[seed=1]", "b")], b"1");
        let said = |new: Value| diff(&old, &new).iter().map(ToString::to_string).collect::<Vec<_>>();
        let renamed = with(vec![run("e[seed=1]", "a"), run("gmf[seed=1]", "b")], b"1");
        let expected = "input `runs`: the stage `train[seed=1]` is now `gmf[seed=1]`, with the same content";
        assert_eq!(said(renamed), [expected]);
        let again = with(vec![run("e[seed=1]", "a"), run("train[seed=1]", "c")], b"1");
        assert_eq!(said(again), ["input `runs`: made again, with the same content"]);
        let other = with(vec![run("f[seed=1]", "a"), run("train[seed=1]", "b")], b"2");
        assert_eq!(said(other), ["input `runs`: content changed"]);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let said = said(|i| i.params["epochs"] = json!("\u{e9}".repeat(500)));
        assert!(said[0].ends_with("..."), "{said:?}");
        assert!(said[0].chars().count() < 100);
    }

    #[test]
    fn anything_at_all_can_be_compared() {
        for value in [json!(null), json!([]), json!({"inputs": 1, "sources": []}), json!({"inputs": {"a": [1, {}]}})] {
            for change in diff(&value, &identity().to_json()).iter().chain(&diff(&identity().to_json(), &value)) {
                assert!(!change.to_string().is_empty());
            }
        }
    }

    proptest! {
        #[test]
        fn there_is_a_difference_exactly_when_the_keys_differ(a in any_identity(), b in any_identity(), same in any::<bool>()) {
            let b = if same { a.clone() } else { b };
            prop_assert_eq!(diff(&a.to_json(), &b.to_json()).is_empty(), a.key().unwrap() == b.key().unwrap());
        }
    }
}
