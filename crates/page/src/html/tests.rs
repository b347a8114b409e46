use html5ever::ParseOpts;
use html5ever::parse_document;
use html5ever::tendril::TendrilSink;
use markup5ever_rcdom::Handle;
use markup5ever_rcdom::NodeData;
use markup5ever_rcdom::RcDom;
use proptest::prelude::*;

use super::*;
use crate::Cell;
use crate::Cells;
use crate::Column;
use crate::Command;
use crate::DataSet;
use crate::Edge;
use crate::Fact;
use crate::Figure;
use crate::Graph;
use crate::Kind;
use crate::Level;
use crate::Metric;
use crate::Node;
use crate::Note;
use crate::Reproduce;
use crate::Run;
use crate::State;
use crate::Table;

/// A page with every part, and `text` in every place that takes text.
fn page(text: &str) -> Page {
    let s = || text.to_owned();
    let cells = Some(Cells { ran: 3, failed: 1, ..Cells::default() });
    // Names of stages are told apart by a letter, because they have to differ.
    let node = |tag: &str, cells| Node {
        name: format!("{tag}{text}"),
        kind: s(),
        state: State::Failed,
        seconds: Some(1.0),
        bytes: Some(2),
        cells,
    };
    let run = |tag: &str| Run {
        name: s(),
        stage: format!("{tag}{text}"),
        parameters: vec![(s(), s())],
        key: s(),
        state: State::Failed,
        seconds: Some(1.0),
        peak_memory: Some(1),
        device: s(),
        engine: s(),
        seed: Some(1),
        metrics: vec![Metric { name: s(), value: Some(1.0), digits: Some(2), better: None }],
        configuration: s(),
        manifest: s(),
        error: s(),
    };
    let cell = || Cell { text: s(), value: None, sd: None, mark: s(), tooltip: s() };
    Page {
        title: s(),
        description: s(),
        program: s(),
        facts: vec![Fact { name: s(), value: s() }],
        notes: [Level::Warning, Level::Note].map(|level| Note { level, text: s(), stage: Some(s()) }).to_vec(),
        graph: Graph {
            nodes: vec![node("a", None), node("b", cells)],
            edges: vec![Edge { from: format!("a{text}"), to: format!("b{text}") }],
        },
        tables: vec![Table {
            title: s(),
            caption: s(),
            columns: [Kind::Text, Kind::Number { digits: None, better: None }]
                .map(|kind| Column { name: s(), kind, tooltip: s() })
                .to_vec(),
            rows: vec![vec![cell(), cell()]],
        }],
        figures: vec![Figure {
            title: s(),
            caption: s(),
            svg: r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0"/></svg>"#.to_owned(),
        }],
        runs: vec![run("a"), run("b"), run("b")],
        reproduce: Reproduce {
            commands: vec![Command { purpose: s(), line: s() }],
            versions: vec![(s(), s())],
            data: vec![DataSet { name: s(), digest: s(), bytes: Some(1), source: s() }],
        },
    }
}

/// The elements and the names of their attributes, in order, as the parser of a browser sees them (html5ever, from
/// Servo), and all text.
fn seen(html: &str) -> (Vec<String>, String) {
    fn walk(node: &Handle, tags: &mut Vec<String>, text: &mut String) {
        match &node.data {
            NodeData::Element { name, attrs, .. } => {
                let names: Vec<String> = attrs.borrow().iter().map(|a| a.name.local.to_string()).collect();
                tags.push(format!("{} {}", name.local, names.join(" ")));
            }
            NodeData::Text { contents } => text.push_str(&contents.borrow()),
            NodeData::Comment { .. } => tags.push("comment".to_owned()),
            _ => {}
        }
        for child in node.children.borrow().iter() {
            walk(child, tags, text);
        }
    }
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(html);
    let (mut tags, mut text) = (Vec::new(), String::new());
    walk(&dom.document, &mut tags, &mut text);
    (tags, text)
}

/// Text made of what breaks out of HTML, of what hides, and of anything else.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec![
            "<script>", "</script>", "</style>", "</title>", "</textarea>", "</svg>", "<svg/onload=x>", "<!--", "-->", "]]>",
            "<![CDATA[", "\"", "'", "`", "=", ">", "<", "&", "&lt;", "&#60;", "&#x202e;", "\u{0}", "\u{202e}", "\u{2066}", "\u{feff}",
            "\r", "\u{c}", "javascript:", " onerror=x ", "<plaintext>", "<template>", "</pre>", "${x}", "\u{2028}", "\u{1f52c}",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    // A letter first, so that no part is left out for being empty.
    prop::collection::vec(piece, 1..12).prop_map(|pieces| format!("x{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn no_text_adds_takes_or_changes_an_element_or_an_attribute(text in hostile()) {
        // An empty line parts paragraphs, which is meant.
        let text = text.replace(['\n', '\r'], " ");
        let (tags, all) = seen(&render(&page(&text)).unwrap());
        let (plain_tags, _) = seen(&render(&page("x")).unwrap());
        prop_assert_eq!(tags, plain_tags);
        prop_assert!(all.contains(visible(&text).trim()), "the text itself is there");
        prop_assert!(!all.contains(crate::text::is_hidden));
    }

    #[test]
    fn a_page_survives_json(text in hostile()) {
        let page = page(&text);
        let json = serde_json::to_string(&page).unwrap();
        prop_assert_eq!(serde_json::from_str::<Page>(&json).unwrap(), page);
    }

    #[test]
    fn numbers_of_any_size_are_rendered(bits in any::<u64>(), n in any::<u64>(), digits in any::<Option<u8>>()) {
        let mut page = page("x");
        let value = Some(f64::from_bits(bits));
        page.runs[0].seconds = value;
        page.runs[1].metrics[0] = Metric { value, digits, ..page.runs[1].metrics[0].clone() };
        page.runs[2].peak_memory = Some(n);
        page.graph.nodes[0].seconds = value;
        page.graph.nodes[0].bytes = Some(n);
        page.graph.nodes[1].cells = Some(Cells { ran: n, fresh: n, ..Cells::default() });
        prop_assert!(render(&page).is_ok());
    }
}

