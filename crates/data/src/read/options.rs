//! How a file of interactions is to be read, as a pipeline file says it.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format of a file of interactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// By the ending of the file's name.
    #[default]
    Auto,
    /// Comma-separated values with quotes as in RFC 4180.
    Csv,
    /// Tab-separated values; quotes mean nothing.
    Tsv,
    /// Fields between `::`, as in MovieLens 1M.
    DoubleColon,
    /// Fields between a `separator` of your choice; quotes mean nothing.
    Delimited,
    /// One JSON object a line.
    Jsonl,
    /// Parquet.
    Parquet,
    /// RecBole's `.inter`: tab-separated with a header such as `user_id:token`.
    Inter,
    /// NCF's `.rating`: tab-separated `user item [rating [timestamp]]`, no header.
    Rating,
}

/// All formats, for messages.
pub const FORMATS: &str = "csv, tsv, double_colon, delimited, jsonl, parquet, inter, rating";

impl Format {
    /// The format that the ending of a file's name stands for, if it is beyond doubt.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "csv" => Self::Csv,
            "tsv" | "tab" | "data" => Self::Tsv,
            "dat" => Self::DoubleColon,
            "jsonl" | "ndjson" => Self::Jsonl,
            "parquet" | "pq" => Self::Parquet,
            "inter" => Self::Inter,
            "rating" => Self::Rating,
            _ => return None,
        })
    }

    /// What stands between the fields, if the format says so.
    pub fn separator(self) -> Option<&'static str> {
        match self {
            Self::Csv => Some(","),
            Self::Tsv | Self::Inter | Self::Rating => Some("\t"),
            Self::DoubleColon => Some("::"),
            Self::Auto | Self::Delimited | Self::Jsonl | Self::Parquet => None,
        }
    }

    /// Whether the fields carry their names, line by line or in the file.
    pub fn names_columns(self) -> bool {
        matches!(self, Self::Jsonl | Self::Parquet)
    }
}

/// Whether the first line names the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected `auto`, `true` or `false`")]
pub enum Header {
    /// Said by the user, or derived.
    Is(bool),
    /// By format: yes for `csv` and `inter`, or where `columns` gives names.
    Auto(Auto),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// Decide from what else is known.
    Auto,
}

impl Default for Header {
    fn default() -> Self {
        Self::Auto(Auto::Auto)
    }
}

/// A column of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the name of a column, or its position counted from 0")]
pub enum ColumnRef {
    /// Its position, counted from 0.
    Position(u16),
    /// Its name.
    Name(String),
}

/// Which column of the file is which. What is left out is found by its usual name, or, where the file names no
/// columns, by its position: user, item, rating, timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnMap {
    /// Who. Usual names: `user_id`, `user`, `userId`, `uid`.
    pub user: Option<ColumnRef>,
    /// What. Usual names: `item_id`, `item`, `itemId`, `movieId`, `iid`.
    pub item: Option<ColumnRef>,
    /// How much they liked it. Usual names: `rating`, `stars`.
    pub rating: Option<ColumnRef>,
    /// When. Usual names: `timestamp`, `ts`, `time`.
    pub timestamp: Option<ColumnRef>,
    /// Whether it is a true positive: 0, 1, false or true. Usual name: `clean`.
    pub clean: Option<ColumnRef>,
}

impl ColumnMap {
    /// The entries by role.
    pub(crate) fn get(&self, role: Role) -> Option<&ColumnRef> {
        match role {
            Role::User => self.user.as_ref(),
            Role::Item => self.item.as_ref(),
            Role::Rating => self.rating.as_ref(),
            Role::Timestamp => self.timestamp.as_ref(),
            Role::Clean => self.clean.as_ref(),
        }
    }
}

/// What a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    User,
    Item,
    Rating,
    Timestamp,
    Clean,
}

impl Role {
    pub(crate) const ALL: [Self; 5] = [Self::User, Self::Item, Self::Rating, Self::Timestamp, Self::Clean];

    /// The name used under `columns:` and in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Item => "item",
            Self::Rating => "rating",
            Self::Timestamp => "timestamp",
            Self::Clean => "clean",
        }
    }

    /// The names that such a column usually has, the likeliest first; case does not matter.
    pub(crate) fn usual_names(self) -> &'static [&'static str] {
        match self {
            Self::User => &["user_id", "user", "userId", "uid"],
            Self::Item => &["item_id", "item", "itemId", "movieId", "iid"],
            Self::Rating => &["rating", "stars"],
            Self::Timestamp => &["timestamp", "ts", "time"],
            Self::Clean => &["clean"],
        }
    }

    pub(crate) fn is_id(self) -> bool {
        matches!(self, Self::User | Self::Item)
    }
}

