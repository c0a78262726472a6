//! Downmixing in blocks of a quarter of a second, unless channels are kept. Channels that cancel each other and implausible
//! samples are handled here.

use crate::{Channels, Error, Warning};

/// Blocks per second.
const BLOCKS_PER_SECOND: u32 = 4;

/// Channels cancel each other if their mean keeps less than this fraction of the energy that the mean of uncorrelated
/// channels would have.
const CANCELLED: f64 = 0.1;

/// Above this fraction, they no longer cancel each other.
const RECOVERED: f64 = 0.5;

/// Mean square below which a block counts as silence: -70 dB.
const SILENCE: f64 = 1e-7;

/// A block whose mean square is below this fraction of that of the first canceling block cannot end the cancellation.
const QUIET: f64 = 0.1;

/// Larger magnitudes are implausible: 20 dB above full scale.
const FAR_BEYOND: f32 = 10.0;

/// Larger magnitudes are beyond any integer scale.
const ABSURD: f32 = 4.3e9;

/// If a larger fraction of a block is far beyond full scale, the whole file has another scale.
const MOST_SPIKES: f64 = 0.01;

/// Downmixes planes, one per channel.
pub(crate) struct Mixer {
    channels: Channels,
    rate: u32,
    planes: Vec<Vec<f32>>,
    /// The channel used while channels cancel each other, and the mean square of the first such block.
    alone: Option<(usize, f64)>,
    cancelled_frames: u64,
    cancelled_channel: usize,
    cancelled_seconds: f64,
    spikes: usize,
    highest_spike: f32,
    first_spike: f64,
    highest_loud: f32,
}

impl Mixer {
    pub(crate) fn new(channels: Channels) -> Self {
        Self {
            channels,
            rate: crate::SAMPLE_RATE,
            planes: Vec::new(),
            alone: None,
            cancelled_frames: 0,
            cancelled_channel: 0,
            cancelled_seconds: 0.0,
            spikes: 0,
            highest_spike: 0.0,
            first_spike: 0.0,
            highest_loud: 0.0,
        }
    }

    /// Whether planes of this rate and number can be appended to those that wait.
    pub(crate) fn fits(&self, rate: u32, channels: usize) -> bool {
        self.waiting() == 0 || self.rate == rate && self.planes.len() == channels
    }

    /// Appends planes, which must fit.
    pub(crate) fn push(&mut self, planes: &[&[f32]], rate: u32) -> Result<(), Error> {
        let count = planes.len();
        self.rate = rate;
        match self.channels {
            Channels::Only(asked) => {
                let plane = planes.get(asked).ok_or(Error::Channel { asked, count })?;
                self.planes.resize(count, Vec::new());
                self.planes[0].extend_from_slice(plane);
            }
            Channels::Mean | Channels::Each => {
                self.planes.resize(count, Vec::new());
                for (waiting, plane) in self.planes.iter_mut().zip(planes) {
                    waiting.extend_from_slice(plane);
                }
            }
        }
        Ok(())
    }

    /// Whether channels are kept separate.
    pub(crate) fn keeps_channels(&self) -> bool {
        self.channels == Channels::Each
    }

    /// Number of frames that wait for the rest of their block.
    pub(crate) fn waiting(&self) -> usize {
        self.planes.first().map_or(0, Vec::len)
    }

    /// The next block, which starts at `seconds`. An incomplete block is returned only with `is_last`.
    pub(crate) fn block(&mut self, seconds: f64, is_last: bool) -> Result<Option<Vec<Vec<f32>>>, Error> {
        let whole = (self.rate / BLOCKS_PER_SECOND).max(1) as usize;
        let frames = if is_last { self.waiting().min(whole) } else { whole };
        if frames == 0 || self.waiting() < frames {
            return Ok(None);
        }
        let used = if matches!(self.channels, Channels::Only(_)) { 1 } else { self.planes.len() };
        let mut block: Vec<Vec<f32>> =
            self.planes[..used].iter_mut().map(|plane| plane.drain(..frames).collect()).collect();
        if self.channels != Channels::Each {
            let mut mean = mean(&block);
            self.check(&mean, seconds)?;
            if let Some(channel) = self.channel_instead(&block, &mean, seconds) {
                mean.copy_from_slice(&block[channel]);
            }
            block = vec![mean];
        }
        for plane in &mut block {
            self.check(plane, seconds)?;
            self.limit(plane, seconds)?;
        }
        Ok(Some(block))
    }

