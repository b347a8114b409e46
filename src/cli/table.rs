//! Tables for people. Scripts use `--json`.

use comfy_table::{CellAlignment, ContentArrangement, presets};

/// A table with a header line and no frame.
pub(super) struct Table(comfy_table::Table);

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header.iter().copied());
        Self(table)
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.add_row(cells);
    }

    /// Aligns columns from the `first` on to the right, for numbers.
    pub(super) fn numbers_from(&mut self, first: usize) {
        for column in self.0.column_iter_mut().skip(first) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }

    pub(super) fn text(&self) -> String {
        // The preset pads the last column; nobody wants trailing blanks in a log.
        self.0.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

/// A duration that a person can read: `12 ms`, `3.4 s`, `2 min 5 s`.
pub(super) fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

/// An age that a person can read: `12 s`, `3 h`, `5 d`.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A size that a person can read: `12 B`, `3.4 MB`.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_naturally() {
        assert_eq!(seconds(0.0123), "12 ms");
        assert_eq!(seconds(3.42), "3.4 s");
        assert_eq!(seconds(125.2), "2 min 5 s");
        assert_eq!((age(59), age(7300), age(90_000)), ("59 s".into(), "2 h".into(), "1 d".into()));
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(3_400_000), "3.4 MB");
    }
}
