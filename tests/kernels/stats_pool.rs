//! Compares statistics pooling with its reference.

use candle_core::{Device, Tensor};
use diarize_kernels::stats_pool::{StatsPool, reference, stats_pool};
use diarize_testkit::Random;

use crate::cases::weights;

#[test]
fn equals_the_reference_at_network_sizes_and_odd_sizes() {
    let mut random = Random(1);
    for (batch, rows, time, channels, masks) in [
        (2, 10, 125, 256, 3),
        (1, 3, 7, 5, 2),
        (2, 1, 1, 4, 1),
        (0, 2, 3, 4, 2),
        (2, 2, 3, 4, 0),
        (1, 2, 0, 3, 1),
    ] {
        let first = (0..batch * masks).map(|set| set / masks * rows * time).collect();
        let op = StatsPool { rows, time, channels, first };
        let x: Vec<f32> = random.vector(batch * rows * time * channels, 1.0);
        let masks_of = weights(batch * masks, time, &mut random);
        let tensor =
            |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        let y = stats_pool(
            &tensor(&x, &[batch, rows, time, channels]),
            &tensor(&masks_of, &[batch, masks, time]),
        );
        let y = y.unwrap();
        assert_eq!(y.dims(), [batch, masks, 2 * channels * rows]);
        let fast: Vec<f32> = y.flatten_all().unwrap().to_vec1().unwrap();
        let slow = reference::stats_pool(&op, &x, &masks_of);
        assert_eq!(fast.len(), slow.len());
        for (fast, slow) in fast.iter().zip(slow) {
            assert!((f64::from(*fast) - slow).abs() < 1e-5, "{op:?}: {fast} {slow}");
        }
    }
}

#[test]
fn a_single_step_has_no_deviation_and_no_step_gives_zeros() {
    let x =
        Tensor::new(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0], &Device::Cpu).unwrap().reshape((1, 1, 3, 2)).unwrap();
    let masks = Tensor::new(&[[[0f32, 1.0, 0.0], [0.0, 0.0, 0.0]]], &Device::Cpu).unwrap();
    let y = stats_pool(&x, &masks).unwrap().to_vec3::<f32>().unwrap();
    assert_eq!(y, [[[3.0, 4.0, 0.0, 0.0], [0.0; 4]]]);
}

#[test]
fn weights_of_another_shape_are_an_error() {
    let x = Tensor::zeros((1, 2, 3, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
    let masks = Tensor::zeros((1, 1, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(stats_pool(&x, &masks).unwrap_err().to_string().contains("1 x 4 steps"));
}
