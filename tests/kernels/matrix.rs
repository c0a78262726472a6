//! Compares products with a matrix with their reference.

use candle_core::{Device, Tensor};
use diarize_kernels::matrix::{Matrix, reference::products};
use diarize_testkit::{Random, run_with_each};
use half::f16;

fn tensor(values: &[f32], width: usize) -> Tensor {
    Tensor::from_slice(values, (values.len() / width, width), &Device::Cpu).unwrap()
}

#[test]
fn products_equal_the_reference() {
    let mut random = Random(1);
    for (count, outputs, inputs) in [
        (1, 4000, 384),
        (2, 300, 64),
        (3, 300, 77),
        (6, 1000, 96),
        (4, 7, 33),
        (5, 1, 1),
        (1, 3, 31),
        (0, 4, 8),
        (17, 5000, 40),
    ] {
        let exact = random.vector(outputs * inputs, 1.0);
        let halves: Vec<f32> = exact.iter().map(|&value| f16::from_f32(value).to_f32()).collect();
        let x = random.vector(count * inputs, 1.0);
        for weights in [exact, halves] {
            let matrix = Matrix::new(&tensor(&weights, inputs)).unwrap();
            assert_eq!(matrix.outputs(), outputs);
            let y = matrix.forward(&tensor(&x, inputs)).unwrap();
            assert_eq!(y.dims(), [count, outputs]);
            let y: Vec<f32> = y.flatten_all().unwrap().to_vec1().unwrap();
            for (y, expected) in y.iter().zip(products(&weights, &x, inputs)) {
                assert!(
                    (f64::from(*y) - expected).abs() < 1e-5,
                    "{count} {outputs}x{inputs}: {y} {expected}"
                );
            }
        }
    }
}

/// Texts that are decoded at the same time must not change each other.
#[test]
fn products_of_a_few_vectors_are_those_of_each_alone() {
    let mut random = Random(2);
    for (outputs, inputs) in [(4000, 384), (300, 77), (5, 31)] {
        let exact = random.vector(outputs * inputs, 1.0);
        let halves: Vec<f32> = exact.iter().map(|&value| f16::from_f32(value).to_f32()).collect();
        let x = random.vector(15 * inputs, 1.0);
        for weights in [exact, halves] {
            let matrix = Matrix::new(&tensor(&weights, inputs)).unwrap();
            let of = |x: &[f32]| -> Vec<f32> {
                matrix.forward(&tensor(x, inputs)).unwrap().flatten_all().unwrap().to_vec1().unwrap()
            };
            let alone: Vec<f32> = x.chunks(inputs).flat_map(of).collect();
            for count in 2..=15 {
                assert_eq!(
                    of(&x[..count * inputs]),
                    alone[..count * outputs],
                    "{count} of {outputs}x{inputs}"
                );
            }
        }
    }
}

#[test]
fn every_finite_half_keeps_its_value() {
    let all: Vec<f32> =
        (0..=u16::MAX).map(f16::from_bits).filter(|half| half.is_finite()).map(f16::to_f32).collect();
    let matrix = Matrix::new(&tensor(&all, 1)).unwrap();
    let y: Vec<f32> = matrix.forward(&tensor(&[1.0], 1)).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(y, all);
    // Longer rows are converted many values at a time.
    let width = 32;
    let wide = Matrix::new(&tensor(&all, width)).unwrap();
    for column in 0..width {
        let mut x = vec![0.0; width];
        x[column] = 1.0;
        let y = wide.forward(&tensor(&x, width)).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(y.iter().eq(all.iter().skip(column).step_by(width)), "column {column}");
    }
    let rows: Vec<f32> = matrix.rows(&[1, 0x8000 - 1]).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(rows, [all[1], all[0x8000 - 1]]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let matrix = Matrix::new(&tensor(&[1.0; 6], 3)).unwrap();
    assert!(matrix.forward(&tensor(&[1.0; 4], 2)).unwrap_err().to_string().contains("vectors of 2 values"));
    assert!(matrix.rows(&[2]).unwrap_err().to_string().contains("row 2 of 2"));
}

#[test]
fn every_set_of_instructions_is_right() {
    run_with_each(&["matrix::products_", "matrix::every_finite"]);
}
