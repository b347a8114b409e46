//! Numbers that are none.

use pulp::Simd;

use crate::lanes::{Work, dispatch, mul_add};

/// The place of the first value that is NaN or infinite.
pub fn position_not_finite(values: &[f32]) -> Option<usize> {
    // One pass without branches; the search for the culprit is rare.
    if dispatch(AllFinite(values)) { None } else { values.iter().position(|value| !value.is_finite()) }
}

struct AllFinite<'a>(&'a [f32]);

impl Work for AllFinite<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let (body, tail) = S::as_simd_f32s(self.0);
        let mut watch = simd.splat_f32s(0.0);
        for &values in body {
            watch = not_finite(simd, values, watch);
        }
        watch = not_finite(simd, simd.partial_load_f32s(tail), watch);
        is_zero(simd, watch)
    }
}

/// Makes lanes of `watch` NaN for good where a value is not finite: 0 · x is 0 for every other x.
#[inline(always)]
pub(super) fn not_finite<S: Simd>(simd: S, values: S::f32s, watch: S::f32s) -> S::f32s {
    mul_add(simd, values, simd.splat_f32s(0.0), watch)
}

/// Whether no lane has become NaN.
#[inline(always)]
pub(super) fn is_zero<S: Simd>(simd: S, watch: S::f32s) -> bool {
    // NaN equals nothing.
    simd.first_true_m32s(simd.not_m32s(simd.equal_f32s(watch, simd.splat_f32s(0.0)))) == S::F32_LANES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_that_is_no_number_is_found_at_every_place() {
        for n in 0..70 {
            let mut values: Vec<f32> = (0..n).map(|k| if k % 3 == 0 { f32::MAX } else { -f32::MIN_POSITIVE }).collect();
            assert_eq!(position_not_finite(&values), None);
            for place in (0..n).rev() {
                values[place] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][place % 3];
                assert_eq!(position_not_finite(&values), Some(place));
            }
        }
    }
}
