//! The recognizer: from samples to segments with words.
//!
//! Source: `whisper.transcribe.transcribe`.

mod segments;

use std::path::Path;

use candle_core::DType;
use candle_transformers::models::whisper::{Config, HOP_LENGTH};
use diarize::{Device, Precision, SAMPLE_RATE, Turn};
use diarize_kernels::log_sum_exp::log_sum_exp;
use rayon::prelude::*;

use self::segments::State;
#[cfg(feature = "unstable")]
use crate::decoding::{self, Answer, Asked, Question};
use crate::{
    Error, Result,
    model::{Cache, Decoder, Encoder, Head, Heard},
    place::Place,
    spectrogram::{Mel, Spectrogram},
    tokens::Tokens,
    transcription::{Options, Segment},
    weights,
    windows::{Loudness, windows, without_imagined},
};

/// An answer cannot start later than a second into the window, and times are 20 ms apart.
const MIN_POSITIONS: usize = 100;
/// Number of parts that decide the language.
const LANGUAGE_PARTS: usize = 3;
/// The number of tokens of the first multilingual models. Those for English have fewer.
const MULTILINGUAL_VOCABULARY: usize = 51_865;

/// Whisper: speech recognition in one model for many languages, or for English.
#[derive(Debug)]
pub struct Whisper {
    networks: Networks,
    tokens: Tokens,
    spectrogram: Spectrogram,
}

/// The networks with their sizes.
#[derive(Debug)]
pub struct Networks {
    /// From a spectrogram to positions.
    pub encoder: Encoder,
    /// From positions and tokens to tokens.
    pub decoder: Decoder,
    /// The sizes.
    pub config: Config,
    /// The heads of the decoder that follow the audio.
    pub alignment_heads: Vec<Head>,
    /// Where they compute.
    pub place: Place,
}

impl Networks {
    /// Reads the networks in a folder.
    ///
    /// # Errors
    /// As [`Whisper::load`].
    pub fn load(folder: &Path, place: &Place) -> Result<Self> {
        let weights::Contents { weights, config, alignment_heads } = weights::read(folder)?;
        let weights = weights.at(place.clone());
        let Config { decoder_layers, decoder_attention_heads: decoder_heads, .. } = config;
        let later_half = || {
            let layers = decoder_layers / 2..decoder_layers;
            layers.flat_map(|layer| (0..decoder_heads).map(move |head| (layer, head))).collect()
        };
        let alignment_heads: Vec<Head> = alignment_heads.unwrap_or_else(later_half);
        let is_known = |&(layer, head): &Head| layer < decoder_layers && head < decoder_heads;
        if alignment_heads.is_empty() || !alignment_heads.iter().all(is_known) {
            let reason = format!("the alignment heads {alignment_heads:?} are not heads of the decoder");
            return Err(Error::InvalidFile { path: folder.to_owned(), reason });
        }
        let encoder = Encoder::load(&weights, &config)?;
        let decoder = Decoder::load(&weights, &config)?;
        Ok(Self { encoder, decoder, config, alignment_heads, place: place.clone() })
    }
}

/// The tokens that start each answer, and the language in which it is written.
struct Start {
    tokens: Vec<u32>,
    /// Tokens that the decoder sees before everything else.
    vocabulary: Vec<u32>,
    language: String,
}

