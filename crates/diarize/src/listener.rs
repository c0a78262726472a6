//! Recordings that arrive in blocks of samples.

use std::sync::Arc;

use crate::{
    Diarization, Embedded, Options, Result, SAMPLE_RATE, Span, Stage,
    diarizer::{Model, run_networks},
    engine::{Chunks, Context, Networks, Waveform},
    options::Parameters,
    stages::{Binarize, Embedder, Region, Segmenter, SpanEmbedder, SpeakerCounter, at_least, is_silent},
};

/// Maximum number of samples processed at once: longer blocks are split, so that little audio is held twice.
const BLOCK: usize = 16 * SAMPLE_RATE as usize;

/// Diarizes a recording as it arrives: pass samples to [`Self::push`], then get the result from
/// [`Self::finish`].
///
/// The result is bit-identical however the samples are split into blocks. The networks run when enough chunks
/// are complete to keep all threads busy: 24 per thread, or 128 on a GPU. A chunk starts every second, so with 16
/// threads that is after six and a half minutes. Samples are kept until then, the observer hears nothing, and the next
/// [`Self::push`] takes longer. On the CPU, fewer threads ([`Options::with_threads`]) shorten the wait, on a GPU a smaller
/// `segmentation_batch_size`.
///
/// A call blocks while the networks run, on a GPU until the work of earlier calls is finished. A program that records does so
/// on another thread and sends the blocks through a channel. `diarize_audio::Resampler` converts other sample rates.
///
/// Once the networks have run on the samples, what stays in memory is one bit per frame and local speaker of each
/// chunk, one byte per frame, and one vector per local speaker and per window. Clustering needs more at the end.
#[derive(Debug)]
pub struct Listener<'o> {
    model: Arc<Model>,
    options: Options,
    context: Context<'o>,
    recording: Recording,
}

/// Everything computed from a recording so far.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) waveform: Waveform,
    pub(crate) chunks: Chunks,
    pub(crate) segmenter: Segmenter,
    pub(crate) count: SpeakerCounter,
    pub(crate) embedder: Embedder,
}

impl<'o> Listener<'o> {
    pub(crate) fn new(model: Arc<Model>, options: &Options, context: Context<'o>) -> Result<Self> {
        let recording = Recording::new(&model.networks, &options.parameters, options.need_embeddings())?;
        Ok(Self { model, options: options.clone(), context, recording })
    }

    /// Takes the next samples, any number of them: mono audio at 16 kHz with values from -1 to 1. Runs the
    /// networks when enough chunks are complete.
    ///
    /// # Errors
    /// If a sample is not finite, or the device fails; [`Error::Cancelled`](crate::Error::Cancelled) if the
    /// observer cancels. After an error the listener must not be used any further.
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        let Self { model, options, context, recording } = self;
        recording
            .waveform
            .expect(recording.waveform.expected().max(recording.waveform.received() + samples.len()));
        context.on_threads(|| {
            samples.chunks(BLOCK).try_for_each(|block| {
                recording.waveform.push(block)?;
                run_networks(recording, false, model, options, context)
            })
        })
    }

    /// Sets the expected length of the recording, in seconds. It only affects
    /// [`Progress::total`](crate::Progress).
    pub fn expect_seconds(&mut self, seconds: f64) {
        self.recording.waveform.expect((seconds * f64::from(SAMPLE_RATE)) as usize);
    }

    /// Seconds of audio received.
    pub fn seconds(&self) -> f64 {
        self.recording.waveform.received() as f64 / f64::from(SAMPLE_RATE)
    }

    /// The result as if the recording ended here. All of it may still change, including the number of speakers and
    /// their labels: `SPEAKER_00` of one call can be `SPEAKER_01` of the next.
    ///
    /// Each call copies the state, runs the networks on all samples that still wait, and clusters all embeddings
    /// again. None of this is kept, and it takes longer as the recording grows.
    ///
    /// The observer receives only progress events, up to the end of the recording so far. If it cancels, the
    /// listener is cancelled too.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn provisional(&self) -> Result<Diarization> {
        let context = self.context.provisional();
        let embedded = self.recording.clone().finish(&self.model, &self.options, &context)?;
        context.on_threads(|| embedded.apply(&self.options, &context))
    }

    /// Ends the recording and returns the result.
    ///
    /// # Errors
    /// If the device fails; [`Error::Cancelled`](crate::Error::Cancelled) if the observer cancels.
    pub fn finish(self) -> Result<Diarization> {
        let embedded = self.recording.finish(&self.model, &self.options, &self.context)?;
        self.context.on_threads(|| embedded.apply(&self.options, &self.context))
    }

    /// Ends the recording and returns the outputs of the networks, which can be clustered in several ways.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn embedded(self) -> Result<Embedded> {
        self.recording.finish(&self.model, &self.options, &self.context)
    }
}

