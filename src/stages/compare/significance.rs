//! Tests of groups of runs against the baseline.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::cells::distinct;
use crate::artifacts::comparison::{Row, Test};
use crate::artifacts::metrics::{UserValues, is_of_lists};
use crate::stage::{Cancel, Fault, Result};
use crate::stages::compare::groups::Members;
use crate::stats::effect;
use crate::stats::hypothesis::{Alternative, Hypothesis};
use crate::stats::multiple::{Correction, adjust};
use crate::stats::paired::PairedTest;
use crate::stats::rounding;
use crate::stats::wilcoxon::{Method, Zeros};

/// What is paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Over {
    /// Users, each with the mean of its values over seeds: does it hold for other users of this data?
    Users,
    /// Seeds, each with the mean over users: does it hold when training is repeated?
    Seeds,
}

/// Which test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The paired t-test.
    PairedT,
    /// Wilcoxon's signed-rank test.
    Wilcoxon,
    /// The paired bootstrap of the mean difference.
    Bootstrap,
}

/// A test to make for every group and metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestSpec {
    /// What is paired.
    pub over: Over,
    /// Which test.
    pub test: Kind,
    /// The claim about the group beside the baseline.
    #[serde(default)]
    pub alternative: Alternative,
    /// How many resamples the bootstrap draws.
    #[serde(default = "resamples")]
    #[schemars(range(min = 100, max = 1_000_000))]
    pub resamples: u32,
}

fn resamples() -> u32 {
    10_000
}

impl TestSpec {
    /// A test of a difference in either direction.
    pub(super) fn new(over: Over, test: Kind) -> Self {
        Self { over, test, alternative: Alternative::TwoSided, resamples: resamples() }
    }

    fn paired(&self, seed: u64) -> PairedTest {
        match self.test {
            Kind::PairedT => PairedTest::PairedT {},
            Kind::Wilcoxon => {
                PairedTest::Wilcoxon { zeros: Zeros::default(), method: Method::default(), continuity: false }
            }
            Kind::Bootstrap => PairedTest::Bootstrap { resamples: self.resamples as usize, seed },
        }
    }
}

/// Values of each user by run and metric.
pub(super) type PerUser<'a> = dyn Fn(usize, &str) -> Result<UserValues> + 'a;

/// What all tests have in common.
pub(super) struct Terms<'a> {
    pub(super) rows: &'a [Row],
    pub(super) per_user: &'a PerUser<'a>,
    /// The digest of a run's table of users, if it says which one it was.
    pub(super) people: &'a dyn Fn(usize) -> Option<&'a str>,
    pub(super) metrics: &'a [String],
    pub(super) correction: Correction,
    pub(super) level: f64,
    pub(super) seed: u64,
    pub(super) cancel: &'a Cancel,
}

impl Terms<'_> {
    /// Whether equal ids are the same users in all runs of both, as far as they say.
    fn have_same_users(&self, one: &Members, other: &Members) -> bool {
        let known = one.rows.iter().chain(&other.rows).filter_map(|row| (self.people)(*row));
        distinct(known).len() < 2
    }
}

/// Tests every group of the baseline's protocol against it, test by test. The hypotheses of one test are one family:
/// p-values are corrected for their number.
///
/// # Errors
/// When values cannot be read. A test that is not defined is a row that says why.
pub(super) fn test(terms: &Terms<'_>, found: &[Members], baseline: usize, specs: &[TestSpec]) -> Result<Vec<Test>> {
    let base = &found[baseline];
    let others =
        found.iter().filter(|members| members.group.protocol == base.group.protocol && !members.group.is_baseline);
    // Without repetitions there is nothing to pair, and no need to say so for every metric.
    let specs: Vec<&TestSpec> = specs.iter().filter(|spec| spec.over == Over::Users || base.rows.len() > 1).collect();
    let mut families: Vec<Vec<Test>> = vec![Vec::new(); specs.len()];
    for metric in terms.metrics {
        // Lists as a whole have a value for each seed, and none for a user.
        let defined = specs.iter().map(|spec| spec.over).filter(|over| *over == Over::Seeds || !is_of_lists(metric));
        // Values are read once for all tests, and are let go before those of the next group are read.
        for over in distinct(defined) {
            let of_base = values(terms, base, metric, over)?;
            for members in others.clone() {
                terms.cancel.check()?;
                let of_group = values(terms, members, metric, over)?;
                for (spec, tests) in specs.iter().zip(&mut families).filter(|(spec, _)| spec.over == over) {
                    tests.push(one(terms, (members, &of_group), (base, &of_base), metric, spec));
                }
            }
        }
    }
    for tests in &mut families {
        correct(tests, terms)?;
    }
    Ok(families.concat())
}

