//! Reads the answers of the decoder into segments with words, window by window.

use std::num::NonZeroUsize;

use candle_transformers::models::whisper::HOP_LENGTH;
use rayon::prelude::*;

use super::{Networks, Start, Whisper};
use crate::{
    Result,
    alignment::{self, POSITION},
    decoding::{self, Answer, Asked, Question},
    model::Heard,
    spectrogram::Mel,
    timing::{self, TimedWords},
    transcription::{Options, Segment, Word},
};

/// Seconds of a frame of the spectrogram.
const FRAME: f64 = HOP_LENGTH as f64 / diarize::SAMPLE_RATE as f64;
/// Above this temperature, a text is not shown to the decoder as what was said before.
const MOST_TRUSTED_TEMPERATURE: f64 = 0.5;

/// Where the recognizer is in the samples, and what it has heard.
#[derive(Default)]
pub(super) struct State {
    /// The first frame that is not decoded yet.
    pub frame: usize,
    /// Tokens of the text so far.
    said: Vec<u32>,
    /// How many of them the decoder must not see.
    hidden: usize,
    /// Seconds.
    spoken_until: f64,
    /// What was understood.
    pub segments: Vec<Segment>,
}

impl State {
    /// The start, after the tokens of a prompt.
    pub fn after(prompt: Vec<u32>) -> Self {
        Self { said: prompt, ..Self::default() }
    }

    /// Appends what was understood of a window, and moves to its end.
    fn append(&mut self, window: Window, found: Option<Understood>) {
        let Some(Understood { answer, segments, understood, ends_with_time }) = found else {
            self.frame += window.frames;
            return;
        };
        self.frame += understood;
        if let Some(last) = segments.iter().rev().find_map(|(segment, _)| segment.words.last()) {
            let end = (last.end / FRAME).round() as usize;
            if !ends_with_time && end > window.first {
                self.frame = end;
            }
            self.spoken_until = last.end;
        }
        for (segment, tokens) in segments {
            if segment.start != segment.end && !segment.text.trim().is_empty() {
                self.said.extend(tokens);
                self.segments.push(segment);
            }
        }
        if answer.temperature > MOST_TRUSTED_TEMPERATURE {
            self.hidden = self.said.len();
        }
    }
}

/// Frames of a part that are decoded at once.
#[derive(Clone, Copy)]
struct Window {
    /// Index of the part.
    part: usize,
    first: usize,
    frames: usize,
}

/// A window of each of several parts.
pub(super) struct Windows {
    windows: Vec<Window>,
    heard: Heard,
}

/// Tokens between two times, in seconds from the start of the window.
struct Piece {
    span: [f64; 2],
    tokens: Vec<u32>,
}

/// An answer, split at its times.
struct Parts {
    pieces: Vec<Piece>,
    /// Frames of the window that need not be decoded again.
    understood: usize,
    /// Whether nothing follows the last time.
    ends_with_time: bool,
}

/// What was understood of a window.
struct Understood {
    answer: Answer,
    /// With their tokens.
    segments: Vec<(Segment, Vec<u32>)>,
    /// As in [`Parts`].
    understood: usize,
    /// As in [`Parts`].
    ends_with_time: bool,
}

impl Whisper {
    /// Hears the next 30 s of each part that is not decoded to its end. `None` if all are.
    pub(super) fn next_windows(&self, mels: &[Mel], states: &[State]) -> Result<Option<Windows>> {
        let window = |part: usize| {
            let (first, frames) = (states[part].frame, mels[part].frames());
            Window { part, first, frames: self.window_frames().min(frames.saturating_sub(first)) }
        };
        let windows: Vec<Window> = (0..mels.len()).map(window).filter(|window| window.frames > 0).collect();
        if windows.is_empty() {
            return Ok(None);
        }
        let hear = |&Window { part, first, frames }: &Window| self.hear(&mels[part], first, frames);
        let heard: Vec<Heard> = match self.networks.place.device.is_cpu() {
            true => windows.par_iter().map(hear).collect::<Result<_>>()?,
            // On a GPU, encoders at the same time would need memory for each of them.
            false => windows.iter().map(hear).collect::<Result<_>>()?,
        };
        let heard = Heard::join(&heard.iter().collect::<Vec<_>>())?;
        Ok(Some(Windows { windows, heard }))
    }

