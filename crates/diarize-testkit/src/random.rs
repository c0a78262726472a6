//! Repeatable random numbers for property tests.

/// A splitmix64 generator, whose numbers depend only on the seed, on all platforms. The field is its state,
/// initially the seed.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number in `[-1, 1)`.
    pub fn signed(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// `count` numbers in `[-scale, scale)`.
    pub fn vector(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.signed() * scale).collect()
    }
}
