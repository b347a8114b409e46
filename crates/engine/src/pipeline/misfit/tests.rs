use serde_json::json;

use super::*;

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "epochs": { "type": "integer", "format": "uint32", "minimum": 1, "default": 20 },
            "share": { "type": ["number", "null"], "minimum": 0, "maximum": 1 },
            "k": { "type": "array", "items": { "type": "integer", "format": "uint", "minimum": 0 } },
            "path": { "type": "string" },
            "fast": { "type": "boolean" },
            "keep": { "$ref": "#/$defs/Keep" },
            "loss": { "$ref": "#/$defs/Loss", "default": { "kind": "bce" } },
            "column": { "anyOf": [{ "type": "integer", "format": "uint16" }, { "type": "string" }] },
            "schedule": { "anyOf": [{ "$ref": "#/$defs/Schedule" }, { "type": "null" }] },
        },
        "$defs": {
            "Keep": { "oneOf": [{ "type": "string", "const": "best" }, { "type": "string", "const": "last" }] },
            "Schedule": { "type": "object", "properties": { "warmup": { "type": "integer", "format": "uint64" } } },
            "Focal": { "type": "object", "properties": { "gamma": { "type": "number" } } },
            "Loss": { "oneOf": [
                { "type": "object", "properties": { "kind": { "type": "string", "const": "bce" } }, "required": ["kind"] },
                { "type": "object", "properties": { "kind": { "type": "string", "const": "focal" } }, "required": ["kind"],
                  "$ref": "#/$defs/Focal" },
            ] },
        },
    })
}

fn found(params: &Value) -> String {
    let write = |path: &[String], value: &str| format!("{}: {value}", path.last().unwrap());
    misfit(&schema(), params, &write).map_or_else(
        || "fits".to_owned(),
        |found| format!("{}: {} [{}]", found.path.join("."), found.message, found.help),
    )
}

#[test]
fn what_fits_has_no_misfit() {
    for params in [
        json!({}),
        json!({"epochs": 3, "share": null, "k": [], "keep": "last", "loss": {"kind": "focal", "gamma": 2}, "column": "a"}),
        json!({"share": 1, "column": 3, "schedule": null, "unknown": 1, "fast": true}),
    ] {
        assert_eq!(found(&params), "fits", "{params}");
    }
}

#[test]
fn what_does_not_fit_is_named_with_what_to_write() {
    for (params, expected) in [
        (
            json!({"epochs": "4"}),
            "epochs: expected a whole number from 1 on, not the text `4` [write it without quotes: `epochs: 4`]",
        ),
        (
            json!({"epochs": "three"}),
            "epochs: expected a whole number from 1 on, not the text `three` [write a number, such as `epochs: 20`]",
        ),
        (
            json!({"epochs": ""}),
            "epochs: expected a whole number from 1 on, not an empty text [write a number, such as `epochs: 20`]",
        ),
        (
            json!({"epochs": 10.0}),
            "epochs: expected a whole number from 1 on, not the number 10.0 [write `epochs: 10`]",
        ),
        (
            json!({"epochs": -4}),
            "epochs: expected a whole number from 1 on, not the number -4 [write a number, such as `epochs: 20`]",
        ),
        (
            json!({"share": "a"}),
            "share: expected a number from 0 to 1, not the text `a` [write a number, such as `share: 0.5`]",
        ),
        (json!({"k": 10}), "k: expected a list, not the number 10 [write `k: [10]`]"),
        (json!({"k": "a > 1"}), "k: expected a list, not the text `a > 1` [write `k: [\"a > 1\"]`]"),
        (
            json!({"k": "[5,"}),
            "k: expected a list, not the text `[5,` [it has a bracket that is not closed, which makes it text: write `k: [5]`]",
        ),
        (
            json!({"k": [1, "2"]}),
            "k.1: expected a whole number from 0 on, not the text `2` [write it without quotes: `1: 2`]",
        ),
        (json!({"path": 5}), "path: expected a text, not the number 5 [put it in quotes: `path: \"5\"`]"),
        (
            json!({"fast": 1}),
            "fast: expected `true` or `false`, not the number 1 [write `fast: true` or `fast: false`]",
        ),
        (json!({"keep": "bst"}), "keep: unknown variant `bst`, expected one of `best`, `last` [did you mean `best`?]"),
        (json!({"keep": 3}), "keep: expected one of `best`, `last`, not the number 3 [one of `best`, `last`]"),
        (
            json!({"loss": "focal"}),
            "loss: expected a mapping with `kind`, not the text `focal` [write `loss: {kind: focal}`; `kind` is one of `bce`, `focal`]",
        ),
        (
            json!({"loss": "focl"}),
            "loss: expected a mapping with `kind`, not the text `focl` [did you mean `loss: {kind: focal}`? `kind` is one of `bce`, `focal`]",
        ),
        (json!({"loss": {"gamma": 2}}), "loss: missing field `kind` [add `kind: focal`]"),
        (json!({"loss": {}}), "loss: missing field `kind` [add `kind: …`, one of `bce`, `focal`]"),
        (json!({"loss": {"beta": 2}}), "loss: missing field `kind` [add `kind: …`, one of `bce`, `focal`]"),
        (
            json!({"loss": {"kind": "focl"}}),
            "loss.kind: unknown variant `focl`, expected one of `bce`, `focal` [did you mean `focal`?]",
        ),
        (
            json!({"loss": {"kind": "focal", "gamma": "2"}}),
            "loss.gamma: expected a number, not the text `2` [write it without quotes: `gamma: 2`]",
        ),
        (
            json!({"column": []}),
            "column: expected a whole number, or a text, not a list [give a whole number, or a text]",
        ),
        (
            json!({"schedule": 3}),
            "schedule: expected a mapping, not the number 3 [write `schedule: {warmup: …}`; its keys are `warmup`]",
        ),
        (
            json!({"schedule": {"warmup": 0.5}}),
            "schedule.warmup: expected a whole number, not the number 0.5 [write a number, such as `warmup: 1`]",
        ),
    ] {
        assert_eq!(found(&params), expected);
    }
}