#[test]
fn every_id_is_unique_and_every_link_leads_to_one() {
    let html = render(&page("x")).unwrap();
    let after = |mark: &str| -> Vec<String> {
        html.split(mark).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let mut ids = after(" id=\"");
    let links = after(" href=\"#");
    assert!(ids.len() > 15 && links.len() > 15);
    assert!(links.iter().all(|link| ids.contains(link)), "{links:?} {ids:?}");
    ids.sort();
    let n = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), n);
}

#[test]
fn an_empty_page_is_a_page() {
    let (tags, text) = seen(&render(&Page::default()).unwrap());
    assert!(tags.contains(&"main id tabindex".to_owned()) && text.contains("Report"));
}

#[test]
fn the_same_page_gives_the_same_bytes() {
    assert_eq!(render(&page("x")).unwrap(), render(&page("x")).unwrap());
}

#[test]
fn the_policy_has_the_hashes_of_what_is_in_the_file() {
    let mut styled = page("x");
    styled.figures[0].svg =
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><style>.a{fill:red}</style></svg>"#.to_owned();
    let html = render(&styled).unwrap();
    let between = |open: &str, close: &str| -> Vec<String> {
        html.split(open).skip(1).map(|rest| rest.split(close).next().unwrap().to_owned()).collect()
    };
    let (scripts, styles) = (between("<script>", "</script>"), between("<style>", "</style>"));
    assert_eq!((scripts.len(), styles.len()), (1, 2));
    let styles: Vec<&str> = styles.iter().map(String::as_str).collect();
    // The templates escape no apostrophe, so the policy stands in the file as it is.
    assert!(html.contains(&policy(&scripts[0], &styles)));
}

#[test]
fn what_is_wrong_with_a_page_is_said_with_its_place_and_the_remedy() {
    let error = |change: &dyn Fn(&mut Page)| {
        let mut page = page("");
        change(&mut page);
        render(&page).unwrap_err().to_string()
    };
    let edge = |from: &str, to: &str| Edge { from: from.to_owned(), to: to.to_owned() };
    assert_eq!(
        error(&|page| page.graph.edges.push(edge("b", "a"))),
        "the graph has a cycle through stage `a`: remove one of its edges"
    );
    assert_eq!(
        error(&|page| page.graph.edges.push(edge("b", "c"))),
        "the graph has an edge from `b` to `c`, but no stage `c`: add it to `nodes`"
    );
    assert_eq!(
        error(&|page| page.graph.nodes[1].name = "a".to_owned()),
        "the graph has two stages `a`: give each stage its own name"
    );
    assert_eq!(
        error(&|page| {
            page.tables[0].rows[0].pop();
        }),
        "row 1 of table `` has 1 cells for 2 columns: give it a cell for each column"
    );
    assert!(
        error(&|page| page.figures[0].svg = "<svg/>".to_owned()).starts_with("figure ``: its root is `<svg>`: write")
    );
}

#[test]
fn the_page_asks_for_nothing_from_elsewhere() {
    let html = render(&page("x")).unwrap();
    for mark in ["http://", "https://", " src=", "@import", "url(//", "<link", "<iframe", "<form"] {
        assert!(!html.contains(mark), "{mark}");
    }
}

#[test]
fn the_best_of_a_column_is_bold_by_its_direction_and_nan_is_never_best() {
    let column = |better| Column { kind: Kind::Number { digits: Some(1), better: Some(better) }, ..Column::default() };
    let row = |value: f64| vec![Cell::text("r"), Cell::number(value), Cell::number(value)];
    let table = Table {
        columns: vec![Column::default(), column(crate::Better::Higher), column(crate::Better::Lower)],
        rows: vec![row(0.5), row(f64::NAN), row(0.2)],
        ..Table::default()
    };
    let html = render(&Page { tables: vec![table], ..Page::default() }).unwrap();
    assert!(html.contains(r#"<td class="n best" data-v="0.5">0.5</td><td class="n" data-v="0.5">0.5</td>"#));
    assert!(html.contains(r#"<td class="n">NaN</td><td class="n">NaN</td>"#));
    assert!(html.contains(r#"<td class="n" data-v="0.2">0.2</td><td class="n best" data-v="0.2">0.2</td>"#));
}
