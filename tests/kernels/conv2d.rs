//! Compares the fast convolution with its reference.

use candle_core::{DType, Device, Tensor};
use diarize_kernels::conv2d::{Activation, Conv2d, Dims, reference};
use diarize_testkit::{Random, run_with_each};

fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

struct Case {
    dims: Dims,
    batch: usize,
    rows: usize,
    columns: usize,
    residual: bool,
    activation: Activation,
}

impl Case {
    /// Asserts that the fast path equals the reference within the rounding error of f32 sums of this length.
    fn check(&self, random: &mut Random) {
        let Dims { inputs, size, .. } = self.dims;
        let tolerance = 1e-7 * (size[0] * size[1] * inputs + 2) as f64;
        let (error, _) = self.error(random);
        assert!(error < tolerance, "{:?}, {}x{}: off by {error:e}", self.dims, self.rows, self.columns);
    }

    /// The largest difference between fast path and reference, and the largest value.
    fn error(&self, random: &mut Random) -> (f64, f64) {
        let Self { dims, batch, rows, columns, residual, activation } = *self;
        let Dims { inputs, outputs, size, stride, padding } = dims;
        let kernel = random.vector(outputs * inputs * size[0] * size[1], 1.0);
        let bias = random.vector(outputs, 1.0);
        let x = random.vector(batch * rows * columns * inputs, 1.0);
        let [output_rows, output_columns] = dims.output([rows, columns]);
        let shape = [batch, output_rows, output_columns, outputs];
        let residual = residual.then(|| random.vector(shape.iter().product(), 1.0));

        let conv = Conv2d::new(
            &tensor(&kernel, &[outputs, inputs, size[0], size[1]]),
            &tensor(&bias, &[outputs]),
            stride,
            padding,
        );
        let around = residual.as_ref().map(|residual| tensor(residual, &shape));
        let y =
            conv.unwrap().forward(&tensor(&x, &[batch, rows, columns, inputs]), around, activation).unwrap();
        assert_eq!(y.dims(), shape);
        let fast: Vec<f32> = y.flatten_all().unwrap().to_vec1().unwrap();
        let length = fast.len() / batch.max(1);
        let (mut error, mut largest) = (0f64, 0f64);
        for image in 0..batch {
            let x = &x[image * rows * columns * inputs..][..rows * columns * inputs];
            let residual = residual.as_ref().map(|residual| &residual[image * length..][..length]);
            let slow = reference::conv2d(dims, [&kernel, &bias, x], [rows, columns], residual, activation);
            for (fast, slow) in fast[image * length..][..length].iter().zip(slow) {
                let difference = (f64::from(*fast) - slow).abs();
                // `max` would drop a NaN. Keep it, so that it fails every tolerance.
                error = if difference > error || difference.is_nan() { difference } else { error };
                largest = largest.max(slow.abs());
            }
        }
        (error, largest)
    }
}

#[test]
fn equals_the_reference_at_network_sizes_and_odd_sizes() {
    let mut random = Random(1);
    for (inputs, outputs, size, stride, rows, columns) in [
        (1, 32, [3, 3], 1, 8, 19),
        (32, 32, [3, 3], 1, 5, 12),
        (32, 64, [3, 3], 2, 10, 23),
        (32, 64, [1, 1], 2, 10, 23),
        (64, 64, [3, 3], 1, 4, 6),
        (10, 80, [1, 26], 1, 1, 40),
        (80, 60, [1, 5], 1, 1, 31),
        (60, 1024, [1, 1], 1, 1, 7),
        (3, 7, [3, 3], 1, 6, 5),
        (5, 33, [5, 2], 3, 9, 11),
        (2, 40, [1, 1], 1, 1, 1),
        (4, 8, [3, 3], 2, 1, 2),
    ] {
        let dims = Dims { inputs, outputs, size, stride, padding: size.map(|size| size / 2) };
        for (batch, residual, activation) in
            [(1, false, Activation::Identity), (2, true, Activation::Relu), (1, false, Activation::Absolute)]
        {
            Case { dims, batch, rows, columns, residual, activation }.check(&mut random);
        }
        Case {
            dims: Dims { padding: [0, 0], ..dims },
            batch: 1,
            rows,
            columns,
            residual: false,
            activation: Activation::Relu,
        }
        .check(&mut random);
    }
}

