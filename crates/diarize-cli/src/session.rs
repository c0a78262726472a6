//! Reads, diarizes and writes recordings with one model.

use std::{collections::BTreeMap, num::NonZeroUsize, thread, time::Instant};

use anyhow::{Context, bail};
use diarize::{Device, Diarization, Options, Precision, Span, Turn, Warning};
use diarize_audio::Decoding;
#[cfg(feature = "words")]
use diarize_words::Loudness;
use tracing::{info, warn};

use crate::{
    commands::diarize::Job,
    input::Input,
    kept::Kept,
    listening::{Heard, listen},
    names::Names,
    order::Ticket,
    output::{self, Format, Output, Recording},
    pipelines::{Pipeline, Pipelines},
    progress::{Console, Part},
    source::{Decoded, Source},
    transcript::Transcripts,
    voice_embedder::VoiceEmbedder,
    warnings::{Written, speakers},
};
#[cfg(feature = "words")]
use crate::{
    partial::Partial,
    recognition::{Recognizer, Speech},
    transcript::Transcript,
};

/// The fraction of the work that finds speakers, if the rest finds words. A rough estimate.
const SPEAKERS_WORK: f64 = 0.2;

/// State shared by all files.
pub struct Session<'a> {
    job: &'a Job,
    console: &'a Console,
    pub(crate) pipelines: Pipelines,
    options: Options,
    transcripts: Option<Transcripts>,
    #[cfg(feature = "words")]
    recognizer: Option<Recognizer>,
    names: Option<Names>,
    kept: &'a Kept,
}

/// Starts to decode a file, so that it is decoded while the model is loaded. `None` if [`Session::diarize`] must open it,
/// also to report why it cannot be opened.
pub fn decode_ahead(job: &Job, input: &Input) -> Option<Decoding> {
    // A pipe can be opened only once.
    input.path().filter(|path| path.is_file() && !job.channels.is_separate())?;
    let source = Source::new(input, job.audio.settings().with_range(job.part.clone()), false).ok()?;
    source.open().ok().map(Decoding::start)
}

/// The outcome of a recording.
pub struct Done {
    /// Seconds of audio that were processed.
    pub duration: f64,
    /// Processing time in seconds.
    pub elapsed: f64,
    /// Number of speakers.
    pub speakers: usize,
    /// Number of turns.
    pub turns: usize,
    /// Number of words, if they were found in the audio.
    pub words: Option<usize>,
    /// The result for the standard output.
    pub printed: String,
}

impl<'a> Session<'a> {
    /// Loads the model, the transcripts and the known voices, for processing so many files at once. `kept` gets what there is of
    /// results that are not complete.
    pub fn open(
        job: &'a Job,
        files_at_once: usize,
        console: &'a Console,
        kept: &'a Kept,
    ) -> anyhow::Result<Self> {
        let transcripts = job.transcript.as_deref().map(Transcripts::open).transpose()?;
        let threads = job.model.threads().or_else(|| share_of_threads(files_at_once));
        let (pipelines, files) = job.model.open_for(files_at_once, console)?;
        #[cfg(feature = "words")]
        let recognizer = {
            let (devices, precision) = (pipelines.devices(), job.model.precision());
            // All files share the threads that find words.
            let threads = threads.map(|each| each * files_at_once);
            job.recognition.as_ref().map(|found| found.open(devices, precision, threads)).transpose()?
        };
        let names = job.names.open(&files)?;
        let mut options = job.model.options(pipelines.first());
        job.speakers.apply(&mut options);
        options.threads = threads;
        job.overrides.apply(&mut options, pipelines.model().segmentation.duration)?;
        pipelines.first().check(&options)?;
        Ok(Self {
            job,
            console,
            pipelines,
            options,
            transcripts,
            #[cfg(feature = "words")]
            recognizer,
            names,
            kept,
        })
    }

