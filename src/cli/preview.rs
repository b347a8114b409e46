//! The schema and the first rows of a stored file, without reading the rest of it.

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow::array::Array;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;
use serde_json::Value;

use crate::cli::table::Table;
use crate::stages::printable;

/// JSON files longer than this are not shown.
const MOST_JSON_BYTES: u64 = 64 << 10;
/// Lists longer than this are cut in a table.
const MOST_CELL_CHARS: usize = 60;

/// What can be shown of a file.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Preview {
    /// A Parquet file.
    Table { rows: i64, row_groups: usize, columns: Vec<Column>, head: Vec<Vec<String>> },
    /// A JSON file.
    Json(Value),
    /// A safetensors file: names and shapes.
    Tensors(Vec<Tensor>),
}

#[derive(Debug, Serialize)]
pub(super) struct Column {
    name: String,
    r#type: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

/// Looks into a file. None for formats that have no preview, and for files that cannot be read: `show` is no
/// verification, `store verify` is.
pub(super) fn preview(path: &Path, name: &str, rows: usize) -> Option<Preview> {
    let look = || match Path::new(name).extension()?.to_str()? {
        "parquet" => parquet(path, rows),
        "json" => json(path),
        "safetensors" => tensors(path),
        _ => None,
    };
    // The bytes are not checked here, and readers of Parquet panic on some damaged ones.
    catch_unwind(AssertUnwindSafe(look)).ok().flatten()
}

fn parquet(path: &Path, rows: usize) -> Option<Preview> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).ok()?).ok()?;
    let meta = builder.metadata();
    let (total, row_groups) = (meta.file_metadata().num_rows(), meta.num_row_groups());
    let fields = builder.schema().fields().clone();
    let columns = fields.iter().map(|f| Column { name: f.name().clone(), r#type: f.data_type().to_string() }).collect();
    let reader = builder.with_limit(rows).with_batch_size(rows.clamp(1, 1024)).build().ok()?;
    let mut head = Vec::new();
    let options = FormatOptions::default().with_null("null");
    for batch in reader {
        let batch = batch.ok()?;
        let cells: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c.as_ref() as &dyn Array, &options))
            .collect::<Result<_, _>>()
            .ok()?;
        for row in 0..batch.num_rows() {
            head.push(cells.iter().map(|column| cut(&printable(&column.value(row).to_string()))).collect());
        }
    }
    Some(Preview::Table { rows: total, row_groups, columns, head })
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MOST_CELL_CHARS {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MOST_CELL_CHARS - 1).collect();
    short.push('…');
    short
}

fn json(path: &Path) -> Option<Preview> {
    let mut text = String::new();
    File::open(path).ok()?.take(MOST_JSON_BYTES + 1).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok().map(Preview::Json)
}

fn tensors(path: &Path) -> Option<Preview> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length).min(1 << 20);
    let mut header = String::new();
    file.take(length).read_to_string(&mut header).ok()?;
    let header: Value = serde_json::from_str(&header).ok()?;
    let tensor = |(name, entry): (&String, &Value)| {
        let shape =
            entry.get("shape")?.as_array()?.iter().map(|n| n.as_u64().map(|n| n as usize)).collect::<Option<_>>()?;
        Some(Tensor { name: name.clone(), dtype: entry.get("dtype")?.as_str()?.to_owned(), shape })
    };
    Some(Preview::Tensors(header.as_object()?.iter().filter_map(tensor).collect()))
}

impl Preview {
    /// The preview as text that follows the file's name on the same line.
    pub(super) fn text(&self, indent: &str) -> String {
        let (heading, body) = match self {
            Self::Table { rows, row_groups, columns, head } => {
                let names: Vec<String> =
                    columns.iter().map(|c| format!("{}\n{}", printable(&c.name), c.r#type)).collect();
                let mut table = Table::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
                for row in head {
                    table.row(row.iter().cloned());
                }
                (format!(", {rows} rows in {row_groups} row groups"), table.text())
            }
            Self::Json(value) => (String::new(), serde_json::to_string_pretty(value).unwrap_or_default()),
            Self::Tensors(tensors) => {
                let mut table = Table::new(&["tensor", "type", "shape"]);
                for tensor in tensors {
                    table.row([tensor.name.clone(), tensor.dtype.clone(), format!("{:?}", tensor.shape)]);
                }
                (format!(", {} tensors", tensors.len()), table.text())
            }
        };
        let body: Vec<String> = body.lines().map(|line| format!("{indent}{line}")).collect();
        format!("{heading}\n{}\n", body.join("\n"))
    }
}
