//! Converting decoded packets to 16 kHz mono.

use crate::{Channels, Error, RATES, Resampler, SAMPLE_RATE, Warning, mix::Mixer};

/// Downmixes and resamples packets. Holds one packet, one block of the mixer and the resampler's state.
pub(crate) struct Mono {
    mixer: Mixer,
    rate: u32,
    /// `None` if the rate is already right.
    resampler: Option<Resampler>,
    /// Number of frames of silence queued; they follow the mixer's block.
    silence: u64,
    /// The queued packet, one plane per channel, and its rate. It follows the silence.
    packet: Option<(Vec<Vec<f32>>, u32)>,
    has_ended: bool,
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
            mixer: Mixer::new(channels),
            rate: SAMPLE_RATE,
            resampler: None,
            silence: 0,
            packet: None,
            has_ended: false,
            tail: Vec::new(),
            frames: 0,
            earlier: 0.0,
        }
    }

    /// Seconds received so far, without what is queued.
    pub(crate) fn seconds(&self) -> f64 {
        self.taken() + self.mixer.waiting() as f64 / f64::from(self.rate)
    }

    fn taken(&self) -> f64 {
        self.earlier + self.frames as f64 / f64::from(self.rate)
    }

    /// The current rate in hertz.
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Queues a packet, one plane per channel.
    pub(crate) fn push(&mut self, planes: Vec<Vec<f32>>, rate: u32) {
        self.packet = Some((planes, rate));
    }

    /// Queues silence for audio that is missing, so that later audio keeps its time.
    pub(crate) fn push_silence(&mut self, seconds: f64) {
        self.silence += (seconds * f64::from(self.rate)).round() as u64;
    }

    /// Marks the end of the audio, so that the last block is converted although it is incomplete.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Processes part of what is queued and appends it to `output`. Returns whether anything was queued.
    pub(crate) fn advance(&mut self, output: &mut Vec<f32>) -> Result<bool, Error> {
        let is_flushed = self.silence > 0
            || self.has_ended
            || self.packet.as_ref().is_some_and(|(planes, rate)| !self.mixer.fits(*rate, planes.len()));
        if let Some(block) = self.mixer.block(self.taken(), is_flushed)? {
            self.append(&block, output);
            return Ok(true);
        }
        if self.silence > 0 {
            // At most one second at a time, since a gap may be long.
            let frames = self.silence.min(u64::from(self.rate));
            self.silence -= frames;
            self.append(&vec![0.0; frames as usize], output);
            return Ok(true);
        }
        let Some((planes, rate)) = self.packet.take() else {
            return Ok(false);
        };
        self.set_rate(rate)?;
        let planes: Vec<&[f32]> = planes.iter().map(Vec::as_slice).collect();
        self.mixer.push(&planes, rate)?;
        Ok(true)
    }

    /// Appends the resampler's remaining output.
    pub(crate) fn finish(&mut self, output: &mut Vec<f32>) {
        output.append(&mut self.tail);
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(output);
        }
    }

    /// The problems found in the samples.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        self.mixer.warnings()
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
            self.earlier = self.taken();
            self.frames = 0;
            self.rate = rate;
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
