//! Resampling to 16 kHz preserves the amplitude in the pass band and the timing.

use diarize_audio::Resampler;
use diarize_testkit::signal::sine;

const RATES: [u32; 8] = [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000];

fn resample(rate: u32, samples: &[f32]) -> Vec<f32> {
    let mut resampler = Resampler::new(rate);
    let mut output = Vec::new();
    for piece in samples.chunks(1_152) {
        resampler.push(piece, &mut output);
    }
    resampler.finish(&mut output);
    output
}

/// Checks both amplitude and timing: away from the ends, every sample must equal that of a sine at 16 kHz.
fn assert_sine_is_preserved(rate: u32, frequency: f64, tolerance: f32) {
    let output = resample(rate, &sine(frequency, rate, 1.0));
    let expected = sine(frequency, 16_000, 1.0);
    assert_eq!(output.len(), expected.len());
    let worst =
        output.iter().zip(&expected).skip(1_000).take(14_000).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < tolerance, "{rate} Hz, {frequency} Hz: off by {worst}");
}

#[test]
fn sines_keep_amplitude_and_phase() {
    for rate in RATES {
        for frequency in [100.0, 1_000.0, 3_400.0, 7_000.0] {
            if frequency < 0.44 * f64::from(rate) {
                assert_sine_is_preserved(rate, frequency, 1e-4);
            }
        }
    }
}

#[test]
fn unusual_rates_are_nearly_as_accurate() {
    assert_sine_is_preserved(44_101, 1_000.0, 1e-3);
    assert_sine_is_preserved(15_999, 1_000.0, 2e-3);
}

#[test]
fn impulses_stay_at_their_time() {
    for rate in RATES {
        for position in [0, rate as usize / 2, rate as usize - 1] {
            let mut samples = vec![0.0; rate as usize];
            samples[position] = 1.0;
            let output = resample(rate, &samples);
            let (peak, _) = output.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
            let expected = position as f64 * 16_000.0 / f64::from(rate);
            assert!((peak as f64 - expected).abs() <= 1.0, "{rate} Hz: {peak} instead of {expected}");
        }
    }
}

#[test]
fn frequencies_above_8_khz_are_filtered_out() {
    for frequency in [8_300.0, 12_000.0, 20_000.0] {
        let output = resample(48_000, &sine(frequency, 48_000, 1.0));
        let loudest =
            output[1_000..15_000].iter().fold(0.0, |loudest: f32, sample| loudest.max(sample.abs()));
        assert!(loudest < 1e-4, "{frequency} Hz leaves {loudest}");
    }
}

#[test]
fn lengths_are_rounded_up() {
    for rate in RATES {
        for length in [1, 2, 3, 100, 4_095, 4_096, 4_097, 10_001] {
            let expected = (length as u64 * 16_000).div_ceil(u64::from(rate)) as usize;
            assert_eq!(resample(rate, &vec![0.5; length]).len(), expected, "{length} samples of {rate} Hz");
        }
    }
    assert!(resample(44_100, &[]).is_empty());
}