impl Recording {
    /// An empty recording. Without `embeddings`, only the segmentation network runs.
    fn new(networks: &Networks, parameters: &Parameters, embeddings: bool) -> Result<Self> {
        let chunks = networks.chunks(parameters);
        Ok(Self {
            waveform: Waveform::default(),
            segmenter: Segmenter::new(networks, &chunks),
            count: SpeakerCounter::new(chunks.window, networks.frames()),
            embedder: match embeddings {
                true => Embedder::new(networks, &chunks, parameters)?,
                false => Embedder::Nothing,
            },
            chunks,
        })
    }

    /// Runs the networks on the remaining samples.
    fn finish(mut self, model: &Arc<Model>, options: &Options, context: &Context<'_>) -> Result<Embedded> {
        context.on_threads(|| run_networks(&mut self, true, model, options, context))?;
        context.step(Stage::SpeakerCounting, 0)?;
        let speaker_count = self.count.finish(); // (frame,)
        context.step(Stage::SpeakerCounting, 1)?;
        let duration = self.waveform.received() as f64 / f64::from(SAMPLE_RATE);
        let (embeddings, windows) = match is_silent(&speaker_count) {
            true => (None, None),
            false => self.embedder.finish(),
        };
        Ok(Embedded {
            model: model.clone(),
            options: options.clone(),
            duration,
            chunks: self.chunks,
            segmentations: self.segmenter.segmentations,
            speaker_count,
            embeddings,
            windows,
            warnings: context.warnings(),
            moved_to_cpu: context.moved_to_cpu(),
        })
    }
}

/// Detects speech or overlapping speech in a recording that arrives in blocks; see
/// [`Diarizer::listen_for_activity`](crate::Diarizer::listen_for_activity).
#[derive(Debug)]
pub struct ActivityListener<'o> {
    listener: Listener<'o>,
}

impl<'o> ActivityListener<'o> {
    pub(crate) fn new(model: Arc<Model>, options: &Options, context: Context<'o>) -> Result<Self> {
        let recording = Recording::new(&model.networks, &options.parameters, false)?;
        Ok(Self { listener: Listener { model, options: options.clone(), context, recording } })
    }

    /// Takes the next samples, like [`Listener::push`].
    ///
    /// # Errors
    /// As [`Listener::push`].
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        self.listener.push(samples)
    }

    /// Sets the expected length of the recording, like [`Listener::expect_seconds`].
    pub fn expect_seconds(&mut self, seconds: f64) {
        self.listener.expect_seconds(seconds);
    }

    /// Ends the recording and returns the output of the segmentation network.
    #[cfg(feature = "unstable")]
    pub(crate) fn embedded(self) -> Result<Embedded> {
        self.listener.embedded()
    }

    /// The spans in which at least `speakers` people speak: speech for 1, overlap for 2. Spans shorter than
    /// the options' `min_duration_on` are dropped, gaps shorter than `min_duration_off` are filled.
    ///
    /// # Errors
    /// As [`Listener::finish`].
    pub fn finish(self, speakers: usize) -> Result<Vec<Span>> {
        let duration = self.listener.seconds();
        let embedded = self.listener.embedded()?;
        let Parameters { min_duration_on, min_duration_off, .. } = embedded.options.parameters;
        let frames = embedded.model.networks.frames();
        let scores = at_least(speakers, &embedded.segmentations, embedded.chunks.window, frames); // (frame, 1)
        let binarize = Binarize { min_duration_on, min_duration_off, ..Binarize::default() };
        // The last chunk is padded with silence.
        let inside = |region: Region| Span { start: region.start, end: region.end.min(duration) };
        let regions = binarize.regions(scores.view(), frames).into_iter().map(inside);
        Ok(regions.filter(|span| span.start < span.end).collect())
    }
}

/// Embeds spans of a recording that arrives in blocks; see
/// [`Diarizer::listen_to_spans`](crate::Diarizer::listen_to_spans).
#[derive(Debug)]
pub struct SpanListener<'o> {
    model: Arc<Model>,
    context: Context<'o>,
    embedder: SpanEmbedder,
}

impl<'o> SpanListener<'o> {
    pub(crate) fn new(model: Arc<Model>, spans: &[Span], context: Context<'o>) -> Self {
        let embedder = SpanEmbedder::new(spans, &model.networks);
        Self { model, context, embedder }
    }

    /// Takes the next samples, like [`Listener::push`].
    ///
    /// # Errors
    /// As [`Listener::push`].
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        let Self { model, context, embedder } = self;
        context.on_threads(|| embedder.push(samples, &model.networks, context))
    }

    /// One embedding for each span, in the order of the spans, not normalized; `None` for a span of which less than
    /// 25 ms is within the recording.
    ///
    /// # Errors
    /// As [`Listener::finish`].
    pub fn finish(self) -> Result<Vec<Option<Vec<f32>>>> {
        let Self { model, context, embedder } = self;
        context.on_threads(|| embedder.finish(&model.networks, &context))
    }
}
