//! Tensors in 8 bits with a scale for each output channel. [`diarize::model`] describes the format.

use diarize::model::SCALES;
use safetensors::Dtype;

use crate::{
    Problem,
    tensor::{Tensor, TensorProblem, Tensors},
};

/// The largest 8-bit value used. -128 is not used.
const MAX: f32 = 127.0;
/// Number of scales that are tried for each channel. The first represents the channel's largest value exactly, each
/// further one clips a little more.
const CANDIDATES: u8 = 48;

/// The 8-bit values and the scales of a tensor with `channels` output channels.
pub(crate) fn quantize(values: &[f32], channels: usize) -> (Vec<u8>, Vec<f32>) {
    let mut quantized = Vec::with_capacity(values.len());
    let mut scales = Vec::with_capacity(channels);
    for channel in values.chunks_exact(values.len() / channels) {
        let scale = best_scale(channel);
        quantized.extend(channel.iter().map(|&value| (quantum(value, scale) as i8).cast_unsigned()));
        scales.push(scale);
    }
    (quantized, scales)
}

/// The candidate with the lowest squared error.
fn best_scale(channel: &[f32]) -> f32 {
    let largest = channel.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let error = |scale: f32| -> f64 {
        channel.iter().map(|&value| f64::from(value - quantum(value, scale) * scale).powi(2)).sum()
    };
    let candidates = (0..CANDIDATES).map(|clip| round_to_16_bits(largest / (MAX + f32::from(clip))));
    let (_, best) = candidates
        .map(|scale| (error(scale), scale))
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .expect("there are candidates");
    best
}

/// The nearest 8-bit value.
fn quantum(value: f32, scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { (value / scale).round_ties_even().clamp(-MAX, MAX) }
}

/// Rounds to 16 significant bits: the product with an 8-bit value then has at most 23, and is exact.
fn round_to_16_bits(value: f32) -> f32 {
    f32::from_bits((value.to_bits() + 0x80) & !0xff)
}

/// Replaces 8-bit tensors and their scales by f32 tensors.
pub(crate) fn expand(tensors: &mut Tensors) -> Result<(), Problem> {
    let is_8_bit = |tensor: &Tensor| tensor.dtype == Dtype::I8 && tensor.shape.len() > 1;
    let names: Vec<String> =
        tensors.iter().filter(|(_, tensor)| is_8_bit(tensor)).map(|(name, _)| name.clone()).collect();
    for name in names {
        let scales = format!("{name}{SCALES}");
        let Some(found) = tensors.remove(&scales) else {
            return Err(TensorProblem::NoScales(scales).of(&name));
        };
        let tensor = tensors.get_mut(&name).expect("only scales were removed");
        *tensor = expanded(tensor, &found).map_err(|problem| problem.of(&scales))?;
    }
    Ok(())
}

fn expanded(tensor: &Tensor, scales: &Tensor) -> Result<Tensor, TensorProblem> {
    let channels = tensor.shape[0];
    let values = match (scales.to_f32(), scales.shape.as_slice()) {
        (Some(values), &[found]) if found == channels => values,
        _ => {
            let (dtype, shape) = (scales.dtype, scales.shape.clone());
            return Err(TensorProblem::Scales { dtype, shape, channels });
        }
    };
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(TensorProblem::NonFiniteScale(index));
    }
    let mut bytes = Vec::with_capacity(4 * tensor.len());
    let length = tensor.shape[1..].iter().product::<usize>().max(1);
    for (channel, scale) in tensor.bytes.chunks_exact(length).zip(values) {
        bytes.extend(channel.iter().flat_map(|value| (f32::from(value.cast_signed()) * scale).to_le_bytes()));
    }
    Ok(Tensor { dtype: Dtype::F32, shape: tensor.shape.clone(), bytes })
}