/// What ids are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdKind {
    /// Integers if all ids of the column are plain 64-bit integers, without leading zeros or signs other than `-`;
    /// else strings.
    #[default]
    Auto,
    /// Integers; anything else is a bad line.
    Integer,
    /// Strings, even if all are digits.
    String,
}

/// The unit of timestamps in the file. They are kept in whole seconds, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    /// Seconds.
    #[default]
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl TimestampUnit {
    /// How many of the unit make a second.
    pub(crate) fn per_second(self) -> i64 {
        match self {
            Self::S => 1,
            Self::Ms => 1_000,
            Self::Us => 1_000_000,
            Self::Ns => 1_000_000_000,
        }
    }
}

/// The encoding of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// UTF-8; other bytes make a bad line.
    #[default]
    Utf8,
    /// ISO 8859-1.
    Latin1,
}

/// What becomes of lines that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBadLine {
    /// They stop the run.
    #[default]
    Error,
    /// They are left out, counted and warned of. Without a header, the columns are then those of most lines of the first
    /// 64 KiB, since the first line may be a bad one.
    Skip,
}

/// All that says how a file is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The format; not [`Format::Auto`].
    pub format: Format,
    /// What stands between fields; see [`check_separator`]. Not used by formats that name their columns.
    pub separator: String,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Which column is which.
    pub columns: ColumnMap,
    /// What ids are.
    pub ids: IdKind,
    /// The unit of timestamps.
    pub timestamp_unit: TimestampUnit,
    /// The encoding of text.
    pub encoding: Encoding,
    /// What becomes of lines that cannot be read.
    pub on_bad_line: OnBadLine,
}

impl Options {
    /// The defaults for a format.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            separator: format.separator().unwrap_or_default().to_owned(),
            header: matches!(format, Format::Csv | Format::Inter),
            columns: ColumnMap::default(),
            ids: IdKind::Auto,
            timestamp_unit: TimestampUnit::S,
            encoding: Encoding::Utf8,
            on_bad_line: OnBadLine::Error,
        }
    }
}

/// Says why a separator cannot be used.
///
/// # Errors
/// The reason, to be put behind the separator's name.
pub fn check_separator(separator: &str, format: Format) -> Result<(), &'static str> {
    if separator.is_empty() {
        return Err("is empty");
    }
    if separator.len() > 16 {
        return Err("is longer than 16 characters");
    }
    if format == Format::Csv && separator.len() != 1 {
        return Err("must be a single character for `csv`");
    }
    if separator.bytes().any(|byte| !byte.is_ascii() || byte == 0) {
        return Err("must be ASCII");
    }
    if separator.bytes().any(|byte| byte.is_ascii_alphanumeric() || b"\n\r\"+-.".contains(&byte)) {
        return Err("must not hold letters, digits, quotes, line breaks, `+`, `-` or `.`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_stand_for_formats() {
        let of = |name: &str| Format::of_path(Path::new(name));
        for (name, format) in [
            ("ratings.csv", Some(Format::Csv)),
            ("a/b.TSV", Some(Format::Tsv)),
            ("u.data", Some(Format::Tsv)),
            ("ratings.dat", Some(Format::DoubleColon)),
            ("reviews.jsonl", Some(Format::Jsonl)),
            ("x.parquet", Some(Format::Parquet)),
            ("ml-100k.inter", Some(Format::Inter)),
            ("ml-1m.train.rating", Some(Format::Rating)),
            ("ratings.txt", None),
            ("ratings.json", None),
            ("ratings", None),
            (".csv", None),
            ("", None),
        ] {
            assert_eq!(of(name), format, "{name}");
        }
    }

    #[test]
    fn separators_that_could_be_data_are_refused() {
        for separator in ["", "a", "1", "\n", "\"", "-", "é", ",\0", ".", "::::::::::::::::::"] {
            assert!(check_separator(separator, Format::Delimited).is_err(), "{separator:?}");
        }
        assert_eq!(check_separator("::", Format::Csv), Err("must be a single character for `csv`"));
        for separator in [",", ";", "|", "\t", "::", " ", "<>"] {
            assert_eq!(check_separator(separator, Format::Delimited), Ok(()), "{separator:?}");
        }
    }
}
