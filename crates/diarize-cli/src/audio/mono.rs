//! Decoded packets to one channel at 16 kHz.

use diarize::SAMPLE_RATE;
use symphonia::core::audio::GenericAudioBufferRef;

use super::{Channels, Error, RATES, Resampler};

/// A day.
const MOST_EXPECTED_SECONDS: f64 = 86_400.0;

/// Gathers the packets of a file. Only the mono signal is kept, and only at the final sample rate.
pub(super) struct Mono {
    channels: Channels,
    rate: u32,
    /// `None` where the rate is right already.
    resampler: Option<Resampler>,
    planes: Vec<Vec<f32>>,
    mean: Vec<f32>,
    samples: Vec<f32>,
    /// Frames gathered at this rate.
    frames: u64,
    /// Seconds gathered at earlier rates.
    earlier: f64,
}

impl Mono {
    pub(super) fn new(channels: Channels) -> Self {
        Self {
            channels,
            rate: SAMPLE_RATE,
            resampler: None,
            planes: Vec::new(),
            mean: Vec::new(),
            samples: Vec::new(),
            frames: 0,
            earlier: 0.0,
        }
    }

    /// Makes room for so many seconds, which spares copying them again and again as they become more. A
    /// header can say anything: what is not needed, or not there, costs nothing.
    pub(super) fn expect(&mut self, seconds: f64) {
        let samples = seconds.clamp(0.0, MOST_EXPECTED_SECONDS) * f64::from(SAMPLE_RATE);
        // Where there is not so much memory, it grows as it is needed.
        let _ = self.samples.try_reserve_exact(samples as usize + 1);
    }

    /// Seconds gathered.
    pub(super) fn seconds(&self) -> f64 {
        self.earlier + self.frames as f64 / f64::from(self.rate)
    }

    /// Appends a packet.
    pub(super) fn push(&mut self, packet: &GenericAudioBufferRef<'_>) -> Result<(), Error> {
        self.set_rate(packet.spec().rate())?;
        packet.copy_to_vecs_planar(&mut self.planes);
        self.mix()?;
        if let Some(index) = self.mean.iter().position(|sample| !sample.is_finite()) {
            let seconds = self.seconds() + index as f64 / f64::from(self.rate);
            return Err(Error::NonFinite { seconds, value: self.mean[index] });
        }
        self.append_mean();
        Ok(())
    }

    /// Appends silence in place of what cannot be decoded, so that what follows stays at its time.
    pub(super) fn push_silence(&mut self, seconds: f64) {
        self.mean.clear();
        self.mean.resize((seconds * f64::from(self.rate)).round() as usize, 0.0);
        self.append_mean();
    }

    /// The whole signal and its length in seconds.
    pub(super) fn finish(mut self) -> (Vec<f32>, f64) {
        let seconds = self.seconds();
        if let Some(resampler) = self.resampler {
            resampler.finish(&mut self.samples);
        }
        (self.samples, seconds)
    }

    /// Sets the rate of what follows: that of the file, or in chained streams one after the other.
    pub(super) fn set_rate(&mut self, rate: u32) -> Result<(), Error> {
        if !RATES.contains(&rate) {
            return Err(Error::SampleRate { rate });
        }
        if rate != self.rate {
            if let Some(finished) = self.resampler.take() {
                finished.finish(&mut self.samples);
            }
            self.resampler = (rate != SAMPLE_RATE).then(|| Resampler::new(rate));
            self.earlier = self.seconds();
            self.frames = 0;
            self.rate = rate;
        }
        Ok(())
    }

    fn mix(&mut self) -> Result<(), Error> {
        let count = self.planes.len();
        self.mean.clear();
        match self.channels {
            Channels::Only(asked) => {
                let plane = self.planes.get(asked).ok_or(Error::Channel { asked, count })?;
                self.mean.extend_from_slice(plane);
            }
            Channels::Mean => {
                let Some((first, others)) = self.planes.split_first() else {
                    return Ok(());
                };
                self.mean.extend_from_slice(first);
                for plane in others {
                    self.mean.iter_mut().zip(plane).for_each(|(sum, sample)| *sum += sample);
                }
                self.mean.iter_mut().for_each(|sum| *sum /= count as f32);
            }
        }
        Ok(())
    }

    fn append_mean(&mut self) {
        self.frames += self.mean.len() as u64;
        match &mut self.resampler {
            Some(resampler) => resampler.push(&self.mean, &mut self.samples),
            None => self.samples.extend_from_slice(&self.mean),
        }
    }
}
