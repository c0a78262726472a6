//! Products of f16: the tiles of matrix units with the constant `F16`, in the emulator.

use diarize_kernels::{
    conv2d::{self, Activation, reference},
    gpu::{Plan, Precision},
    lstm,
};
use diarize_testkit::Random;
use half::f16;

use crate::{
    cases::{self, error},
    emulator::{Build, Emulator},
};

fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|&value| f16::from_f32(value).to_f32()).collect()
}

/// A convolution of random values with weights up to `weight`, a power of two: its plan, the plan's inputs, and the result for
/// inputs and weights rounded to 11 bits.
fn convolution(
    dims: conv2d::Dims,
    [rows, columns]: [usize; 2],
    weight: f32,
    random: &mut Random,
) -> (Plan, [Vec<f32>; 3], Vec<f64>) {
    let conv2d::Dims { inputs, outputs, size, .. } = dims;
    let x = random.vector(rows * columns * inputs, 1.0);
    let kernel = random.vector(outputs * inputs * size[0] * size[1], 1.0);
    let bias = random.vector(outputs, weight);
    let scaled = |kernel: &[f32]| -> Vec<f32> { kernel.iter().map(|value| weight * value).collect() };
    let parts = [scaled(&rounded(&kernel)), bias.clone(), rounded(&x)];
    let kernel = scaled(&kernel);
    let parts = parts.each_ref().map(Vec::as_slice);
    let expected = reference::conv2d(dims, parts, [rows, columns], None, Activation::Relu);
    let plan = dims.plan(&(1, rows, columns, inputs).into(), false, Activation::Relu).unwrap();
    (plan.with_precision(Precision::F16), [x, cases::for_gpu(dims, &kernel), bias], expected)
}

fn dims(inputs: usize, outputs: usize, size: [usize; 2], stride: usize, padding: [usize; 2]) -> conv2d::Dims {
    conv2d::Dims { inputs, outputs, size, stride, padding }
}

/// Products of two f16 values are exact in f32, so the error is that of f32 sums.
#[test]
fn f16_convolutions_are_exact_products_of_rounded_values() {
    let mut random = Random(21);
    let cases: Vec<_> = [
        (dims(32, 32, [3, 3], 1, [1, 1]), [9, 31], 1.0),
        (dims(20, 64, [3, 3], 1, [1, 1]), [11, 35], 1.0),
        (dims(16, 34, [3, 3], 2, [1, 1]), [22, 19], 1.0),
        (dims(12, 300, [1, 1], 1, [0, 0]), [1, 55], 1.0),
        (dims(16, 32, [1, 5], 1, [0, 2]), [1, 330], 1.0),
        // Unscaled, these weights would be subnormal in f16, or infinite.
        (dims(32, 32, [3, 3], 1, [1, 1]), [5, 9], 1.0 / 1024.0),
        (dims(32, 32, [1, 1], 1, [0, 0]), [5, 9], 131_072.0),
    ]
    .into_iter()
    .map(|(dims, image, weight)| convolution(dims, image, weight, &mut random))
    .collect();
    let plans: Vec<Plan> = cases.iter().map(|(plan, ..)| plan.clone()).collect();
    let emulator = Emulator::new(&plans, Build::Fibers, str::to_owned);
    for (plan, inputs, expected) in &cases {
        let inputs = inputs.each_ref().map(Vec::as_slice);
        for seed in 1..=2 {
            let error = error(&emulator.run(plan, &inputs, seed).unwrap(), expected);
            assert!(error <= 2e-6, "{:?}: off by {error:e}", plan.launches[1].kernel);
        }
    }
}

#[test]
fn inputs_that_do_not_fit_are_not_finite() {
    let dims = dims(16, 32, [1, 1], 1, [0, 0]);
    let (plan, [mut x, kernel, bias], _) = convolution(dims, [1, 4], 1.0, &mut Random(3));
    (x[0], x[16]) = (16_000.0, 17_000.0);
    let emulator = Emulator::new(std::slice::from_ref(&plan), Build::Fibers, str::to_owned);
    let values = emulator.run(&plan, &[&x, &kernel, &bias], 1).unwrap();
    assert!(values[..32].iter().all(|value| value.is_finite()));
    assert!(values[32..64].iter().any(|value| !value.is_finite()));
}

/// The states are rounded before each step, and all sums are f32.
#[test]
fn f16_recurrences_have_the_error_of_f16() {
    let mut random = Random(5);
    for (batch, steps, directions, hidden) in [(18, 9, 2, 48), (2, 30, 1, 128)] {
        let dims = lstm::Dims { batch, steps, directions, hidden };
        let case = cases::lstm_case(dims, &mut random);
        let plan = case.plan.clone().with_precision(Precision::F16);
        let emulator = Emulator::new(&[plan.clone(), case.plan], Build::Fibers, str::to_owned);
        let inputs: Vec<&[f32]> = case.inputs.iter().map(Vec::as_slice).collect();
        let error = error(&emulator.run(&plan, &inputs, 1).unwrap(), &case.expected);
        assert!((2e-5..2e-3).contains(&error), "off by {error:e}");
    }
}

/// Tiles of f16 are read as they are written, by all threads and within their buffers.
#[test]
fn f16_tiles_have_no_races_and_no_overruns() {
    let (plan, inputs, expected) = convolution(dims(32, 32, [3, 3], 1, [1, 1]), [5, 9], 1.0, &mut Random(7));
    let inputs = inputs.each_ref().map(Vec::as_slice);
    for build in [Build::ThreadSanitizer, Build::AddressSanitizer] {
        let emulator = Emulator::new(std::slice::from_ref(&plan), build, str::to_owned);
        let error = error(&emulator.run(&plan, &inputs, 1).unwrap(), &expected);
        assert!(error <= 2e-6, "off by {error:e}");
    }
}

/// What f32 computes does not depend on what there is for f16.
#[test]
fn f32_kernels_do_not_change() {
    let plan = dims(32, 32, [3, 3], 1, [1, 1]).plan(&(1, 9, 31, 32).into(), false, Activation::Relu).unwrap();
    assert_eq!(plan.clone().with_precision(Precision::F32), plan);
    let keys = |plan: &Plan| plan.launches.iter().map(|launch| launch.kernel.key()).collect::<Vec<_>>();
    let f16 = plan.clone().with_precision(Precision::F16);
    assert!(keys(&plan).iter().zip(keys(&f16)).all(|(f32, f16)| *f32 != f16));
}
