//! CSV by RFC 4180, for programs.

use csv::Terminator;
use csv::WriterBuilder;

use crate::error::FigureError;
use crate::number;
use crate::table::Cell;
use crate::table::Number;
use crate::table::Table;

/// The suffix of a column, and how to get its number.
type Field = (&'static str, fn(&Number) -> Option<f64>);

/// What a number may have besides its value.
const FIELDS: [Field; 6] = [
    ("sd", |number| number.sd),
    ("low", |number| number.interval.map(|(low, _)| low)),
    ("high", |number| number.interval.map(|(_, high)| high)),
    ("p", |number| number.p),
    ("difference", |number| number.difference),
    ("change %", |number| number.change),
];

pub(crate) fn render(table: &Table) -> Result<String, FigureError> {
    let failed = |reason: String| FigureError::Csv { table: table.caption.clone(), reason };
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    let numbers = |at: usize| {
        table.rows.iter().filter_map(move |row| if let Cell::Number(number) = &row[at] { Some(number) } else { None })
    };
    let mut header = Vec::new();
    let mut used = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        let name = match &column.unit {
            Some(unit) => format!("{} ({unit})", column.name),
            None => column.name.clone(),
        };
        let fields: Vec<_> = FIELDS.iter().filter(|(_, get)| numbers(at).any(|number| get(number).is_some())).collect();
        let counts = numbers(at).any(|number| number.n.is_some());
        header.push(name.clone());
        header.extend(fields.iter().map(|(suffix, _)| match (*suffix, &table.significance) {
            ("p", Some(test)) => format!("{name} p ({}; {})", test.test, test.correction),
            (suffix, _) => format!("{name} {suffix}"),
        }));
        if counts {
            header.push(format!("{name} n"));
        }
        used.push((fields, counts));
    }
    writer.write_record(&header).map_err(|error| failed(error.to_string()))?;
    for row in &table.rows {
        let mut record = Vec::new();
        for (cell, (fields, counts)) in row.iter().zip(&used) {
            record.push(match cell {
                Cell::Missing => String::new(),
                Cell::Text(text) => text.clone(),
                Cell::Integer(count) => count.to_string(),
                Cell::Number(number) => full(number.value),
            });
            let number = if let Cell::Number(number) = cell { Some(number) } else { None };
            record.extend(fields.iter().map(|(_, get)| full(number.and_then(get))));
            if *counts {
                record.push(number.and_then(|number| number.n).map(|n| n.to_string()).unwrap_or_default());
            }
        }
        writer.write_record(&record).map_err(|error| failed(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

/// The shortest decimal that gives the number back; nothing where it is missing or not finite.
fn full(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map(number::exact).unwrap_or_default()
}
