//! The stage `read`: interactions from a file, as they are.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::interactions::Interactions;
use crate::data::error::Kind;
use crate::data::frame::{FrameMeta, from_columns};
use crate::data::read::{
    ColumnMap, ColumnRef, Encoding, FORMATS, File, Format, Header, Hooks, IdKind, OnBadLine, Options, Reading,
    TimestampUnit, check_separator, read_parquet, read_text,
};
use crate::data::{self};
use crate::stage::{Context, Output, ParamError, Result, Source, SourceFile, SourceReader, Stage};

/// Reads interactions from a file and sorts them; nothing is filtered or guessed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    #[serde(default)]
    pub format: Format,
    /// What stands between fields: for `delimited` anything, for `csv` one character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// Whether the first line names the columns.
    #[serde(default)]
    pub header: Header,
    /// Which column is which, by name or by position counted from 0.
    #[serde(default)]
    pub columns: ColumnMap,
    /// What ids are.
    #[serde(default)]
    pub ids: IdKind,
    /// The unit of timestamps.
    #[serde(default)]
    pub timestamp_unit: TimestampUnit,
    /// The encoding of text.
    #[serde(default)]
    pub encoding: Encoding,
    /// What becomes of lines that cannot be read.
    #[serde(default)]
    pub on_bad_line: OnBadLine,
}

impl Stage for Read {
    const KIND: &'static str = "read";
    const ABOUT: &'static str = "reads interactions from a file of one of many formats";
    const CHANGES: &'static [&'static str] = &["first version"];
    const OUTPUTS: &'static [Output] = &[Output::of::<Interactions>("interactions")];

    fn normalise(mut self) -> Result<Self, ParamError> {
        self.resolve_format()?;
        self.resolve_separator()?;
        self.resolve_header()?;
        self.check_columns()?;
        Ok(self)
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source { param: "path", path: self.path.clone() }]
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let source = context.source("path")?;
        let options = self.options();
        let Reading { columns, lines, skipped, warning } = if self.format == Format::Parquet {
            let name = source.path.display().to_string();
            let bytes = source.read_all()?;
            with_hooks(source, context, |hooks| read_parquet(&bytes, &name, &options, hooks))?
        } else {
            parse_source(source, context, |input, file, hooks| read_text(input, file, &options, hooks))?
        };
        context.fact("rows", columns.len());
        context.fact("users", columns.user.distinct());
        context.fact("items", columns.item.distinct());
        context.fact("lines", lines);
        context.fact("bad_lines", skipped);
        if let Some(warning) = warning {
            context.warn(warning);
        }
        Interactions::write(&from_columns(columns)?, &FrameMeta::of(Self::KIND), context)
    }
}

/// Gives a source to a parser, and then checks that the file is the one that the key was made of.
pub(super) fn parse_source<T>(
    source: &SourceFile,
    context: &Context<'_>,
    parse: impl FnOnce(&mut SourceReader, File<'_>, Hooks<'_>) -> data::Result<T>,
) -> Result<T> {
    let name = source.path.display().to_string();
    let mut reader = source.open()?;
    let file = File { name: &name, size: Some(source.size) };
    let parsed = with_hooks(source, context, |hooks| parse(&mut reader, file, hooks));
    if parsed.as_ref().err().is_none_or(|error| error.kind == Kind::Data) {
        // What is wrong with a file that changes while it is read is not worth reporting.
        reader.finish()?;
    }
    Ok(parsed?)
}

