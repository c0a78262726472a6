//! Embeddings from one run of the residual network over the whole recording.

use ndarray::{ArrayView1, ArrayView3, Axis};
use rayon::prelude::*;

use super::{Hook, Networks, check_finite, tell};
use crate::{
    Result, Stage,
    chunks::Chunks,
    embedding::{SharedTrunk, Windows, pool},
    reconstruct::WindowEmbeddings,
};

/// Frames that are in memory, `(frame, features)`, the first of which is number `start`.
struct Window {
    values: Vec<f32>,
    start: usize,
    features: usize,
}

impl Window {
    fn end(&self) -> usize {
        self.start + self.values.len() / self.features
    }

    fn forget_until(&mut self, frame: usize) {
        self.values.drain(..(frame - self.start) * self.features);
        self.start = frame;
    }
}

/// For each frame of the recording whether somebody speaks there in one of the `active` chunks.
fn speech(trunk: &SharedTrunk<'_>, active: &[usize], segmentations: ArrayView3<'_, u8>) -> Vec<bool> {
    let mut speech = vec![false; trunk.frames()];
    for &chunk in active {
        let frames = segmentations.index_axis(Axis(0), chunk);
        let anybody: Vec<f32> =
            frames.outer_iter().map(|speakers| f32::from(u8::from(speakers.sum() > 0))).collect();
        for (frame, speaks) in trunk.frames_of_chunk(chunk).zip(trunk.resize(&anybody, chunk)) {
            speech[frame] |= speaks != 0.0;
        }
    }
    speech
}

impl Networks {
    /// Embeds the `active` chunks, and hands the `local speakers * dimension` values of each to `keep`. With
    /// `speaker_count` `(frame of the recording,)`, windows all along the recording are embedded too, from where
    /// one speaks alone.
    ///
    /// Pieces are computed as many at a time as there are threads, and forgotten when the last chunk
    /// that they are part of is embedded.
    #[expect(clippy::too_many_arguments, reason = "one of two ways to embed, which is called once")]
    pub(super) fn embed_from_shared_trunk(
        &self,
        chunks: &Chunks<'_>,
        active: &[usize],
        segmentations: ArrayView3<'_, u8>,
        speaker_count: Option<ArrayView1<'_, u8>>,
        masks_of: impl Fn(usize) -> Vec<Vec<f32>> + Sync,
        hook: &Hook<'_>,
        mut keep: impl FnMut(usize, &[f32]),
    ) -> Result<Option<WindowEmbeddings>> {
        tell(hook, Stage::Embeddings, 0, active.len());
        let trunk = SharedTrunk::new(&self.embedding, chunks);
        let speech = speech(&trunk, active, segmentations);
        let features = self.embedding.features();
        let compute = |piece: usize| {
            let frames = trunk.frames_of_piece(piece);
            match speech[frames.clone()].contains(&true) {
                true => trunk.compute(piece, &self.device),
                false => Ok(vec![0.0; frames.len() * features]),
            }
        };
        let embed = |chunk: usize, window: &Window| {
            let frames = trunk.frames_of_chunk(chunk);
            let frames = &window.values[(frames.start - window.start) * features..];
            let masks = masks_of(chunk);
            let statistics: Vec<f32> =
                masks.iter().flat_map(|mask| pool(frames, &trunk.resize(mask, chunk), features)).collect();
            let statistics = self.tensor(statistics, &[1, masks.len(), 2 * features])?;
            self.embedding.project(&statistics)?.flatten_all()?.to_vec1::<f32>()
        };

        let mut track = speaker_count.map(|count| Track::new(self, &trunk, &speech, count));
        let mut rest = active;
        let mut window = Window { values: Vec::new(), start: 0, features };
        let pieces: Vec<usize> = (0..trunk.pieces()).collect();
        let at_once = if self.device.is_cpu() { rayon::current_num_threads() } else { 1 };
        for pieces in pieces.chunks(at_once) {
            let computed: Vec<candle_core::Result<Vec<f32>>> = match pieces {
                [piece] => vec![compute(*piece)],
                pieces => pieces.par_iter().map(|&piece| compute(piece)).collect(),
            };
            for frames in computed {
                window.values.extend(frames.map_err(self.failed(Stage::Embeddings))?);
            }
            let whole = rest.partition_point(|&chunk| trunk.frames_of_chunk(chunk).end <= window.end());
            let (ready, later) = rest.split_at(whole);
            let embeddings: candle_core::Result<Vec<Vec<f32>>> =
                ready.par_iter().map(|&chunk| embed(chunk, &window)).collect();
            for (&chunk, values) in ready.iter().zip(embeddings.map_err(self.failed(Stage::Embeddings))?) {
                check_finite(&values, Stage::Embeddings)?;
                keep(chunk, &values);
            }
            rest = later;
            let mut needed = rest.first().map_or(window.end(), |&chunk| trunk.frames_of_chunk(chunk).start);
            if let Some(track) = &mut track {
                track.go_on(&window)?;
                needed = needed.min(track.needed());
            }
            window.forget_until(needed.min(window.end()));
            tell(hook, Stage::Embeddings, active.len() - rest.len(), active.len());
        }
        Ok(track.map(|track| track.embeddings))
    }
}

