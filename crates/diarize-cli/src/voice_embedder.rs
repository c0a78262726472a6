//! Embeddings of the voices in parts of a recording.

use std::ops::ControlFlow;

use diarize::{Diarization, Diarizer, Event, Options, Span, Speaker, Turn};
use tracing::warn;

use crate::{
    progress::FileProgress,
    source::{Decoded, Source},
};

/// Shorter pauses, in seconds, are treated as part of the speech.
const PAUSE: f64 = 0.5;
/// Shorter pieces of speech, in seconds, are ignored: they say little about a voice.
const PIECE: f64 = 0.3;

/// A voice, averaged over its speech.
#[derive(Clone, Debug)]
pub struct Voice {
    /// Mean of the normalized embeddings of the spans, weighted by their lengths and not normalized itself.
    pub embedding: Vec<f32>,
    /// Total length of the spans in seconds.
    pub seconds: f64,
}

impl Voice {
    /// The mean of the embeddings `(span, dimension)` of some spans; `None` if no span has one.
    pub fn average(embeddings: &[Option<Vec<f32>>], spans: &[Span]) -> Option<Self> {
        let dimension = embeddings.iter().flatten().next()?.len();
        let (mut mean, mut seconds) = (vec![0.0; dimension], 0.0);
        for (embedding, span) in embeddings.iter().zip(spans) {
            let Some(embedding) = embedding else { continue };
            let length = embedding.iter().map(|value| value * value).sum::<f32>().sqrt();
            let weight = span.end - span.start;
            mean.iter_mut().zip(embedding).for_each(|(sum, value)| *sum += value / length * weight as f32);
            seconds += weight;
        }
        Some(Self { embedding: mean, seconds })
    }
}

/// The options for finding the speech that a voice is embedded from.
pub fn for_speech(options: &Options) -> Options {
    let mut options = options.clone();
    (options.parameters.min_duration_on, options.parameters.min_duration_off) = (PIECE, PAUSE);
    options
}

/// The spans that are long enough to be embedded, within a recording of `duration` seconds.
pub fn pieces(spans: &[Span], duration: f64) -> Vec<Span> {
    let inside = spans.iter().map(|span| Span { end: span.end.min(duration), ..*span });
    inside.filter(|span| span.end - span.start >= PIECE).collect()
}

/// The spans in which a speaker speaks alone.
pub fn alone(diarization: &Diarization, speaker: &Speaker) -> Vec<Span> {
    let own = diarization.exclusive.iter().filter(|turn| turn.speaker == speaker.label);
    own.map(|&Turn { start, end, .. }| Span { start, end }).collect()
}

/// Embeds voices.
#[derive(Clone, Copy)]
pub struct VoiceEmbedder<'a> {
    /// The networks.
    pub diarizer: &'a Diarizer,
    /// The options they run with.
    pub options: &'a Options,
}

impl VoiceEmbedder<'_> {
    /// The spans with speech in a part of a recording, and what is known about the recording.
    pub fn speech(
        &self,
        source: &Source,
        part: Span,
        progress: &mut FileProgress,
    ) -> anyhow::Result<(Vec<Span>, Decoded)> {
        let options = for_speech(self.options);
        let mut listener = self.diarizer.listen_for_activity(&options, |event| progress.observe(&event))?;
        let decoded = read_part(source, part, |samples| listener.push(samples))?;
        let inside = |span: Span| Span { start: part.start + span.start, end: part.start + span.end };
        Ok((listener.finish(1)?.into_iter().map(inside).collect(), decoded))
    }

    /// The speakers of a part of a recording.
    pub fn speakers(
        &self,
        source: &Source,
        part: Span,
        progress: &mut FileProgress,
    ) -> anyhow::Result<Vec<Speaker>> {
        let mut listener = self.diarizer.listen_with(self.options, |event| progress.observe(&event))?;
        read_part(source, part, |samples| listener.push(samples))?;
        Ok(listener.finish()?.speakers)
    }

    /// The voice that speaks in some spans of a recording of `duration` seconds; `None` if all spans are too
    /// short.
    pub fn embed(
        &self,
        source: &Source,
        duration: f64,
        spans: &[Span],
        observer: impl FnMut(Event) -> ControlFlow<()> + Send,
    ) -> anyhow::Result<Option<Voice>> {
        let spans = pieces(spans, duration);
        if spans.is_empty() {
            return Ok(None);
        }
        let mut listener = self.diarizer.listen_to_spans(&spans, self.options, observer)?;
        source.read(|block| Ok(listener.push(block)?))?;
        Ok(Voice::average(&listener.finish()?, &spans))
    }

    /// The voice of each speaker of a diarization. If the pipeline needed no embeddings, the recording is
    /// read again.
    pub fn voices_of(
        &self,
        diarization: &Diarization,
        source: &Source,
        duration: f64,
    ) -> anyhow::Result<Vec<Option<Vec<f32>>>> {
        let voice = |speaker: &Speaker| {
            if let Some(embedding) = &speaker.embedding {
                return Ok(Some(embedding.clone()));
            }
            let spans = alone(diarization, speaker);
            let voice = self.embed(source, duration, &spans, log_warning)?;
            Ok(voice.map(|voice| voice.embedding))
        };
        diarization.speakers.iter().map(voice).collect()
    }
}

/// Reads a recording and hands the samples of a part of it to `push`.
fn read_part(
    source: &Source,
    part: Span,
    mut push: impl FnMut(&[f32]) -> diarize::Result<()>,
) -> anyhow::Result<Decoded> {
    // The cast turns infinity into the largest number.
    let [from, until] =
        [part.start, part.end].map(|seconds| (seconds * f64::from(diarize::SAMPLE_RATE)) as usize);
    let mut received = 0;
    source.read(|block| {
        let inside = |position: usize| position.saturating_sub(received).min(block.len());
        push(&block[inside(from)..inside(until)])?;
        received += block.len();
        Ok(())
    })
}

/// Writes a warning to the log.
fn log_warning(event: Event) -> ControlFlow<()> {
    if let Event::Warning(warning) = event {
        warn!("{warning}");
    }
    ControlFlow::Continue(())
}