    /// Diarizes one input and writes its files. `ticket` is its place in the order of the inputs, `ahead` its audio, if
    /// it is being decoded, and `part` its part of the work on all files.
    pub fn diarize(
        &self,
        input: &Input,
        outputs: &[Output],
        ticket: Ticket<'_>,
        ahead: Option<Decoding>,
        part: Option<Part>,
    ) -> anyhow::Result<Done> {
        let begin = Instant::now();
        let file = input.to_string();
        let stem = input.stem();
        let uri = output::uri(&stem);
        let transcript = self.transcripts.as_ref().map(|transcripts| transcripts.of(input)).transpose()?;
        if self.job.style.words && transcript.as_ref().is_some_and(|transcript| !transcript.has_word_times())
        {
            bail!(
                "--words needs the times of words, which the transcript does not have: leave out --words, or make one with \
                 --word_timestamps True (openai-whisper) or -ojf (whisper.cpp)"
            );
        }
        let source = self.source(input, outputs)?;
        let pipeline = self.pipelines.for_recording();
        let speakers_end = if self.job.finds_words() { SPEAKERS_WORK } else { 1.0 };
        let progress = self.console.file(&file);
        let progress = progress.with_part(part.as_ref().map(|part| part.within(0.0..speakers_end)));
        #[cfg(feature = "words")]
        let progress = if self.job.finds_words() { progress.before_words() } else { progress };
        #[cfg(feature = "words")]
        let mut loudness = Loudness::default();
        let heard =
            listen(&pipeline, &source, ahead, &self.options, &self.job.channels, progress, |_samples| {
                #[cfg(feature = "words")]
                if self.job.finds_words() {
                    loudness.push(_samples);
                }
            })?;
        let Heard { mut diarization, decoded, mut timings } = heard;
        decoded.warn(input);
        let Decoded { duration, start_offset, losses, warnings } = decoded;
        let logged = diarization.warnings.len();
        let similarities = self.name(&pipeline, &mut diarization, &source, duration, ticket)?;
        let of_names: Vec<String> = diarization.warnings[logged..].iter().map(ToString::to_string).collect();
        log(&file, &of_names);
        #[cfg(feature = "words")]
        let (found, partial) = {
            let speech =
                Speech { turns: &diarization.turns, exclusive: &diarization.exclusive, loudness: &loudness };
            self.transcribe(&file, &source, outputs, speech, part)?.unzip()
        };
        #[cfg(feature = "words")]
        let transcript = found.map(std::borrow::Cow::Owned).or(transcript);
        shift(&mut diarization, source.start());
        let diarized = Span { start: source.start(), end: duration };
        let found = Written {
            name: &stem,
            outputs,
            transcript: transcript.as_deref(),
            is_recognized: self.job.finds_words(),
            diarized,
            diarization: &diarization,
            turns: self.written(&diarization),
        }
        .warnings();
        log(&file, &found);
        let of_networks = diarization.warnings.iter().map(ToString::to_string).collect();
        let warnings = [losses, warnings, found, of_networks].concat();
        timings.total = begin.elapsed().as_secs_f64();
        info!("{file}: {:.1} s of audio in {:.2} s", duration - source.start(), timings.total);

        let transcript =
            transcript.map(|transcript| transcript.with_speakers(&diarization.exclusive, diarized));
        let device = ran_on(pipeline.device, &diarization.warnings);
        let recording = Recording {
            file: &file,
            path: input.path(),
            uri: &uri,
            duration,
            channels: &self.channels(),
            clock: self.job.audio.time(),
            start_offset,
            source: &source,
            warnings: &warnings,
            model: &self.pipelines.model().name,
            device,
            precision: if device == Device::Cpu { Precision::F32 } else { self.job.model.precision() },
            options: &self.options,
            timings,
            diarization: &diarization,
            similarities: &similarities,
            transcript: transcript.as_ref(),
        };
        let done = self.finish(&recording, outputs)?;
        self.kept.complete(outputs.iter().filter_map(Output::file), !self.job.inputs.several);
        #[cfg(feature = "words")]
        if let Some(partial) = partial.flatten() {
            partial.remove();
        }
        Ok(done)
    }

    /// Writes the results of a file.
    fn finish(&self, recording: &Recording<'_>, outputs: &[Output]) -> anyhow::Result<Done> {
        let &Recording { duration, source, timings, diarization, transcript, .. } = recording;
        let printed = self.write(recording, outputs)?;
        let turns = self.written(diarization);
        let (speakers, turns) = (speakers(turns).len(), turns.len());
        let duration = duration - source.start();
        let words = transcript.filter(|_| self.job.finds_words()).map(|found| found.word_times().count());
        Ok(Done { duration, elapsed: timings.total, speakers, turns, words, printed })
    }

