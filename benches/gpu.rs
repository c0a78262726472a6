//! Times of the operations on a GPU at the networks' sizes, with the arithmetic and memory throughput reached:
//! `cargo bench -p diarize-kernels --features cuda --bench gpu`. `gpu_peers.py` prints the same rows for PyTorch.
//! On an NVIDIA GPU, a second table times the kernels alone.

use std::time::Instant;

use candle_core::{Device, Result, Tensor};
use diarize_kernels::{
    cdist::{self, Metric},
    conv2d::{Activation, Conv2d},
    device::{Kind, is_present, open},
    fbank::Fbank,
    linkage, lstm,
    mel::{LogMel, MelScale},
    pool_norm::PoolNorm,
    stats_pool::stats_pool,
    stft::Stft,
};
use ndarray::Array2;

fn main() -> Result<()> {
    let Some(kind) = [Kind::Cuda(0), Kind::Metal(0)].into_iter().find(|&kind| is_present(kind)) else {
        println!("this build can use no GPU of this machine: nothing to measure");
        return Ok(());
    };
    let device = open(kind).map_err(candle_core::Error::Msg)?;
    println!("| operation | ms | GFLOP/s | GB/s | ms per call, ten queued |\n|---|---|---|---|---|");
    features("an hour", 1, 3600 * 16_000, &device)?;
    features("a day", 1, 24 * 3600 * 16_000, &device)?;
    for batch in [32, 256] {
        features(&format!("{batch} chunks"), batch, 160_000, &device)?;
        sinc_block(batch, &device)?;
        for (rows, columns, channels) in [(80, 998, 32), (40, 499, 64), (20, 250, 128), (10, 125, 256)] {
            convolution([batch, rows, columns, channels], &device)?;
        }
        statistics(batch, &device)?;
    }
    for batch in [32, 512] {
        recurrence(batch, &device)?;
    }
    distances(20_000, &device)?;
    dendrogram(10_000, &device)?;
    #[cfg(feature = "cuda")]
    kernels::all(&device)?;
    Ok(())
}

/// Prints the time of the fastest of five runs, and the arithmetic and memory throughput that it means for the given
/// minimum numbers of operations and bytes. Also prints the mean time of ten runs of which each is queued before the
/// previous one has finished. They reuse memory, and their launches overlap.
fn row(name: &str, device: &Device, operations: f64, bytes: f64, run: impl Fn() -> Result<()>) -> Result<()> {
    run()?;
    device.synchronize()?;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        run()?;
        device.synchronize()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    const QUEUED: u32 = 10;
    let start = Instant::now();
    (0..QUEUED).try_for_each(|_| run())?;
    device.synchronize()?;
    let queued = start.elapsed() / QUEUED;
    println!(
        "| {name} | {:.3} | {:.0} | {:.0} | {:.3} |",
        best * 1e3,
        operations / best / 1e9,
        bytes / best / 1e9,
        queued.as_secs_f64() * 1e3
    );
    Ok(())
}

fn noise(shape: impl Into<candle_core::Shape>, device: &Device) -> Result<Tensor> {
    Tensor::randn(0f32, 1.0, shape.into(), device)
}

fn fbank() -> Fbank {
    Fbank { stft: Stft::kaldi_16khz(), mel: LogMel::new(&MelScale::kaldi_16khz(), f32::EPSILON) }
}

/// Operations and bytes of the features. Counts `5 n log2(n)` operations per complex transform, and the bytes of the
/// inputs and of outputs with `width` values per frame.
fn features_cost(batch: usize, samples: usize, width: usize) -> [f64; 2] {
    let frames = batch * Stft::kaldi_16khz().frames(samples);
    [(frames * 5 * 256 * 8) as f64, (4 * (batch * samples + frames * width)) as f64]
}

