//! The JSON Schema of the language, for editors and other tools.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::matrix::MAX_CELLS;
use crate::config::names::{PARAM_NAME_PATTERN, STAGE_NAME_PATTERN};

/// What the schema says of a stage kind.
#[derive(Debug, Clone)]
pub struct KindSchema<'a> {
    /// The name used after `kind:`.
    pub name: &'a str,
    /// What it does, in one line.
    pub about: &'a str,
    /// The JSON Schema of its parameters: an object with `properties`.
    pub params: Value,
    /// Its input ports.
    pub ports: Vec<PortSchema<'a>>,
}

/// What the schema says of an input port.
#[derive(Debug, Clone)]
pub struct PortSchema<'a> {
    /// The name used under `inputs:`.
    pub name: &'a str,
    /// The kind of artifact that it takes.
    pub about: &'a str,
    /// Whether it has to be connected.
    pub required: bool,
    /// Whether it gathers a list.
    pub many: bool,
}

/// The schema of a pipeline file (JSON Schema 2020-12) in which stages are of these kinds.
///
/// It knows everything that can be said of one file without running it, except what a schema cannot say: that
/// names in `inputs` and `${…}` exist, and that axes and params differ.
pub fn schema(kinds: &[KindSchema<'_>]) -> Value {
    let mut defs = Map::new();
    defs.insert(
        "reference".to_owned(),
        json!({
            "description": "takes the value of a param or of a matrix axis",
            "type": "string",
            "pattern": r"^\$\{[a-z][a-z0-9_]*\}$",
        }),
    );
    defs.insert(
        "input".to_owned(),
        json!({
            "description": "a stage, or one of its outputs: `stage` or `stage.output`",
            "type": "string",
            "pattern": r"^[a-z][a-z0-9_-]{0,63}(\.[a-z][a-z0-9_]{0,63})?$",
        }),
    );
    let seed = json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX });
    defs.insert("seed".to_owned(), json!({ "anyOf": [seed, { "$ref": "#/$defs/reference" }] }));
    defs.insert("matrix".to_owned(), matrix());
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    let branches: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({
                "if": { "properties": { "kind": { "const": kind.name } }, "required": ["kind"] },
                "then": { "$ref": format!("#/$defs/stage.{}", kind.name) },
            })
        })
        .collect();
    let mut stage = json!({
        "type": "object",
        "properties": { "kind": { "description": "what the stage does", "enum": names } },
        "required": ["kind"],
    });
    if !branches.is_empty() {
        stage["allOf"] = Value::Array(branches);
    }
    defs.insert("stage".to_owned(), stage);
    for kind in kinds {
        let (schema, own) = stage_of(kind);
        defs.insert(format!("stage.{}", kind.name), schema);
        defs.extend(own);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ncf-pipe pipeline",
        "type": "object",
        "properties": {
            "name": { "description": "the name of the pipeline: a directory of the outputs", "type": "string", "pattern": STAGE_NAME_PATTERN },
            "seed": { "description": "the seed of every stage that has none of its own", "default": 42, "$ref": "#/$defs/seed" },
            "params": {
                "description": "values that stages take as ${name}, and that --set name=value changes",
                "type": "object",
                "propertyNames": { "pattern": PARAM_NAME_PATTERN },
            },
            "stages": {
                "description": "the stages by name",
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": STAGE_NAME_PATTERN },
                "additionalProperties": { "$ref": "#/$defs/stage" },
            },
        },
        "required": ["name", "stages"],
        "additionalProperties": false,
        "$defs": defs,
    })
}

