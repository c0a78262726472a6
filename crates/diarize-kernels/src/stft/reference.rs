//! The transform computed directly from its definition, in f64: slow but evidently correct.

use std::f64::consts::PI;

use super::Stft;

/// Power `(frames, bins)` of one waveform, row-major.
pub fn power_spectrum(stft: &Stft, waveform: &[f32]) -> Vec<f64> {
    let angle = |step: usize| -2.0 * PI * step as f64 / stft.fft_length as f64;
    let roots: Vec<(f64, f64)> = (0..stft.fft_length).map(|step| angle(step).sin_cos()).collect();
    let mut power = Vec::with_capacity(stft.frames(waveform.len()) * stft.bins());
    for t in 0..stft.frames(waveform.len()) {
        let frame: Vec<f64> =
            waveform[t * stft.hop..][..stft.frame_length].iter().map(|&x| f64::from(x)).collect();
        let mean = if stft.remove_mean { frame.iter().sum::<f64>() / frame.len() as f64 } else { 0.0 };
        let centered: Vec<f64> = frame.iter().map(|x| x - mean).collect();
        let windowed: Vec<f64> = (0..frame.len())
            .map(|n| {
                let previous = centered[n.saturating_sub(1)];
                (centered[n] - f64::from(stft.preemphasis) * previous) * f64::from(stft.window[n])
            })
            .collect();
        for k in 0..stft.bins() {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, x) in windowed.iter().enumerate() {
                let (sin, cos) = roots[(k * n) % stft.fft_length];
                re += x * cos;
                im += x * sin;
            }
            power.push(re * re + im * im);
        }
    }
    power
}
