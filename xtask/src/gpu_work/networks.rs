//! The operations of the networks on a batch.

use diarize::{
    model::{EmbeddingArchitecture, SegmentationArchitecture},
    unstable::{GPU_BATCHES, GPU_PIECE},
};
use diarize_kernels::{
    center::Sections,
    conv2d::{Activation, Dims, Halves},
    fbank::Fbank,
    lstm,
    mel::{LogMel, MelScale},
    pool_norm::{PoolNorm, Window, Windows},
    scores::Scores,
    splice::{self, PartDims},
    stats_pool::StatsPool,
    stft::Stft,
};

use super::{Limit, Operation, Stage};

/// Samples and hop of a chunk of ten seconds, and frames of its features and of the segmentation.
const CHUNK: usize = 160_000;
const HOP: usize = 16_000;
const FEATURES: usize = 998;
const SINC_STEPS: [usize; 2] = [15_975, 5325];
/// Chunks per batch of the segmentation network, those of them that the layers after the sinc filters take at once, and
/// chunks and pieces that the embedding network takes at once.
const SEGMENTED: usize = GPU_BATCHES[0];
const WINDOWS: usize = GPU_BATCHES[1];
const EMBEDDED: usize = GPU_BATCHES[2];
const PIECES: usize = GPU_BATCHES[3];
/// Features of a piece with the trunk `shared`, and those that the network reads.
const PIECE: [usize; 2] = [8 * GPU_PIECE, 8 * GPU_PIECE + 224];
/// Channels of the segmentation network after the sinc filters.
const CHANNELS: usize = 60;
/// Masks per chunk, and features from one window of the voices to the next.
const MASKS: usize = 3;
const VOICE_HOP: usize = 32;

fn convolution(dims: Dims, [batch, rows, columns]: [usize; 3], residual: bool) -> anyhow::Result<Operation> {
    let Dims { inputs, outputs, size, .. } = dims;
    let plan =
        dims.plan(&(batch, rows, columns, inputs).into(), residual, Activation::Relu, Halves::default())?;
    let weights = size[0] * size[1] * inputs * outputs;
    let input = batch * rows * columns * inputs;
    let operations = 2.0 * plan.output as f64 * (weights / outputs) as f64;
    let limit = match (plan.preparing > 0, size) {
        (false, _) => Limit::Plain,
        (true, [1, 1]) => Limit::Linear,
        (true, _) => Limit::Convolution,
    };
    let read = input + weights + if residual { plan.output } else { 0 };
    Ok(Operation::new(plan, read, operations, limit))
}

fn linear(inputs: usize, outputs: usize, rows: usize) -> anyhow::Result<Operation> {
    let dims = Dims { inputs, outputs, size: [1, 1], stride: 1, padding: [0, 0] };
    convolution(dims, [1, 1, rows], false)
}

