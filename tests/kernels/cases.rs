//! Test cases for the GPU kernels, with expected results from the f64 references. Sizes are usual, odd, a single
//! row, empty, and not multiples of a tile.

use candle_core::{Device, Result, Shape, Tensor};
use diarize_kernels::{
    cdist::{self, Metric},
    center::{self, Sections},
    conv2d::{self, Activation, Conv2d, Halves},
    fbank::Fbank,
    gpu::Plan,
    kmeans::{self, KMeans},
    lstm::{self, Dims},
    mel::{self, LogMel, MelScale},
    pool_norm::{self, PoolNorm, Window},
    scores::{self, Scores},
    splice::{self, Part, PartDims, splice},
    stats_pool::{self, StatsPool, stats_pool, stats_pool_sections},
    stft::{self, Stft},
};
use diarize_testkit::Random;
use ndarray::ArrayView2;

type Forward = Box<dyn Fn(&Device) -> Result<Tensor>>;

/// One operation on given inputs.
pub struct Case {
    pub name: String,
    /// The GPU plan for `inputs`.
    pub plan: Plan,
    /// The inputs in the plan's layout.
    pub inputs: Vec<Vec<f32>>,
    /// Runs the operation on a device.
    pub forward: Forward,
    pub expected: Vec<f64>,
    /// Maximum error, relative to the largest expected magnitude.
    pub tolerance: f64,
}

/// The largest error of `values`, relative to the largest expected magnitude. It is infinite if a value is NaN where
/// none is expected, or the other way round.
pub fn error(values: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(values.len(), expected.len());
    let largest =
        expected.iter().copied().filter(|x| x.is_finite()).map(f64::abs).fold(f64::MIN_POSITIVE, f64::max);
    let differences = values.iter().zip(expected).map(|(&value, &expected)| {
        let difference = (f64::from(value) - expected).abs();
        match (value.is_nan(), expected.is_nan()) {
            (true, true) => 0.0,
            (false, false) => difference / largest,
            _ => f64::INFINITY,
        }
    });
    differences.fold(0.0, f64::max)
}

