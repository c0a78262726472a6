//! Reads, diarizes and writes recordings with one model.

use std::{collections::BTreeMap, num::NonZeroUsize, thread, time::Instant};

use anyhow::{Context, bail};
use diarize::{Device, Diarization, Options, Precision, Turn, Warning};
use diarize_audio::Decoding;
#[cfg(feature = "words")]
use diarize_words::Loudness;
use tracing::{info, warn};

use crate::{
    commands::diarize::Job,
    input::Input,
    listening::{Heard, listen},
    names::Names,
    order::Ticket,
    output::{self, Format, Output, Recording},
    pipelines::{Pipeline, Pipelines},
    progress::Console,
    source::{Decoded, Source},
    transcript::{Span, Transcripts},
    voice_embedder::VoiceEmbedder,
    warnings::{SILENCE, Written, speakers},
};
#[cfg(feature = "words")]
use crate::{partial::Partial, recognition::Recognizer, transcript::Transcript};

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
    /// Its length in seconds.
    pub duration: f64,
    /// Processing time in seconds.
    pub elapsed: f64,
    /// Number of speakers.
    pub speakers: usize,
    /// Number of turns.
    pub turns: usize,
    /// The result for the standard output.
    pub printed: String,
}

impl<'a> Session<'a> {
    /// Loads the model, the transcripts and the known voices, for processing so many files at once.
    pub fn open(job: &'a Job, files_at_once: usize, console: &'a Console) -> anyhow::Result<Self> {
        let transcripts = job.transcript.as_deref().map(Transcripts::open).transpose()?;
        let threads = job.model.threads().or_else(|| share_of_threads(files_at_once));
        let (pipelines, files) = job.model.open_for(files_at_once, console)?;
        #[cfg(feature = "words")]
        let recognizer = {
            let (devices, precision) = (pipelines.devices(), job.model.precision());
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
        })
    }

    /// Diarizes one input and writes its files. `ticket` is its place in the order of the inputs, `ahead` its audio, if
    /// it is being decoded.
    pub fn diarize(
        &self,
        input: &Input,
        outputs: &[Output],
        ticket: Ticket<'_>,
        ahead: Option<Decoding>,
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
        let progress = self.console.file(&file);
        #[cfg(feature = "words")]
        let mut loudness = Loudness::default();
        let heard =
            listen(&pipeline, &source, ahead, &self.options, &self.job.channels, progress, |_samples| {
                #[cfg(feature = "words")]
                if self.finds_words() {
                    loudness.push(_samples);
                }
            })?;
        let Heard { mut diarization, decoded, mut timings } = heard;
        decoded.warn(input);
        let Decoded { duration, start_offset, losses, warnings } = decoded;
        #[cfg(feature = "words")]
        let (found, partial) =
            self.transcribe(&file, &source, outputs, &diarization.turns, &loudness)?.unzip();
        #[cfg(feature = "words")]
        let transcript = found.map(std::borrow::Cow::Owned).or(transcript);
        let logged = diarization.warnings.len();
        let similarities = self.name(&pipeline, &mut diarization, &source, duration, ticket)?;
        let of_names: Vec<String> = diarization.warnings[logged..].iter().map(ToString::to_string).collect();
        self.log(&file, &of_names);
        shift(&mut diarization, source.start());
        let diarized = Span { start: source.start(), end: duration };
        let found = Written {
            name: &stem,
            outputs,
            transcript: transcript.as_deref(),
            is_recognized: self.finds_words(),
            diarized,
            diarization: &diarization,
            turns: self.written(&diarization),
        }
        .warnings();
        self.log(&file, &found);
        let of_networks = diarization.warnings.iter().map(ToString::to_string).collect();
        let warnings = [losses, warnings, found, of_networks].concat();
        timings.total = begin.elapsed().as_secs_f64();
        info!("{file}: {:.1} s of audio in {:.1} s", duration, timings.total);

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
        #[cfg(feature = "words")]
        if let Some(partial) = partial.flatten() {
            partial.remove();
        }
        Ok(done)
    }

    /// Writes the results of a file.
    fn finish(&self, recording: &Recording<'_>, outputs: &[Output]) -> anyhow::Result<Done> {
        let &Recording { duration, timings, diarization, .. } = recording;
        let printed = self.write(recording, outputs)?;
        let turns = self.written(diarization);
        let (speakers, turns) = (speakers(turns).len(), turns.len());
        Ok(Done { duration, elapsed: timings.total, speakers, turns, printed })
    }

    /// The words of a file, if they are to be found, and the file that has them until the results are written.
    #[cfg(feature = "words")]
    fn transcribe(
        &self,
        file: &str,
        source: &Source,
        outputs: &[Output],
        turns: &[Turn],
        loudness: &Loudness,
    ) -> anyhow::Result<Option<(Transcript, Option<Partial>)>> {
        let Some(recognizer) = &self.recognizer else { return Ok(None) };
        let mut files = outputs.iter().filter_map(Output::file);
        let result = files.find(|file| !output::is_special(file));
        recognizer.transcribe(source, turns, loudness, result, self.console.file(file)).map(Some)
    }

    /// The audio of a file. Names may need the voices of turns, and HTML pages and words the audio, after it is diarized.
    fn source(&self, input: &Input, outputs: &[Output]) -> anyhow::Result<Source> {
        let again = self.names.is_some()
            || self.finds_words()
            || outputs.iter().any(|output| output.format == Format::Html);
        Source::new(input, self.job.audio.settings().with_range(self.job.part.clone()), again)
    }

    /// Logs the warnings about a file.
    fn log(&self, file: &str, warnings: &[String]) {
        for warning in warnings {
            // The summary of a batch says that nobody speaks.
            if *warning != SILENCE || !self.job.inputs.several {
                warn!("{file}: {warning}");
            }
        }
    }

    /// Whether words are found, not only speakers.
    fn finds_words(&self) -> bool {
        #[cfg(feature = "words")]
        return self.recognizer.is_some();
        #[cfg(not(feature = "words"))]
        false
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
