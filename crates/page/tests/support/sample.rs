//! A page as a sweep makes it: 4 γ × 3 α × 10 seeds of NeuMF with focal loss. Its numbers are made up.

use ncf_pipe_page::Better;
use ncf_pipe_page::Cell;
use ncf_pipe_page::Cells;
use ncf_pipe_page::Column;
use ncf_pipe_page::Command;
use ncf_pipe_page::DataSet;
use ncf_pipe_page::Edge;
use ncf_pipe_page::Fact;
use ncf_pipe_page::Graph;
use ncf_pipe_page::Kind;
use ncf_pipe_page::Level;
use ncf_pipe_page::Metric;
use ncf_pipe_page::Node;
use ncf_pipe_page::Note;
use ncf_pipe_page::Page;
use ncf_pipe_page::Reproduce;
use ncf_pipe_page::Run;
use ncf_pipe_page::State;
use ncf_pipe_page::Table;

use super::charts;

pub(crate) const GAMMAS: [f64; 4] = [0.5, 1.0, 2.0, 3.0];
pub(crate) const ALPHAS: [f64; 3] = [0.25, 0.5, 0.75];
pub(crate) const SEEDS: u64 = 10;

/// A number in [-1, 1) from the 64-bit finaliser of SplitMix64: any fixed scatter will do.
fn noise(n: u64) -> f64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// NDCG@10 and HR@10 of a cell.
pub(crate) fn measured(gamma: f64, alpha: f64, seed: u64) -> (f64, f64) {
    let n = (gamma * 8.0) as u64 * 1000 + (alpha * 8.0) as u64 * 100 + seed;
    let ndcg = 0.412 - 0.006 * (gamma - 1.6).powi(2) - 0.05 * (alpha - 0.45).powi(2) + 0.004 * noise(n);
    (ndcg, ndcg * 1.66 + 0.006 * noise(n + 7))
}

/// Mean and standard deviation over seeds.
pub(crate) fn over_seeds(value: impl Fn(u64) -> f64) -> (f64, f64) {
    let mean = (0..SEEDS).map(&value).sum::<f64>() / SEEDS as f64;
    let squares: f64 = (0..SEEDS).map(|seed| (value(seed) - mean).powi(2)).sum();
    (mean, (squares / (SEEDS - 1) as f64).sqrt())
}

fn configuration(gamma: f64, alpha: f64, seed: u64) -> String {
    format!(
        "kind: train\nversion: 6\ninputs:\n  split: blake3:6f1d0c7be52a94c3a1b0f27d3f4be7c85f0e9d3c2b1a09f8e7d6c5b4a3928170\nseed: {seed}\nmodel:\n  kind: neumf\n  factors: 64\n  embedding: 64\n  hidden: [128, 64, 32]\n  dropout: 0.0\nloss:\n  kind: focal\n  gamma: {gamma:?}\n  alpha: {alpha:?}\noptimizer:\n  kind: adam\n  rate: 0.001\n  betas: [0.9, 0.999]\n  epsilon: 1.0e-8\n  l2: 0.0\nepochs: 100\nbatch: 256\nsampling:\n  negatives: 4\n  redraw: false\nvalidation:\n  metric: ndcg@10\n  patience: 10\n  keep: best\n"
    )
}

fn key(n: u64) -> String {
    let part = |part| (noise(n * 31 + part) * 1e18) as i64;
    format!("{:016x}{:016x}{:016x}{:016x}", part(0), part(1), part(2), part(3))
}

fn metric(name: &str, value: f64, better: Better) -> Metric {
    Metric { name: name.to_owned(), value: Some(value), digits: Some(4), better: Some(better) }
}