    /// Fails if a sample is not finite.
    fn check(&self, samples: &[f32], seconds: f64) -> Result<(), Error> {
        match samples.iter().position(|sample| !sample.is_finite()) {
            Some(index) => {
                let seconds = seconds + index as f64 / f64::from(self.rate);
                Err(Error::NonFinite { seconds, value: samples[index] })
            }
            None => Ok(()),
        }
    }

    /// The channel to use instead of the mean if the channels cancel each other.
    fn channel_instead(&mut self, block: &[Vec<f32>], mean: &[f32], seconds: f64) -> Option<usize> {
        let count = block.len() as f64;
        if block.len() < 2 {
            return None;
        }
        let squares: Vec<f64> = block.iter().map(|plane| mean_square(plane)).collect();
        let all: f64 = squares.iter().sum();
        let kept = mean_square(mean) * count * count / all;
        let loudness = all / count;
        match self.alone {
            Some((_, level)) if loudness > QUIET * level && kept > RECOVERED => self.alone = None,
            None if loudness > SILENCE && kept < CANCELLED => {
                let loudest = (0..block.len()).rev().max_by(|a, b| squares[*a].total_cmp(&squares[*b]))?;
                if self.cancelled_frames == 0 {
                    (self.cancelled_channel, self.cancelled_seconds) = (loudest, seconds);
                }
                self.alone = Some((loudest, loudness));
            }
            _ => {}
        }
        let (channel, _) = self.alone?;
        self.cancelled_frames += mean.len() as u64;
        block.get(channel).is_some().then_some(channel)
    }

    /// Clips isolated implausible samples and notes whether the file has another scale.
    fn limit(&mut self, samples: &mut [f32], seconds: f64) -> Result<(), Error> {
        let beyond = samples.iter().filter(|sample| sample.abs() > FAR_BEYOND).count();
        if beyond == 0 {
            return Ok(());
        }
        let highest = samples.iter().fold(0.0, |highest: f32, sample| highest.max(sample.abs()));
        if beyond as f64 > (MOST_SPIKES * samples.len() as f64).max(1.0) {
            if highest > ABSURD {
                return Err(Error::BeyondFullScale { seconds, value: highest });
            }
            self.highest_loud = self.highest_loud.max(highest);
            return Ok(());
        }
        if self.spikes == 0 {
            let first = samples.iter().position(|sample| sample.abs() > FAR_BEYOND).unwrap_or(0);
            self.first_spike = seconds + first as f64 / f64::from(self.rate);
        }
        self.spikes += beyond;
        self.highest_spike = self.highest_spike.max(highest);
        samples
            .iter_mut()
            .filter(|sample| sample.abs() > FAR_BEYOND)
            .for_each(|sample| *sample = sample.signum());
        Ok(())
    }

    /// The problems found.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.cancelled_frames > 0 {
            warnings.push(Warning::ChannelsCancel {
                channel: self.cancelled_channel,
                start: self.cancelled_seconds,
                seconds: self.cancelled_frames as f64 / f64::from(self.rate),
            });
        }
        if self.spikes > 0 {
            let Self { spikes: count, highest_spike: highest, first_spike: first, .. } = *self;
            warnings.push(Warning::Spikes { count, highest, first });
        }
        if self.highest_loud > 0.0 {
            warnings.push(Warning::BeyondFullScale { highest: self.highest_loud });
        }
        warnings
    }
}

fn mean(planes: &[Vec<f32>]) -> Vec<f32> {
    let Some((first, others)) = planes.split_first() else {
        return Vec::new();
    };
    let mut mean = first.clone();
    for plane in others {
        mean.iter_mut().zip(plane).for_each(|(sum, sample)| *sum += sample);
    }
    mean.iter_mut().for_each(|sum| *sum /= planes.len() as f32);
    mean
}

fn mean_square(samples: &[f32]) -> f64 {
    samples.iter().map(|sample| f64::from(*sample) * f64::from(*sample)).sum::<f64>() / samples.len() as f64
}
