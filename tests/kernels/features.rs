//! Compares the power spectrum and the mel filterbank with their references, and checks known signals.

use std::f64::consts::PI;

use candle_core::{Device, Tensor};
use diarize_kernels::{
    mel::{self, LogMel, MelScale},
    stft::{self, Stft},
};
use diarize_testkit::Random;

fn power(stft: &Stft, waveforms: &[&[f32]]) -> Tensor {
    let samples = waveforms[0].len();
    Tensor::from_vec(waveforms.concat(), (waveforms.len(), samples), &Device::Cpu)
        .and_then(|waveforms| stft.power_spectrum(&waveforms))
        .unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// A framing whose sizes all differ from the usual ones.
fn odd_stft() -> Stft {
    let window = (0..23).map(|n| 0.3 + 0.01 * n as f32).collect();
    Stft { frame_length: 23, hop: 7, fft_length: 30, remove_mean: true, preemphasis: 0.5, window }
}

#[test]
fn power_equals_the_reference() {
    let mut random = Random(1);
    let with_mean = Stft { remove_mean: false, ..odd_stft() };
    let framings =
        [(Stft::kaldi_16khz(), 400), (Stft::kaldi_16khz(), 4321), (odd_stft(), 101), (with_mean, 101)];
    for (stft, samples) in framings {
        let (first, second) = (random.vector(samples, 1000.0), random.vector(samples, 1000.0));
        let fast = power(&stft, &[&first, &second]);
        assert_eq!(fast.dims(), [2, stft.frames(samples), stft.bins()]);
        let slow =
            [stft::reference::power_spectrum(&stft, &first), stft::reference::power_spectrum(&stft, &second)]
                .concat();
        // The error of a bin scales with the energy of the whole frame, not with that of the bin.
        for (fast, slow) in values(&fast).chunks(stft.bins()).zip(slow.chunks(stft.bins())) {
            let largest = slow.iter().copied().fold(0.0, f64::max);
            for (fast, slow) in fast.iter().zip(slow) {
                assert!((f64::from(*fast) - slow).abs() < 1e-6 * largest, "{fast} {slow}");
            }
        }
    }
}

#[test]
fn the_power_of_a_sine_is_in_its_bin() {
    let stft = Stft { preemphasis: 0.0, window: vec![1.0; 512], frame_length: 512, ..Stft::kaldi_16khz() };
    let bin = 40;
    let sine: Vec<f32> = (0..512).map(|n| (2.0 * PI * (bin * n) as f64 / 512.0).sin() as f32).collect();
    for power in [
        values(&power(&stft, &[&sine])).iter().map(|&x| f64::from(x)).collect(),
        stft::reference::power_spectrum(&stft, &sine),
    ] {
        for (k, power) in power.into_iter().enumerate() {
            let expected = if k == bin { 256.0 * 256.0 } else { 0.0 };
            assert!((power - expected).abs() < 0.1, "bin {k}: {power}");
        }
    }
}

#[test]
fn too_few_samples_give_no_frame() {
    assert_eq!(power(&Stft::kaldi_16khz(), &[&[0.0; 399]]).dims(), [1, 0, 257]);
}

#[test]
fn log_energies_equal_the_reference() {
    let scale = MelScale::kaldi_16khz();
    let bins = scale.fft_length / 2 + 1;
    let power: Vec<f32> = Random(2).vector(3 * bins, 1e4).iter().map(|x| x.abs()).collect();
    let tensor = Tensor::from_slice(&power, (1, 3, bins), &Device::Cpu).unwrap();
    let fast = LogMel::new(&scale, f32::EPSILON).log_energies(&tensor).unwrap();
    assert_eq!(fast.dims(), [1, 3, 80]);
    let power: Vec<f64> = power.into_iter().map(f64::from).collect();
    let slow = mel::reference::log_energies(&scale, f64::from(f32::EPSILON), &power);
    for (fast, slow) in values(&fast).into_iter().zip(slow) {
        assert!((f64::from(fast) - slow).abs() < 2e-6 * slow.abs().max(1.0), "{fast} {slow}");
    }
}

#[test]
fn silence_gives_the_logarithm_of_the_floor() {
    let mel = LogMel::new(&MelScale::kaldi_16khz(), f32::EPSILON);
    let energies = mel.log_energies(&power(&Stft::kaldi_16khz(), &[&[0.0; 400]])).unwrap();
    assert!(values(&energies).iter().all(|&x| x == f32::EPSILON.ln()));
}

#[test]
fn a_filterbank_for_another_transform_is_an_error_that_names_the_operation() {
    let mel = LogMel::new(&MelScale { fft_length: 256, ..MelScale::kaldi_16khz() }, f32::EPSILON);
    let error = mel.log_energies(&power(&Stft::kaldi_16khz(), &[&[0.0; 400]])).unwrap_err();
    assert!(error.to_string().contains("mel"), "{error}");
}
