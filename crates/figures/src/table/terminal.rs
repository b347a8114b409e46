//! Aligned text for a terminal.

use std::fmt::Write;

use unicode_width::UnicodeWidthChar;
use unicode_width::UnicodeWidthStr;

use crate::plot::clean;
use crate::table::Mark;
use crate::table::Table;
use crate::table::parts;
use crate::table::parts::Parts;
use crate::table::rank;
use crate::table::rank::Rank;

const GAP: &str = "  ";
/// Names are not cut to less than this.
const SHORTEST: usize = 12;

/// A column as it is printed.
#[derive(Clone)]
struct Printed {
    heading: String,
    cells: Vec<String>,
    names: bool,
    width: usize,
}

impl Printed {
    fn cut(&mut self, width: usize) {
        self.width = width;
        for cell in self.cells.iter_mut().chain([&mut self.heading]) {
            *cell = cut(cell.trim_end(), width);
        }
    }
}

pub(crate) fn render(table: &Table, width: usize) -> String {
    let mut columns: Vec<Printed> = (0..table.columns.len()).map(|at| print(table, at)).collect();
    shrink(&mut columns, width);
    let mut out = String::new();
    if !table.caption.is_empty() {
        wrap(&mut out, &parts::one_line(&table.caption), width);
        out.push('\n');
    }
    for (at, block) in blocks(&columns, width).into_iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let chosen: Vec<&Printed> = block.iter().map(|&at| &columns[at]).collect();
        row(&mut out, &chosen, |column| &column.heading);
        let rule: Vec<String> = chosen.iter().map(|column| "─".repeat(column.width)).collect();
        _ = writeln!(out, "{}", rule.join(GAP));
        for at in 0..table.rows.len() {
            row(&mut out, &chosen, |column| &column.cells[at]);
        }
    }
    let best = table.columns.iter().any(|column| column.better != crate::plot::Better::None);
    let mut notes = parts::notes(table, "*", "†", str::to_owned);
    if best && table.rows.len() > 1 {
        notes.insert(0, String::from("▲ marks the best of a column."));
    }
    if !notes.is_empty() {
        out.push('\n');
    }
    for note in notes {
        wrap(&mut out, &note, width);
    }
    out
}

/// The cells of a column, with their parts below each other.
fn print(table: &Table, at: usize) -> Printed {
    let column = &table.columns[at];
    let ranks = rank::ranks(table, at);
    let all: Vec<Parts> = table.rows.iter().map(|row| parts::parts(table, column, &row[at])).collect();
    let with_best = ranks.contains(&Rank::Best);
    let with_mark = all.iter().any(|parts| matches!(parts.mark, Some(Mark::Star | Mark::Dagger)));
    let pieces: Vec<[String; 7]> = all
        .iter()
        .zip(&ranks)
        .map(|(parts, rank)| {
            let best = if with_best { if *rank == Rank::Best { "▲" } else { " " } } else { "" };
            let mark = match parts.mark {
                Some(Mark::Star) => "*",
                Some(Mark::Dagger) => "†",
                _ if with_mark => " ",
                _ => "",
            };
            let sd = if parts.sd.is_empty() { String::new() } else { format!(" ± {}", parts.sd) };
            let spaced = |text: &str| if text.is_empty() { String::new() } else { format!(" {text}") };
            let value = if parts.is_text { clean(&parts.value) } else { parts.value.clone() };
            [
                best.into(),
                value,
                mark.into(),
                sd,
                spaced(&parts.interval),
                spaced(&parts.difference),
                spaced(&parts.change),
            ]
        })
        .collect();
    let names = parts::is_names(table, at);
    let widest: Vec<usize> = (0..7).map(|part| pieces.iter().map(|row| row[part].width()).max().unwrap_or(0)).collect();
    let join = |row: &[String; 7]| {
        let padded = row.iter().zip(&widest).map(|(piece, &width)| pad(piece, width, names));
        padded.collect::<String>()
    };
    let cells: Vec<String> = pieces.iter().map(join).collect();
    let heading = clean(format!("{} {}", parts::heading(column), parts::arrow(column.better)).trim());
    let width = cells.iter().map(|cell| cell.width()).chain([heading.width()]).max().unwrap_or(0);
    Printed { heading, cells, names, width }
}

/// Cuts names so that the table fits beside itself; where that is not enough, only so that blocks below each other fit.
fn shrink(columns: &mut Vec<Printed>, width: usize) {
    let whole = columns.clone();
    while let Some(over) = total(columns).checked_sub(width).filter(|over| *over > 0) {
        let longest = columns.iter_mut().filter(|column| column.names && column.width > SHORTEST);
        let Some(column) = longest.max_by_key(|column| column.width) else {
            *columns = whole;
            let others = columns.iter().skip(1).map(|column| column.width + GAP.len()).max().unwrap_or(0);
            let room = width.saturating_sub(others).max(SHORTEST);
            for column in columns.iter_mut().filter(|column| column.names && column.width > room) {
                column.cut(room);
            }
            return;
        };
        column.cut(column.width.saturating_sub(over).max(SHORTEST));
    }
}

/// The width of all columns beside each other.
fn total(columns: &[Printed]) -> usize {
    let widths: usize = columns.iter().map(|column| column.width).sum();
    widths + GAP.len() * columns.len().saturating_sub(1)
}

/// Which columns are printed beside each other: the first is repeated in each block if it holds names.
fn blocks(columns: &[Printed], width: usize) -> Vec<Vec<usize>> {
    let first = columns.first().filter(|column| column.names).map(|column| column.width);
    let mut blocks: Vec<Vec<usize>> = Vec::new();
    let mut used = usize::MAX;
    for (at, column) in columns.iter().enumerate() {
        if used.saturating_add(column.width + GAP.len()) > width + GAP.len() {
            let repeat = at > 0 && first.is_some();
            if blocks.last().is_none_or(|block| *block != [0] || !repeat) {
                blocks.push(if repeat { vec![0] } else { Vec::new() });
                used = if repeat { first.unwrap_or(0) + GAP.len() } else { 0 };
            }
        }
        if let Some(block) = blocks.last_mut() {
            block.push(at);
        }
        used += column.width + GAP.len();
    }
    blocks
}

fn row<'a>(out: &mut String, columns: &[&'a Printed], cell: impl Fn(&'a Printed) -> &'a str) {
    let cells: Vec<String> = columns.iter().map(|column| pad(cell(column), column.width, column.names)).collect();
    _ = writeln!(out, "{}", cells.join(GAP).trim_end());
}

/// `text` filled with spaces at the right, or at the left.
fn pad(text: &str, width: usize, left: bool) -> String {
    let spaces = " ".repeat(width.saturating_sub(text.width()));
    if left { format!("{text}{spaces}") } else { format!("{spaces}{text}") }
}

/// `text` in at most `width` columns, with an ellipsis in the middle where it is cut: both ends of a name tell it apart from
/// others.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let take = |letters: &mut dyn Iterator<Item = char>, room: usize| {
        let mut used = 0;
        let kept = letters.take_while(|letter| {
            used += letter.width().unwrap_or(0);
            used <= room
        });
        kept.collect::<Vec<char>>()
    };
    let head: String = take(&mut text.chars(), room.div_ceil(2)).into_iter().collect();
    let tail: String = take(&mut text.chars().rev(), room / 2).into_iter().rev().collect();
    format!("{head}…{tail}")
}

/// A paragraph in lines of at most `width` columns.
fn wrap(out: &mut String, text: &str, width: usize) {
    let mut line = String::new();
    for word in clean(text).split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            _ = writeln!(out, "{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    _ = writeln!(out, "{line}");
}