fn matrix() -> Value {
    let cells = |about: &str| {
        json!({
            "description": about,
            "type": "array",
            "items": { "type": "object", "minProperties": 1, "propertyNames": { "pattern": PARAM_NAME_PATTERN } },
        })
    };
    let number = |about: &str, least: u64| {
        json!({
            "description": about,
            "anyOf": [{ "type": "integer", "minimum": least }, { "$ref": "#/$defs/reference" }],
        })
    };
    let distribution = |name: &str| {
        json!({
            "description": "draws the values of the axis; needs `sample`",
            "type": "object",
            "required": [name],
            "additionalProperties": false,
            "properties": { name: { "type": "array", "minItems": 2, "maxItems": 2 } },
        })
    };
    json!({
        "description": format!("multiplies the stage: one cell for each combination of the axes' values, at most {MAX_CELLS}"),
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": PARAM_NAME_PATTERN },
        "properties": {
            "exclude": cells("cells to leave out: those that have all of these values"),
            "include": cells("cells to add: a value for every axis"),
            "sample": {
                "description": "random search: draws combinations instead of taking all",
                "type": "object",
                "required": ["cells"],
                "additionalProperties": false,
                "properties": {
                    "cells": number("how many combinations to draw; more of them keep those that there were", 1),
                    "seed": number("what the draws depend on", 0),
                    "cross": {
                        "description": "axes that are not drawn: every drawn combination gets all of their values",
                        "type": "array",
                        "items": { "type": "string" },
                    },
                },
            },
        },
        "additionalProperties": {
            "description": "the values of an axis, used as ${axis}",
            "anyOf": [
                { "type": "array", "minItems": 1 },
                distribution("uniform"),
                distribution("log_uniform"),
                distribution("int_uniform"),
                { "$ref": "#/$defs/reference" },
            ],
        },
    })
}

