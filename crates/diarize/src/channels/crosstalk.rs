//! Whose speech it is that several microphones pick up.
//!
//! Gains and distances differ, so levels are never compared directly. Where one channel is the loudest relative to its
//! own typical speech, the level of each other channel tells how much of it leaks there. A channel's speech is crosstalk
//! where its level is explained by what leaks from another one.

use super::Found;
use crate::{Error, Result, SAMPLE_RATE, Span, Turn, Warning};

/// Frames per second.
const FRAMES: f64 = 50.0;

/// Samples in a frame.
const FRAME: usize = SAMPLE_RATE as usize / FRAMES as usize;

/// A level is the mean over this many frames before and after: 220 ms in total.
const SMOOTHING: usize = 5;

/// So many frames before and after vote on whether a frame is crosstalk: half a second in total.
const VOTING: usize = 12;

/// A turn cut by crosstalk has at least this length in seconds.
const SHORTEST: f64 = 0.25;

/// What leaks exceeds its usual level by at most this much, in dB.
const MARGIN: f64 = 6.0;

/// Speech is loud down to this level relative to the typical one, in dB.
const LOUD: f64 = -12.0;

/// Levels that differ by less are equal, in dB.
const EQUAL: f64 = 1.0;

/// Channels that are isolated by less carry the same sound, in dB.
const LEAST_ISOLATION: f64 = 6.0;

/// The level of nothing, in dB.
const NOTHING: f64 = -120.0;

/// The mean square of each frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels {
    power: Vec<f32>,
    sum: f32,
    samples: usize,
}

impl Levels {
    pub(super) fn push(&mut self, samples: &[f32]) {
        for sample in samples {
            self.sum += sample * sample;
            self.samples += 1;
            if self.samples == FRAME {
                self.power.push(self.sum / FRAME as f32);
                (self.sum, self.samples) = (0.0, 0);
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<f32> {
        if self.samples > 0 {
            self.power.push(self.sum / self.samples as f32);
        }
        self.power
    }
}

/// What is known about one channel.
#[derive(Clone, Debug)]
pub(super) struct Microphone {
    /// The name of its speaker.
    pub(super) speaker: String,
    /// Where anybody speaks, in order.
    pub(super) speech: Vec<Span>,
    /// `(frame,)`: mean square.
    pub(super) power: Vec<f32>,
}

/// A channel in frames.
struct Channel {
    /// `(frame,)`: level above the noise, in dB.
    levels: Vec<f64>,
    /// `(frame,)`: whether anybody speaks.
    is_active: Vec<bool>,
    /// Level below which there is only noise, in dB.
    noise: f64,
    /// Level of its own speaker, in dB.
    typical: f64,
}

/// The turns of the channels' own speakers. Turns shorter than `shortest` seconds are dropped.
///
/// # Errors
/// If two channels carry the same sound.
pub(super) fn turns(microphones: &[Microphone], shortest: f64) -> Result<Found> {
    let channels: Vec<Channel> = microphones.iter().map(Channel::new).collect();
    let (leaks, warnings) = leaks(microphones, &channels)?;
    let mut turns = Vec::new();
    for (channel, microphone) in microphones.iter().enumerate() {
        let crosstalk = crosstalk(channel, &channels, &leaks[channel]);
        for span in &microphone.speech {
            let pieces = without_crosstalk(*span, &crosstalk);
            turns.extend(
                pieces.into_iter().map(|piece| Turn::new(piece.start, piece.end, &microphone.speaker)),
            );
        }
    }
    turns.retain(|turn| turn.end - turn.start >= shortest);
    turns.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.end.total_cmp(&b.end)));
    let exclusive = exclusive(&turns, microphones, &channels);
    Ok(Found { turns, exclusive, warnings })
}

impl Channel {
    fn new(microphone: &Microphone) -> Self {
        let smooth = smoothed(&microphone.power);
        let noise = 2.0 * quantile(smooth.clone(), 0.02).unwrap_or(0.0);
        let level = |power: f64| (10.0 * power.log10()).max(NOTHING);
        let levels: Vec<f64> = smooth.into_iter().map(|power| level((power - noise).max(0.0))).collect();
        let mut is_active = vec![false; levels.len()];
        for span in &microphone.speech {
            is_active[frames(*span, levels.len())].fill(true);
        }
        let mut active: Vec<f64> = speaking(&is_active).map(|frame| levels[frame]).collect();
        active.sort_by(|a, b| b.total_cmp(a));
        // Another person may be heard for most of the time, so that only the loudest second tells.
        let loudest = (active.len() / 100).max((active.len() / 4).min(FRAMES as usize));
        let typical = active.get(loudest).copied().unwrap_or(NOTHING);
        Self { levels, is_active, noise: level(noise), typical }
    }

