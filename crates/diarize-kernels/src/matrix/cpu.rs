//! A few vectors at a time. Rows of the matrix run in parallel if it is large.

use half::f16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::simd;

#[cfg(target_arch = "x86_64")]
mod x86;

/// Vectors that are multiplied by a row together. If their sums do not fit in 16 registers, only half of them are.
const VECTORS: usize = 4;
/// Sums that run in parallel for each vector, on every processor.
const LANES: usize = 32;
/// Rows that a thread takes at once.
const ROWS: usize = 64;
/// Below so many products, threads cost more than they save.
const FEW: usize = 1 << 18;

/// Reads the values of a matrix.
trait Read: Copy + Send + Sync {
    type Value: Copy + Send + Sync;

    fn one(self, value: Self::Value) -> f32;

    #[inline(always)]
    fn part(self, values: &[Self::Value; LANES]) -> [f32; LANES] {
        values.map(|value| self.one(value))
    }

    /// Runs `work` with an instruction set that contains the instructions of [`Self::part`].
    fn dispatch(self, work: Rows<'_, Self>) {
        simd::arch().dispatch(work);
    }
}

#[derive(Clone, Copy)]
struct Singles;

impl Read for Singles {
    type Value = f32;

    #[inline(always)]
    fn one(self, value: f32) -> f32 {
        value
    }
}

#[derive(Clone, Copy)]
struct Halves;

impl Read for Halves {
    type Value = f16;

    /// For finite values. It has no branches, so that the compiler can vectorize it.
    #[inline(always)]
    fn one(self, value: f16) -> f32 {
        /// The difference between the biases of the exponents.
        const SCALE: f32 = f32::from_bits((127 + 112) << 23);
        let bits = u32::from(value.to_bits());
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * SCALE;
        f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
    }
}

/// The output `(n, outputs)` of a matrix of f32.
pub(super) fn singles(weights: &[f32], x: &[f32], inputs: usize) -> Vec<f32> {
    products(Singles, weights, x, inputs)
}

/// The output `(n, outputs)` of a matrix of f16.
pub(super) fn halves(weights: &[f16], x: &[f32], inputs: usize) -> Vec<f32> {
    match simd::arch() {
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(simd) => products(x86::By16(simd), weights, x, inputs),
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(simd) => match x86::Converting::try_new() {
            Some(converting) => products(x86::By8(simd, converting), weights, x, inputs),
            None => products(Halves, weights, x, inputs),
        },
        _ => products(Halves, weights, x, inputs),
    }
}

fn products<R: Read>(read: R, weights: &[R::Value], x: &[f32], inputs: usize) -> Vec<f32> {
    let (count, outputs) = (x.len() / inputs, weights.len() / inputs);
    if count * outputs == 0 {
        return Vec::new();
    }
    let mut by_output = vec![0f32; count * outputs]; // (output, vector)
    let rows = |(weights, y): (&[R::Value], &mut [f32])| read.dispatch(Rows { read, weights, x, inputs, y });
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
struct Rows<'a, R: Read> {
    read: R,
    weights: &'a [R::Value],
    x: &'a [f32],
    inputs: usize,
    /// `(row, vector)`.
    y: &'a mut [f32],
}

impl<R: Read> WithSimd for Rows<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match LANES / S::F32_LANES {
            2 => self.products::<S, 2>(simd),
            4 => self.products::<S, 4>(simd),
            8 => self.products::<S, 8>(simd),
            _ => self.products::<pulp::Scalar, LANES>(pulp::Scalar),
        }
    }
}

impl<R: Read> Rows<'_, R> {
    /// Fills `y`. The sums of a vector lie in `REGISTERS` SIMD vectors.
    #[inline(always)]
    fn products<S: Simd, const REGISTERS: usize>(self, simd: S) {
        let Self { read, weights, x, inputs, y } = self;
        let count = x.len() / inputs;
        let vectors = if VECTORS * REGISTERS < 16 { VECTORS } else { VECTORS / 2 };
        for (row, y) in weights.chunks_exact(inputs).zip(y.chunks_exact_mut(count)) {
            for (x, y) in x.chunks(vectors * inputs).zip(y.chunks_mut(vectors)) {
                let vector = |vector: usize| &x[vector * inputs..][..inputs];
                match y {
                    [y] => [*y] = products_of::<S, R, 1, REGISTERS>(simd, read, [x], row),
                    [first, second] => {
                        [*first, *second] =
                            products_of::<S, R, 2, REGISTERS>(simd, read, [vector(0), vector(1)], row);
                    }
                    y => {
                        // A missing vector repeats the last one.
                        let vectors: [&[f32]; VECTORS] =
                            std::array::from_fn(|index| vector(index.min(y.len() - 1)));
                        let products = products_of::<S, R, VECTORS, REGISTERS>(simd, read, vectors, row);
                        y.copy_from_slice(&products[..y.len()]);
                    }
                }
            }
        }
    }
}

/// The products of a row with some vectors.
#[inline(always)]
fn products_of<S: Simd, R: Read, const N: usize, const REGISTERS: usize>(
    simd: S,
    read: R,
    vectors: [&[f32]; N],
    row: &[R::Value],
) -> [f32; N] {
    let mut sums = [[simd.splat_f32s(0.0); REGISTERS]; N];
    let (parts, rest) = row.as_chunks::<LANES>();
    let vectors = vectors.map(|vector| vector.as_chunks::<LANES>());
    for (index, part) in parts.iter().enumerate() {
        let part = read.part(part);
        let part = S::as_simd_f32s(&part).0;
        for (sums, (vector, _)) in sums.iter_mut().zip(&vectors) {
            let vector = S::as_simd_f32s(&vector[index]).0;
            for register in 0..REGISTERS {
                sums[register] = simd.mul_add_e_f32s(vector[register], part[register], sums[register]);
            }
        }
    }
    let mut products = [0f32; N];
    for ((product, sums), (_, last)) in products.iter_mut().zip(&sums).zip(vectors) {
        let mut lanes = [0f32; LANES];
        S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(sums);
        let rest: f32 = rest.iter().zip(last).map(|(&value, x)| read.one(value) * x).sum();
        *product = sum(lanes) + rest;
    }
    products
}

/// The sum of all lanes: of pairs, then of pairs of these sums, and so on.
#[inline(always)]
fn sum(mut lanes: [f32; LANES]) -> f32 {
    let mut count = LANES;
    while count > 1 {
        count /= 2;
        for lane in 0..count {
            lanes[lane] += lanes[lane + count];
        }
    }
    lanes[0]
}