/// The values to pair, by user or seed.
fn values(terms: &Terms<'_>, members: &Members, metric: &str, over: Over) -> Result<BTreeMap<String, f64>> {
    match over {
        Over::Seeds => Ok(members
            .rows
            .iter()
            .zip(&members.seeds)
            .filter(|(_, seed)| !seed.is_empty())
            .filter_map(|(row, seed)| Some((seed.clone(), terms.rows[*row].figure(metric)?)))
            .collect()),
        // A run that does not measure it has no such column.
        Over::Users if lacking(terms, members, metric).is_some() => Ok(BTreeMap::new()),
        Over::Users => {
            let mut sums: BTreeMap<u32, (f64, usize)> = BTreeMap::new();
            for row in &members.rows {
                for (user, value) in (terms.per_user)(*row, metric)? {
                    let entry = sums.entry(user).or_default();
                    (entry.0, entry.1) = (entry.0 + value, entry.1 + 1);
                }
            }
            // A user without a value in one of the runs has no mean like the others'.
            let whole = sums.into_iter().filter(|(_, (_, n))| *n == members.rows.len());
            Ok(whole.map(|(user, (sum, n))| (format!("{user:010}"), sum / n as f64)).collect())
        }
    }
}

/// A run of a group that has no figure of a metric.
fn lacking<'a>(terms: &Terms<'a>, members: &Members, metric: &str) -> Option<&'a Row> {
    members.rows.iter().map(|row| &terms.rows[*row]).find(|row| row.figure(metric).is_none())
}

fn one(
    terms: &Terms<'_>,
    (members, a): (&Members, &BTreeMap<String, f64>),
    (base, b): (&Members, &BTreeMap<String, f64>),
    metric: &str,
    spec: &TestSpec,
) -> Test {
    let (a, b): (Vec<f64>, Vec<f64>) = a.iter().filter_map(|(id, a)| Some((*a, *b.get(id)?))).unzip();
    let hypothesis = Hypothesis {
        measure: metric.to_owned(),
        a: members.group.name.clone(),
        b: base.group.name.clone(),
        alternative: spec.alternative,
    };
    let paired = spec.paired(terms.seed);
    // A group's values are means over its runs. Of one sample, the tests say the same as of two in pairs.
    let (differences, none) = (rounding::differences(&a, &b), vec![0.0; a.len()]);
    let outcome = paired.run(&hypothesis, &differences, &none, terms.level);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let mut test = Test {
        group: members.group.name.clone(),
        baseline: base.group.name.clone(),
        protocol: base.group.protocol.clone(),
        metric: metric.to_owned(),
        over: if spec.over == Over::Users { "users" } else { "seeds" }.to_owned(),
        test: match spec.test {
            Kind::PairedT => "paired t-test",
            Kind::Wilcoxon => "Wilcoxon signed-rank test",
            Kind::Bootstrap => "paired bootstrap",
        }
        .to_owned(),
        alternative: match spec.alternative {
            Alternative::TwoSided => "two-sided",
            Alternative::Greater => "greater",
            Alternative::Less => "less",
        }
        .to_owned(),
        hypothesis: hypothesis.statement(paired.target()),
        n: a.len(),
        difference: (!a.is_empty()).then(|| mean(&a) - mean(&b)),
        interval: None,
        statistic: None,
        p: None,
        p_adjusted: None,
        correction: String::new(),
        is_significant: None,
        d_z: effect::standardised(&differences, &none).ok().map(|effect| effect.d_z),
        rank_biserial: effect::rank_biserial(&differences, &none).ok(),
        why_not: None,
    };
    if spec.over == Over::Users && !terms.have_same_users(members, base) {
        test.n = 0;
        (test.difference, test.d_z, test.rank_biserial) = (None, None, None);
        test.why_not = Some("they were evaluated on different data: equal user ids are different users".to_owned());
        return test;
    }
    if spec.over == Over::Users
        && let Some(row) = lacking(terms, members, metric).or_else(|| lacking(terms, base, metric))
    {
        test.why_not = Some(format!("`{}` has no `{metric}`", row.stage));
        return test;
    }
    match outcome {
        Ok(found) => {
            test.test = found.test;
            test.statistic = Some(found.statistic);
            test.p = Some(found.p);
            // An end that a one-sided claim leaves open is none.
            test.interval =
                found.interval.map(|ends| (ends.low, ends.high)).filter(|(a, b)| a.is_finite() && b.is_finite());
        }
        Err(error) => test.why_not = Some(error.to_string()),
    }
    test
}

/// Corrects the p-values of a family.
fn correct(tests: &mut [Test], terms: &Terms<'_>) -> Result<()> {
    let p: Vec<f64> = tests.iter().filter_map(|test| test.p).collect();
    let adjusted = adjust(&p, terms.correction).map_err(Fault::failed)?;
    let how = match terms.correction {
        Correction::Holm => "Holm",
        Correction::Bonferroni => "Bonferroni",
        Correction::BenjaminiHochberg => "Benjamini-Hochberg",
        Correction::None => "none",
    };
    let said = format!("{how}, {} hypotheses", p.len());
    for (test, adjusted) in tests.iter_mut().filter(|test| test.p.is_some()).zip(adjusted) {
        test.p_adjusted = Some(adjusted);
        test.is_significant = Some(adjusted <= 1.0 - terms.level);
    }
    for test in tests {
        test.correction.clone_from(&said);
    }
    Ok(())
}