    /// Level relative to that of its own speaker, in dB.
    fn relative(&self, frame: usize) -> f64 {
        self.levels[frame] - self.typical
    }
}

/// `(to, from)`: how much louder channel `to` is than channel `from` while only the speaker of `from` speaks, in dB, and
/// up to how much louder it is taken for crosstalk; `None` if that is unknown.
type Leaks = Vec<Vec<Option<f64>>>;

fn leaks(microphones: &[Microphone], channels: &[Channel]) -> Result<(Leaks, Vec<Warning>)> {
    let count = channels.len();
    let dominant: Vec<Vec<usize>> = (0..count).map(|channel| dominant(channel, channels)).collect();
    let leak = |to: usize, from: usize| {
        if to == from || dominant[from].len() < FRAMES as usize / 2 {
            return None;
        }
        let (to, from_levels) = (&channels[to], &channels[from].levels);
        // What leaks may be as loud as the noise that hides it.
        let excess = dominant[from].iter().map(|&frame| to.levels[frame].max(to.noise) - from_levels[frame]);
        // Simultaneous speech is louder than what leaks.
        quantile(excess.collect(), 0.25)
    };
    let measured: Leaks = (0..count).map(|to| (0..count).map(|from| leak(to, from)).collect()).collect();
    let (mut limits, mut warnings) = (measured.clone(), Vec::new());
    for to in 0..count {
        for from in 0..count {
            let Some(leak) = measured[to][from] else { continue };
            let isolation = measured[from][to].map_or(f64::INFINITY, |back| -(leak + back) / 2.0);
            limits[to][from] = Some(leak + MARGIN.min(isolation / 2.0));
            if isolation >= LEAST_ISOLATION {
                continue;
            }
            let [speaker, other] = [to, from].map(|channel| microphones[channel].speaker.clone());
            if leak.abs() < 2.0 * MARGIN {
                return Err(Error::SameSound { speakers: [speaker, other] });
            }
            if leak > 0.0 {
                limits[to][from] = None;
            } else {
                limits[to][from] = Some(f64::INFINITY);
                warnings.push(Warning::OnlyCrosstalk { speaker, other });
            }
        }
    }
    Ok((limits, warnings))
}

/// The frames in which a channel is loud, and loudest relative to the typical speech of each.
fn dominant(channel: usize, channels: &[Channel]) -> Vec<usize> {
    let own = &channels[channel];
    let is_loudest = |frame: usize| {
        let others = channels.iter().filter(|other| other.is_active[frame]);
        others.fold(f64::NEG_INFINITY, |highest, other| highest.max(other.relative(frame)))
            <= own.relative(frame) + EQUAL
    };
    speaking(&own.is_active).filter(|&frame| own.relative(frame) >= LOUD && is_loudest(frame)).collect()
}

/// `(frame,)`: whether a channel's level is explained by another channel; `limits` are those of [`Leaks`].
fn crosstalk(channel: usize, channels: &[Channel], limits: &[Option<f64>]) -> Vec<bool> {
    let own = &channels[channel];
    let is_explained = |frame: usize| {
        let mut others = channels.iter().zip(limits);
        others
            .any(|(other, limit)| limit.is_some_and(|limit| own.levels[frame] < other.levels[frame] + limit))
    };
    (0..own.levels.len()).map(is_explained).collect()
}

/// The pieces of a span that most of the frames around do not take for crosstalk.
fn without_crosstalk(span: Span, crosstalk: &[bool]) -> Vec<Span> {
    let frames = frames(span, crosstalk.len());
    let is_kept = |frame: usize| {
        let around = frame.saturating_sub(VOTING).max(frames.start)..(frame + VOTING + 1).min(frames.end);
        2 * around.clone().filter(|&frame| crosstalk[frame]).count() <= around.len()
    };
    let mut pieces: Vec<Span> = Vec::new();
    let mut was_kept = false;
    for frame in frames.clone() {
        let is_kept = is_kept(frame);
        let start = if frame == frames.start { span.start } else { frame as f64 / FRAMES };
        let end = if frame + 1 == frames.end { span.end } else { (frame + 1) as f64 / FRAMES };
        match pieces.last_mut() {
            Some(piece) if is_kept && was_kept => piece.end = end,
            _ if is_kept => pieces.push(Span { start, end }),
            _ => {}
        }
        was_kept = is_kept;
    }
    pieces.retain(|piece| *piece == span || piece.end - piece.start >= SHORTEST);
    pieces
}

/// The turns with one speaker at a time: the one who is loudest relative to the own typical speech.
fn exclusive(turns: &[Turn], microphones: &[Microphone], channels: &[Channel]) -> Vec<Turn> {
    let mut edges: Vec<f64> = turns.iter().flat_map(|turn| [turn.start, turn.end]).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let mut exclusive: Vec<Turn> = Vec::new();
    let mut first = 0;
    for edge in edges.windows(2) {
        let span = Span { start: edge[0], end: edge[1] };
        while turns.get(first).is_some_and(|turn| turn.end <= span.start) {
            first += 1;
        }
        let loudness = |turn: &&Turn| {
            let channel = microphones.iter().position(|microphone| microphone.speaker == turn.speaker);
            let levels = frames(span, channels[0].levels.len());
            channel.map_or(0.0, |channel| {
                levels.clone().map(|frame| channels[channel].relative(frame)).sum::<f64>()
            })
        };
        let speaking = turns[first..].iter().take_while(|turn| turn.start < span.end);
        let speaking = speaking.filter(|turn| turn.end > span.start);
        let Some(turn) = speaking.max_by(|a, b| loudness(a).total_cmp(&loudness(b))) else { continue };
        match exclusive.last_mut() {
            Some(last) if last.speaker == turn.speaker && last.end == span.start => last.end = span.end,
            _ => exclusive.push(Turn::new(span.start, span.end, &turn.speaker)),
        }
    }
    exclusive
}

/// The frames whose centers are in a span, of `count` frames.
fn frames(span: Span, count: usize) -> std::ops::Range<usize> {
    let frame = |seconds: f64| ((seconds * FRAMES).round() as usize).min(count);
    frame(span.start)..frame(span.end)
}

fn speaking(is_active: &[bool]) -> impl Iterator<Item = usize> {
    (0..is_active.len()).filter(|&frame| is_active[frame])
}

/// The mean over the frames around each frame.
fn smoothed(power: &[f32]) -> Vec<f64> {
    let around = |frame: usize| frame.saturating_sub(SMOOTHING)..(frame + SMOOTHING + 1).min(power.len());
    let mean = |frame: usize| {
        let part = &power[around(frame)];
        part.iter().map(|&power| f64::from(power)).sum::<f64>() / part.len() as f64
    };
    (0..power.len()).map(mean).collect()
}

/// The value below which this share of the values lies; `None` without values.
fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    let index = (share * values.len() as f64) as usize;
    (index < values.len()).then(|| *values.select_nth_unstable_by(index, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::{FRAMES, Microphone, turns};
    use crate::{Error, Span, Warning};

    /// Speech of a person, from second to second.
    type Speech<'a> = &'a [[f64; 2]];

    /// How a person's speech fluctuates, in dB, at a time in seconds. Syllables have 4 per second.
    fn fluctuation(seconds: f64, person: usize) -> f64 {
        5.0 * (8.0 * std::f64::consts::PI * seconds + person as f64).sin()
    }

    /// Two microphones that hear both people: `leak` and `gains` are in dB. The noise is at -70 dB before the gain.
    fn microphones(seconds: f64, speech: [Speech<'_>; 2], leak: f64, gains: [f64; 2]) -> [Microphone; 2] {
        let power = |decibels: f64| 10f64.powf(decibels / 10.0);
        [0, 1].map(|microphone| {
            let level = |frame: usize| {
                let at = frame as f64 / FRAMES;
                let heard = |person: usize| {
                    let speaks = speech[person].iter().any(|span| (span[0]..span[1]).contains(&at));
                    let loss = if person == microphone { 0.0 } else { leak };
                    if speaks { power(-25.0 + loss + fluctuation(at, person)) } else { 0.0 }
                };
                ((heard(0) + heard(1) + power(-70.0)) * power(gains[microphone])) as f32
            };
            // The network hears every speech on both channels.
            let mut spans: Vec<[f64; 2]> = speech.concat();
            spans.sort_by(|a, b| a[0].total_cmp(&b[0]));
            let mut merged: Vec<Span> = Vec::new();
            for [start, end] in spans {
                match merged.last_mut() {
                    Some(last) if start <= last.end => last.end = last.end.max(end),
                    _ => merged.push(Span { start, end }),
                }
            }
            let name = ["Ann", "Bob"][microphone];
            let frames = (seconds * FRAMES) as usize;
            Microphone { speaker: name.to_owned(), speech: merged, power: (0..frames).map(level).collect() }
        })
    }

    /// Seconds in which the turns of a speaker differ from the expected ones.
    fn error(found: &[crate::Turn], speaker: &str, expected: Speech<'_>) -> f64 {
        let own = found.iter().filter(|turn| turn.speaker == speaker);
        let own: Vec<[f64; 2]> = own.map(|turn| [turn.start, turn.end]).collect();
        let is_inside =
            |at: f64, spans: Speech<'_>| spans.iter().any(|span| (span[0]..span[1]).contains(&at));
        let differs = |millisecond: &i32| {
            let at = f64::from(*millisecond) / 1000.0;
            is_inside(at, &own) != is_inside(at, expected)
        };
        (0..60_000).filter(differs).count() as f64 / 1000.0
    }

    #[test]
    fn crosstalk_is_dropped_whatever_the_gains_are() {
        let speech: [Speech<'_>; 2] = [&[[1.0, 6.0], [13.0, 18.0]], &[[7.0, 12.0], [19.0, 21.0]]];
        for leak in [-12.0, -20.0, -40.0] {
            for gains in [[0.0, 0.0], [0.0, -25.0], [10.0, 0.0]] {
                let found = turns(&microphones(22.0, speech, leak, gains), 0.0).unwrap();
                let errors = [error(&found.turns, "Ann", speech[0]), error(&found.turns, "Bob", speech[1])];
                assert!(errors[0] + errors[1] < 0.5, "{leak} dB, {gains:?}: {errors:?}, {:?}", found.turns);
                assert_eq!(found.warnings, []);
            }
        }
    }

    #[test]
    fn simultaneous_speech_stays_on_both_channels() {
        let speech: [Speech<'_>; 2] = [&[[1.0, 8.0], [13.0, 18.0]], &[[6.0, 12.0], [15.0, 17.0]]];
        for gains in [[0.0, 0.0], [-15.0, 0.0]] {
            let found = turns(&microphones(19.0, speech, -20.0, gains), 0.0).unwrap();
            let errors = [error(&found.turns, "Ann", speech[0]), error(&found.turns, "Bob", speech[1])];
            assert!(errors[0] + errors[1] < 0.5, "{gains:?}: {errors:?}, {:?}", found.turns);
            let all: f64 = found.exclusive.iter().map(|turn| turn.end - turn.start).sum();
            assert!((all - 16.0).abs() < 0.5, "{:?}", found.exclusive);
            assert!(found.exclusive.windows(2).all(|pair| pair[0].end <= pair[1].start));
        }
    }

    #[test]
    fn someone_who_rarely_speaks_is_not_lost() {
        let speech: [Speech<'_>; 2] = [&[[0.5, 28.0], [31.0, 58.0]], &[[28.5, 30.5]]];
        let found = turns(&microphones(60.0, speech, -15.0, [0.0, 10.0]), 0.0).unwrap();
        assert!(error(&found.turns, "Ann", speech[0]) < 0.5, "{:?}", found.turns);
        assert!(error(&found.turns, "Bob", speech[1]) < 0.5, "{:?}", found.turns);
    }

    #[test]
    fn one_sound_on_two_channels_is_an_error_and_a_faint_copy_a_warning() {
        let alone: [Speech<'_>; 2] = [&[[1.0, 9.0]], &[]];
        for leak in [0.0, -4.0] {
            let result = turns(&microphones(10.0, alone, leak, [0.0, 0.0]), 0.0);
            assert!(matches!(result, Err(Error::SameSound { .. })), "{leak} dB");
        }
        let found = turns(&microphones(10.0, alone, -20.0, [0.0, 0.0]), 0.0).unwrap();
        assert!(
            error(&found.turns, "Ann", alone[0]) < 0.1
                && found.turns.iter().all(|turn| turn.speaker == "Ann")
        );
        assert!(matches!(&found.warnings[..], [Warning::OnlyCrosstalk { speaker, .. }] if speaker == "Bob"));
    }

    #[test]
    fn silence_has_no_turns() {
        assert!(turns(&microphones(3.0, [&[], &[]], -20.0, [0.0, 0.0]), 0.0).unwrap().turns.is_empty());
        let nothing = Microphone { speaker: "Ann".to_owned(), speech: Vec::new(), power: Vec::new() };
        assert!(turns(&[nothing], 0.0).unwrap().turns.is_empty());
    }
}