/// The segmentation network on overlapping chunks.
pub(super) fn segmentation(network: &SegmentationArchitecture) -> anyhow::Result<Stage> {
    const FILTERS: usize = 80;
    let along = |inputs, outputs, taps| Dims { inputs, outputs, size: [1, taps], stride: 1, padding: [0, 0] };
    let norm = |channels| PoolNorm {
        window: 3,
        slope: 0.01,
        weight: vec![1.0; channels],
        bias: vec![0.0; channels],
    };
    let samples = (SEGMENTED - 1) * HOP + CHUNK;
    let stride = network.sincnet_stride;
    let taps = 251usize.div_ceil(stride);
    let mut operations = vec![convolution(along(stride, FILTERS, taps), [1, 1, samples / stride], false)?];
    let steps = samples / stride - taps + 1;

    let norms = norm(FILTERS);
    let window = |chunk: usize| Window { start: chunk * HOP / stride, scale: 1.0, shift: vec![0.0; FILTERS] };
    let windows: Vec<Window> = (0..WINDOWS).map(window).collect();
    let pooled = Windows { op: &norms, windows: &windows, length: SINC_STEPS[0] };
    let read = WINDOWS * SINC_STEPS[0] * FILTERS;
    let mut after =
        vec![Operation::new(pooled.plan(&(1, steps, FILTERS).into())?.0, read, 0.0, Limit::Memory)];
    let mut steps = SINC_STEPS[1];
    for inputs in [FILTERS, CHANNELS] {
        after.push(convolution(along(inputs, CHANNELS, 5), [WINDOWS, 1, steps], false)?);
        steps -= 4;
        let plan = norm(CHANNELS).plan(&(WINDOWS, steps, CHANNELS).into())?.0;
        after.push(Operation::new(plan, WINDOWS * steps * CHANNELS, 0.0, Limit::Memory));
        steps /= 3;
    }
    let runs = SEGMENTED / WINDOWS;
    operations.extend(after.into_iter().map(|operation| Operation { runs, ..operation }));

    operations.extend(recurrent(network, steps)?);
    Ok(Stage {
        name: "segmentation",
        batch: format!("{SEGMENTED} chunks"),
        seconds: (SEGMENTED * HOP) as f64 / 16e3,
        operations,
    })
}

/// The segmentation network after the convolutions, on `steps` frames of each chunk.
fn recurrent(network: &SegmentationArchitecture, steps: usize) -> anyhow::Result<Vec<Operation>> {
    let (hidden, directions) = (network.lstm.hidden_size, network.lstm.directions());
    let (gates, rows) = (directions * 4 * hidden, SEGMENTED * steps);
    let (mut inputs, mut operations) = (CHANNELS, Vec::new());
    for _ in 0..network.lstm.num_layers {
        operations.push(linear(inputs, gates, rows)?);
        let plan = lstm::Dims { batch: SEGMENTED, steps, directions, hidden }.plan()?;
        let multiplied = 2.0 * (rows * gates * hidden) as f64;
        operations.push(Operation::new(plan, rows * gates, multiplied, Limit::Recurrence));
        inputs = directions * hidden;
    }
    for _ in 0..network.linear.num_layers {
        operations.push(linear(inputs, network.linear.hidden_size, rows)?);
        inputs = network.linear.hidden_size;
    }
    operations.push(linear(inputs, network.classes(), rows)?);
    let plan = Scores::LogSoftmax.plan(&(rows, network.classes()).into())?;
    operations.push(Operation::new(plan, rows * network.classes(), 0.0, Limit::Memory));
    Ok(operations)
}

/// The residual network on features `(batch, frames, 80)`.
fn residual(network: &EmbeddingArchitecture, batch: usize, frames: usize) -> anyhow::Result<Vec<Operation>> {
    let square = |inputs, outputs, size: usize, stride| Dims {
        inputs,
        outputs,
        size: [size; 2],
        stride,
        padding: [size / 2; 2],
    };
    let mut image = [batch, 80, frames];
    let mut operations = vec![convolution(square(1, network.channels, 3, 1), image, false)?];
    let mut inputs = network.channels;
    for (stage, &blocks) in network.blocks.iter().enumerate() {
        let outputs = network.outputs(stage);
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            operations.push(convolution(square(inputs, outputs, 3, stride), image, false)?);
            if stride != 1 || inputs != outputs {
                operations.push(convolution(square(inputs, outputs, 1, stride), image, false)?);
            }
            image = [batch, image[1].div_ceil(stride), image[2].div_ceil(stride)];
            operations.push(convolution(square(outputs, outputs, 3, 1), image, true)?);
            inputs = outputs;
        }
    }
    Ok(operations)
}

