//! WeSpeaker's ResNets: convolutions with folded batch norms.

use super::{keep, take_numbered, unfit};
use crate::{
    pyannote::NetworkProblem,
    tensor::{Tensor, Tensors},
};

/// The embedding layer, which keeps its name.
const EMBEDDING: &str = "seg_1.weight";

/// Weight and bias of the embedding layer in a checkpoint.
const WEIGHT: &str = "resnet.seg_1.weight";
const BIAS: &str = "resnet.seg_1.bias";

/// What every tensor of a network is called in a checkpoint.
const FRONT: &str = "resnet.";

/// A batch norm multiplies by `1 / sqrt(variance + 1e-5)`. With this variance, the factor differs from 1 by less than half of
/// the relative precision of f32, so that no weight changes.
const UNIT_VARIANCE: f32 = 1.0 - 1e-5;

/// Restores the tensors of a WeSpeaker ResNet, whatever its module is called. Batch norms that are part of a convolution become
/// batch norms that only add its bias. The mean that WeSpeaker subtracts from embeddings becomes part of the last layer's bias.
/// Other networks do not change.
pub(crate) fn wespeaker(tensors: &mut Tensors) -> Result<(), NetworkProblem> {
    let Some(front) = tensors.keys().find_map(|name| name.strip_suffix(EMBEDDING)).map(str::to_owned) else {
        return Ok(());
    };
    let convolutions = take_numbered(tensors, "onnx::Conv_");
    if convolutions.is_empty() && !tensors.contains_key(&format!("{front}layer1.0.conv1.weight")) {
        return Ok(());
    }
    let mean = tensors.remove("mean_vec");
    if !convolutions.is_empty() {
        keep(tensors, |name| name.starts_with(&front))?;
    }
    let mut named: Tensors = std::mem::take(tensors)
        .into_iter()
        .filter_map(|(name, tensor)| Some((format!("{FRONT}{}", name.strip_prefix(&front)?), tensor)))
        .filter(|(name, _)| !name.starts_with("resnet.projection."))
        .collect();
    let folded: Vec<String> =
        named.keys().filter_map(|name| name.strip_suffix(".weight_bias")).map(str::to_owned).collect();
    for name in folded {
        if let Some(bias) = named.remove(&format!("{name}.weight_bias")) {
            insert_norm(&name, &bias, &mut named);
        }
    }
    if !convolutions.is_empty() {
        restore(&convolutions, &mut named)?;
    }
    transpose_embedding(&mut named);
    if let Some(mean) = mean {
        subtract(("mean_vec".to_owned(), mean), &mut named)?;
    }
    *tensors = named;
    Ok(())
}

/// Names the convolutions, each a kernel (outputs, inputs, size, size) and a bias, in the order in which the network runs them.
fn restore(convolutions: &[(String, Tensor)], tensors: &mut Tensors) -> Result<(), NetworkProblem> {
    let (pairs, rest) = convolutions.as_chunks::<2>();
    if let Some(odd) = rest.first() {
        return Err(unfit(odd, "every convolution needs a kernel and a bias"));
    }
    let length = |tensor: &Tensor, axis: usize| tensor.shape.get(axis).copied().unwrap_or_default();
    let mut pairs = pairs.iter().peekable();
    let Some(stem) = pairs.next() else { return Ok(()) };
    let channels = length(&stem[0].1, 0);
    insert(stem, "resnet.conv1", [channels, 1, 3], tensors)?;
    let bottleneck = pairs.peek().is_some_and(|[(_, kernel), _]| length(kernel, 2) == 1);
    let mut blocks = Blocks { channels, bottleneck, stage: 0, block: 0, inputs: channels };
    while let Some([kernel, _]) = pairs.peek() {
        let block = blocks.next(length(&kernel.1, 0)).ok_or_else(|| unfit(kernel, PLACE))?;
        for (name, shape) in block {
            let missing = || NetworkProblem::Missing(format!("{name}.weight"));
            insert(pairs.next().ok_or_else(missing)?, &name, shape, tensors)?;
        }
    }
    Ok(())
}

/// Why a convolution cannot be the next one.
const PLACE: &str = "a ResNet of WeSpeaker needs another shape at this place";

/// The residual blocks that a network can have next.
struct Blocks {
    channels: usize,
    bottleneck: bool,
    /// The stage of the last block; the first stage is 1.
    stage: usize,
    block: usize,
    /// Number of channels after the last block.
    inputs: usize,
}