    /// Decodes windows, and moves their parts to the end of what was understood.
    pub(super) fn advance(
        &self,
        windows: &Windows,
        start: &Start,
        options: &Options,
        states: &mut [State],
    ) -> Result<()> {
        let mut found = self.understand(windows, start, options, states, &start.vocabulary)?;
        if !start.vocabulary.is_empty() {
            // After a list of words, Whisper may give a few seconds of text for the whole window.
            let is_crowded = |&index: &usize| found[index].as_ref().is_some_and(Understood::is_crowded);
            let crowded: Vec<usize> = (0..found.len()).filter(is_crowded).collect();
            if !crowded.is_empty() {
                let again = self.understand(&windows.select(&crowded)?, start, options, states, &[])?;
                crowded.into_iter().zip(again).for_each(|(index, other)| found[index] = other);
            }
        }
        for (&window, found) in windows.windows.iter().zip(found) {
            states[window.part].append(window, found);
        }
        Ok(())
    }

    /// Decodes windows after a vocabulary and what was said before. `None` for those in which nobody speaks.
    fn understand(
        &self,
        Windows { windows, heard }: &Windows,
        start: &Start,
        options: &Options,
        states: &[State],
        vocabulary: &[u32],
    ) -> Result<Vec<Option<Understood>>> {
        let Networks { decoder, config, .. } = &self.networks;
        let question = |window: &Window| {
            let State { said, hidden, .. } = &states[window.part];
            let before = [vocabulary, &said[*hidden..]];
            Question::new(&self.tokens, before, &start.tokens, config.max_target_positions)
        };
        let questions: Vec<Question> = windows.iter().map(question).collect();
        let beam = options.beam.map_or(1, NonZeroUsize::get);
        let answers = decoding::decode(decoder, &self.tokens, Asked { heard, questions: &questions }, beam)?;
        let split = |(window, answer): (&Window, &Answer)| self.parts(&answer.tokens, window.frames);
        let parts: Vec<Parts> = windows.iter().zip(&answers).map(split).collect();
        let timed = self.timed_words(windows, heard, &answers, &parts, start)?;
        let found = windows.iter().zip(answers).zip(parts.into_iter().zip(timed));
        let understood = found.map(|((window, answer), (parts, timed))| {
            let Some(timed) = timed else { return Ok(None) };
            let Parts { pieces, understood, ends_with_time } = parts;
            let offset = window.first as f64 * FRAME;
            let spoken_until = states[window.part].spoken_until;
            let segments = self.segments(pieces, &answer, timed, offset, spoken_until)?;
            Ok(Some(Understood { answer, segments, understood, ends_with_time }))
        });
        understood.collect()
    }

    /// The words of each answer with their times, and how long its words are. `None` where nobody speaks.
    fn timed_words(
        &self,
        windows: &[Window],
        heard: &Heard,
        answers: &[Answer],
        parts: &[Parts],
        start: &Start,
    ) -> Result<Vec<Option<TimedWords>>> {
        let Networks { decoder, alignment_heads, .. } = &self.networks;
        let text = |index: usize| {
            let tokens = parts[index].pieces.iter().flat_map(|piece| &piece.tokens).copied();
            tokens.filter(|&token| token < self.tokens.end).collect()
        };
        let texts: Vec<Vec<u32>> = (0..windows.len()).map(text).collect();
        let has_words = |&index: &usize| !answers[index].is_silence() && !texts[index].is_empty();
        let spoken: Vec<usize> = (0..windows.len()).filter(has_words).collect();
        let question = alignment::Question {
            heads: alignment_heads,
            start: &start.tokens,
            texts: &spoken.iter().map(|&index| texts[index].clone()).collect::<Vec<_>>(),
            positions: &spoken.iter().map(|&index| (windows[index].frames / 2).max(1)).collect::<Vec<_>>(),
        };
        let times = match spoken.is_empty() {
            true => Vec::new(),
            false => alignment::align(decoder, &self.tokens, &heard.select(&spoken)?, question)?,
        };
        let mut timed: Vec<Option<TimedWords>> =
            answers.iter().map(|answer| (!answer.is_silence()).then(TimedWords::default)).collect();
        for (index, times) in spoken.into_iter().zip(times) {
            let words = self.tokens.words(&texts[index], &start.language)?;
            timed[index] = Some(timing::words(words, &times));
        }
        Ok(timed)
    }

