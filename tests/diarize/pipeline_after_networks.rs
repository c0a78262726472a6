//! From pyannote's segmentations and embeddings to its RTTM, comparing every intermediate result.

use diarize::{
    clustering::{Agglomerative, Compat, Method, Settings},
    rttm,
    unstable::{
        Aggregation, SlidingWindow, SpeakerBounds, aggregate, cluster_speakers, mark_inactive, reconstruct,
        speaker_count, turns,
    },
};
use diarize_testkit::Golden;
use ndarray::{Array2, Array3};
use serde_json::Value;

const CHUNKS: SlidingWindow = SlidingWindow { start: 0.0, duration: 10.0, step: 1.0 };
const FRAMES: SlidingWindow = SlidingWindow { start: 0.0, duration: 0.0619375, step: 0.016875 };

/// Checks one recording with one set of options. `auto` holds the results that do not depend on the options.
fn check(name: &str, golden: &Golden, auto: &Golden, segmentations: &Array3<u8>) {
    let (kwargs, config) = (golden.json("kwargs"), golden.json("clustering_params"));
    let given = |key: &str| kwargs.get(key).and_then(Value::as_u64).map(|number| number as usize);
    let exact = given("num_speakers");
    let bounds = SpeakerBounds {
        min: exact.or(given("min_speakers")).unwrap_or(1),
        max: exact.or(given("max_speakers")),
    };
    let parameters = Agglomerative {
        threshold: config["threshold"].as_f64().unwrap(),
        min_cluster_size: config["min_cluster_size"].as_u64().unwrap() as usize,
        ..Agglomerative::default()
    };
    let settings = Settings::speaker_diarization_3_1().with_method(Method::Agglomerative(parameters));

    let count = speaker_count(segmentations.view(), CHUNKS, FRAMES);
    assert_eq!(count, golden.get::<u8, _>("count"), "{name}: count");

    let embeddings: Array3<f32> = auto.get("embeddings");
    let clusters =
        cluster_speakers(embeddings.view(), segmentations.view(), bounds, &settings, None).unwrap();
    if golden.has("hard_clusters") {
        let expected = golden.get::<i64, _>("hard_clusters").mapv(|cluster| cluster as i32);
        assert_eq!(clusters.hard, expected, "{name}: hard clusters");
        assert_eq!(clusters.centroids, golden.get::<f32, _>("centroids"), "{name}: centroids");
    }
    if golden.has("soft_clusters") {
        let expected: Array3<f64> = golden.get("soft_clusters");
        assert_eq!(clusters.soft.dim(), expected.dim(), "{name}: soft clusters");
        let near = (&clusters.soft - &expected).iter().all(|difference| difference.abs() < 1e-14);
        assert!(near, "{name}: soft clusters are {}, not {expected}", clusters.soft);
    }

    let mut hard = clusters.hard;
    mark_inactive(&mut hard, segmentations.view());
    let discrete =
        reconstruct(segmentations.view(), hard.view(), count.view(), bounds.max, CHUNKS, FRAMES, None);
    let expected: Array2<u8> = golden.get("discrete_diarization");
    assert_eq!(discrete.dim(), expected.dim(), "{name}: discrete diarization");
    let count = count.mapv(|count| usize::from(count).min(bounds.max.unwrap_or(usize::MAX)));
    let activations = activations(segmentations, &hard, expected.ncols());
    for (frame, (row, expected)) in discrete.outer_iter().zip(expected.outer_iter()).enumerate() {
        if !is_tie(activations.row(frame).to_vec(), count[frame]) {
            assert_eq!(row, expected, "{name}: discrete diarization, frame {frame}");
        }
    }

    // Starts from pyannote's discrete diarization because of the ties.
    let (turns, _) = turns(expected.view(), FRAMES, 0.0, 0.0, Compat::Pyannote);
    let expected: Array2<f64> = golden.get("segments_start_end");
    let expected: Vec<(f64, f64)> = expected.rows().into_iter().map(|row| (row[0], row[1])).collect();
    assert_eq!(
        turns.iter().map(|turn| (turn.start, turn.end)).collect::<Vec<_>>(),
        expected,
        "{name}: times"
    );
    assert_eq!(rttm(golden.text("uri"), &turns).unwrap(), golden.text("rttm"), "{name}: RTTM");
}

/// `(frame of the recording, cluster)`: number of chunks in which the cluster speaks.
fn activations(segmentations: &Array3<u8>, hard: &Array2<i32>, clusters: usize) -> Array2<f32> {
    let scores = segmentations.outer_iter().zip(hard.outer_iter()).map(|(chunk, hard)| {
        let mut scores = Array2::zeros((chunk.nrows(), clusters));
        for (speaker, &cluster) in chunk.columns().into_iter().zip(hard).filter(|&(_, &cluster)| cluster >= 0)
        {
            let mut column = scores.column_mut(cluster as usize);
            column.zip_mut_with(&speaker, |score: &mut f32, &active| *score = score.max(f32::from(active)));
        }
        scores
    });
    aggregate(
        scores,
        CHUNKS,
        FRAMES,
        Aggregation { skip_average: true, missing: 0.0, ..Aggregation::default() },
    )
}

/// Whether choosing the `count` clusters with the highest activations involves a tie. With four or more
/// clusters, the choice is left to NumPy's unstable sort, whose result depends on the CPU.
fn is_tie(mut activations: Vec<f32>, count: usize) -> bool {
    activations.sort_by(|a, b| b.total_cmp(a));
    activations.len() > 3
        && (1..activations.len()).contains(&count)
        && activations[count - 1] == activations[count]
}

#[test]
fn formula_weights() {
    for recording in ["short30", "exact13", "tiny8"] {
        let auto = Golden::open(&format!("det5/pipe_{recording}_auto"));
        let segmentations = auto.get("segmentation");
        for options in ["auto", "num1", "num2", "max2", "min4"] {
            let name = format!("det5/pipe_{recording}_{options}");
            check(&name, &Golden::open(&name), &auto, &segmentations);
        }
    }
}

mod needs_shared {
    use super::*;

    /// Uses networks trained on synthetic speech, with silence, overlap and several clusters.
    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn fitted_weights() {
        for (recording, all_options) in [
            ("short30", &["auto", "num1", "num2", "max2", "min4"][..]),
            ("exact13", &["auto", "num1", "num2", "max2", "min4"]),
            ("tiny8", &["auto", "num1", "num2", "max2", "min4"]),
            ("conv4", &["auto", "num2", "min4"]),
        ] {
            let auto = Golden::open_shared(&format!("tuned/pipe_{recording}_auto"));
            let segmentations = match auto.has("segmentation") {
                true => auto.get("segmentation"),
                false => Golden::open_shared(&format!("tuned/pipe_{recording}_auto_seg")).get("segmentation"),
            };
            for options in all_options {
                let name = format!("tuned/pipe_{recording}_{options}");
                check(&name, &Golden::open_shared(&name), &auto, &segmentations);
            }
        }
    }
}
