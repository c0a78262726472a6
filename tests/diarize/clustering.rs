//! Compares linkage, flat clusters and clustering with SciPy and pyannote.

use diarize::{
    clustering::{Agglomerative, Assignment, Compat, Method, Settings},
    unstable::{Clusters, SpeakerBounds, agglomerate, cluster_speakers, flat_clusters, normalized},
};
use diarize_kernels::{
    cdist::{cosine_pairs, euclidean_pairs},
    linkage::{Linkage, Merge, linkage},
};
use diarize_testkit::Golden;
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use serde_json::Value;

const METHODS: [(&str, Linkage); 7] = [
    ("centroid", Linkage::Centroid),
    ("median", Linkage::Median),
    ("average", Linkage::Average),
    ("weighted", Linkage::Weighted),
    ("complete", Linkage::Complete),
    ("single", Linkage::Single),
    ("ward", Linkage::Ward),
];

/// Converts a SciPy linkage matrix to merges.
fn merges(z: ArrayView2<'_, f64>) -> Vec<Merge> {
    let merge = |row: Vec<f64>| Merge {
        left: row[0] as usize,
        right: row[1] as usize,
        distance: row[2],
        size: row[3] as usize,
    };
    z.rows().into_iter().map(|row| merge(row.to_vec())).collect()
}

/// Reads cluster labels; SciPy counts them from 1.
fn labels(golden: &Golden, name: &str, first: i32) -> Vec<usize> {
    let labels: Array1<i32> = golden.get(name);
    labels.iter().map(|label| (label - first) as usize).collect()
}

fn parameters(config: &Value) -> Agglomerative {
    Agglomerative {
        linkage: config.get("method").map_or(Linkage::Centroid, |name| method(name.as_str().unwrap())),
        threshold: config["threshold"].as_f64().unwrap(),
        min_cluster_size: number(config, "min_cluster_size").unwrap(),
        ..Agglomerative::default()
    }
}

/// The linkage with SciPy's name `name`.
fn method(name: &str) -> Linkage {
    METHODS.into_iter().find(|&(known, _)| known == name).unwrap().1
}

fn number(config: &Value, key: &str) -> Option<usize> {
    config.get(key).and_then(Value::as_u64).map(|number| number as usize)
}

#[test]
fn linkage_matches_scipy_on_ties() {
    let golden = Golden::open("linkage_ties");
    let (sizes, points): (Array1<u8>, Array2<u8>) = (golden.get("sizes"), golden.get("points"));
    for (name, method) in METHODS {
        let merged: Array2<u8> = golden.get(&format!("{name}_merged"));
        let distances: Array1<f64> = golden.get(&format!("{name}_distances"));
        let mut points = points.rows().into_iter();
        let mut expected = merged.rows().into_iter().zip(&distances);
        for (input, &size) in sizes.iter().enumerate() {
            let size = usize::from(size);
            let rows: Vec<f64> = points.by_ref().take(size).flatten().map(|&x| f64::from(x)).collect();
            let rows = Array2::from_shape_vec((size, 2), rows).unwrap();
            let merges = linkage(method, euclidean_pairs(rows.view()));
            for (step, (merge, (merged, distance))) in
                merges.iter().zip(expected.by_ref().take(size - 1)).enumerate()
            {
                let pair = [usize::from(merged[0]), usize::from(merged[1])];
                assert_eq!([merge.left, merge.right], pair, "{name}, input {input}, merge {step}");
                assert_eq!(merge.distance.to_bits(), distance.to_bits(), "{name}, input {input}, {step}");
            }
        }
        assert!(points.next().is_none() && expected.next().is_none());
    }
}

#[test]
fn linkage_of_embeddings_matches_scipy() {
    let golden = Golden::open("det5/clustering_core");
    let embeddings: Array2<f32> = golden.get("embeddings");
    let rows = normalized(embeddings.view());
    for (name, method) in METHODS {
        let expected = merges(golden.get::<f64, _>(&format!("Z_{name}")).view());
        let distances = match method {
            Linkage::Centroid | Linkage::Median | Linkage::Ward => euclidean_pairs(rows.view()),
            _ => cosine_pairs(embeddings.view()),
        };
        let merges = linkage(method, distances);
        for (step, (merge, expected)) in merges.iter().zip(&expected).enumerate() {
            assert_eq!(merge, expected, "{name}, merge {step}");
        }
        assert_eq!(merges.len(), expected.len());
    }
}

#[test]
fn flat_clusters_match_scipy() {
    let golden = Golden::open("det5/clustering_core");
    let mut tried = 0;
    for name in golden.names() {
        let Some((method, threshold)) = name.strip_prefix("fcluster_").and_then(|name| name.split_once('_'))
        else {
            continue;
        };
        let threshold = if threshold == "0.704565" { 0.7045654963945799 } else { threshold.parse().unwrap() };
        let merges = merges(golden.get::<f64, _>(&format!("Z_{method}")).view());
        let heights: Vec<f64> = merges.iter().map(|merge| merge.distance).collect();
        assert_eq!(flat_clusters(&merges, &heights, threshold), labels(&golden, &name, 1), "{name}");
        tried += 1;
    }
    assert_eq!(tried, 24);
}