    /// Splits an answer at its times. `frames` is the length of the window.
    fn parts(&self, answer: &[u32], frames: usize) -> Parts {
        let first = self.tokens.first_timestamp;
        let is_time = |token: &u32| *token >= first;
        let position = |token: u32| token.saturating_sub(first) as usize;
        let seconds = |token: u32| position(token) as f64 * POSITION;
        let ends_with_time = matches!(answer, [.., text, time] if !is_time(text) && is_time(time));
        let mut cuts: Vec<usize> =
            (1..answer.len()).filter(|&at| is_time(&answer[at - 1]) && is_time(&answer[at])).collect();
        if cuts.is_empty() {
            let last = answer.iter().rfind(|token| is_time(token)).filter(|&&token| token != first);
            let end = last.map_or(frames as f64 * FRAME, |&token| seconds(token));
            let pieces = vec![Piece { span: [0.0, end], tokens: answer.to_vec() }];
            return Parts { pieces, understood: frames, ends_with_time };
        }
        if ends_with_time {
            cuts.push(answer.len());
        }
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let piece = |(from, &to): (usize, &usize)| {
            let span = [answer[from], answer[to - 1]].map(seconds);
            Piece { span, tokens: answer[from..to].to_vec() }
        };
        let pieces = starts.zip(&cuts).map(piece).collect();
        let last = cuts.last().map_or(0, |&cut| 2 * position(answer[cut - 1]));
        Parts { pieces, understood: if ends_with_time { frames } else { last }, ends_with_time }
    }

    /// The segments with their words and tokens, for a window that starts after `offset` seconds.
    fn segments(
        &self,
        pieces: Vec<Piece>,
        answer: &Answer,
        TimedWords { words, typical }: TimedWords,
        offset: f64,
        mut spoken_until: f64,
    ) -> Result<Vec<(Segment, Vec<u32>)>> {
        let mut words = words.into_iter();
        let mut segments = Vec::new();
        for Piece { span, tokens } in pieces {
            let mut rest = tokens.iter().filter(|&&token| token < self.tokens.end).count();
            let mut own: Vec<Word> = Vec::new();
            while rest > 0
                && let Some(timed) = words.next()
            {
                rest = rest.saturating_sub(timed.tokens);
                let Word { start, end, text, probability } = timed.word;
                if !text.is_empty() {
                    own.push(Word {
                        start: hundredths(offset + start),
                        end: hundredths(offset + end),
                        text,
                        probability,
                    });
                }
            }
            let mut span = span.map(|time| offset + time);
            timing::fit(&mut own, &mut span, typical, spoken_until);
            if !own.is_empty() {
                spoken_until = span[1];
            }
            let segment = Segment {
                start: span[0],
                end: span[1],
                text: self.tokens.decode(&tokens)?,
                words: own,
                log_probability: answer.log_probability,
                no_speech: answer.no_speech,
                temperature: answer.temperature,
                compression: answer.compression,
            };
            segments.push((segment, tokens));
        }
        Ok(segments)
    }
}

impl Windows {
    /// Some of the windows.
    fn select(&self, indices: &[usize]) -> Result<Self> {
        let windows = indices.iter().map(|&index| self.windows[index]).collect();
        Ok(Self { windows, heard: self.heard.select(indices)? })
    }
}

impl Understood {
    /// Whether a segment has more text than anybody says in its time.
    fn is_crowded(&self) -> bool {
        const CHARACTERS_PER_SECOND: f64 = 30.0;
        const FEW: usize = 20;
        self.segments.iter().any(|(segment, _)| {
            let characters = segment.text.trim().chars().count();
            characters > FEW && characters as f64 > CHARACTERS_PER_SECOND * (segment.end - segment.start)
        })
    }
}

fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
