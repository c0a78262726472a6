//! Finds the words of recordings, guided by their turns.

use std::{num::NonZeroUsize, path::PathBuf, time::Instant};

use anyhow::{Context, bail, ensure};
use diarize::{Device, Devices, Precision, SAMPLE_RATE, Span, Turn};
use diarize_convert::{
    catalogue::{Catalogue, Model, Task},
    hub,
};
use diarize_words::{Loudness, Options, Segment, Whisper, windows, without_imagined};
use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};
use serde_json::{Value, json};
use tracing::info;

use crate::{
    commands::conflict, languages, numbers, output::Format, partial::Partial, progress::FileProgress,
    source::Source, transcript::Transcript,
};

/// Number of windows with speech from which the language is detected.
const LANGUAGE_WINDOWS: usize = 3;

/// The model that finds words, and what it is told.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Words")]
pub struct RecognitionArgs {
    /// Whisper model [default: the last one in `diarize model list` that is on this machine and knows the language]
    ///
    /// A name such as whisper-small after `diarize model download whisper-small`; or a folder with a model as on
    /// huggingface.co, for faster-whisper, or with a GGUF file as for candle.
    #[arg(long, value_name = "MODEL")]
    whisper: Option<PathBuf>,
    /// Language of the recording, such as en or German [default: detected]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Translate to English
    #[arg(long)]
    translate: bool,
    /// Text that could precede each window of at most 30 s: it shows the style; small models can lose sentences after it
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Words that may occur, such as names, separated by commas: Whisper is then more likely to spell them that way
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    vocabulary: Vec<String>,
    /// Number of candidate texts that Whisper compares, from 1 to 32: 5 is slower than 1, and often slightly better
    #[arg(long, value_name = "N", default_value = "1", value_parser = numbers::count::<32>)]
    beam: NonZeroUsize,
}

/// A model on this machine, and what it is told.
#[derive(Clone, Debug)]
pub struct Recognition {
    folder: PathBuf,
    /// The language as it was typed.
    language: Option<String>,
    options: Options,
}

/// Finds words.
#[derive(Debug)]
pub struct Recognizer {
    /// One on each device.
    whispers: Vec<Whisper>,
    options: Options,
    pool: ThreadPool,
}

impl RecognitionArgs {
    /// Finds the model.
    ///
    /// # Errors
    /// If there is none (the message says how to get one), or if an option has no value that can be used.
    pub fn find(self) -> anyhow::Result<Recognition> {
        let mut options = Options::default();
        options.language = self.language.as_deref().and_then(languages::code);
        options.translate = self.translate;
        options.prompt.clone_from(&self.prompt);
        options.vocabulary = self.vocabulary.iter().map(|word| word.trim().to_owned()).collect();
        options.vocabulary.retain(|word| !word.is_empty());
        if options.vocabulary.is_empty() && !self.vocabulary.is_empty() {
            return Err(conflict("--vocabulary contains no words").into());
        }
        options.beam = Some(self.beam);
        let folder = self.folder()?;
        Ok(Recognition { folder, language: self.language, options })
    }

    fn folder(&self) -> anyhow::Result<PathBuf> {
        let catalogue = Catalogue::open()?;
        let known: Vec<&Model> =
            catalogue.models().iter().filter(|model| model.task == Task::Transcribe).collect();
        let Some(path) = &self.whisper else {
            // A model for English alone is the choice only if there is no other, or if English is asked for.
            let is_english = self.language.as_deref().and_then(languages::code).as_deref() == Some("en");
            let installed = |english_only: bool| {
                let models = known.iter().rev().filter(|model| model.name.ends_with(".en") == english_only);
                models.filter_map(|model| model.installed()).next()
            };
            let any = || known.iter().rev().find_map(|model| model.installed());
            let found = if is_english { any() } else { installed(false).or_else(|| installed(true)) };
            return found.context(
                "transcribe needs a Whisper model: `diarize model download whisper-small` gets one, and `diarize model \
                 list` shows others; --whisper DIR uses a folder from huggingface.co or faster-whisper",
            );
        };
        let name = path.to_string_lossy();
        if path.exists() {
            ensure!(path.is_dir(), "--whisper {name} is a file: name the folder with the model");
            return Ok(path.clone());
        }
        let names = || known.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        let unknown = || format!("--whisper {name}: neither a folder nor one of the models {}", names());
        let Some((_, repository)) = name.split_once('/').filter(|_| hub::is_repo_id(&name)) else {
            return match known
                .iter()
                .find(|model| [&*name, &format!("whisper-{name}")].contains(&&*model.name))
            {
                Some(model) => model.installed().with_context(|| {
                    let missing = diarize_convert::Error::NotDownloaded { name: model.name.clone() };
                    format!("--whisper {name}: {missing}")
                }),
                None => bail!(unknown()),
            };
        };
        // Many repositories hold one of the known models in another format.
        match known
            .iter()
            .find(|model| repository.strip_prefix("faster-").unwrap_or(repository) == model.name)
        {
            Some(model) => bail!(
                "--whisper {name} is a hub repository: get this model once with `diarize model download {0}`, then use \
                 --whisper {0}; or download the repository into a folder, and name that",
                model.name
            ),
            None => {
                bail!("{}; if it is a hub repository, download it into a folder, and name that", unknown())
            }
        }
    }
}

