//! What holds for any data.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]
#![allow(missing_docs)]

use ncf_pipe_stats::bootstrap::Options as BootstrapOptions;
use ncf_pipe_stats::bootstrap::paired_bootstrap;
use ncf_pipe_stats::distribution::normal;
use ncf_pipe_stats::distribution::student_t::StudentT;
use ncf_pipe_stats::effect::dominance;
use ncf_pipe_stats::effect::rank_biserial;
use ncf_pipe_stats::hypothesis::Alternative;
use ncf_pipe_stats::multiple::Correction;
use ncf_pipe_stats::multiple::adjust;
use ncf_pipe_stats::paired_t::paired_t;
use ncf_pipe_stats::summary::summarise;
use ncf_pipe_stats::wilcoxon::Method;
use ncf_pipe_stats::wilcoxon::Options;
use ncf_pipe_stats::wilcoxon::Zeros;
use ncf_pipe_stats::wilcoxon::wilcoxon;
use proptest::prelude::*;

const ALTERNATIVES: [Alternative; 3] = [Alternative::TwoSided, Alternative::Greater, Alternative::Less];

/// Paired samples: smooth, with many ties and zeros, or of any finite size.
fn pairs() -> impl Strategy<Value = Vec<(f64, f64)>> {
    let smooth = prop::collection::vec((-1.0..1.0f64, -1.0..1.0f64), 1..40);
    let coarse = prop::collection::vec((-2..3i32, -2..3i32), 1..40)
        .prop_map(|pairs| pairs.into_iter().map(|(a, b)| (f64::from(a), f64::from(b))).collect());
    let any = prop::collection::vec((any::<f64>(), any::<f64>()), 0..12);
    prop_oneof![smooth, coarse, any]
}

fn alternative() -> impl Strategy<Value = Alternative> {
    prop::sample::select(ALTERNATIVES.to_vec())
}

fn wilcoxon_options() -> impl Strategy<Value = Options> {
    let zeros = prop::sample::select(vec![Zeros::Wilcox, Zeros::Pratt, Zeros::Zsplit]);
    let method = prop::sample::select(vec![Method::Auto, Method::Exact, Method::Normal]);
    (alternative(), zeros, method, any::<bool>()).prop_map(|(alternative, zeros, method, continuity)| Options {
        alternative,
        zeros,
        method,
        continuity,
    })
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-300)
}

