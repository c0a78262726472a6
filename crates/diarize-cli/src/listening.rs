//! Diarizes a recording while its audio is read.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use diarize::{Diarization, Event, Options};
use diarize_audio::Decoding;

use crate::{
    audio_args::ChannelsArgs,
    output::Timings,
    pipelines::Pipeline,
    progress::FileProgress,
    source::{Decoded, Source},
};

/// What was heard in a recording.
pub struct Heard {
    /// Its diarization.
    pub diarization: Diarization,
    /// What is known about its audio.
    pub decoded: Decoded,
    /// How long each step took.
    pub timings: Timings,
}

/// Reads a recording, or the rest of one that is being decoded already, and diarizes it. `also` gets the samples too, unless
/// channels are separate.
///
/// # Errors
/// If the audio cannot be read, or a network fails.
pub fn listen(
    pipeline: &Pipeline,
    source: &Source,
    ahead: Option<Decoding>,
    options: &Options,
    channels: &ChannelsArgs,
    progress: FileProgress,
    mut also: impl FnMut(&[f32]),
) -> anyhow::Result<Heard> {
    let separate = channels.is_separate();
    let mut progress = if separate { progress.segmentation_only() } else { progress };
    let part = progress.part();
    let expect = |seconds: Option<f64>| {
        if let (Some(part), Some(seconds)) = (&part, seconds) {
            part.measured(seconds);
        }
        seconds.unwrap_or_default()
    };
    let clock = Mutex::new((Instant::now(), Timings::default()));
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
        let speakers = channels.speakers(audio.layout()?.channels)?;
        let mut listener = pipeline.diarizer.listen_to_channels(&speakers, options, observer)?;
        listener.expect_seconds(expect(audio.declared_duration()));
        let decoded = Decoded::all(audio, |block| {
            note_reading(&clock);
            Ok(listener.push(block)?)
        })?;
        (listener.finish()?, decoded)
    } else {
        let decoding = ahead.map_or_else(|| source.open().map(Decoding::start), Ok)?;
        let mut listener = pipeline.diarizer.listen_with(options, observer)?;
        listener.expect_seconds(expect(decoding.declared_duration()));
        let decoded = Decoded::rest(decoding, |block| {
            note_reading(&clock);
            also(block);
            Ok(listener.push(block)?)
        })?;
        (listener.finish()?, decoded)
    };
    let timings = lock(&clock).1;
    Ok(Heard { diarization, decoded, timings })
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
