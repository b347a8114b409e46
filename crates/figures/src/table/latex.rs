//! LaTeX with the package `booktabs`.

use std::fmt::Write;

use serde::Deserialize;
use serde::Serialize;

use crate::plot::Better;
use crate::table::Mark;
use crate::table::Table;
use crate::table::parts;
use crate::table::parts::Parts;
use crate::table::rank;
use crate::table::rank::Rank;

/// How LaTeX is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Latex {
    /// What `\label` gets, such as `tab:results`; letters, digits and `:-._` only, others are left out.
    pub label: Option<String>,
    /// Whether the second best of a column is underlined.
    pub underline_second: bool,
    /// Which characters the compiler knows.
    pub characters: Characters,
}

/// Which characters a LaTeX compiler knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Characters {
    /// pdfLaTeX with its defaults: Western letters, Greek and common signs; others become `[U+4E2D]`.
    #[default]
    PdfLatex,
    /// XeLaTeX or LuaLaTeX with a suitable font: every character as it is.
    Unicode,
}

pub(crate) fn render(table: &Table, options: &Latex) -> String {
    let escape = |text: &str| escape(text, options.characters);
    let mut out = String::from("% needs \\usepackage{booktabs}\n\\begin{table}\n\\centering\n");
    if !table.caption.is_empty() {
        _ = writeln!(out, "\\caption{{{}}}", escape(&parts::one_line(&table.caption)));
    }
    if let Some(label) = &options.label {
        let allowed = |letter: &char| letter.is_ascii_alphanumeric() || ":-._".contains(*letter);
        _ = writeln!(out, "\\label{{{}}}", label.chars().filter(allowed).collect::<String>());
    }
    let columns = table.columns.len();
    let letter = |at: usize| if parts::is_names(table, at) { 'l' } else { 'r' };
    let letters: String = (0..columns).map(letter).collect();
    if !table.caption.is_empty() {
        out.push_str("\\smallskip\n");
    }
    _ = writeln!(out, "\\begin{{tabular}}{{@{{}}{}@{{}}}}", if letters.is_empty() { "l" } else { &letters });
    let headings: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let arrow = match column.better {
                Better::Higher => " $\\uparrow$",
                Better::Lower => " $\\downarrow$",
                Better::None => "",
            };
            format!("{}{arrow}", escape(&parts::heading(column)))
        })
        .collect();
    _ = writeln!(out, "\\toprule\n{} \\\\\n\\midrule", headings.join(" & "));
    let ranks: Vec<Vec<Rank>> = (0..columns).map(|at| rank::ranks(table, at)).collect();
    for (at, row) in table.rows.iter().enumerate() {
        let cells = row.iter().zip(&table.columns).zip(&ranks);
        let cells: Vec<String> =
            cells.map(|((cell, column), ranks)| one(&parts::parts(table, column, cell), ranks[at], options)).collect();
        _ = writeln!(out, "{} \\\\", cells.join(" & "));
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n");
    let mut notes = parts::notes(table, STAR, DAGGER, escape);
    if table.columns.iter().any(|column| column.better != Better::None) && table.rows.len() > 1 {
        let best = if options.underline_second { "Best in bold, second best underlined." } else { "Best in bold." };
        notes.insert(0, String::from(best));
    }
    if !notes.is_empty() {
        _ = writeln!(out, "\\par\\smallskip\n{{\\footnotesize {}\\par}}", notes.join(" "));
    }
    out.push_str("\\end{table}\n");
    out
}

const STAR: &str = "\\textsuperscript{*}";
const DAGGER: &str = "\\textsuperscript{\\textdagger}";

fn one(parts: &Parts, rank: Rank, options: &Latex) -> String {
    if parts.is_text {
        return escape(&parts.value, options.characters);
    }
    let number = |text: &str| text.replace('-', "$-$").replace('–', "--").replace('%', "\\,\\%");
    let mut out = match rank {
        Rank::Best => format!("\\textbf{{{}}}", number(&parts.value)),
        Rank::Second if options.underline_second => format!("\\underline{{{}}}", number(&parts.value)),
        _ => number(&parts.value),
    };
    match parts.mark {
        Some(Mark::Star) => out.push_str(STAR),
        Some(Mark::Dagger) => out.push_str(DAGGER),
        _ => {}
    }
    if !parts.sd.is_empty() {
        _ = write!(out, " $\\pm$ {}", number(&parts.sd));
    }
    for part in [&parts.interval, &parts.difference, &parts.change] {
        if !part.is_empty() {
            _ = write!(out, " {}", number(part));
        }
    }
    out
}