#[test]
fn agglomeration_matches_pyannote() {
    let golden = Golden::open("det5/clustering_core");
    let embeddings: Array2<f32> = golden.get("embeddings");
    let mut tried = 0;
    for (index, config) in golden.json("configs").as_array().unwrap().iter().enumerate() {
        let bounds = SpeakerBounds {
            min: number(config, "min_clusters").unwrap(),
            max: number(config, "max_clusters"),
        };
        let clusters = agglomerate(embeddings.view(), bounds, &parameters(config));
        assert_eq!(clusters, labels(&golden, &format!("cluster_{index:03}"), 0), "{config}");
        tried += 1;
    }
    assert_eq!(tried, 114);
}

#[test]
fn agglomeration_of_few_embeddings_matches_pyannote() {
    let golden = Golden::open("det5/clustering_core");
    let embeddings: Array2<f32> = golden.get("embeddings");
    for count in [1, 2, 3, 9] {
        let few = embeddings.select(Axis(0), &(0..count).collect::<Vec<_>>());
        let bounds = SpeakerBounds { min: 1, max: Some(count) };
        let clusters = agglomerate(few.view(), bounds, &Agglomerative::default());
        assert_eq!(clusters, labels(&golden, &format!("small_n{count}"), 0), "of {count}");
    }
}

#[test]
fn the_dendrogram_cannot_satisfy_all_bounds() {
    let golden = Golden::open("det5/clustering_core");
    let embeddings: Array2<f32> = golden.get("embeddings");
    let bounds = SpeakerBounds { min: 9, max: Some(9) };
    let parameters = Agglomerative { min_cluster_size: 12, ..Agglomerative::default() };
    let clusters = agglomerate(embeddings.view(), bounds, &parameters);
    assert!(clusters.iter().max().unwrap() + 1 < 9, "113 embeddings make no 9 clusters of 11 this way");
}

#[test]
fn clustering_matches_pyannote() {
    let golden = Golden::open("det5/clustering_call");
    let embeddings: Array3<f32> = golden.get("embeddings");
    let segmentations: Array3<u8> = golden.get("segmentations");
    let mut tried = 0;
    for (index, config) in golden.json("configs").as_array().unwrap().iter().enumerate() {
        let exact = number(config, "num_clusters");
        let bounds = SpeakerBounds {
            min: exact.or(number(config, "min_clusters")).unwrap_or(1),
            max: exact.or(number(config, "max_clusters")),
        };
        let mut settings =
            Settings::speaker_diarization_3_1().with_method(Method::Agglomerative(parameters(config)));
        settings.assignment = match config["constrained_assignment"] == true {
            true => Assignment::Distinct,
            false => Assignment::Nearest,
        };
        settings.compat = Compat::Pyannote;
        let clusters =
            cluster_speakers(embeddings.view(), segmentations.view(), bounds, &settings, None).unwrap();
        assert_eq!(clusters.hard, golden.get::<i32, _>(&format!("hard_{index:03}")), "{config}");
        assert_eq!(clusters.centroids, golden.get::<f32, _>(&format!("centroids_{index:03}")), "{config}");
        let soft = format!("soft_{index:03}");
        if golden.has(&soft) {
            let expected: Array3<f64> = golden.get(&soft);
            assert_eq!(clusters.soft.dim(), expected.dim(), "{config}");
            for (similarity, expected) in clusters.soft.iter().zip(&expected) {
                assert!(
                    (similarity - expected).abs() < 1e-15 || similarity.is_nan() && expected.is_nan(),
                    "{config}: {similarity}, not {expected}"
                );
            }
        }
        tried += 1;
    }
    assert_eq!(tried, 60);
}

fn cluster(embeddings: &Array3<f32>, segmentations: &Array3<u8>, bounds: SpeakerBounds) -> Clusters {
    let settings = Settings::speaker_diarization_3_1();
    cluster_speakers(embeddings.view(), segmentations.view(), bounds, &settings, None).unwrap()
}

#[test]
fn nothing_to_cluster_gives_one_cluster() {
    let bounds = SpeakerBounds { min: 1, max: None };
    for (embedding, active) in [(0.0, 1), (f32::NAN, 1), (f32::INFINITY, 1), (1.0, 0)] {
        let embeddings = Array3::from_elem((4, 3, 5), embedding);
        let segmentations = Array3::from_elem((4, 7, 3), active);
        let clusters = cluster(&embeddings, &segmentations, bounds);
        assert_eq!(clusters.hard, Array2::<i32>::zeros((4, 3)));
        assert_eq!(clusters.centroids, Array2::<f32>::zeros((1, 5)));
    }
    let none = cluster(&Array3::zeros((0, 3, 5)), &Array3::zeros((0, 7, 3)), bounds);
    assert_eq!(none.hard.dim(), (0, 3));
}
