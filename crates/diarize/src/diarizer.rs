//! The pipeline from samples to turns, in the order of pyannote's `SpeakerDiarization.apply`: [`run_networks`]
//! runs while samples arrive, [`Embedded::cluster`] once the recording has ended.
//!
//! Source: `pyannote/audio/pipelines/speaker_diarization.py`, versions 3.3.2 and 4.0.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use crate::{
    Decoding, Device, Diarization, Error, Event, Listener, Options, Precision, Result, Span,
    clustering::{ClusteringError, Method, Plda},
    engine::{Context, Networks, Portion, Values},
    listener::{ActivityListener, Recording, SpanListener},
    model::{MANIFEST, Manifest, ModelFiles, read_plda},
    stages::{Segmented, chunks_to_segment},
};

/// The diarization pipeline with a model loaded on a device. Cheap to clone: clones share the model.
#[derive(Clone, Debug)]
pub struct Diarizer {
    pub(crate) model: Arc<Model>,
}

/// The loaded model, shared by all recordings.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) networks: Networks,
    /// Parameters for VBx, if the model has them.
    pub(crate) plda: Option<Plda>,
}

impl Model {
    /// Checks that the model has the PLDA that VBx needs.
    pub(crate) fn check_plda(&self, options: &Options) -> Result<()> {
        let vbx = matches!(options.parameters.clustering.method, Method::Vbx(_));
        if vbx && self.plda.is_none() { Err(ClusteringError::NoPlda.into()) } else { Ok(()) }
    }
}

/// Runs the networks on the complete chunks, as many as fill whole rounds of batches, or on all remaining chunks if the
/// recording has `ended`. Drops samples that are no longer needed.
pub(crate) fn run_networks(
    recording: &mut Recording,
    ended: bool,
    model: &Model,
    options: &Options,
    context: &Context<'_>,
) -> Result<()> {
    let (networks, parameters) = (&model.networks, &options.parameters);
    let Recording { waveform, chunks, segmenter, count, embedder } = recording;
    let until = match ended {
        true => chunks.count(waveform.received()),
        false => {
            chunks_to_segment(chunks.complete(waveform.received()), networks, parameters, context.threads())
        }
    };

    if !ended && until == segmenter.started() {
        return Ok(());
    }

    let portion = segmenter.next(until, waveform, chunks);
    let call = segmenter.call(waveform, chunks, networks, parameters, context);
    let before = segmenter.running.take();
    let mut embed = |(portion, values): (Portion, Values), ended: bool| -> Result<()> {
        let scores = call.finish(&portion, values)?; // (chunk, frame, class)
        segmenter.decide(&portion, &scores, networks, parameters); // (chunk, frame, local speaker)
        let segmentations = &segmenter.segmentations;
        for chunk in portion.chunks {
            count.push(segmentations.chunk(chunk).view()); // (frame,)
        }
        let segmented = Segmented { waveform, chunks, segmentations, ended };
        embedder.advance(segmented, count, networks, parameters, context) // (chunk, local speaker, dimension), (window, dimension)
    };
    // A GPU segments these chunks until the next call. Meanwhile, those of the call before are embedded.
    let (values, embedded) =
        rayon::join(|| call.start(&portion), || before.map_or(Ok(()), |before| embed(before, false)));
    embedded?;
    match values? {
        Values::Enqueued(batches) if !ended => segmenter.running = Some((portion, Values::Enqueued(batches))),
        values => embed((portion, values), ended)?,
    }
    drop(call); // which borrows the samples

    let needed = chunks.start(segmenter.segmentations.chunks()).min(embedder.first_sample(networks, chunks));
    waveform.forget_until(needed);
    Ok(())
}

impl Diarizer {
    /// Loads a model directory.
    ///
    /// # Errors
    /// If a file is missing, truncated or invalid (the error names the file and tensor), or if the device
    /// is not available.
    pub fn load(model_dir: impl AsRef<Path>, device: Device) -> Result<Self> {
        Self::from_files(&ModelFiles::read(model_dir.as_ref())?, device)
    }

    /// Loads the model bundled with this library.
    ///
    /// # Errors
    /// If the device is not available.
    #[cfg(feature = "bundled")]
    pub fn bundled(device: Device) -> Result<Self> {
        Self::from_files(&ModelFiles::bundled()?, device)
    }

    /// Loads a model from memory.
    ///
    /// # Errors
    /// If the manifest is invalid, if the weights do not match it, or if the device is not available.
    pub fn from_files(files: &ModelFiles, device: Device) -> Result<Self> {
        Self::from_files_with(files, device, Precision::F32)
    }

    /// Like [`Self::from_files`], with a precision.
    ///
    /// # Errors
    /// Also if the device does not support this precision.
    pub fn from_files_with(files: &ModelFiles, device: Device, precision: Precision) -> Result<Self> {
        files.manifest.check(Path::new(MANIFEST))?;
        let dimension = files.manifest.embedding.dimension;
        let plda = files.plda.as_ref().map(|file| read_plda(file, dimension)).transpose()?;
        Ok(Self { model: Arc::new(Model { networks: Networks::load(files, device, precision)?, plda }) })
    }

    /// The model's manifest.
    pub fn model(&self) -> &Manifest {
        &self.model.networks.manifest
    }

