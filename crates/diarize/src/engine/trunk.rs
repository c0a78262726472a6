//! Running the residual network once on a whole recording, instead of once on each of its overlapping chunks.
//!
//! The frames of a chunk then differ from those of a separate run on the chunk in three ways: the mean of
//! each band is taken over a window that slides along with the frames and is as long as a chunk; frames
//! near a chunk's ends see context beyond it; and the network's frames, each spanning eight feature frames,
//! are on one grid for all chunks. For a recording of a single chunk, the results are those of the chunk.

use std::ops::Range;

use candle_core::{Device, Result as TensorResult, Tensor};
use diarize_kernels::{center::Sections, splice::Part, upload::upload};

use super::{Chunks, Networks, Waveform};
use crate::{
    SAMPLE_RATE,
    math::SlidingWindow,
    networks::{WeSpeaker, wespeaker::resnet},
};

/// Frames per piece on the CPU: twelve seconds, plus 2.24 seconds of context. Twenty seconds would be 2 % faster but
/// take 25 MB more.
const CPU_PIECE: usize = 150;

/// The frames of a recording, computed one piece at a time. Pieces overlap by the network's receptive
/// field, so piece borders do not affect the result.
#[derive(Clone, Copy)]
pub(crate) struct SharedTrunk<'a> {
    network: &'a WeSpeaker,
    chunks: &'a Chunks,
    /// Number of feature frames of the whole recording; a number larger than possible if it has not ended.
    features: usize,
    /// Number of feature frames over which the mean is taken.
    window: usize,
    /// Number of frames per piece.
    piece: usize,
}

impl<'a> SharedTrunk<'a> {
    /// Frames per piece on a GPU, and on the CPU if it takes over during a recording. `benches/results/nvidia-h200.md`
    /// compares several.
    pub(crate) const GPU_PIECE: usize = 300;
    /// The most pieces in the residual network at once, which needs much memory for its first layers.
    pub(crate) const AT_ONCE: usize = 4;

    /// The trunk of a recording with `count` chunks; `None` if it has not ended.
    pub(crate) fn new(networks: &'a Networks, chunks: &'a Chunks, count: Option<usize>) -> Self {
        let network = &networks.embedding;
        let features = match count {
            Some(count) => network.fbank.frames(chunks.padded(count)),
            None => usize::MAX / 2,
        };
        let piece = if networks.embedding_device.is_cpu() { CPU_PIECE } else { Self::GPU_PIECE };
        Self { network, chunks, features, window: network.fbank.frames(chunks.length), piece }
    }

    /// The same trunk using `network`, which has the same weights on another device.
    pub(crate) fn with_network(self, network: &'a WeSpeaker) -> Self {
        Self { network, ..self }
    }

    /// Number of frames of the whole recording.
    pub(crate) fn frames(&self) -> usize {
        self.features.div_ceil(self.stride())
    }

    /// Times of the middles of the frames, in seconds, as windows of zero duration.
    pub(crate) fn middles(&self) -> SlidingWindow {
        let seconds = |samples: f64| samples / f64::from(SAMPLE_RATE);
        let start = seconds(0.5 * self.network.fbank.min_samples() as f64);
        SlidingWindow { start, duration: 0.0, step: seconds(self.samples_per_frame() as f64) }
    }

    /// Number of pieces.
    pub(crate) fn pieces(&self) -> usize {
        self.frames().div_ceil(self.piece)
    }

    /// The piece that contains a frame.
    pub(crate) fn piece_of(&self, frame: usize) -> usize {
        frame / self.piece
    }

    /// The frames of a piece.
    pub(crate) fn frames_of_piece(&self, piece: usize) -> Range<usize> {
        piece * self.piece..((piece + 1) * self.piece).min(self.frames())
    }

    /// The frames that start in a chunk.
    pub(crate) fn frames_of_chunk(&self, chunk: usize) -> Range<usize> {
        let [start, end] = [0, self.chunks.length]
            .map(|offset| (self.chunks.start(chunk) + offset).div_ceil(self.samples_per_frame()));
        start..end.min(self.frames())
    }

