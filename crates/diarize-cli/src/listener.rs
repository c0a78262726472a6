//! What the voice in a part of a recording sounds like.

use diarize::{Diarization, Diarizer, Options, Progress, Span, Turn};

/// Pauses of speech that are heard with it, in seconds.
const PAUSE: f64 = 0.5;
/// Shorter pieces of speech, in seconds, say little about a voice.
const PIECE: f64 = 0.3;

/// What was heard of somebody.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Mean of the embeddings of all that was said.
    pub embedding: Vec<f32>,
    /// How long that was.
    pub seconds: f64,
}

/// Hears voices.
#[derive(Clone, Copy)]
pub struct Listener<'a> {
    /// The networks.
    pub diarizer: &'a Diarizer,
    /// How they run.
    pub options: &'a Options,
}

impl Listener<'_> {
    /// When somebody speaks in a part of a recording.
    pub fn speech(
        &self,
        samples: &[f32],
        part: Span,
        hook: &mut (dyn FnMut(Progress) + Send),
    ) -> diarize::Result<Vec<Span>> {
        let sample = |seconds: f64| ((seconds * f64::from(diarize::SAMPLE_RATE)) as usize).min(samples.len());
        let mut options = self.options.clone();
        (options.parameters.min_duration_on, options.parameters.min_duration_off) = (PIECE, PAUSE);
        let samples = &samples[sample(part.start)..sample(part.end)];
        let spans = self.diarizer.activity(1, samples, &options, hook)?;
        let inside = |span: Span| Span { start: part.start + span.start, end: part.start + span.end };
        Ok(spans.into_iter().map(inside).collect())
    }

    /// The voice that speaks in some spans; `None` where they are too short to tell.
    pub fn hear(
        &self,
        samples: &[f32],
        spans: &[Span],
        hook: &mut (dyn FnMut(Progress) + Send),
    ) -> diarize::Result<Option<Heard>> {
        let duration = samples.len() as f64 / f64::from(diarize::SAMPLE_RATE);
        let inside = spans.iter().map(|span| Span { end: span.end.min(duration), ..*span });
        let spans: Vec<Span> = inside.filter(|span| span.end - span.start >= PIECE).collect();
        if spans.is_empty() {
            return Ok(None);
        }
        let embeddings = self.diarizer.embed_spans(samples, &spans, self.options, hook)?; // (span, dimension)
        let mut mean = vec![0.0; embeddings.ncols()];
        let mut seconds = 0.0;
        for (embedding, span) in embeddings.rows().into_iter().zip(&spans) {
            let length = embedding.iter().map(|value| value * value).sum::<f32>().sqrt();
            let weight = span.end - span.start;
            mean.iter_mut().zip(embedding).for_each(|(sum, value)| *sum += value / length * weight as f32);
            seconds += weight;
        }
        Ok(Some(Heard { embedding: mean, seconds }))
    }

    /// The voice of each speaker of a diarization. Where the pipeline needed no embeddings, it is heard now.
    pub fn voices_of(
        &self,
        diarization: &Diarization,
        samples: &[f32],
    ) -> diarize::Result<Vec<Option<Vec<f32>>>> {
        let voice = |speaker: &diarize::Speaker| {
            if let Some(embedding) = &speaker.embedding {
                return Ok(Some(embedding.clone()));
            }
            let own = diarization.exclusive.iter().filter(|turn| turn.speaker == speaker.label);
            let spans: Vec<Span> = own.map(|&Turn { start, end, .. }| Span { start, end }).collect();
            Ok(self.hear(samples, &spans, &mut |_| {})?.map(|heard| heard.embedding))
        };
        diarization.speakers.iter().map(voice).collect()
    }
}
