//! This project's own operations, compared with their reference implementations.

use candle_core::{Device, Result, Tensor};
use diarize_kernels::{
    cdist::{self, Metric},
    conv2d::{self, Activation, Conv2d},
    fbank::Fbank,
    kmeans::{self, KMeans},
    linkage, lstm,
    mel::{self, LogMel, MelScale},
    pool_norm::{self, PoolNorm},
    stats_pool::{self, StatsPool, stats_pool},
    stft::{self, Stft},
};
use ndarray::{Array1, Array2, ArrayView2};

use super::{
    KernelOf, Op, Pending,
    values::{noise, tensor, to_f64},
};
use crate::math::eigen;

/// Number of samples in ten seconds.
const SAMPLES: usize = 160_000;

pub(super) fn ops() -> Vec<Op> {
    vec![
        spectrum(
            "FFT of 512 points, 312 frames",
            Stft { window: vec![1.0; 512], preemphasis: 0.0, ..frames(512, 512, 512) },
        ),
        spectrum("STFT 10 s: windows of 400 every 160", Stft::kaldi_16khz()),
        spectrum("STFT 10 s: windows of 1600 every 800", frames(1600, 800, 2048)),
        log_mel(),
        filterbank(),
        convolution(
            "conv2d + relu 32 to 32 channels, 3 x 3, 80 x 200, channels last",
            [80, 200, 32, 32],
            [3, 3],
        ),
        convolution("sinc convolution, 80 filters of 251 every 10", [1, 2000, 10, 80], [1, 26]),
        pool_and_norm(),
        statistics(),
        recurrence(),
        distances("cdist Euclidean 1,000 x 1,000, 256 dimensions", Metric::Euclidean),
        distances("cosine similarity 1,000 x 1,000, 256 dimensions", Metric::Cosine),
        k_means(),
        agglomerative("agglomerative, centroid linkage of 500", false),
        agglomerative("cosine clustering, centroid linkage of 500 of length 1", true),
        eigenvectors(),
    ]
}

fn own(
    name: &'static str,
    tolerance: f64,
    prepare: impl Fn(&Device) -> Result<Box<dyn Fn() -> Result<Tensor>>> + 'static,
    expected: impl Fn() -> Result<Vec<f64>> + 'static,
) -> Op {
    Op {
        name,
        kernel: KernelOf::Diarize,
        always_on_cpu: false,
        tolerance,
        prepare: Box::new(move |device| {
            let forward = prepare(device)?;
            Ok(Box::new(move || {
                let output = forward()?;
                Ok(Box::new(move || to_f64(&output)) as Pending)
            }))
        }),
        expected: Box::new(expected),
    }
}

fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn frames(frame_length: usize, hop: usize, fft_length: usize) -> Stft {
    let window = (0..frame_length).map(|n| 0.5 + n as f32 / frame_length as f32).collect();
    Stft { frame_length, hop, fft_length, remove_mean: true, preemphasis: 0.97, window }
}

fn spectrum(name: &'static str, stft: Stft) -> Op {
    let reference = stft.clone();
    own(
        name,
        1e-6,
        move |device| {
            let (stft, x) = (stft.clone(), tensor((1, SAMPLES), 1, device)?);
            Ok(Box::new(move || stft.power_spectrum(&x)))
        },
        move || Ok(stft::reference::power_spectrum(&reference, &noise(SAMPLES, 1))),
    )
}

fn log_mel() -> Op {
    const FLOOR: f32 = 1e-3;
    let (frames, bins) = (998, 257);
    own(
        "mel: 80 bands of 257 bins, 998 frames",
        1e-6,
        move |device| {
            let mel = LogMel::new(&MelScale::kaldi_16khz(), FLOOR);
            let power = tensor((1, frames, bins), 1, device)?.sqr()?;
            Ok(Box::new(move || mel.log_energies(&power)))
        },
        move || {
            let power: Vec<f64> = noise(frames * bins, 1).iter().map(|x| f64::from(x * x)).collect();
            Ok(mel::reference::log_energies(&MelScale::kaldi_16khz(), f64::from(FLOOR), &power))
        },
    )
}

