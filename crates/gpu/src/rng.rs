//! The host's part of the random numbers: the keys of an epoch's order, and where a sample of it lies. The draws
//! themselves are in `kernels/sample.cu`. The same numbers to the bit as `data::rng`, which this crate does not depend on
//! because that room brings polars along; tests hold both to the same numbers.

/// Philox4x32-10 (Salmon et al. 2011): word `position` of the blocks (0, `sub`), (1, `sub`), …
pub(crate) fn word(seed: u64, stream: u32, sub: u32, position: u64) -> u64 {
    let index = position >> 1;
    let [mut c0, mut c1, mut c2, mut c3] = [index as u32, (index >> 32) as u32, sub, stream];
    let [mut k0, mut k1] = [seed as u32, (seed >> 32) as u32];
    for _ in 0..10 {
        let (even, odd) = (u64::from(c0) * 0xD251_1F53, u64::from(c2) * 0xCD9E_8D57);
        (c0, c1, c2, c3) = ((odd >> 32) as u32 ^ c1 ^ k0, odd as u32, (even >> 32) as u32 ^ c3 ^ k1, even as u32);
        (k0, k1) = (k0.wrapping_add(0x9E37_79B9), k1.wrapping_add(0xBB67_AE85));
    }
    let [low, high] = if position & 1 == 0 { [c0, c1] } else { [c2, c3] };
    u64::from(low) | u64::from(high) << 32
}

/// The number of the stream of epoch orders.
const EPOCH_ORDER: u32 = 5;

/// `data::rng::Permutation`: a Feistel network over pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permutation {
    pub(crate) n: u64,
    pub(crate) left: u64,
    pub(crate) right: u64,
    pub(crate) keys: [u64; 8],
}

impl Permutation {
    pub(crate) fn new(seed: u64, epoch: u32, n: u64) -> Self {
        let left = (n.isqrt() + 1).max(16);
        let keys = std::array::from_fn(|k| word(seed, EPOCH_ORDER, epoch, k as u64));
        Self { n, left, right: n.div_ceil(left).max(16), keys }
    }

    /// The place from which a number comes, both below n.
    pub(crate) fn place_of(&self, number: u64) -> u64 {
        let mut value = number;
        loop {
            let (mut l, mut r) = (value / self.right, value % self.right);
            for pair in self.keys.chunks_exact(2).rev() {
                r = subtract(r, below(mix(l ^ pair[1]), self.right), self.right);
                l = subtract(l, below(mix(r ^ pair[0]), self.left), self.left);
            }
            value = l * self.right + r;
            if value < self.n {
                return value;
            }
        }
    }
}

fn below(word: u64, n: u64) -> u64 {
    ((u128::from(word) * u128::from(n)) >> 64) as u64
}

fn subtract(a: u64, b: u64, n: u64) -> u64 {
    if a >= b { a - b } else { a + n - b }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kat_vectors` of Random123 1.14: philox4x32 10.
    #[test]
    fn philox_gives_the_known_answers() {
        assert_eq!([word(0, 0, 0, 0), word(0, 0, 0, 1)], [0xe169_c58d_6627_e8d5, 0x9b00_dbd8_bc57_ac4c]);
    }
}
