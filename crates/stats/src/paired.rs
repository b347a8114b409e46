//! One vocabulary for the tests: which test, what is claimed, what came out.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::bootstrap;
use crate::error::Result;
use crate::hypothesis::Hypothesis;
use crate::hypothesis::Target;
use crate::interval::Interval;
use crate::paired_t::paired_t;
use crate::wilcoxon;
use crate::wilcoxon::Method;
use crate::wilcoxon::Zeros;

/// A paired test and what it needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "test", rename_all = "snake_case", deny_unknown_fields)]
pub enum PairedTest {
    /// Paired t-test: means over seeds, or over many users.
    PairedT {},
    /// Wilcoxon's signed-rank test: differences need not be normal, only symmetric.
    Wilcoxon {
        /// What becomes of users without a difference.
        #[serde(default)]
        zeros: Zeros,
        /// Exact or approximate.
        #[serde(default)]
        method: Method,
        /// Continuity correction of the approximation.
        #[serde(default)]
        continuity: bool,
    },
    /// Paired bootstrap of the mean difference: many users, any distribution.
    Bootstrap {
        /// Number of resamples.
        #[serde(default = "resamples")]
        resamples: usize,
        /// Seed of the resamples.
        #[serde(default)]
        seed: u64,
    },
}

fn resamples() -> usize {
    bootstrap::Options::default().resamples
}

/// What a test of a hypothesis came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The test in words, with what decides its p-value.
    pub test: String,
    /// What a small p-value speaks for.
    pub hypothesis: String,
    /// What it speaks against.
    pub null: String,
    /// Number of pairs.
    pub n: usize,
    /// The test's statistic: t, the rank sum, or the mean difference.
    pub statistic: f64,
    /// The p-value, not adjusted.
    pub p: f64,
    /// Interval of the mean difference; a rank test has none. For the bootstrap BCa, or the percentile interval where BCa
    /// is not defined.
    pub interval: Option<Interval>,
}

impl PairedTest {
    /// What the test says something about.
    pub fn target(&self) -> Target {
        match self {
            Self::PairedT {} | Self::Bootstrap { .. } => Target::Mean,
            Self::Wilcoxon { .. } => Target::Centre,
        }
    }

    /// Tests `hypothesis` on its values `a` and `b`, paired by position; intervals have the confidence `level`.
    ///
    /// # Errors
    /// Those of the test.
    pub fn run(&self, hypothesis: &Hypothesis, a: &[f64], b: &[f64], level: f64) -> Result<Outcome> {
        let alternative = hypothesis.alternative;
        let (test, n, statistic, p, interval) = match *self {
            Self::PairedT {} => {
                let t = paired_t(a, b, alternative, level)?;
                (
                    format!("paired t-test, {} degree{} of freedom", t.df, if t.df == 1 { "" } else { "s" }),
                    t.n,
                    t.statistic,
                    t.p,
                    Some(t.interval),
                )
            }
            Self::Wilcoxon { zeros, method, continuity } => {
                let options = wilcoxon::Options { alternative, zeros, method, continuity };
                let w = wilcoxon::wilcoxon(a, b, &options)?;
                let how = if w.method == Method::Exact { "exact" } else { "normal approximation" };
                (format!("Wilcoxon signed-rank test, {how}"), w.n, w.statistic, w.p, None)
            }
            Self::Bootstrap { resamples, seed } => {
                let options = bootstrap::Options { resamples, seed, level, alternative };
                let found = bootstrap::paired_bootstrap(a, b, &options)?;
                let kind = if found.bca.is_some() { "BCa" } else { "percentile" };
                (
                    format!("paired bootstrap, {resamples} resamples, shift method, {kind} interval"),
                    found.n,
                    found.mean_difference,
                    found.p,
                    Some(found.bca.unwrap_or(found.percentile)),
                )
            }
        };
        let target = self.target();
        Ok(Outcome {
            test,
            hypothesis: hypothesis.statement(target),
            null: hypothesis.null(target),
            n,
            statistic,
            p,
            interval,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypothesis::Alternative;

    const TESTS: [PairedTest; 3] = [
        PairedTest::PairedT {},
        PairedTest::Wilcoxon { zeros: Zeros::Wilcox, method: Method::Auto, continuity: false },
        PairedTest::Bootstrap { resamples: 2000, seed: 1 },
    ];

    fn claim(alternative: Alternative) -> Hypothesis {
        Hypothesis { measure: "NDCG@10".into(), a: "A".into(), b: "B".into(), alternative }
    }

    #[test]
    fn when_a_is_better_greater_is_significant_and_less_is_not() {
        let (a, b) = ([5.1, 6.2, 7.0, 6.6, 5.9, 6.1, 7.2, 6.8], [4.0, 5.5, 6.1, 5.2, 5.0, 5.7, 6.0, 6.1]);
        for test in TESTS {
            let p = |alternative| test.run(&claim(alternative), &a, &b, 0.95).unwrap().p;
            assert!(p(Alternative::Greater) < 0.01, "{test:?}");
            assert!(p(Alternative::Less) > 0.99, "{test:?}");
        }
    }

    #[test]
    fn an_outcome_says_in_words_what_was_tested() {
        let outcome =
            PairedTest::PairedT {}.run(&claim(Alternative::Greater), &[1.0, 2.0, 4.0], &[0.0; 3], 0.95).unwrap();
        assert_eq!(outcome.test, "paired t-test, 2 degrees of freedom");
        assert_eq!(outcome.hypothesis, "mean NDCG@10 of `A` is greater than that of `B`");
        assert_eq!(outcome.null, "mean NDCG@10 of `A` is at most that of `B`");
    }

    #[test]
    fn a_test_is_read_with_its_defaults_and_an_unknown_field_is_refused() {
        let read = |text| serde_json::from_str::<PairedTest>(text);
        assert_eq!(read(r#"{"test": "paired_t"}"#).unwrap(), PairedTest::PairedT {});
        assert_eq!(read(r#"{"test": "wilcoxon"}"#).unwrap(), TESTS[1]);
        let bootstrap = PairedTest::Bootstrap { resamples: 10_000, seed: 0 };
        assert_eq!(read(r#"{"test": "bootstrap"}"#).unwrap(), bootstrap);
        for wrong in
            [r#"{"test": "paired_t", "tail": 1}"#, r#"{"test": "wilcoxon", "zero": "pratt"}"#, r#"{"test": "t"}"#]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
