//! Losses against PyTorch and exact arithmetic; `tests/fixtures/make_torch_fixtures.py` wrote the numbers.

use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
struct Losses {
    tables: Vec<Table>,
    examples: Vec<Example>,
}

/// Rows of logit, label, loss and slope by PyTorch, and in double precision the exact loss and slope.
#[derive(Deserialize)]
struct Table {
    loss: Value,
    dtype: String,
    rows: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Example {
    p: f64,
    label: f64,
    bce: f64,
    focal: f64,
}

fn losses() -> Losses {
    serde_json::from_str(include_str!("../../../../tests/fixtures/torch/losses.json")).unwrap()
}

/// Loss and slope of one sample; for a pairwise loss `x` is the margin of a pair.
fn evaluate(loss: &LossSpec, x: f64, y: f64) -> [f64; 2] {
    let pair = loss.is_pairwise();
    let (logits, labels) = if pair { (vec![x, 0.0], vec![1.0, 0.0]) } else { (vec![x], vec![y as f32]) };
    let mut slopes = vec![0.0; logits.len()];
    let scored = Scored { logits: &logits, labels: &labels, step: 0 };
    let value = loss.evaluate(scored, Asked { slopes: Some(&mut slopes), weights: None });
    [value, slopes[0]]
}

#[test]
fn losses_and_slopes_have_their_exact_values_over_the_whole_range_of_logits() {
    let mut compared = 0;
    for table in losses().tables.iter().filter(|table| table.dtype == "float64") {
        let mut spec = table.loss.clone();
        match spec["kind"].as_str().unwrap() {
            "focal_clamped" => continue,
            "rce" => spec["kind"] = "r_ce".into(),
            _ => {}
        }
        let loss: LossSpec = serde_json::from_value(spec).unwrap();
        for row in &table.rows {
            let &[x, y, _, _, value, slope] = row.as_slice() else { panic!("six numbers: {row:?}") };
            for (found, exact) in evaluate(&loss, x, y).into_iter().zip([value, slope]) {
                // Relative, down to where numbers lose their digits.
                let apart = (found - exact).abs();
                assert!(apart <= 1e-12 * exact.abs() || apart < 1e-300, "{}: {row:?}, found {found}", table.loss);
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 7 * 74 + 37);
}

#[test]
fn losses_and_slopes_equal_those_of_pytorch_where_it_keeps_its_digits() {
    for table in losses().tables.iter().filter(|table| table.loss["kind"] != "focal_clamped") {
        let mut spec = table.loss.clone();
        if spec["kind"] == "rce" {
            spec["kind"] = "r_ce".into();
        }
        let loss: LossSpec = serde_json::from_value(spec).unwrap();
        let epsilon = if table.dtype == "float64" { f64::EPSILON } else { f64::from(f32::EPSILON) };
        for row in table.rows.iter().filter(|row| row[0].abs() < 17.0) {
            for (found, torch) in evaluate(&loss, row[0], row[1]).into_iter().zip(&row[2..4]) {
                // PyTorch computes some of them as differences of numbers near the logit, or near 1; a power of such a
                // difference, as in R-CE, has lost a share of its digits.
                let apart = (found - torch).abs();
                let lost = if table.loss["kind"] == "rce" { row[0].abs().exp() } else { 1.0 };
                assert!(
                    apart <= 8.0 * epsilon * lost * row[0].abs().max(1.0),
                    "{}: {row:?}, found {found}",
                    table.loss
                );
            }
        }
    }
}

#[test]
fn easy_and_hard_cases_of_the_focal_loss_are_those_of_the_notebook() {
    let focal = LossSpec::Focal(Focal::default());
    for Example { p, label, bce, focal: expected } in losses().examples {
        let x = (p / (1.0 - p)).ln();
        assert!((evaluate(&LossSpec::default(), x, label)[0] / bce - 1.0).abs() < 1e-5);
        assert!((evaluate(&focal, x, label)[0] / expected - 1.0).abs() < 1e-5);
    }
}

#[derive(Deserialize)]
struct Schedules {
    schedules: Vec<Schedule>,
    /// Shares that are dropped, batch sizes, and how many samples `int((1 − ε) · B)` keeps.
    kept: Vec<(f64, usize, usize)>,
}

#[derive(Deserialize)]
struct Schedule {
    max_drop_rate: f64,
    steps: u64,
    exponent: f64,
    rates: Vec<(u64, f64)>,
}

#[test]
fn the_share_that_is_truncated_follows_numpys_linspace_to_the_last_bit() {
    let Schedules { schedules, kept } =
        serde_json::from_str(include_str!("../../../../tests/fixtures/torch/tce_schedule.json")).unwrap();
    for Schedule { max_drop_rate, steps, exponent, rates } in schedules {
        let loss = TruncatedCe { max_drop_rate, steps, exponent };
        for (step, rate) in rates {
            assert_eq!(loss.drop_rate(step), rate, "{loss:?} at {step}");
        }
    }
    for (rate, samples, expected) in kept {
        let loss = LossSpec::TCe(TruncatedCe { max_drop_rate: rate, steps: 1, exponent: 1.0 });
        let (logits, labels) = (vec![0.5; samples], vec![1.0; samples]);
        let mut weights = vec![0.0; samples];
        let scored = Scored { logits: &logits, labels: &labels, step: 1 };
        loss.evaluate(scored, Asked { slopes: None, weights: Some(&mut weights) });
        assert_eq!(weights.iter().filter(|weight| **weight == 1.0).count(), expected, "{rate} of {samples}");
    }
}