fn features(name: &str, batch: usize, samples: usize, device: &Device) -> Result<()> {
    let x = noise((batch, samples), device)?;
    let fbank = fbank();
    let [operations, bytes] = features_cost(batch, samples, 257);
    row(&format!("stft alone, {name}"), device, operations, bytes, || {
        fbank.stft.power_spectrum(&x).map(drop)
    })?;
    let [operations, bytes] = features_cost(batch, samples, 80);
    row(&format!("stft + mel, {name}"), device, operations, bytes, || fbank.log_energies(&x).map(drop))
}

fn sinc_block(batch: usize, device: &Device) -> Result<()> {
    let convolution = Conv2d::new(&noise((80, 10, 1, 26), device)?, &noise(80, device)?, 1, [0, 0])?;
    let x = noise((batch, 1, 16_000, 10), device)?;
    let outputs = batch * 15_975 * 80;
    let bytes = (4 * (x.elem_count() + outputs)) as f64;
    row(&format!("sinc filters, {batch} chunks"), device, (2 * outputs * 260) as f64, bytes, || {
        convolution.forward(&x, None, Activation::Absolute).map(drop)
    })?;
    let y = convolution.forward(&x, None, Activation::Absolute)?.squeeze(1)?;
    let norm = PoolNorm { window: 3, slope: 0.01, weight: vec![1.0; 80], bias: vec![0.0; 80] };
    let bytes = (4 * outputs * 4 / 3) as f64;
    row(&format!("pool + norm + leaky relu, {batch} chunks"), device, outputs as f64, bytes, || {
        norm.forward(&y).map(drop)
    })
}

fn convolution([batch, rows, columns, channels]: [usize; 4], device: &Device) -> Result<()> {
    let kernel = noise((channels, channels, 3, 3), device)?;
    let x = noise((batch, rows, columns, channels), device)?;
    let operations = (2 * x.elem_count() * channels * 9) as f64;
    let bytes = (8 * x.elem_count()) as f64;
    let name = format!("3 x 3 convolution + relu, {batch} x {rows} x {columns} x {channels}");
    let convolution = Conv2d::new(&kernel, &noise(channels, device)?, 1, [1, 1])?;
    row(&name, device, operations, bytes, || convolution.forward(&x, None, Activation::Relu).map(drop))?;
    let x = x.permute((0, 3, 1, 2))?.contiguous()?;
    row(&format!("the same in Candle, without relu, {batch}"), device, operations, bytes, || {
        x.conv2d(&kernel, 1, 1, 1, 1).map(drop)
    })
}

fn statistics(batch: usize, device: &Device) -> Result<()> {
    let (x, masks) = (noise((batch, 10, 125, 256), device)?, noise((batch, 3, 125), device)?);
    let operations = (10 * 3 * x.elem_count()) as f64;
    let name = format!("mean and deviation with 3 masks, {batch} chunks");
    row(&name, device, operations, (4 * x.elem_count()) as f64, || stats_pool(&x, &masks).map(drop))
}

fn recurrence(batch: usize, device: &Device) -> Result<()> {
    let (steps, hidden) = (589, 128);
    let x = noise((batch, steps, 8 * hidden), device)?;
    let recurrent = (noise((2, 4 * hidden, hidden), device)? * 0.1)?;
    let operations = (2 * batch * steps * 8 * hidden * hidden) as f64;
    let bytes = (4 * batch * steps * 10 * hidden) as f64;
    row(&format!("LSTM recurrence, both directions, {batch} x {steps}"), device, operations, bytes, || {
        lstm::lstm(&x, &recurrent).map(drop)
    })
}

const METRICS: [(&str, Metric); 2] = [("cosine", Metric::Cosine), ("Euclidean", Metric::Euclidean)];

/// Operations and bytes of distances. Counts two operations per product, three per squared difference, and the bytes
/// of the results.
fn distances_cost(metric: Metric, pairs: usize) -> [f64; 2] {
    let operations = match metric {
        Metric::Cosine => 2,
        Metric::Euclidean => 3,
    };
    [(operations * pairs * 256) as f64, (4 * pairs) as f64]
}

