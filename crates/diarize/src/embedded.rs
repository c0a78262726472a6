//! The outputs of the networks for one recording, and the stages from embeddings to turns.

use std::{ops::ControlFlow, sync::Arc};

use ndarray::Array2;

use crate::{
    Diarization, Error, Event, Options, Parameters, Reconstruction, Result, Speaker, Stage, Turn, Warning,
    clustering::{Clusters, ComputeDevice, Method, cluster_speakers},
    compat::Compat,
    diarizer::Model,
    engine::{Chunks, Context},
    stages::{
        Choice, Embeddings, Segmentations, VoiceShares, WindowEmbeddings,
        confidence::{self, Votes},
        is_silent, label, mark_inactive, no_voices, reconstruct, turns, turns_of,
    },
};

/// The outputs of both networks for one recording. It can be clustered repeatedly with other thresholds,
/// methods and numbers of speakers without running the networks again. It contains no audio.
#[derive(Clone, Debug)]
pub struct Embedded {
    pub(crate) model: Arc<Model>,
    /// The options the networks ran with.
    pub(crate) options: Options,
    /// Length of the recording in seconds.
    pub(crate) duration: f64,
    pub(crate) chunks: Chunks,
    pub(crate) segmentations: Segmentations,
    /// `(frame,)`: number of people speaking.
    pub(crate) speaker_count: Vec<u8>,
    /// `None` if embeddings are not needed.
    pub(crate) embeddings: Option<Embeddings>,
    pub(crate) windows: Option<WindowEmbeddings>,
    /// Warnings from running the networks.
    pub(crate) warnings: Vec<Warning>,
    /// Whether the device failed and the CPU took over.
    pub(crate) moved_to_cpu: bool,
}

/// Local speakers grouped into clusters, with everything needed to build turns.
#[derive(Clone, Debug)]
pub struct Clustered<'e> {
    pub(crate) embedded: &'e Embedded,
    /// `(chunk, local speaker)`: index of the cluster; negative if none.
    pub(crate) hard: Array2<i32>,
    /// `(chunk, local speaker)`: how distinct the voice is from those of other speakers, from -1 to 1.
    pub(crate) separation: Array2<f32>,
    /// `(cluster, dimension)`; `None` if embeddings were not needed.
    pub(crate) centroids: Option<Array2<f32>>,
    /// `(window, cluster)`; `None` if only votes decide.
    voices: Option<VoiceShares>,
    /// Maximum number of people speaking at once; `None` for no limit.
    most: Option<usize>,
    /// The requested bounds on the number of speakers.
    requested: Requested,
    /// Warnings up to this stage.
    warnings: Vec<Warning>,
}

/// Bounds on the number of speakers that were requested explicitly.
#[derive(Clone, Copy, Debug)]
struct Requested {
    min: Option<usize>,
    max: Option<usize>,
}

impl Requested {
    fn of(options: &Options) -> Self {
        let Options { num_speakers, min_speakers, max_speakers, .. } = *options;
        Self { min: num_speakers.or(min_speakers), max: num_speakers.or(max_speakers) }
    }

    /// The bound that `found` speakers violate.
    fn violated_by(self, found: usize) -> Option<usize> {
        self.min.filter(|&min| found < min).or(self.max.filter(|&max| found > max))
    }
}

impl Embedded {
    /// Clusters the embeddings and builds the turns.
    ///
    /// The bounds on the number of speakers and the parameters of clustering, reconstruction and turns may
    /// differ from the options that the networks ran with, and so may batch sizes, threads and the fallback to
    /// the CPU. The result is that of a new run with these options. There are two exceptions. If the networks ran with at
    /// most one speaker and without embeddings, the maximum must stay 1, and the method cannot become VBx. If they
    /// ran for reconstruction by votes, it cannot be by voices.
    ///
    /// # Errors
    /// If an option is invalid or would require running the networks again, or if the device fails.
    pub fn cluster(&self, options: &Options) -> Result<Diarization> {
        self.cluster_with(options, |_| ControlFlow::Continue(()))
    }

