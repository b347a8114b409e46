//! Vectors of the processor, chosen at run time, without a line of it in the arithmetic.

use pulp::{Arch, Scalar128b, Simd, WithSimd};

/// Rows of tables are filled up with zeros to a multiple of this many values: one vector of AVX-512.
pub(super) const LANES: usize = 16;

/// The width of a panel: matrices of the tower are stored in panels of this many columns.
pub(super) const PANEL: usize = 32;

/// A row of a panel.
pub(super) type Row = [f32; PANEL];

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

/// Half of each lane's bits, taken as a number.
#[inline(always)]
fn halve_bits<S: Simd>(simd: S, bits: S::u32s) -> S::u32s {
    #[cfg(target_arch = "x86_64")]
    {
        use std::any::Any;

        use pulp::bytemuck::cast;
        use pulp::x86::{V3, V4};
        // There is no shift for all instruction sets, and the way below takes many times as long.
        let any: &dyn Any = &simd;
        if let Some(v4) = any.downcast_ref::<V4>() {
            return cast(v4.shr_const_u32x16::<1>(cast(bits)));
        }
        if let Some(v3) = any.downcast_ref::<V3>() {
            return cast(v3.shr_const_u32x8::<1>(cast(bits)));
        }
    }
    simd.widening_mul_u32s(bits, simd.splat_u32s(1 << 31)).1
}

/// √v, to one unit in the last place, for `v` from 0 to 1e38; below 1e-38, too small by up to half.
///
/// The processor's own root and its division share one slow unit, and a step needs both for each parameter: this root
/// is computed by what is idle meanwhile. Its parts are the same on all processors that fuse products and sums.
#[inline(always)]
pub(super) fn root<S: Simd>(simd: S, v: S::f32s) -> S::f32s {
    // 1/√v to 3.5 %, by halving the exponent; see Lomont, "Fast inverse square root", 2003.
    let bits = simd.sub_u32s(simd.splat_u32s(0x5f37_59df), halve_bits(simd, simd.transmute_u32s_f32s(v)));
    let y = simd.transmute_f32s_u32s(bits);
    // Householder's method of third order: to 1.2e-4.
    let (one, half, eighth) = (simd.splat_f32s(1.0), simd.splat_f32s(0.5), simd.splat_f32s(0.375));
    let error = negate_mul_add(simd, simd.mul_f32s(v, y), y, one);
    let y = mul_add(simd, simd.mul_f32s(y, error), mul_add(simd, error, eighth, half), y);
    // Newton's method for the root itself.
    let root = simd.mul_f32s(v, y);
    let rest = negate_mul_add(simd, root, root, v);
    mul_add(simd, rest, simd.mul_f32s(half, y), root)
}

/// `c − a · b`, fused where the processor does that.
#[inline(always)]
fn negate_mul_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if S::IS_SCALAR { simd.sub_f32s(c, simd.mul_f32s(a, b)) } else { simd.negate_mul_add_e_f32s(a, b, c) }
}

/// The sum of [`LANES`] lanes in several vectors, in an order that does not depend on their length.
#[inline(always)]
pub(super) fn reduce<S: Simd>(simd: S, sums: &mut [S::f32s]) -> f32 {
    let mut n = LANES / S::F32_LANES;
    while n > 1 {
        n /= 2;
        for k in 0..n {
            sums[k] = simd.add_f32s(sums[k], sums[k + n]);
        }
    }
    simd.reduce_sum_f32s(sums[0])
}

/// The vectors of a slice whose length is a multiple of [`LANES`].
#[inline(always)]
pub(super) fn vectors<S: Simd>(values: &[f32]) -> &[S::f32s] {
    S::as_simd_f32s(values).0
}

/// The vectors of a slice whose length is a multiple of [`LANES`], to be written.
#[inline(always)]
pub(super) fn vectors_mut<S: Simd>(values: &mut [f32]) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(values).0
}

/// A square of numbers, row by row.
pub(super) type Square = [[f32; LANES]; LANES];

/// Transposes a square.
#[inline(always)]
pub(super) fn transpose<S: Simd>(simd: S, square: &mut Square) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::any::Any;
        let any: &dyn Any = &simd;
        if let Some(v4) = any.downcast_ref::<pulp::x86::V4>() {
            return transpose_in_registers(*v4, square);
        }
        if let Some(v3) = any.downcast_ref::<pulp::x86::V3>() {
            return transpose_by_eights(*v3, square);
        }
    }
    let rows = *square;
    for (c, column) in square.iter_mut().enumerate() {
        for (x, row) in column.iter_mut().zip(&rows) {
            *x = row[c];
        }
    }
}