/// The filterbank of the embedding network, for samples scaled to 16-bit integers, but without
/// pre-emphasis: pre-emphasis leaves so little energy in the low bands that f32 rounding errors of the
/// whole frame would dominate them.
fn filterbank() -> Op {
    let mut stft = Stft { preemphasis: 0.0, ..Stft::kaldi_16khz() };
    stft.window.iter_mut().for_each(|weight| *weight *= 32768.0);
    let reference = stft.clone();
    own(
        "STFT + mel in one, 10 s: 80 bands of windows of 400 every 160",
        1e-5,
        move |device| {
            let mel = LogMel::new(&MelScale::kaldi_16khz(), f32::EPSILON);
            let (fbank, x) = (Fbank { stft: stft.clone(), mel }, tensor((1, SAMPLES), 1, device)?);
            Ok(Box::new(move || fbank.log_energies(&x)))
        },
        move || {
            let power = stft::reference::power_spectrum(&reference, &noise(SAMPLES, 1));
            Ok(mel::reference::log_energies(&MelScale::kaldi_16khz(), f64::from(f32::EPSILON), &power))
        },
    )
}

/// A convolution with sizes `[rows, columns, inputs, outputs]` and a kernel of `size`.
fn convolution(name: &'static str, [rows, columns, inputs, outputs]: [usize; 4], size: [usize; 2]) -> Op {
    let padding = if size[0] == 1 { [0, 0] } else { [1, 1] };
    let taps = size[0] * size[1];
    own(
        name,
        2e-6,
        move |device| {
            let kernel = tensor((outputs, inputs, size[0], size[1]), 1, device)?;
            let convolution = Conv2d::new(&kernel, &tensor(outputs, 2, device)?, 1, padding)?;
            let x = tensor((1, rows, columns, inputs), 3, device)?;
            Ok(Box::new(move || convolution.forward(&x, None, Activation::Relu)))
        },
        move || {
            let dims = conv2d::Dims { inputs, outputs, size, stride: 1, padding };
            let kernel = noise(outputs * inputs * taps, 1);
            let (bias, x) = (noise(outputs, 2), noise(rows * columns * inputs, 3));
            Ok(conv2d::reference::conv2d(dims, [&kernel, &bias, &x], [rows, columns], None, Activation::Relu))
        },
    )
}

fn pool_and_norm() -> Op {
    let (time, channels) = (5325, 80);
    let op =
        move || PoolNorm { window: 3, slope: 0.01, weight: noise(channels, 1), bias: noise(channels, 2) };
    own(
        "max pool 3 + instance norm + leaky relu, 5,325 x 80",
        1e-5,
        move |device| {
            let (op, x) = (op(), tensor((1, time, channels), 3, device)?);
            Ok(Box::new(move || op.forward(&x)))
        },
        move || Ok(pool_norm::reference::pool_norm(&op(), &noise(time * channels, 3))),
    )
}

fn statistics() -> Op {
    let (batch, rows, time, channels, masks) = (2, 10, 125, 256, 3);
    let weights = move || {
        noise(batch * masks * time, 2).iter().map(|&x| f32::from(u8::from(x > 0.0))).collect::<Vec<f32>>()
    };
    own(
        "mean and deviation with 3 masks, 2 x 10 x 125 x 256",
        1e-5,
        move |device| {
            let x = tensor((batch, rows, time, channels), 1, device)?;
            let weights = Tensor::from_vec(weights(), (batch, masks, time), device)?;
            Ok(Box::new(move || stats_pool(&x, &weights)))
        },
        move || {
            let x = noise(batch * rows * time * channels, 1);
            let first = (0..batch * masks).map(|set| set / masks * rows * time).collect();
            Ok(stats_pool::reference::stats_pool(&StatsPool { rows, time, channels, first }, &x, &weights()))
        },
    )
}

fn recurrence() -> Op {
    let dims = lstm::Dims { batch: 8, steps: 100, directions: 2, hidden: 128 };
    let width = dims.directions * 4 * dims.hidden;
    let recurrent = move || noise(width * dims.hidden, 2).iter().map(|x| x / 8.0).collect::<Vec<f32>>();
    own(
        "LSTM 128, both directions, 8 x 100 steps",
        1e-5,
        move |device| {
            let x = tensor((dims.batch, dims.steps, width), 1, device)?;
            let recurrent =
                Tensor::from_vec(recurrent(), (dims.directions, 4 * dims.hidden, dims.hidden), device)?;
            Ok(Box::new(move || lstm::lstm(&x, &recurrent)))
        },
        move || {
            let x = noise(dims.batch * dims.steps * width, 1);
            Ok(lstm::reference::lstm(dims, &x, &recurrent()))
        },
    )
}