    /// Like [`Self::cluster`], with an [observer](crate::Observer).
    ///
    /// # Errors
    /// As [`Self::cluster`]; [`Error::Cancelled`] if the observer cancels.
    pub fn cluster_with(
        &self,
        options: &Options,
        observer: impl FnMut(Event) -> ControlFlow<()> + Send,
    ) -> Result<Diarization> {
        let context = Context::after(&self.warnings, self.moved_to_cpu, options, Box::new(observer))?;
        context.on_threads(|| self.apply(options, &context))
    }

    /// Clusters the embeddings without building turns, for building them in several ways.
    ///
    /// # Errors
    /// As [`Self::cluster`].
    pub fn assign(&self, options: &Options) -> Result<Clustered<'_>> {
        let observer = Box::new(|_| ControlFlow::Continue(()));
        let context = Context::after(&self.warnings, self.moved_to_cpu, options, observer)?;
        context.on_threads(|| self.clusters(options, &context))
    }

    /// Runs all stages after the networks and reports their progress and the turns.
    pub(crate) fn apply(&self, options: &Options, context: &Context<'_>) -> Result<Diarization> {
        context.step(Stage::Clustering, 0)?;
        let clusters = self.clusters(options, context)?; // (chunk, local speaker)
        let diarization = clusters.diarization(&options.parameters)?;
        context.step(Stage::Clustering, 1)?;
        for warning in clusters.doubts(diarization.speakers.len(), &options.parameters) {
            context.tell(Event::Warning(warning))?;
        }
        for turn in &diarization.turns {
            context.tell(Event::Turn(turn.clone()))?;
        }
        Ok(diarization)
    }

    fn clusters(&self, options: &Options, context: &Context<'_>) -> Result<Clustered<'_>> {
        self.check(options)?;
        self.model.check_plda(options)?;
        let (networks, parameters) = (&self.model.networks, &options.parameters);
        let Some(embeddings) = self.embeddings.as_ref().filter(|_| options.need_embeddings()) else {
            return Ok(self.one_cluster(options, context));
        };
        let (clusters, voices) = context.on_device(networks, |networks| {
            let may_continue = || context.may_continue(Stage::Clustering);
            let device = ComputeDevice::new(&networks.device, &may_continue);
            self.cluster_on(&device, embeddings, options).map_err(|error| error.on(networks.place()))
        })?;
        let mut hard = clusters.hard; // (chunk, local speaker)
        mark_inactive(&mut hard, &self.segmentations);
        let found = (parameters.clustering.compat == Compat::Off).then_some(clusters.centroids.nrows());
        Ok(Clustered {
            embedded: self,
            hard,
            separation: clusters.separation,
            centroids: Some(clusters.centroids),
            voices,
            most: options.speaker_bounds().max.into_iter().chain(found).min(), // the smaller of those that exist
            requested: Requested::of(options),
            warnings: context.warnings(),
        })
    }

    /// Clusters the embeddings and, if voices decide who speaks, computes each cluster's share of the voice
    /// in each window.
    fn cluster_on(
        &self,
        device: &ComputeDevice<'_>,
        embeddings: &Embeddings,
        options: &Options,
    ) -> Result<(Clusters, Option<VoiceShares>)> {
        let (settings, plda) = (&options.parameters.clustering, self.model.plda.as_ref());
        let bounds = options.speaker_bounds();
        let window = self.chunks.window;
        let independent = (window.step / window.duration).min(1.0);
        let segmentations = &self.segmentations;
        let clusters =
            cluster_speakers(embeddings, segmentations, bounds, settings, plda, independent, device)?;
        let voices = match (options.parameters.reconstruction, &self.windows) {
            (Reconstruction::Voices, Some(windows)) => {
                let settings = self.model.networks.manifest.voices.as_ref().ok_or_else(no_voices)?;
                let centroids = clusters.centroids.view();
                Some(VoiceShares::new(windows, centroids, settings.temperature, device)?)
            }
            _ => None,
        };
        Ok((clusters, voices))
    }

    /// Assigns all active local speakers to one cluster.
    fn one_cluster(&self, options: &Options, context: &Context<'_>) -> Clustered<'_> {
        let shape = (self.segmentations.chunks(), self.segmentations.speakers());
        let mut hard = Array2::zeros(shape);
        mark_inactive(&mut hard, &self.segmentations);
        Clustered {
            embedded: self,
            hard,
            separation: Array2::ones(shape),
            centroids: None,
            voices: None,
            most: options.speaker_bounds().max,
            requested: Requested::of(options),
            warnings: context.warnings(),
        }
    }

    /// `(frame,)`: number of people speaking. The last chunk is padded with silence; unless pyannote's behavior is
    /// reproduced, nobody speaks in the padding.
    fn speaker_count(&self, compat: Compat) -> Vec<u8> {
        let frames = self.model.networks.frames();
        let is_inside = |frame: usize| compat == Compat::Pyannote || frames.middle_of(frame) < self.duration;
        let count = self.speaker_count.iter().enumerate();
        count.map(|(frame, &count)| if is_inside(frame) { count } else { 0 }).collect()
    }

    /// Ends turns with the recording, unless pyannote's behavior is reproduced.
    fn clip(&self, turns: &mut [Turn], compat: Compat) {
        if compat == Compat::Off {
            turns.iter_mut().for_each(|turn| turn.end = turn.end.min(self.duration));
        }
    }

    /// Checks that the options are valid and that everything they need was computed.
    fn check(&self, options: &Options) -> Result<()> {
        options.check()?;
        let again = |option, reason| Err(Error::NeedsNetworks { option, reason });
        if let Some(option) = options.parameters.other_for_networks(&self.options.parameters) {
            return again(option, "with another value");
        }
        if self.embeddings.is_none() && !is_silent(&self.speaker_count) && options.need_embeddings() {
            let option = if options.speaker_bounds().max == Some(1) { "clustering" } else { "max_speakers" };
            return again(option, "for one speaker, without embeddings");
        }
        let voices = options.parameters.reconstruction == Reconstruction::Voices;
        if voices && self.embeddings.is_some() && self.windows.is_none() {
            return again("reconstruction", "for votes, without embeddings of windows");
        }
        Ok(())
    }
}

impl Clustered<'_> {
    /// Builds the turns, applying the turn parameters in `parameters`.
    ///
    /// # Errors
    /// If a parameter is invalid.
    pub fn diarization(&self, parameters: &Parameters) -> Result<Diarization> {
        parameters.check()?;
        let (mut turns, labeled) = self.turns(parameters);
        let mut exclusive = self.exclusive(&labeled, parameters);

        if let Some(function) = &self.embedded.model.networks.manifest.confidence {
            let votes = self.votes();
            votes.rate(&mut turns, &labeled, function);
            votes.rate(&mut exclusive, &labeled, function);
        }
        let speakers = self.speakers(&turns, &labeled);
        let warnings = self.warnings.iter().cloned().chain(self.doubts(speakers.len(), parameters));
        Ok(Diarization { warnings: warnings.collect(), turns, exclusive, speakers })
    }

    /// The turns, and the cluster of each label.
    pub(crate) fn turns(&self, parameters: &Parameters) -> (Vec<Turn>, Vec<usize>) {
        let (frames, compat) = (self.embedded.model.networks.frames(), parameters.clustering.compat);
        let (on, off) = (parameters.min_duration_on, parameters.min_duration_off);
        let count = self.embedded.speaker_count(compat); // (frame,)
        let speaking = self.reconstruct(&count); // (frame, cluster)
        let (mut turns, labeled) = turns(speaking.view(), frames, on, off, compat);
        self.embedded.clip(&mut turns, compat);
        (turns, labeled)
    }

    /// The turns with at most one speaker at a time; `labeled` lists the cluster of each label.
    fn exclusive(&self, labeled: &[usize], parameters: &Parameters) -> Vec<Turn> {
        let (frames, compat) = (self.embedded.model.networks.frames(), parameters.clustering.compat);
        let on = parameters.min_duration_on;
        let off = if compat == Compat::Pyannote { parameters.min_duration_off } else { 0.0 };
        let mut count = self.embedded.speaker_count(compat); // (frame,)
        count.iter_mut().for_each(|count| *count = (*count).min(1));
        let speaking = self.reconstruct(&count); // (frame, cluster)
        let mut exclusive = turns_of(labeled, speaking.view(), frames, on, off);
        self.embedded.clip(&mut exclusive, compat);
        exclusive
    }

    /// Warnings about a result with `found` speakers.
    fn doubts(&self, found: usize, parameters: &Parameters) -> impl Iterator<Item = Warning> {
        self.settings_left_out(parameters).into_iter().chain(self.wrong_count(found, parameters))
    }

    /// A warning if pyannote is reproduced without settings that the model has.
    fn settings_left_out(&self, parameters: &Parameters) -> Option<Warning> {
        let own = &self.embedded.model.networks.manifest.parameters.clustering.method;
        let (Method::Vbx(own), Method::Vbx(used)) = (own, &parameters.clustering.method) else { return None };
        let settings = [
            ("fb_exponent", own.fb_exponent, used.fb_exponent),
            ("merge_distance", own.merge_distance, used.merge_distance),
        ];
        let left_out = settings.into_iter().filter(|&(_, own, used)| own != 0.0 && used == 0.0);
        let settings: Vec<String> = left_out.map(|(name, ..)| name.to_owned()).collect();
        let reproduced = parameters.clustering.compat == Compat::Pyannote && !settings.is_empty();
        reproduced.then_some(Warning::SettingsLeftOut { settings })
    }

    /// A warning if `found` speakers are not as many as requested.
    fn wrong_count(&self, found: usize, parameters: &Parameters) -> Option<Warning> {
        let agglomerative = matches!(parameters.clustering.method, Method::Agglomerative(_));
        let min_cluster_size = agglomerative && self.centroids.is_some();
        let wanted = self.requested.violated_by(found)?;
        Some(Warning::SpeakerCount { wanted, found, min_cluster_size })
    }

    /// Decides who speaks in each frame, given that `count` `(frame,)` people speak at once: `(frame,
    /// cluster)` of 0 and 1.
    pub(crate) fn reconstruct(&self, count: &[u8]) -> Array2<u8> {
        let Embedded { chunks, segmentations, .. } = self.embedded;
        let choice = Choice { most: self.most, voices: self.voices.as_ref() };
        let frames = self.embedded.model.networks.frames();
        reconstruct(segmentations, self.hard.view(), count, choice, chunks.window, frames)
    }

    /// The evidence from which the confidence of turns is computed.
    pub(crate) fn votes(&self) -> Votes<'_> {
        Votes {
            segmentations: &self.embedded.segmentations,
            hard_clusters: self.hard.view(),
            separation: self.separation.view(),
            chunks: self.embedded.chunks.window,
            frames: self.embedded.model.networks.frames(),
        }
    }

    /// The speakers of `turns`; `labeled` lists the cluster of each label, in order.
    fn speakers(&self, turns: &[Turn], labeled: &[usize]) -> Vec<Speaker> {
        let speaker = |(index, &cluster): (usize, &usize)| {
            let label = label(index);
            let own = turns.iter().filter(|turn| turn.speaker == label);
            let duration = own.map(|turn| turn.end - turn.start).sum();
            let centroids = self.centroids.as_ref().filter(|centroids| cluster < centroids.nrows());
            let embedding = centroids.map(|centroids| centroids.row(cluster).to_vec());
            Speaker { confidence: confidence::of_speaker(&label, turns), label, duration, embedding }
        };
        labeled.iter().enumerate().map(speaker).collect()
    }
}
