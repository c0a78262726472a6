//! Inputs for operations: pseudo-random numbers that are identical on all platforms.

use candle_core::{DType, Device, Result, Shape, Tensor};

/// Numbers in [-1, 1), exact in f32; each seed gives a different sequence (splitmix64).
pub(super) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed << 32;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Noise as a tensor of f32.
pub(super) fn tensor(shape: impl Into<Shape>, seed: u64, device: &Device) -> Result<Tensor> {
    let shape = shape.into();
    Tensor::from_vec(noise(shape.elem_count(), seed), shape, device)
}

/// All values of a tensor, as f64.
pub(super) fn to_f64(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor
        .flatten_all()?
        .to_dtype(DType::F32)?
        .to_vec1::<f32>()
        .map(|values| values.into_iter().map(f64::from).collect())
}
