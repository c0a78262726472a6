//! Compares one-to-one assignment with SciPy, and tests the assignment of a chunk's local speakers.

use diarize::{
    clustering::{Assignment, Compat, Settings},
    unstable::{INACTIVE, SpeakerBounds, assign_distinct, best_assignment, cluster_speakers},
};
use diarize_testkit::Golden;
use ndarray::{Array1, Array2, Array3, array};

#[test]
fn assignment_matches_scipy_on_ties() {
    let golden = Golden::open("assignment_ties");
    let (shapes, scores): (Array2<u8>, Array1<u8>) = (golden.get("shapes"), golden.get("scores"));
    let columns: Array1<u8> = golden.get("columns");
    let (mut scores, mut columns) = (scores.into_iter().map(f64::from), columns.into_iter());
    for (input, shape) in shapes.rows().into_iter().enumerate() {
        let shape = (usize::from(shape[0]), usize::from(shape[1]));
        let x = Array2::from_shape_simple_fn(shape, || scores.next().unwrap());
        let expected: Vec<Option<usize>> = columns
            .by_ref()
            .take(shape.0)
            .map(|column| (column != 255).then_some(usize::from(column)))
            .collect();
        assert_eq!(best_assignment(x.view()), expected, "input {input}: {x}");
    }
    assert!(scores.next().is_none() && columns.next().is_none());
}

#[test]
fn assignment_without_rows_or_columns() {
    assert_eq!(best_assignment(Array2::zeros((0, 3)).view()), []);
    assert_eq!(best_assignment(Array2::zeros((2, 0)).view()), [None, None]);
    assert_eq!(assign_distinct(Array3::from_elem((1, 2, 1), f64::NAN).view()), array![[0, INACTIVE]]);
}

#[test]
fn distinct_assignment_leaves_surplus_speakers_inactive() {
    let mut settings = Settings::speaker_diarization_3_1();
    settings.assignment = Assignment::Distinct;
    // The first local speaker is silent, but nearer to the third one's centroid than the third one itself.
    let embeddings = Array3::from_shape_fn((4, 3, 2), |(chunk, speaker, axis)| match (speaker, axis) {
        (0, 0) | (1, 1) | (2, 0) => 1.0_f32,
        (2, 1) if chunk % 2 == 0 => 0.2,
        (2, 1) => -0.2,
        _ => 0.0,
    });
    let segmentations = Array3::from_shape_fn((4, 10, 3), |(_, _, speaker)| u8::from(speaker != 0));
    let bounds = SpeakerBounds { min: 2, max: Some(2) };
    let run = |compat| {
        let mut settings = settings.clone();
        settings.compat = compat;
        cluster_speakers(embeddings.view(), segmentations.view(), bounds, &settings, None).unwrap().hard
    };
    assert_eq!(run(Compat::Off).column(0), Array1::from_elem(4, INACTIVE));
    assert!(run(Compat::Off).column(2).iter().all(|&cluster| cluster >= 0));
    assert_eq!(run(Compat::Pyannote).column(2), Array1::from_elem(4, INACTIVE));
}
