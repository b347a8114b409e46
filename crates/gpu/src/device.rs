//! The seam between the host's side and a GPU: memory, launches, matrix products.

use std::any::Any;

use crate::Result;

/// Memory of a device; freed when dropped.
pub struct Buffer {
    /// Where it begins, in the device's own addresses.
    pub address: u64,
    /// How long it is.
    pub bytes: usize,
    /// What frees it.
    pub owner: Box<dyn Any + Send>,
}

/// The shape of a launch. Grids have two dimensions, blocks one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Blocks.
    pub grid: [u32; 2],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of shared memory that the kernel does not declare itself.
    pub shared: u32,
}

impl Launch {
    /// As many blocks of 256 threads as `n` threads need.
    pub fn threads(n: usize) -> Self {
        Self { grid: [n.div_ceil(256).max(1) as u32, 1], threads: 256, shared: 0 }
    }

    /// As many blocks of 8 warps as `n` warps need, for each of `sides`.
    pub fn warps(n: usize, sides: u32) -> Self {
        Self { grid: [n.div_ceil(8).max(1) as u32, sides], threads: 256, shared: 0 }
    }

    /// Blocks of 256 threads.
    pub fn blocks(n: u32, sides: u32) -> Self {
        Self { grid: [n, sides], threads: 256, shared: 0 }
    }
}

/// `C = op(A) · op(B) + beta · C` over matrices of f32, row by row: C is m × n, op(A) m × k.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gemm {
    /// m, n, k.
    pub size: [u32; 3],
    /// Address of A, the distance between its rows, and whether it lies transposed (k × m).
    pub a: (u64, u32, bool),
    /// Of B, which lies transposed as n × k.
    pub b: (u64, u32, bool),
    /// Of C.
    pub c: (u64, u32),
    /// 0 or 1.
    pub beta: f32,
}

/// How cuBLAS multiplies. Sums are in single precision in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision, as on the processor.
    #[default]
    Float32,
    /// Factors rounded to TF32 (10 bits of mantissa), on tensor cores.
    Tf32,
    /// Factors rounded to bfloat16 (7 bits of mantissa), on tensor cores.
    Bf16,
}

/// Recorded work.
pub trait Replay {
    /// Does it once more.
    ///
    /// # Errors
    /// When the device fails.
    fn replay(&self) -> Result<()>;
}

/// A device, or its emulation. Work is done in the order in which it is asked for; nothing but [`Device::download`] waits.
pub trait Device {
    /// Its name, for the manifest.
    fn name(&self) -> String;

    /// How many bytes are free.
    ///
    /// # Errors
    /// When the device fails.
    fn free(&self) -> Result<usize>;

    /// Memory filled with 0.
    ///
    /// # Errors
    /// When there is not as much.
    fn alloc(&self, bytes: usize) -> Result<Buffer>;

    /// Writes to a buffer from byte `at` on.
    ///
    /// # Errors
    /// When it does not fit, or the device fails.
    fn upload(&self, to: &Buffer, at: usize, from: &[u8]) -> Result<()>;

    /// Waits for all work, and reads a buffer from byte `at` on.
    ///
    /// # Errors
    /// When it is not as long, or the device or earlier work failed.
    fn download(&self, from: &Buffer, at: usize, to: &mut [u8]) -> Result<()>;

    /// Launches one of [`crate::KERNELS`]; each argument is its bytes as C has them.
    ///
    /// # Errors
    /// When there is no such kernel or the launch is refused.
    fn launch(&self, kernel: &'static str, shape: Launch, args: &[&[u8]]) -> Result<()>;

    /// A matrix product.
    ///
    /// # Errors
    /// When the sizes do not fit 31 bits, or the library fails.
    fn gemm(&self, gemm: &Gemm, precision: Precision) -> Result<()>;

    /// Records the launches that `work` makes, without doing them; `None` where recording has no use.
    ///
    /// # Errors
    /// When the device fails or `work` does.
    fn record(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Replay>>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_cover_their_work_and_are_never_empty() {
        assert_eq!(Launch::threads(0).grid, [1, 1]);
        assert_eq!(Launch::threads(257).grid, [2, 1]);
        assert_eq!(Launch::warps(17, 2).grid, [3, 2]);
    }
}
