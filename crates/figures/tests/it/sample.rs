//! Charts that the tests and the gallery share. Numbers are made from formulas, not from measurements.

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
use ncf_pipe_figures::plot::Series;
use ncf_pipe_figures::plot::View;

/// Learning curves of `count` models, with a band and a best epoch each, and a gap in the first.
pub(crate) fn curves(count: usize, epochs: usize) -> Chart {
    let names = ["NeuMF, BCE", "NeuMF, focal γ=2 α=0.25", "GMF, BPR", "MLP, BCE", "MF, BPR", "T-CE", "R-CE"];
    let series = (0..count)
        .map(|at| {
            let top = 0.36 - 0.013 * at as f64;
            let peak = epochs as f64 * (0.5 + 0.02 * at as f64);
            let value = |x: f64| top * (1.0 - (-x / 4.0).exp()) - 0.00004 * (x - peak).max(0.0).powi(2);
            let points: Vec<Point> = (1..=epochs)
                .map(|epoch| {
                    let x = epoch as f64;
                    let y = (at > 0 || !(8..=10).contains(&epoch)).then(|| value(x));
                    Point::new(x, y).spread(0.006 + 0.002 * (x / 5.0 + at as f64).sin())
                })
                .collect();
            let best = points.iter().max_by(|a, b| a.y.unwrap_or(0.0).total_cmp(&b.y.unwrap_or(0.0))).map(|p| p.x);
            let name = if at < names.len() { names[at].into() } else { format!("variant {at} with a longer name") };
            Series { name, points, best }
        })
        .collect();
    Chart::Line(LineChart {
        title: "Validation NDCG@10 by epoch".into(),
        x: Axis::new("epoch"),
        y: Axis::new("NDCG@10"),
        series,
        best_label: Some("best epoch".into()),
        band_label: Some("± 1 sd over 10 seeds".into()),
    })
}

/// A metric against a swept parameter on a logarithmic axis.
pub(crate) fn sweep() -> Chart {
    let lambdas = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];
    let line = |name: &str, at: f64| Series {
        name: name.into(),
        points: lambdas
            .iter()
            .map(|&x: &f64| Point::new(x, 0.3 - 0.01 * (x.log10() + at).powi(2)).spread(0.004))
            .collect(),
        best: None,
    };
    Chart::Line(LineChart {
        title: "Recall@20 against the L2 penalty".into(),
        x: Axis::new("L2 penalty λ").log(),
        y: Axis::new("Recall@20"),
        series: vec![line("GMF", 3.0), line("MLP", 2.0)],
        best_label: None,
        band_label: Some("95 % confidence interval".into()),
    })
}

/// Seed 001's first chart: a metric by the number of negatives.
pub(crate) fn negatives() -> Chart {
    let bars = |start: f64| {
        [1.0, 4.0, 8.0, 16.0].iter().map(|n: &f64| Bar::new(start + 0.02 * n.log2()).spread(0.012)).collect()
    };
    Chart::Bar(BarChart {
        title: "Effect of negative sampling on HR@10".into(),
        category: "number of negatives".into(),
        groups: ["1", "4", "8", "16"].map(Into::into).to_vec(),
        value: Axis::new("hit rate @ 10"),
        series: vec![
            BarSeries { name: "BCE".into(), bars: bars(0.09) },
            BarSeries { name: "focal".into(), bars: bars(0.11) },
            BarSeries {
                name: "BPR".into(),
                bars: [Bar::new(0.1), Bar::new(None), Bar::new(0.14), Bar::new(0.13)].to_vec(),
            },
        ],
        orientation: Orientation::Vertical,
        error_label: Some("± 1 sd over 10 seeds".into()),
    })
}

/// Seed 001's second chart: architectures with long names, parameters on a logarithmic axis.
pub(crate) fn architectures() -> Chart {
    Chart::Bar(BarChart {
        title: "Model size".into(),
        category: "architecture".into(),
        groups: ["Shallow [64, 32]", "Standard [128, 64, 32]", "Deep [256, 128, 64, 32]", "Wide [512, 256]"]
            .map(Into::into)
            .to_vec(),
        value: Axis::new("parameters").log(),
        series: vec![BarSeries {
            name: String::new(),
            bars: [260_000.0, 275_000.0, 320_000.0, 1_450_000.0].map(Bar::new).to_vec(),
        }],
        orientation: Orientation::Horizontal,
        error_label: None,
    })
}

/// Seed 000's grid: NDCG@10 by γ and α, two cells missing.
pub(crate) fn grid() -> Chart {
    let gammas = [0.5_f64, 1.0, 2.0, 3.0];
    let alphas = [0.25_f64, 0.5, 0.75];
    let cell = |gamma: f64, alpha: f64| 0.35 - 0.01 * (gamma - 2.0).powi(2) - 0.3 * (alpha - 0.5).powi(2);
    let mut cells: Vec<Vec<Option<f64>>> =
        alphas.iter().map(|&alpha| gammas.iter().map(|&gamma| Some(cell(gamma, alpha))).collect()).collect();
    cells[0][3] = None;
    cells[2][0] = Some(f64::NAN);
    Chart::Heat(HeatMap {
        title: "NDCG@10 by focusing and balance".into(),
        x: "γ".into(),
        columns: gammas.iter().map(ToString::to_string).collect(),
        y: "α".into(),
        rows: alphas.iter().map(ToString::to_string).collect(),
        value: Axis::new("NDCG@10"),
        cells,
        digits: Some(4),
        better: Better::Higher,
    })
}