    /// The words of a file, if they are to be found, and the file that has them until the results are written.
    #[cfg(feature = "words")]
    fn transcribe(
        &self,
        file: &str,
        source: &Source,
        outputs: &[Output],
        speech: Speech<'_>,
        part: Option<Part>,
    ) -> anyhow::Result<Option<(Transcript, Option<Partial>)>> {
        let Some(recognizer) = &self.recognizer else { return Ok(None) };
        let mut files = outputs.iter().filter_map(Output::file);
        let result = files.find(|file| !output::is_special(file));
        let partial = result.map(|file| Partial::of(file, self.kept.clone()));
        let progress = self.console.file(file);
        let progress = progress.with_part(part.map(|part| part.within(SPEAKERS_WORK..1.0)));
        recognizer.transcribe(source, speech, partial, progress).map(Some)
    }

    /// The audio of a file. Names may need the voices of turns, and HTML pages and words the audio, after it is diarized.
    fn source(&self, input: &Input, outputs: &[Output]) -> anyhow::Result<Source> {
        let again = self.names.is_some()
            || self.job.finds_words()
            || outputs.iter().any(|output| output.format == Format::Html);
        Source::new(input, self.job.audio.settings().with_range(self.job.part.clone()), again)
    }

    /// Writes the files of a recording and returns the text for the standard output.
    fn write(&self, recording: &Recording<'_>, outputs: &[Output]) -> anyhow::Result<String> {
        let mut printed = String::new();
        for output in outputs {
            let Output { format, destination } = output;
            match output.file() {
                None => {
                    let shared = self.job.inputs.several;
                    printed += &recording.render(*format, self.job.style, shared, destination)?;
                }
                Some(path) => {
                    let content = recording.content(*format, self.job.style, destination)?;
                    output::write_atomically(path, content)
                        .with_context(|| format!("cannot write {}", path.display()))?;
                    self.kept.written(path);
                }
            }
        }
        Ok(printed)
    }

    /// How the channels are used, for results.
    fn channels(&self) -> String {
        match self.job.audio.channel() {
            _ if self.job.channels.is_separate() => "separate".to_owned(),
            Some(channel) => channel.to_string(),
            None => "mean".to_owned(),
        }
    }

    /// The turns that results contain.
    fn written<'d>(&self, diarization: &'d Diarization) -> &'d [Turn] {
        if self.job.style.exclusive { &diarization.exclusive } else { &diarization.turns }
    }

    /// Gives the speakers their names and returns the similarity of each recognized speaker, by name.
    fn name(
        &self,
        pipeline: &Pipeline,
        diarization: &mut Diarization,
        source: &Source,
        duration: f64,
        ticket: Ticket<'_>,
    ) -> anyhow::Result<BTreeMap<String, f64>> {
        let Some(names) = &self.names else { return Ok(BTreeMap::new()) };
        ticket.wait();
        let embedder = VoiceEmbedder { diarizer: &pipeline.diarizer, options: &self.options };
        names.apply(diarization, &embedder, source, duration - source.start())
    }
}

/// Logs the warnings about a file.
fn log(file: &str, warnings: &[String]) {
    for warning in warnings {
        warn!("{file}: {warning}");
    }
}

/// The device on which the networks ran to their end.
fn ran_on(device: Device, warnings: &[Warning]) -> Device {
    match warnings.iter().any(|warning| matches!(warning, Warning::MovedToCpu { .. })) {
        true => Device::Cpu,
        false => device,
    }
}

/// Moves the turns of a part to their times in the recording.
fn shift(diarization: &mut Diarization, start: f64) {
    for turn in diarization.turns.iter_mut().chain(&mut diarization.exclusive) {
        turn.start += start;
        turn.end += start;
    }
}

/// Processor threads for each of several parallel files; `None` for a single one.
fn share_of_threads(files_at_once: usize) -> Option<usize> {
    let all = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (files_at_once > 1).then(|| (all / files_at_once).max(1))
}

#[cfg(test)]
mod tests {
    use diarize::{Device, Stage, Warning};

    use super::ran_on;

    #[test]
    fn the_result_names_the_device_that_ran() {
        let gpu = Device::Cuda(1);
        let smaller = Warning::SmallerBatch { stage: Stage::Embeddings, failed: 8, now: 4 };
        let moved = Warning::MovedToCpu { device: gpu, reason: "no memory".to_owned() };
        assert_eq!(ran_on(gpu, &[]), gpu);
        assert_eq!(ran_on(gpu, std::slice::from_ref(&smaller)), gpu);
        assert_eq!(ran_on(gpu, &[smaller, moved]), Device::Cpu);
    }
}
