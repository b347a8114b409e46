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
    #[cfg(test)]
    match levels::chosen() {
        levels::Level::Portable => return work.run(Scalar128b),
        #[cfg(target_arch = "x86_64")]
        levels::Level::Avx2 => {
            if let Some(simd) = pulp::x86::V3::try_new() {
                return Simd::vectorize(simd, Adapter(work));
            }
        }
        levels::Level::Best => (),
    }
    Arch::new().dispatch(Adapter(work))
}

/// `a · b + c`, fused where the processor does that.
#[inline(always)]
pub(super) fn mul_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    // The portable vectors would call a slow exact routine for each lane.
    if S::IS_SCALAR { simd.add_f32s(simd.mul_f32s(a, b), c) } else { simd.mul_add_e_f32s(a, b, c) }
}

/// Lets tests use the instructions of lesser processors.
#[cfg(test)]
pub(super) mod levels {
    use std::cell::Cell;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in super::super) enum Level {
        Best,
        #[cfg(target_arch = "x86_64")]
        Avx2,
        Portable,
    }

    /// All of them.
    pub(in super::super) const LEVELS: &[Level] = &[
        Level::Best,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2,
        Level::Portable,
    ];

    thread_local! {
        static LEVEL: Cell<Level> = const { Cell::new(Level::Best) };
    }

    pub(super) fn chosen() -> Level {
        LEVEL.get()
    }

    /// Does the same with each level, on this thread.
    pub(in super::super) fn each<T>(mut work: impl FnMut() -> T) -> Vec<T> {
        let at = |&level: &Level| {
            LEVEL.set(level);
            let result = work();
            LEVEL.set(Level::Best);
            result
        };
        LEVELS.iter().map(at).collect()
    }
}
