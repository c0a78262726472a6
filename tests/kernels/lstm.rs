//! Compares the fast LSTM layer with its reference.

use candle_core::{Device, Tensor};
use diarize_kernels::{
    conv2d::{Activation, Conv2d},
    lstm::{Dims, Layer, lstm, reference},
};
use diarize_testkit::{Random, run_with_each};

/// Rounding error of f32 arithmetic over a few hundred steps, for states within ±1.
const TOLERANCE: f64 = 5e-6;

fn inputs(dims: Dims, random: &mut Random) -> (Vec<f32>, Vec<f32>) {
    let gates = 4 * dims.hidden;
    let scale = 1.5 / (dims.hidden as f32).sqrt();
    let input = random.vector(dims.batch * dims.steps * dims.directions * gates, 2.0);
    (input, random.vector(dims.directions * gates * dims.hidden, scale))
}

fn run(dims: Dims, input: &[f32], recurrent: &[f32]) -> Vec<f32> {
    let Dims { batch, steps, directions, hidden } = dims;
    let input = Tensor::from_slice(input, (batch, steps, directions * 4 * hidden), &Device::Cpu).unwrap();
    let recurrent = Tensor::from_slice(recurrent, (directions, 4 * hidden, hidden), &Device::Cpu).unwrap();
    let output = lstm(&input, &recurrent).unwrap();
    assert_eq!(output.dims(), [batch, steps, directions * hidden]);
    output.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn equals_the_reference_at_odd_and_usual_sizes() {
    let mut random = Random(1);
    for (batch, steps, directions, hidden) in [
        (1, 1, 1, 1),
        (3, 7, 2, 5),
        (4, 50, 1, 16),
        (5, 20, 2, 33),
        (9, 40, 2, 64),
        (2, 300, 2, 128),
        (0, 5, 2, 8),
        (2, 0, 2, 8),
    ] {
        let dims = Dims { batch, steps, directions, hidden };
        let (input, recurrent) = inputs(dims, &mut random);
        let expected = reference::lstm(dims, &input, &recurrent);
        for (fast, slow) in run(dims, &input, &recurrent).into_iter().zip(expected) {
            assert!((f64::from(fast) - slow).abs() < TOLERANCE, "{dims:?}: {fast} {slow}");
        }
    }
}

#[test]
fn saturated_gates_stay_finite() {
    let dims = Dims { batch: 1, steps: 4, directions: 2, hidden: 8 };
    let (input, recurrent) = inputs(dims, &mut Random(2));
    let input: Vec<f32> = input.iter().map(|x| x * 1e6).collect();
    let expected = reference::lstm(dims, &input, &recurrent);
    for (fast, slow) in run(dims, &input, &recurrent).into_iter().zip(expected) {
        assert!((f64::from(fast) - slow).abs() < TOLERANCE, "{fast} {slow}");
    }
}

#[test]
fn a_sequence_does_not_depend_on_its_neighbors_or_the_threads() {
    let dims = Dims { batch: 19, steps: 30, directions: 2, hidden: 40 };
    let (input, recurrent) = inputs(dims, &mut Random(3));
    let threads = |count| rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
    let together = threads(3).install(|| run(dims, &input, &recurrent));
    assert_eq!(together, threads(1).install(|| run(dims, &input, &recurrent)));
    for row in 0..dims.batch {
        let input = &input[row * input.len() / dims.batch..][..input.len() / dims.batch];
        let alone = run(Dims { batch: 1, ..dims }, input, &recurrent);
        assert_eq!(alone, together[row * alone.len()..][..alone.len()], "sequence {row}");
    }
}

/// The CPU projects a few steps at a time. The results are those of projecting all steps at once.
#[test]
fn a_layer_is_its_projection_and_the_recurrence() {
    let mut random = Random(4);
    for (batch, steps, inputs, directions, hidden) in
        [(1, 1, 1, 1, 1), (3, 17, 5, 2, 7), (9, 18, 60, 2, 32), (5, 100, 64, 2, 24), (2, 37, 3, 1, 40)]
    {
        let width = directions * 4 * hidden;
        let mut tensor = |shape: &[usize]| {
            Tensor::from_vec(random.vector(shape.iter().product(), 0.5), shape, &Device::Cpu).unwrap()
        };
        let (x, input, bias) = (tensor(&[batch, steps, inputs]), tensor(&[width, inputs]), tensor(&[width]));
        let recurrent = tensor(&[directions, 4 * hidden, hidden]);
        let projection =
            Conv2d::new(&input.reshape((width, inputs, 1, 1)).unwrap(), &bias, 1, [0, 0]).unwrap();
        let gates = projection.forward(&x.unsqueeze(1).unwrap(), None, Activation::Identity).unwrap();
        let expected = lstm(&gates.squeeze(1).unwrap(), &recurrent).unwrap();
        let found = Layer::new(&input, &bias, &recurrent).unwrap().forward(x).unwrap();
        assert_eq!(found.dims(), [batch, steps, directions * hidden]);
        let values = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(found), values(expected), "{batch} x {steps} x {inputs}, {directions} x {hidden}");
    }
}

#[test]
fn a_layer_without_sequences_or_steps_is_empty() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let layer = Layer::new(&zeros(&[8, 3]), &zeros(&[8]), &zeros(&[1, 8, 2])).unwrap();
    assert_eq!(layer.forward(zeros(&[0, 5, 3])).unwrap().dims(), [0, 5, 2]);
    assert_eq!(layer.forward(zeros(&[5, 0, 3])).unwrap().dims(), [5, 0, 2]);
    let error = layer.forward(zeros(&[5, 4, 2])).unwrap_err().to_string();
    assert!(error.contains("the input has 2 values a step, but the layer takes 3"), "{error}");
}

#[test]
fn mismatched_shapes_are_an_error_that_names_the_operation() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let error = lstm(&zeros(&[1, 2, 12]), &zeros(&[1, 8, 2])).unwrap_err();
    assert!(error.to_string().contains("lstm"), "{error}");
    for (input, bias) in [([8, 3], [7]), ([7, 3], [8]), ([8, 0], [8])] {
        let error = Layer::new(&zeros(&input), &zeros(&bias), &zeros(&[1, 8, 2])).unwrap_err();
        assert!(error.to_string().contains("lstm"), "{error}");
    }
    let three_directions = Layer::new(&zeros(&[24, 3]), &zeros(&[24]), &zeros(&[3, 8, 2])).unwrap_err();
    assert!(three_directions.to_string().contains("lstm"), "{three_directions}");
}

#[test]
fn every_set_of_instructions_is_right() {
    run_with_each(&["lstm::equals_the_reference", "lstm::saturated_gates", "lstm::a_layer_is"]);
}