/// All operations at small sizes.
pub fn small() -> Vec<Case> {
    let mut random = Random(7);
    let mut cases = Vec::new();
    for (frame_length, hop, fft_length, batch, samples) in [
        (400, 160, 512, 2, 1200),
        (400, 160, 512, 1, 399),
        (400, 160, 512, 1, 400),
        (1600, 800, 2048, 1, 4000),
        (400, 160, 512, 2, 1203),
        (512, 130, 512, 1, 2000),
        (999, 500, 1024, 1, 2600),
        (256, 64, 256, 1, 900),
        (100, 10, 128, 1, 400),
        (50, 25, 64, 3, 333),
        (32, 8, 64, 1, 100),
        (11, 5, 64, 2, 77),
        (5, 3, 128, 1, 40),
    ] {
        cases.push(stft_case(frames_of(frame_length, hop, fft_length), batch, samples, &mut random));
    }
    for (frame_length, hop, fft_length, filters, batch, samples) in [
        (400, 160, 512, 80, 2, 2000),
        (400, 160, 512, 80, 1, 400),
        (400, 160, 512, 80, 1, 399),
        (400, 160, 512, 23, 3, 803),
        (400, 160, 512, 31, 1, 600),
        (400, 160, 512, 200, 1, 600),
        (1600, 800, 2048, 80, 1, 4000),
        (50, 25, 64, 5, 1, 333),
    ] {
        let stft = frames_of(frame_length, hop, fft_length);
        cases.push(fbank_case(stft, filters, batch, samples, &mut random));
    }
    for (filters, fft_length, batch, frames) in
        [(80, 512, 2, 9), (1, 512, 1, 1), (7, 64, 1, 17), (80, 512, 1, 0)]
    {
        cases.push(mel_case(filters, fft_length, batch, frames, &mut random));
    }
    for (window, batch, time, channels) in
        [(3, 2, 100, 20), (3, 1, 3, 1), (1, 1, 33, 16), (5, 3, 4, 8), (2, 1, 201, 37)]
    {
        cases.push(pool_norm_case(window, batch, time, channels, &mut random));
    }
    cases.push(pool_norm_windows_case(60, 21, &[0, 7, 29], 31, &mut random));
    for (op, rows, classes) in
        [(Scores::LogSoftmax, 150, 7), (Scores::Sigmoid, 3, 3), (Scores::LogSoftmax, 0, 7)]
    {
        cases.push(scores_case(op, rows, classes, &mut random));
    }
    for (batch, steps, directions, hidden) in [
        (1, 1, 1, 1),
        (3, 7, 2, 5),
        (17, 4, 1, 16),
        (5, 6, 2, 33),
        (2, 3, 2, 128),
        (64, 2, 2, 8),
        (1, 2, 1, 300),
        (2, 0, 2, 8),
        (0, 3, 2, 8),
    ] {
        cases.push(lstm_case(Dims { batch, steps, directions, hidden }, &mut random));
    }
    for (inputs, outputs, size, stride, padding, image) in [
        (1, 32, [3, 3], 1, [1, 1], [2, 7, 9]),
        (32, 32, [3, 3], 1, [1, 1], [1, 9, 31]),
        (8, 70, [3, 3], 2, [1, 1], [2, 9, 8]),
        (64, 128, [1, 1], 2, [0, 0], [1, 5, 6]),
        (10, 80, [1, 26], 1, [0, 0], [1, 1, 60]),
        (20, 12, [1, 5], 1, [0, 0], [2, 1, 40]),
        (3, 5, [5, 2], 3, [4, 0], [1, 7, 11]),
        (4, 4, [3, 3], 1, [0, 0], [1, 2, 2]),
    ] {
        let dims = conv2d::Dims { inputs, outputs, size, stride, padding };
        for (residual, activation) in
            [(false, Activation::Identity), (true, Activation::Relu), (false, Activation::Absolute)]
        {
            cases.push(conv2d_case(dims, image, residual, activation, &mut random));
        }
    }
    for metric in [Metric::Euclidean, Metric::Cosine] {
        for (n, m, dimension) in
            [(1, 1, 1), (128, 128, 16), (65, 130, 33), (3, 72, 256), (130, 260, 12), (0, 5, 4), (5, 3, 0)]
        {
            cases.push(cdist_case(metric, n, m, dimension, &mut random));
        }
        for (n, dimension) in [(1, 4), (2, 1), (64, 12), (129, 33), (300, 8), (0, 5), (5, 0)] {
            cases.push(condensed_case(metric, n, dimension, &mut random));
        }
    }
    for (count, dimension, clusters, runs) in
        [(1, 1, 1, 1), (30, 3, 4, 3), (300, 17, 5, 2), (7, 2, 7, 2), (5, 0, 2, 1), (40, 300, 3, 1)]
    {
        cases.push(kmeans_case(count, dimension, clusters, runs, &mut random));
    }
    cases.extend(matrix_tiles());
    cases
}