impl Recognition {
    /// Loads the model on each device, for as many threads; `None` uses all.
    ///
    /// # Errors
    /// If it is damaged, or an option does not fit it.
    pub fn open(
        &self,
        devices: &Devices,
        precision: Precision,
        threads: Option<usize>,
    ) -> anyhow::Result<Recognizer> {
        let begin = Instant::now();
        let load = |&device: &Device| Whisper::load_on(&self.folder, device, precision);
        let whispers = devices.as_slice().iter().map(load).collect::<Result<Vec<Whisper>, _>>();
        let whispers = whispers.map_err(|error| match error {
            diarize_words::Error::NoModel { .. } => conflict(format!("--whisper {error}")).into(),
            error => anyhow::Error::from(error),
        })?;
        self.check(&whispers[0])?;
        let mut options = self.options.clone();
        if !whispers[0].is_multilingual() {
            options.language = Some("en".to_owned());
        }
        info!("loaded {} on {devices} in {:.2} s", self.folder.display(), begin.elapsed().as_secs_f64());
        // Without a number, `rayon` takes RAYON_NUM_THREADS, or the number of the processor's cores.
        let pool = ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
        let pool = pool.context("cannot start the threads for Whisper")?;
        Ok(Recognizer { whispers, options, pool })
    }

    /// Checks whether options fit the model. Errors show the language as it was typed.
    fn check(&self, whisper: &Whisper) -> Result<(), diarize_words::Error> {
        let known = whisper.languages();
        let mut options = self.options.clone();
        if let (Some(typed), Some(code)) = (&self.language, &self.options.language)
            && !known.contains(&code.as_str())
        {
            if whisper.is_multilingual() {
                return Err(languages::unknown(typed, known));
            }
            options.language = Some(typed.clone());
        }
        whisper.check(&options)
    }
}

/// The work on one recording.
struct Work<'a> {
    recognizer: &'a Recognizer,
    /// With the language, once it is known.
    options: Options,
    /// Seconds of the recording before the first sample.
    offset: f64,
    /// Seconds.
    length: f64,
    /// Windows that are not decoded yet: their first sample, and their samples.
    waiting: Vec<(usize, Vec<f32>)>,
    segments: Vec<Segment>,
    /// The turns of the recording.
    turns: Vec<Turn>,
    /// The same without overlap.
    exclusive: Vec<Turn>,
    partial: Option<Partial>,
    progress: FileProgress,
}

/// What is known about the speech in a recording. Times are relative to the start of what is read.
#[derive(Clone, Copy, Debug)]
pub struct Speech<'a> {
    /// The turns, which may overlap.
    pub turns: &'a [Turn],
    /// The turns without overlap.
    pub exclusive: &'a [Turn],
    /// How loud the recording is.
    pub loudness: &'a Loudness,
}

impl Recognizer {
    /// Transcribes what is said in turns. `partial` gets the text so far.
    ///
    /// # Errors
    /// If the audio cannot be read, or a network fails.
    pub fn transcribe(
        &self,
        source: &Source,
        Speech { turns, exclusive, loudness }: Speech<'_>,
        partial: Option<Partial>,
        progress: FileProgress,
    ) -> anyhow::Result<(Transcript, Option<Partial>)> {
        let of_recording =
            |turns: &[Turn]| turns.iter().map(|turn| later(turn, source.start())).collect::<Vec<_>>();
        let mut work = Work {
            recognizer: self,
            options: self.options.clone(),
            offset: source.start(),
            length: loudness.seconds(),
            waiting: Vec::new(),
            segments: Vec::new(),
            turns: of_recording(turns),
            exclusive: of_recording(exclusive),
            partial,
            progress,
        };
        work.progress.transcribed(0.0, work.length);
        let index = |seconds: f64| (seconds * f64::from(SAMPLE_RATE)).round() as usize;
        let windows = windows(loudness, turns);
        let mut windows = windows.iter().map(|window| index(window.start)..index(window.end)).peekable();
        // The samples from `first` on that are still needed.
        let (mut first, mut samples) = (0, Vec::new());
        let mut read = |block: &[f32], is_end: bool| -> anyhow::Result<()> {
            samples.extend_from_slice(block);
            while let Some(window) = windows.next_if(|window| is_end || window.end <= first + samples.len()) {
                let end = window.end.min(first + samples.len());
                let start = window.start.min(end);
                let part = samples[start - first..end - first].to_vec();
                work.add(start, part, windows.peek().is_none())?;
            }
            let end = first + samples.len();
            let needed = windows.peek().map_or(end, |window| window.start.clamp(first, end));
            samples.drain(..needed - first);
            first = needed;
            Ok(())
        };
        source.read(|block| read(block, false))?;
        read(&[], true)?;
        let text = document(&work.segments, work.options.language.as_deref()).to_string();
        Ok((Transcript::parse(&text)?, work.partial))
    }
}

