//! What losses are made of, for many numbers at once: exponentials, and logarithms and shares of the logistic function.
//!
//! Plain sums and products in f64 without branches, which the compiler turns into vectors. None of them is fused, so that
//! the results are the same to the last bit on every processor.

/// Numbers that are worked on together.
const BLOCK: usize = 64;

/// `1.5 · 2^52`: added to a small number, it leaves the nearest whole one in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// `ln 2` in two parts; products of the first with whole numbers up to 2^11 are exact (fdlibm, `e_exp.c`).
const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
/// Below this, `e^x` is taken for 0; it would be 2^−1021 at most.
const LEAST: f64 = -708.0;
/// `1/k!` from 13 down to 2. For `|r| ≤ ln 2 / 2`, what follows is below `0.35^14 / 14! < 2^−57` of `e^r`.
const FACTORIALS: [f64; 12] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
];
/// Coefficients `Lg7` to `Lg1` of fdlibm (`e_log.c`, Sun Microsystems 1993): with them, its polynomial errs by less than
/// 2^−58.45 for `|s| ≤ 0.1716`.
const LOGARITHM: [f64; 7] = [
    1.479_819_860_511_658_6e-1,
    1.531_383_769_920_937_3e-1,
    1.818_357_216_161_805e-1,
    2.222_219_843_214_978_4e-1,
    2.857_142_874_366_239e-1,
    3.999_999_999_940_942e-1,
    6.666_666_666_666_735e-1,
];

/// `e^x` of each number, none of which may be above 0, in its place: to 2 units in the last place, and 0 below −708.
pub(super) fn exp(values: &mut [f64]) {
    for x in values {
        *x = exp_one(*x);
    }
}

/// For each `z`, `ln(1 + e^−|z|)` to 3 units in the last place, and `σ(z)` and `σ(−z)` to 4, where they are above 1e-307;
/// NaN stays NaN. All slices are as long as the shortest.
pub(super) fn logistic(z: &[f64], logarithms: &mut [f64], shares: &mut [f64], others: &mut [f64]) {
    let outputs = logarithms.chunks_mut(BLOCK).zip(shares.chunks_mut(BLOCK)).zip(others.chunks_mut(BLOCK));
    for (z, ((logarithms, shares), others)) in z.chunks(BLOCK).zip(outputs) {
        for (logarithm, &z) in logarithms.iter_mut().zip(z) {
            *logarithm = exp_one(-z.abs());
        }
        for (((share, other), &e), &z) in shares.iter_mut().zip(others).zip(&*logarithms).zip(z) {
            let large = 1.0 / (1.0 + e);
            let small = e * large;
            (*share, *other) = if z < 0.0 { (small, large) } else { (large, small) };
        }
        for e in logarithms {
            *e = ln_1p_one(*e);
        }
    }
}

/// `e^x` for `x ≤ 0`.
#[inline]
fn exp_one(x: f64) -> f64 {
    // Comparisons in this order let NaN pass.
    let clamped = if x < LEAST { LEAST } else { x };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2[0]) - n * LN2[1];
    let mut sum = FACTORIALS[0];
    for factor in &FACTORIALS[1..] {
        sum = sum * r + factor;
    }
    let power = 1.0 + (r + r * r * sum);
    let scaled = f64::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 52));
    // What was added to the bits of a NaN may have made a number of it.
    let kept = if power.is_nan() { power } else { scaled };
    if x < LEAST { 0.0 } else { kept }
}

/// `ln(1 + e)` for `e` from 0 to 1.
#[inline]
fn ln_1p_one(e: f64) -> f64 {
    // Beyond √2 − 1, half of 1 + e, and ln 2.
    let far = e > std::f64::consts::SQRT_2 - 1.0;
    let f = if far { 0.5 * (e - 1.0) } else { e };
    let s = f / (2.0 + f);
    let z = s * s;
    let mut sum = LOGARITHM[0];
    for factor in &LOGARITHM[1..] {
        sum = sum * z + factor;
    }
    let half = 0.5 * f * f;
    let near = f - (half - s * (half + z * sum));
    near + if far { std::f64::consts::LN_2 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from 0 down to −745 and some beyond, dense near 0.
    fn numbers() -> Vec<f64> {
        let mut all: Vec<f64> = (0..200_000).map(|k| -f64::from(k) * 0.00373).collect();
        all.extend((0..200_000).map(|k| -(-f64::from(k) * 0.0035).exp()));
        all.extend([0.0, -0.0, -1e-320, -707.9999, -708.0, -709.0, -745.0, -1e300, f64::NEG_INFINITY]);
        all
    }

    fn ulps(found: f64, exact: f64) -> u64 {
        found.to_bits().abs_diff(exact.to_bits())
    }

    #[test]
    fn exponentials_are_those_of_the_standard_library_to_two_units_in_the_last_place() {
        let x = numbers();
        let mut found = x.clone();
        exp(&mut found);
        for (&x, found) in x.iter().zip(found) {
            // That of the standard library is within one of the exact one.
            if x < LEAST { assert_eq!(found, 0.0, "{x}") } else { assert!(ulps(found, x.exp()) <= 3, "{x}: {found}") }
        }
        assert_eq!(exp_one(0.0), 1.0);
    }

    #[test]
    fn logarithms_and_shares_keep_their_digits_at_both_ends() {
        let z: Vec<f64> = numbers().into_iter().flat_map(|z| [z, -z]).collect();
        let [mut logarithms, mut shares, mut others] = [z.clone(), z.clone(), z.clone()];
        logistic(&z, &mut logarithms, &mut shares, &mut others);
        for (k, &z) in z.iter().enumerate() {
            if z.abs() > 707.0 {
                let least = [logarithms[k], shares[k].min(others[k])];
                assert!(least.iter().all(|x| (0.0..1e-306).contains(x)) && shares[k].max(others[k]) == 1.0, "{z}");
                continue;
            }
            let e = (-z.abs()).exp();
            let (large, small) = (1.0 / (1.0 + e), e / (1.0 + e));
            let (share, other) = if z < 0.0 { (small, large) } else { (large, small) };
            assert!(ulps(logarithms[k], e.ln_1p()) <= 4, "{z}: {} {}", logarithms[k], e.ln_1p());
            assert!(ulps(shares[k], share) <= 5 && ulps(others[k], other) <= 5, "{z}");
        }
    }

    #[test]
    fn nan_stays_nan() {
        let [mut logarithm, mut share, mut other, mut power] = [[f64::NAN]; 4];
        logistic(&[f64::NAN], &mut logarithm, &mut share, &mut other);
        exp(&mut power);
        assert!([logarithm, share, other, power].iter().all(|x| x[0].is_nan()));
    }

    /// A number alone is no vector; the last of an odd count is not either.
    #[test]
    fn numbers_together_are_to_the_bit_what_they_are_alone() {
        let z: Vec<f64> = numbers().into_iter().step_by(37).flat_map(|z| [z, -z]).collect();
        let [mut logarithms, mut shares, mut others] = [z.clone(), z.clone(), z.clone()];
        logistic(&z, &mut logarithms, &mut shares, &mut others);
        for (k, z) in z.into_iter().enumerate() {
            let [mut logarithm, mut share, mut other] = [[0.0]; 3];
            logistic(&[z], &mut logarithm, &mut share, &mut other);
            assert_eq!([logarithm[0], share[0], other[0]], [logarithms[k], shares[k], others[k]], "{z}");
        }
    }
}
