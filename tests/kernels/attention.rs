//! Compares attention and GELU with their references.

use candle_core::{Device, Tensor};
use diarize_kernels::{
    attention::{
        Memory,
        reference::{attention as attention_reference, scores as scores_reference},
    },
    gelu::{gelu, reference::gelu as gelu_reference},
};
use diarize_testkit::{Random, run_with_each};

fn matrix(values: &[f32], width: usize) -> Tensor {
    Tensor::from_slice(values, (values.len() / width, width), &Device::Cpu).unwrap()
}

fn largest_difference(found: &Tensor, expected: &[f64]) -> f64 {
    let found: Vec<f32> = found.flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(&found, expected)| (f64::from(found) - expected).abs())
        .fold(0.0, f64::max)
}

#[test]
fn attention_equals_the_reference() {
    let mut random = Random(1);
    for (count, positions, width, heads) in [
        (97, 1500, 128, 2),
        (7, 33, 24, 3),
        (1, 1, 4, 1),
        (13, 64, 6, 6),
        (5, 20, 8, 2),
        (9, 7, 8, 1),
        (0, 5, 8, 2),
    ] {
        let queries = random.vector(count * width, 3.0);
        let [keys, values] = [1.0, 2.0].map(|scale| random.vector(positions * width, scale));
        let memory = Memory::new(&matrix(&keys, width), &matrix(&values, width), heads).unwrap();
        let found = memory.attend(&matrix(&queries, width)).unwrap();
        let case = format!("{count} queries, {positions} positions, {heads} heads of {width}");
        let expected = attention_reference(&queries, &keys, &values, width, heads);
        let apart = largest_difference(&found, &expected);
        assert!(apart < 2e-5, "{case}: {apart}");
        for head in 0..heads {
            let found = memory.scores(&matrix(&queries, width), head).unwrap();
            assert_eq!(found.dims(), [count, positions]);
            let expected = scores_reference(&queries, &keys, width, width / heads, head);
            let apart = largest_difference(&found, &expected);
            assert!(apart < 2e-5, "scores, {case}, head {head}: {apart}");
        }
    }
}

#[test]
fn large_scores_are_finite_and_nan_remains() {
    let large = matrix(&[300.0; 8], 4);
    let attention = |queries: &Tensor, keys: &Tensor, values: &Tensor| -> Vec<f32> {
        let found = Memory::new(keys, values, 2).unwrap().attend(queries).unwrap();
        found.flatten_all().unwrap().to_vec1().unwrap()
    };
    let found = attention(&large, &large, &large);
    assert_eq!(found, [300.0; 8]);
    let broken = matrix(&[f32::NAN; 8], 4);
    for (queries, keys, values) in
        [(&broken, &large, &large), (&large, &broken, &large), (&large, &large, &broken)]
    {
        let found = attention(queries, keys, values);
        assert!(found.iter().all(|value| value.is_nan()), "{found:?}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let [a, b] = [matrix(&[0.0; 12], 4), matrix(&[0.0; 12], 6)];
    let memory = Memory::new(&a, &a, 2).unwrap();
    let empty = Tensor::zeros((3, 0), candle_core::DType::F32, &Device::Cpu).unwrap();
    for error in [
        Memory::new(&a, &b, 2).map(drop),
        Memory::new(&a, &a, 3).map(drop),
        Memory::new(&a, &a, 0).map(drop),
        Memory::new(&empty, &empty, 1).map(drop),
        memory.attend(&b).map(drop),
        memory.scores(&b, 0).map(drop),
        memory.scores(&a, 2).map(drop),
    ] {
        assert!(error.unwrap_err().to_string().contains("attention: "));
    }
}

#[test]
fn gelu_equals_the_reference() {
    let x: Vec<f32> = (-40_000..40_000).map(|n| n as f32 * 3e-4).chain([-1e30, -0.0, 1e30]).collect();
    let y: Vec<f32> = gelu(&matrix(&x, 1)).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    for ((x, y), expected) in x.iter().zip(y).zip(gelu_reference(&x)) {
        assert!((f64::from(y) - expected).abs() <= 3e-7 * f64::from(x.abs()), "{x}: {y} {expected}");
    }
    let broken: Vec<f32> = gelu(&matrix(&[f32::NAN], 1)).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert!(broken[0].is_nan());
}

#[test]
fn every_set_of_instructions_is_right() {
    run_with_each(&["attention::attention_", "attention::large_", "attention::gelu_"]);
}
