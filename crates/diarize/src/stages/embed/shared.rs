//! Embeddings from running the residual network once on the whole recording.

use std::{collections::VecDeque, mem::take, ops::Range};

use candle_core::{Result as TensorResult, Tensor};
use diarize_kernels::{
    download::Download,
    splice::{Part, splice},
};
use rayon::prelude::*;

use super::{
    Segmented, masks_of,
    pieces::{GPU_BATCH, compute, speech},
    sets::{Progress, Sets, pool},
};
use crate::{
    Result, Stage,
    engine::{Chunks, Context, Meter, Networks, SharedTrunk, Windows, check_finite},
    model::VoiceWindows,
    options::Parameters,
    stages::{Embeddings, SpeakerCounter, WindowEmbeddings},
};

/// Batches on a GPU whose results are not copied yet while it computes the next ones.
const QUEUED: usize = 2;

/// State of the embedding of a recording.
#[derive(Clone, Debug)]
pub(crate) struct FromTrunk {
    /// Up to here, everything is stored.
    progress: Progress,
    /// What a GPU computes after that.
    running: VecDeque<Pooled>,
    /// Embeddings of the chunks whose last frame has been computed.
    embeddings: Embeddings,
    windows: Option<VoiceTrack>,
}

/// Embeddings of windows along the recording.
#[derive(Clone, Debug)]
struct VoiceTrack {
    settings: VoiceWindows,
    embeddings: WindowEmbeddings,
}

/// A batch of frames that a GPU pools.
#[derive(Clone, Debug)]
struct Pooled {
    /// Number of chunks in it.
    chunks: usize,
    sets: Sets,
    /// `(1, set, dimension)`; `None` if there are no sets.
    values: Option<Download>,
    /// The progress after it.
    after: Progress,
}

/// Sets of weights and their embeddings, `(set, dimension)`.
type Embedded = (Sets, Vec<f32>);

/// What the stages before have found, for embedding the chunks that they complete.
struct View<'a> {
    segmented: Segmented<'a>,
    /// Number of speakers in each frame of the segmentation.
    counts: &'a [u8],
    trunk: SharedTrunk<'a>,
    windows: Option<Windows>,
    parameters: &'a Parameters,
}

impl FromTrunk {
    pub(super) fn new(
        networks: &Networks,
        chunks: &Chunks,
        embeddings: Embeddings,
        windows: Option<&VoiceWindows>,
    ) -> Self {
        let trunk = SharedTrunk::new(networks, chunks, None);
        let track = |settings: &VoiceWindows| {
            let times = Windows::new(&trunk, settings).times();
            let embeddings = WindowEmbeddings::new(times, embeddings.dimension());
            VoiceTrack { settings: settings.clone(), embeddings }
        };
        Self {
            progress: Progress::default(),
            running: VecDeque::new(),
            windows: windows.map(track),
            embeddings,
        }
    }

    /// Computes all pieces that can be computed, and embeds the chunks and windows that they complete.
    pub(super) fn advance(
        &mut self,
        segmented: Segmented<'_>,
        count: &SpeakerCounter,
        networks: &Networks,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<()> {
        let ended = segmented.ended.then(|| segmented.segmentations.chunks());
        let trunk = SharedTrunk::new(networks, segmented.chunks, ended);
        let counts = match segmented.ended {
            true => &count.clone().finish(),
            false => count.certain(),
        };
        let windows = self.windows.as_ref().map(|track| Windows::new(&trunk, &track.settings));
        let view = View { segmented, counts, trunk, windows, parameters };
        let latest = self.running.back().map_or(&self.progress, |pooled| &pooled.after);
        let until = view.computable(latest.pieces, networks);
        let (progress, running, embedded) = context.on_device(networks, |networks| {
            // If the CPU takes over, it computes again what was running.
            let running = if networks.device.is_cpu() { VecDeque::new() } else { take(&mut self.running) };
            view.embed(&self.progress, running, until, networks, context)
        })?;
        self.progress = progress;
        self.running = running;
        for (sets, values) in embedded {
            self.store(&sets, &values, view.segmented);
        }
        Ok(())
    }

    /// Stores the embeddings of sets of weights, `(set, dimension)`.
    fn store(&mut self, sets: &Sets, values: &[f32], segmented: Segmented<'_>) {
        let (dimension, speakers) = (self.embeddings.dimension(), self.embeddings.speakers());
        let (chunks, windows) = values.split_at(sets.active.len() * speakers * dimension);
        let chunks: Vec<Vec<f32>> = chunks.chunks_exact(speakers * dimension).map(<[f32]>::to_vec).collect();
        self.embeddings.push_chunks(sets.until, &sets.active, &chunks, segmented.segmentations);
        let mut windows = windows.chunks_exact(dimension);
        if let Some(track) = &mut self.windows {
            for &spoken in &sets.spoken {
                track.embeddings.push(if spoken { windows.next() } else { None });
            }
        }
    }

    /// The first sample that is still needed. If the CPU takes over, it computes the frames that are kept again.
    pub(super) fn first_sample(&self, networks: &Networks, chunks: &Chunks) -> usize {
        let trunk = SharedTrunk::new(networks, chunks, None);
        trunk.first_sample(trunk.piece_of(self.progress.start).min(self.progress.pieces))
    }

    pub(super) fn finish(self) -> (Embeddings, Option<WindowEmbeddings>) {
        (self.embeddings, self.windows.map(|track| track.embeddings))
    }
}

impl View<'_> {
    /// Number of pieces that can be computed, of which `computed` already are: their samples have been received, and all
    /// chunks and speaker counts for their frames are known.
    fn computable(&self, computed: usize, networks: &Networks) -> usize {
        let Self { segmented, counts, trunk, .. } = self;
        if segmented.ended {
            return trunk.pieces();
        }
        let next_chunk = trunk.frames_of_chunk(segmented.segmentations.chunks());
        let can_be_computed = |&piece: &usize| {
            let last = trunk.frames_of_piece(piece).end - 1;
            trunk.samples_until(piece) <= segmented.waveform.received()
                && last < next_chunk.start
                && networks.frames().closest_frame(trunk.middles().middle_of(last)) < counts.len()
        };
        (computed..).find(|piece| !can_be_computed(piece)).expect("pieces need samples")
    }