fn distances(count: usize, device: &Device) -> Result<()> {
    let (x, y) = (noise((count, 256), device)?, noise((count, 256), device)?);
    for (name, metric) in METRICS {
        let [operations, bytes] = distances_cost(metric, count * count);
        row(&format!("{name} distances {count} x {count} x 256"), device, operations, bytes, || {
            cdist::pairwise(&x, &y, metric).map(drop)
        })?;
        let [operations, bytes] = distances_cost(metric, count * (count - 1) / 2);
        row(&format!("{name} distances of all pairs of {count} x 256"), device, operations, bytes, || {
            cdist::condensed(&x, metric).map(drop)
        })?;
    }
    Ok(())
}

fn dendrogram(count: usize, device: &Device) -> Result<()> {
    let x = noise((count, 256), &Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
    let x = Array2::from_shape_vec((count, 256), x.into_iter().map(f64::from).collect())
        .expect("the number of values matches");
    row(&format!("centroid linkage of {count} x 256"), device, 0.0, 0.0, || {
        linkage::device::centroid_on(device, x.view()).map(drop)
    })
}

/// Times the kernels alone: tables and output are already on the device, and launches are queued back to back.
#[cfg(feature = "cuda")]
mod kernels {
    use diarize_kernels::gpu::{Plan, cuda};

    use super::*;

    pub fn all(device: &Device) -> Result<()> {
        println!("\n| kernel alone | ms | GFLOP/s | GB/s |\n|---|---|---|---|");
        for (name, batch, samples) in
            [("an hour", 1, 3600 * 16_000), ("a day", 1, 24 * 3600 * 16_000), ("256 chunks", 256, 160_000)]
        {
            let x = noise((batch, samples), device)?;
            let plan = fbank().stft.plan(x.shape())?.0;
            row(&format!("stft alone, {name}"), &plan, &[&x], features_cost(batch, samples, 257))?;
            let plan = fbank().plan(x.shape())?.0;
            row(&format!("stft + mel, {name}"), &plan, &[&x], features_cost(batch, samples, 80))?;
        }
        let (x, y) = (noise((20_000, 256), device)?, noise((20_000, 256), device)?);
        for (name, metric) in METRICS {
            let plan = cdist::plan(metric, x.shape(), y.shape())?.0;
            let cost = distances_cost(metric, 20_000 * 20_000);
            row(&format!("{name} distances 20000 x 20000 x 256"), &plan, &[&x, &y], cost)?;
            let plan = cdist::condensed_plan(metric, x.shape())?.0;
            let cost = distances_cost(metric, 20_000 * 19_999 / 2);
            row(&format!("{name} distances of all pairs of 20000 x 256"), &plan, &[&x], cost)?;
        }
        Ok(())
    }

    /// Prints the best of five means of twenty launches.
    fn row(name: &str, plan: &Plan, inputs: &[&Tensor], [operations, bytes]: [f64; 2]) -> Result<()> {
        const LAUNCHES: u32 = 20;
        let device = inputs[0].device();
        let inputs: Vec<_> = inputs.iter().map(|input| input.storage_and_layout()).collect();
        let inputs = inputs.iter().map(|(storage, layout)| Ok((cuda::storage(storage)?, *layout)));
        let mut bound = cuda::Bound::new(plan, &inputs.collect::<Result<Vec<_>>>()?)?;
        bound.launch()?;
        device.synchronize()?;
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let start = Instant::now();
            (0..LAUNCHES).try_for_each(|_| bound.launch())?;
            device.synchronize()?;
            best = best.min((start.elapsed() / LAUNCHES).as_secs_f64());
        }
        let (ms, flops, bandwidth) = (best * 1e3, operations / best / 1e9, bytes / best / 1e9);
        println!("| {name} | {ms:.3} | {flops:.0} | {bandwidth:.0} |");
        Ok(())
    }
}