proptest! {
    #[test]
    fn a_paired_t_test_is_a_probability_or_an_error(pairs in pairs(), alternative in alternative()) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        if let Ok(found) = paired_t(&a, &b, alternative, 0.95) {
            prop_assert!((0.0..=1.0).contains(&found.p));
            prop_assert!(found.statistic.is_finite() && found.standard_error > 0.0);
            prop_assert!(found.interval.contains(found.mean_difference));
            let other = paired_t(&b, &a, alternative.swapped(), 0.95).unwrap();
            prop_assert!(near(found.p, other.p));
            prop_assert_eq!(found.statistic, -other.statistic);
        }
    }

    #[test]
    fn a_t_interval_leaves_out_zero_exactly_when_p_is_small(pairs in pairs(), alternative in alternative()) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        if let Ok(found) = paired_t(&a, &b, alternative, 0.95) {
            prop_assume!((found.p - 0.05).abs() > 1e-9);
            prop_assert_eq!(found.interval.contains(0.0), found.p > 0.05);
        }
    }

    #[test]
    fn a_signed_rank_test_is_a_probability_and_symmetric(pairs in pairs(), options in wilcoxon_options()) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        if let Ok(found) = wilcoxon(&a, &b, &options) {
            prop_assert!((0.0..=1.0).contains(&found.p));
            prop_assert!(found.z.is_none_or(f64::is_finite));
            let swapped = Options { alternative: options.alternative.swapped(), ..options };
            let other = wilcoxon(&b, &a, &swapped).unwrap();
            prop_assert!(near(found.p, other.p), "{} {}", found.p, other.p);
            prop_assert_eq!(found.rank_sum_plus, other.rank_sum_minus);
        }
    }

    #[test]
    fn exact_tails_of_a_rank_sum_add_up_to_one_and_the_observed(pairs in pairs(), zeros in 0..3usize) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let zeros = [Zeros::Wilcox, Zeros::Pratt, Zeros::Zsplit][zeros];
        let run = |alternative| wilcoxon(&a, &b, &Options { alternative, zeros, method: Method::Exact, continuity: false });
        if let (Ok(greater), Ok(less), Ok(both)) = (run(Alternative::Greater), run(Alternative::Less), run(Alternative::TwoSided)) {
            prop_assert!(greater.p + less.p >= 1.0 - 1e-12);
            prop_assert!(near(both.p, (2.0 * greater.p.min(less.p)).min(1.0)));
        }
    }

    #[test]
    fn a_bootstrap_is_a_probability_or_an_error(pairs in pairs(), alternative in alternative(), seed in any::<u64>()) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let options = BootstrapOptions { resamples: 99, seed, alternative, ..BootstrapOptions::default() };
        if let Ok(found) = paired_bootstrap(&a, &b, &options) {
            prop_assert!(found.p >= 0.01 && found.p <= 1.0);
            prop_assert!(found.percentile.low <= found.percentile.high);
            prop_assert!(found.bca.is_none_or(|bca| bca.low <= bca.high));
            prop_assert_eq!(found, paired_bootstrap(&a, &b, &options).unwrap());
        }
    }

    #[test]
    fn adjusted_p_values_keep_their_order_and_holm_lies_between(p in prop::collection::vec(0.0..=1.0f64, 0..30)) {
        let holm = adjust(&p, Correction::Holm).unwrap();
        let bonferroni = adjust(&p, Correction::Bonferroni).unwrap();
        let fdr = adjust(&p, Correction::BenjaminiHochberg).unwrap();
        for i in 0..p.len() {
            prop_assert!(p[i] <= fdr[i] && fdr[i] <= holm[i] * (1.0 + 1e-12));
            prop_assert!(holm[i] <= bonferroni[i] && bonferroni[i] <= 1.0);
            for j in 0..p.len() {
                if p[i] <= p[j] {
                    prop_assert!(holm[i] <= holm[j] && fdr[i] <= fdr[j]);
                }
            }
        }
    }

    #[test]
    fn a_summary_is_in_order_or_an_error(values in prop::collection::vec(any::<f64>(), 0..12)) {
        if let Ok(found) = summarise(&values, 0.95) {
            let ordered = [found.min, found.q1, found.median, found.q3, found.max];
            prop_assert!(ordered.is_sorted());
            prop_assert!(found.min <= found.mean && found.mean <= found.max);
            prop_assert!(found.sd.is_none_or(|sd| sd >= 0.0 && sd.is_finite()));
        } else {
            let wide = values.iter().any(|v| !v.is_finite() || v.abs() > 1e290);
            prop_assert!(values.is_empty() || wide);
        }
    }

    #[test]
    fn effect_sizes_change_sign_with_the_sides(pairs in pairs()) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        if let (Ok(found), Ok(other)) = (dominance(&a, &b), dominance(&b, &a)) {
            prop_assert_eq!(found.delta, -other.delta);
            prop_assert!((-1.0..=1.0).contains(&found.delta) && (0.0..=1.0).contains(&found.common_language));
        }
        if let Ok(found) = rank_biserial(&a, &b) {
            prop_assert_eq!(found, -rank_biserial(&b, &a).unwrap());
            prop_assert!((-1.0..=1.0).contains(&found));
        }
    }

    #[test]
    fn quantiles_and_tails_are_inverse_to_each_other(ln_p in -690.0..-0.7f64, df in 1..3000u32) {
        let p = ln_p.exp();
        prop_assert!(near(normal::sf(-normal::quantile(p).unwrap()), p));
        let t = StudentT::new(f64::from(df)).unwrap();
        let quantile = t.inverse_sf(p).unwrap();
        prop_assert!(quantile.is_finite());
        prop_assert!(near(t.sf(quantile), p), "{} {}", t.sf(quantile), p);
    }

    #[test]
    fn tails_fall_and_never_leave_zero_to_one(a in any::<f64>(), b in any::<f64>(), df in 1e-3..1e12f64) {
        prop_assume!(!a.is_nan() && !b.is_nan());
        let t = StudentT::new(df).unwrap();
        let (low, high) = (a.min(b), a.max(b));
        prop_assert!(t.sf(low) >= t.sf(high) * (1.0 - 1e-11) && t.sf(high) >= 0.0 && t.sf(low) <= 1.0);
        prop_assert!(normal::sf(low) >= normal::sf(high) && normal::sf(low) <= 1.0);
    }
}
