//! The numbers that rows are packed into.

/// A key, or what is left of it once its leading bits have chosen the bucket.
pub(super) trait Word: Copy + Ord + Send + Sync {
    fn of(key: u128) -> Self;
    fn key(self) -> u128;
    /// The key with so many more bits behind it.
    fn with(self, bits: u32, digit: u64) -> Self;
    /// The key without its last bits.
    fn without(self, bits: u32) -> Self;
    /// The last 64 bits.
    fn low(self) -> u64;
}

impl Word for u64 {
    fn of(key: u128) -> Self {
        key as Self
    }
    fn key(self) -> u128 {
        u128::from(self)
    }
    #[inline]
    fn with(self, bits: u32, digit: u64) -> Self {
        // One column may fill the key.
        self.checked_shl(bits).unwrap_or(0) | digit
    }
    #[inline]
    fn without(self, bits: u32) -> Self {
        self.checked_shr(bits).unwrap_or(0)
    }
    #[inline]
    fn low(self) -> u64 {
        self
    }
}

impl Word for u128 {
    fn of(key: u128) -> Self {
        key
    }
    fn key(self) -> u128 {
        self
    }
    #[inline]
    fn with(self, bits: u32, digit: u64) -> Self {
        self << bits | Self::from(digit)
    }
    #[inline]
    fn without(self, bits: u32) -> Self {
        self >> bits
    }
    #[inline]
    fn low(self) -> u64 {
        self as u64
    }
}
