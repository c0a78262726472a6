//! Embeddings from running the residual network once on the whole recording.

use std::ops::Range;

use candle_core::Result as TensorResult;
use diarize_kernels::device::is_out_of_memory;
use rayon::prelude::*;

use super::{Segmented, masks_of};
use crate::{
    Result, Stage,
    engine::{Chunks, Context, Meter, Networks, SharedTrunk, Waveform, Windows, check_finite},
    math::count_while,
    model::VoiceWindows,
    networks::wespeaker::pool,
    options::Parameters,
    stages::{Embeddings, SpeakerCounter, WindowEmbeddings},
};

/// Pieces computed together on a GPU.
const GPU_BATCH: usize = 16;

/// State of the embedding of a recording.
#[derive(Clone, Debug)]
pub(crate) struct FromTrunk {
    /// Number of pieces of the residual network's frames computed so far.
    pieces: usize,
    frames: FrameBuffer,
    /// Embeddings of the chunks whose last frame has been computed.
    embeddings: Embeddings,
    windows: Option<VoiceTrack>,
}

/// The frames still needed, starting with frame `start`.
#[derive(Clone, Debug)]
struct FrameBuffer {
    start: usize,
    /// `(frame, features)`.
    values: Vec<f32>,
    features: usize,
    /// `(frame,)`: 1 where exactly one speaker speaks.
    alone: Vec<f32>,
}

/// Embeddings of windows along the recording.
#[derive(Clone, Debug)]
struct VoiceTrack {
    settings: VoiceWindows,
    embeddings: WindowEmbeddings,
}

impl FromTrunk {
    pub(super) fn new(
        networks: &Networks,
        chunks: &Chunks,
        embeddings: Embeddings,
        windows: Option<&VoiceWindows>,
    ) -> Self {
        let trunk = SharedTrunk::new(&networks.embedding, chunks, None);
        let track = |settings: &VoiceWindows| {
            let times = Windows::new(&trunk, settings).times();
            let embeddings = WindowEmbeddings::new(times, embeddings.dimension());
            VoiceTrack { settings: settings.clone(), embeddings }
        };
        let windows = windows.map(track);
        let features = networks.embedding.features();
        let frames = FrameBuffer { start: 0, values: Vec::new(), features, alone: Vec::new() };
        Self { pieces: 0, frames, embeddings, windows }
    }

