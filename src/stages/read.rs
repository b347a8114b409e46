//! The stage `read`: interactions from a file, as they are.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::files::Files;
use crate::artifacts::interactions::Interactions;
use crate::data::columns::{Columns, IdColumn};
use crate::data::frame::{FrameMeta, from_columns};
use crate::data::read::{
    ColumnMap, ColumnRef, Encoding, FORMATS, File, Format, Header, Hooks, IdKind, OnBadLine, Options, Reading, Spill,
    TimestampUnit, check_separator, read_parquet, read_text,
};
use crate::data::scan::{PIECE, WAVE, cut};
use crate::stage::Class;
use crate::stage::{Context, Output, ParamError, Port, Result, Source, SourceFile, SourceReader, Stage};

/// Reads interactions from a file and sorts them; nothing is filtered or guessed. The file is one on this machine (`path`)
/// or one of the stage at the port `files` (`file`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The file, on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The file, by its name among those at the port `files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
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
    const CHANGES: &'static [&'static str] = &[
        "first version",
        "where bad lines are left out, the first line may be one of them",
        "times of Parquet in 96 bits that are past 64 bits of nanoseconds",
    ];
    const INPUTS: &'static [Port] = &[Port::optional::<Files>("files")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Interactions>("interactions")];

    fn normalise(mut self) -> Result<Self, ParamError> {
        if self.path.is_some() == self.file.is_some() {
            let what = if self.path.is_some() { "both `path` and `file` are given" } else { "no file is given" };
            let name = if self.path.is_some() { "file" } else { "" };
            return Err(ParamError::new(name, what)
                .help("set `path` to a file on this machine, or connect `files` and set `file` to the name of one"));
        }
        self.resolve_format()?;
        self.resolve_separator()?;
        self.resolve_header()?;
        self.check_columns()?;
        Ok(self)
    }

    fn check_inputs(&self, connected: &[&str]) -> Result<(), ParamError> {
        check_files("file", "`path` in place of `file`", self.file.is_some(), connected)
    }

    fn sources(&self) -> Vec<Source> {
        self.path.iter().map(|path| Source::new("path", path)).collect()
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let spill = Spill::within(context.memory().share(), context.scratch());
        let Reading { rows, lines, skipped, warning } = self.reading(Some(spill), context)?;
        let mut sink = Interactions::sink(&FrameMeta::of(Self::KIND), BTreeSet::new(), context);
        let (mut waiting, mut waiting_rows) = (Vec::new(), 0);
        let mut doubts: Option<Vec<String>> = None;
        let totals = rows.each(&mut |columns| {
            doubts.get_or_insert_with(|| self.doubts(&columns));
            // Piece by piece, so that what is encoded at a time does not depend on how much fits into memory.
            let pieces = cut(&from_columns(columns)?, PIECE)?;
            // Pieces of many rows keep all of them in memory: none of them waits for what comes next.
            let many = pieces.len() > 1;
            for piece in pieces {
                waiting_rows += piece.height();
                waiting.push(piece);
                if waiting_rows >= WAVE {
                    waiting_rows = 0;
                    sink.write(&std::mem::take(&mut waiting))?;
                }
            }
            if many {
                waiting_rows = 0;
                sink.write(&std::mem::take(&mut waiting))?;
            }
            Ok(())
        })?;
        sink.write(&waiting)?;
        sink.finish()?;
        context.fact("rows", totals.rows);
        context.fact("users", totals.users);
        context.fact("items", totals.items);
        context.fact("lines", lines);
        context.fact("bad_lines", skipped);
        for warning in warning.into_iter().chain(doubts.unwrap_or_default()) {
            context.warn(warning);
        }
        Ok(())
    }
}

/// Refuses a parameter for files at the port `files` without any there, and files there without the parameter. `paths` is what
/// takes files on this machine.
///
/// # Errors
/// Names the parameter.
pub(super) fn check_files(param: &str, paths: &str, given: bool, connected: &[&str]) -> Result<(), ParamError> {
    match (given, connected.contains(&"files")) {
        (true, false) => Err(ParamError::new(param, "nothing is connected that has files").help(format!(
            "for files on this machine set {paths}; else add `inputs: {{files: …}}` with a stage such as `fetch`"
        ))),
        (false, true) => Err(ParamError::new("", format!("`files` is connected, but `{param}` is not given"))
            .help(format!("set `{param}` in place of paths, or disconnect `files`"))),
        _ => Ok(()),
    }
}

/// A source, and what messages call it.
pub(super) fn open_source(source: &SourceFile) -> Result<(String, SourceReader)> {
    Ok((source.path.display().to_string(), source.open()?))
}

