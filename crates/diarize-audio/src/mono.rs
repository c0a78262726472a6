//! Converting decoded packets to 16 kHz mono.

use symphonia::core::audio::GenericAudioBufferRef;

use crate::{Channels, Error, RATES, Resampler, SAMPLE_RATE};

/// Downmixes and resamples packets. Holds one packet and the resampler's state.
pub(crate) struct Mono {
    channels: Channels,
    rate: u32,
    /// `None` if the rate is already right.
    resampler: Option<Resampler>,
    planes: Vec<Vec<f32>>,
    /// Number of frames of silence queued.
    silence: u64,
    /// The queued packet, downmixed, and its rate.
    mean: Vec<f32>,
    mean_rate: u32,
    /// Output of a finished resampler, which precedes everything else.
    tail: Vec<f32>,
    /// Number of frames processed at the current rate.
    frames: u64,
    /// Seconds processed at earlier rates.
    earlier: f64,
}

impl Mono {
    pub(crate) fn new(channels: Channels) -> Self {
        Self {
            channels,
            rate: SAMPLE_RATE,
            resampler: None,
            planes: Vec::new(),
            silence: 0,
            mean: Vec::new(),
            mean_rate: SAMPLE_RATE,
            tail: Vec::new(),
            frames: 0,
            earlier: 0.0,
        }
    }

    /// Seconds processed so far.
    pub(crate) fn seconds(&self) -> f64 {
        self.earlier + self.frames as f64 / f64::from(self.rate)
    }

    /// Queues a packet.
    pub(crate) fn push(&mut self, packet: &GenericAudioBufferRef<'_>) -> Result<(), Error> {
        self.mean_rate = packet.spec().rate();
        packet.copy_to_vecs_planar(&mut self.planes);
        self.mix()
    }

    /// Queues silence for audio that cannot be decoded, so that later audio keeps its time.
    pub(crate) fn push_silence(&mut self, seconds: f64) {
        self.silence = (seconds * f64::from(self.rate)).round() as u64;
    }

    /// Processes part of what is queued and appends it to `output`. Returns whether anything was queued.
    pub(crate) fn advance(&mut self, output: &mut Vec<f32>) -> Result<bool, Error> {
        if self.silence > 0 {
            // At most one second at a time, since a gap may be long.
            let frames = self.silence.min(u64::from(self.rate));
            self.silence -= frames;
            self.append(&vec![0.0; frames as usize], output);
            return Ok(true);
        }
        if self.mean.is_empty() {
            return Ok(false);
        }
        self.set_rate(self.mean_rate)?;
        let mut mean = std::mem::take(&mut self.mean);
        if let Some(index) = mean.iter().position(|sample| !sample.is_finite()) {
            let seconds = self.seconds() + index as f64 / f64::from(self.rate);
            return Err(Error::NonFinite { seconds, value: mean[index] });
        }
        self.append(&mean, output);
        mean.clear();
        self.mean = mean;
        Ok(true)
    }

    /// Appends the resampler's remaining output.
    pub(crate) fn finish(&mut self, output: &mut Vec<f32>) {
        output.append(&mut self.tail);
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(output);
        }
    }

    /// Sets the sample rate of the following audio. It may change in chained streams.
    pub(crate) fn set_rate(&mut self, rate: u32) -> Result<(), Error> {
        if !RATES.contains(&rate) {
            return Err(Error::SampleRate { rate });
        }
        if rate != self.rate {
            if let Some(finished) = self.resampler.take() {
                finished.finish(&mut self.tail);
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

    fn append(&mut self, samples: &[f32], output: &mut Vec<f32>) {
        self.frames += samples.len() as u64;
        output.append(&mut self.tail);
        match &mut self.resampler {
            Some(resampler) => resampler.push(samples, output),
            None => output.extend_from_slice(samples),
        }
    }
}