impl Blocks {
    /// The names of the next block's convolutions with their outputs, inputs and kernel sizes, if that block can have `inner`
    /// channels.
    fn next(&mut self, inner: usize) -> Option<Vec<(String, [usize; 3])>> {
        let of_stage = |stage: usize| self.channels.checked_mul(1 << (stage.max(1) - 1)) == Some(inner);
        let begins = self.stage == 0 || !of_stage(self.stage);
        if begins {
            (self.stage, self.block) = (self.stage + 1, 0);
        } else {
            self.block += 1;
        }
        if self.stage > 4 || !of_stage(self.stage) {
            return None;
        }
        let outputs = inner.checked_mul(if self.bottleneck { 4 } else { 1 })?;
        let name = |part: &str| format!("resnet.layer{}.{}.{part}", self.stage, self.block);
        let mut convolutions = match self.bottleneck {
            true => vec![
                (name("conv1"), [inner, self.inputs, 1]),
                (name("conv2"), [inner, inner, 3]),
                (name("conv3"), [outputs, inner, 1]),
            ],
            false => vec![(name("conv1"), [inner, self.inputs, 3]), (name("conv2"), [outputs, inner, 3])],
        };
        if begins && (self.stage > 1 || self.inputs != outputs) {
            convolutions.push((name("shortcut.0"), [outputs, self.inputs, 1]));
        }
        self.inputs = outputs;
        Some(convolutions)
    }
}

/// Inserts a convolution and the batch norm after it, if the kernel has these outputs, inputs and this size.
fn insert(
    [kernel, bias]: &[(String, Tensor); 2],
    name: &str,
    [outputs, inputs, size]: [usize; 3],
    tensors: &mut Tensors,
) -> Result<(), NetworkProblem> {
    if kernel.1.shape != [outputs, inputs, size, size] {
        return Err(unfit(kernel, PLACE));
    }
    if bias.1.shape != [outputs] {
        return Err(unfit(bias, PLACE));
    }
    tensors.insert(format!("{name}.weight"), kernel.1.clone());
    insert_norm(name, &bias.1, tensors);
    Ok(())
}

/// Inserts the batch norm after a convolution, which only adds `bias`.
fn insert_norm(convolution: &str, bias: &Tensor, tensors: &mut Tensors) {
    let norm = match convolution.strip_suffix("shortcut.0") {
        Some(front) => format!("{front}shortcut.1"),
        None => convolution.replace("conv", "bn"),
    };
    let same = |value: f32| Tensor::vector(&vec![value; bias.len()]);
    tensors.insert(format!("{norm}.weight"), same(1.0));
    tensors.insert(format!("{norm}.bias"), bias.clone());
    tensors.insert(format!("{norm}.running_mean"), same(0.0));
    tensors.insert(format!("{norm}.running_var"), same(UNIT_VARIANCE));
}

/// Brings the embedding layer's weights to (dimension, statistics), if they are as ONNX Runtime needs them to round them.
fn transpose_embedding(tensors: &mut Tensors) {
    let (Some(weight), Some(bias)) = (tensors.get(WEIGHT), tensors.get(BIAS)) else { return };
    if weight.shape.get(1) == bias.shape.first()
        && weight.shape.first() != bias.shape.first()
        && let Some(transposed) = weight.transposed()
    {
        tensors.insert(WEIGHT.to_owned(), transposed);
    }
}

/// Subtracts the mean from the embedding layer's bias.
fn subtract(mean: (String, Tensor), tensors: &mut Tensors) -> Result<(), NetworkProblem> {
    let bias = tensors.get(BIAS).ok_or_else(|| NetworkProblem::Missing(BIAS.to_owned()))?;
    let reason = "it must be as long as the bias of the embedding layer";
    let (Some(bias), Some(values)) = (bias.to_f32(), mean.1.to_f32()) else {
        return Err(unfit(&mean, reason));
    };
    if bias.len() != values.len() {
        return Err(unfit(&mean, reason));
    }
    let shifted: Vec<f32> = bias.iter().zip(&values).map(|(bias, mean)| bias - mean).collect();
    tensors.insert(BIAS.to_owned(), Tensor::vector(&shifted));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::UNIT_VARIANCE;

    /// The library multiplies in f64 and rounds to f32. The product depends only on the 24 bits of the mantissa, up to its exponent.
    #[test]
    fn a_unit_batch_norm_changes_no_weight() {
        let scale = 1.0 / (f64::from(UNIT_VARIANCE) + 1e-5).sqrt();
        for bits in 1.0_f32.to_bits()..2.0_f32.to_bits() {
            let weight = f32::from_bits(bits);
            assert_eq!((f64::from(weight) * scale) as f32, weight);
        }
    }
}