/// Sizes that fill several matrix tiles or only a part of one, and statistics pooling.
fn matrix_tiles() -> Vec<Case> {
    let mut random = Random(8);
    let mut cases = Vec::new();
    let dims = conv2d::Dims { inputs: 8, outputs: 12, size: [1, 1], stride: 1, padding: [0, 0] };
    cases.push(conv2d_case(dims, [1, 1, 20], false, Activation::LeakyRelu, &mut random));
    let dims = conv2d::Dims { outputs: 7, ..dims };
    cases.push(conv2d_case(dims, [1, 1, 20], false, Activation::LeakyRelu, &mut random));
    for (inputs, outputs, size, stride, padding, image) in [
        (20, 64, [3, 3], 1, [1, 1], [2, 11, 35]),
        (16, 36, [3, 3], 2, [1, 1], [2, 22, 19]),
        (4, 34, [3, 3], 1, [1, 1], [1, 5, 6]),
        (12, 300, [1, 1], 1, [0, 0], [3, 1, 55]),
        (16, 32, [1, 5], 1, [0, 2], [2, 1, 330]),
        // Not multiples of the output channels of a threadgroup.
        (16, 96, [1, 1], 1, [0, 0], [1, 1, 20]),
        (4, 160, [3, 3], 1, [1, 1], [1, 5, 9]),
        (8, 384, [1, 1], 1, [0, 0], [1, 1, 9]),
    ] {
        let dims = conv2d::Dims { inputs, outputs, size, stride, padding };
        for (residual, activation) in [(false, Activation::Absolute), (true, Activation::Relu)] {
            cases.push(conv2d_case(dims, image, residual, activation, &mut random));
        }
    }
    for (batch, steps, directions, hidden) in [(18, 3, 2, 48), (2, 2, 1, 128)] {
        cases.push(lstm_case(Dims { batch, steps, directions, hidden }, &mut random));
    }
    for (batch, rows, time, channels, masks) in
        [(2, 3, 20, 150, 2), (1, 1, 1, 3, 1), (3, 2, 5, 128, 1), (0, 2, 5, 4, 1), (2, 1, 4, 8, 0)]
    {
        cases.push(stats_pool_case([batch, rows, time, channels], masks, &mut random));
    }
    for (shape, length, first) in [([3, 20, 150], 7, vec![0, 13, 4]), ([1, 5, 3], 5, vec![0, 0])] {
        cases.push(sections_case(shape, length, first, &mut random));
    }
    for (shape, window, starts, length) in [
        ([1, 70, 80], 41, vec![0, 9, 50], 20),
        ([2, 37, 5], 37, vec![0], 37),
        ([1, 9, 3], 1, vec![8, 0], 1),
        ([0, 9, 3], 2, vec![0], 9),
    ] {
        cases.push(center_case(shape, window, starts, length, &mut random));
    }
    let kept = PartDims { batch: 1, total: 9, first: 3, length: 6, zeros: false };
    let gap = PartDims { batch: 1, total: 0, first: 0, length: 4, zeros: true };
    let new = PartDims { batch: 2, total: 7, first: 1, length: 5, zeros: false };
    for parts in [vec![kept, gap, new], vec![PartDims { length: 0, ..kept }, new]] {
        cases.push(splice_case(splice::Dims { rows: 3, channels: 50, parts }, &mut random));
    }
    cases
}

/// The features and the operations of both networks at their sizes for one ten-second chunk.
pub fn networks() -> Vec<Case> {
    let mut random = Random(9);
    let mut cases = vec![fbank_case(Stft::kaldi_16khz(), 80, 1, 160_000, &mut random)];
    for (inputs, outputs, taps, columns, activation) in [
        (10, 80, 26, 16_000, Activation::Absolute),
        (80, 60, 5, 5325, Activation::Identity),
        (60, 60, 5, 1773, Activation::Identity),
        (60, 1024, 1, 589, Activation::Identity),
        (256, 1024, 1, 589, Activation::Identity),
    ] {
        let dims = conv2d::Dims { inputs, outputs, size: [1, taps], stride: 1, padding: [0, 0] };
        cases.push(conv2d_case(dims, [1, 1, columns], false, activation, &mut random));
    }
    for (time, channels) in [(15_975, 80), (5321, 60), (1769, 60)] {
        cases.push(pool_norm_case(3, 1, time, channels, &mut random));
    }
    cases.push(lstm_case(Dims { batch: 1, steps: 589, directions: 2, hidden: 128 }, &mut random));
    cases.push(stats_pool_case([1, 10, 125, 256], 3, &mut random));
    cases.push(sections_case([10, 300, 256], 125, vec![0, 7, 175, 290], &mut random));
    cases.push(center_case([1, 2998, 80], 998, vec![0, 1000, 1574], 1424, &mut random));
    for (inputs, outputs, size, stride, image, residual, activation) in [
        (1, 32, 3, 1, [1, 80, 998], false, Activation::Relu),
        (32, 32, 3, 1, [1, 80, 998], true, Activation::Relu),
        (32, 64, 3, 2, [1, 80, 998], false, Activation::Relu),
        (32, 64, 1, 2, [1, 80, 998], false, Activation::Identity),
        (64, 64, 3, 1, [1, 40, 499], true, Activation::Relu),
        (64, 128, 3, 2, [1, 40, 499], false, Activation::Relu),
        (64, 128, 1, 2, [1, 40, 499], false, Activation::Identity),
        (128, 128, 3, 1, [1, 20, 250], true, Activation::Relu),
        (128, 256, 3, 2, [1, 20, 250], false, Activation::Relu),
        (128, 256, 1, 2, [1, 20, 250], false, Activation::Identity),
        (256, 256, 3, 1, [1, 10, 125], true, Activation::Relu),
    ] {
        let dims = conv2d::Dims { inputs, outputs, size: [size; 2], stride, padding: [size / 2; 2] };
        cases.push(conv2d_case(dims, image, residual, activation, &mut random));
    }
    cases
}