/// Embeddings of windows all along the recording, as far as its frames are known.
struct Track<'a> {
    networks: &'a Networks,
    windows: Windows,
    /// For each frame of the residual network 1 where one speaks alone.
    alone: Vec<f32>,
    embeddings: WindowEmbeddings,
    /// Windows done.
    done: usize,
}

impl<'a> Track<'a> {
    fn new(
        networks: &'a Networks,
        trunk: &SharedTrunk<'_>,
        speech: &[bool],
        speaker_count: ArrayView1<'_, u8>,
    ) -> Self {
        let (windows, frames, middles) = (Windows::new(trunk), networks.frames(), trunk.middles());
        let one = |frame| speaker_count.get(frames.closest_frame(middles.middle_of(frame))) == Some(&1);
        let alone =
            speech.iter().enumerate().map(|(frame, &speaks)| f32::from(u8::from(speaks && one(frame))));
        Self {
            networks,
            windows,
            alone: alone.collect(),
            embeddings: WindowEmbeddings::new(
                windows.times(),
                windows.count(),
                networks.manifest.embedding.dimension,
            ),
            done: 0,
        }
    }

    /// The first frame that is still needed.
    fn needed(&self) -> usize {
        self.windows.frames_of(self.done).start
    }

    /// Embeds the windows whose last frame has come.
    fn go_on(&mut self, known: &Window) -> Result<()> {
        let last = |&window: &usize| self.windows.frames_of(window).end - 1;
        let ready: Vec<usize> =
            (self.done..self.windows.count()).take_while(|window| last(window) < known.end()).collect();
        self.done += ready.len();
        // Those of a piece together, whatever the number of threads.
        let pieces: Vec<&[usize]> =
            ready.chunk_by(|a, b| SharedTrunk::piece_of(last(a)) == SharedTrunk::piece_of(last(b))).collect();
        let embed = |piece: &&[usize]| self.embed(piece, known);
        let embedded: candle_core::Result<Vec<_>> = pieces.par_iter().map(embed).collect();
        for (window, values) in
            embedded.map_err(self.networks.failed(Stage::Embeddings))?.into_iter().flatten()
        {
            check_finite(&values, Stage::Embeddings)?;
            self.embeddings.set(window, &values);
        }
        Ok(())
    }

    /// The embeddings of those of the windows in which somebody speaks alone.
    fn embed(&self, windows: &[usize], known: &Window) -> candle_core::Result<Vec<(usize, Vec<f32>)>> {
        let mask = |window: usize| &self.alone[self.windows.frames_of(window)];
        let windows: Vec<usize> =
            windows.iter().copied().filter(|&window| mask(window).contains(&1.0)).collect();
        if windows.is_empty() {
            return Ok(Vec::new());
        }
        let pooled = windows.iter().flat_map(|&window| {
            let frames =
                &known.values[(self.windows.frames_of(window).start - known.start) * known.features..];
            pool(frames, mask(window), known.features)
        });
        let statistics = self.networks.tensor(pooled.collect(), &[windows.len(), 2 * known.features])?;
        let embeddings = self.networks.embedding.project(&statistics)?.to_vec2::<f32>()?;
        Ok(windows.into_iter().zip(embeddings).collect())
    }
}