fn runs() -> Vec<Run> {
    let plain = |stage: &str, n: u64, seconds: f64, configuration: &str| Run {
        name: stage.to_owned(),
        stage: stage.to_owned(),
        key: key(n),
        state: State::Fresh,
        seconds: Some(seconds),
        peak_memory: Some(180_000_000),
        device: "cpu".to_owned(),
        configuration: configuration.to_owned(),
        manifest: format!(".ncf-pipe/manifests/{}.json", key(n)),
        ..Run::default()
    };
    let mut runs = vec![
        plain(
            "download",
            1,
            8.2,
            "kind: fetch\nfiles:\n  - url: https://files.grouplens.org/datasets/movielens/ml-1m.zip\n    members: [ml-1m/ratings.dat]\n",
        ),
        plain("ratings", 2, 0.61, "kind: read\nfile: ratings.dat\nformat: double_colon\n"),
        plain("positives", 3, 0.08, "kind: binarise\nthreshold: 4\n"),
        plain("ids", 4, 0.12, "kind: remap\n"),
        plain("split", 5, 0.2, "kind: split\nstrategy: leave_one_out\n"),
    ];
    let mut n = 100;
    for gamma in GAMMAS {
        for alpha in ALPHAS {
            for seed in 0..SEEDS {
                n += 1;
                let (ndcg, hr) = measured(gamma, alpha, seed);
                let failed = n == 157 || n == 203;
                let metrics = vec![
                    metric("ndcg@10", ndcg, Better::Higher),
                    metric("hr@10", hr, Better::Higher),
                    metric("ndcg@20", ndcg * 1.13, Better::Higher),
                    metric("loss", 0.061 / (1.0 + gamma) + 0.001 * noise(n), Better::Lower),
                ];
                runs.push(Run {
                    name: format!("train[gamma={gamma:?},alpha={alpha:?},seed={seed}]"),
                    stage: "train".to_owned(),
                    parameters: vec![
                        ("gamma".to_owned(), format!("{gamma:?}")),
                        ("alpha".to_owned(), format!("{alpha:?}")),
                        ("seed".to_owned(), seed.to_string()),
                    ],
                    key: key(n),
                    state: if failed { State::Failed } else { State::Ran },
                    seconds: Some(212.0 + 30.0 * noise(n + 3)),
                    peak_memory: Some((412e6 + 20e6 * noise(n + 5)) as u64),
                    device: "cpu".to_owned(),
                    engine: "fused".to_owned(),
                    seed: Some(seed),
                    metrics: if failed { Vec::new() } else { metrics },
                    configuration: configuration(gamma, alpha, seed),
                    manifest: format!(".ncf-pipe/manifests/{}.json", key(n)),
                    error: if failed {
                        "loss is NaN at epoch 3, step 1172: lower `optimizer.rate`, or set `clip`".to_owned()
                    } else {
                        String::new()
                    },
                });
            }
        }
    }
    runs.push(Run {
        seconds: Some(0.04),
        state: State::Ran,
        ..plain("results", 900, 0.04, "kind: compare\nby: [gamma, alpha]\n")
    });
    runs
}

fn graph() -> Graph {
    let node = |name: &str, kind: &str, state, seconds, bytes| Node {
        name: name.to_owned(),
        kind: kind.to_owned(),
        state,
        seconds: Some(seconds),
        bytes: Some(bytes),
        cells: None,
    };
    let cells = Some(Cells { ran: 88, fresh: 30, failed: 2, ..Cells::default() });
    let after = Some(Cells { ran: 88, fresh: 30, skipped: 2, ..Cells::default() });
    let nodes = vec![
        node("download", "fetch", State::Fresh, 8.2, 24_594_131),
        node("ratings", "read", State::Fresh, 0.61, 5_120_411),
        node("positives", "binarise", State::Fresh, 0.08, 3_011_240),
        node("ids", "remap", State::Fresh, 0.12, 2_804_312),
        node("split", "split", State::Fresh, 0.2, 2_961_007),
        Node { cells, ..node("train", "train", State::Failed, 18_660.0, 612_000_000) },
        Node { cells: after, ..node("evaluate", "evaluate", State::Skipped, 402.0, 41_200_000) },
        node("results", "compare", State::Ran, 0.04, 48_210),
        node("statistics", "statistics", State::Ran, 0.31, 12_840),
        node("curves", "plot", State::Ran, 0.09, 61_030),
        node("report", "report", State::Stale, 0.05, 702_118),
    ];
    let edges = [
        ("download", "ratings"),
        ("ratings", "positives"),
        ("positives", "ids"),
        ("ids", "split"),
        ("split", "train"),
        ("split", "evaluate"),
        ("train", "evaluate"),
        ("evaluate", "results"),
        ("results", "statistics"),
        ("train", "curves"),
        ("statistics", "report"),
        ("curves", "report"),
    ];
    let edges = edges.iter().map(|(from, to)| Edge { from: (*from).to_owned(), to: (*to).to_owned() }).collect();
    Graph { nodes, edges }
}