fn tensor(values: &[f32], shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
    Tensor::from_slice(values, shape, device)
}

pub fn stft_case(stft: Stft, batch: usize, samples: usize, random: &mut Random) -> Case {
    let input = random.vector(batch * samples, 1000.0);
    let Stft { frame_length, hop, fft_length, .. } = stft;
    Case {
        name: format!("stft {batch} x {samples}, frames of {frame_length} every {hop}, {fft_length} points"),
        plan: stft.plan(&(batch, samples).into()).unwrap().0,
        expected: input.chunks(samples).flat_map(|x| stft::reference::power_spectrum(&stft, x)).collect(),
        inputs: vec![input.clone()],
        forward: Box::new(move |device| stft.power_spectrum(&tensor(&input, (batch, samples), device)?)),
        tolerance: 1e-6,
    }
}

fn frames_of(frame_length: usize, hop: usize, fft_length: usize) -> Stft {
    let window = (0..frame_length).map(|n| 0.5 + n as f32 / frame_length as f32).collect();
    Stft { frame_length, hop, fft_length, remove_mean: true, preemphasis: 0.97, window }
}

pub fn fbank_case(stft: Stft, filters: usize, batch: usize, samples: usize, random: &mut Random) -> Case {
    const FLOOR: f32 = 1e-3;
    let input = random.vector(batch * samples, 1000.0);
    let Stft { frame_length, hop, fft_length, .. } = stft;
    let scale = MelScale { filters, fft_length, ..MelScale::kaldi_16khz() };
    let energies = |x| {
        let power = stft::reference::power_spectrum(&stft, x);
        mel::reference::log_energies(&scale, f64::from(FLOOR), &power)
    };
    let expected: Vec<f64> = input.chunks(samples).flat_map(energies).collect();
    let fbank = Fbank { mel: LogMel::new(&scale, FLOOR), stft };
    Case {
        name: format!(
            "fbank {batch} x {samples}, frames of {frame_length} every {hop}, {fft_length} points, {filters} bands"
        ),
        plan: fbank.plan(&(batch, samples).into()).unwrap().0,
        // The error of a spectrum is relative to the energy of the whole frame. The relative error of a band therefore
        // grows with the inverse root of its power. Among n bands of noise, the weakest has about 1 / n of the power.
        // The largest small case has 1,760 bands.
        tolerance: 1e-5 * (expected.len() as f64 / 1760.0).sqrt().max(1.0),
        expected,
        inputs: vec![input.clone()],
        forward: Box::new(move |device| fbank.log_energies(&tensor(&input, (batch, samples), device)?)),
    }
}