    /// Computes the pieces before `until`, and embeds the chunks and windows that they complete. `running` is what a GPU
    /// computes after the progress that is `stored`. Returns the progress of the finished batches, what a GPU computes after
    /// that, and the finished batches.
    ///
    /// A batch consists of as many pieces as there are threads, or as keep a GPU busy. A GPU's results are copied once more
    /// batches are enqueued, or the recording has ended.
    fn embed(
        &self,
        stored: &Progress,
        mut running: VecDeque<Pooled>,
        until: usize,
        networks: &Networks,
        context: &Context<'_>,
    ) -> Result<(Progress, VecDeque<Pooled>, Vec<Embedded>)> {
        let failed = networks.failed(Stage::Embeddings);
        let total = self.segmented.chunks.count(self.segmented.waveform.expected());
        let meter = Meter::new(context, Stage::Embeddings, stored.chunks, total)?;
        let (at_once, queued) =
            if networks.device.is_cpu() { (context.threads(), 0) } else { (GPU_BATCH, QUEUED) };
        let mut progress = running.back().map_or(stored, |pooled| &pooled.after).clone();
        if !progress.is_on(networks) {
            progress.frames = self.frames_again(&progress, networks, context)?;
        }
        let (mut stored, mut embedded) = (stored.clone(), Vec::new());
        loop {
            let before = progress.chunks;
            let pieces = progress.pieces..until.min(progress.pieces + at_once);
            self.append(&mut progress, pieces, networks, context)?;
            let sets = self.sets(&progress, networks);
            let values = pool(&sets, &progress, networks).and_then(|values| {
                values.as_ref().map(Download::of).transpose() // (1, set, dimension)
            });
            let values = values.map_err(&failed)?;
            self.forget(&mut progress, &sets);
            let (chunks, after) = (progress.chunks - before, progress.clone());
            running.push_back(Pooled { chunks, sets, values, after });
            let last = progress.pieces == until;
            let queued = if last && self.segmented.ended { 0 } else { queued };
            while running.len() > queued {
                let Some(pooled) = running.pop_front() else { break };
                let values = pooled.values.map_or(Ok(Vec::new()), |values| values.values());
                let values = values.map_err(&failed)?;
                check_finite(&values, Stage::Embeddings)?;
                meter.add(pooled.chunks)?;
                embedded.push((pooled.sets, values));
                stored = pooled.after;
            }
            if last {
                return Ok((stored, running, embedded));
            }
        }
    }

    /// The parts of the frames of some pieces. Those of pieces without speech are zeros.
    fn parts(
        &self,
        pieces: Range<usize>,
        networks: &Networks,
        context: &Context<'_>,
    ) -> Result<(Vec<Part>, Vec<bool>)> {
        let trunk = self.trunk.with_network(&networks.embedding);
        let waveform = self.segmented.waveform;
        let speech: Vec<Vec<bool>> = pieces
            .clone()
            .into_par_iter()
            .map(|piece| speech(&trunk, &self.segmented, trunk.frames_of_piece(piece)))
            .collect();
        let spoken: Vec<bool> = speech.iter().map(|frames| frames.contains(&true)).collect();
        let parts = compute(pieces, &spoken, &trunk, waveform, networks, context)?;
        Ok((parts, speech.concat()))
    }

