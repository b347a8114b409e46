//! Wilcoxon's signed-rank test.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::distribution::normal;
use crate::error::Result;
use crate::error::StatsError;
use crate::hypothesis::Alternative;
use crate::ranks;
use crate::ranks::Ranked;
use crate::sample;
use crate::signed_rank;

/// What becomes of differences that are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Zeros {
    /// Left out before ranking (Wilcoxon 1945); the default, as in scipy and R.
    #[default]
    Wilcox,
    /// Ranked with the others, then left out of both sums (Pratt 1959).
    Pratt,
    /// Ranked with the others, their ranks shared equally by both sums.
    Zsplit,
}

/// How the p-value is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Exact for up to 50 differences that are not zero, else normal. scipy's `auto` counts zeros among them, and takes the
    /// normal approximation from 14 on where there are ties or zeros: with four differences of one sign among twenty pairs
    /// it finds p = 0.046, where no p below 0.125 is possible.
    #[default]
    Auto,
    /// The distribution over all ways to give signs to the observed ranks, ties and zeros included. (scipy's
    /// `method="exact"` takes the ranks for 1 … n even where there are ties.) Up to [`EXACT_LIMIT`] differences that are
    /// ranked.
    Exact,
    /// The normal approximation, its variance corrected for ties.
    Normal,
}

/// The largest number of differences for which [`Method::Auto`] is exact.
const AUTO_LIMIT: usize = 50;

/// The largest number of differences for [`Method::Exact`], zeros among them where they are ranked.
pub const EXACT_LIMIT: usize = 500;

/// What can be chosen; the default is scipy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Which alternative is tested.
    pub alternative: Alternative,
    /// What becomes of zero differences.
    pub zeros: Zeros,
    /// How the p-value is computed.
    pub method: Method,
    /// Whether the normal approximation moves the rank sum by one half towards its mean.
    pub continuity: bool,
}

/// Result of the signed-rank test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wilcoxon {
    /// Number of pairs.
    pub n: usize,
    /// How many of the differences are zero.
    pub zeros: usize,
    /// Whether absolute differences are tied, among those that were ranked.
    pub ties: bool,
    /// Sum of the ranks of positive differences.
    pub rank_sum_plus: f64,
    /// Sum of the ranks of negative differences.
    pub rank_sum_minus: f64,
    /// scipy's statistic: the smaller rank sum for a two-sided test, else the sum of the positive ranks.
    pub statistic: f64,
    /// Probability, under the null hypothesis, of rank sums at least as extreme.
    pub p: f64,
    /// The method that was used: never [`Method::Auto`].
    pub method: Method,
    /// The standardised positive rank sum, where the normal approximation was used.
    pub z: Option<f64>,
    /// Which alternative was tested.
    pub alternative: Alternative,
}

/// Tests whether the differences `a − b` are symmetric about zero, against a centre away from (above, below) zero.
///
/// `a[i]` and `b[i]` belong to the same user or seed. Differences count as tied only when they are equal to the last bit,
/// as in scipy.
///
/// # Errors
/// Samples of different lengths, no pair, NaN or infinite values, no difference other than zero (`NoDifferences`), or
/// more than [`EXACT_LIMIT`] ranked differences for the exact method.
pub fn wilcoxon(a: &[f64], b: &[f64], options: &Options) -> Result<Wilcoxon> {
    let mut ranked_values = sample::differences("signed-rank test", 1, a, b)?;
    let n = ranked_values.len();
    let zeros = ranked_values.iter().filter(|d| **d == 0.0).count();
    if zeros == n {
        return Err(StatsError::NoDifferences { n });
    }
    if options.zeros == Zeros::Wilcox {
        ranked_values.retain(|d| *d != 0.0);
    }
    let ranked = ranks::by_size(&ranked_values);
    let half_of_zeros = match options.zeros {
        Zeros::Zsplit => ranked.sum_where(&ranked_values, |d| d == 0.0) / 2.0,
        Zeros::Wilcox | Zeros::Pratt => 0.0,
    };
    let plus = ranked.sum_where(&ranked_values, |d| d > 0.0) + half_of_zeros;
    let minus = ranked.sum_where(&ranked_values, |d| d < 0.0) + half_of_zeros;
    let method = choose(options.method, ranked_values.len(), n - zeros)?;
    let (p, z) = if method == Method::Exact {
        let signed = |which: fn(f64) -> bool| {
            ranked.doubled.iter().zip(&ranked_values).filter(move |(_, d)| which(**d)).map(|(rank, _)| *rank)
        };
        let ranks: Vec<u64> = signed(|d| d != 0.0).collect();
        let tails = signed_rank::tails(&ranks, signed(|d| d > 0.0).sum());
        let p = match options.alternative {
            Alternative::TwoSided => (2.0 * tails.upper.min(tails.lower)).min(1.0),
            Alternative::Greater => tails.upper,
            Alternative::Less => tails.lower,
        };
        (p, None)
    } else {
        let z = standardise(&ranked, plus, ranked_values.len(), zeros, *options);
        let p = match options.alternative {
            Alternative::TwoSided => (2.0 * normal::sf(z.abs())).min(1.0),
            Alternative::Greater => normal::sf(z),
            Alternative::Less => normal::cdf(z),
        };
        (p, Some(z))
    };
    let statistic = if options.alternative == Alternative::TwoSided { plus.min(minus) } else { plus };
    Ok(Wilcoxon {
        n,
        zeros,
        ties: ranked.has_ties(),
        rank_sum_plus: plus,
        rank_sum_minus: minus,
        statistic,
        p,
        method,
        z,
        alternative: options.alternative,
    })
}

