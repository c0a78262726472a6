//! Resampling from any sample rate to 16 kHz.

use rubato::{
    Async, FixedAsync, Indexing, Resampler as _, SincInterpolationParameters, SincInterpolationType,
    WindowFunction, audioadapter_buffers::direct::SequentialSlice,
};

use crate::SAMPLE_RATE;

/// Filter length in samples of the lower of the two rates: flat up to 7.1 of 8 kHz.
const FILTER_LENGTH: usize = 256;

/// Samples filtered at once. Does not affect the result.
const BLOCK: usize = 4096;

/// Maximum number of exact filter phases; rates that need more interpolate between fewer.
const MAX_PHASES: u32 = 1024;

/// Resamples one channel to [`SAMPLE_RATE`] block by block, so that the input need not be kept in memory.
///
/// `n` samples become `ceil(n · 16000 / rate)`. Sample 0 stays at time 0: the delay of the filter is
/// compensated exactly, not just to the nearest sample (to 1/256 sample for unusual rates such as 44101
/// Hz).
pub struct Resampler {
    filter: Async<f32>,
    rate: u32,
    /// Input that does not fill a block yet. It starts with zeros that make the delay a whole number of
    /// output samples.
    pending: Vec<f32>,
    block: Vec<f32>,
    /// Remaining samples of the delay to skip.
    delay: usize,
    received: u64,
    produced: u64,
}

impl Resampler {
    /// A resampler from `rate` in hertz, which must not be 0.
    pub fn new(rate: u32) -> Self {
        let divisor = gcd(rate, SAMPLE_RATE);
        let (up, down) = (SAMPLE_RATE / divisor, (rate / divisor) as usize);
        let length = FILTER_LENGTH * rate.div_ceil(SAMPLE_RATE) as usize;
        let parameters = SincInterpolationParameters::new(length, WindowFunction::BlackmanHarris2);
        let parameters = if up <= MAX_PHASES {
            parameters.oversampling_factor(up as usize).interpolation(SincInterpolationType::Nearest)
        } else {
            parameters.oversampling_factor(256).interpolation(SincInterpolationType::Cubic)
        };
        let ratio = f64::from(SAMPLE_RATE) / f64::from(rate);
        let filter = Async::new_sinc(ratio, 1.0, &parameters, BLOCK, 1, FixedAsync::Input)
            .expect("a positive ratio and one channel are valid");

        // Output `k` of the filter lies at input `(k + 1) · down / up - half + 1 / up`.
        let half = length / 2;
        let is_whole = |padding: &usize| (half + padding) * up as usize % down == 1 % down;
        let padding = (0..down).find(is_whole).expect("`up` and `down` have no common divisor");
        let delay = ((half + padding) * up as usize - 1) / down - 1;
        Self {
            block: vec![0.0; filter.output_frames_max()],
            filter,
            rate,
            pending: vec![0.0; padding],
            delay,
            received: 0,
            produced: 0,
        }
    }

    /// Takes the next samples and appends all finished output to `output`.
    pub fn push(&mut self, samples: &[f32], output: &mut Vec<f32>) {
        self.received += samples.len() as u64;
        self.pending.extend_from_slice(samples);
        let whole = self.pending.len() - self.pending.len() % BLOCK;
        let pending = std::mem::take(&mut self.pending);
        for block in pending[..whole].chunks_exact(BLOCK) {
            self.process(block, output);
        }
        self.pending.extend_from_slice(&pending[whole..]);
    }

    /// Appends the remaining output.
    pub fn finish(mut self, output: &mut Vec<f32>) {
        let total = (self.received * u64::from(SAMPLE_RATE)).div_ceil(u64::from(self.rate));
        let mut last = std::mem::take(&mut self.pending);
        while self.produced < total {
            last.resize(BLOCK, 0.0);
            self.process(&last, output);
            last.clear();
        }
        output.truncate(output.len() - (self.produced - total) as usize);
    }

    fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        let frames = self.block.len();
        let input = SequentialSlice::new(input, 1, BLOCK).expect("the block has this length");
        let mut block =
            SequentialSlice::new_mut(&mut self.block, 1, frames).expect("the block has this length");
        let (_, written) = self
            .filter
            .process_into_buffer(&input, &mut block, Some(&Indexing::new()))
            .expect("both blocks have the lengths that the filter asks for");
        let skipped = self.delay.min(written);
        self.delay -= skipped;
        self.produced += (written - skipped) as u64;
        output.extend_from_slice(&self.block[skipped..written]);
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
