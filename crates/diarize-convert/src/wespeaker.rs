//! Determines the architecture of WeSpeaker's ResNets from their tensors.
//!
//! Source: `pyannote/audio/models/embedding/wespeaker/` and `wespeaker/models/resnet.py`.

use diarize::model::EmbeddingArchitecture;

use crate::{checkpoint::Checkpoint, exported, pyannote::NetworkProblem};

/// Maximum number of blocks in a stage. ResNet293 has 64.
const MAX_BLOCKS: usize = 256;

/// Number of mel bands after halving 80 three times.
const BANDS: usize = 10;

/// The architecture of a checkpoint, or `None` if it is not a WeSpeaker ResNet.
///
/// WeSpeaker's own checkpoints lack pyannote's `resnet.` prefix and contain the classification layer used in
/// training. The prefix is added, and the layer is removed. Exported networks are restored.
pub(crate) fn wespeaker(
    checkpoint: &mut Checkpoint,
) -> Option<Result<EmbeddingArchitecture, NetworkProblem>> {
    if let Err(problem) = exported::wespeaker(&mut checkpoint.tensors) {
        return Some(Err(problem));
    }
    let has = |checkpoint: &Checkpoint, name: &str| checkpoint.tensors.contains_key(name);
    let is_resnet =
        ["resnet.layer1.0.conv1.weight", "resnet.seg_1.weight"].iter().all(|name| has(checkpoint, name));
    is_resnet.then(|| architecture(checkpoint))
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
        // Absent if features are centered over the whole chunk.
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
        return Err(wrong(
            "resnet.conv1.weight",
            "the first convolution must have a 3 x 3 kernel and one input channel",
        ));
    };
    let blocks = [1, 2, 3, 4].map(|stage| {
        let exists =
            |block: &usize| tensors.contains_key(&format!("resnet.layer{stage}.{block}.conv1.weight"));
        (0..MAX_BLOCKS).take_while(exists).count()
    });
    let &[dimension, statistics] = shape("resnet.seg_1.weight")? else {
        return Err(wrong("resnet.seg_1.weight", "the embedding layer must have two dimensions"));
    };
    let bottleneck = tensors.contains_key("resnet.layer1.0.conv3.weight");
    let weights = "embedding.safetensors".to_owned();
    let architecture = EmbeddingArchitecture { weights, dimension, channels, blocks, bottleneck };
    // A mean and a standard deviation for each band of each channel.
    let expected = channels.checked_mul(8 * if bottleneck { 4 } else { 1 } * BANDS * 2);
    match expected == Some(statistics) {
        true => Ok(architecture),
        false => Err(wrong("resnet.seg_1.weight", "only statistics pooling of 80 mel bands is supported")),
    }
}