/// The method for `n` differences that are ranked, of which so many are not zero.
fn choose(method: Method, n: usize, differ: usize) -> Result<Method> {
    match method {
        Method::Auto if differ <= AUTO_LIMIT && n <= EXACT_LIMIT => Ok(Method::Exact),
        Method::Auto | Method::Normal => Ok(Method::Normal),
        Method::Exact if n > EXACT_LIMIT => Err(StatsError::TooMany {
            what: "exact signed-rank test",
            limit: EXACT_LIMIT,
            got: n,
            remedy: "use the normal approximation, which is close for so many",
        }),
        Method::Exact => Ok(Method::Exact),
    }
}

/// The positive rank sum, less its mean, over its standard deviation (Wilcoxon 1945; ties: Lehmann 1975; zeros kept in
/// the ranking: Cureton 1967).
fn standardise(ranked: &Ranked, plus: f64, count: usize, zeros: usize, options: Options) -> f64 {
    let size = count as f64;
    let mut mean = size * (size + 1.0) / 4.0;
    let mut variance = size * (size + 1.0) * (2.0 * size + 1.0);
    let mut groups = ranked.groups.as_slice();
    if options.zeros == Zeros::Pratt && zeros > 0 {
        let zeros = zeros as f64;
        mean -= zeros * (zeros + 1.0) / 4.0;
        variance -= zeros * (zeros + 1.0) * (2.0 * zeros + 1.0);
        // Zeros are the smallest, so they are the first group; their ties are not to be counted.
        groups = &groups[1..];
    }
    let ties: f64 = groups.iter().map(|&t| t as f64).map(|t| t * t * t - t).sum();
    let sd = ((variance - ties / 2.0) / 24.0).sqrt();
    let z = (plus - mean) / sd;
    if !options.continuity {
        return z;
    }
    let sign = match options.alternative {
        Alternative::Greater => 1.0,
        Alternative::Less => -1.0,
        Alternative::TwoSided if z == 0.0 => 0.0,
        Alternative::TwoSided => z.signum(),
    };
    z - sign * 0.5 / sd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_does_not_differ_is_nothing_to_test() {
        for zeros in [Zeros::Wilcox, Zeros::Pratt, Zeros::Zsplit] {
            let options = Options { zeros, ..Options::default() };
            let error = wilcoxon(&[1.0; 20], &[1.0; 20], &options).unwrap_err();
            assert_eq!(error, StatsError::NoDifferences { n: 20 });
        }
    }

    #[test]
    fn the_method_is_chosen_by_the_differences_that_are_not_zero() {
        let known =
            [(1, 1, Method::Exact), (50, 50, Method::Exact), (51, 51, Method::Normal), (400, 50, Method::Exact)];
        for (n, differ, want) in known {
            assert_eq!(choose(Method::Auto, n, differ), Ok(want), "{n} {differ}");
        }
        assert_eq!(choose(Method::Auto, 501, 2), Ok(Method::Normal));
        assert!(matches!(choose(Method::Exact, 501, 501), Err(StatsError::TooMany { .. })));
    }

    #[test]
    fn four_differences_of_one_sign_are_never_significant() {
        // 2 · 2^−4, however many pairs do not differ.
        for pairs in [4, 20, 6000] {
            let a: Vec<f64> = (0..pairs).map(|k| f64::from(u8::from(k < 4))).collect();
            let found = wilcoxon(&a, &vec![0.0; pairs], &Options::default()).unwrap();
            assert_eq!((found.p, found.method), (0.125, Method::Exact));
        }
    }

    #[test]
    fn all_of_many_in_favour_is_a_p_value_of_two_to_the_minus_n() {
        let (a, b): (Vec<f64>, Vec<f64>) = (1..=500).map(|i| (f64::from(i), 0.0)).unzip();
        let options = Options { method: Method::Exact, alternative: Alternative::Greater, ..Options::default() };
        assert_eq!(wilcoxon(&a, &b, &options).unwrap().p, 0.5f64.powi(500));
    }
}