fn grid_table() -> Table {
    let number = |name: &str, digits, better| Column {
        name: name.to_owned(),
        kind: Kind::Number { digits, better },
        tooltip: String::new(),
    };
    let mut rows = Vec::new();
    let (base, _) = over_seeds(|seed| measured(0.5, 0.25, seed).0);
    for gamma in GAMMAS {
        for alpha in ALPHAS {
            let (ndcg, ndcg_sd) = over_seeds(|seed| measured(gamma, alpha, seed).0);
            let (hr, hr_sd) = over_seeds(|seed| measured(gamma, alpha, seed).1);
            let is_base = gamma == 0.5 && alpha == 0.25;
            let strong = ndcg - base > 0.006;
            let p = if strong { "p < 0.001" } else { "p = 0.21" };
            rows.push(vec![
                Cell::text(format!("focal γ={gamma:?} α={alpha:?}")),
                Cell::number(gamma),
                Cell::number(alpha),
                Cell {
                    sd: Some(ndcg_sd),
                    mark: if strong { "***".to_owned() } else { String::new() },
                    tooltip: if is_base {
                        String::new()
                    } else {
                        format!(
                            "{p}, Wilcoxon signed-rank over users, Holm over 11 tests; d = {:.2}",
                            (ndcg - base) / ndcg_sd
                        )
                    },
                    ..Cell::number(ndcg)
                },
                Cell { sd: Some(hr_sd), ..Cell::number(hr) },
                if is_base { Cell::text("baseline") } else { Cell::number((ndcg / base - 1.0) * 100.0) },
                Cell::number(SEEDS as f64),
            ]);
        }
    }
    Table {
        title: "Focal loss against its parameters".to_owned(),
        caption: "NDCG@10 and HR@10 on the held-out item of each of 6,034 users, ranked among all items; mean ± standard deviation over ten seeds. The best is in bold; *** p < 0.001 against the baseline.".to_owned(),
        columns: vec![
            Column { name: "Loss".to_owned(), ..Column::default() },
            number("γ", None, None),
            number("α", None, None),
            number("NDCG@10", Some(4), Some(Better::Higher)),
            number("HR@10", Some(4), Some(Better::Higher)),
            Column { tooltip: "Change of NDCG@10 against γ = 0.5, α = 0.25".to_owned(), ..number("Change in %", Some(1), Some(Better::Higher)) },
            number("Seeds", None, None),
        ],
        rows,
    }
}

/// The page.
pub(crate) fn page() -> Page {
    Page {
        title: "Focal loss for NeuMF on MovieLens 1M".to_owned(),
        description: "Does down-weighting easy examples help a recommender with sampled negatives? NeuMF is trained with focal loss over a grid of γ and α, ten seeds a cell, on the leave-one-out split of He et al. (2017), and compared with the weakest setting.".to_owned(),
        program: "ncf-pipe 0.1.0".to_owned(),
        facts: vec![
            Fact { name: "best NDCG@10".to_owned(), value: "0.4116 ± 0.0021".to_owned() },
            Fact { name: "against the baseline".to_owned(), value: "+2.3 %".to_owned() },
        ],
        notes: vec![
            Note { level: Level::Warning, text: "2 of 120 runs failed (loss is NaN); their cells have 9 seeds instead of 10.".to_owned(), stage: Some("train".to_owned()) },
            Note { level: Level::Warning, text: "is stale: results ran again after it.".to_owned(), stage: Some("report".to_owned()) },
            Note { level: Level::Note, text: "30 runs were taken from the store.".to_owned(), stage: Some("train".to_owned()) },
            Note { level: Level::Note, text: "4 users have a single positive item and are not evaluated.".to_owned(), stage: Some("split".to_owned()) },
        ],
        graph: graph(),
        tables: vec![grid_table()],
        figures: charts::figures(),
        runs: runs(),
        reproduce: Reproduce {
            commands: vec![
                Command { purpose: "Install the same version.".to_owned(), line: "cargo install ncf-pipe --version 0.1.0 --locked".to_owned() },
                Command { purpose: "Run the pipeline; what is in the store is not run again.".to_owned(), line: "ncf-pipe run pipelines/focal_grid_ml1m.yaml -j 2".to_owned() },
                Command { purpose: "Make this page.".to_owned(), line: "ncf-pipe report pipelines/focal_grid_ml1m.yaml -o report.html".to_owned() },
            ],
            versions: [("ncf-pipe", "0.1.0 (ab1a6cc)"), ("rustc", "1.95.0"), ("polars", "0.55.0"), ("candle", "0.11.1"), ("system", "Linux 6.12 x86-64"), ("processor", "2 cores, AVX-512")]
                .iter()
                .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
                .collect(),
            data: vec![DataSet {
                name: "ml-1m/ratings.dat".to_owned(),
                digest: "blake3:9c0d1f7b2e6a5d48c3b2a19f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b".to_owned(),
                bytes: Some(24_594_131),
                source: "https://grouplens.org/datasets/movielens/1m/ (research use)".to_owned(),
            }],
        },
    }
}
