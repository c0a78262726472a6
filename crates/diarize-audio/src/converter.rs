//! Converts decoded samples to the output format.

use crate::{Error, Settings, Warning, mono::Mono};

/// Converts samples that are already decoded as [`Audio`](crate::Audio) converts those of a file: it downmixes and
/// resamples them block by block, and the result is bit-identical.
pub struct Converter {
    mono: Mono,
    rate: u32,
    /// Number of frames received.
    frames: u64,
}

impl Converter {
    /// Creates a converter for samples at `rate` hertz. It uses only the output channels and output rate of the settings.
    ///
    /// # Errors
    /// If the rate is outside [`RATES`](crate::RATES).
    pub fn new(rate: u32, settings: &Settings) -> Result<Self, Error> {
        let mut mono = Mono::new(settings);
        mono.set_rate(rate)?;
        Ok(Self { mono, rate, frames: 0 })
    }

    /// Takes the next samples, one plane `(sample,)` per channel, and appends all finished output to `output`. Full
    /// scale is ±1. All planes have the same length.
    ///
    /// # Errors
    /// If a sample is not finite or the samples are far beyond full scale; if there is no channel that the settings
    /// ask for.
    pub fn push(&mut self, planes: Vec<Vec<f32>>, output: &mut Vec<f32>) -> Result<(), Error> {
        self.frames += planes.first().map_or(0, Vec::len) as u64;
        self.mono.push(planes, self.rate);
        self.advance(output)
    }

    /// Appends the rest of the converted samples to `output`, and returns the problems found in the samples.
    ///
    /// # Errors
    /// As [`Self::push`], and if there were no samples.
    pub fn finish(mut self, output: &mut Vec<f32>) -> Result<Vec<Warning>, Error> {
        if self.frames == 0 {
            return Err(Error::NoSamples);
        }
        self.mono.end();
        self.advance(output)?;
        self.mono.finish(output);
        Ok(self.mono.warnings())
    }

    /// Seconds received so far.
    pub fn seconds(&self) -> f64 {
        self.frames as f64 / f64::from(self.rate)
    }

    fn advance(&mut self, output: &mut Vec<f32>) -> Result<(), Error> {
        while self.mono.advance(output)? {}
        Ok(())
    }
}
