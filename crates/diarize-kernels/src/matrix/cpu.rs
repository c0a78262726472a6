//! A few vectors at a time. Rows of the matrix run in parallel if it is large.

use half::f16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::simd;

/// Vectors that share the values of a row.
const VECTORS: usize = 4;
/// Sums that run in parallel for each vector. They depend on neither the processor nor the number of threads.
const LANES: usize = 32;
/// Rows that a thread takes at once.
const ROWS: usize = 64;
/// Below so many products, threads cost more than they save.
const FEW: usize = 1 << 18;

/// A value of a matrix.
pub(super) trait Value: Copy + Send + Sync {
    fn to_f32(self) -> f32;
}

impl Value for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

impl Value for f16 {
    /// For finite values. It has no branches, so that the compiler can vectorize it.
    #[inline(always)]
    fn to_f32(self) -> f32 {
        /// The difference between the biases of the exponents.
        const SCALE: f32 = f32::from_bits((127 + 112) << 23);
        let bits = u32::from(self.to_bits());
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * SCALE;
        f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
    }
}

/// Returns the output `(n, outputs)`.
pub(super) fn products<V: Value>(weights: &[V], x: &[f32], inputs: usize) -> Vec<f32> {
    let (count, outputs) = (x.len() / inputs, weights.len() / inputs);
    if count * outputs == 0 {
        return Vec::new();
    }
    let arch = simd::arch();
    let mut by_output = vec![0f32; count * outputs]; // (output, vector)
    let rows = |(weights, y): (&[V], &mut [f32])| arch.dispatch(Rows { weights, x, inputs, y });
    if weights.len() * count < FEW {
        rows((weights, &mut by_output));
    } else {
        weights.par_chunks(ROWS * inputs).zip(by_output.par_chunks_mut(ROWS * count)).for_each(rows);
    }
    if count == 1 {
        return by_output;
    }
    let mut y = Vec::with_capacity(by_output.len());
    for vector in 0..count {
        y.extend(by_output.iter().skip(vector).step_by(count));
    }
    y
}

/// Some rows of the matrix.
struct Rows<'a, V> {
    weights: &'a [V],
    x: &'a [f32],
    inputs: usize,
    /// `(row, vector)`.
    y: &'a mut [f32],
}

impl<V: Value> WithSimd for Rows<'_, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let count = self.x.len() / self.inputs;
        for (row, y) in self.weights.chunks_exact(self.inputs).zip(self.y.chunks_exact_mut(count)) {
            for (x, y) in self.x.chunks(VECTORS * self.inputs).zip(y.chunks_mut(VECTORS)) {
                match y {
                    [y] => [*y] = products_of([x], row),
                    y => {
                        // Missing vectors repeat the last one.
                        let at = |vector: usize| vector.min(y.len() - 1) * self.inputs;
                        let vectors: [&[f32]; VECTORS] =
                            std::array::from_fn(|vector| &x[at(vector)..][..self.inputs]);
                        y.copy_from_slice(&products_of(vectors, row)[..y.len()]);
                    }
                }
            }
        }
    }
}

/// The products of a row with some vectors.
#[inline(always)]
fn products_of<V: Value, const N: usize>(vectors: [&[f32]; N], row: &[V]) -> [f32; N] {
    let mut sums = [[0f32; LANES]; N];
    let (parts, rest) = row.as_chunks::<LANES>();
    let vectors = vectors.map(|vector| vector.as_chunks::<LANES>());
    for (index, part) in parts.iter().enumerate() {
        let part = part.map(V::to_f32);
        for (sums, (vector, _)) in sums.iter_mut().zip(&vectors) {
            let vector = &vector[index];
            for lane in 0..LANES {
                sums[lane] += vector[lane] * part[lane];
            }
        }
    }
    let mut products = [0f32; N];
    for ((product, sums), (_, last)) in products.iter_mut().zip(&sums).zip(vectors) {
        let rest: f32 = rest.iter().zip(last).map(|(value, x)| value.to_f32() * x).sum();
        *product = sums.iter().sum::<f32>() + rest;
    }
    products
}
