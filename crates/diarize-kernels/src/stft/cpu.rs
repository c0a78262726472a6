//! The transform by a real FFT (`realfft`, which builds on `rustfft`), with frames in parallel.

use rayon::prelude::*;
use realfft::RealFftPlanner;
use rustfft::num_complex::Complex;

use super::Stft;

/// Fills `output` `(batch, frames, width)` from `waveforms` `(batch, samples)`. `finish` computes the output of a
/// frame from its spectrum.
pub(crate) fn each_frame(
    stft: &Stft,
    waveforms: &[f32],
    samples: usize,
    output: &mut [f32],
    width: usize,
    finish: impl Fn(&[Complex<f32>], &mut [f32]) + Sync,
) {
    if output.is_empty() {
        return;
    }
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(stft.fft_length);
    let frames = stft.frames(samples);
    output.par_chunks_mut(width).enumerate().for_each_init(
        || (fft.make_input_vec(), fft.make_output_vec(), fft.make_scratch_vec()),
        |(frame, spectrum, scratch), (index, output)| {
            let (row, t) = (index / frames, index % frames);
            window(stft, &waveforms[row * samples + t * stft.hop..][..stft.frame_length], frame);
            fft.process_with_scratch(frame, spectrum, scratch).expect("the plan created the buffers");
            finish(spectrum, output);
        },
    );
}

/// Fills `power` `(batch, frames, bins)` from `waveforms` `(batch, samples)`.
pub(super) fn power_spectrum(stft: &Stft, waveforms: &[f32], samples: usize, power: &mut [f32]) {
    each_frame(stft, waveforms, samples, power, stft.bins(), |spectrum, power| {
        for (power, bin) in power.iter_mut().zip(spectrum) {
            *power = bin.norm_sqr();
        }
    });
}

/// Copies a frame, removes its mean if asked to, applies pre-emphasis and the window, and pads it with zeros.
fn window(stft: &Stft, samples: &[f32], frame: &mut [f32]) {
    let mean = match stft.remove_mean {
        true => (samples.iter().map(|&x| f64::from(x)).sum::<f64>() / samples.len() as f64) as f32,
        false => 0.0,
    };
    let (head, padding) = frame.split_at_mut(samples.len());
    let mut previous = samples[0] - mean;
    for ((out, &sample), weight) in head.iter_mut().zip(samples).zip(&stft.window) {
        let centered = sample - mean;
        *out = (centered - stft.preemphasis * previous) * weight;
        previous = centered;
    }
    padding.fill(0.0);
}
