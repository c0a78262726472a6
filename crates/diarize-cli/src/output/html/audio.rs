//! The audio of a page as IMA ADPCM, four bits per sample. The page's script decodes it.
//!
//! Source: "Recommended practices for enhancing digital audio compatibility in multimedia systems",
//! Interactive Multimedia Association, 1992.

/// Step sizes of the quantizer.
pub(super) const STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88,
    97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658,
    724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660,
    4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818,
    18500, 20350, 22385, 24623, 27086, 29794, 32767,
];

/// Peaks of the waveform per second.
pub(super) const PEAKS_PER_SECOND: usize = 100;

/// The state that encoder and decoder share.
#[derive(Default)]
struct Predictor {
    value: i32,
    index: usize,
}

impl Predictor {
    /// Encodes a sample as a sign and three bits: its difference from the prediction, in quantizer steps.
    fn encode(&mut self, sample: i32) -> u8 {
        let step = STEPS[self.index];
        let difference = sample - self.value;
        let sign = if difference < 0 { 8 } else { 0 };
        let mut rest = difference.abs();
        let mut code = 0;
        for (bit, part) in [(4, step), (2, step >> 1), (1, step >> 2)] {
            if rest >= part {
                code |= bit;
                rest -= part;
            }
        }
        self.decode(code | sign);
        code | sign
    }

    fn decode(&mut self, code: u8) {
        let step = STEPS[self.index];
        let part = |bit: u8, part: i32| if code & bit == 0 { 0 } else { part };
        let change = (step >> 3) + part(4, step) + part(2, step >> 1) + part(1, step >> 2);
        self.value += if code & 8 == 0 { change } else { -change };
        self.value = self.value.clamp(-32_768, 32_767);
        let index = if code & 4 == 0 {
            self.index.saturating_sub(1)
        } else {
            self.index + 2 * (code as usize & 3) + 2
        };
        self.index = index.min(STEPS.len() - 1);
    }
}

/// Packs samples block by block: two per byte, the first in the low bits.
#[derive(Default)]
pub(super) struct Packer {
    predictor: Predictor,
    pub(super) bytes: Vec<u8>,
    pub(super) samples: usize,
}

impl Packer {
    pub(super) fn push(&mut self, samples: &[f32]) {
        for sample in samples {
            let code = self.predictor.encode((sample * 32_767.0).round() as i32);
            match self.bytes.last_mut() {
                Some(byte) if self.samples % 2 == 1 => *byte |= code << 4,
                _ => self.bytes.push(code),
            }
            self.samples += 1;
        }
    }
}

/// Finds the peak of each hundredth of a second, block by block.
#[derive(Default)]
pub(super) struct Peaks {
    peaks: Vec<f32>,
    samples: usize,
}

impl Peaks {
    pub(super) fn push(&mut self, samples: &[f32]) {
        const EACH: usize = diarize::SAMPLE_RATE as usize / PEAKS_PER_SECOND;
        for sample in samples {
            if self.samples.is_multiple_of(EACH) {
                self.peaks.push(0.0);
            }
            let peak = self.peaks.last_mut().expect("the first sample adds one");
            *peak = peak.max(sample.abs());
            self.samples += 1;
        }
    }

    /// The peaks, scaled so that the highest is 255.
    pub(super) fn finish(self) -> Vec<u8> {
        let loudest = self.peaks.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        self.peaks.into_iter().map(|peak| (255.0 * peak / loudest).round() as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Packer, Peaks, Predictor};

    fn adpcm(samples: &[f32]) -> Vec<u8> {
        let mut packer = Packer::default();
        samples.chunks(777).for_each(|block| packer.push(block));
        packer.bytes
    }

    fn peaks(samples: &[f32]) -> Vec<u8> {
        let mut peaks = Peaks::default();
        samples.chunks(77).for_each(|block| peaks.push(block));
        peaks.finish()
    }

    #[test]
    fn a_tone_survives_its_four_bits() {
        let tone: Vec<f32> = (0..16_001).map(|i| 0.5 * (i as f32 * 0.173).sin()).collect();
        let packed = adpcm(&tone);
        assert_eq!(packed.len(), 8_001);
        let mut predictor = Predictor::default();
        let codes = packed.iter().flat_map(|byte| [byte & 15, byte >> 4]);
        let (mut signal, mut noise) = (0.0, 0.0);
        for (code, sample) in codes.zip(&tone) {
            predictor.decode(code);
            signal += sample.powi(2);
            noise += (predictor.value as f32 / 32_767.0 - sample).powi(2);
        }
        let decibels = 10.0 * (signal / noise).log10();
        assert!(decibels > 20.0, "the tone is {decibels:.1} dB above the noise");
    }

    #[test]
    fn full_scale_clips_and_does_not_wrap() {
        let square: Vec<f32> = (0..4_000).map(|i| if i / 100 % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let mut predictor = Predictor::default();
        for (index, code) in adpcm(&square).iter().flat_map(|byte| [byte & 15, byte >> 4]).enumerate() {
            predictor.decode(code);
            if index % 100 == 99 {
                assert!((predictor.value as f32 / 32_767.0 - square[index]).abs() < 0.1, "at {index}");
            }
        }
    }

    #[test]
    fn each_peak_covers_a_hundredth_of_a_second() {
        let mut samples = vec![0.0; 400];
        samples[170] = -0.5;
        samples[399] = 0.25;
        assert_eq!(peaks(&samples), [0, 255, 128]);
        assert_eq!(peaks(&[0.0; 160]), [0]);
    }
}
