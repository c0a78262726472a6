//! What the project's own tests, benches and tools see of the inside. No part of the public interface:
//! it changes without notice.

use ndarray::ArrayView2;

use crate::{
    Device, Result, SpeakerBounds,
    clustering::{self, ClusteringError, Method},
};
pub use crate::{
    embedding::{Fbank, ResNet, ResidualBlock, WeSpeaker, embedding_masks, resize_nearest, stats_pool},
    model::weights::Weights,
    segmentation::{
        Decoder, Lstm, LstmLayer, Powerset, PyanNet, SincBlock, SincNet, num_frames, receptive_field,
        sinc_filters,
    },
};

/// The device of the tensor library that `device` stands for.
///
/// # Errors
/// Where this build cannot use it, or the machine has none.
pub fn open(device: Device) -> Result<candle_core::Device> {
    device.open()
}

/// Clusters embeddings `(embedding, dimension)`, with a dendrogram that `device` makes where it is large;
/// returns the cluster of each.
///
/// # Errors
/// As [`clustering::partition`].
pub fn partition_on(
    device: &candle_core::Device,
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    method: &Method,
) -> std::result::Result<Vec<usize>, ClusteringError> {
    let labels = || clustering::partition(embeddings, bounds, method, None);
    clustering::with_device(device, labels).map(|(labels, _)| labels)
}
