//! The segmentation network's frames: their number and times.

use crate::{SAMPLE_RATE, math::SlidingWindow};

/// Length of a sinc filter in samples.
pub(crate) const FILTER_LENGTH: usize = 251;
/// Kernel size of the second and third convolutions.
pub(crate) const KERNEL: usize = 5;
/// Window and stride of each max pooling.
pub(crate) const POOL: usize = 3;

/// Kernel and stride of every layer that shortens the signal, first to last.
fn layers(sincnet_stride: usize) -> [(usize, usize); 6] {
    [(FILTER_LENGTH, sincnet_stride), (POOL, POOL), (KERNEL, 1), (POOL, POOL), (KERNEL, 1), (POOL, POOL)]
}

/// Number of frames that the network outputs for `samples` samples.
pub fn num_frames(sincnet_stride: usize, samples: usize) -> usize {
    layers(sincnet_stride).iter().fold(samples, |length, &(kernel, stride)| {
        length.checked_sub(kernel).map_or(0, |rest| 1 + rest / stride)
    })
}

/// Start, step and receptive field of the network's frames, in seconds.
///
/// Source: `pyannote/audio/utils/receptive_field.py`.
pub fn receptive_field(sincnet_stride: usize) -> SlidingWindow {
    let samples_of = |frames: usize| {
        layers(sincnet_stride)
            .iter()
            .rev()
            .fold(frames, |size, &(kernel, stride)| kernel + (size - 1) * stride)
    };
    let rate = f64::from(SAMPLE_RATE);
    SlidingWindow {
        start: 0.0,
        duration: samples_of(1) as f64 / rate,
        step: (samples_of(2) - samples_of(1)) as f64 / rate,
    }
}
