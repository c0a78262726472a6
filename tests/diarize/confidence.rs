//! Tests of the confidence of turns, and of the evidence it is computed from.

use diarize::{
    clustering::Settings,
    unstable::{Evidence, INACTIVE, SlidingWindow, SpeakerBounds, Votes, cluster_speakers},
};
use ndarray::{Array2, Array3, array};

/// Chunks of ten frames of one second, every five frames.
const CHUNKS: SlidingWindow = SlidingWindow { start: 0.0, duration: 10.0, step: 5.0 };
const FRAMES: SlidingWindow = SlidingWindow { start: 0.0, duration: 1.0, step: 1.0 };

#[test]
fn agreement_is_the_fraction_of_chunks_with_the_speaker() {
    let mut segmentations = Array3::zeros((3, 10, 2));
    // Cluster 1 starts at 5 s: 5 s in the first chunk, and only 3 s in the second one.
    (5..10).for_each(|frame| segmentations[[0, frame, 1]] = 1);
    (0..3).for_each(|frame| segmentations[[1, frame, 0]] = 1);
    // Both local speakers of the last chunk are cluster 0.
    (0..6).for_each(|frame| segmentations[[2, frame, 0]] = 1);
    (4..10).for_each(|frame| segmentations[[2, frame, 1]] = 1);
    let hard = array![[INACTIVE, 1], [1, INACTIVE], [0, 0]];
    let separation = array![[0.0, 0.75], [0.25, 0.0], [1.0, 0.5]];
    let votes = Votes {
        segmentations: &segmentations.view().into(),
        hard_clusters: hard.view(),
        separation: separation.view(),
        chunks: CHUNKS,
        frames: FRAMES,
    };
    // From the middle of frame 5 to that of frame 10: both chunks contain five frames; 5 and 3 are active.
    let evidence = votes.evidence(5.5, 10.5, 1);
    assert_eq!(evidence.agreement, 0.8);
    assert!((evidence.separation - (5.0 * 0.75 + 3.0 * 0.25) / 8.0).abs() < 1e-12);
    // Simultaneous local speakers of one cluster count once for the agreement, but separately for the
    // separation.
    let evidence = votes.evidence(15.5, 20.5, 0);
    assert_eq!(evidence.agreement, 1.0);
    assert!((evidence.separation - (1.0 + 5.0 * 0.5) / 6.0).abs() < 1e-12);
    // No chunk hears cluster 0 that early.
    let nothing = Evidence { agreement: 0.0, separation: 0.0 };
    assert_eq!(votes.evidence(0.5, 5.5, 0), nothing);
    assert_eq!(votes.evidence(3.5, 3.5, 1), nothing);
}

/// Two orthogonal voices, and one between them.
#[test]
fn separation_is_the_silhouette_of_the_centroids() {
    let directions = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
    let embeddings = Array3::from_shape_fn((9, 3, 2), |(chunk, speaker, axis)| {
        // Most chunks contain only the first two voices, so these determine the centroids.
        directions[if speaker == 2 && chunk > 0 { chunk % 2 } else { speaker }][axis]
    });
    let segmentations = Array3::<u8>::ones((9, 10, 3));
    let bounds = SpeakerBounds { min: 2, max: Some(2) };
    let settings = Settings::speaker_diarization_3_1();
    let found = cluster_speakers(embeddings.view(), segmentations.view(), bounds, &settings, None).unwrap();
    assert_eq!(found.separation.dim(), (9, 3));
    for ((place, &separation), &cluster) in found.separation.indexed_iter().zip(&found.hard) {
        let cluster = cluster as usize;
        let distance = |cluster: usize| 2.0 - found.soft[[place.0, place.1, cluster]];
        let (own, other) = (distance(cluster), distance(1 - cluster).min(1.0));
        assert!((f64::from(separation) - (other - own) / other.max(own)).abs() < 1e-6, "{place:?}");
    }
    assert!(found.separation[[0, 2]] < 0.3, "between the two");
    assert!(found.separation[[1, 0]] > 0.9, "at the centroid");
}

#[test]
fn a_single_speaker_can_be_far_from_itself() {
    let mut embeddings = Array3::ones((6, 1, 2));
    embeddings[[5, 0, 1]] = -1.0;
    let segmentations = Array3::<u8>::ones((6, 10, 1));
    let found = |bounds| {
        let settings = Settings::named("kmeans").unwrap();
        cluster_speakers(embeddings.view(), segmentations.view(), bounds, &settings, None).unwrap().separation
    };
    let one = found(SpeakerBounds { min: 1, max: Some(2) });
    assert!(one[[0, 0]] > 0.9 && one[[5, 0]] < 0.5, "{one}");
    // If only one speaker was requested, there is no other speaker to confuse with.
    assert_eq!(found(SpeakerBounds { min: 1, max: Some(1) }), Array2::<f32>::ones((6, 1)));
}
