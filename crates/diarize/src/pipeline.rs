//! The pipeline, from samples to turns, as pyannote's `SpeakerDiarization.apply` tells it.
//!
//! Source: `pyannote/audio/pipelines/speaker_diarization.py`, versions 3.3.2 and 4.0.

use std::{path::Path, sync::Mutex};

use ndarray::{Array1, Array2, Array3, ArrayView3};

use crate::{
    Decoding, Device, Diarization, Error, Options, Parameters, Progress, Reconstruction, Result, SAMPLE_RATE,
    Span, Speaker, Stage, Stages, Turn,
    chunks::Chunks,
    clustering::{ClusteringError, Compat, Method, Mismatch, Plda, cluster_speakers},
    confidence::{self, Votes},
    frames::SlidingWindow,
    inference::{Hook, Networks, tell},
    model::{Manifest, ModelFiles, read_plda},
    reconstruct::{self, Voices, WindowEmbeddings},
    turns::{self, Binarize, Region},
};

/// The diarization pipeline with a model loaded on a device.
#[derive(Debug)]
pub struct Diarizer {
    networks: Networks,
    /// What VBx needs, where the model has it.
    plda: Option<Plda>,
}

impl Diarizer {
    /// Loads a model directory.
    ///
    /// # Errors
    /// A file that is missing, truncated or not what it should be, named with its tensor; a device
    /// that is not there.
    pub fn load(model_dir: impl AsRef<Path>, device: Device) -> Result<Self> {
        Self::from_files(&ModelFiles::read(model_dir.as_ref())?, device)
    }

    /// Loads the model that this library carries.
    ///
    /// # Errors
    /// A device that is not there.
    #[cfg(feature = "bundled")]
    pub fn bundled(device: Device) -> Result<Self> {
        Self::from_files(&ModelFiles::bundled()?, device)
    }

    /// Loads a model that is in memory.
    ///
    /// # Errors
    /// Weights that are not what the manifest says; a device that is not there.
    pub fn from_files(files: &ModelFiles, device: Device) -> Result<Self> {
        let dimension = files.manifest.embedding.dimension;
        let plda = files.plda.as_ref().map(|file| read_plda(file, dimension)).transpose()?;
        Ok(Self { networks: Networks::load(files, device)?, plda })
    }

    /// What the model is.
    pub fn model(&self) -> &Manifest {
        &self.networks.manifest
    }

    /// The model's own hyper-parameters, nothing known of the speakers.
    pub fn options(&self) -> Options {
        Options::new(self.networks.manifest.parameters.clone())
    }

    /// Who spoke when in `samples`: 16 kHz, one channel, full scale 1.
    ///
    /// # Errors
    /// A sample that is not finite; a failure of the device.
    pub fn diarize(&self, samples: &[f32]) -> Result<Diarization> {
        self.diarize_with(samples, &self.options(), &mut |_| {})
    }