/// Per-user NDCG of several models: most users have 0, the rest what ranks give.
pub(crate) fn users(view: View, models: usize) -> Chart {
    let names = ["Pop", "ItemKNN", "EASE", "iALS", "GMF", "NeuMF with focal loss"];
    let samples = (0..models)
        .map(|model| {
            let values = (0..2000_u32).map(|user| {
                let draw = f64::from(user.wrapping_mul(2_654_435_761) ^ (model as u32 * 77_777)) / f64::from(u32::MAX);
                (draw.powf(2.2 - 0.2 * model as f64) - 0.08).max(0.0)
            });
            Sample::new(names[model % names.len()], values)
        })
        .collect();
    Chart::Distribution(Distribution {
        title: "NDCG@10 of each user".into(),
        value: Axis::new("NDCG@10"),
        counted: "users".into(),
        samples,
        view,
    })
}

/// Names that break layouts, markup and style sheets.
pub(crate) fn hostile() -> Chart {
    let name = "</title></svg><script>alert('x')</script>\" onload=\"alert(1)\" & \u{202e}reversed ]]> \u{0}\u{b}";
    let long =
        "a very long name of a series that goes on and on and on until nobody wants to read it any more ".repeat(3);
    let series = |name: &str, scale: f64| Series {
        name: name.into(),
        points: [(0.0, 1.0), (1.0, f64::NAN), (2.0, f64::INFINITY), (f64::NAN, 3.0), (3.0, 2.0), (4.0, 2.5)]
            .iter()
            .map(|&(x, y)| Point::new(x, y * scale))
            .collect(),
        best: Some(3.0),
    };
    Chart::Line(LineChart {
        title: format!("{name} {long}"),
        x: Axis::new(name).unit("<ms>"),
        y: Axis::new(long.clone()),
        series: vec![series(name, 1.0), series(&long, 1.5), series("推薦システム 🎬🎬🎬 emoji", 1.2)],
        best_label: Some("<best>".into()),
        band_label: None,
    })
}

/// Every chart of the gallery, with its name.
pub(crate) fn all() -> Vec<(&'static str, Chart)> {
    let empty = Chart::Line(LineChart {
        title: "Nothing yet".into(),
        y: Axis::new("loss"),
        x: Axis::new("epoch"),
        ..LineChart::default()
    });
    let single = Chart::Line(LineChart {
        title: "One epoch".into(),
        x: Axis::new("epoch"),
        y: Axis::new("loss"),
        series: vec![Series {
            name: String::new(),
            points: vec![Point::new(1.0, 0.693).spread(0.01)],
            best: Some(1.0),
        }],
        ..LineChart::default()
    });
    let many_bars = Chart::Bar(BarChart {
        title: "Twelve groups with long names, and a loss".into(),
        category: "data set".into(),
        groups: (0..12).map(|at| format!("data set number {at} of the collection")).collect(),
        value: Axis::new("difference to baseline").unit("%"),
        series: (0..2)
            .map(|s| BarSeries {
                name: format!("model {s}"),
                bars: (0..12).map(|at| Bar::new((f64::from(at) - 4.0 + f64::from(s)) * 1.7).spread(1.0)).collect(),
            })
            .collect(),
        ..BarChart::default()
    });
    let big = Chart::Heat(HeatMap {
        title: "Recall@20 by factors and penalty".into(),
        x: "factors".into(),
        columns: (0..24).map(|at| (8 * (at + 1)).to_string()).collect(),
        y: "penalty".into(),
        rows: (0..14).map(|at| format!("1e-{at}")).collect(),
        value: Axis::new("Recall@20"),
        cells: (0..14).map(|r| (0..24).map(|c| Some((f64::from(r) * 0.3).sin() * f64::from(c))).collect()).collect(),
        ..HeatMap::default()
    });
    let boxes = |orientation| View::Boxes { orientation };
    vec![
        ("curves", curves(3, 40)),
        ("curves20", curves(20, 100)),
        ("sweep", sweep()),
        ("negatives", negatives()),
        ("architectures", architectures()),
        ("many_bars", many_bars),
        ("grid", grid()),
        ("big_grid", big),
        ("histogram", users(View::Histogram, 1)),
        ("histograms", users(View::Histogram, 3)),
        ("ecdf", users(View::Ecdf, 6)),
        ("boxes", users(boxes(Orientation::Vertical), 6)),
        ("boxes_lying", users(boxes(Orientation::Horizontal), 6)),
        ("hostile", hostile()),
        ("empty", empty),
        ("single", single),
    ]
}