fn distances(name: &'static str, metric: Metric) -> Op {
    let (count, dimension) = (1000, 256);
    own(
        name,
        1e-5,
        move |device| {
            let (a, b) = (tensor((count, dimension), 1, device)?, tensor((count, dimension), 2, device)?);
            Ok(Box::new(move || cdist::pairwise(&a, &b, metric)))
        },
        move || {
            let (a, b) = (noise(count * dimension, 1), noise(count * dimension, 2));
            let rows = |x| ArrayView2::from_shape((count, dimension), x).expect("rows of this length");
            let distances = match metric {
                Metric::Euclidean => cdist::reference::euclidean(rows(&a), rows(&b)),
                Metric::Cosine => cdist::reference::cosine(rows(&a), rows(&b)),
            };
            Ok(distances.into_iter().collect())
        },
    )
}

/// Points around four centers, `(point, dimension)`.
fn points(count: usize, dimension: usize) -> Vec<f32> {
    let (centers, noise) = (noise(4 * dimension, 1), noise(count * dimension, 2));
    let point = |i: usize| centers[i / dimension % 4 * dimension + i % dimension] + 0.4 * noise[i];
    (0..count * dimension).map(point).collect()
}

fn k_means() -> Op {
    let (count, dimension) = (1000, 64);
    let clusters = 4;
    let op = move || {
        let run =
            |seed| noise(kmeans::draws(clusters), seed).iter().map(|&x| 0.5 + 0.499 * f64::from(x)).collect();
        KMeans { clusters, max_iterations: 100, draws: (3..6).map(run).collect() }
    };
    own(
        "k-means, 1,000 x 64 in 4, 3 runs",
        1e-5,
        move |device| {
            let (op, points) =
                (op(), Tensor::from_vec(points(count, dimension), (count, dimension), device)?);
            Ok(Box::new(move || points.apply_op1_no_bwd(&op)))
        },
        move || {
            let points = Array2::from_shape_vec((count, dimension), f64s(&points(count, dimension)));
            let fits = kmeans::reference::kmeans(&op(), points.expect("rows of this length").view());
            let row = |fit: kmeans::Fit| {
                fit.labels.into_iter().map(|label| label as f64).chain([fit.inertia]).collect::<Vec<_>>()
            };
            Ok(fits.into_iter().flat_map(row).collect())
        },
    )
}

fn agglomerative(name: &'static str, unit_length: bool) -> Op {
    let (count, dimension) = (500, 64);
    let rows = move || {
        let rows = Array2::from_shape_vec((count, dimension), f64s(&points(count, dimension)));
        let mut rows = rows.expect("rows of this length");
        if unit_length {
            for mut row in rows.rows_mut() {
                let norm = row.dot(&row).sqrt();
                row /= norm;
            }
        }
        rows
    };
    let numbers = |merges: &[linkage::Merge]| {
        merges.iter().flat_map(|merge| [merge.left as f64, merge.right as f64, merge.distance]).collect()
    };
    Op {
        name,
        kernel: KernelOf::Diarize,
        always_on_cpu: false,
        tolerance: 1e-12,
        prepare: Box::new(move |device| {
            let (device, rows) = (device.clone(), rows());
            Ok(Box::new(move || {
                let merges = linkage::device::centroid_on(&device, rows.view())?;
                Ok(Box::new(move || Ok(numbers(&merges))) as Pending)
            }))
        }),
        expected: Box::new(move || {
            let distances = cdist::euclidean_pairs(rows().view());
            Ok(numbers(&linkage::reference::with_bounds(linkage::Linkage::Centroid, &distances)))
        }),
    }
}

/// Reconstructs a symmetric matrix from its eigenvalues and eigenvectors.
fn eigenvectors() -> Op {
    let size = 200;
    let matrix = move || {
        let values = noise(size * size, 1);
        Array2::from_shape_fn((size, size), |(i, j)| f64::from(values[i.min(j) * size + i.max(j)]))
    };
    Op {
        name: "eigh 200 x 200, f64, on the CPU by design",
        kernel: KernelOf::Diarize,
        always_on_cpu: true,
        tolerance: 1e-10,
        prepare: Box::new(move |_| {
            let matrix = matrix();
            Ok(Box::new(move || {
                let (values, vectors) = eigen(&matrix);
                let whole = (&vectors * &Array1::from(values)).dot(&vectors.t());
                Ok(Box::new(move || Ok(whole.into_raw_vec_and_offset().0)) as Pending)
            }))
        }),
        expected: Box::new(move || Ok(matrix().into_raw_vec_and_offset().0)),
    }
}
