//! Each operation at the sizes of the networks: `cargo bench -p diarize-kernels`.

use candle_core::{Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diarize_kernels::{
    conv2d::{Activation, Conv2d, Dims},
    fbank::Fbank,
    lstm::lstm,
    mel::{LogMel, MelScale},
    pool_norm::PoolNorm,
    stft::Stft,
};

fn noise(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()
}

/// Convolutions of the residual network over a chunk of ten seconds. Throughput: multiplications and
/// additions.
fn conv2d(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conv2d");
    for (inputs, outputs, size, stride, rows, columns) in [
        (1, 32, 3, 1, 80, 998),
        (32, 32, 3, 1, 80, 998),
        (32, 64, 3, 2, 80, 998),
        (64, 64, 3, 1, 40, 499),
        (128, 128, 3, 1, 20, 250),
        (256, 256, 3, 1, 10, 125),
    ] {
        let dims = Dims { inputs, outputs, size: [size; 2], stride, padding: [size / 2; 2] };
        let conv =
            Conv2d::new(&noise(&[outputs, inputs, size, size]), &noise(&[outputs]), stride, dims.padding)
                .unwrap();
        let x = noise(&[1, rows, columns, inputs]);
        let pixels: usize = dims.output([rows, columns]).iter().product();
        group.throughput(Throughput::Elements((2 * pixels * outputs * size * size * inputs) as u64));
        group.bench_function(format!("{inputs}to{outputs}_{rows}x{columns}_stride{stride}"), |b| {
            b.iter(|| conv.forward(&x, None, Activation::Relu).unwrap());
        });
    }
}

/// One layer over four and 32 chunks. Throughput: chunks.
fn recurrence(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lstm");
    let recurrent = (noise(&[2, 512, 128]) * 0.1).unwrap();
    for batch in [4, 32] {
        let input = noise(&[batch, 589, 1024]);
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("{batch}x589x128"), |b| b.iter(|| lstm(&input, &recurrent).unwrap()));
    }
}

/// Pooling and norm after the sinc filters of a chunk. Throughput: input values.
fn pool_norm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pool_norm");
    let op = PoolNorm { window: 3, slope: 0.01, weight: vec![1.0; 80], bias: vec![0.0; 80] };
    let x = noise(&[1, 15_975, 80]);
    group.throughput(Throughput::Elements(15_975 * 80));
    group.bench_function("15975x80", |b| b.iter(|| op.forward(&x).unwrap()));
}

/// Features of a chunk of ten seconds. Throughput: samples.
fn features(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("features");
    let (stft, mel) = (Stft::kaldi_16khz(), LogMel::new(&MelScale::kaldi_16khz(), f32::EPSILON));
    let waveform = noise(&[1, 160_000]);
    let power = stft.power_spectrum(&waveform).unwrap();
    group.throughput(Throughput::Elements(160_000));
    group.bench_function("stft", |b| b.iter(|| stft.power_spectrum(&waveform).unwrap()));
    group.bench_function("mel", |b| b.iter(|| mel.log_energies(&power).unwrap()));
    let fbank = Fbank { stft, mel };
    group.bench_function("fbank", |b| b.iter(|| fbank.log_energies(&waveform).unwrap()));
}

criterion_group!(benches, conv2d, recurrence, pool_norm, features);
criterion_main!(benches);