/// Connects a parser to the progress and the cancellation of a run.
fn with_hooks<T>(
    source: &SourceFile,
    context: &Context<'_>,
    parse: impl FnOnce(Hooks<'_>) -> data::Result<T>,
) -> data::Result<T> {
    let (progress, cancel) = (context.progress(), context.cancel());
    progress.start(Some(source.size), "bytes");
    parse(Hooks { advance: &|bytes| progress.advance(bytes), cancelled: &|| cancel.is_cancelled() })
}

impl Read {
    fn resolve_format(&mut self) -> Result<(), ParamError> {
        if self.format != Format::Auto {
            return Ok(());
        }
        self.format = match Format::of_path(&self.path) {
            Some(format) => format,
            None if self.separator.is_some() => Format::Delimited,
            None => {
                let path = self.path.display();
                let error = ParamError::new("format", format!("the ending of `{path}` does not tell its format"));
                return Err(error.help(format!("set `format` to one of {FORMATS}")));
            }
        };
        Ok(())
    }

    fn resolve_separator(&mut self) -> Result<(), ParamError> {
        let refuse = |what: String| Err(ParamError::new("separator", what));
        match (self.format, self.format.separator(), &self.separator) {
            (Format::Csv | Format::Delimited, _, Some(separator)) => {
                let shown = separator.escape_debug();
                check_separator(separator, self.format).or_else(|reason| refuse(format!("`{shown}` {reason}")))
            }
            (Format::Delimited, ..) => refuse("`format: delimited` needs a separator".to_owned()),
            (_, own, None) => {
                self.separator = own.map(str::to_owned);
                Ok(())
            }
            (_, Some(own), Some(separator)) if own == separator => Ok(()),
            (_, own, Some(_)) => {
                let what = if own.is_some() { "has a separator of its own" } else { "has no separators" };
                let error = ParamError::new("separator", format!("`format: {}` {what}", name(self.format)));
                Err(error.help("leave `separator` out, or set `format: delimited`"))
            }
        }
    }

    fn resolve_header(&mut self) -> Result<(), ParamError> {
        let fixed = match self.format {
            Format::Inter => Some(true),
            Format::Rating | Format::Jsonl | Format::Parquet => Some(false),
            _ => None,
        };
        let header = match (self.header, fixed) {
            (Header::Is(asked), Some(fixed)) if asked != fixed => {
                let what = if fixed { "always has a header" } else { "never has a header line" };
                return Err(ParamError::new("header", format!("`format: {}` {what}", name(self.format)))
                    .help("leave `header` out"));
            }
            (Header::Is(asked), _) => asked,
            (Header::Auto(_), Some(fixed)) => fixed,
            (Header::Auto(_), None) => {
                self.format == Format::Csv || self.mapped().any(|(_, column)| matches!(column, ColumnRef::Name(_)))
            }
        };
        self.header = Header::Is(header);
        Ok(())
    }

    fn check_columns(&self) -> Result<(), ParamError> {
        let named = self.format.names_columns() || self.header == Header::Is(true);
        for (role, column) in self.mapped() {
            let refuse = |what: &str, help: &str| Err(ParamError::new(&format!("columns.{role}"), what).help(help));
            match column {
                ColumnRef::Name(_) if !named => {
                    return refuse("a name, but the file has no header", "give a position counted from 0, or set `header: true`");
                }
                ColumnRef::Position(_) if self.format == Format::Jsonl => {
                    return refuse("a position, but JSON objects have no order", "give the name of the key");
                }
                _ => {}
            }
            if let Some((other, _)) = self.mapped().take_while(|(other, _)| *other != role).find(|(_, c)| *c == column) {
                return refuse(&format!("the same column as `columns.{other}`"), "give each its own column");
            }
        }
        if !named && self.columns != ColumnMap::default() {
            for (role, column) in [("user", &self.columns.user), ("item", &self.columns.item)] {
                if column.is_none() {
                    return Err(ParamError::new("columns", format!("the position of `{role}` is missing"))
                        .help("give the positions of all columns that you want, counted from 0"));
                }
            }
        }
        if self.encoding == Encoding::Latin1 && self.format == Format::Parquet {
            return Err(ParamError::new("encoding", "`format: parquet` is not text").help("leave `encoding` out"));
        }
        Ok(())
    }

    /// The columns that the user has mapped.
    fn mapped(&self) -> impl Iterator<Item = (&'static str, &ColumnRef)> {
        let ColumnMap { user, item, rating, timestamp, clean } = &self.columns;
        let all = [("user", user), ("item", item), ("rating", rating), ("timestamp", timestamp), ("clean", clean)];
        all.into_iter().filter_map(|(role, column)| column.as_ref().map(|column| (role, column)))
    }

    fn options(&self) -> Options {
        Options {
            format: self.format,
            separator: self.separator.clone().unwrap_or_default(),
            header: self.header == Header::Is(true),
            columns: self.columns.clone(),
            ids: self.ids,
            timestamp_unit: self.timestamp_unit,
            encoding: self.encoding,
            on_bad_line: self.on_bad_line,
        }
    }
}

/// The name of a format in a pipeline file.
fn name(format: Format) -> String {
    serde_json::to_value(format).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::data::frame::{ITEM, USER, slice};
    use crate::stage::{ArtifactDir, Artifact, Cancel, Class, ContextParts, Device, FileRef, Note, Registry, Silent, StageKind};

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
        insta::assert_snapshot!(found.map(decode).join("\n"), @"");
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
        insta::assert_snapshot!(found.map(decode).join("\n"), @"");
    }

    fn run(text: &str, params: serde_json::Value, digest: Option<&str>) -> (Result<Interactions>, Vec<Note>) {
        let dir = tempfile::tempdir().unwrap();
        let (path, out) = (dir.path().join("ratings.tsv"), dir.path().join("out"));
        std::fs::write(&path, text).unwrap();
        std::fs::create_dir(&out).unwrap();
        let digest = digest.map_or_else(|| blake3::hash(text.as_bytes()).to_hex().to_string(), str::to_owned);
        let source = SourceFile { path, digest, size: text.len() as u64 };
        let stage = (KINDS.get("read").unwrap().decode)(params).unwrap();
        let context = Context::new(ContextParts {
            seed: 0,
            device: Device::Cpu,
            cell: BTreeMap::new(),
            inputs: BTreeMap::new(),
            sources: [("path".to_owned(), source)].into(),
            out: out.clone(),
            scratch: dir.path().join("scratch"),
            progress: &Silent,
            cancel: Cancel::default(),
        });
        let result = stage.run(&context);
        let (written, notes) = context.into_results();
        let file = |file: &crate::stage::Written| {
            let reference = FileRef { path: out.join(&file.name), digest: file.digest.clone(), size: file.size };
            (file.name.clone(), reference)
        };
        let artifact = ArtifactDir { producer: "ratings".to_owned(), files: written.iter().map(file).collect() };
        (result.and_then(|()| Interactions::load(&artifact)), notes)
    }

    #[test]
    fn the_output_is_sorted_and_the_facts_are_told() {
        let params = json!({"path": "ratings.tsv", "on_bad_line": "skip"});
        let (interactions, notes) = run("7\t3\t4\t100\nx\n5\t9\t1\t90\n", params, None);
        let interactions = interactions.unwrap();
        assert_eq!(slice::<polars::prelude::Int64Type>(&interactions.frame, USER).unwrap(), [5, 7]);
        assert_eq!(slice::<polars::prelude::Int64Type>(&interactions.frame, ITEM).unwrap(), [9, 3]);
        assert_eq!(interactions.meta, FrameMeta::of("read"));
        let told: Vec<String> = notes
            .into_iter()
            .map(|note| match note {
                Note::Fact(name, value) => format!("{name} = {value}"),
                Note::Warning(text) => text.replace(['/', '\\'], "|").split('|').next_back().unwrap_or_default().to_owned(),
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @"");
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
}
