//! Tables: bytes of each format.

use ncf_pipe_figures::plot::Better;
use ncf_pipe_figures::table::Cell;
use ncf_pipe_figures::table::Column;
use ncf_pipe_figures::table::Latex;
use ncf_pipe_figures::table::Number;
use ncf_pipe_figures::table::Significance;
use ncf_pipe_figures::table::Table;

use crate::golden;

fn column(name: &str, unit: Option<&str>, better: Better, digits: u8) -> Column {
    Column { name: name.into(), unit: unit.map(Into::into), better, digits }
}

/// Seed 000's comparison, with made-up numbers.
fn results() -> Table {
    let number = |mean, sd, p: Option<f64>| Cell::Number(Number { p, ..Number::mean(mean, sd, 10) });
    let row = |name: &str, hr: Cell, ndcg: Cell, seconds: f64, runs: i64| {
        vec![Cell::text(name), hr, ndcg, Cell::Number(Number::new(seconds)), Cell::Integer(runs)]
    };
    Table {
        caption: "NeuMF with BCE and focal loss on ML-1M".into(),
        columns: vec![
            column("model", None, Better::None, 0),
            column("HR@10", None, Better::Higher, 4),
            column("NDCG@10", None, Better::Higher, 4),
            column("time", Some("s"), Better::Lower, 1),
            column("parameters", None, Better::None, 0),
        ],
        rows: vec![
            row("NeuMF-BCE", number(0.5, 0.003, None), number(0.28, 0.0021, None), 1234.56, 1_450_000),
            row(
                "NeuMF-FL (γ=2)",
                number(0.512, 0.0029, Some(0.0004)),
                number(0.2912, 0.002, Some(0.03)),
                1301.0,
                1_450_000,
            ),
            row(
                "NeuMF-FL (γ=0)",
                number(0.512, 0.0031, Some(0.2)),
                number(0.2801, 0.0019, Some(0.9)),
                1299.0,
                1_450_000,
            ),
            row("diverged", Cell::Number(Number::new(f64::NAN)), Cell::Missing, f64::INFINITY, 0),
        ],
        baseline: Some(0),
        significance: Some(Significance {
            test: "Wilcoxon signed-rank test over users".into(),
            alternative: "two-sided".into(),
            correction: "Holm, 4 comparisons".into(),
            level: 0.05,
            strict: Some(0.001),
        }),
        notes: vec!["Mean of 10 seeds.".into()],
    }
    .against_baseline()
    .unwrap()
}

fn hostile() -> Table {
    let names = [
        "\\end{tabular}\\input{/etc/passwd}",
        "[2em] $x^2_i$ & 100% #1 ~{}",
        "*starred* `code` \"quotes\" 'single' <b>|pipe|</b>",
        "a,b\r\nc\u{0}\u{1b}[31mred\u{202e}",
        "=1+1 --- ,, ?` 推薦 🎬 é ß ł",
        "",
    ];
    Table {
        caption: "Hostile % } \\caption{ ^^M # $".into(),
        columns: vec![
            column("name_of & <model>", None, Better::None, 0),
            column("[x] $ %", Some("µs"), Better::Lower, 2),
        ],
        rows: names
            .iter()
            .enumerate()
            .map(|(at, name)| vec![Cell::text(*name), Cell::Number(Number::new(-1.5 * at as f64))])
            .collect(),
        baseline: Some(1),
        significance: None,
        notes: vec!["[note] \\today % $".into()],
    }
    .against_baseline()
    .unwrap()
}

/// Every character that LaTeX output lets through or has a command for: `scripts/latex.sh` compiles it.
fn characters() -> Table {
    let west = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿĀāĂăĆćĈĉĊċČčĎďĒēĔĕĖėĚěĜĝĞğĠġĤĥĨĩĪīĬĭİıĴĵĹĺŁłŃńŇň\
                ŌōŎŏŐőŒœŔŕŘřŚśŜŝŞşŠšŢţŤťŨũŪūŬŭŮůŰűŴŵŶŷŸŹźŻżŽž";
    let signs = "±×−≤≥≠≈→←↑↓∞·°²³…–—‘’“”†αβγδεζηθκλμµνξπρστφχψωΓΔΘΛΣΦΩ";
    let ascii: String = (0x20_u8..0x7f).map(char::from).collect();
    let long: Vec<char> = format!("{west}{signs}{ascii}").chars().collect();
    Table {
        caption: "Characters".into(),
        columns: vec![column("text", None, Better::None, 0)],
        rows: long.chunks(40).map(|part| vec![Cell::text(part.iter().collect::<String>())]).collect(),
        ..Table::default()
    }
}

fn latex() -> Latex {
    Latex { label: Some("tab:a}b".into()), underline_second: true, ..Latex::default() }
}

#[test]
fn every_format_keeps_its_bytes() {
    for (name, table) in [("results", results()), ("hostile", hostile())] {
        golden::check(&format!("{name}.txt"), &table.terminal(120).unwrap());
        golden::check(&format!("{name}.narrow.txt"), &table.terminal(60).unwrap());
        golden::check(&format!("{name}.md"), &table.markdown().unwrap());
        golden::check(&format!("{name}.tex"), &table.latex(&latex()).unwrap());
        golden::check(&format!("{name}.csv"), &table.csv().unwrap());
    }
}

#[test]
fn latex_text_keeps_its_bytes_for_every_known_character() {
    let text = characters().latex(&latex()).unwrap();
    assert!(!text.contains("U+"));
    golden::check("characters.tex", &text);
}

#[test]
fn both_of_two_equal_best_numbers_are_bold() {
    let text = results().latex(&latex()).unwrap();
    assert_eq!(text.matches("\\textbf{0.5120}").count(), 2);
    assert!(text.contains("\\textbf{1,234.6}"), "lower is better");
}

#[test]
fn csv_has_full_precision_and_no_nan() {
    let mut table = results();
    table.rows[0][1] = Cell::Number(Number::new(0.1 + 0.2));
    let text = table.csv().unwrap();
    assert!(text.contains("0.30000000000000004"));
    assert!(text.contains("\r\ndiverged,,"), "{text}");
}

#[test]
fn no_line_of_a_terminal_table_is_wider_than_asked_where_numbers_leave_room() {
    for width in [60, 80, 100] {
        for line in results().terminal(width).unwrap().lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}
