//! Finds the words of recordings, guided by their turns.

use std::path::PathBuf;

use anyhow::Context;
use diarize::{SAMPLE_RATE, Turn};
use diarize_words::{Loudness, Options, Segment, Whisper, windows};
use serde_json::{Value, json};
use tracing::info;

use crate::{progress::FileProgress, source::Source, transcript::Transcript};

/// The model that finds words, and what it is told.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Words")]
pub struct RecognitionArgs {
    /// Folder of a Whisper model, as on huggingface.co or for faster-whisper
    #[arg(long, value_name = "FOLDER")]
    whisper: Option<PathBuf>,
    /// Language of the recording, such as en or de [default: detected]
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// Translate to English
    #[arg(long)]
    translate: bool,
    /// Text that could precede the recording: it shows how names are spelled, and the style
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
}

/// Finds words.
#[derive(Debug)]
pub struct Recognizer {
    whisper: Whisper,
    options: Options,
}

impl RecognitionArgs {
    /// Loads the model.
    ///
    /// # Errors
    /// If there is none, or an option does not fit it.
    pub fn open(&self, threads: Option<usize>) -> anyhow::Result<Recognizer> {
        let folder = self.whisper.as_ref().context(
            "transcribe needs a Whisper model: download one, for example with `hf download openai/whisper-small \
             config.json generation_config.json tokenizer.json model.safetensors --local-dir whisper-small`, and \
             name its folder with --whisper",
        )?;
        let whisper = Whisper::load(folder)?;
        let mut options = Options::default();
        options.language.clone_from(&self.language);
        options.translate = self.translate;
        options.prompt.clone_from(&self.prompt);
        options.threads = threads;
        whisper.check(&options)?;
        Ok(Recognizer { whisper, options })
    }
}

impl Recognizer {
    /// Transcribes what is said in turns. Their times are relative to the start of what `source` reads.
    ///
    /// # Errors
    /// If the audio cannot be read, or a network fails.
    pub fn transcribe(
        &self,
        source: &Source,
        turns: &[Turn],
        mut progress: FileProgress,
    ) -> anyhow::Result<Transcript> {
        let mut loudness = Loudness::default();
        source.read(|block| {
            loudness.push(block);
            Ok(())
        })?;
        let index = |seconds: f64| (seconds * f64::from(SAMPLE_RATE)).round() as usize;
        let windows = windows(&loudness, turns);
        let mut windows = windows.iter().map(|window| index(window.start)..index(window.end)).peekable();
        let mut options = self.options.clone();
        let mut segments = Vec::new();
        // The samples from `first` on that are still needed.
        let (mut first, mut samples) = (0, Vec::new());
        let mut read = |block: &[f32], is_end: bool| -> anyhow::Result<()> {
            samples.extend_from_slice(block);
            while let Some(window) = windows.next_if(|window| is_end || window.end <= first + samples.len()) {
                let end = window.end.min(first + samples.len());
                let start = window.start.min(end);
                let part = &samples[start - first..end - first];
                segments.extend(self.window(
                    part,
                    source.start() + start as f64 / f64::from(SAMPLE_RATE),
                    &mut options,
                )?);
                progress.transcribed(end as f64 / f64::from(SAMPLE_RATE), loudness.seconds());
            }
            let end = first + samples.len();
            let needed = windows.peek().map_or(end, |window| window.start.clamp(first, end));
            samples.drain(..needed - first);
            first = needed;
            Ok(())
        };
        source.read(|block| read(block, false))?;
        read(&[], true)?;
        Transcript::parse(&document(&segments, options.language.as_deref()).to_string())
    }

    /// The segments of one window that starts at a time of the recording. The first window with speech decides about
    /// the language.
    fn window(&self, samples: &[f32], start: f64, options: &mut Options) -> anyhow::Result<Vec<Segment>> {
        if options.language.is_none() {
            let (language, probability) = self.whisper.detect_language(samples)?;
            info!("the language is {language}, with probability {probability:.2}");
            options.language = Some(language);
        }
        let mut segments = self.whisper.transcribe(samples, options)?;
        let length = samples.len() as f64 / f64::from(SAMPLE_RATE);
        for segment in &mut segments {
            let words = segment.words.iter_mut().flat_map(|word| [&mut word.start, &mut word.end]);
            for time in words.chain([&mut segment.start, &mut segment.end]) {
                *time = time.min(length) + start;
            }
        }
        Ok(segments)
    }
}

/// The segments in the format of openai-whisper.
fn document(segments: &[Segment], language: Option<&str>) -> Value {
    let milliseconds = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
    let text: String = segments.iter().map(|segment| segment.text.as_str()).collect();
    let segment = |(id, segment): (usize, &Segment)| {
        let words = segment.words.iter().map(|word| {
            let probability = milliseconds(word.probability);
            json!({"word": word.text, "start": milliseconds(word.start), "end": milliseconds(word.end),
                   "probability": probability})
        });
        json!({"id": id, "start": milliseconds(segment.start), "end": milliseconds(segment.end),
               "text": segment.text, "words": words.collect::<Vec<_>>()})
    };
    let segments: Vec<Value> = segments.iter().enumerate().map(segment).collect();
    json!({"text": text, "language": language, "segments": segments})
}
