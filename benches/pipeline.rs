//! The stages of the pipeline and the whole pipeline, with the deterministic model: `cargo bench -p diarize`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diarize::{
    Device, Diarizer, EmbeddingTrunk, Options,
    clustering::Compat,
    unstable::{self, cluster_speakers},
};
use ndarray::{Array2, Array3};

/// Duration of the audio with which the networks are timed, in seconds.
const SECONDS: usize = 20;

/// A reproducible sequence of numbers in `[-1, 1)`.
fn noise() -> impl Iterator<Item = f32> {
    let mut state = 1u32;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / 2f32.powi(31) - 1.0
    })
}

/// The networks. Throughput: seconds of audio.
fn networks(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    diarize_testkit::deterministic_model::write(dir.path(), 5).unwrap();
    let diarizer = Diarizer::load(dir.path(), Device::Cpu).unwrap();
    let options: Options = diarizer.options();
    let samples: Vec<f32> = noise().take(SECONDS * 16_000).collect();
    let segmentations = diarizer.segment(&samples, &options).unwrap();

    let mut group = criterion.benchmark_group("networks");
    group.sample_size(10).throughput(Throughput::Elements(SECONDS as u64));
    group.bench_function("segmentation", |b| b.iter(|| diarizer.segment(&samples, &options).unwrap()));
    group.bench_function("embeddings", |b| {
        b.iter(|| diarizer.embed(&samples, segmentations.view(), &options).unwrap());
    });
    let mut shared = options.clone();
    shared.parameters.embedding_trunk = EmbeddingTrunk::Shared;
    group.bench_function("embeddings_from_shared_trunk", |b| {
        b.iter(|| diarizer.embed(&samples, segmentations.view(), &shared).unwrap());
    });
    group.bench_function("whole_pipeline", |b| b.iter(|| diarizer.diarize(&samples).unwrap()));
    group.bench_function("load_model", |b| b.iter(|| Diarizer::load(dir.path(), Device::Cpu).unwrap()));
}

/// The stages after the networks, for one hour with three speakers. Throughput: chunks.
fn after_the_networks(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    diarize_testkit::deterministic_model::write(dir.path(), 5).unwrap();
    let diarizer = Diarizer::load(dir.path(), Device::Cpu).unwrap();
    let mut options = diarizer.options();
    options.parameters.clustering = Default::default();
    let stages = diarize_testkit::diarize(&diarizer, &[0.0; 16_000], &options).stages;
    let (chunks, frames) = (stages.chunks, stages.frames);

    let count = 3600;
    let mut noise = noise();
    let segmentations = Array3::from_shape_fn((count, 589, 3), |(chunk, frame, speaker)| {
        u8::from((chunk * 59 + frame + speaker * 400) % 1000 < 450)
    });
    let embeddings = Array3::from_shape_fn((count, 3, 256), |(_, speaker, dimension)| {
        f32::from(u8::from(dimension % 3 == speaker)) + 0.5 * noise.next().unwrap()
    });
    let hard = Array2::from_shape_fn((count, 3), |(_, speaker)| speaker as i32);
    let speaker_count = unstable::speaker_count(segmentations.view(), chunks, frames);
    let discrete = unstable::reconstruct(
        segmentations.view(),
        hard.view(),
        speaker_count.view(),
        None,
        chunks,
        frames,
        None,
    );

    let mut group = criterion.benchmark_group("one_hour");
    group.sample_size(10).throughput(Throughput::Elements(count as u64));
    group.bench_function("speaker_counting", |b| {
        b.iter(|| unstable::speaker_count(segmentations.view(), chunks, frames));
    });
    let bounds = unstable::SpeakerBounds { min: 1, max: None };
    let settings = &options.parameters.clustering;
    group.bench_function("clustering", |b| {
        b.iter(|| cluster_speakers(embeddings.view(), segmentations.view(), bounds, settings, None));
    });
    group.bench_function("reconstruction", |b| {
        b.iter(|| {
            let (hard, count) = (hard.view(), speaker_count.view());
            unstable::reconstruct(segmentations.view(), hard, count, None, chunks, frames, None)
        });
    });
    group.bench_function("turns", |b| {
        b.iter(|| unstable::turns(discrete.view(), frames, 0.0, 0.0, Compat::Off))
    });
}

criterion_group!(benches, networks, after_the_networks);
criterion_main!(benches);
