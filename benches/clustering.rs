//! Time and memory of each clustering method on 256-dimensional embeddings, with all cores:
//! `cargo bench -p diarize --bench clustering -- [NUMBERS OF EMBEDDINGS] [METHODS] [--write FOLDER]`.
//!
//! Prints the best of three runs, or a single run if it takes more than two seconds. Memory excludes the embeddings
//! (Linux only). `benches/clustering_peers.py FOLDER` prints the rows of SciPy and scikit-learn for the same embeddings.

use std::{fs, time::Instant};

use diarize::{
    clustering::{Agglomerative, KMeans, Linkage, Method, Online, Spectral, Vbx},
    unstable::{Plda, SpeakerBounds, partition},
};
use diarize_testkit::Random;
use ndarray::{Array1, Array2};
use ndarray_npy::write_npy;

const DIMENSION: usize = 256;
const DISCRIMINANTS: usize = 128;
const SPEAKERS: usize = 6;

/// Noisy embeddings of a few speakers who take turns.
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

/// A memory figure of this process from Linux, in MB.
fn memory(what: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
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

fn methods() -> [(&'static str, Method); 11] {
    let linkage = |linkage| Method::Agglomerative(Agglomerative { linkage, ..Agglomerative::default() });
    [
        ("centroid", linkage(Linkage::Centroid)),
        ("median", linkage(Linkage::Median)),
        ("average", linkage(Linkage::Average)),
        ("weighted", linkage(Linkage::Weighted)),
        ("complete", linkage(Linkage::Complete)),
        ("ward", linkage(Linkage::Ward)),
        ("single", linkage(Linkage::Single)),
        ("vbx", Method::Vbx(Vbx::default())),
        ("kmeans", Method::KMeans(KMeans::default())),
        ("spectral", Method::Spectral(Spectral::default())),
        ("online", Method::Online(Online::default())),
    ]
}

fn main() {
    let (mut numbers, mut names, mut folder) = (Vec::new(), Vec::new(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), argument.parse::<usize>()) {
            ("--write", _) => folder = arguments.next(),
            // Cargo adds this argument.
            ("--bench", _) => {}
            (_, Ok(number)) => numbers.push(number),
            _ => names.push(argument),
        }
    }
    if numbers.is_empty() {
        numbers = vec![1000, 5000];
    }
    let plda = plda();
    println!("| method | embeddings | seconds | MB | speakers of {SPEAKERS} |\n|---|---|---|---|---|");
    for count in numbers {
        let embeddings = embeddings(count);
        if let Some(folder) = &folder {
            write_npy(format!("{folder}/embeddings-{count}.npy"), &embeddings).unwrap();
        }
        for (name, method) in methods() {
            if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
                continue;
            }
            let bounds = match method {
                Method::KMeans(_) => SpeakerBounds { min: SPEAKERS, max: Some(SPEAKERS) },
                _ => SpeakerBounds { min: 1, max: None },
            };
            // Resets Linux's record of peak memory.
            fs::write("/proc/self/clear_refs", "5").unwrap();
            let before = memory("VmRSS:");
            let mut best = f64::INFINITY;
            let mut speakers = 0;
            for _ in 0..3 {
                let start = Instant::now();
                let labels = partition(embeddings.view(), bounds, &method, Some(&plda)).unwrap();
                best = best.min(start.elapsed().as_secs_f64());
                speakers = labels.iter().max().map_or(0, |last| last + 1);
                if best > 2.0 {
                    break;
                }
            }
            let memory = memory("VmHWM:") - before;
            println!("| {name} | {count} | {best:.3} | {memory:.0} | {speakers} |");
        }
    }
}
