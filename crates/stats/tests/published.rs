//! Worked examples from the literature, with the digits that were printed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]
#![allow(missing_docs)]

use ncf_pipe_stats::hypothesis::Alternative;
use ncf_pipe_stats::multiple::Correction;
use ncf_pipe_stats::multiple::adjust;
use ncf_pipe_stats::paired_t::paired_t;
use ncf_pipe_stats::wilcoxon::Method;
use ncf_pipe_stats::wilcoxon::Options;
use ncf_pipe_stats::wilcoxon::Wilcoxon;
use ncf_pipe_stats::wilcoxon::wilcoxon;

/// Additional hours of sleep with two drugs: Student (1908), "The probable error of a mean", Biometrika 6, table on p. 20.
const SLEEP_1: [f64; 10] = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
const SLEEP_2: [f64; 10] = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];

/// Darwin's maize, crossed less self-fertilised, in eighths of an inch: Fisher (1935), The Design of Experiments, §17;
/// also the example in scipy's documentation of `wilcoxon`.
const MAIZE: [f64; 15] = [49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0];

/// Hamilton's depression scale before and after: Hollander and Wolfe (1973), Nonparametric Statistical Methods, p. 29;
/// also the example in R's documentation of `wilcox.test`.
const BEFORE: [f64; 9] = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
#[allow(clippy::approx_constant)] // 3.14 is a score
const AFTER: [f64; 9] = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

fn signed_rank(a: &[f64], b: &[f64], alternative: Alternative) -> Wilcoxon {
    wilcoxon(a, b, &Options { alternative, ..Options::default() }).unwrap()
}

#[test]
fn students_sleep_data() {
    // R 4: t.test(extra ~ group, sleep, paired = TRUE) prints t = -4.0621, df = 9, p-value = 0.002833 and the interval
    // -2.4598858 -0.7001142; mean -1.58.
    let found = paired_t(&SLEEP_1, &SLEEP_2, Alternative::TwoSided, 0.95).unwrap();
    assert_eq!((rounded(found.statistic, 4), found.df, rounded(found.p, 6)), (-4.0621, 9, 0.002_833));
    assert_eq!((rounded(found.interval.low, 7), rounded(found.interval.high, 7)), (-2.459_885_8, -0.700_114_2));
    assert_eq!(rounded(found.mean_difference, 12), -1.58);
}

#[test]
fn darwins_maize_in_fishers_hands() {
    // Fisher (1935), §17: the sum is 314, t = 2.148 with 14 degrees of freedom, just beyond the 5 per cent point, 2.145.
    let found = paired_t(&MAIZE, &[0.0; 15], Alternative::TwoSided, 0.95).unwrap();
    assert_eq!((rounded(found.mean_difference * 15.0, 9), rounded(found.statistic, 3), found.df), (314.0, 2.148, 14));
    assert!(found.p < 0.05 && found.p > 0.049);
}

#[test]
fn darwins_maize_by_signed_ranks() {
    // scipy's documentation: statistic 24, p 0.041259765625; greater: 96, 0.0206298828125. Both are counts over 2^15.
    let found = signed_rank(&MAIZE, &[0.0; 15], Alternative::TwoSided);
    assert_eq!((found.statistic, found.p, found.method), (24.0, 0.041_259_765_625, Method::Exact));
    let found = signed_rank(&MAIZE, &[0.0; 15], Alternative::Greater);
    assert_eq!((found.statistic, found.p), (96.0, 0.020_629_882_812_5));
}

#[test]
fn hollander_and_wolfes_depression_scores() {
    // R 4: wilcox.test(x, y, paired = TRUE, alternative = "greater") prints V = 40, p-value = 0.01953 (10/512).
    let found = signed_rank(&BEFORE, &AFTER, Alternative::Greater);
    assert_eq!((found.rank_sum_plus, found.p), (40.0, 10.0 / 512.0));
    // The other tail, which is the wrong one to test here.
    assert!(signed_rank(&BEFORE, &AFTER, Alternative::Less).p > 0.98);
}

#[test]
fn benjamini_and_hochbergs_fifteen_endpoints() {
    // Benjamini and Hochberg (1995), section 4.1: at 0.05 Bonferroni rejects the three smallest, their procedure four.
    let p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
        1.0000,
    ];
    let rejected = |correction| adjust(&p, correction).unwrap().iter().map(|p| *p <= 0.05).collect::<Vec<_>>();
    let first = |count| (0..15).map(|i| i < count).collect::<Vec<_>>();
    assert_eq!(rejected(Correction::Bonferroni), first(3));
    assert_eq!(rejected(Correction::BenjaminiHochberg), first(4));
}

#[test]
fn holms_procedure_stops_at_the_first_that_fails() {
    // Holm (1979): p(k) is held against α/(m − k + 1). Here 0.01 ≤ 0.05/4 and 0.02 > 0.05/3, so 0.02 and all above stay,
    // although 0.024 ≤ 0.05/2 taken alone.
    let adjusted = adjust(&[0.024, 0.01, 0.3, 0.02], Correction::Holm).unwrap();
    assert_eq!(adjusted.iter().map(|p| *p <= 0.05).collect::<Vec<_>>(), [false, true, false, false]);
}