pub fn mel_case(filters: usize, fft_length: usize, batch: usize, frames: usize, random: &mut Random) -> Case {
    const FLOOR: f32 = 1e-3;
    let scale = MelScale { filters, fft_length, ..MelScale::kaldi_16khz() };
    let bins = fft_length / 2 + 1;
    let mut input: Vec<f32> = random.vector(batch * frames * bins, 1e4).iter().map(|x| x.abs()).collect();
    if let Some(silence) = input.get_mut(..bins) {
        silence.fill(0.0);
    }
    let mel = LogMel::new(&scale, FLOOR);
    let power: Vec<f64> = input.iter().map(|&x| f64::from(x)).collect();
    Case {
        name: format!("mel {batch} x {frames}, {bins} bins to {filters}"),
        plan: mel.plan(&(batch, frames, bins).into()).unwrap().0,
        expected: mel::reference::log_energies(&scale, f64::from(FLOOR), &power),
        inputs: vec![input.clone()],
        forward: Box::new(move |device| mel.log_energies(&tensor(&input, (batch, frames, bins), device)?)),
        tolerance: 1e-6,
    }
}

/// Windows of one input, each scaled and shifted before pooling.
pub fn pool_norm_windows_case(
    time: usize,
    channels: usize,
    starts: &[usize],
    length: usize,
    random: &mut Random,
) -> Case {
    let (weight, bias) = (random.vector(channels, 1.0), random.vector(channels, 1.0));
    let op = PoolNorm { window: 3, slope: 0.01, weight, bias };
    let x = random.vector(time * channels, 1.0);
    let mut window = |&start: &usize| Window {
        start,
        scale: 0.5 + start as f32 / 50.0,
        shift: random.vector(channels, 0.5),
    };
    let windows: Vec<Window> = starts.iter().map(&mut window).collect();
    let expected = |Window { start, scale, shift }: &Window| {
        let values = &x[start * channels..][..length * channels];
        let values = values.iter().enumerate().map(|(i, x)| (scale * x + shift[i % channels]).abs());
        pool_norm::reference::pool_norm(&op, &values.collect::<Vec<f32>>())
    };
    let call = pool_norm::Windows { op: &op, windows: &windows, length };
    Case {
        name: format!("pool_norm of windows {starts:?} of {length} steps of {time} x {channels}"),
        plan: call.plan(&(1, time, channels).into()).unwrap().0,
        expected: windows.iter().flat_map(expected).collect(),
        inputs: vec![x.clone()],
        forward: Box::new({
            let (op, x, windows) = (op.clone(), x.clone(), windows.clone());
            move |device| op.forward_windows(&tensor(&x, (1, time, channels), device)?, &windows, length)
        }),
        tolerance: 1e-5,
    }
}

pub fn scores_case(op: Scores, rows: usize, classes: usize, random: &mut Random) -> Case {
    let x = random.vector(rows * classes, 8.0);
    Case {
        name: format!("{op:?} of {rows} x {classes}"),
        plan: op.plan(&(rows, classes).into()).unwrap(),
        expected: scores::reference::scores(op, &x, classes),
        inputs: vec![x.clone()],
        forward: Box::new(move |device| op.forward(&tensor(&x, (rows, classes), device)?)),
        tolerance: 1e-6,
    }
}

pub fn pool_norm_case(
    window: usize,
    batch: usize,
    time: usize,
    channels: usize,
    random: &mut Random,
) -> Case {
    let op = PoolNorm {
        window,
        slope: 0.01,
        weight: random.vector(channels, 1.0),
        bias: random.vector(channels, 1.0),
    };
    let input: Vec<f32> = random.vector(batch * time * channels, 1.0).iter().map(|x| 3.0 + x).collect();
    Case {
        name: format!("pool_norm {batch} x {time} x {channels}, window of {window}"),
        plan: op.plan(&(batch, time, channels).into()).unwrap().0,
        expected: input
            .chunks(time * channels)
            .flat_map(|x| pool_norm::reference::pool_norm(&op, x))
            .collect(),
        inputs: vec![input.clone()],
        forward: Box::new(move |device| op.forward(&tensor(&input, (batch, time, channels), device)?)),
        tolerance: 1e-5,
    }
}

