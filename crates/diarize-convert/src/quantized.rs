//! Tensors in 8 bits with a scale for each output channel. [`diarize::model`] describes the format.

use diarize::model::SCALES;
use safetensors::Dtype;

use crate::{
    Problem,
    tensor::{Tensor, TensorProblem, Tensors},
};

/// The largest 8-bit value used. -128 is not used.
const MAX: f32 = 127.0;
/// Largest error of a tensor, relative to its values (root mean squares). Where a few values of a channel are much
/// larger than the others, 8 bits with one scale are too coarse. Usual networks have about 1 %.
const TOLERANCE: f64 = 0.02;

/// The 8-bit values and the scales of a tensor, of which the first axis has the output channels and the second one the
/// inputs. `None` if the error is too large or a value is not finite.
///
/// The largest value of each channel becomes 127 or -127. Rounding to the nearest value comes first. Then a few values
/// are rounded the other way, so that the errors of each kernel and those of each channel add up to almost nothing:
/// what a network's layer receives is mostly positive and smooth, so errors that add up to nothing cancel. On the
/// bundled embedding network, this halves the error of the output.
pub(crate) fn quantize(values: &[f32], shape: &[usize]) -> Option<(Vec<u8>, Vec<f32>)> {
    let kernel: usize = shape[2..].iter().product();
    let mut quantized = Vec::with_capacity(values.len());
    let mut scales = Vec::with_capacity(shape[0]);
    let (mut error, mut size) = (0.0, 0.0);
    for channel in values.chunks_exact(values.len() / shape[0]) {
        let largest = channel.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = round_to_16_bits(largest / MAX);
        let exact: Vec<f32> =
            channel.iter().map(|&value| if scale > 0.0 { value / scale } else { 0.0 }).collect();
        let mut rounded: Vec<f32> =
            exact.iter().map(|value| value.round_ties_even().clamp(-MAX, MAX)).collect();
        for (rounded, exact) in rounded.chunks_exact_mut(kernel).zip(exact.chunks_exact(kernel)) {
            balance(rounded, exact);
        }
        balance(&mut rounded, &exact);
        for (value, rounded) in channel.iter().zip(&rounded) {
            error += f64::from(value - rounded * scale).powi(2);
            size += f64::from(*value).powi(2);
        }
        quantized.extend(rounded.iter().map(|&value| (value as i8).cast_unsigned()));
        scales.push(scale);
    }
    (error <= TOLERANCE.powi(2) * size).then_some((quantized, scales))
}

/// Rounds the least certain values the other way until the sum of the errors is at most a half. The largest values
/// stay, because the scale follows from them.
fn balance(rounded: &mut [f32], exact: &[f32]) {
    let mut sum: f32 = exact.iter().zip(&*rounded).map(|(exact, rounded)| exact - rounded).sum();
    if sum.abs() <= 0.5 {
        return;
    }
    let sign = sum.signum();
    let error = |index: usize| (exact[index] - rounded[index]) * sign;
    let movable = |&index: &usize| rounded[index].abs() < MAX && error(index) > 0.0;
    let mut candidates: Vec<(f32, usize)> =
        (0..exact.len()).filter(movable).map(|index| (error(index), index)).collect();
    // Of equal errors, the last comes first.
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    for (_, index) in candidates {
        if sum.abs() <= 0.5 {
            return;
        }
        rounded[index] += sign;
        sum -= sign;
    }
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
        return Err(TensorProblem::NonFinite(index));
    }
    let mut bytes = Vec::with_capacity(4 * tensor.len());
    let length = tensor.shape[1..].iter().product::<usize>().max(1);
    for (channel, scale) in tensor.bytes.chunks_exact(length).zip(values) {
        bytes.extend(channel.iter().flat_map(|value| (f32::from(value.cast_signed()) * scale).to_le_bytes()));
    }
    Ok(Tensor { dtype: Dtype::F32, shape: tensor.shape.clone(), bytes })
}

#[cfg(test)]
mod tests {
    use super::quantize;

    /// Each of the values must be considered once, not once for each value that is rounded the other way.
    #[test]
    fn a_long_row_of_equal_remainders_is_balanced_in_one_pass() {
        let mut values = vec![60.3_f32 / 127.0; 400_000];
        values[0] = 1.0;
        let (rounded, scales) = quantize(&values, &[1, values.len()]).unwrap();
        let sum: f64 = rounded.iter().map(|&value| f64::from(value.cast_signed())).sum();
        let exact: f64 = values.iter().map(|&value| f64::from(value / scales[0])).sum();
        // Rounding to the nearest value would be off by 0.3 for each value. The rest is that of sums in f32.
        let unbalanced = 0.3 * values.len() as f64;
        assert!((sum - exact).abs() < 0.01 * unbalanced, "{sum} instead of {exact}");
    }
}