    /// The same with the caller's options, and a hook that is told how far each stage has come.
    ///
    /// # Errors
    /// An option that makes no sense; a sample that is not finite; a failure of the device.
    pub fn diarize_with(
        &self,
        samples: &[f32],
        options: &Options,
        hook: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Diarization> {
        let heard = self.hear(samples, options, hook)?;
        self.cluster(heard, options, hook)
    }

    /// All for which the samples are needed, that is the networks: the first part of [`Self::diarize_with`], of
    /// which [`Self::cluster`] is the rest. Whoever frees the samples in between has their memory for the
    /// distances of clustering.
    ///
    /// # Errors
    /// As [`Self::diarize_with`].
    pub fn hear(
        &self,
        samples: &[f32],
        options: &Options,
        hook: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Heard> {
        self.run(samples, options, hook, |chunks, hook| self.apply_networks(chunks, options, hook))
    }

    /// Everything after the networks, with the options that they had.
    ///
    /// # Errors
    /// As [`Self::diarize_with`].
    pub fn cluster(
        &self,
        heard: Heard,
        options: &Options,
        hook: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Diarization> {
        options.check()?;
        hook(Progress { stage: Stage::Clustering, done: 0, total: 1 });
        let diarization = on_threads(options.threads, || self.apply_clustering(heard, options))?;
        hook(Progress { stage: Stage::Clustering, done: 1, total: 1 });
        Ok(diarization)
    }

    /// The first stage alone: which local speaker speaks in which frame of each chunk, `(chunk, frame,
    /// local speaker)` of 0 and 1.
    ///
    /// # Errors
    /// As [`Self::diarize_with`].
    pub fn segment(
        &self,
        samples: &[f32],
        options: &Options,
        hook: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Array3<u8>> {
        self.run(samples, options, hook, |chunks, hook| self.networks.segment(chunks, options, hook))
    }

    /// The spans of time in which at least `speakers` people speak: speech for 1, overlap for 2. Only the
    /// segmentation network runs.
    ///
    /// Shorter spans and gaps than the options' `min_duration_on` and `min_duration_off` are dropped and filled.
    ///
    /// # Errors
    /// As [`Self::diarize_with`].
    pub fn activity(
        &self,
        speakers: usize,
        samples: &[f32],
        options: &Options,
        hook: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Vec<Span>> {
        let (scores, frames) = self.run(samples, options, hook, |chunks, hook| {
            let segmentations = self.networks.segment(chunks, options, hook)?; // (chunk, frame, local speaker)
            let frames = self.networks.frames();
            Ok((reconstruct::at_least(speakers, segmentations.view(), chunks.window, frames), frames)) // (frame, 1)
        })?;
        let Parameters { min_duration_on, min_duration_off, .. } = options.parameters;
        let binarize = Binarize { min_duration_on, min_duration_off, ..Binarize::default() };
        let duration = samples.len() as f64 / f64::from(SAMPLE_RATE);
        // The last chunk is padded with silence.
        let inside = |region: Region| Span { start: region.start, end: region.end.min(duration) };
        let regions = binarize.regions(scores.view(), frames).into_iter().map(inside);
        Ok(regions.filter(|span| span.start < span.end).collect())
    }

    /// The embedding stage alone: one embedding for each local speaker of each chunk, `(chunk, local
    /// speaker, dimension)`, for segmentations of the same samples and options from [`Self::segment`].
    ///
    /// # Errors
    /// As [`Self::diarize_with`].
    ///
    /// # Panics
    /// If the segmentations have another number of chunks than the samples.
    pub fn embed(
        &self,
        samples: &[f32],
        segmentations: ArrayView3<'_, u8>,
        options: &Options,
        hook: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Array3<f32>> {
        self.run(samples, options, hook, |chunks, hook| {
            Ok(self.networks.embed(chunks, segmentations, None, options, hook)?.0)
        })
    }

    /// One embedding for each span of the samples, `(span, dimension)`, from all that sounds in it, as
    /// pyannote's `Inference(…, window="whole").crop` gives. Not normalised.
    ///
    /// A span of more than a minute is embedded in parts of equal length, and the mean taken.
    ///
    /// # Errors
    /// A span that is outside or shorter than 25 ms; otherwise as [`Self::diarize_with`].
    pub fn embed_spans(
        &self,
        samples: &[f32],
        spans: &[Span],
        options: &Options,
        hook: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Array2<f32>> {
        self.run(samples, options, hook, |_, hook| self.networks.embed_spans(samples, spans, options, hook))
    }

    /// Checks samples and options, and runs a stage over the chunks on the caller's number of threads.
    fn run<T: Send>(
        &self,
        samples: &[f32],
        options: &Options,
        hook: &mut (dyn FnMut(Progress) + Send),
        stage: impl FnOnce(&Chunks<'_>, &Hook<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        options.check()?;
        if let Some(index) = samples.iter().position(|sample| !sample.is_finite()) {
            return Err(Error::NonFiniteSample { index, value: samples[index] });
        }
        let segmentation = &self.networks.manifest.segmentation;
        if segmentation.multilabel.is_some() && options.parameters.decoding != Decoding::Argmax {
            return Err(Error::InvalidOption {
                option: "decoding",
                value: options.parameters.decoding.to_string(),
                requirement: "argmax: this model's network weighs speakers, not sets of them",
            });
        }
        let duration = segmentation.duration;
        let chunks = Chunks::new(samples, duration, options.parameters.segmentation_step * duration);
        let hook = Mutex::new(hook);
        on_threads(options.threads, || stage(&chunks, &hook))
    }

    fn apply_networks(&self, chunks: &Chunks<'_>, options: &Options, hook: &Hook<'_>) -> Result<Heard> {
        let Options { parameters, .. } = options;
        let bounds = options.speaker_bounds();
        let frames = self.networks.frames();
        let vbx = matches!(parameters.clustering.method, Method::Vbx(_));
        if vbx && self.plda.is_none() {
            return Err(ClusteringError::NoPlda.into());
        }

        let segmentations = self.networks.segment(chunks, options, hook)?; // (chunk, frame, local speaker)

        tell(hook, Stage::SpeakerCounting, 0, 1);
        let speaker_count = reconstruct::speaker_count(segmentations.view(), chunks.window, frames); // (frame,)
        tell(hook, Stage::SpeakerCounting, 1, 1);

        // One speaker needs no embeddings (VBx gives that speaker's all the same), nobody needs no clustering.
        let silence = speaker_count.iter().all(|&count| count == 0);
        let (embeddings, window_embeddings) = if silence || (bounds.max == Some(1) && !vbx) {
            (None, None)
        } else {
            let alone = (parameters.reconstruction == Reconstruction::Voices).then(|| speaker_count.view());
            let (embeddings, windows) =
                self.networks.embed(chunks, segmentations.view(), alone, options, hook)?;
            (Some(embeddings), windows) // (chunk, local speaker, dimension), (window, dimension)
        };
        Ok(Heard { chunks: chunks.window, segmentations, speaker_count, embeddings, window_embeddings })
    }

    /// The same recording with other parameters of clustering and turns, and other bounds on the number of
    /// speakers: the networks do not run again. Parameters of the networks and their chunks are as they were.
    ///
    /// # Errors
    /// As [`Self::diarize_with`]; several speakers, where embeddings were not needed; voices, where the networks
    /// ran for votes.
    pub fn cluster_again(&self, stages: &Stages, options: &Options) -> Result<Diarization> {
        options.check()?;
        let heard = Heard {
            chunks: stages.chunks,
            segmentations: stages.segmentations.clone(),
            speaker_count: stages.speaker_count.clone(),
            embeddings: stages.embeddings.clone(),
            window_embeddings: stages.window_embeddings.clone(),
        };
        let silence = heard.speaker_count.iter().all(|&count| count == 0);
        if heard.embeddings.is_none() && !silence && options.speaker_bounds().max != Some(1) {
            return Err(Error::InvalidOption {
                option: "max_speakers",
                value: "more than 1".into(),
                requirement: "1 without embeddings: run the networks with this option",
            });
        }
        let voices = options.parameters.reconstruction == Reconstruction::Voices;
        if voices && heard.embeddings.is_some() && heard.window_embeddings.is_none() {
            return Err(Error::InvalidOption {
                option: "reconstruction",
                value: Reconstruction::Voices.to_string(),
                requirement: "votes after a run for votes: run the networks with this option",
            });
        }
        self.apply_clustering(heard, options)
    }

    fn apply_clustering(&self, heard: Heard, options: &Options) -> Result<Diarization> {
        let Heard { chunks, segmentations, speaker_count, embeddings, window_embeddings } = heard;
        let (parameters, bounds, frames) =
            (&options.parameters, options.speaker_bounds(), self.networks.frames());
        let clusters = match &embeddings {
            None => None,
            Some(embeddings) => {
                let (settings, plda) = (&parameters.clustering, self.plda.as_ref());
                let (embeddings, segmentations) = (embeddings.view(), segmentations.view());
                let clusters = self
                    .networks
                    .with_device(|| cluster_speakers(embeddings, segmentations, bounds, settings, plda))?;
                if let Some(Mismatch { wanted, found }) = clusters.mismatch {
                    let hint = match parameters.clustering.method {
                        Method::Agglomerative(_) => ": a smaller min_cluster_size might help",
                        _ => "",
                    };
                    tracing::warn!("asked for {wanted} speakers, found {found}{hint}");
                }
                Some(clusters)
            }
        };
        let (mut hard_clusters, separation, centroids) = match clusters {
            Some(clusters) => (clusters.hard, clusters.separation, Some(clusters.centroids)), // (chunk, local speaker) twice, (cluster, dimension)
            None => {
                let shape = (segmentations.dim().0, segmentations.dim().2);
                (Array2::zeros(shape), Array2::ones(shape), None)
            }
        };
        reconstruct::mark_inactive(&mut hard_clusters, segmentations.view());
        let compat = parameters.clustering.compat;
        let most = match (&centroids, compat) {
            (Some(centroids), Compat::Off) => bounds.max.into_iter().chain([centroids.nrows()]).min(),
            _ => bounds.max,
        };
        let voices = match (parameters.reconstruction, &window_embeddings, &centroids) {
            (Reconstruction::Voices, Some(windows), Some(centroids)) => {
                Some(Voices::new(windows, centroids.view()))
            }
            _ => None,
        };
        let reconstruct = |count: &Array1<u8>| {
            let (segmentations, hard_clusters) = (segmentations.view(), hard_clusters.view());
            let (count, voices) = (count.view(), voices.as_ref());
            reconstruct::reconstruct(segmentations, hard_clusters, count, most, chunks, frames, voices)
        };
        let discrete_diarization = reconstruct(&speaker_count); // (frame, cluster)
        let exclusive = reconstruct(&speaker_count.mapv(|count| count.min(1))); // (frame, cluster)

        let (on, off) = (parameters.min_duration_on, parameters.min_duration_off);
        let (mut turns, labelled) = turns::turns(discrete_diarization.view(), frames, on, off, compat);
        let off = if compat == Compat::Pyannote { off } else { 0.0 };
        let mut exclusive = turns::turns_of(&labelled, exclusive.view(), frames, on, off);
        let votes = Votes {
            segmentations: segmentations.view(),
            hard_clusters: hard_clusters.view(),
            separation: separation.view(),
            chunks,
            frames,
        };
        votes.rate(&mut turns, &labelled);
        votes.rate(&mut exclusive, &labelled);

        Ok(Diarization {
            speakers: speakers(&turns, &labelled, centroids.as_ref()),
            turns,
            exclusive,
            stages: Stages {
                chunks,
                frames,
                segmentations,
                speaker_count,
                embeddings,
                window_embeddings,
                hard_clusters,
                separation,
                centroids,
                discrete_diarization,
            },
        })
    }
}

/// Runs a stage on that many threads, or on rayon's own.
fn on_threads<T: Send>(threads: Option<usize>, stage: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    match threads {
        None => stage(),
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|source| Error::Compute { stage: "starting threads", source: source.into() })?
            .install(stage),
    }
}

/// What the networks heard in a recording.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When the chunks start, in seconds.
    chunks: SlidingWindow,
    /// `(chunk, frame, local speaker)`.
    segmentations: Array3<u8>,
    /// `(frame,)`.
    speaker_count: Array1<u8>,
    /// `(chunk, local speaker, dimension)`, where they are needed.
    embeddings: Option<Array3<f32>>,
    /// Where voices tell who speaks.
    window_embeddings: Option<WindowEmbeddings>,
}

/// The speakers of `turns`, `labelled` giving the cluster of each label in order.
fn speakers(turns: &[Turn], labelled: &[usize], centroids: Option<&Array2<f32>>) -> Vec<Speaker> {
    labelled
        .iter()
        .enumerate()
        .map(|(index, &cluster)| {
            let label = turns::label(index);
            let duration =
                turns.iter().filter(|turn| turn.speaker == label).map(|turn| turn.end - turn.start).sum();
            let embedding = centroids
                .filter(|centroids| cluster < centroids.nrows())
                .map(|centroids| centroids.row(cluster).to_vec());
            Speaker { confidence: confidence::of_speaker(&label, turns), label, duration, embedding }
        })
        .collect()
}
