//! Recordings with one person per channel, such as calls and interviews with lapel microphones.

mod crosstalk;

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::crosstalk::{Levels, Microphone, turns};
use crate::{
    ActivityListener, Diarization, Diarizer, Error, Event, Observer, Options, Result, Speaker, Turn, Warning,
};

/// Diarizes a recording with one person per channel as it arrives; see
/// [`Diarizer::listen_to_channels`](crate::Diarizer::listen_to_channels).
pub struct ChannelsListener<'o> {
    channels: Vec<Channel<'o>>,
    min_duration_on: f64,
    shared: Arc<Mutex<Shared<'o>>>,
}

/// What all channels share.
struct Shared<'o> {
    observer: Box<Observer<'o>>,
    /// The warnings so far; several channels can have the same.
    warnings: Vec<Warning>,
}

struct Channel<'o> {
    speaker: String,
    activity: ActivityListener<'o>,
    levels: Levels,
    samples: Vec<f32>,
}

impl Diarizer {
    /// Starts diarizing a recording that has one person per channel and arrives in blocks. `speakers` has a name for
    /// each channel. Only the segmentation network runs, on each channel by itself.
    ///
    /// What a microphone picks up of a person at another one is left out: a channel's speech is dropped where its
    /// level is explained by that of another channel and by how much of that one usually leaks into it. Real
    /// simultaneous speech stays.
    ///
    /// # Errors
    /// If an option is invalid. Options for clustering have no effect.
    pub fn listen_to_channels<'o>(
        &self,
        speakers: &[String],
        options: &Options,
        observer: impl FnMut(Event) -> ControlFlow<()> + Send + 'o,
    ) -> Result<ChannelsListener<'o>> {
        let shared = Arc::new(Mutex::new(Shared { observer: Box::new(observer), warnings: Vec::new() }));
        let channel = |speaker: &String| {
            let shared = shared.clone();
            let activity = self.listen_for_activity(options, move |event| tell(&shared, event))?;
            Ok(Channel { speaker: speaker.clone(), activity, levels: Levels::default(), samples: Vec::new() })
        };
        let channels = speakers.iter().map(channel).collect::<Result<_>>()?;
        Ok(ChannelsListener { channels, min_duration_on: options.parameters.min_duration_on, shared })
    }
}

impl ChannelsListener<'_> {
    /// Takes the next samples, like [`Listener::push`](crate::Listener::push). Channels are interleaved: one sample of
    /// each, then the next of each.
    ///
    /// # Errors
    /// As [`Listener::push`](crate::Listener::push).
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        let count = self.channels.len();
        for (index, channel) in self.channels.iter_mut().enumerate() {
            channel.samples.clear();
            channel.samples.extend(samples.iter().skip(index).step_by(count));
            channel.levels.push(&channel.samples);
            channel.activity.push(&channel.samples)?;
        }
        Ok(())
    }

    /// Sets the expected length of the recording, like [`Listener::expect_seconds`](crate::Listener::expect_seconds).
    pub fn expect_seconds(&mut self, seconds: f64) {
        self.channels.iter_mut().for_each(|channel| channel.activity.expect_seconds(seconds));
    }

    /// Ends the recording and returns the result. Turns have no confidence, and speakers have no embedding.
    ///
    /// # Errors
    /// As [`Listener::finish`](crate::Listener::finish); [`Error::SameSound`] if two channels carry the same sound.
    pub fn finish(self) -> Result<Diarization> {
        let microphone = |channel: Channel<'_>| {
            let Channel { speaker, activity, levels, .. } = channel;
            Ok(Microphone { speaker, speech: activity.finish(1)?, power: levels.finish() })
        };
        let microphones: Vec<Microphone> =
            self.channels.into_iter().map(microphone).collect::<Result<_>>()?;
        let found = turns(&microphones, self.min_duration_on)?;
        let speakers = microphones.iter().filter_map(|microphone| speaker(&microphone.speaker, &found.turns));
        let events = found.warnings.into_iter().map(Event::Warning);
        for event in events.chain(found.turns.iter().cloned().map(Event::Turn)) {
            if tell(&self.shared, event).is_break() {
                return Err(Error::Cancelled);
            }
        }
        Ok(Diarization {
            speakers: speakers.collect(),
            turns: found.turns,
            exclusive: found.exclusive,
            warnings: std::mem::take(&mut lock(&self.shared).warnings),
        })
    }
}

/// Tells the observer, but a warning only once.
fn tell(shared: &Mutex<Shared<'_>>, event: Event) -> ControlFlow<()> {
    let Shared { observer, warnings } = &mut *lock(shared);
    if let Event::Warning(warning) = &event {
        if warnings.contains(warning) {
            return ControlFlow::Continue(());
        }
        warnings.push(warning.clone());
    }
    observer(event)
}

fn lock<'a, 'o>(shared: &'a Mutex<Shared<'o>>) -> MutexGuard<'a, Shared<'o>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A speaker of turns; `None` without any.
fn speaker(label: &str, turns: &[Turn]) -> Option<Speaker> {
    let durations = turns.iter().filter(|turn| turn.speaker == label).map(|turn| turn.end - turn.start);
    let duration = durations.reduce(|sum, duration| sum + duration)?;
    Some(Speaker { label: label.to_owned(), duration, confidence: None, embedding: None })
}

/// What the channels give.
struct Found {
    turns: Vec<Turn>,
    exclusive: Vec<Turn>,
    warnings: Vec<Warning>,
}