    /// Resizes a chunk's mask to the chunk's frames.
    pub(crate) fn resize(&self, mask: &[f32], chunk: usize) -> Vec<f32> {
        let start = self.chunks.start(chunk);
        let value =
            |frame| mask[(frame * self.samples_per_frame() - start) * mask.len() / self.chunks.length];
        self.frames_of_chunk(chunk).map(value).collect()
    }

    /// Number of samples that must have been received before a piece of an unfinished recording can be
    /// computed.
    pub(crate) fn samples_until(&self, piece: usize) -> usize {
        let seen = self.features_seen(&self.frames_of_piece(piece));
        let windows = self.window_of(seen.start)..self.window_of(seen.end - 1) + self.window;
        self.network.fbank.samples(windows.start..windows.end.max(seen.end)).end
    }

    /// The first sample that this piece or later ones need, wherever the recording ends.
    pub(crate) fn first_sample(&self, piece: usize) -> usize {
        let first = (piece * self.piece * self.stride()).saturating_sub(self.reach() + self.window);
        first * self.network.fbank.hop()
    }

    /// Computes the frames of some consecutive pieces: parts of tensors `(piece, 10, frame, 256)`. Pieces of the same
    /// shape are computed together.
    pub(crate) fn compute(
        &self,
        pieces: Range<usize>,
        waveform: &Waveform,
        device: &Device,
    ) -> TensorResult<Vec<Part>> {
        let seen: Vec<Range<usize>> =
            pieces.clone().map(|piece| self.features_seen(&self.frames_of_piece(piece))).collect();
        let (start, energies) = self.energies(seen[0].start..seen[seen.len() - 1].end, waveform, device)?;
        // The frames of a piece within those that the network returns for it.
        let inside = |piece: usize| {
            let frames = self.frames_of_piece(piece);
            let first = frames.start - seen[piece - pieces.start].start / self.stride();
            (first, frames.len(), seen[piece - pieces.start].len())
        };
        let all: Vec<usize> = pieces.clone().collect();
        let mut computed = Vec::new();
        for alike in
            all.chunk_by(|&a, &b| inside(a) == inside(b)).flat_map(|alike| alike.chunks(Self::AT_ONCE))
        {
            let (first, frames, length) = inside(alike[0]);
            let starts: Vec<usize> =
                alike.iter().map(|piece| seen[piece - pieces.start].start - start).collect();
            let sections = Sections { window: self.window, starts: &starts, length };
            let features = sections.center(&energies)?; // (piece, frames of features, 80)
            let x = self.network.resnet.forward(&features)?; // (piece, 10, frames, 256)
            computed.push(Part::Steps(x, first..first + frames));
        }
        Ok(computed)
    }

    /// The feature frames in the receptive field of the given frames.
    fn features_seen(&self, frames: &Range<usize>) -> Range<usize> {
        let (stride, reach) = (self.stride(), self.reach());
        (frames.start * stride).saturating_sub(reach)..self.features.min(frames.end * stride + reach)
    }

    /// The first frame of the window whose mean is subtracted from a feature frame: the window is centered
    /// on the frame, but stays within the recording.
    fn window_of(&self, frame: usize) -> usize {
        frame.saturating_sub(self.window / 2).min(self.features - self.window)
    }

    /// The log energies of the windows around some feature frames, `(1, frame, 80)`, and the first of their frames.
    fn energies(
        &self,
        frames: Range<usize>,
        waveform: &Waveform,
        device: &Device,
    ) -> TensorResult<(usize, Tensor)> {
        let fbank = &self.network.fbank;
        let start = self.window_of(frames.start);
        let samples = waveform.range(fbank.samples(start..self.window_of(frames.end - 1) + self.window));
        let samples = upload(&samples, (1, samples.len()), device)?;
        Ok((start, fbank.log_energies(&samples)?))
    }

    /// Feature frames per frame.
    fn stride(&self) -> usize {
        resnet::stride(&self.network.architecture)
    }

    /// Feature frames that a frame sees on each side, rounded up to whole frames of the network.
    fn reach(&self) -> usize {
        resnet::reach(&self.network.architecture).next_multiple_of(self.stride())
    }

    fn samples_per_frame(&self) -> usize {
        self.stride() * self.network.fbank.hop()
    }
}
