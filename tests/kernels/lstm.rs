//! Compares the fast LSTM layer with its reference.

use candle_core::{Device, Tensor};
use diarize_kernels::lstm::{Dims, lstm, reference};
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
        let worst = run(dims, &input, &recurrent)
            .iter()
            .zip(&expected)
            .map(|(&fast, slow)| (f64::from(fast) - slow).abs())
            .fold(0.0, f64::max);
        assert!(worst < TOLERANCE, "{dims:?}: {worst:e}");
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
    let dims = Dims { batch: 7, steps: 30, directions: 2, hidden: 40 };
    let (input, recurrent) = inputs(dims, &mut Random(3));
    let together = run(dims, &input, &recurrent);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(together, pool.install(|| run(dims, &input, &recurrent)));
    for row in 0..dims.batch {
        let input = &input[row * input.len() / dims.batch..][..input.len() / dims.batch];
        let alone = run(Dims { batch: 1, ..dims }, input, &recurrent);
        assert_eq!(alone, together[row * alone.len()..][..alone.len()], "sequence {row}");
    }
}

#[test]
fn mismatched_shapes_are_an_error_that_names_the_operation() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let error = lstm(&zeros(&[1, 2, 12]), &zeros(&[1, 8, 2])).unwrap_err();
    assert!(error.to_string().contains("lstm"), "{error}");
}

#[test]
fn every_set_of_instructions_is_right() {
    run_with_each(&["lstm::equals_the_reference", "lstm::saturated_gates"]);
}