pub fn lstm_case(dims: Dims, random: &mut Random) -> Case {
    let Dims { batch, steps, directions, hidden } = dims;
    let gates = 4 * hidden;
    let input = random.vector(batch * steps * directions * gates, 2.0);
    let recurrent = random.vector(directions * gates * hidden, 1.5 / (hidden as f32).sqrt());
    Case {
        name: format!("lstm {batch} x {steps}, {directions} directions of {hidden}"),
        plan: dims.plan().unwrap(),
        expected: lstm::reference::lstm(dims, &input, &recurrent),
        inputs: vec![input.clone(), recurrent.clone()],
        forward: Box::new(move |device| {
            let input = tensor(&input, (batch, steps, directions * gates), device)?;
            lstm::lstm(&input, &tensor(&recurrent, (directions, gates, hidden), device)?)
        }),
        tolerance: 1e-5,
    }
}

/// A kernel in the GPU's layout: `(tap, input, output)`.
pub fn for_gpu(dims: conv2d::Dims, kernel: &[f32]) -> Vec<f32> {
    let conv2d::Dims { inputs, outputs, size, .. } = dims;
    let taps = size[0] * size[1];
    (0..taps)
        .flat_map(|tap| (0..inputs).map(move |c| (tap, c)))
        .flat_map(|(tap, c)| (0..outputs).map(move |o| (o * inputs + c) * taps + tap))
        .map(|index| kernel[index])
        .collect()
}

pub fn conv2d_case(
    dims: conv2d::Dims,
    [batch, rows, columns]: [usize; 3],
    residual: bool,
    activation: Activation,
    random: &mut Random,
) -> Case {
    let conv2d::Dims { inputs, outputs, size, stride, padding } = dims;
    let taps = size[0] * size[1];
    let input = random.vector(batch * rows * columns * inputs, 1.0);
    let kernel = random.vector(outputs * inputs * taps, 1.0);
    let bias = random.vector(outputs, 1.0);
    let output = dims.output([rows, columns]);
    let around = random.vector(batch * output[0] * output[1] * outputs, 1.0);
    let expected = input
        .chunks(rows * columns * inputs)
        .zip(around.chunks((output[0] * output[1] * outputs).max(1)))
        .flat_map(|(x, around)| {
            let around = residual.then_some(around);
            conv2d::reference::conv2d(dims, [&kernel, &bias, x], [rows, columns], around, activation)
        })
        .collect();
    let mut given = vec![input.clone(), for_gpu(dims, &kernel), bias.clone()];
    given.extend(residual.then(|| around.clone()));
    Case {
        name: format!(
            "conv2d {batch} x {rows} x {columns} x {inputs} to {outputs}, {size:?} / {stride}, {activation:?}, \
             residual {residual}"
        ),
        plan: dims
            .plan(&(batch, rows, columns, inputs).into(), residual, activation, Halves::default())
            .unwrap(),
        expected,
        inputs: given,
        forward: Box::new(move |device| {
            let kernel = tensor(&kernel, (outputs, inputs, size[0], size[1]), device)?;
            let conv = Conv2d::new(&kernel, &tensor(&bias, outputs, device)?, stride, padding)?;
            let around = tensor(&around, (batch, output[0], output[1], outputs), device)?;
            let x = tensor(&input, (batch, rows, columns, inputs), device)?;
            conv.forward(&x, residual.then_some(around), activation)
        }),
        // Rounding errors grow with the root of the number of products. The largest small case has 288.
        tolerance: 2e-6 * ((inputs * taps) as f64 / 288.0).sqrt().max(1.0),
    }
}

