//! Embeddings from running the residual network once on the whole recording.

use std::ops::Range;

use candle_core::Result as TensorResult;
use rayon::prelude::*;

use super::{Segmented, masks_of};
use crate::{
    Result, Stage,
    engine::{Chunks, Context, Meter, Networks, SharedTrunk, Windows, check_finite},
    math::count_while,
    model::VoiceWindows,
    networks::wespeaker::pool,
    options::Parameters,
    stages::{Embeddings, SpeakerCounter, WindowEmbeddings},
};

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
    /// As many pieces as there are threads are computed at a time. Their frames are dropped once the last
    /// chunk and window that contain them are embedded.
    pub(super) fn advance(
        &mut self,
        segmented: Segmented<'_>,
        count: &mut SpeakerCounter,
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
        let at_once = if networks.device.is_cpu() { context.threads() } else { 1 };
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
            let compute = |(piece, speech): (usize, &Vec<bool>)| match speech.contains(&true) {
                true => trunk.compute(piece, segmented.waveform, &networks.device),
                false => Ok(vec![0.0; speech.len() * self.frames.features]),
            };
            let computed: TensorResult<Vec<Vec<f32>>> = match pieces.len() {
                1 => compute((pieces.start, &speech[0])).map(|frames| vec![frames]),
                _ => pieces.clone().into_par_iter().zip(&speech).map(compute).collect(),
            };
            computed.map_err(networks.failed(Stage::Embeddings))
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
            let embed = |&chunk: &usize| {
                let masks = masks_of(chunk, segmented, networks, parameters);
                embeddings_of_chunk(chunk, &masks, frames, trunk, networks)
            };
            let embedded: TensorResult<Vec<Vec<f32>>> = active.par_iter().map(embed).collect();
            embedded.map_err(networks.failed(Stage::Embeddings))
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
            let embed = |group: &&[usize]| embeddings_of_windows(group, &windows, frames, networks);
            let embedded: TensorResult<Vec<_>> = groups.par_iter().map(embed).collect();
            embedded.map_err(networks.failed(Stage::Embeddings))
        })?;
        for embedding in embedded.into_iter().flatten() {
            if let Some(values) = &embedding {
                check_finite(values, Stage::Embeddings)?;
            }
            embeddings.push(embedding.as_deref());
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

    fn forget_until(&mut self, frame: usize) {
        let gone = frame.saturating_sub(self.start);
        self.values.drain(..gone * self.features);
        self.alone.drain(..gone);
        self.start += gone;
    }
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

/// The embeddings of a chunk's local speakers, concatenated.
fn embeddings_of_chunk(
    chunk: usize,
    masks: &[Vec<f32>],
    buffer: &FrameBuffer,
    trunk: &SharedTrunk<'_>,
    networks: &Networks,
) -> TensorResult<Vec<f32>> {
    let frames = buffer.from(trunk.frames_of_chunk(chunk).start); // (frame, 2560)
    let statistics: Vec<f32> =
        masks.iter().flat_map(|mask| pool(frames, &trunk.resize(mask, chunk), buffer.features)).collect();
    let statistics = networks.tensor(statistics, &[1, masks.len(), 2 * buffer.features])?; // (1, local speaker, 5120)
    networks.embedding.project(&statistics)?.flatten_all()?.to_vec1()
}

/// The embeddings of some windows; `None` if nobody speaks alone in the window.
fn embeddings_of_windows(
    group: &[usize],
    windows: &Windows,
    buffer: &FrameBuffer,
    networks: &Networks,
) -> TensorResult<Vec<Option<Vec<f32>>>> {
    let mask = |window: usize| {
        let frames = windows.frames_of(window);
        &buffer.alone[frames.start - buffer.start..frames.end - buffer.start]
    };
    let spoken: Vec<usize> = group.iter().copied().filter(|&window| mask(window).contains(&1.0)).collect();
    let mut embeddings = Vec::new();
    if !spoken.is_empty() {
        let statistics = spoken.iter().flat_map(|&window| {
            pool(buffer.from(windows.frames_of(window).start), mask(window), buffer.features)
        });
        let shape = [spoken.len(), 2 * buffer.features]; // (window, 5120)
        let statistics = networks.tensor(statistics.collect(), &shape)?;
        embeddings = networks.embedding.project(&statistics)?.to_vec2::<f32>()?;
    }
    let mut embeddings = spoken.into_iter().zip(embeddings).peekable();
    let embedding =
        |&window: &usize| embeddings.next_if(|(spoken, _)| *spoken == window).map(|(_, values)| values);
    Ok(group.iter().map(embedding).collect())
}