/// Images with several strips and blocks of tiles, whose borders lie within rows. The last kernel is so large
/// that it is transformed again for each block.
#[test]
fn large_images_are_accurate_to_f32_rounding() {
    for (inputs, outputs, rows, columns, batch, padding) in [
        (32, 64, 9, 210, 2, [1, 1]),
        (32, 64, 9, 210, 2, [0, 1]),
        (96, 32, 90, 9, 2, [1, 1]),
        (256, 256, 5, 130, 1, [0, 1]),
    ] {
        let dims = Dims { inputs, outputs, size: [3, 3], stride: 1, padding };
        let case = Case { dims, batch, rows, columns, residual: true, activation: Activation::Relu };
        let (error, largest) = case.error(&mut Random(4));
        println!("{dims:?}: {:.1e} of the largest value", error / largest);
        assert!(error < 5e-6 * largest, "{dims:?}: off by {error:e}, {largest} being the largest value");
    }
}

/// Keeping the transformed kernel changes no bit of the result.
#[test]
fn a_kernel_that_is_kept_transformed_gives_the_same_result() {
    let mut random = Random(7);
    let kernel = tensor(&random.vector(256 * 256 * 9, 1.0), &[256, 256, 3, 3]);
    let (bias, x) =
        (tensor(&random.vector(256, 1.0), &[256]), tensor(&random.vector(5 * 9 * 256, 1.0), &[1, 5, 9, 256]));
    let conv = Conv2d::new(&kernel, &bias, 1, [1, 1]).unwrap();
    let run = || {
        let y = conv.forward(&x, None, Activation::Relu).unwrap();
        y.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let before = run();
    conv.keep_transformed();
    assert!(before.iter().any(|&y| y > 0.0));
    assert_eq!(run(), before);
}

#[test]
fn small_inputs_and_empty_batches_are_correct() {
    let dims = Dims { inputs: 2, outputs: 3, size: [3, 3], stride: 1, padding: [0, 0] };
    for (batch, rows, columns) in [(1, 2, 5), (1, 3, 3), (0, 4, 4)] {
        Case { dims, batch, rows, columns, residual: true, activation: Activation::Identity }
            .check(&mut Random(2));
    }
}

#[test]
fn number_of_threads_does_not_change_the_result() {
    let mut random = Random(3);
    let kernel = tensor(&random.vector(9 * 32 * 32, 1.0), &[32, 32, 3, 3]);
    let x = tensor(&random.vector(3 * 20 * 210 * 32, 1.0), &[3, 20, 210, 32]);
    let threads = |count| rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
    for stride in [1, 2] {
        let conv = Conv2d::new(&kernel, &tensor(&[0.0; 32], &[32]), stride, [1, 1]).unwrap();
        let run = || {
            let y = conv.forward(&x, None, Activation::Relu).unwrap();
            y.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(threads(3).install(run), threads(1).install(run), "stride {stride}");
    }
}

#[test]
fn relu_propagates_nan() {
    let conv = Conv2d::new(&tensor(&[1.0], &[1, 1, 1, 1]), &tensor(&[0.0], &[1]), 1, [0, 0]).unwrap();
    let y = conv.forward(&tensor(&[f32::NAN, -1.0], &[1, 1, 2, 1]), None, Activation::Relu).unwrap();
    let y: Vec<f32> = y.flatten_all().unwrap().to_vec1().unwrap();
    assert!(y[0].is_nan() && y[1] == 0.0);
}

#[test]
fn mismatched_shapes_are_an_error_that_names_the_operation() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let conv = Conv2d::new(&zeros(&[2, 3, 3, 3]), &zeros(&[2]), 1, [1, 1]).unwrap();
    for error in [
        Conv2d::new(&zeros(&[2, 3, 3, 3]), &zeros(&[2]), 0, [1, 1]).unwrap_err(),
        Conv2d::new(&zeros(&[2, 3, 3, 3]), &zeros(&[3]), 1, [1, 1]).unwrap_err(),
        Conv2d::new(&zeros(&[64, 0, 3, 3]), &zeros(&[64]), 1, [1, 1]).unwrap_err(),
        Conv2d::new(&zeros(&[2, 3, 0, 3]), &zeros(&[2]), 1, [1, 1]).unwrap_err(),
        conv.forward(&zeros(&[1, 4, 4, 2]), None, Activation::Relu).unwrap_err(),
        conv.forward(&zeros(&[1, 4, 4, 3]), Some(zeros(&[1, 4, 4, 3])), Activation::Relu).unwrap_err(),
    ] {
        assert!(error.to_string().contains("conv2d"), "{error}");
    }
}

#[test]
fn every_set_of_instructions_is_right() {
    run_with_each(&["conv2d::equals_the_reference", "conv2d::large_images", "conv2d::relu"]);
}
