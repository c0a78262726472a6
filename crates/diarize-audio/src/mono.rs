//! Converting decoded packets to 16 kHz mono, or to what the settings ask for.

use crate::{Channels, Error, RATES, Rate, Resampler, SAMPLE_RATE, Settings, Warning, mix::Mixer};

/// Downmixes and resamples packets. Holds one packet, one block of the mixer and the resampler's state.
pub(crate) struct Mono {
    mixer: Mixer,
    rate: u32,
    /// Number of channels of the output; `None` before the first packet if they are those of the file.
    channels: Option<usize>,
    target: Rate,
    /// One per channel; empty before the first samples and if the rate is already right.
    resamplers: Vec<Resampler>,
    /// Number of frames of silence queued; they follow the mixer's block.
    silence: u64,
    /// The queued packet, one plane per channel, and its rate. It follows the silence.
    packet: Option<(Vec<Vec<f32>>, u32)>,
    has_ended: bool,
    /// Output of finished resamplers, which precedes everything else.
    tail: Vec<f32>,
    /// Number of frames processed at the current rate.
    frames: u64,
    /// Seconds processed at earlier rates.
    earlier: f64,
}

impl Mono {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            mixer: Mixer::new(settings.channels),
            rate: SAMPLE_RATE,
            channels: (settings.channels != Channels::Each).then_some(1),
            target: settings.rate,
            resamplers: Vec::new(),
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

    /// Sample rate of the output in hertz.
    pub(crate) fn output_rate(&self) -> u32 {
        if self.target == Rate::Own { self.rate } else { SAMPLE_RATE }
    }

    /// Number of interleaved channels of the output; `None` if it is not known before the first packet.
    pub(crate) fn channels(&self) -> Option<usize> {
        self.channels
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
        let ahead = self.packet.as_ref().map(|(planes, _)| planes.len());
        if let Some(channels) = self.channels.or(ahead).filter(|_| self.silence > 0) {
            // At most one second at a time, since a gap may be long.
            let frames = self.silence.min(u64::from(self.rate));
            self.silence -= frames;
            self.append(&vec![vec![0.0; frames as usize]; channels], output);
            return Ok(true);
        }
        let Some((planes, rate)) = self.packet.take() else {
            return Ok(false);
        };
        self.set_rate(rate)?;
        if self.mixer.keeps_channels() && *self.channels.get_or_insert(planes.len()) != planes.len() {
            return Err(Error::LayoutChanges { seconds: self.seconds() });
        }
        let planes: Vec<&[f32]> = planes.iter().map(Vec::as_slice).collect();
        self.mixer.push(&planes, rate)?;
        Ok(true)
    }

    /// Appends the resampler's remaining output.
    pub(crate) fn finish(&mut self, output: &mut Vec<f32>) {
        self.end_resampling();
        output.append(&mut self.tail);
    }

    fn end_resampling(&mut self) {
        let rest = self.resamplers.drain(..).map(|resampler| {
            let mut rest = Vec::new();
            resampler.finish(&mut rest);
            rest
        });
        interleave(&rest.collect::<Vec<_>>(), &mut self.tail);
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
            if self.target == Rate::Own && self.seconds() > 0.0 {
                return Err(Error::LayoutChanges { seconds: self.seconds() });
            }
            self.end_resampling();
            self.earlier = self.taken();
            self.frames = 0;
            self.rate = rate;
        }
        Ok(())
    }

    fn append(&mut self, planes: &[Vec<f32>], output: &mut Vec<f32>) {
        self.frames += planes.first().map_or(0, Vec::len) as u64;
        output.append(&mut self.tail);
        if self.rate == self.output_rate() {
            return interleave(planes, output);
        }
        if self.resamplers.is_empty() {
            self.resamplers = planes.iter().map(|_| Resampler::new(self.rate)).collect();
        }
        let resampled = self.resamplers.iter_mut().zip(planes).map(|(resampler, plane)| {
            let mut resampled = Vec::new();
            resampler.push(plane, &mut resampled);
            resampled
        });
        interleave(&resampled.collect::<Vec<_>>(), output);
    }
}

/// Appends one sample of each plane, then the next of each.
fn interleave(planes: &[Vec<f32>], output: &mut Vec<f32>) {
    match planes {
        [] => {}
        [plane] => output.extend_from_slice(plane),
        [first, ..] => {
            output.extend((0..first.len()).flat_map(|frame| planes.iter().map(move |plane| plane[frame])));
        }
    }
}