impl Whisper {
    /// Loads a model from a folder, in the format of Hugging Face (`model.safetensors`, `config.json`,
    /// `tokenizer.json`, and `generation_config.json` for the best word times) or of CTranslate2, which
    /// faster-whisper uses (`model.bin`, `config.json`, `tokenizer.json`). In the first, a GGUF file with the same tensors can
    /// replace `model.safetensors`, quantized or not: `model.gguf`, or any name if it is the only one. The weights are then
    /// computed from their few bits when they are loaded, so that a quantized model is a smaller file, but needs the memory of f32.
    ///
    /// It computes on the CPU in f32.
    ///
    /// # Errors
    /// A file is missing or damaged, or is not part of a Whisper model.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self> {
        Self::load_on(folder, Device::Cpu, Precision::F32)
    }

    /// Like [`Self::load`], on a device with a precision. A GPU computes both networks with the kernels of candle; the
    /// spectrogram, the choice of tokens and the times of words are computed on the CPU. With f16, all values between
    /// the layers are f16, as `openai-whisper` has them on a GPU.
    ///
    /// # Errors
    /// Also if the device is missing or does not support the precision: the CPU computes in f32 only.
    pub fn load_on(folder: impl AsRef<Path>, device: Device, precision: Precision) -> Result<Self> {
        let folder = folder.as_ref();
        let networks = Networks::load(folder, &Place::open(device, precision)?)?;
        let tokenizer = folder.join("tokenizer.json");
        let tokens = Tokens::load(&tokenizer)?;
        let Config { vocab_size, num_mel_bins, max_source_positions, .. } = networks.config;
        let fits = tokens.first_timestamp as usize + max_source_positions + 1 == vocab_size;
        if !fits || max_source_positions < MIN_POSITIONS || tokens.largest() as usize >= vocab_size {
            let reason = format!("its tokens are not those of the model, which has {vocab_size}");
            return Err(Error::InvalidFile { path: tokenizer, reason });
        }
        Ok(Self { networks, tokens, spectrogram: Spectrogram::new(num_mel_bins) })
    }

    /// Whether the model knows more languages than English.
    pub fn is_multilingual(&self) -> bool {
        self.networks.config.vocab_size >= MULTILINGUAL_VOCABULARY
    }

    /// The codes of the languages that the model knows.
    pub fn languages(&self) -> Vec<&str> {
        match self.is_multilingual() {
            true => self.tokens.languages.iter().map(|(code, _)| code.as_str()).collect(),
            false => vec!["en"],
        }
    }

    /// The code of the language in parts of a recording, with its mean probability over them. The first 30 s of each part
    /// count. Without parts, it is any language, with probability 0.
    ///
    /// # Errors
    /// A sample is not finite, or a network fails.
    pub fn detect_language(&self, parts: &[&[f32]]) -> Result<(String, f64)> {
        if !self.is_multilingual() {
            return Ok(("en".to_owned(), 1.0));
        }
        let of_part = |part: &&[f32]| self.language_probabilities(part);
        let probabilities: Vec<Vec<f64>> = match self.networks.place.device.is_cpu() {
            true => parts.par_iter().map(of_part).collect::<Result<_>>()?,
            // Encoders at the same time would need memory for each of them.
            false => parts.iter().map(of_part).collect::<Result<_>>()?,
        };
        let mut means = vec![0.0; self.tokens.languages.len()];
        for probabilities in probabilities {
            for (mean, probability) in means.iter_mut().zip(probabilities) {
                *mean += probability / parts.len() as f64;
            }
        }
        let best = means
            .into_iter()
            .zip(&self.tokens.languages)
            .reduce(|best, other| if other.0 > best.0 { other } else { best });
        let (probability, (code, _)) = best.expect("multilingual models have languages");
        Ok((code.clone(), probability))
    }

    /// The probability of each language in the first 30 s of samples.
    pub(crate) fn language_probabilities(&self, samples: &[f32]) -> Result<Vec<f64>> {
        let length = self.window_frames() * HOP_LENGTH;
        let mut samples = samples[..samples.len().min(length)].to_vec();
        samples.resize(length, 0.0);
        let mel = self.spectrogram.compute(&samples)?;
        let heard = self.hear(&mel, 0, mel.frames())?;
        let (output, _) =
            self.networks.decoder.forward(&[self.tokens.start], &heard, &mut Cache::default(), &[])?;
        let logits: Vec<f32> = self.networks.decoder.logits(&output)?.flatten_all()?.to_vec1()?;
        let languages = self.tokens.languages.iter();
        let likelihoods: Vec<f32> = languages.map(|&(_, token)| logits[token as usize]).collect();
        let sum = log_sum_exp(&likelihoods);
        match sum.is_finite() {
            true => Ok(likelihoods.iter().map(|&likelihood| (f64::from(likelihood) - sum).exp()).collect()),
            false => Err(Error::NonFiniteOutput { network: "decoder" }),
        }
    }

    /// Checks options before anything is decoded.
    ///
    /// # Errors
    /// An option is invalid, or the model does not know the language or how to translate.
    pub fn check(&self, options: &Options) -> Result<()> {
        self.prompt(options)?;
        self.start(options.language.as_deref().unwrap_or("en"), options.translate, Vec::new()).map(drop)
    }

    /// Transcribes samples at 16 kHz, one channel, on the current pool of `rayon`; the number of threads does not affect the
    /// result. The language is detected once, in the first 30 s. It returns only when everything is transcribed: to show progress or
    /// to stop early, use [`Self::transcribe_parts`].
    ///
    /// # Errors
    /// An option is invalid, a sample is not finite, or a network fails.
    pub fn transcribe(&self, samples: &[f32], options: &Options) -> Result<Vec<Segment>> {
        Ok(self.transcribe_parts(&[samples], options)?.concat())
    }

    /// Transcribes what is said in the turns of a recording, which may overlap. Times count from the start of the recording, as
    /// those of the turns. The language is detected in the first three [windows](crate::windows()).
    ///
    /// # Errors
    /// As [`Self::transcribe`].
    pub fn transcribe_turns(
        &self,
        samples: &[f32],
        turns: &[Turn],
        options: &Options,
    ) -> Result<Vec<Segment>> {
        let mut loudness = Loudness::default();
        loudness.push(samples);
        let rate = f64::from(SAMPLE_RATE);
        let index = |seconds: f64| ((seconds * rate).round() as usize).min(samples.len());
        let windows = windows(&loudness, turns);
        let ranges = windows.iter().map(|window| index(window.start)..index(window.end));
        let parts: Vec<&[f32]> = ranges.map(|range| &samples[range]).collect();
        let found = self.transcribe_parts(&parts, options)?.into_iter().zip(windows).zip(&parts);
        let segments = found.flat_map(|((segments, window), part)| {
            let length = part.len() as f64 / rate;
            segments.into_iter().map(move |segment| segment.of_part(window.start, length))
        });
        Ok(without_imagined(segments.collect(), turns))
    }

    /// Like [`Self::transcribe`], but for several parts of a recording, such as those that [`windows()`](crate::windows()) finds.
    /// Times count from the start of each part. The language is detected in the first three parts of each call, so for more calls about
    /// one recording, call [`Self::detect_language`] first, and set [`Options::language`].
    ///
    /// Without beams, the next word is computed for [`Self::parts_at_once`] parts at the same time, which is faster than one part
    /// after another.
    ///
    /// # Errors
    /// As [`Self::transcribe`].
    pub fn transcribe_parts(&self, parts: &[&[f32]], options: &Options) -> Result<Vec<Vec<Segment>>> {
        let [prompt, vocabulary] = self.prompt(options)?;
        let language = match &options.language {
            Some(language) => language.clone(),
            None => self.detect_language(&parts[..parts.len().min(LANGUAGE_PARTS)])?.0,
        };
        let start = self.start(&language, options.translate, vocabulary)?;
        let groups = parts.chunks(self.parts_at_once());
        let found = groups.map(|parts| self.transcribe_group(parts, &prompt, &start, options));
        Ok(found.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Transcribes some parts, decoded at the same time.
    fn transcribe_group(
        &self,
        parts: &[&[f32]],
        prompt: &[u32],
        start: &Start,
        options: &Options,
    ) -> Result<Vec<Vec<Segment>>> {
        let mels = parts.par_iter().map(|samples| self.spectrogram.compute(samples));
        let mels: Vec<Mel> = mels.collect::<Result<_>>()?;
        let mut states: Vec<State> = parts.iter().map(|_| State::after(prompt.to_vec())).collect();
        while let Some(windows) = self.next_windows(&mels, &states)? {
            self.advance(&windows, start, options, &mut states)?;
        }
        Ok(states.into_iter().map(|state| state.segments).collect())
    }

    /// How many parts to transcribe at the same time: more take more memory, and save less and less time. The keys and values
    /// of the audio of so many parts take about 1 GiB at most in f32, or those of two parts; a GPU can need three times as much for a moment.
    pub fn parts_at_once(&self) -> usize {
        const BYTES: usize = 1 << 30;
        let Networks { config, place, .. } = &self.networks;
        let most = if place.device.is_cpu() { 4 } else { 16 };
        let keys_values = 2 * config.decoder_layers * config.max_source_positions * config.d_model;
        (BYTES / (4 * keys_values)).clamp(2, most)
    }

    /// The answer for the first 30 s at temperature 0, whether it looks right or not. Options name the language.
    #[cfg(feature = "unstable")]
    pub(crate) fn greedy(&self, samples: &[f32], options: &Options) -> Result<Answer> {
        let Networks { decoder, config, .. } = &self.networks;
        let [prompt, vocabulary] = self.prompt(options)?;
        let start = self.start(options.language.as_deref().unwrap_or("en"), options.translate, vocabulary)?;
        let mel = self.spectrogram.compute(samples)?;
        let heard = self.hear(&mel, 0, self.window_frames().min(mel.frames()))?;
        let before = [start.vocabulary.as_slice(), &prompt];
        let question = Question::new(&self.tokens, before, &start.tokens, config.max_target_positions);
        let asked = Asked { heard: &heard, questions: &[question] };
        Ok(decoding::attempt(decoder, &self.tokens, asked, &[0], 0.0)?.remove(0))
    }

    fn window_frames(&self) -> usize {
        2 * self.networks.config.max_source_positions
    }

    /// The tokens of the prompt, and of the vocabulary.
    fn prompt(&self, options: &Options) -> Result<[Vec<u32>; 2]> {
        let most = (self.networks.config.max_target_positions / 2).saturating_sub(1);
        let mut rest = most;
        let mut encode = |option: &'static str, text: &str| {
            if text.is_empty() {
                return Ok(Vec::new());
            }
            let invalid = |requirement: String| {
                let start: String = text.chars().take(40).collect();
                let more = if start.len() < text.len() { "…" } else { "" };
                Err(Error::InvalidOption { option, value: format!("`{start}{more}`"), requirement })
            };
            let tokens = match self.tokens.encode(&format!(" {text}")) {
                Ok(tokens) => tokens,
                Err(error) => return invalid(error),
            };
            if !tokens.iter().all(|&token| token < self.tokens.end) {
                return invalid("text without special tokens such as <|endoftext|>".to_owned());
            }
            match rest.checked_sub(tokens.len()) {
                Some(left) => rest = left,
                None => {
                    let others = match most - rest {
                        0 => String::new(),
                        others => format!(" and the vocabulary {others}"),
                    };
                    return invalid(format!(
                        "shorter: it has {} tokens{others}, and at most {most} fit, which is about {} words or {} names",
                        tokens.len(),
                        most / 2,
                        most / 4,
                    ));
                }
            }
            Ok(tokens)
        };
        let vocabulary = encode("vocabulary", &options.vocabulary.join(", "))?;
        Ok([encode("prompt", options.prompt.as_deref().unwrap_or_default().trim())?, vocabulary])
    }

    fn start(&self, language: &str, translate: bool, vocabulary: Vec<u32>) -> Result<Start> {
        let invalid = |option: &'static str, value: String, requirement: String| {
            Err(Error::InvalidOption { option, value, requirement })
        };
        if !self.is_multilingual() {
            let english_only = || {
                "left out: this model knows only English; models without `.en` in their names know other languages"
                    .to_owned()
            };
            return match language {
                _ if translate => invalid("translate", "set".to_owned(), english_only()),
                "en" => {
                    Ok(Start { tokens: vec![self.tokens.start], vocabulary, language: language.to_owned() })
                }
                _ => invalid("language", format!("`{language}`"), english_only()),
            };
        }
        let Some(token) = self.tokens.language(language) else {
            let requirement = format!("one of {}", self.languages().join(", "));
            return invalid("language", format!("`{language}`"), requirement);
        };
        let task = if translate { self.tokens.translate } else { self.tokens.transcribe };
        let written = if translate { "en" } else { language };
        let tokens = vec![self.tokens.start, token, task];
        Ok(Start { tokens, vocabulary, language: written.to_owned() })
    }

    fn hear(&self, mel: &Mel, first: usize, frames: usize) -> Result<Heard> {
        let input = mel.segment(first, frames, self.window_frames())?;
        let positions = self.networks.encoder.forward(&self.networks.place.take(&input)?)?;
        if !positions.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Err(Error::NonFiniteOutput { network: "encoder" });
        }
        Ok(self.networks.decoder.hear(&positions)?)
    }
}