/// Sets of weights over time: zeros and ones, a single one, arbitrary fractions, and only zeros, in turn.
pub fn weights(count: usize, time: usize, random: &mut Random) -> Vec<f32> {
    let one = |index: usize, t: usize, x: f32| match index % 4 {
        0 => f32::from(u8::from(x > 0.0)),
        1 => f32::from(u8::from(t == time / 2)),
        2 => x.abs(),
        _ => 0.0,
    };
    (0..count * time).map(|i| one(i / time, i % time, random.vector(1, 1.0)[0])).collect()
}

pub fn stats_pool_case(shape: [usize; 4], masks: usize, random: &mut Random) -> Case {
    let [batch, rows, time, channels] = shape;
    let x = random.vector(batch * rows * time * channels, 1.0);
    let weights = weights(batch * masks, time, random);
    let first = (0..batch * masks).map(|set| set / masks * rows * time).collect();
    let op = StatsPool { rows, time, channels, first };
    Case {
        name: format!("stats_pool of {shape:?}, {masks} masks"),
        plan: op.plan(time).unwrap(),
        expected: stats_pool::reference::stats_pool(&op, &x, &weights),
        inputs: vec![x.clone(), weights.clone()],
        forward: Box::new(move |device| {
            stats_pool(&tensor(&x, &shape, device)?, &tensor(&weights, (batch, masks, time), device)?)
        }),
        tolerance: 2e-6,
    }
}

/// Pooling of sections that begin at the steps `first`. Weights of steps after the end are 0.
pub fn sections_case(shape: [usize; 3], length: usize, first: Vec<usize>, random: &mut Random) -> Case {
    let [rows, time, channels] = shape;
    let x = random.vector(rows * time * channels, 1.0);
    let mut weights = weights(first.len(), length, random);
    for (weights, first) in weights.chunks_exact_mut(length).zip(&first) {
        weights[length.min(time - first)..].fill(0.0);
    }
    let op = StatsPool { rows, time, channels, first: first.clone() };
    Case {
        name: format!("stats_pool of {shape:?} from {first:?}, {length} steps"),
        plan: op.plan(length).unwrap(),
        expected: stats_pool::reference::stats_pool(&op, &x, &weights),
        inputs: vec![x.clone(), weights.clone()],
        forward: Box::new(move |device| {
            let weights = tensor(&weights, (first.len(), length), device)?;
            stats_pool_sections(&tensor(&x, &shape, device)?, &weights, &first)
        }),
        tolerance: 2e-6,
    }
}

pub fn center_case(
    shape: [usize; 3],
    window: usize,
    starts: Vec<usize>,
    length: usize,
    random: &mut Random,
) -> Case {
    let [batch, frames, bands] = shape;
    let x: Vec<f32> = random.vector(batch * frames * bands, 3.0).iter().map(|x| 15.0 + x).collect();
    let sections = Sections { window, starts: &starts, length };
    Case {
        name: format!("center {shape:?}, window of {window}, {length} frames from {starts:?}"),
        plan: sections.plan(&(batch, frames, bands).into()).unwrap().0,
        expected: center::reference::center(&sections, &x, frames, bands),
        inputs: vec![x.clone()],
        forward: Box::new({
            let starts = starts.clone();
            move |device| {
                let sections = Sections { window, starts: &starts, length };
                sections.center(&tensor(&x, &shape, device)?)?.transpose(1, 2)
            }
        }),
        tolerance: 1e-6,
    }
}

pub fn splice_case(dims: splice::Dims, random: &mut Random) -> Case {
    let (rows, channels) = (dims.rows, dims.channels);
    let size = |part: &PartDims| part.batch * rows * part.total * channels;
    let inputs: Vec<Vec<f32>> = dims.parts.iter().map(|part| random.vector(size(part), 1.0)).collect();
    let values: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    Case {
        name: format!("splice {dims:?}"),
        plan: dims.plan().unwrap(),
        expected: splice::reference::splice(&dims, &values),
        inputs: inputs.clone(),
        forward: Box::new(move |device| {
            let part = |(part, values): (&PartDims, &Vec<f32>)| match part.zeros {
                true => Ok(Part::Zeros(part.steps())),
                false => {
                    let x = tensor(values, (part.batch, rows, part.total, channels), device)?;
                    Ok(Part::Steps(x, part.first..part.first + part.length))
                }
            };
            splice(&dims.parts.iter().zip(&inputs).map(part).collect::<Result<Vec<_>>>()?)
        }),
        tolerance: 0.0,
    }
}