    /// The model's own hyper-parameters, with no constraint on the number of speakers.
    pub fn options(&self) -> Options {
        Options::new(self.model().parameters.clone())
    }

    /// Diarizes `samples` `(sample,)`: mono audio at 16 kHz with values from -1 to 1.
    ///
    /// # Errors
    /// If a sample is not finite, or if the device fails.
    pub fn diarize(&self, samples: &[f32]) -> Result<Diarization> {
        self.diarize_with(samples, &self.options(), |_| ControlFlow::Continue(()))
    }

    /// Like [`Self::diarize`], with options and an [observer](crate::Observer).
    ///
    /// # Errors
    /// If an option is invalid, a sample is not finite, or the device fails; [`Error::Cancelled`] if the
    /// observer cancels.
    pub fn diarize_with(
        &self,
        samples: &[f32],
        options: &Options,
        observer: impl FnMut(Event) -> ControlFlow<()> + Send,
    ) -> Result<Diarization> {
        let mut listener = self.listen_with(options, observer)?;
        listener.push(samples)?;
        listener.finish()
    }

    /// Starts diarizing a recording that arrives in blocks.
    ///
    /// # Errors
    /// If an option is invalid.
    pub fn listen(&self, options: &Options) -> Result<Listener<'static>> {
        self.listen_with(options, |_| ControlFlow::Continue(()))
    }

    /// Like [`Self::listen`], with an [observer](crate::Observer).
    ///
    /// # Errors
    /// If an option is invalid.
    pub fn listen_with<'o>(
        &self,
        options: &Options,
        observer: impl FnMut(Event) -> ControlFlow<()> + Send + 'o,
    ) -> Result<Listener<'o>> {
        self.check(options)?;
        Listener::new(self.model.clone(), options, Context::new(options, Box::new(observer))?)
    }

    /// Starts detecting speech or overlapping speech in a recording that arrives in blocks. Only the
    /// segmentation network runs.
    ///
    /// # Errors
    /// If an option is invalid.
    pub fn listen_for_activity<'o>(
        &self,
        options: &Options,
        observer: impl FnMut(Event) -> ControlFlow<()> + Send + 'o,
    ) -> Result<ActivityListener<'o>> {
        self.check_segmentation(options)?;
        ActivityListener::new(self.model.clone(), options, Context::new(options, Box::new(observer))?)
    }

    /// Starts embedding the given spans of a recording that arrives in blocks. The part of a span that is before the
    /// recording's start or after its end is left out.
    ///
    /// # Errors
    /// If an option is invalid, or a time is not a number.
    pub fn listen_to_spans<'o>(
        &self,
        spans: &[Span],
        options: &Options,
        observer: impl FnMut(Event) -> ControlFlow<()> + Send + 'o,
    ) -> Result<SpanListener<'o>> {
        self.check_segmentation(options)?;
        if spans.iter().any(|span| span.start.is_nan() || span.end.is_nan()) {
            let (option, value) = ("span", "NaN".into());
            return Err(Error::InvalidOption { option, value, requirement: "two times in seconds" });
        }
        Ok(SpanListener::new(self.model.clone(), spans, Context::new(options, Box::new(observer))?))
    }

    /// The spans in which at least `speakers` people speak: speech for 1, overlap for 2. Spans shorter than
    /// the options' `min_duration_on` are dropped, gaps shorter than `min_duration_off` are filled. Warnings go to the
    /// observer only.
    ///
    /// # Errors
    /// As [`Self::diarize_with`].
    pub fn activity(
        &self,
        speakers: usize,
        samples: &[f32],
        options: &Options,
        observer: impl FnMut(Event) -> ControlFlow<()> + Send,
    ) -> Result<Vec<Span>> {
        let mut listener = self.listen_for_activity(options, observer)?;
        listener.push(samples)?;
        listener.finish(speakers)
    }

    /// Computes one embedding for each span from all the audio in it, like pyannote's `Inference(…,
    /// window="whole").crop`. Embeddings are not normalized. A span of which less than 25 ms is within the recording has
    /// none.
    ///
    /// A span longer than a minute is embedded in parts; the result is their mean, weighted by length. Warnings go to
    /// the observer only.
    ///
    /// # Errors
    /// As [`Self::diarize_with`].
    pub fn embed_spans(
        &self,
        samples: &[f32],
        spans: &[Span],
        options: &Options,
        observer: impl FnMut(Event) -> ControlFlow<()> + Send,
    ) -> Result<Vec<Option<Vec<f32>>>> {
        let mut listener = self.listen_to_spans(spans, options, observer)?;
        listener.push(samples)?;
        listener.finish()
    }

    /// Checks that options are valid and fit the model.
    ///
    /// # Errors
    /// If an option is invalid, or the model lacks what it needs.
    pub fn check(&self, options: &Options) -> Result<()> {
        self.check_segmentation(options)?;
        self.model.check_plda(options)
    }

    /// The part of [`Self::check`] that concerns the segmentation network.
    fn check_segmentation(&self, options: &Options) -> Result<()> {
        options.check()?;
        let powerset = self.model().segmentation.multilabel.is_none();
        if !powerset && options.parameters.decoding != Decoding::Argmax {
            return Err(Error::InvalidOption {
                option: "decoding",
                value: options.parameters.decoding.to_string(),
                requirement: "argmax, since this model's network has no powerset classes",
            });
        }
        Ok(())
    }
}
