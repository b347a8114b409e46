//! Vectors of the processor, chosen at run time, without a line of it in the arithmetic.

use pulp::{Arch, Scalar128b, Simd, WithSimd};

/// Work that is compiled once for each instruction set.
pub(super) trait Work {
    /// What the work gives.
    type Output;

    /// Does the work. Must be `#[inline(always)]`, and so must all that it calls in its loops.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

struct Adapter<W>(W);

impl<W: Work> WithSimd for Adapter<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> W::Output {
        if S::IS_SCALAR { self.0.run(Scalar128b) } else { self.0.run(simd) }
    }
}

/// Does the work with the best instructions of this processor.
#[inline]
pub(super) fn dispatch<W: Work>(work: W) -> W::Output {
    Arch::new().dispatch(Adapter(work))
}

/// `a · b + c`, fused where the processor does that.
#[inline(always)]
pub(super) fn mul_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    // The portable vectors would call a slow exact routine for each lane.
    if S::IS_SCALAR { simd.add_f32s(simd.mul_f32s(a, b), c) } else { simd.mul_add_e_f32s(a, b, c) }
}
