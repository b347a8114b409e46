//! The parameters of `read`, and a run of it.

use polars::prelude::DataFrame;
use serde_json::json;

use super::*;
use crate::data::frame::{ITEM, USER, slice};
use crate::stage::{Artifact, ArtifactDir, Class, ContextParts, Note, Registry, StageKind};

static KINDS: Registry = Registry::new(&[StageKind::of::<Read>()]);

fn decode(params: serde_json::Value) -> String {
    let kind = KINDS.get("read").unwrap();
    match (kind.decode)(params) {
        Ok(stage) => {
            let params = stage.params();
            // What was filled in must decode to itself.
            let again = (kind.decode)(params.clone()).unwrap().params();
            assert_eq!(again, params);
            format!("{} {} {}", params["format"], params["separator"], params["header"])
        }
        Err(error) => format!("{}: {} [{}]", error.path.join("."), error.message, error.help.unwrap_or_default()),
    }
}

#[test]
fn what_follows_from_other_parameters_is_filled_in() {
    let found = [
        json!({"path": "ratings.csv"}),
        json!({"path": "ratings.csv", "separator": ";", "header": false}),
        json!({"path": "u.data"}),
        json!({"path": "u.data", "columns": {"user": "uid", "item": "iid"}}),
        json!({"path": "ratings.dat"}),
        json!({"path": "ratings.txt", "separator": "|"}),
        json!({"path": "ratings.txt", "format": "tsv", "header": "auto"}),
        json!({"path": "a.inter"}),
        json!({"path": "a.train.rating"}),
        json!({"path": "a.jsonl", "columns": {"user": "reviewerID"}}),
        json!({"path": "a.parquet", "columns": {"user": 3}}),
    ];
    insta::assert_snapshot!(found.map(decode).join("\n"), @r#"
    "csv" "," true
    "csv" ";" false
    "tsv" "\t" false
    "tsv" "\t" true
    "double_colon" "::" false
    "delimited" "|" false
    "tsv" "\t" false
    "inter" "\t" true
    "rating" "\t" false
    "jsonl" null false
    "parquet" null false
    "#);
}

#[test]
fn what_cannot_work_is_refused_before_anything_runs() {
    let found = [
        json!({}),
        json!({"path": "ratings.txt"}),
        json!({"path": "ratings.csv", "format": "excel"}),
        json!({"path": "ratings.csv", "sep": ";"}),
        json!({"path": "ratings.csv", "separator": "::"}),
        json!({"path": "ratings.csv", "separator": ""}),
        json!({"path": "a.txt", "format": "delimited"}),
        json!({"path": "u.data", "separator": ","}),
        json!({"path": "a.jsonl", "separator": ","}),
        json!({"path": "a.inter", "header": false}),
        json!({"path": "a.rating", "header": true}),
        json!({"path": "a.csv", "header": "yes"}),
        json!({"path": "a.csv", "columns": {"user": -1}}),
        json!({"path": "a.csv", "columns": {"user_id": "u"}}),
        json!({"path": "a.csv", "columns": {"user": "x", "item": "x"}}),
        json!({"path": "a.csv", "header": false, "columns": {"user": "x", "item": "y"}}),
        json!({"path": "a.csv", "header": false, "columns": {"user": 1}}),
        json!({"path": "a.jsonl", "columns": {"user": 1}}),
        json!({"path": "a.parquet", "encoding": "latin1"}),
        json!({"path": "a.csv", "ids": "int"}),
        json!({"path": "a.csv", "on_bad_line": "ignore"}),
        json!({"path": "a.csv", "timestamp_unit": "h"}),
    ];
    insta::assert_snapshot!(found.map(decode).join("\n"), @r#"
    : no file is given [set `path` to a file on this machine, or connect `files` and set `file` to the name of one]
    format: the ending of `ratings.txt` does not tell its format [set `format` to one of csv, tsv, double_colon, delimited, jsonl, parquet, inter, rating]
    format: unknown variant `excel`, expected one of `auto`, `csv`, `tsv`, `double_colon`, `delimited`, `jsonl`, `parquet`, `inter`, `rating` []
    sep: unknown field `sep`, expected one of `path`, `file`, `format`, `separator`, `header`, `columns`, `ids`, `timestamp_unit`, `encoding`, `on_bad_line` []
    separator: `::` must be a single character for `csv` []
    separator: `` is empty []
    separator: `format: delimited` needs a separator [give what stands between fields, as in `separator: ";"`, or set `format: csv` or `format: tsv`]
    separator: `format: tsv` has a separator of its own [leave `separator` out, or set `format: delimited`]
    separator: `format: jsonl` has no separators [leave `separator` out, or set `format: delimited`]
    header: `format: inter` always has a header [leave `header` out]
    header: `format: rating` never has a header line [leave `header` out]
    header: expected `auto`, `true` or `false` []
    columns.user: expected the name of a column, or its position counted from 0 []
    columns.user_id: unknown field `user_id`, expected one of `user`, `item`, `rating`, `timestamp`, `clean` []
    columns.item: the same column as `columns.user` [give each its own column]
    columns.user: a name, but the file has no header [give a position counted from 0, or set `header: true`]
    columns: the position of `item` is missing [give the positions of all columns that you want, counted from 0]
    columns.user: a position, but JSON objects have no order [give the name of the key]
    encoding: `format: parquet` is not text [leave `encoding` out]
    ids: unknown variant `int`, expected one of `auto`, `integer`, `string` []
    on_bad_line: unknown variant `ignore`, expected `error` or `skip` []
    timestamp_unit: unknown variant `h`, expected one of `s`, `ms`, `us`, `ns` []
    "#);
}

fn run(text: &str, params: serde_json::Value, digest: Option<&str>) -> (Result<(DataFrame, FrameMeta)>, Vec<Note>) {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("ratings.tsv"), dir.path().join("out"));
    std::fs::write(&path, text).unwrap();
    std::fs::create_dir(&out).unwrap();
    let digest = digest.map_or_else(|| blake3::hash(text.as_bytes()).to_hex().to_string(), str::to_owned);
    let source = SourceFile { path, digest, size: text.len() as u64 };
    let stage = (KINDS.get("read").unwrap().decode)(params).unwrap();
    let context =
        Context::new(ContextParts { sources: [("path".to_owned(), source)].into(), ..ContextParts::in_dir(&out) });
    let result = stage.run(&context);
    let (written, notes) = context.into_results();
    let artifact = ArtifactDir::written("ratings", &out, written);
    let read = || {
        let interactions = Interactions::load(&artifact)?;
        Ok((interactions.frame()?, interactions.rows.meta().clone()))
    };
    (result.and_then(|()| read()), notes)
}

#[test]
fn the_output_is_sorted_and_the_facts_are_told() {
    let params = json!({"path": "ratings.tsv", "on_bad_line": "skip"});
    let (interactions, notes) = run("7\t3\t4\t100\nx\n5\t9\t1\t90\n", params, None);
    let (frame, meta) = interactions.unwrap();
    assert_eq!(slice::<polars::prelude::Int64Type>(&frame, USER).unwrap(), [5, 7]);
    assert_eq!(slice::<polars::prelude::Int64Type>(&frame, ITEM).unwrap(), [9, 3]);
    assert_eq!(meta, FrameMeta::of("read"));
    let told: Vec<String> = notes
        .into_iter()
        .map(|note| match note {
            Note::Fact(name, value) => format!("{name} = {value}"),
            Note::Device(device) => device,
            Note::Warning(text) => text.replace(['/', '\\'], "|").split('|').next_back().unwrap_or_default().to_owned(),
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    rows = 2
    users = 2
    items = 2
    lines = 3
    bad_lines = 1
    ratings.tsv:2: 1 field instead of 4, in `x`
    ");
}

#[test]
fn a_file_that_changed_since_it_was_hashed_is_refused_even_if_it_is_bad() {
    for text in ["1\t2\t3\t4\n", "not data at all\n"] {
        let digest = blake3::hash(b"what it was").to_hex().to_string();
        let (result, _) = run(text, json!({"path": "ratings.tsv"}), Some(&digest));
        let error = result.unwrap_err();
        assert_eq!(error.class, Class::Data);
        assert!(error.message.ends_with("changed while the run was reading it"), "{}", error.message);
    }
}

#[test]
fn bad_data_is_the_users_error_with_its_place() {
    let (result, _) = run("1\t2\t3\t4\n1\t2\tx\t4\n", json!({"path": "ratings.tsv"}), None);
    let error = result.unwrap_err();
    assert_eq!(error.class, Class::Data);
    assert!(error.message.contains("ratings.tsv:2: rating `x` is not a number"), "{}", error.message);
}

#[test]
fn values_that_are_hardly_meant_as_they_are_read_are_warned_of() {
    let warnings = |text: &str, params: serde_json::Value| {
        let (result, notes) = run(text, params, None);
        result.unwrap();
        let warning = |note| match note {
            Note::Warning(text) => Some(text),
            Note::Fact(..) | Note::Device(_) => None,
        };
        notes.into_iter().filter_map(warning).collect::<Vec<String>>()
    };
    let plain = json!({"path": "ratings.tsv"});
    for (unit, time) in [("ms", 874_965_478_000_i64), ("us", 874_965_478_000_000), ("ns", 874_965_478_000_000_000)] {
        let text = format!("1\t2\t3\t{time}\n");
        let said = warnings(&text, plain.clone());
        assert!(said.len() == 1 && said[0].ends_with(&format!("set `timestamp_unit: {unit}`")), "{said:?}");
        assert_eq!(warnings(&text, json!({"path": "ratings.tsv", "timestamp_unit": unit})), [""; 0]);
    }
    // One that is not is enough for a doubt of the doubt.
    assert_eq!(warnings("1\t2\t3\t874965478000\n1\t3\t3\t874965478\n", plain.clone()), [""; 0]);
    let said = warnings("1.0\ta\t3\t4\n2.0\tb\t3\t4\n", plain.clone());
    assert!(said.len() == 1 && said[0].starts_with("user ids such as `1.0` are taken as text"), "{said:?}");
    assert_eq!(warnings("1.0\ta\t3\t4\n2.5\tb.0\t3\t4\n", plain), [""; 0]);
}
