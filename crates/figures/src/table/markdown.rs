//! GitHub's Markdown.

use std::fmt::Write;

use crate::table::Mark;
use crate::table::Table;
use crate::table::parts;
use crate::table::parts::Parts;
use crate::table::rank;
use crate::table::rank::Rank;

pub(crate) fn render(table: &Table) -> String {
    let mut out = String::new();
    if !table.caption.is_empty() {
        _ = writeln!(out, "**{}**\n", escape(&parts::one_line(&table.caption)));
    }
    let headings: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("{} {}", escape(&parts::heading(column)), parts::arrow(column.better)).trim().to_owned())
        .collect();
    _ = writeln!(out, "| {} |", headings.join(" | "));
    let rule = |at: usize| if parts::is_names(table, at) { "---" } else { "---:" };
    let rules: Vec<&str> = (0..table.columns.len()).map(rule).collect();
    _ = writeln!(out, "| {} |", rules.join(" | "));
    let ranks: Vec<Vec<Rank>> = (0..table.columns.len()).map(|at| rank::ranks(table, at)).collect();
    for (at, row) in table.rows.iter().enumerate() {
        let cells = row.iter().zip(&table.columns).zip(&ranks);
        let cells: Vec<String> =
            cells.map(|((cell, column), ranks)| one(&parts::parts(table, column, cell), ranks[at])).collect();
        _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    for note in parts::notes(table, "\\*", "†", escape) {
        _ = write!(out, "\n{note}\n");
    }
    out
}

fn one(parts: &Parts, rank: Rank) -> String {
    if parts.is_text {
        return escape(&parts.value);
    }
    let mut out = if rank == Rank::Best { format!("**{}**", parts.value) } else { parts.value.clone() };
    match parts.mark {
        Some(Mark::Star) => out.push_str("\\*"),
        Some(Mark::Dagger) => out.push('†'),
        _ => {}
    }
    if !parts.sd.is_empty() {
        _ = write!(out, " ± {}", parts.sd);
    }
    for part in [&parts.interval, &parts.difference, &parts.change] {
        if !part.is_empty() {
            _ = write!(out, " {}", escape(part));
        }
    }
    out
}

/// Text that Markdown, HTML and GitHub's mentions leave as it is.
fn escape(text: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' if !before.is_alphanumeric() => out.push_str("&#64;"),
            '#' if !before.is_alphanumeric() => out.push_str("&#35;"),
            ':' => out.push_str("&#58;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '!' => {
                out.push('\\');
                out.push(letter);
            }
            letter => out.push(letter),
        }
        before = letter;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_mentions_and_cell_borders_stay_text() {
        assert_eq!(escape("a|b <i> @user #12 NDCG@10 *x*"), "a\\|b &lt;i&gt; &#64;user &#35;12 NDCG@10 \\*x\\*");
    }
}