    /// Computes some pieces and appends their frames to those that are kept.
    fn append(
        &self,
        progress: &mut Progress,
        pieces: Range<usize>,
        networks: &Networks,
        context: &Context<'_>,
    ) -> Result<()> {
        if pieces.is_empty() {
            return Ok(());
        }
        let first = progress.end();
        let (new, speech) = self.parts(pieces.clone(), networks, context)?;
        let kept = progress.alone.len();
        let mut parts = match progress.frames.take() {
            Some(frames) => {
                let total = frames.dim(1).map_err(networks.failed(Stage::Embeddings))?;
                let frames = frames.unsqueeze(0).map_err(networks.failed(Stage::Embeddings))?;
                vec![Part::Steps(frames, total - kept..total)]
            }
            None => vec![Part::Zeros(kept)],
        };
        parts.extend(new);
        progress.frames = joined(&parts).map_err(networks.failed(Stage::Embeddings))?;
        let (middles, segmentation_frames) = (self.trunk.middles(), networks.frames());
        for (frame, speaks) in (first..).zip(speech) {
            let one =
                self.counts.get(segmentation_frames.closest_frame(middles.middle_of(frame))) == Some(&1);
            progress.alone.push(f32::from(u8::from(speaks && one)));
        }
        progress.pieces = pieces.end;
        Ok(())
    }

    /// The frames that are kept, computed on another device: `(10, frame, 256)`.
    fn frames_again(
        &self,
        progress: &Progress,
        networks: &Networks,
        context: &Context<'_>,
    ) -> Result<Option<Tensor>> {
        let first = self.trunk.piece_of(progress.start);
        let (parts, _) = self.parts(first..progress.pieces, networks, context)?;
        joined(&parts).map_err(networks.failed(Stage::Embeddings))
    }

    /// The sets of weights of the segmented chunks and of the windows whose last frame has been computed.
    fn sets(&self, progress: &Progress, networks: &Networks) -> Sets {
        let Self { segmented, trunk, parameters, .. } = self;
        let segmentations = segmented.segmentations;
        let is_known = |&chunk: &usize| trunk.frames_of_chunk(chunk).end <= progress.end();
        let chunks = (progress.chunks..segmentations.chunks()).take_while(is_known).count();
        let until = progress.chunks + chunks;
        let active: Vec<usize> =
            (progress.chunks..until).filter(|&chunk| segmentations.is_active(chunk)).collect();
        let of_chunk = |&chunk: &usize| -> Vec<(usize, Vec<f32>)> {
            let masks = masks_of(chunk, segmented, networks, parameters);
            let first = trunk.frames_of_chunk(chunk).start;
            masks.iter().map(|mask| (first, trunk.resize(mask, chunk))).collect()
        };
        let mut sets: Vec<(usize, Vec<f32>)> =
            active.par_iter().map(of_chunk).collect::<Vec<_>>().into_iter().flatten().collect();
        let mut spoken = Vec::new();
        for (windows, window) in self.windows.iter().flat_map(|windows| {
            (progress.windows..windows.count())
                .take_while(|&window| windows.frames_of(window).end <= progress.end())
                .map(move |window| (windows, window))
        }) {
            let frames = windows.frames_of(window);
            spoken.push(progress.is_spoken(frames.clone()));
            if spoken.last() == Some(&true) {
                let weights = &progress.alone[frames.start - progress.start..frames.end - progress.start];
                sets.push((frames.start, weights.to_vec()));
            }
        }
        let length = sets.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let mut weights = Vec::with_capacity(sets.len() * length);
        for (_, set) in &sets {
            weights.extend(set);
            weights.resize(weights.len().next_multiple_of(length), 0.0);
        }
        let first = sets.iter().map(|(first, _)| first - progress.start).collect();
        Sets { active, until, spoken, weights, length, first }
    }

    /// Counts the chunks and windows of some sets, and drops the frames that no later ones need.
    fn forget(&self, progress: &mut Progress, sets: &Sets) {
        progress.chunks = sets.until;
        progress.windows += sets.spoken.len();
        let mut needed = self.trunk.frames_of_chunk(progress.chunks).start;
        if let Some(windows) = &self.windows {
            needed = needed.min(windows.frames_of(progress.windows).start);
        }
        let gone = needed.clamp(progress.start, progress.end()) - progress.start;
        progress.alone.drain(..gone);
        progress.start += gone;
    }
}

/// The parts as one tensor, `(10, frame, 256)`; `None` if all of them are zeros.
fn joined(parts: &[Part]) -> TensorResult<Option<Tensor>> {
    let speech = parts.iter().any(|part| matches!(part, Part::Steps(..)));
    speech.then(|| splice(parts)).transpose()
}
