//! A value of the file with the place of each of its parts.

use serde_json::{Map, Value};

use crate::config::{Span, Spanned};

/// A value, and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) tree: Tree,
}

/// Its parts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    /// Null, a truth value, a number or a text.
    Scalar(Value),
    List(Vec<Node>),
    /// In the order of the file, every key once.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: Spanned<String>,
    pub(super) value: Node,
}

impl Node {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.tree {
            Tree::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The entries, if it is a mapping.
    pub(super) fn entries(&self) -> Option<&[Entry]> {
        match &self.tree {
            Tree::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub(super) fn what(&self) -> &'static str {
        match &self.tree {
            Tree::Scalar(value) => what(value),
            Tree::List(_) => "a list",
            Tree::Map(_) => "a mapping",
        }
    }

    /// The value without places, each text replaced by what `replace` makes of it.
    ///
    /// # Errors
    /// The first error of `replace`.
    pub(super) fn value_with<E>(&self, replace: &mut impl FnMut(&Node, &str) -> Result<Value, E>) -> Result<Value, E> {
        Ok(match &self.tree {
            Tree::Scalar(Value::String(text)) => replace(self, text)?,
            Tree::Scalar(value) => value.clone(),
            Tree::List(items) => {
                Value::Array(items.iter().map(|item| item.value_with(replace)).collect::<Result<_, E>>()?)
            }
            Tree::Map(entries) => {
                let pairs = entries.iter().map(|entry| Ok((entry.key.value.clone(), entry.value.value_with(replace)?)));
                Value::Object(pairs.collect::<Result<Map<_, _>, E>>()?)
            }
        })
    }

    /// Calls `visit` with every part of the value, itself first.
    pub(super) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Node)) {
        visit(self);
        match &self.tree {
            Tree::Scalar(_) => {}
            Tree::List(items) => items.iter().for_each(|item| item.walk(visit)),
            Tree::Map(entries) => entries.iter().for_each(|entry| entry.value.walk(visit)),
        }
    }
}

/// What a value is, for messages.
pub(super) fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Finds the entry of a key.
pub(super) fn entry<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key.value == key)
}

/// The deepest part that a path of keys and list positions leads to: the span of its key (of the item, in a list)
/// and the part itself. List positions are `2` or `[2]`.
pub(super) fn deepest<'a>(entries: &'a [Entry], path: &[String]) -> Option<(Span, &'a Node)> {
    let (first, rest) = path.split_first()?;
    let found = entry(entries, first)?;
    let mut at = (found.key.span, &found.value);
    for step in rest {
        let next = match &at.1.tree {
            Tree::Scalar(_) => None,
            Tree::List(items) => {
                let position = step.strip_prefix('[').and_then(|step| step.strip_suffix(']')).unwrap_or(step);
                position.parse::<usize>().ok().and_then(|i| items.get(i)).map(|item| (item.span, item))
            }
            Tree::Map(entries) => entry(entries, step).map(|entry| (entry.key.span, &entry.value)),
        };
        let Some(next) = next else { break };
        at = next;
    }
    Some(at)
}