/// Log energies of `samples`, without the mean of each section of `length` frames.
fn features(samples: [usize; 2], starts: &[usize], length: usize) -> anyhow::Result<Vec<Operation>> {
    const POINTS: f64 = 512.0;
    let [batch, samples] = samples;
    let fbank = Fbank { stft: Stft::kaldi_16khz(), mel: LogMel::new(&MelScale::kaldi_16khz(), 1e-3) };
    let (plan, shape) = fbank.plan(&(batch, samples).into())?;
    let (_, frames, bands) = shape.dims3()?;
    let transform = (batch * frames) as f64 * 2.5 * POINTS * POINTS.log2();
    let sections = Sections { window: FEATURES, starts, length };
    let centered = sections.plan(&(batch, frames, bands).into())?.0;
    Ok(vec![
        Operation::new(plan, batch * samples, transform, Limit::Plain),
        Operation::new(centered, batch * frames * bands, 0.0, Limit::Memory),
    ])
}

/// Pooling of frames `(rows, time, channels)` with sets of weights of this length, and the projection.
fn pooling(
    network: &EmbeddingArchitecture,
    [rows, time, length]: [usize; 3],
    first: Vec<usize>,
) -> anyhow::Result<Vec<Operation>> {
    let (channels, sets) = (network.outputs(network.blocks.len() - 1), first.len());
    let pool = StatsPool { rows, time, channels, first };
    let read = sets * length * (rows * channels + 1);
    Ok(vec![
        Operation::new(pool.plan(length)?, read, 5.0 * read as f64, Limit::Memory),
        linear(2 * rows * channels, network.dimension, sets)?,
    ])
}

/// The embedding network on whole chunks.
pub(super) fn chunks(network: &EmbeddingArchitecture) -> anyhow::Result<Stage> {
    let frames = FEATURES.div_ceil(8);
    let mut operations = features([EMBEDDED, CHUNK], &[0], FEATURES)?;
    operations.extend(residual(network, EMBEDDED, FEATURES)?);
    let first = (0..EMBEDDED * MASKS).map(|set| set / MASKS * 10 * frames).collect();
    operations.extend(pooling(network, [10, frames, frames], first)?);
    Ok(Stage {
        name: "embeddings, trunk `chunk`",
        batch: format!("{EMBEDDED} chunks"),
        seconds: (EMBEDDED * HOP) as f64 / 16e3,
        operations,
    })
}

/// The residual network on pieces of the recording; its frames are joined, and pooled for chunks and windows.
pub(super) fn pieces(network: &EmbeddingArchitecture) -> anyhow::Result<Stage> {
    let [new, seen] = PIECE;
    let frames = (PIECES - 1) * new + seen + FEATURES;
    let starts: Vec<usize> = (0..PIECES).map(|piece| FEATURES / 2 + piece * new).collect();
    let mut operations = features([1, (frames - 1) * 160 + 400], &starts, seen)?;
    operations.extend(residual(network, PIECES, seen)?);
    let channels = network.outputs(network.blocks.len() - 1);
    let (kept, length) = (FEATURES.div_ceil(8), new / 8);
    let margin = (seen - new) / 16;
    let parts = vec![
        PartDims {
            batch: 1,
            total: PIECES * length,
            first: PIECES * length - kept,
            length: kept,
            zeros: false,
        },
        PartDims { batch: PIECES, total: seen / 8, first: margin, length, zeros: false },
    ];
    let time = kept + PIECES * length;
    let plan = splice::Dims { rows: 10, channels, parts }.plan()?;
    operations.push(Operation::new(plan, 10 * time * channels, 0.0, Limit::Memory));
    let chunk = FEATURES.div_ceil(8);
    let sets = PIECES * new / 100 * MASKS + PIECES * new / VOICE_HOP;
    operations.extend(pooling(
        network,
        [10, time, chunk],
        (0..sets).map(|set| set % (time - chunk)).collect(),
    )?);
    Ok(Stage {
        name: "embeddings, trunk `shared`",
        batch: format!("{PIECES} pieces"),
        seconds: (PIECES * new) as f64 / 100.0,
        operations,
    })
}