/// Transposes pairs of numbers, then of pairs, and so on; one by one it takes as long as a step of the optimizer.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transpose_in_registers(v4: pulp::x86::V4, square: &mut Square) {
    use std::arch::x86_64::{__m512, __m512d};

    use pulp::bytemuck::cast;
    let avx = v4.avx512f;
    let mut a: [__m512; LANES] = std::array::from_fn(|r| cast(square[r]));
    let mut b = a;
    for r in (0..LANES).step_by(2) {
        (b[r], b[r + 1]) = (avx._mm512_unpacklo_ps(a[r], a[r + 1]), avx._mm512_unpackhi_ps(a[r], a[r + 1]));
    }
    // Now quarter `q` of row `4·g + k` of `a` holds column `4·q + k` of rows `4·g..4·g + 4`.
    for r in (0..LANES).step_by(4) {
        let pair: [__m512d; 4] = std::array::from_fn(|k| cast(b[r + k]));
        (a[r], a[r + 1]) =
            (cast(avx._mm512_unpacklo_pd(pair[0], pair[2])), cast(avx._mm512_unpackhi_pd(pair[0], pair[2])));
        (a[r + 2], a[r + 3]) =
            (cast(avx._mm512_unpacklo_pd(pair[1], pair[3])), cast(avx._mm512_unpackhi_pd(pair[1], pair[3])));
    }
    for k in 0..4 {
        // Quarters 0 and 2 of two rows, or 1 and 3.
        let even = |g: usize| avx._mm512_shuffle_f32x4::<0b10_00_10_00>(a[g + k], a[g + k + 4]);
        let odd = |g: usize| avx._mm512_shuffle_f32x4::<0b11_01_11_01>(a[g + k], a[g + k + 4]);
        let (low, high) = ([even(0), odd(0)], [even(8), odd(8)]);
        for (half, (low, high)) in low.into_iter().zip(high).enumerate() {
            square[4 * half + k] = cast(avx._mm512_shuffle_f32x4::<0b10_00_10_00>(low, high));
            square[4 * half + k + 8] = cast(avx._mm512_shuffle_f32x4::<0b11_01_11_01>(low, high));
        }
    }
}

/// The same with half as wide vectors: a quarter of the square at a time.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transpose_by_eights(v3: pulp::x86::V3, square: &mut Square) {
    use std::arch::x86_64::{__m256, __m256d};

    use pulp::bytemuck::cast;
    const HALF: usize = LANES / 2;
    let (avx, rows) = (v3.avx, *square);
    for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let a: [__m256; HALF] = std::array::from_fn(|r| cast(rows[HALF * i + r].as_chunks::<HALF>().0[j]));
        let (mut b, mut c) = (a, a);
        for r in (0..HALF).step_by(2) {
            (b[r], b[r + 1]) = (avx._mm256_unpacklo_ps(a[r], a[r + 1]), avx._mm256_unpackhi_ps(a[r], a[r + 1]));
        }
        // Now half `q` of row `g + k` of `c` holds column `4·q + k` of rows `g..g + 4`.
        for g in [0, 4] {
            let pair: [__m256d; 4] = std::array::from_fn(|k| cast(b[g + k]));
            (c[g], c[g + 1]) =
                (cast(avx._mm256_unpacklo_pd(pair[0], pair[2])), cast(avx._mm256_unpackhi_pd(pair[0], pair[2])));
            (c[g + 2], c[g + 3]) =
                (cast(avx._mm256_unpacklo_pd(pair[1], pair[3])), cast(avx._mm256_unpackhi_pd(pair[1], pair[3])));
        }
        for k in 0..4 {
            let (low, high) = (
                avx._mm256_permute2f128_ps::<0x20>(c[k], c[k + 4]),
                avx._mm256_permute2f128_ps::<0x31>(c[k], c[k + 4]),
            );
            square[HALF * j + k].as_chunks_mut::<HALF>().0[i] = cast(low);
            square[HALF * j + k + 4].as_chunks_mut::<HALF>().0[i] = cast(high);
        }
    }
}

/// Asks for a line to be fetched into the cache.
#[inline(always)]
pub(super) fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and cannot fail, whatever the address; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Lets tests use the instructions of lesser processors.
#[cfg(test)]
pub(super) mod levels {
    use std::cell::Cell;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Level {
        Best,
        #[cfg(target_arch = "x86_64")]
        Avx2,
        Portable,
    }

    /// All of them.
    pub(crate) const LEVELS: &[Level] = &[
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
    pub(crate) fn each<T>(mut work: impl FnMut() -> T) -> Vec<T> {
        let at = |&level: &Level| {
            LEVEL.set(level);
            let result = work();
            LEVEL.set(Level::Best);
            result
        };
        LEVELS.iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Roots<'a>(&'a mut [f32]);

    impl Work for Roots<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for v in vectors_mut::<S>(self.0) {
                *v = root(simd, *v);
            }
        }
    }

    struct Transposed<'a>(&'a mut Square);

    impl Work for Transposed<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            transpose(simd, self.0);
        }
    }

    #[test]
    fn rows_become_columns() {
        levels::each(|| {
            let mut square: Square = std::array::from_fn(|r| std::array::from_fn(|c| (LANES * r + c) as f32));
            dispatch(Transposed(&mut square));
            for (c, row) in square.iter().enumerate() {
                assert!(row.iter().enumerate().all(|(r, x)| *x == (LANES * r + c) as f32), "{row:?}");
            }
        });
    }

    #[test]
    fn roots_are_exact_to_a_unit_in_the_last_place() {
        let mut v: Vec<f32> = (0..1 << 20).map(|k| f32::from_bits((1 << 23) + k * 2017)).collect();
        v[0] = 0.0;
        let exact: Vec<f32> = v.iter().map(|v| v.sqrt()).collect();
        dispatch(Roots(&mut v));
        for (found, exact) in v.iter().zip(exact) {
            assert!(found.to_bits().abs_diff(exact.to_bits()) <= 1, "{found} {exact}");
        }
        assert_eq!(v[0], 0.0);
    }
}
