//! Random and hostile data: always well-formed, never a panic.

use ncf_pipe_figures::plot::Axis;
use ncf_pipe_figures::plot::Bar;
use ncf_pipe_figures::plot::BarChart;
use ncf_pipe_figures::plot::BarSeries;
use ncf_pipe_figures::plot::Better;
use ncf_pipe_figures::plot::Chart;
use ncf_pipe_figures::plot::Distribution;
use ncf_pipe_figures::plot::HeatMap;
use ncf_pipe_figures::plot::LineChart;
use ncf_pipe_figures::plot::Orientation;
use ncf_pipe_figures::plot::Point;
use ncf_pipe_figures::plot::Sample;
use ncf_pipe_figures::plot::ScaleKind;
use ncf_pipe_figures::plot::Series;
use ncf_pipe_figures::plot::Style;
use ncf_pipe_figures::plot::View;
use ncf_pipe_figures::table::Cell;
use ncf_pipe_figures::table::Column;
use ncf_pipe_figures::table::Latex;
use ncf_pipe_figures::table::Number;
use ncf_pipe_figures::table::Table;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Any float at all, with those that break axes more often.
fn value() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        4 => -10.0..10.0,
        2 => any::<f64>(),
        2 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 1e300,
            1e15, 1.0 + f64::EPSILON, 1.0,
        ]),
    ]
}

fn name() -> impl Strategy<Value = String> + Clone {
    let letters = prop_oneof![
        any::<char>(),
        prop::sample::select("<>&\"'\\{}$#%_^~[]|`*@-,;:\n\r\t\u{0}\u{202e}\u{fffe}中🎬é ".chars().collect::<Vec<_>>()),
    ];
    vec(letters, 0..60).prop_map(|letters| letters.into_iter().collect())
}

fn axis() -> impl Strategy<Value = Axis> {
    (name(), option::of(name()), any::<bool>()).prop_map(|(title, unit, log)| Axis {
        title,
        unit,
        scale: if log { ScaleKind::Log } else { ScaleKind::Linear },
    })
}

fn line() -> impl Strategy<Value = Chart> {
    let point = (value(), option::of(value()), option::of(value()), option::of(value()))
        .prop_map(|(x, y, low, high)| Point { x, y, low, high });
    let series = (name(), vec(point, 0..12), option::of(value()));
    let series = series.prop_map(|(name, points, best)| Series { name, points, best });
    (name(), axis(), axis(), vec(series, 0..5)).prop_map(|(title, x, y, series)| {
        Chart::Line(LineChart { title, x, y, series, best_label: None, band_label: None })
    })
}

fn orientation() -> impl Strategy<Value = Orientation> {
    prop::sample::select(vec![Orientation::Vertical, Orientation::Horizontal])
}

fn bar() -> impl Strategy<Value = Chart> {
    let bar = (option::of(value()), option::of(value()), option::of(value()));
    let bar = bar.prop_map(|(value, low, high)| Bar { value, low, high });
    (0_usize..8, 0_usize..4).prop_flat_map(move |(groups, series)| {
        let series = vec((name(), vec(bar.clone(), groups)).prop_map(|(name, bars)| BarSeries { name, bars }), series);
        let rest = (name(), name(), vec(name(), groups), axis(), series, orientation());
        rest.prop_map(|(title, category, groups, value, series, orientation)| {
            Chart::Bar(BarChart { title, category, groups, value, series, orientation, error_label: None })
        })
    })
}

fn heat() -> impl Strategy<Value = Chart> {
    (0_usize..7, 0_usize..7).prop_flat_map(|(rows, columns)| {
        let cells = vec(vec(option::of(value()), columns), rows);
        let rest = (name(), vec(name(), columns), vec(name(), rows), axis(), cells, option::of(0_u8..20));
        rest.prop_map(|(title, columns, rows, value, cells, digits)| {
            let (x, y) = (title.clone(), title.clone());
            Chart::Heat(HeatMap { title, x, columns, y, rows, value, cells, digits, better: Better::Higher })
        })
    })
}

