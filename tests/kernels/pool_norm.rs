//! Compares fast pooling and norm with their reference.

use candle_core::{Device, Tensor};
use diarize_kernels::pool_norm::{PoolNorm, Window, reference};
use diarize_testkit::Random;

fn op(random: &mut Random, window: usize, channels: usize) -> PoolNorm {
    PoolNorm { window, slope: 0.01, weight: random.vector(channels, 2.0), bias: random.vector(channels, 1.0) }
}

fn run(op: &PoolNorm, x: &[f32], shape: [usize; 3]) -> Vec<f32> {
    let y = op.forward(&Tensor::from_slice(x, &shape, &Device::Cpu).unwrap()).unwrap();
    assert_eq!(y.dims(), [shape[0], shape[1] / op.window, shape[2]]);
    y.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn equals_the_reference_at_network_sizes_and_odd_sizes() {
    let mut random = Random(1);
    for (batch, time, channels, window) in [
        (1, 15_975, 80, 3),
        (2, 5321, 60, 3),
        (3, 100, 7, 1),
        (2, 11, 33, 4),
        (1, 1, 5, 1),
        (1, 2, 5, 3),
        (0, 9, 4, 3),
    ] {
        let op = op(&mut random, window, channels);
        let x: Vec<f32> = random.vector(batch * time * channels, 1.0).iter().map(|x| x + 2.0).collect();
        let fast = run(&op, &x, [batch, time, channels]);
        let slow: Vec<f64> = x.chunks(time * channels).flat_map(|x| reference::pool_norm(&op, x)).collect();
        assert_eq!(fast.len(), slow.len());
        for (fast, slow) in fast.iter().zip(slow) {
            assert!((f64::from(*fast) - slow).abs() < 1e-4, "{batch}x{time}x{channels}: {fast} {slow}");
        }
    }
}

/// Overlapping windows, each of which is scaled and shifted before pooling.
#[test]
fn windows_equal_separate_inputs() {
    let mut random = Random(5);
    let (time, channels, length) = (400, 24, 151);
    let op = op(&mut random, 3, channels);
    let x = random.vector(time * channels, 1.0);
    let window =
        |start| Window { start, scale: 0.5 + start as f32 / 50.0, shift: Random(6).vector(channels, 0.5) };
    let windows: Vec<Window> = [0, 50, 51, 249].map(window).to_vec();
    let tensor = Tensor::from_slice(&x, (1, time, channels), &Device::Cpu).unwrap();
    let y = op.forward_windows(&tensor, &windows, length).unwrap();
    assert_eq!(y.dims(), [4, 50, channels]);
    let fast: Vec<f32> = y.flatten_all().unwrap().to_vec1().unwrap();
    for (fast, Window { start, scale, shift }) in fast.chunks(50 * channels).zip(&windows) {
        let values = &x[start * channels..][..length * channels];
        let shifted = values.iter().enumerate().map(|(i, x)| (scale * x + shift[i % channels]).abs());
        let slow = reference::pool_norm(&op, &shifted.collect::<Vec<_>>());
        for (fast, slow) in fast.iter().zip(slow) {
            assert!((f64::from(*fast) - slow).abs() < 1e-5, "window at {start}: {fast} {slow}");
        }
    }
    let error = op.forward_windows(&tensor, &[window(250)], length).unwrap_err();
    assert!(error.to_string().contains("pool_norm"), "{error}");
}

/// A naive variance fails if the offset is much larger than the deviation. The tolerance reflects that the mean is
/// stored in f32.
#[test]
fn a_large_offset_does_not_harm_the_variance() {
    let mut random = Random(4);
    let op = op(&mut random, 3, 16);
    let x: Vec<f32> = random.vector(3000 * 16, 1.0).iter().map(|x| x + 1000.0).collect();
    for (fast, slow) in run(&op, &x, [1, 3000, 16]).iter().zip(reference::pool_norm(&op, &x)) {
        assert!((f64::from(*fast) - slow).abs() < 1e-3, "{fast} {slow}");
    }
}

#[test]
fn constant_channels_become_their_bias() {
    let op = op(&mut Random(2), 3, 6);
    for y in run(&op, &[0.25; 2 * 30 * 6], [2, 30, 6]).chunks(6) {
        for (y, &bias) in y.iter().zip(&op.bias) {
            assert_eq!(*y, if bias < 0.0 { 0.01 * bias } else { bias });
        }
    }
}

#[test]
fn nan_propagates() {
    let op = PoolNorm { window: 3, slope: 0.01, weight: vec![1.0; 2], bias: vec![0.0; 2] };
    for place in 0..3 {
        let mut x = vec![0.5; 2 * 9];
        x[2 * place] = f32::NAN;
        let y = run(&op, &x, [1, 9, 2]);
        assert!(y.iter().step_by(2).all(|y| y.is_nan()), "{y:?}");
        assert!(y.iter().skip(1).step_by(2).all(|y| y.is_finite()), "{y:?}");
    }
}

#[test]
fn mismatched_channels_are_an_error_that_names_the_operation() {
    let op = op(&mut Random(3), 3, 4);
    let error =
        op.forward(&Tensor::zeros((1, 9, 5), candle_core::DType::F32, &Device::Cpu).unwrap()).unwrap_err();
    assert!(error.to_string().contains("pool_norm"), "{error}");
}