/// The schema of the stages of a kind, and the definitions that it refers to, under names of its own.
fn stage_of(kind: &KindSchema<'_>) -> (Value, Map<String, Value>) {
    let mut params = kind.params.clone();
    rename(&mut params, kind.name);
    let own = take_object(&mut params, "$defs");
    let own = own.into_iter().map(|(name, mut schema)| {
        parts(&mut schema);
        (format!("{}.{name}", kind.name), schema)
    });
    let own: Map<String, Value> = own.collect();
    parts(&mut params);
    let mut properties = take_object(&mut params, "properties");
    properties.insert("kind".to_owned(), json!({ "const": kind.name, "description": kind.about }));
    properties.insert("inputs".to_owned(), inputs(kind));
    properties.insert("matrix".to_owned(), json!({ "$ref": "#/$defs/matrix" }));
    properties.insert("seed".to_owned(), json!({ "$ref": "#/$defs/seed" }));
    let mut required = vec![Value::from("kind")];
    if let Some(Value::Array(names)) = params.get_mut("required").map(Value::take) {
        required.extend(names);
    }
    if kind.ports.iter().any(|port| port.required) {
        required.push("inputs".into());
    }
    let mut schema =
        Map::from_iter([("description".to_owned(), kind.about.into()), ("type".to_owned(), "object".into())]);
    if let Some(branches) = params.get_mut("anyOf").and_then(Value::as_array_mut) {
        // `additionalProperties` knows the properties beside it alone, so that each branch must have all of them.
        for branch in branches.iter_mut().filter_map(Value::as_object_mut) {
            if let Value::Object(own) = branch.entry("properties").or_insert_with(|| Map::new().into()) {
                own.extend(properties.clone());
            }
            branch.insert("additionalProperties".to_owned(), false.into());
        }
    } else {
        schema.insert("properties".to_owned(), properties.into());
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    schema.insert("required".to_owned(), required.into());
    // What else the schema of the parameters says, such as `allOf`, still holds.
    let said = ["$schema", "title", "description", "type", "properties", "required", "additionalProperties", "$defs"];
    if let Value::Object(rest) = params {
        schema.extend(rest.into_iter().filter(|(key, _)| !said.contains(&key.as_str())));
    }
    (schema.into(), own)
}

fn inputs(kind: &KindSchema<'_>) -> Value {
    let input = json!({ "$ref": "#/$defs/input" });
    let properties: BTreeMap<&str, Value> = kind
        .ports
        .iter()
        .map(|port| {
            let list = json!({ "type": "array", "minItems": 1, "uniqueItems": true, "items": input });
            let schema = if port.many {
                json!({ "description": port.about, "anyOf": [input, list] })
            } else {
                json!({ "description": port.about, "$ref": "#/$defs/input" })
            };
            (port.name, schema)
        })
        .collect();
    let required: Vec<&str> = kind.ports.iter().filter(|port| port.required).map(|port| port.name).collect();
    json!({
        "description": "what is connected to the input ports",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Takes a member that is an object out of a schema.
fn take_object(schema: &mut Value, key: &str) -> Map<String, Value> {
    match schema.as_object_mut().and_then(|schema| schema.remove(key)) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Gives the definitions that a schema refers to the names that they have in the whole.
fn rename(schema: &mut Value, kind: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, kind)),
        Value::Object(map) => {
            for (key, item) in map {
                match item {
                    Value::String(target) if key == "$ref" => {
                        if let Some(name) = target.strip_prefix("#/$defs/") {
                            *target = format!("#/$defs/{kind}.{name}");
                        }
                    }
                    item => rename(item, kind),
                }
            }
        }
        _ => {}
    }
}

/// Lets every value inside this schema be a reference too.
fn parts(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    // Two branches can be true at once when the word that tells them apart is a reference.
    if let Some(branches) = map.remove("oneOf") {
        match map.get_mut("anyOf") {
            None => drop(map.insert("anyOf".to_owned(), branches)),
            Some(_) => drop(map.insert("allOf".to_owned(), json!([{ "anyOf": branches }]))),
        }
    }
    for (key, item) in map {
        match (key.as_str(), item) {
            ("properties" | "patternProperties", Value::Object(properties)) => properties.values_mut().for_each(value),
            ("prefixItems", Value::Array(items)) => items.iter_mut().for_each(value),
            ("items" | "additionalProperties", item @ Value::Object(_)) => value(item),
            ("anyOf" | "allOf", Value::Array(branches)) => branches.iter_mut().for_each(parts),
            ("if" | "then" | "else" | "not", branch) => parts(branch),
            _ => {}
        }
    }
}

/// Lets a value, and every value inside it, be a reference.
fn value(schema: &mut Value) {
    parts(schema);
    let mut outer = Map::new();
    if let Value::Object(map) = schema {
        // What describes the value stays outside, where editors look for it.
        for key in ["title", "description", "default", "deprecated"] {
            if let Some(said) = map.remove(key) {
                outer.insert(key.to_owned(), said);
            }
        }
        if map.is_empty() {
            return drop(std::mem::replace(schema, outer.into()));
        }
    }
    outer.insert("anyOf".to_owned(), json!([schema.take(), { "$ref": "#/$defs/reference" }]));
    *schema = outer.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> Vec<KindSchema<'static>> {
        let train = json!({
            "type": "object",
            "properties": {
                "epochs": { "type": "integer", "format": "uint32", "minimum": 1, "default": 20, "description": "how many" },
                "loss": { "$ref": "#/$defs/Loss" },
                "layers": { "type": "array", "items": { "type": "integer" } },
                "free": true,
            },
            "required": ["loss"],
            "additionalProperties": false,
            "$defs": { "Loss": { "oneOf": [
                { "type": "string", "const": "bce" },
                { "type": "object", "properties": { "kind": { "const": "power" }, "gamma": { "type": "number" } }, "required": ["kind"], "additionalProperties": false },
                { "type": "object", "properties": { "kind": { "const": "focal" }, "gamma": { "type": "number" } }, "required": ["kind"], "additionalProperties": false },
            ] } },
        });
        let read = json!({ "type": "object", "properties": { "path": { "type": "string" }, "loss": { "$ref": "#/$defs/Loss" } }, "$defs": { "Loss": { "enum": ["quiet"] } } });
        let port = |name, required, many| PortSchema { name, about: "interactions", required, many };
        vec![
            KindSchema { name: "read", about: "reads a file", params: read, ports: vec![] },
            KindSchema {
                name: "train",
                about: "trains a model",
                params: train,
                ports: vec![port("split", true, false), port("runs", false, true)],
            },
        ]
    }

    #[test]
    fn the_schema_keeps_the_definitions_of_kinds_apart() {
        let schema = schema(&kinds());
        assert_eq!(schema["$defs"]["read.Loss"], json!({"enum": ["quiet"]}));
        let train = &schema["$defs"]["stage.train"];
        assert_eq!(train["required"], json!(["kind", "loss", "inputs"]));
        assert_eq!(train["properties"]["loss"]["anyOf"][0]["$ref"], "#/$defs/train.Loss");
        assert_eq!(train["properties"]["epochs"]["default"], 20);
        assert_eq!(train["properties"]["epochs"]["anyOf"][1]["$ref"], "#/$defs/reference");
        assert_eq!(train["additionalProperties"], false);
        assert!(schema["$defs"]["train.Loss"]["oneOf"].is_null(), "a reference could match two branches");
        let text = schema.to_string();
        for target in text.split("\"$ref\":\"#/$defs/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(!schema["$defs"][target].is_null(), "`{target}` is not defined");
        }
    }
}