fn distribution() -> impl Strategy<Value = Chart> {
    let sample = (name(), vec(option::of(value()), 0..60)).prop_map(|(name, values)| Sample { name, values });
    let view = prop_oneof![
        Just(View::Histogram),
        Just(View::Ecdf),
        orientation().prop_map(|orientation| View::Boxes { orientation }),
    ];
    (name(), axis(), name(), vec(sample, 0..5), view).prop_map(|(title, value, counted, samples, view)| {
        Chart::Distribution(Distribution { title, value, counted, samples, view })
    })
}

fn table() -> impl Strategy<Value = Table> {
    let number = (option::of(value()), option::of(value()), option::of((value(), value())), option::of(value()));
    let number = number.prop_map(|(value, sd, interval, p)| Number { value, sd, interval, p, ..Number::default() });
    let cell = prop_oneof![
        Just(Cell::Missing),
        name().prop_map(Cell::Text),
        any::<i64>().prop_map(Cell::Integer),
        number.prop_map(Cell::Number),
    ];
    (0_usize..5, 0_usize..5).prop_flat_map(move |(columns, rows)| {
        let column =
            (name(), option::of(name()), any::<bool>(), any::<u8>()).prop_map(|(name, unit, higher, digits)| Column {
                name,
                unit,
                better: if higher { Better::Higher } else { Better::Lower },
                digits,
            });
        let rest = (name(), vec(column, columns), vec(vec(cell.clone(), columns), rows), any::<bool>());
        rest.prop_map(move |(caption, columns, rows, compared)| {
            let baseline = (compared && !rows.is_empty()).then_some(0);
            Table { caption, columns, rows, baseline, significance: None, notes: Vec::new() }
        })
    })
}

/// All `data-*` attributes and coordinates that should be numbers are finite numbers.
fn check(svg: &str) {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
    let names = ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"];
    for node in document.descendants() {
        assert!(!node.has_tag_name("script"));
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on"), "{}", attribute.name());
            if names.contains(&attribute.name()) && attribute.value() != "100%" {
                assert!(attribute.value().parse::<f64>().unwrap().is_finite(), "{attribute:?}");
            }
            if attribute.name() == "width" && attribute.value() != "100%" {
                assert!(attribute.value().parse::<f64>().unwrap() >= 0.0, "{attribute:?}");
            }
            if matches!(attribute.name(), "d" | "transform") {
                assert!(!attribute.value().contains("NaN") && !attribute.value().contains("inf"), "{attribute:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn charts_of_any_data_are_well_formed(
        chart in prop_oneof![line(), bar(), heat(), distribution()],
        width in 240.0..1200.0_f64,
        height in 160.0..900.0_f64,
    ) {
        let style = Style { width, height, ..Style::default() };
        let svg = chart.svg(&style).unwrap();
        check(&svg);
        prop_assert_eq!(svg, chart.svg(&style).unwrap());
    }

    #[test]
    fn tables_of_any_data_render(table in table(), width in 0_usize..200) {
        let table = table.against_baseline().unwrap();
        let text = table.terminal(width).unwrap();
        prop_assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'));
        table.csv().unwrap();
        let markdown = table.markdown().unwrap();
        prop_assert!(!markdown.contains("<script"));
        let latex = table.latex(&Latex::default()).unwrap();
        let opened = latex.matches("\\begin{").count();
        prop_assert_eq!(opened, latex.matches("\\end{").count());
        let rows = latex.lines().filter(|line| line.ends_with(" \\\\")).count();
        prop_assert_eq!(rows, table.rows.len() + 1);
    }
}

#[cfg(feature = "png")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pictures_of_any_data_are_drawn(chart in prop_oneof![line(), bar(), heat(), distribution()]) {
        prop_assert!(chart.png(&Style::default(), 0.5).unwrap().starts_with(b"\x89PNG"));
    }
}
