//! The exact null distribution of a signed-rank sum.

/// Both tails, each with the observed value in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tails {
    /// P(sum ≤ observed).
    pub(crate) lower: f64,
    /// P(sum ≥ observed).
    pub(crate) upper: f64,
}

/// Tails of the sum of `doubled` ranks when each is in the sum or not with equal chance.
///
/// The distribution is built up rank by rank (the generating function `Π (1 + x^r)/2`, Wilcoxon 1945). Terms are only
/// added and halved, so the relative error stays at rounding however small the probability, down to 2⁻ⁿ.
pub(crate) fn tails(doubled: &[u64], observed: u64) -> Tails {
    let total: u64 = doubled.iter().sum();
    let mut mass = vec![0.0f64; total as usize + 1];
    mass[0] = 1.0;
    let mut reached = 0usize;
    for &rank in doubled {
        let rank = rank as usize;
        reached += rank;
        for sum in (0..=reached).rev() {
            let with = if sum >= rank { mass[sum - rank] } else { 0.0 };
            mass[sum] = 0.5 * (mass[sum] + with);
        }
    }
    let observed = observed.min(total) as usize;
    // From the small end of each tail to the large.
    let lower: f64 = mass[..=observed].iter().sum();
    let upper: f64 = mass[observed..].iter().rev().sum();
    Tails { lower: lower.min(1.0), upper: upper.min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every assignment of signs, one by one.
    fn by_enumeration(doubled: &[u64], observed: u64) -> Tails {
        let (mut lower, mut upper) = (0u32, 0u32);
        for signs in 0..1u32 << doubled.len() {
            let sum: u64 = doubled.iter().enumerate().filter(|(i, _)| signs >> i & 1 == 1).map(|(_, r)| r).sum();
            lower += u32::from(sum <= observed);
            upper += u32::from(sum >= observed);
        }
        let all = f64::from(1u32 << doubled.len());
        Tails { lower: f64::from(lower) / all, upper: f64::from(upper) / all }
    }

    #[test]
    fn it_counts_what_enumeration_counts() {
        let cases: [&[u64]; 4] = [&[2], &[2, 4, 6, 8, 10], &[3, 3, 7, 7, 7, 13], &[5, 5, 5, 5, 10, 12, 14, 16]];
        for ranks in cases {
            for observed in 0..=ranks.iter().sum() {
                assert_eq!(tails(ranks, observed), by_enumeration(ranks, observed), "{ranks:?} {observed}");
            }
        }
    }
}