/// Gives a file to a parser, and then checks that it is the one that the key was made of.
pub(super) fn parse<T>(
    (name, mut reader): (String, SourceReader),
    context: &Context<'_>,
    parse: impl FnOnce(&mut SourceReader, File<'_>, Hooks<'_>) -> Result<T>,
) -> Result<T> {
    let size = reader.size();
    let file = File { name: &name, size: Some(size) };
    let parsed = with_hooks(size, context, |hooks| parse(&mut reader, file, hooks));
    if parsed.as_ref().err().is_none_or(|error| error.class == Class::Data) {
        // What is wrong with a file that changes while it is read is not worth reporting.
        reader.finish()?;
    }
    parsed
}

/// Connects a parser to the progress and the cancellation of a run.
fn with_hooks<T>(size: u64, context: &Context<'_>, parse: impl FnOnce(Hooks<'_>) -> Result<T>) -> Result<T> {
    let (progress, cancel) = (context.progress(), context.cancel());
    progress.start(Some(size), "bytes");
    parse(Hooks { advance: &|bytes| progress.advance(bytes), cancelled: &|| cancel.is_cancelled(), spill: None })
}

/// How many rows are looked at for values that are hardly what they are taken for.
const LOOKED_AT: usize = 1000;

/// Times above are those of the year 5138 in seconds, and of 1973 in milliseconds.
const SECONDS: i64 = 100_000_000_000;

impl Read {
    /// What is hardly meant as it is read, by some of the rows.
    fn doubts(&self, columns: &Columns) -> Vec<String> {
        let mut doubts = Vec::new();
        let times = columns.timestamp.iter().flatten().take(LOOKED_AT);
        if self.timestamp_unit == TimestampUnit::S
            && let Some(least) = times.min().filter(|least| **least >= SECONDS)
        {
            let unit = if *least >= SECONDS * 1_000_000 {
                "ns"
            } else if *least >= SECONDS * 1000 {
                "us"
            } else {
                "ms"
            };
            doubts.push(format!(
                "timestamps such as {least} are taken as seconds, which are far in the future: if they are finer, set \
                 `timestamp_unit: {unit}`"
            ));
        }
        for (role, ids) in [("user", &columns.user), ("item", &columns.item)] {
            let IdColumn::Str(ids) = ids else { continue };
            let is_decimal = |id: &String| id.strip_suffix(".0").is_some_and(|whole| whole.parse::<i64>().is_ok());
            let mut some = ids.values.iter().take(LOOKED_AT).peekable();
            if let Some(first) = some.peek().map(ToString::to_string)
                && some.all(is_decimal)
            {
                doubts.push(format!(
                    "{role} ids such as `{first}` are taken as text, as they are written: if they are whole numbers, write \
                     them so, as other tables will have them"
                ));
            }
        }
        doubts
    }

    /// Reads the file. With `spill`, rows that are too many for memory go to files.
    pub(super) fn reading(&self, spill: Option<Spill<'_>>, context: &Context<'_>) -> Result<Reading> {
        let (name, reader) = match &self.file {
            Some(file) => context.input::<Files>("files")?.open(file)?,
            None => open_source(context.source("path")?)?,
        };
        let options = self.options();
        if self.format == Format::Parquet {
            let size = reader.size();
            let bytes = reader.read_all()?;
            return with_hooks(size, context, |hooks| read_parquet(&bytes, &name, &options, Hooks { spill, ..hooks }));
        }
        parse((name, reader), context, |input, file, hooks| read_text(input, file, &options, Hooks { spill, ..hooks }))
    }

    fn resolve_format(&mut self) -> Result<(), ParamError> {
        if self.format != Format::Auto {
            return Ok(());
        }
        // One of the two is given: `normalise` has made sure.
        let path = self.path.clone().or_else(|| self.file.as_ref().map(PathBuf::from)).unwrap_or_default();
        self.format = match Format::of_path(&path) {
            Some(format) => format,
            None if self.separator.is_some() => Format::Delimited,
            None => {
                let path = path.display();
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
            (Format::Delimited, ..) => Err(ParamError::new("separator", "`format: delimited` needs a separator").help(
                "give what stands between fields, as in `separator: \";\"`, or set `format: csv` or `format: tsv`",
            )),
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
                    return refuse(
                        "a name, but the file has no header",
                        "give a position counted from 0, or set `header: true`",
                    );
                }
                ColumnRef::Position(_) if self.format == Format::Jsonl => {
                    return refuse("a position, but JSON objects have no order", "give the name of the key");
                }
                _ => {}
            }
            if let Some((other, _)) = self.mapped().take_while(|(other, _)| *other != role).find(|(_, c)| *c == column)
            {
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
mod tests;
