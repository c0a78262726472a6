//! Reads, diarizes and writes recordings with one model.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use anyhow::Context;
use diarize::{Diarization, Diarizer, Event, Options};
use tracing::{info, warn};

use crate::{
    commands::diarize::Job,
    input::Input,
    names::Names,
    order::Ticket,
    output::{self, Format, Output, Recording, Timings},
    progress::Console,
    source::{Decoded, Source},
    transcript::Transcripts,
    voice_embedder::VoiceEmbedder,
};

/// State shared by all files.
pub struct Session<'a> {
    job: &'a Job,
    console: &'a Console,
    diarizer: Diarizer,
    options: Options,
    transcripts: Option<Transcripts>,
    names: Option<Names>,
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
    /// Loads the model, the transcripts and the known voices, and prepares the output directories.
    pub fn open(job: &'a Job, console: &'a Console) -> anyhow::Result<Self> {
        job.destinations.prepare().context("cannot create the output directory")?;
        let transcripts = job.transcript.as_deref().map(Transcripts::open).transpose()?;
        let (diarizer, files) = job.model.open_with_files(console)?;
        let names = job.names.open(&files)?;
        let mut options = job.model.options(&diarizer);
        job.speakers.apply(&mut options);
        options.threads = options.threads.or_else(|| share_of_threads(job.batch.jobs));
        job.overrides.apply(&mut options, diarizer.model().segmentation.duration)?;
        Ok(Self { job, console, diarizer, options, transcripts, names })
    }

    /// Diarizes one input and writes its files. `ticket` is its place in the order of the inputs.
    pub fn diarize(&self, input: &Input, outputs: &[Output], ticket: Ticket<'_>) -> anyhow::Result<Done> {
        let begin = Instant::now();
        let file = input.to_string();
        let stem = input.stem();
        let uri = output::uri(&stem);
        let transcript = self.transcripts.as_ref().map(|transcripts| transcripts.of(input)).transpose()?;
        // Names may need the voices of turns, and HTML pages the audio.
        let again = self.names.is_some() || outputs.iter().any(|output| output.format == Format::Html);
        let settings = self.job.audio.settings().with_range(self.job.part.clone());
        let source = Source::new(input, settings, again)?;
        let mut timings = Timings::default();
        let (mut diarization, Decoded { duration, start_offset, mut warnings }) =
            self.listen(&file, &source, &mut timings)?;
        if uri != stem {
            warnings.push(format!("named `{uri}` in the result, because RTTM allows no white space"));
        }
        for warning in &warnings {
            warn!("{file}: {warning}");
        }
        if diarization.turns.is_empty() {
            // The summary of a batch says so too.
            if !self.job.inputs.several {
                warn!("{file}: {SILENCE}");
            }
            warnings.push(SILENCE.to_owned());
        }
        warnings.extend(diarization.warnings.iter().map(ToString::to_string));
        let similarities = match &self.names {
            None => BTreeMap::new(),
            Some(names) => {
                ticket.wait();
                let embedder = VoiceEmbedder { diarizer: &self.diarizer, options: &self.options };
                names.apply(&mut diarization, &embedder, &source, duration - source.start())?
            }
        };
        drop(ticket);
        shift(&mut diarization, source.start());
        timings.total = begin.elapsed().as_secs_f64();
        info!("{file}: {:.1} s of audio in {:.1} s", duration, timings.total);

        let transcript = transcript.map(|transcript| transcript.with_speakers(&diarization.exclusive));
        let recording = Recording {
            file: &file,
            path: input.path(),
            uri: &uri,
            duration,
            clock: self.job.audio.time(),
            start_offset,
            source: &source,
            warnings: &warnings,
            model: &self.diarizer.model().name,
            device: self.job.model.device(),
            options: &self.options,
            timings,
            diarization: &diarization,
            similarities: &similarities,
            transcript: transcript.as_ref(),
        };
        let mut printed = String::new();
        for output in outputs {
            let shared = output.file().is_none() && self.job.inputs.several;
            let text = recording.render(output.format, self.job.style, shared, &output.destination)?;
            match output.file() {
                None => printed += &text,
                Some(path) => output::write_atomically(path, &text)
                    .with_context(|| format!("cannot write {}", path.display()))?,
            }
        }
        let (speakers, turns) = (diarization.speakers.len(), diarization.turns.len());
        Ok(Done { duration, elapsed: timings.total, speakers, turns, printed })
    }

    /// Diarizes the audio while reading it.
    fn listen(
        &self,
        file: &str,
        source: &Source,
        timings: &mut Timings,
    ) -> anyhow::Result<(Diarization, Decoded)> {
        let separate = self.job.channels.is_separate();
        let mut progress = self.console.file(file);
        if separate {
            progress = progress.segmentation_only();
        }
        let clock = Mutex::new((Instant::now(), *timings));
        let observer = |event: Event| {
            if let Event::Progress(now) = &event {
                let (last, timings) = &mut *lock(&clock);
                timings.add(now.stage, last.elapsed());
                *last = Instant::now();
            }
            progress.observe(&event)
        };
        let (diarization, decoded) = if separate {
            let mut audio = source.open_channels()?;
            let speakers = self.job.channels.speakers(audio.layout()?.channels)?;
            let mut listener = self.diarizer.listen_to_channels(&speakers, &self.options, observer)?;
            listener.expect_seconds(audio.declared_duration().unwrap_or(0.0));
            let decoded = Decoded::all(audio, |block| {
                note_reading(&clock);
                Ok(listener.push(block)?)
            })?;
            (listener.finish()?, decoded)
        } else {
            let audio = source.open()?;
            let mut listener = self.diarizer.listen_with(&self.options, observer)?;
            listener.expect_seconds(audio.declared_duration().unwrap_or(0.0));
            let decoded = Decoded::all(audio, |block| {
                note_reading(&clock);
                Ok(listener.push(block)?)
            })?;
            (listener.finish()?, decoded)
        };
        *timings = lock(&clock).1;
        Ok((diarization, decoded))
    }
}

/// The warning about a recording without turns, whose result would otherwise be an empty output.
pub const SILENCE: &str = "nobody speaks";

/// Moves the turns of a part to their times in the recording.
fn shift(diarization: &mut Diarization, start: f64) {
    for turn in diarization.turns.iter_mut().chain(&mut diarization.exclusive) {
        turn.start += start;
        turn.end += start;
    }
}

/// Adds the time since the last event to the reading time: it was spent waiting for audio. The lock is
/// released before the networks run, because their events take it too.
fn note_reading(clock: &Mutex<(Instant, Timings)>) {
    let (last, timings) = &mut *lock(clock);
    timings.reading += last.elapsed().as_secs_f64();
    *last = Instant::now();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Processor threads for each of `jobs` parallel files; `None` for a single job.
fn share_of_threads(jobs: NonZeroUsize) -> Option<usize> {
    let all = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (jobs.get() > 1).then(|| (all / jobs).max(1))
}
