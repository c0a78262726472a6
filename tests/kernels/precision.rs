//! Products of f16: the tiles of matrix units with the constant `F16`, in the emulator.

use diarize_kernels::{
    conv2d::{self, Activation, Halves, reference},
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
    let plan =
        dims.plan(&(1, rows, columns, inputs).into(), false, Activation::Relu, Halves::default()).unwrap();
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
        (dims(16, 36, [3, 3], 2, [1, 1]), [22, 19], 1.0),
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
    (x[0], x[16]) = (65_000.0, 66_000.0);
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

/// Words with two values each, rounded to f16.
fn in_words(values: &[f32]) -> Vec<f32> {
    let bits = |value: f32| u32::from(f16::from_f32(value).to_bits());
    values.chunks_exact(2).map(|pair| f32::from_bits(bits(pair[0]) | bits(pair[1]) << 16)).collect()
}

/// A convolution that stores values as f16: its plan, the plan's inputs, and the result.
fn stored(
    dims: conv2d::Dims,
    image: [usize; 2],
    residual: bool,
    halves: Halves,
    random: &mut Random,
) -> (Plan, Vec<Vec<f32>>, Vec<f64>) {
    let [rows, columns] = image;
    let conv2d::Dims { inputs, outputs, size, .. } = dims;
    let output: usize = dims.output(image).iter().product::<usize>() * outputs;
    let x = rounded(&random.vector(rows * columns * inputs, 1.0));
    let kernel = random.vector(outputs * inputs * size[0] * size[1], 1.0);
    let (bias, around) = (random.vector(outputs, 1.0), rounded(&random.vector(output, 1.0)));
    let weights = if inputs == 1 { kernel.clone() } else { rounded(&kernel) };
    let parts = [&weights, &bias, &x].map(Vec::as_slice);
    let expected = reference::conv2d(dims, parts, image, residual.then_some(&around), Activation::LeakyRelu);
    let shape = (1, rows, columns, inputs).into();
    let plan = dims.plan(&shape, residual, Activation::LeakyRelu, halves).unwrap();
    let words = |values: Vec<f32>| if halves.input { in_words(&values) } else { values };
    let mut given = vec![words(x), cases::for_gpu(dims, &kernel), bias];
    given.extend(residual.then(|| words(around)));
    (plan.with_precision(Precision::F16), given, expected)
}

/// The values of an output.
fn values(output: Vec<f32>, halves: bool) -> Vec<f32> {
    let pair = |word: f32| {
        let bits = word.to_bits();
        [bits as u16, (bits >> 16) as u16].map(|half| f16::from_bits(half).to_f32())
    };
    if halves { output.into_iter().flat_map(pair).collect() } else { output }
}

#[test]
fn f16_values_are_read_and_written() {
    let (both, read, written) = (
        Halves { input: true, output: true },
        Halves { input: true, output: false },
        Halves { input: false, output: true },
    );
    let mut random = Random(22);
    let cases: Vec<_> = [
        (dims(32, 32, [3, 3], 1, [1, 1]), [9, 31], true, both),
        (dims(48, 64, [3, 3], 1, [1, 1]), [11, 35], true, both),
        (dims(16, 136, [3, 3], 2, [1, 1]), [22, 19], false, both),
        (dims(32, 64, [1, 1], 2, [0, 0]), [5, 6], false, both),
        (dims(64, 256, [3, 3], 1, [1, 1]), [10, 9], true, read),
        (dims(1, 32, [3, 3], 1, [1, 1]), [7, 9], false, written),
        (dims(12, 40, [1, 1], 1, [0, 0]), [1, 90], false, written),
    ]
    .into_iter()
    .map(|(dims, image, residual, halves)| (halves, stored(dims, image, residual, halves, &mut random)))
    .collect();
    let plans: Vec<Plan> = cases.iter().map(|(_, (plan, ..))| plan.clone()).collect();
    let emulator = Emulator::new(&plans, Build::Fibers, str::to_owned);
    for (halves, (plan, inputs, expected)) in &cases {
        let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let found = values(emulator.run(plan, &inputs, 1).unwrap(), halves.output);
        let expected: Vec<f64> = match halves.output {
            // The rounding of the output is allowed for below.
            true => expected.iter().map(|&value| f64::from(f16::from_f64(value).to_f32())).collect(),
            false => expected.clone(),
        };
        let tolerance = if halves.output { 1e-3 } else { 2e-6 };
        let error = error(&found, &expected);
        assert!(error <= tolerance, "{:?}: off by {error:e}", plan.launches.last().unwrap().kernel);
        // Few sums are so close to the middle between two values of f16 that they are rounded to the other one.
        let differ = found.iter().zip(&expected).filter(|(a, b)| f64::from(**a) != **b).count();
        assert!(!halves.output || 50 * differ < found.len(), "{differ} of {} differ", found.len());
    }
}

/// While the products of some channels are computed, the next channels are read into the other buffer.
#[test]
fn reading_ahead_has_no_races_and_no_overruns() {
    let both = Halves { input: true, output: true };
    let dims = dims(48, 32, [3, 3], 1, [1, 1]);
    let (plan, inputs, _) = stored(dims, [5, 9], true, both, &mut Random(7));
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    for build in [Build::ThreadSanitizer, Build::AddressSanitizer] {
        Emulator::new(std::slice::from_ref(&plan), build, str::to_owned).run(&plan, &inputs, 1).unwrap();
    }
    let (right, wrong) = ("finish_copies();\n        BARRIER();", "finish_copies();");
    let change = |text: &str| text.replacen(right, wrong, 1);
    assert_ne!(change(plan.launches[1].kernel.text), plan.launches[1].kernel.text);
    let emulator = Emulator::new(std::slice::from_ref(&plan), Build::ThreadSanitizer, change);
    let seen = emulator.run(&plan, &inputs, 1).unwrap_err();
    assert!(seen.contains("data race"), "{seen}");
}

#[test]
fn sizes_that_f16_values_do_not_fit_are_an_error() {
    let refused = |dims: conv2d::Dims, halves| {
        dims.plan(&(1, 4, 4, dims.inputs).into(), false, Activation::Relu, halves).unwrap_err().to_string()
    };
    let input = refused(dims(20, 32, [3, 3], 1, [1, 1]), Halves { input: true, output: false });
    assert!(input.contains("no kernel reads f16 with 20 channels"), "{input}");
    let output = refused(dims(32, 36, [3, 3], 1, [1, 1]), Halves { input: false, output: true });
    assert!(output.contains("no kernel writes f16 with 36 channels"), "{output}");
}

/// Kernels of f32 do not contain the constant of f16, and those of f16 are kept apart from them.
#[test]
fn f32_kernels_do_not_change() {
    let dims = dims(32, 32, [3, 3], 1, [1, 1]);
    let plan = dims.plan(&(1, 9, 31, 32).into(), false, Activation::Relu, Halves::default()).unwrap();
    let f32 = plan.clone().with_precision(Precision::F32);
    let f16 = plan.with_precision(Precision::F16);
    for (f32, f16) in f32.launches.iter().zip(&f16.launches) {
        assert!(!f32.kernel.source().contains("#define F16"));
        assert!(f16.kernel.source().contains("#define F16 1u"));
        assert_ne!(f32.kernel.key(), f16.kernel.key());
    }
}
