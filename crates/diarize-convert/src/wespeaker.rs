//! The shape of WeSpeaker's residual networks, as their tensors tell it.
//!
//! Source: `pyannote/audio/models/embedding/wespeaker/` and `wespeaker/models/resnet.py`.

use diarize::model::EmbeddingArchitecture;

use crate::{checkpoint::Checkpoint, pyannote::NetworkProblem};

/// Blocks that are looked for in a stage; ResNet293 has 64.
const MAX_BLOCKS: usize = 256;

/// Mel bands after three halvings.
const BANDS: usize = 10;

/// The architecture of a checkpoint, if it is one of these networks at all.
///
/// WeSpeaker's own checkpoints have names without the `resnet.` that pyannote puts before them, and
/// the layer of training that tells speakers apart: names get the prefix, and that layer goes.
pub(crate) fn wespeaker(
    checkpoint: &mut Checkpoint,
) -> Option<Result<EmbeddingArchitecture, NetworkProblem>> {
    let has = |checkpoint: &Checkpoint, name: &str| checkpoint.tensors.contains_key(name);
    if ["layer1.0.conv1.weight", "seg_1.weight"].iter().all(|name| has(checkpoint, name)) {
        checkpoint.tensors = std::mem::take(&mut checkpoint.tensors)
            .into_iter()
            .filter(|(name, _)| !name.starts_with("projection."))
            .map(|(name, tensor)| (format!("resnet.{name}"), tensor))
            .collect();
    }
    let is_one =
        ["resnet.layer1.0.conv1.weight", "resnet.seg_1.weight"].iter().all(|name| has(checkpoint, name));
    is_one.then(|| architecture(checkpoint))
}

fn architecture(checkpoint: &Checkpoint) -> Result<EmbeddingArchitecture, NetworkProblem> {
    let Checkpoint { tensors, about } = checkpoint;
    about.require(&[
        ("sample_rate", 16_000.into(), "16000"),
        ("num_channels", 1.into(), "1"),
        ("num_mel_bins", 80.into(), "80"),
        ("frame_length", 25.into(), "25"),
        ("frame_shift", 10.into(), "10"),
        ("dither", 0.into(), "0"),
        ("round_to_power_of_two", true.into(), "true"),
        ("snip_edges", true.into(), "true"),
        ("window_type", "hamming".into(), "hamming"),
        ("use_energy", false.into(), "false"),
        // Absent where features are centred over the whole chunk.
        ("fbank_centering_span", false.into(), "none"),
    ])?;
    let shape = |name: &str| match tensors.get(name) {
        Some(tensor) => Ok(tensor.shape.as_slice()),
        None => Err(NetworkProblem::Missing(name.to_owned())),
    };
    let wrong = |name: &str, reason| match shape(name) {
        Ok(shape) => NetworkProblem::Shape { tensor: name.to_owned(), shape: shape.to_vec(), reason },
        Err(missing) => missing,
    };
    if tensors.contains_key("resnet.seg_2.weight") {
        return Err(wrong("resnet.seg_2.weight", "only networks with one embedding layer are supported"));
    }
    let &[channels, 1, 3, 3] = shape("resnet.conv1.weight")? else {
        return Err(wrong("resnet.conv1.weight", "the first convolution is of size 3 with one input"));
    };
    let blocks = [1, 2, 3, 4].map(|stage| {
        let exists =
            |block: &usize| tensors.contains_key(&format!("resnet.layer{stage}.{block}.conv1.weight"));
        (0..MAX_BLOCKS).take_while(exists).count()
    });
    let &[dimension, statistics] = shape("resnet.seg_1.weight")? else {
        return Err(wrong("resnet.seg_1.weight", "the embedding layer needs two dimensions"));
    };
    let bottleneck = tensors.contains_key("resnet.layer1.0.conv3.weight");
    let weights = "embedding.safetensors".to_owned();
    let architecture = EmbeddingArchitecture { weights, dimension, channels, blocks, bottleneck };
    // A mean and a deviation of each band of each channel.
    let expected = channels.checked_mul(8 * if bottleneck { 4 } else { 1 } * BANDS * 2);
    match expected == Some(statistics) {
        true => Ok(architecture),
        false => Err(wrong("resnet.seg_1.weight", "only statistics pooling of 80 mel bands is supported")),
    }
}
