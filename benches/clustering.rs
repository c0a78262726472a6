//! Each method of clustering on 1,000 and 5,000 embeddings of 256 dimensions:
//! `cargo bench -p diarize --bench clustering`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use diarize::{
    SpeakerBounds,
    clustering::{Agglomerative, KMeans, Linkage, Method, Plda, Spectral, Vbx, partition},
    ndarray::{Array1, Array2},
};

#[path = "../tests/support/random.rs"]
mod random;

use random::Random;

const DIMENSION: usize = 256;
const DISCRIMINANTS: usize = 128;
const SPEAKERS: usize = 6;

/// Noisy embeddings of a few speakers who speak in turns of different lengths.
fn embeddings(count: usize) -> Array2<f32> {
    let mut random = Random(30);
    let speakers: Vec<Vec<f32>> = (0..SPEAKERS).map(|_| random.vector(DIMENSION, 1.0)).collect();
    let mut rows = Vec::with_capacity(count * DIMENSION);
    for index in 0..count {
        let noise = random.vector(DIMENSION, 0.6);
        rows.extend(speakers[index / 17 % SPEAKERS].iter().zip(noise).map(|(value, noise)| value + noise));
    }
    Array2::from_shape_vec((count, DIMENSION), rows).unwrap()
}

fn plda() -> Plda {
    let mut random = Random(31);
    let lda = random.vector(DIMENSION * DISCRIMINANTS, 1.0).into_iter().map(f64::from).collect();
    Plda {
        mean1: Array1::zeros(DIMENSION),
        lda: Array2::from_shape_vec((DIMENSION, DISCRIMINANTS), lda).unwrap(),
        mean2: Array1::zeros(DISCRIMINANTS),
        mu: Array1::zeros(DISCRIMINANTS),
        tr: Array2::eye(DISCRIMINANTS),
        psi: Array1::linspace(4.0, 0.1, DISCRIMINANTS),
    }
}

fn methods(criterion: &mut Criterion) {
    let linkage = |linkage| Method::Agglomerative(Agglomerative { linkage, ..Agglomerative::default() });
    let methods = [
        ("centroid", linkage(Linkage::Centroid)),
        ("median", linkage(Linkage::Median)),
        ("average", linkage(Linkage::Average)),
        ("complete", linkage(Linkage::Complete)),
        ("ward", linkage(Linkage::Ward)),
        ("single", linkage(Linkage::Single)),
        ("vbx", Method::Vbx(Vbx::default())),
        ("kmeans", Method::KMeans(KMeans::default())),
        ("spectral", Method::Spectral(Spectral::default())),
    ];
    let plda = plda();
    let mut group = criterion.benchmark_group("clustering");
    group.sample_size(10);
    for count in [1000, 5000] {
        let embeddings = embeddings(count);
        for (name, method) in &methods {
            let bounds = match method {
                Method::KMeans(_) => SpeakerBounds { min: SPEAKERS, max: Some(SPEAKERS) },
                _ => SpeakerBounds { min: 1, max: None },
            };
            group.bench_function(BenchmarkId::new(*name, count), |b| {
                b.iter(|| partition(embeddings.view(), bounds, method, Some(&plda)).unwrap());
            });
        }
    }
}

criterion_group!(benches, methods);
criterion_main!(benches);
