//! Each operation at the networks' sizes on one core, as in the pipeline:
//! `cargo bench -p diarize-kernels --bench kernels`. The throughput of `peak`, `conv2d` and `lstm` counts
//! multiplications and additions.

use candle_core::{Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diarize_kernels::{
    conv2d::{Activation, Conv2d, Dims},
    fbank::Fbank,
    lstm::lstm,
    mel::{LogMel, MelScale},
    pool_norm::PoolNorm,
    simd,
    stats_pool::stats_pool,
    stft::Stft,
};
use pulp::{Simd, WithSimd};

fn noise(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()
}

/// The processor's peak rate of multiplications and additions, measured in registers on one core and on all cores.
/// The other results are compared with it.
fn peak(criterion: &mut Criterion) {
    const SUMS: usize = 12;
    const STEPS: usize = 1 << 20;
    struct Peak;
    impl WithSimd for Peak {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> usize {
            let [x, y] = [1.000_000_1, 1e-9].map(|x| simd.splat_f32s(std::hint::black_box(x)));
            let mut sums = [y; SUMS];
            for _ in 0..STEPS {
                for sum in &mut sums {
                    *sum = simd.mul_add_e_f32s(*sum, x, y);
                }
            }
            let total = sums.into_iter().fold(y, |total, sum| simd.add_f32s(total, sum));
            std::hint::black_box(simd.reduce_sum_f32s(total));
            2 * S::F32_LANES * SUMS * STEPS
        }
    }
    let arch = simd::chosen().unwrap();
    let mut group = criterion.benchmark_group("peak");
    let operations = arch.dispatch(Peak) as u64;
    group.throughput(Throughput::Elements(operations));
    group.bench_function("one", |b| b.iter(|| arch.dispatch(Peak)));
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    group.throughput(Throughput::Elements(operations * all as u64));
    let on_all = || {
        std::thread::scope(|scope| {
            for _ in 0..all {
                scope.spawn(|| arch.dispatch(Peak));
            }
        });
    };
    group.bench_function("all", |b| b.iter(on_all));
}

/// Convolutions of the ResNet for one ten-second chunk, and of the segmentation network for eight chunks.
fn conv2d(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conv2d");
    for (inputs, outputs, size, stride, rows, columns) in [
        (1, 32, [3, 3], 1, 80, 998),
        (32, 32, [3, 3], 1, 80, 998),
        (32, 64, [3, 3], 2, 80, 998),
        (64, 64, [3, 3], 1, 40, 499),
        (128, 128, [3, 3], 1, 20, 250),
        (256, 256, [3, 3], 1, 10, 125),
        (10, 80, [1, 26], 1, 1, 27_200),
        (80, 60, [1, 5], 1, 1, 5325),
        (60, 1024, [1, 1], 1, 1, 8 * 589),
        (256, 1024, [1, 1], 1, 1, 8 * 589),
    ] {
        let padding = if rows == 1 { [0, 0] } else { [1, 1] };
        let dims = Dims { inputs, outputs, size, stride, padding };
        let kernel = noise(&[outputs, inputs, size[0], size[1]]);
        let conv = Conv2d::new(&kernel, &noise(&[outputs]), stride, padding).unwrap();
        let x = noise(&[1, rows, columns, inputs]);
        let pixels: usize = dims.output([rows, columns]).iter().product();
        group.throughput(Throughput::Elements((2 * pixels * outputs * size[0] * size[1] * inputs) as u64));
        group.bench_function(format!("{inputs}to{outputs}_{rows}x{columns}_stride{stride}"), |b| {
            b.iter(|| conv.forward(&x, None, Activation::Relu).unwrap());
        });
    }
}

/// The recurrence of one LSTM layer for 4, 8 and 32 chunks.
fn recurrence(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lstm");
    let recurrent = (noise(&[2, 512, 128]) * 0.1).unwrap();
    for batch in [4, 8, 32] {
        let input = noise(&[batch, 589, 1024]);
        group.throughput(Throughput::Elements((2 * batch * 589 * 2 * 512 * 128) as u64));
        group.bench_function(format!("{batch}x589x128"), |b| b.iter(|| lstm(&input, &recurrent).unwrap()));
    }
}

/// Pooling and norm after the sinc filters of one chunk. Throughput: input values.
fn pool_norm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pool_norm");
    let op = PoolNorm { window: 3, slope: 0.01, weight: vec![1.0; 80], bias: vec![0.0; 80] };
    let x = noise(&[1, 15_975, 80]);
    group.throughput(Throughput::Elements(15_975 * 80));
    group.bench_function("15975x80", |b| b.iter(|| op.forward(&x).unwrap()));
}

/// Statistics of the local speakers of one chunk. Throughput: input values.
fn statistics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stats_pool");
    let (x, masks) = (noise(&[1, 10, 125, 256]), noise(&[1, 3, 125]));
    group.throughput(Throughput::Elements(10 * 125 * 256));
    group.bench_function("10x125x256", |b| b.iter(|| stats_pool(&x, &masks).unwrap()));
}

/// Features of one ten-second chunk. Throughput: samples.
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

/// Operations on a single thread, because the pipeline processes each chunk on one thread.
fn operations(criterion: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    conv2d(criterion);
    recurrence(criterion);
    pool_norm(criterion);
    statistics(criterion);
    features(criterion);
}

criterion_group!(benches, peak, operations);
criterion_main!(benches);