/// Text that LaTeX sets as it is. A `[` or `*` at the start is in braces, because after `\\` it would be its argument.
fn escape(text: &str, characters: Characters) -> String {
    let mut out = String::new();
    let mut before = None;
    for letter in text.trim_start().chars() {
        match letter {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => {
                out.push('\\');
                out.push(letter);
            }
            '^' => out.push_str("\\textasciicircum{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("{\\char34}"),
            '`' => out.push_str("\\textasciigrave{}"),
            '\'' => out.push_str("\\textquotesingle{}"),
            '[' | '*' if before.is_none() => {
                out.push('{');
                out.push(letter);
                out.push('}');
            }
            // Two of these would be one longer sign.
            '-' | ',' if before == Some(letter) => {
                out.push_str("{}");
                out.push(letter);
            }
            letter if letter.is_ascii() && !letter.is_control() => out.push(letter),
            letter if letter.is_control() => out.push(' '),
            letter if characters == Characters::Unicode => out.push(letter),
            letter => out.push_str(&known(letter).map_or_else(|| code(letter), str::to_owned)),
        }
        before = Some(letter);
    }
    out
}

/// A character by its number.
fn code(letter: char) -> String {
    if is_western(letter) { letter.to_string() } else { format!("{{[}}U+{:04X}]", u32::from(letter)) }
}

/// Letters that pdfLaTeX sets in its default encoding (OT1): those it can build from a letter and an accent.
fn is_western(letter: char) -> bool {
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿĀāĂăĆćĈĉĊċČčĎďĒēĔĕĖėĚěĜĝĞğĠġĤĥĨĩĪīĬĭİıĴĵĹĺŁłŃńŇňŌōŎŏŐőŒœŔŕŘřŚśŜŝŞşŠšŢţŤťŨũŪūŬŭŮůŰűŴŵŶŷŸŹźŻżŽž"
        .contains(letter)
}

/// Signs and Greek letters as commands that need no package.
fn known(letter: char) -> Option<&'static str> {
    Some(match letter {
        '±' => "$\\pm$",
        '×' => "$\\times$",
        '−' => "$-$",
        '≤' => "$\\leq$",
        '≥' => "$\\geq$",
        '≠' => "$\\neq$",
        '≈' => "$\\approx$",
        '→' => "$\\rightarrow$",
        '←' => "$\\leftarrow$",
        '↑' => "$\\uparrow$",
        '↓' => "$\\downarrow$",
        '∞' => "$\\infty$",
        '·' => "$\\cdot$",
        '°' => "$^{\\circ}$",
        '²' => "$^{2}$",
        '³' => "$^{3}$",
        '…' => "\\ldots{}",
        '–' => "--",
        '—' => "---",
        '‘' => "`",
        '’' => "'",
        '“' => "``",
        '”' => "''",
        '†' => "\\textdagger{}",
        'α' => "$\\alpha$",
        'β' => "$\\beta$",
        'γ' => "$\\gamma$",
        'δ' => "$\\delta$",
        'ε' => "$\\varepsilon$",
        'ζ' => "$\\zeta$",
        'η' => "$\\eta$",
        'θ' => "$\\theta$",
        'κ' => "$\\kappa$",
        'λ' => "$\\lambda$",
        'μ' | 'µ' => "$\\mu$",
        'ν' => "$\\nu$",
        'ξ' => "$\\xi$",
        'π' => "$\\pi$",
        'ρ' => "$\\rho$",
        'σ' => "$\\sigma$",
        'τ' => "$\\tau$",
        'φ' => "$\\varphi$",
        'χ' => "$\\chi$",
        'ψ' => "$\\psi$",
        'ω' => "$\\omega$",
        'Γ' => "$\\Gamma$",
        'Δ' => "$\\Delta$",
        'Θ' => "$\\Theta$",
        'Λ' => "$\\Lambda$",
        'Σ' => "$\\Sigma$",
        'Φ' => "$\\Phi$",
        'Ω' => "$\\Omega$",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_character_is_escaped() {
        assert_eq!(
            escape("\\{}$&#_%^~<>|\"`'", Characters::PdfLatex),
            "\\textbackslash{}\\{\\}\\$\\&\\#\\_\\%\\textasciicircum{}\\textasciitilde{}\\textless{}\\textgreater{}\\textbar{}\
             {\\char34}\\textasciigrave{}\\textquotesingle{}"
        );
    }

    #[test]
    fn a_cell_cannot_become_the_argument_of_a_line_break() {
        assert_eq!(escape(" [2em] a*", Characters::PdfLatex), "{[}2em] a*");
        assert_eq!(escape("*a--b", Characters::PdfLatex), "{*}a-{}-b");
    }

    #[test]
    fn what_pdflatex_does_not_know_is_named_by_its_number() {
        assert_eq!(escape("γ=2 é 中", Characters::PdfLatex), "$\\gamma$=2 é {[}U+4E2D]");
        assert_eq!(escape("中", Characters::Unicode), "中");
    }
}
