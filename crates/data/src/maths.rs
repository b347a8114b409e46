//! Elementary functions whose result is the same on every platform.
//!
//! `f64::ln`, `exp` and `sin` call the C library of the machine, and the last bit differs between libraries and
//! their versions. What ends in a stored file or in a model's first weights must not depend on that. These are the
//! kernels of fdlibm (Sun Microsystems, 1993; the constants are its own), which use only `+ - * /` and bit moves:
//! IEEE 754 fixes each of those. The error stays below 1 ulp.

#![expect(clippy::excessive_precision, reason = "the constants stand as they were published")]

/// Natural logarithm of a positive, finite, normal number.
pub fn ln(x: f64) -> f64 {
    const LN2_HI: f64 = 6.931_471_803_691_238_164_90e-01;
    const LN2_LO: f64 = 1.908_214_929_270_587_700_02e-10;
    // x = 2^k (1 + f), sqrt(1/2) < 1 + f < sqrt(2).
    let bits = x.to_bits();
    let high = ((bits >> 32) as u32).wrapping_add(0x3ff0_0000 - 0x3fe6_a09e);
    let k = f64::from((high >> 20) as i32 - 0x3ff);
    let high = (high & 0x000f_ffff) + 0x3fe6_a09e;
    let f = f64::from_bits(u64::from(high) << 32 | bits & 0xffff_ffff) - 1.0;
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even =
        w * (3.999_999_999_940_941_908e-01 + w * (2.222_219_843_214_978_396e-01 + w * 1.531_383_769_920_937_332e-01));
    let odd = z
        * (6.666_666_666_666_735_130e-01
            + w * (2.857_142_874_366_239_149e-01
                + w * (1.818_357_216_161_805_012e-01 + w * 1.479_819_860_511_658_591e-01)));
    s * (half_square + odd + even) + k * LN2_LO - half_square + f + k * LN2_HI
}

/// e^x, with 0 below -708 and the value at 709 above it, so that the result is always finite.
pub fn exp(x: f64) -> f64 {
    const LN2_HI: f64 = 6.931_471_803_691_238_164_90e-01;
    const LN2_LO: f64 = 1.908_214_929_270_587_700_02e-10;
    if x < -708.0 {
        return 0.0;
    }
    let x = x.min(709.0);
    // x = k ln 2 + r, |r| <= ln(2) / 2.
    let k = nearest(x * std::f64::consts::LOG2_E);
    let high = x - k * LN2_HI;
    let low = k * LN2_LO;
    let r = high - low;
    let square = r * r;
    let c = r - square
        * (1.666_666_666_666_660_190_37e-01
            + square
                * (-2.777_777_777_701_559_338_42e-03
                    + square
                        * (6.613_756_321_437_934_361_17e-05
                            + square
                                * (-1.653_390_220_546_525_153_90e-06 + square * 4.138_136_797_057_238_460_39e-08))));
    let y = 1.0 + (r * c / (2.0 - c) - low + high);
    y * f64::from_bits(((k as i64 + 1023) as u64) << 52)
}

/// The nearest whole number, for small numbers. `f64::round` is a call into the C library on plain x86-64.
fn nearest(x: f64) -> f64 {
    f64::from((x + 0.5f64.copysign(x)) as i32)
}

/// base^exponent for a positive base, as e^(exponent ln base): accurate to about |exponent ln base| ulp.
pub fn pow(base: f64, exponent: f64) -> f64 {
    exp(exponent * ln(base))
}

/// 1 / (1 + e^-x).
pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// Sine and cosine of 2 pi t, for t in [0, 1).
///
/// Counting in turns makes the reduction to a quarter turn exact.
pub fn sin_cos_turns(t: f64) -> (f64, f64) {
    let quarter = nearest(4.0 * t);
    let x = (t - 0.25 * quarter) * std::f64::consts::TAU;
    let z = x * x;
    let sin = x + x
        * z
        * (-1.666_666_666_666_663_243_48e-01
            + z * (8.333_333_333_322_489_461_24e-03
                + z * (-1.984_126_982_985_794_931_34e-04
                    + z * (2.755_731_370_707_006_767_89e-06
                        + z * (-2.505_076_025_340_686_341_95e-08 + z * 1.589_690_995_211_550_102_21e-10)))));
    let cos = 1.0
        - (0.5 * z
            - z * z
                * (4.166_666_666_666_660_190_37e-02
                    + z * (-1.388_888_888_887_410_957_49e-03
                        + z * (2.480_158_728_947_672_941_78e-05
                            + z * (-2.755_731_435_139_066_330_35e-07
                                + z * (2.087_572_321_298_174_827_90e-09 + z * -1.135_964_755_778_819_482_65e-11))))));
    match quarter as i64 & 3 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The platform's functions are the oracle; 2 ulp leaves room for their own rounding.
    fn close(ours: f64, theirs: f64) -> bool {
        (ours - theirs).abs() <= 2.0 * f64::EPSILON * theirs.abs().max(f64::MIN_POSITIVE)
    }

    #[test]
    fn ln_agrees_with_the_platform() {
        let mut x = 1e-300;
        while x < 1e300 {
            assert!(close(ln(x), x.ln()), "{x:e}");
            x *= 1.000_7;
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn exp_agrees_with_the_platform_and_stays_finite() {
        for step in -70_000..70_000 {
            let x = f64::from(step) * 0.01 + 0.003;
            assert!(close(exp(x), x.exp()), "{x}");
        }
        assert_eq!((exp(0.0), exp(-1e9), exp(f64::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert!(exp(f64::INFINITY).is_finite());
        assert!((logistic(0.7) + logistic(-0.7) - 1.0).abs() < 1e-15);
        assert!((pow(10.0, 0.75) - 10f64.powf(0.75)).abs() < 1e-14);
    }

    #[test]
    fn sine_and_cosine_agree_with_the_platform() {
        for step in 0..100_000 {
            let t = f64::from(step) / 100_000.0;
            let (sin, cos) = sin_cos_turns(t);
            let (s, c) = (t * std::f64::consts::TAU).sin_cos();
            assert!((sin - s).abs() < 1e-15 && (cos - c).abs() < 1e-15, "{t}");
        }
        assert_eq!(sin_cos_turns(0.25), (1.0, -0.0));
    }
}
