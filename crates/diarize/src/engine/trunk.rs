//! The residual network once over a whole recording, in place of once over each of its overlapping
//! chunks.
//!
//! What a chunk's embeddings are pooled from then differs from the chunk's own run in three ways: each
//! band's mean is taken over a window that slides along with the frames and is as long as a chunk; frames
//! near a chunk's borders see what lies beyond them; and the network's frames, each of eight frames of
//! features, keep one grid for all chunks. A recording of one chunk gives what the chunk gives.

use std::ops::Range;

use candle_core::{Device, Result as TensorResult, Tensor};

use super::{Chunks, Waveform};
use crate::{
    SAMPLE_RATE,
    math::SlidingWindow,
    networks::{
        WeSpeaker,
        wespeaker::{BANDS, by_frame, resnet},
    },
};

/// Frames of a piece: twelve seconds, to which 2.24 seconds of its neighbors are added. Twenty seconds are
/// 2 % faster and take 25 MB more.
const PIECE: usize = 150;

/// The frames of a recording, computed a piece at a time. Pieces overlap by what the network sees, so
/// their borders change nothing.
#[derive(Clone, Copy)]
pub(crate) struct SharedTrunk<'a> {
    network: &'a WeSpeaker,
    chunks: &'a Chunks,
    /// Frames of features of the whole recording; more than there can be if it has not ended.
    features: usize,
    /// Frames of features that a mean is taken over.
    window: usize,
}

impl<'a> SharedTrunk<'a> {
    /// The trunk of a recording of `count` chunks; `None` if it has not ended.
    pub(crate) fn new(network: &'a WeSpeaker, chunks: &'a Chunks, count: Option<usize>) -> Self {
        let features = match count {
            Some(count) => network.fbank.frames(chunks.padded(count)),
            None => usize::MAX / 2,
        };
        Self { network, chunks, features, window: network.fbank.frames(chunks.length) }
    }

    /// The same trunk computed by `network`, which has the same weights on another device.
    pub(crate) fn with_network(self, network: &'a WeSpeaker) -> Self {
        Self { network, ..self }
    }

    /// Number of frames of the whole recording.
    pub(crate) fn frames(&self) -> usize {
        self.features.div_ceil(self.stride())
    }

    /// When the frames have their middles, in seconds; of no duration.
    pub(crate) fn middles(&self) -> SlidingWindow {
        let seconds = |samples: f64| samples / f64::from(SAMPLE_RATE);
        let start = seconds(0.5 * self.network.fbank.min_samples() as f64);
        SlidingWindow { start, duration: 0.0, step: seconds(self.samples_per_frame() as f64) }
    }

    /// Number of pieces.
    pub(crate) fn pieces(&self) -> usize {
        self.frames().div_ceil(PIECE)
    }

    /// The piece that a frame is in.
    pub(crate) fn piece_of(frame: usize) -> usize {
        frame / PIECE
    }

    /// The frames of a piece.
    pub(crate) fn frames_of_piece(&self, piece: usize) -> Range<usize> {
        piece * PIECE..((piece + 1) * PIECE).min(self.frames())
    }

    /// The frames that start in a chunk.
    pub(crate) fn frames_of_chunk(&self, chunk: usize) -> Range<usize> {
        let [start, end] = [0, self.chunks.length]
            .map(|offset| (self.chunks.start(chunk) + offset).div_ceil(self.samples_per_frame()));
        start..end.min(self.frames())
    }

    /// For each of a chunk's frames the value of its mask there.
    pub(crate) fn resize(&self, mask: &[f32], chunk: usize) -> Vec<f32> {
        let start = self.chunks.start(chunk);
        let value =
            |frame| mask[(frame * self.samples_per_frame() - start) * mask.len() / self.chunks.length];
        self.frames_of_chunk(chunk).map(value).collect()
    }

    /// Samples that must have come before a piece of a recording that has not ended can be computed.
    pub(crate) fn samples_until(&self, piece: usize) -> usize {
        let seen = self.features_seen(&self.frames_of_piece(piece));
        let windows = self.window_of(seen.start)..self.window_of(seen.end - 1) + self.window;
        self.network.fbank.samples(windows.start..windows.end.max(seen.end)).end
    }

    /// The first sample that a piece and those after it need, wherever the recording ends.
    pub(crate) fn first_sample(&self, piece: usize) -> usize {
        let first = (piece * PIECE * self.stride()).saturating_sub(self.reach() + self.window);
        first * self.network.fbank.hop()
    }

    /// The frames of a piece, `(frame, 2560)`.
    pub(crate) fn compute(
        &self,
        piece: usize,
        waveform: &Waveform,
        device: &Device,
    ) -> TensorResult<Vec<f32>> {
        let frames = self.frames_of_piece(piece);
        let seen = self.features_seen(&frames);
        let features = self.centered_features(seen.clone(), waveform, device)?;
        let features = Tensor::from_vec(features, (1, seen.len(), BANDS), device)?; // (1, frames of features, 80)
        let frames_seen = self.network.resnet.trunk(&features)?; // (1, 10, frames, 256)
        by_frame(&frames_seen.narrow(2, frames.start - seen.start / self.stride(), frames.len())?)
    }

    /// The frames of features that some frames of the network see.
    fn features_seen(&self, frames: &Range<usize>) -> Range<usize> {
        let (stride, reach) = (self.stride(), self.reach());
        (frames.start * stride).saturating_sub(reach)..self.features.min(frames.end * stride + reach)
    }

    /// The first frame of the window whose mean is subtracted from a frame of features: the window is
    /// around the frame, but within the recording.
    fn window_of(&self, frame: usize) -> usize {
        frame.saturating_sub(self.window / 2).min(self.features - self.window)
    }

    /// Features `(frame, 80)`, each band without its mean over the window around each frame.
    fn centered_features(
        &self,
        frames: Range<usize>,
        waveform: &Waveform,
        device: &Device,
    ) -> TensorResult<Vec<f32>> {
        let (fbank, window) = (&self.network.fbank, self.window);
        let seen = self.window_of(frames.start)..self.window_of(frames.end - 1) + window;
        let samples = waveform.range(fbank.samples(seen.clone()));
        let samples = Tensor::from_slice(&samples, (1, samples.len()), device)?;
        let energies: Vec<f32> = fbank.log_energies(&samples)?.flatten_all()?.to_vec1()?;
        let energies = energies.as_chunks::<BANDS>().0;

        let mut sums = [0f64; BANDS];
        let mut summed = 0..0;
        let mut features = Vec::with_capacity(frames.len() * BANDS);
        for frame in frames {
            let start = self.window_of(frame) - seen.start;
            for gone in &energies[summed.start..start] {
                sums.iter_mut().zip(gone).for_each(|(sum, &x)| *sum -= f64::from(x));
            }
            for new in &energies[summed.end..start + window] {
                sums.iter_mut().zip(new).for_each(|(sum, &x)| *sum += f64::from(x));
            }
            summed = start..start + window;
            let energies = energies[frame - seen.start];
            features.extend(energies.iter().zip(&sums).map(|(x, sum)| x - (sum / window as f64) as f32));
        }
        Ok(features)
    }

    /// Frames of features from one frame to the next.
    fn stride(&self) -> usize {
        resnet::stride(&self.network.architecture)
    }

    /// Frames of features that a frame sees to each side, in whole frames of the network.
    fn reach(&self) -> usize {
        resnet::reach(&self.network.architecture).next_multiple_of(self.stride())
    }

    fn samples_per_frame(&self) -> usize {
        self.stride() * self.network.fbank.hop()
    }
}