/// A turn that is later by some seconds.
fn later(turn: &Turn, seconds: f64) -> Turn {
    Turn { start: turn.start + seconds, end: turn.end + seconds, ..turn.clone() }
}

impl Work<'_> {
    /// Decodes a window, or keeps it until there are enough to tell the language and to decode many at the same time.
    fn add(&mut self, first: usize, samples: Vec<f32>, is_last: bool) -> anyhow::Result<()> {
        let Recognizer { whispers, pool, .. } = self.recognizer;
        self.waiting.push((first, samples));
        let at_once = whispers.len() * whispers[0].parts_at_once();
        let wanted = if self.options.language.is_none() { at_once.max(LANGUAGE_WINDOWS) } else { at_once };
        if self.waiting.len() < wanted && !is_last {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        if self.options.language.is_none() {
            let parts = waiting.iter().take(LANGUAGE_WINDOWS).map(|(_, samples)| samples.as_slice());
            let parts: Vec<&[f32]> = parts.collect();
            let (language, probability) = pool.install(|| whispers[0].detect_language(&parts))?;
            info!("{}: the language is {language}, with probability {probability:.2}", self.progress.name());
            self.options.language = Some(language);
        }
        waiting.chunks(at_once).try_for_each(|windows| self.decode(windows))
    }

    /// Decodes windows at the same time.
    fn decode(&mut self, windows: &[(usize, Vec<f32>)]) -> anyhow::Result<()> {
        let Recognizer { whispers, pool, .. } = self.recognizer;
        let options = &self.options;
        let parts: Vec<&[f32]> = windows.iter().map(|(_, samples)| samples.as_slice()).collect();
        let on_each = parts.chunks(parts.len().div_ceil(whispers.len()));
        let found: Vec<Vec<Segment>> = pool.install(|| {
            let found = whispers.par_iter().zip(on_each.collect::<Vec<_>>());
            let found = found.map(|(whisper, parts)| whisper.transcribe_parts(parts, options));
            found.collect::<Result<Vec<_>, _>>().map(|found| found.concat())
        })?;
        for ((first, samples), segments) in windows.iter().zip(found) {
            let [start, length] =
                [*first, samples.len()].map(|samples| samples as f64 / f64::from(SAMPLE_RATE));
            let segments = segments.into_iter().map(|segment| segment.of_part(self.offset + start, length));
            let segments = without_imagined(segments.collect(), &self.turns);
            self.keep(&segments)?;
            self.segments.extend(segments);
            self.progress.transcribed(start + length, self.length);
        }
        Ok(())
    }

    /// Adds the text of segments, with its speakers, to the partial text.
    fn keep(&mut self, segments: &[Segment]) -> anyhow::Result<()> {
        let Some(partial) = self.partial.as_mut().filter(|_| !segments.is_empty()) else { return Ok(()) };
        let transcript = Transcript::parse(&document(segments, None).to_string())?;
        let everything = Span { start: f64::NEG_INFINITY, end: f64::INFINITY };
        let named = transcript.with_speakers(&self.exclusive, everything);
        partial.add(&named.render(Format::Txt)?.unwrap_or_default());
        Ok(())
    }
}

/// The segments in the format of openai-whisper.
fn document(segments: &[Segment], language: Option<&str>) -> Value {
    let thousandths = |value: f64| (value * 1000.0).round() / 1000.0;
    let text: String = segments.iter().map(|segment| segment.text.as_str()).collect();
    let segment = |(id, segment): (usize, &Segment)| {
        let words = segment.words.iter().map(|word| {
            json!({"word": word.text, "start": thousandths(word.start), "end": thousandths(word.end),
                   "probability": thousandths(word.probability)})
        });
        // openai-whisper lets some last words end later than their segment.
        let end = segment.words.last().map_or(segment.end, |word| word.end.max(segment.end));
        json!({"id": id, "start": thousandths(segment.start), "end": thousandths(end),
               "text": segment.text, "words": words.collect::<Vec<_>>(),
               "temperature": thousandths(segment.temperature),
               "avg_logprob": thousandths(segment.log_probability),
               "compression_ratio": thousandths(segment.compression),
               "no_speech_prob": thousandths(segment.no_speech)})
    };
    let segments: Vec<Value> = segments.iter().enumerate().map(segment).collect();
    json!({"text": text, "language": language, "segments": segments})
}