    /// Computes all pieces that can be computed, and embeds the chunks and windows that they complete.
    ///
    /// As many pieces as there are threads, or as form a batch on a GPU, are computed at a time. Their frames are dropped
    /// once the last chunk and window that contain them are embedded.
    pub(super) fn advance(
        &mut self,
        segmented: Segmented<'_>,
        count: &SpeakerCounter,
        networks: &Networks,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<()> {
        let chunks = segmented.chunks;
        let ended = segmented.ended.then(|| segmented.segmentations.chunks());
        let trunk = SharedTrunk::new(&networks.embedding, chunks, ended);
        let counts = match segmented.ended {
            true => &count.clone().finish(),
            false => count.certain(),
        };
        let until = self.computable(&trunk, &segmented, counts.len(), networks);
        let total = chunks.count(segmented.waveform.expected());
        let meter = Meter::new(context, Stage::Embeddings, self.embeddings.chunks(), total)?;
        let at_once = if networks.device.is_cpu() { context.threads() } else { GPU_BATCH };
        loop {
            let pieces = self.pieces..until.min(self.pieces + at_once);
            let before = self.embeddings.chunks();
            self.compute(pieces, &segmented, counts, &trunk, networks, context)?;
            self.embed_chunks(&segmented, &trunk, networks, parameters, context)?;
            self.embed_windows(&trunk, networks, context)?;
            self.forget(&trunk);
            meter.add(self.embeddings.chunks() - before)?;
            if self.pieces == until {
                return Ok(());
            }
        }
    }

    /// The first sample that is still needed.
    pub(super) fn first_sample(&self, networks: &Networks, chunks: &Chunks) -> usize {
        SharedTrunk::new(&networks.embedding, chunks, None).first_sample(self.pieces)
    }

    pub(super) fn finish(self) -> (Embeddings, Option<WindowEmbeddings>) {
        (self.embeddings, self.windows.map(|track| track.embeddings))
    }

    /// Number of pieces that can be computed: their samples have been received, and all chunks and speaker
    /// counts for their frames are known.
    fn computable(
        &self,
        trunk: &SharedTrunk<'_>,
        segmented: &Segmented<'_>,
        counts: usize,
        networks: &Networks,
    ) -> usize {
        if segmented.ended {
            return trunk.pieces();
        }
        let next_chunk = trunk.frames_of_chunk(segmented.segmentations.chunks());
        let can_be_computed = |&piece: &usize| {
            let last = trunk.frames_of_piece(piece).end - 1;
            trunk.samples_until(piece) <= segmented.waveform.received()
                && last < next_chunk.start
                && networks.frames().closest_frame(trunk.middles().middle_of(last)) < counts
        };
        (self.pieces..).find(|piece| !can_be_computed(piece)).expect("pieces need samples")
    }

    /// Computes some pieces. Pieces without speech are zeros.
    fn compute(
        &mut self,
        pieces: Range<usize>,
        segmented: &Segmented<'_>,
        counts: &[u8],
        trunk: &SharedTrunk<'_>,
        networks: &Networks,
        context: &Context<'_>,
    ) -> Result<()> {
        let speech: Vec<Vec<bool>> =
            pieces.clone().map(|piece| speech(trunk, segmented, trunk.frames_of_piece(piece))).collect();
        let computed = context.on_device(networks, |networks| {
            let trunk = trunk.with_network(&networks.embedding);
            let spoken: Vec<bool> = speech.iter().map(|frames| frames.contains(&true)).collect();
            compute(pieces.clone(), &spoken, &trunk, segmented.waveform, networks, context)
        })?;
        let (middles, frames) = (trunk.middles(), networks.frames());
        for ((piece, values), speech) in pieces.clone().zip(computed).zip(speech) {
            self.frames.values.extend(values);
            for (frame, speaks) in trunk.frames_of_piece(piece).zip(speech) {
                let one = counts.get(frames.closest_frame(middles.middle_of(frame))) == Some(&1);
                self.frames.alone.push(f32::from(u8::from(speaks && one)));
            }
        }
        self.pieces = pieces.end;
        Ok(())
    }

    /// Embeds the segmented chunks whose last frame has been computed: `(chunk, local speaker, dimension)`.
    fn embed_chunks(
        &mut self,
        segmented: &Segmented<'_>,
        trunk: &SharedTrunk<'_>,
        networks: &Networks,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<()> {
        let (segmentations, frames) = (segmented.segmentations, &self.frames);
        let is_known = |&chunk: &usize| trunk.frames_of_chunk(chunk).end <= frames.end();
        let first = self.embeddings.chunks();
        let until = first + (first..segmentations.chunks()).take_while(is_known).count();
        let active: Vec<usize> = (first..until).filter(|&chunk| segmentations.is_active(chunk)).collect();
        let embedded = context.on_device(networks, |networks| {
            let statistics = |&chunk: &usize| {
                statistics_of_chunk(chunk, &masks_of(chunk, segmented, networks, parameters), frames, trunk)
            };
            project(active.par_iter().map(statistics).collect(), networks)
                .map_err(networks.failed(Stage::Embeddings))
        })?;
        embedded.iter().try_for_each(|values| check_finite(values, Stage::Embeddings))?;
        self.embeddings.push_chunks(until, &active, &embedded, segmentations);
        Ok(())
    }

    /// Embeds the windows whose last frame has been computed: `(window, dimension)`.
    fn embed_windows(
        &mut self,
        trunk: &SharedTrunk<'_>,
        networks: &Networks,
        context: &Context<'_>,
    ) -> Result<()> {
        let Some(VoiceTrack { settings, embeddings }) = &mut self.windows else { return Ok(()) };
        let (windows, frames) = (Windows::new(trunk, settings), &self.frames);
        let last = |&window: &usize| windows.frames_of(window).end - 1;
        let ready: Vec<usize> =
            (embeddings.len()..windows.count()).take_while(|window| last(window) < frames.end()).collect();
        // Windows ending in the same piece form a group, so that groups do not depend on the number of
        // threads.
        let groups: Vec<&[usize]> =
            ready.chunk_by(|a, b| SharedTrunk::piece_of(last(a)) == SharedTrunk::piece_of(last(b))).collect();
        let embedded = context.on_device(networks, |networks| {
            let statistics = |group: &&[usize]| statistics_of_windows(group, &windows, frames);
            project(groups.par_iter().map(statistics).collect(), networks)
                .map_err(networks.failed(Stage::Embeddings))
        })?;
        embedded.iter().try_for_each(|values| check_finite(values, Stage::Embeddings))?;
        for (group, values) in groups.iter().zip(&embedded) {
            let mut values = values.chunks_exact(networks.manifest.embedding.dimension);
            for &window in *group {
                let spoken = frames.is_spoken(windows.frames_of(window));
                embeddings.push(if spoken { values.next() } else { None });
            }
        }
        Ok(())
    }

    /// Drops the frames that no later chunk or window needs.
    fn forget(&mut self, trunk: &SharedTrunk<'_>) {
        let mut needed = trunk.frames_of_chunk(self.embeddings.chunks()).start;
        if let Some(VoiceTrack { settings, embeddings }) = &self.windows {
            needed = needed.min(Windows::new(trunk, settings).frames_of(embeddings.len()).start);
        }
        self.frames.forget_until(needed.min(self.frames.end()));
    }
}

impl FrameBuffer {
    /// Index of the first frame not yet computed.
    fn end(&self) -> usize {
        self.start + self.alone.len()
    }

    /// The frames from index `first` on, `(frame, features)`.
    fn from(&self, first: usize) -> &[f32] {
        &self.values[(first - self.start) * self.features..]
    }

    /// Whether someone speaks alone in any of some frames.
    fn is_spoken(&self, frames: Range<usize>) -> bool {
        self.alone[frames.start - self.start..frames.end - self.start].contains(&1.0)
    }

    fn forget_until(&mut self, frame: usize) {
        let gone = frame.saturating_sub(self.start);
        self.values.drain(..gone * self.features);
        self.alone.drain(..gone);
        self.start += gone;
    }
}

/// Computes the frames of some consecutive pieces. Those that are not `spoken` are zeros.
fn compute(
    pieces: Range<usize>,
    spoken: &[bool],
    trunk: &SharedTrunk<'_>,
    waveform: &Waveform,
    networks: &Networks,
    context: &Context<'_>,
) -> Result<Vec<Vec<f32>>> {
    let silent = |piece| vec![0.0; trunk.frames_of_piece(piece).len() * networks.embedding.features()];
    if networks.device.is_cpu() {
        let one = |(piece, &spoken): (usize, &bool)| match spoken {
            true => {
                trunk.compute(piece..piece + 1, waveform, &networks.device).map(|mut frames| frames.remove(0))
            }
            false => Ok(silent(piece)),
        };
        let computed: TensorResult<Vec<Vec<f32>>> = match spoken {
            [spoken] => one((pieces.start, spoken)).map(|frames| vec![frames]),
            _ => pieces.into_par_iter().zip(spoken).map(one).collect(),
        };
        return computed.map_err(networks.failed(Stage::Embeddings));
    }
    let mut computed = Vec::with_capacity(pieces.len());
    let mut next = pieces.start;
    for run in spoken.chunk_by(|a, b| a == b) {
        let run = (next..next + run.len(), run[0]);
        next = run.0.end;
        match run {
            (pieces, true) => computed.extend(on_gpu(pieces, trunk, waveform, networks, context)?),
            (pieces, false) => computed.extend(pieces.map(silent)),
        }
    }
    Ok(computed)
}

/// Computes the frames of some consecutive pieces on a GPU, in batches that are halved while they do not fit into its
/// memory.
fn on_gpu(
    pieces: Range<usize>,
    trunk: &SharedTrunk<'_>,
    waveform: &Waveform,
    networks: &Networks,
    context: &Context<'_>,
) -> Result<Vec<Vec<f32>>> {
    let mut computed = Vec::with_capacity(pieces.len());
    let mut next = pieces.start;
    while next < pieces.end {
        let size = context.batch_size(Stage::Embeddings, GPU_BATCH).min(pieces.end - next);
        match trunk.compute(next..next + size, waveform, &networks.device) {
            Err(error) if size > 1 && is_out_of_memory(&error) => {
                context.reduce_batches(Stage::Embeddings, size, size / 2)?;
            }
            frames => {
                computed.extend(frames.map_err(networks.failed(Stage::Embeddings))?);
                next += size;
            }
        }
    }
    Ok(computed)
}

/// For each of some frames, whether anyone speaks there in any chunk containing it.
fn speech(trunk: &SharedTrunk<'_>, segmented: &Segmented<'_>, frames: Range<usize>) -> Vec<bool> {
    let mut speech = vec![false; frames.len()];
    let segmentations = segmented.segmentations;
    let chunks = segmentations.chunks();
    let from = count_while(chunks, |chunk| trunk.frames_of_chunk(chunk).end <= frames.start);
    let until = count_while(chunks, |chunk| trunk.frames_of_chunk(chunk).start < frames.end);
    for chunk in (from..until).filter(|&chunk| segmentations.is_active(chunk)) {
        let decisions = segmentations.chunk(chunk); // (frame, local speaker)
        let anybody: Vec<f32> =
            decisions.outer_iter().map(|speakers| f32::from(u8::from(speakers.sum() > 0))).collect();
        for (frame, speaks) in trunk.frames_of_chunk(chunk).zip(trunk.resize(&anybody, chunk)) {
            if frames.contains(&frame) {
                speech[frame - frames.start] |= speaks != 0.0;
            }
        }
    }
    speech
}

/// The pooled statistics of a chunk's local speakers, `(local speaker, 5120)`.
fn statistics_of_chunk(
    chunk: usize,
    masks: &[Vec<f32>],
    buffer: &FrameBuffer,
    trunk: &SharedTrunk<'_>,
) -> Vec<f32> {
    let frames = buffer.from(trunk.frames_of_chunk(chunk).start); // (frame, 2560)
    masks.iter().flat_map(|mask| pool(frames, &trunk.resize(mask, chunk), buffer.features)).collect()
}

/// Projects groups of pooled statistics `(row, 5120)` to embeddings `(row, 256)`: on the CPU each group by itself, in
/// parallel, on a GPU all at once.
fn project(groups: Vec<Vec<f32>>, networks: &Networks) -> TensorResult<Vec<Vec<f32>>> {
    let width = 2 * networks.embedding.features();
    let project = |statistics: Vec<f32>| -> TensorResult<Vec<f32>> {
        if statistics.is_empty() {
            return Ok(Vec::new());
        }
        let shape = [1, statistics.len() / width, width];
        networks.embedding.project(&networks.tensor(statistics, &shape)?)?.flatten_all()?.to_vec1()
    };
    if networks.device.is_cpu() {
        return groups.into_par_iter().map(project).collect();
    }
    let rows: Vec<usize> = groups.iter().map(|group| group.len() / width).collect();
    let embeddings = project(groups.concat())?;
    let dimension = networks.manifest.embedding.dimension;
    let mut rest = embeddings.as_slice();
    let take = |count: &usize| {
        let (group, after) = rest.split_at(count * dimension);
        rest = after;
        group.to_vec()
    };
    Ok(rows.iter().map(take).collect())
}

/// The pooled statistics of those windows in which someone speaks alone, `(window, 5120)`.
fn statistics_of_windows(group: &[usize], windows: &Windows, buffer: &FrameBuffer) -> Vec<f32> {
    let statistics = |&window: &usize| {
        let frames = windows.frames_of(window);
        let alone = &buffer.alone[frames.start - buffer.start..frames.end - buffer.start];
        let spoken = buffer.is_spoken(frames.clone());
        if spoken { pool(buffer.from(frames.start), alone, buffer.features) } else { Vec::new() }
    };
    group.iter().flat_map(statistics).collect()
}
