//! Sine waves and their amplitudes.

use std::f64::consts::TAU;

/// A sine wave of amplitude 1.
pub fn sine(frequency: f64, rate: u32, seconds: f64) -> Vec<f32> {
    let count = (seconds * f64::from(rate)).round() as usize;
    (0..count).map(|i| (TAU * frequency * i as f64 / f64::from(rate)).sin() as f32).collect()
}

/// The amplitude of a frequency component in a signal sampled at 16 kHz.
pub fn amplitude(samples: &[f32], frequency: f64) -> f64 {
    let step = TAU * frequency / 16_000.0;
    let (mut re, mut im) = (0.0, 0.0);
    for (i, &sample) in samples.iter().enumerate() {
        re += f64::from(sample) * (step * i as f64).cos();
        im += f64::from(sample) * (step * i as f64).sin();
    }
    2.0 * re.hypot(im) / samples.len() as f64
}