pub fn cdist_case(metric: Metric, n: usize, m: usize, dimension: usize, random: &mut Random) -> Case {
    let (a, b) = (random.vector(n * dimension, 1.0), random.vector(m * dimension, 1.0));
    let rows = |values, count| ArrayView2::from_shape((count, dimension), values).unwrap();
    let distances = match metric {
        Metric::Euclidean => cdist::reference::euclidean(rows(&a, n), rows(&b, m)),
        Metric::Cosine => cdist::reference::cosine(rows(&a, n), rows(&b, m)),
    };
    Case {
        name: format!("cdist {metric:?} {n} x {m}, {dimension} dimensions"),
        plan: cdist::plan(metric, &(n, dimension).into(), &(m, dimension).into()).unwrap().0,
        expected: distances.into_iter().collect(),
        inputs: vec![a.clone(), b.clone()],
        forward: Box::new(move |device| {
            cdist::pairwise(
                &tensor(&a, (n, dimension), device)?,
                &tensor(&b, (m, dimension), device)?,
                metric,
            )
        }),
        tolerance: 1e-5,
    }
}

pub fn condensed_case(metric: Metric, n: usize, dimension: usize, random: &mut Random) -> Case {
    let rows = random.vector(n * dimension, 1.0);
    let view = ArrayView2::from_shape((n, dimension), &rows).unwrap();
    let expected = match metric {
        Metric::Euclidean => cdist::reference::euclidean_condensed(view),
        Metric::Cosine => cdist::reference::cosine_condensed(view),
    };
    Case {
        name: format!("condensed cdist {metric:?} of {n}, {dimension} dimensions"),
        plan: cdist::condensed_plan(metric, &(n, dimension).into()).unwrap().0,
        expected,
        inputs: vec![rows.clone()],
        forward: Box::new(move |device| cdist::condensed(&tensor(&rows, (n, dimension), device)?, metric)),
        tolerance: 1e-5,
    }
}

pub fn kmeans_case(
    count: usize,
    dimension: usize,
    clusters: usize,
    runs: usize,
    random: &mut Random,
) -> Case {
    let centers = random.vector(clusters * dimension, 1.0);
    let noise = random.vector(count * dimension, 0.2);
    let center = |i: usize| centers[i / dimension % clusters * dimension + i % dimension];
    let input: Vec<f32> = noise.iter().enumerate().map(|(i, noise)| center(i) + noise).collect();
    let draws = || {
        let numbers = random.vector(kmeans::draws(clusters), 0.499);
        numbers.into_iter().map(|x| f64::from(x) + 0.5).collect()
    };
    let op =
        KMeans { clusters, max_iterations: 20, draws: std::iter::repeat_with(draws).take(runs).collect() };
    let points: Vec<f64> = input.iter().map(|&x| f64::from(x)).collect();
    let points = ArrayView2::from_shape((count, dimension), &points).unwrap();
    let fits = kmeans::reference::kmeans(&op, points);
    let row = |fit: kmeans::Fit| {
        fit.labels.into_iter().map(|label| label as f64).chain([fit.inertia]).collect::<Vec<_>>()
    };
    Case {
        name: format!("kmeans {count} x {dimension} in {clusters}, {runs} runs"),
        plan: op.plan(&(count, dimension).into()).unwrap().0,
        expected: fits.into_iter().flat_map(row).collect(),
        inputs: vec![input.clone()],
        forward: Box::new(move |device| tensor(&input, (count, dimension), device)?.apply_op1_no_bwd(&op)),
        tolerance: 1e-5,
    }
}
