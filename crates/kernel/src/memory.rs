//! Memory of tables and of what the tower computes with.

use std::ops::{Deref, DerefMut};

use crate::error::{Error, Result};
use crate::lanes::{LANES, Row};

/// A cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

// SAFETY: all zeros are such numbers.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: it is as long as it is aligned, so that it has no padding, and any bits are such numbers.
unsafe impl bytemuck::Pod for Line {}

/// A few values that begin at a cache line, as many as fill whole ones: loads of a vector never touch two.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    /// That many zeros, or more.
    pub(super) fn zeros(len: usize) -> Self {
        Self(vec![Line([0.0; LANES]); len.div_ceil(LANES)])
    }

    /// The whole rows of panels that they are.
    #[inline(always)]
    pub(super) fn rows(&self) -> &[Row] {
        self.as_chunks().0
    }

    /// As [`Lines::rows`].
    #[inline(always)]
    pub(super) fn rows_mut(&mut self) -> &mut [Row] {
        self.as_chunks_mut().0
    }
}

impl Deref for Lines {
    type Target = [f32];

    #[inline(always)]
    fn deref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }
}

impl DerefMut for Lines {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

/// Values that begin at a cache line.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    values: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// That many zeros.
    pub(super) fn zeros(len: usize) -> Result<Self> {
        let all = len.saturating_add(LANES);
        let mut values = Vec::new();
        values.try_reserve_exact(all).map_err(|_| Error::Memory(4 * all as u128))?;
        ask_for_huge_pages(&mut values);
        values.resize(all, 0.0);
        let start = values.as_ptr().align_offset(4 * LANES).min(LANES);
        Ok(Self { values, start, len })
    }

    /// Makes room for that many values, which may be anything.
    pub(super) fn reserve(&mut self, len: usize) -> Result<()> {
        if self.len < len {
            *self = Self::zeros(len.next_power_of_two())?;
        }
        Ok(())
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.start..self.start + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..self.start + self.len]
    }
}

/// An empty vector with room for that many numbers, on huge pages where the system has them: for numbers that are read
/// in no order.
pub fn room(len: usize) -> Vec<u32> {
    let mut values = Vec::with_capacity(len);
    ask_for_huge_pages(&mut values);
    values
}

/// Asks for huge pages where nothing has been written yet. With small pages, nearly each
/// read in no order costs a walk through the page table as well.
fn ask_for_huge_pages<T>(values: &mut Vec<T>) {
    #[cfg(target_os = "linux")]
    {
        /// The size of a huge page on x86-64 and on most others.
        const HUGE: usize = 1 << 21;
        let room = values.spare_capacity_mut();
        let skipped = room.as_ptr().align_offset(HUGE);
        let bytes = size_of_val(room.get(skipped..).unwrap_or_default()) / HUGE * HUGE;
        if bytes > 0 {
            let start = room[skipped..].as_mut_ptr();
            // SAFETY: the range is page-aligned and lies inside of memory that `values` owns. The advice neither reads
            // nor writes nor unmaps it, and where the system does not follow it, all is as it was.
            let _ = unsafe { libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = values;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_tables_are_zeros_that_begin_at_a_cache_line() {
        for len in [0, 1, 16, 1000, (5 << 20) + 3] {
            let mut table = Aligned::zeros(len).unwrap();
            assert_eq!((table.len(), table.as_ptr() as usize % 64), (len, 0));
            assert!(table.iter().all(|x| *x == 0.0));
            table.fill(1.0);
        }
    }
}
