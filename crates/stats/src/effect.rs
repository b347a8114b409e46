//! Effect sizes of paired and unpaired comparisons.

use serde::Serialize;

use crate::distribution::gamma_ratio;
use crate::error::Result;
use crate::error::StatsError;
use crate::ranks;
use crate::sample;

/// Standardised mean differences of paired samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Standardised {
    /// Cohen's d_z: mean difference over the standard deviation of the differences (Cohen 1988, 2.3.5; Lakens 2013,
    /// equation 6). Equals t/√n.
    pub d_z: f64,
    /// Cohen's d_av: mean difference over the mean of the two standard deviations (Lakens 2013, equation 10). `None`
    /// when neither sample has any spread.
    pub d_av: Option<f64>,
    /// Hedges' g: d_z times [`hedges_correction`] with `n − 1` degrees of freedom. `None` for two pairs, whose bias cannot
    /// be removed.
    pub g_z: Option<f64>,
    /// d_av times [`hedges_correction`] with `n − 1` degrees of freedom, `n` pairs (Borenstein et al. 2009, chapter 4).
    pub g_av: Option<f64>,
}

/// Standardised differences of the means of the paired samples `a` and `b`, in standard deviations, positive when `a` is
/// greater.
///
/// # Errors
/// As [`crate::paired_t::paired_t`]: fewer than two pairs, values that are not finite, differences without spread.
pub fn standardised(a: &[f64], b: &[f64]) -> Result<Standardised> {
    let differences = sample::differences("standardised mean difference", 2, a, b)?;
    let of_differences = sample::check_spread("standardised mean difference", &differences, a, b)?;
    let spread = sample::moments(a)?.sd.midpoint(sample::moments(b)?.sd);
    let correction = Some(hedges_correction((a.len() - 1) as f64)?).filter(|factor| *factor > 0.0);
    let d_z = of_differences.mean / of_differences.sd;
    let d_av = (spread > 0.0).then(|| of_differences.mean / spread).filter(|d| d.is_finite());
    Ok(Standardised { d_z, d_av, g_z: correction.map(|j| j * d_z), g_av: correction.zip(d_av).map(|(j, d)| j * d) })
}

/// The factor J that removes the bias of a standardised mean difference with `df` degrees of freedom, below 1:
/// `Γ(df/2) / (√(df/2)·Γ((df−1)/2))` (Hedges 1981, equation 6e). The usual `1 − 3/(4·df − 1)` approximates it.
///
/// With one degree of freedom the factor is zero: the bias cannot be removed.
///
/// # Errors
/// `df` is less than 1 or not finite.
pub fn hedges_correction(df: f64) -> Result<f64> {
    if !(df >= 1.0 && df.is_finite()) {
        return Err(StatsError::DegreesOfFreedom { df });
    }
    if df == 1.0 {
        return Ok(0.0);
    }
    Ok(gamma_ratio::half_step(df / 2.0) / (df / 2.0).sqrt())
}

/// Matched-pairs rank-biserial correlation: the share of the signed-rank sum that favours `a`, minus the share that
/// favours `b`, in [−1, 1] (Kerby 2014). Zero differences are left out, as in Wilcoxon's method.
///
/// # Errors
/// Samples of different lengths, values that are not finite, or no difference other than zero.
pub fn rank_biserial(a: &[f64], b: &[f64]) -> Result<f64> {
    let differences = sample::differences("rank-biserial correlation", 1, a, b)?;
    let kept: Vec<f64> = differences.into_iter().filter(|d| *d != 0.0).collect();
    if kept.is_empty() {
        return Err(StatsError::NoDifferences { n: a.len() });
    }
    let ranked = ranks::by_size(&kept);
    let (plus, minus) = (ranked.sum_where(&kept, |d| d > 0.0), ranked.sum_where(&kept, |d| d < 0.0));
    Ok((plus - minus) / (plus + minus))
}

/// How often one of two samples is above the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Dominance {
    /// Cliff's delta: P(a > b) − P(a < b), in [−1, 1] (Cliff 1993).
    pub delta: f64,
    /// Common-language effect size P(a > b) + ½·P(a = b) (McGraw and Wong 1992; with ties, the A of Vargha and Delaney
    /// 2000). Equals (delta + 1)/2.
    pub common_language: f64,
}

impl Dominance {
    fn of(above: u64, below: u64, all: u64) -> Self {
        let delta = (above as f64 - below as f64) / all as f64;
        Self { delta, common_language: delta.midpoint(1.0) }
    }
}

/// Dominance over all pairs of a value of `a` and a value of `b`, paired or not; the lengths may differ.
///
/// # Errors
/// A sample is empty or has a value that is not finite.
pub fn dominance(a: &[f64], b: &[f64]) -> Result<Dominance> {
    for (name, values) in [("a", a), ("b", b)] {
        sample::check_count("Cliff's delta", 1, values)?;
        sample::check_finite(name, values)?;
    }
    let mut sorted = b.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (mut above, mut below) = (0u64, 0u64);
    for value in a {
        above += sorted.partition_point(|other| other < value) as u64;
        below += (sorted.len() - sorted.partition_point(|other| other <= value)) as u64;
    }
    Ok(Dominance::of(above, below, a.len() as u64 * b.len() as u64))
}

/// Dominance within pairs: the share of users or seeds for which `a` is above `b`, ties counted half (Cliff 1993, the
/// within-pair delta d_w).
///
/// # Errors
/// Samples of different lengths, no pair, or values that are not finite.
pub fn dominance_within(a: &[f64], b: &[f64]) -> Result<Dominance> {
    sample::differences("dominance within pairs", 1, a, b)?;
    let above = a.iter().zip(b).filter(|(a, b)| a > b).count() as u64;
    let below = a.iter().zip(b).filter(|(a, b)| a < b).count() as u64;
    Ok(Dominance::of(above, below, a.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_dominance_is_one_and_ties_are_half() {
        let all = dominance(&[3.0, 4.0], &[1.0, 2.0, 2.0]).unwrap();
        assert_eq!(all, Dominance { delta: 1.0, common_language: 1.0 });
        let tied = dominance(&[1.0], &[1.0]).unwrap();
        assert_eq!(tied, Dominance { delta: 0.0, common_language: 0.5 });
        let within = dominance_within(&[1.0, 2.0, 3.0, 0.0], &[0.0, 2.0, 1.0, 1.0]).unwrap();
        assert_eq!(within, Dominance { delta: 0.25, common_language: 0.625 }); // 2 above, 1 below, 1 tie of 4
    }

    #[test]
    fn kerbys_example_of_the_simple_difference_formula() {
        // Kerby (2014): with all differences in favour the correlation is 1; against, −1.
        assert_eq!(rank_biserial(&[2.0, 3.0], &[1.0, 1.0]).unwrap(), 1.0);
        assert_eq!(rank_biserial(&[0.0, 0.0], &[1.0, 3.0]).unwrap(), -1.0);
        assert!(matches!(rank_biserial(&[1.0], &[1.0]), Err(StatsError::NoDifferences { n: 1 })));
    }

    #[test]
    fn the_correction_has_no_value_below_one_degree_of_freedom() {
        assert_eq!(hedges_correction(1.0).unwrap(), 0.0);
        for df in [0.0, 0.5, f64::NAN, f64::INFINITY] {
            assert!(hedges_correction(df).is_err(), "{df}");
        }
    }
}
