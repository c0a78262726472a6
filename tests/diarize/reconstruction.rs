//! Compares everything after clustering with pyannote, step by step.

use diarize::{
    clustering::Compat,
    rttm,
    unstable::{
        Aggregation, Binarize, INACTIVE, SlidingWindow, WindowEmbeddings, aggregate, mark_inactive,
        reconstruct, speaker_count, trim, turns, turns_of, voice_shares,
    },
};
use diarize_testkit::{Golden, Random};
use ndarray::{Array1, Array2, Array3, ArrayView1, s};

const CHUNKS: SlidingWindow = SlidingWindow { start: 0.0, duration: 10.0, step: 1.0 };
const FRAMES: SlidingWindow = SlidingWindow { start: 0.0, duration: 0.0619375, step: 0.016875 };
/// Numbers of chunks for which there are golden files.
const COUNTS: [usize; 4] = [1, 2, 23, 262];

fn golden() -> Golden {
    Golden::open("det5/postproc")
}

fn hard(golden: &Golden, count: usize) -> Array2<i32> {
    golden.get::<i64, _>(&format!("hard_{count}")).mapv(|cluster| cluster as i32)
}

#[test]
fn speaker_counts() {
    let golden = golden();
    for count in COUNTS {
        let segmentations: Array3<u8> = golden.get(&format!("seg_{count}"));
        let all = speaker_count(segmentations.view(), CHUNKS, FRAMES);
        assert_eq!(all, golden.get::<u8, _>(&format!("count_{count}")), "{count} chunks");
        let (trimmed, chunks) = trim(segmentations.view(), CHUNKS, [0.1, 0.1]);
        let trimmed = speaker_count(trimmed, chunks, FRAMES);
        assert_eq!(
            trimmed,
            golden.get::<u8, _>(&format!("count_warmup10_{count}")),
            "{count} trimmed chunks"
        );
    }
}

#[test]
fn aggregation() {
    let golden = golden();
    let scores: Array3<f32> = golden.get("agg_in");
    for (name, aggregation) in [
        ("plain", Aggregation::default()),
        ("hamming", Aggregation { hamming: true, ..Aggregation::default() }),
        ("hamming_warm", Aggregation { hamming: true, warm_up: [1.0, 0.5], ..Aggregation::default() }),
        ("sum", Aggregation { skip_average: true, missing: 0.0, ..Aggregation::default() }),
    ] {
        let aggregated = aggregate(scores.outer_iter(), CHUNKS, FRAMES, aggregation);
        let expected: Array2<f32> = golden.get(&format!("agg_{name}"));
        assert_eq!(aggregated.dim(), expected.dim(), "{name}");
        for ((place, score), expected) in aggregated.indexed_iter().zip(&expected) {
            assert!(
                score.to_bits() == expected.to_bits() || score.is_nan() && expected.is_nan(),
                "{name} {place:?}: {score}, not {expected}"
            );
        }
    }
}

#[test]
fn activations_are_sums_over_chunks() {
    let golden = golden();
    let (segmentations, hard): (Array3<u8>, _) = (golden.get("seg_23"), hard(&golden, 23));
    let scores = segmentations.outer_iter().zip(hard.outer_iter()).map(|(chunk, clusters)| {
        let mut scores = Array2::from_elem((589, 6), f32::NAN);
        for (speaker, &cluster) in
            chunk.columns().into_iter().zip(clusters).filter(|&(_, &cluster)| cluster >= 0)
        {
            let mut column = scores.column_mut(cluster as usize);
            column.zip_mut_with(&speaker, |score, &active| *score = score.max(f32::from(active)));
        }
        scores
    });
    let aggregation = Aggregation { skip_average: true, missing: 0.0, ..Aggregation::default() };
    assert_eq!(aggregate(scores, CHUNKS, FRAMES, aggregation), golden.get::<f32, _>("activations_23"));
}

/// Skips frames with ties between activations, in which NumPy's result depends on the CPU.
#[test]
fn discrete_diarization() {
    let golden = golden();
    for count in COUNTS {
        let segmentations: Array3<u8> = golden.get(&format!("seg_{count}"));
        let speakers: Array1<u8> = golden.get(&format!("count_{count}"));
        let discrete = reconstruct(
            segmentations.view(),
            hard(&golden, count).view(),
            speakers.view(),
            None,
            CHUNKS,
            FRAMES,
            None,
        );
        let expected: Array2<u8> = golden.get(&format!("discrete_{count}"));
        assert_eq!(discrete.dim(), expected.dim());
        let ambiguous: Array1<u8> = golden.get(&format!("tie_ambiguous_{count}"));
        for (frame, (row, expected)) in discrete.outer_iter().zip(expected.outer_iter()).enumerate() {
            assert_eq!(row.sum(), speakers[frame], "{count} chunks, frame {frame}");
            assert!(
                ambiguous[frame] == 1 || row == expected,
                "{count} chunks, frame {frame}: {row}, not {expected}"
            );
        }
    }
}

#[test]
fn ties_go_to_the_first_cluster_and_clusters_are_added_if_there_are_too_few() {
    let segmentations = Array3::from_elem((1, 589, 3), 1);
    let count = Array1::from_elem(594, 2);
    let all = |hard: [i32; 3], max_speakers| {
        let hard = Array2::from_shape_vec((1, 3), hard.to_vec()).unwrap();
        let discrete =
            reconstruct(segmentations.view(), hard.view(), count.view(), max_speakers, CHUNKS, FRAMES, None);
        assert!(discrete.outer_iter().take(589).all(|row| row == discrete.row(0)));
        discrete.row(0).to_vec()
    };
    assert_eq!(all([3, 1, 2], None), [0, 1, 1, 0]);
    assert_eq!(all([3, 1, 2], Some(1)), [0, 1, 0, 0]);
    assert_eq!(all([0, 0, 0], None), [1, 1]);
    assert_eq!(all([INACTIVE, 2, INACTIVE], None), [1, 0, 1]);
}

/// A direct implementation of [`Voices`] and [`reconstruct`], frame by frame in f64.
fn by_votes_and_voices(
    segmentations: &Array3<u8>,
    hard: &Array2<i32>,
    count: &Array1<u8>,
    windows: &WindowEmbeddings,
    centroids: &Array2<f32>,
) -> Array2<u8> {
    let directions = windows.directions();
    let cosine = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| {
        let dot = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    // An added cluster without local speakers only speaks if there are too few others.
    let clusters = (hard.iter().max().unwrap() + 1).max(i32::from(*count.iter().max().unwrap())) as usize;
    let mut discrete = Array2::zeros((count.len(), clusters));
    for (frame, mut discrete) in discrete.outer_iter_mut().enumerate() {
        let time = FRAMES.middle_of(frame);
        let away = |window: &usize| (windows.windows.middle_of(*window) - time).abs();
        let nearest = (0..directions.nrows()).min_by(|a, b| away(a).total_cmp(&away(b))).unwrap();
        let voice = directions.row(nearest);
        let likely = |cluster: usize| (cosine(voice, centroids.row(cluster)) / 0.15).exp();
        let sum: f64 = (0..centroids.nrows()).map(likely).sum();

        let first = |chunk: usize| (chunk as f64 * 16_000.0 / 270.0).round() as usize;
        let held: Vec<usize> =
            (0..hard.nrows()).filter(|&c| (first(c)..first(c) + 589).contains(&frame)).collect();
        let score = |cluster: usize| {
            let speaks = |&&chunk: &&usize| {
                let local = segmentations.slice(s![chunk, frame - first(chunk), ..]);
                local.iter().zip(hard.row(chunk)).any(|(&active, &own)| active == 1 && own == cluster as i32)
            };
            let votes = held.iter().filter(speaks).count() as f64 / held.len().max(1) as f64;
            votes + if voice.iter().all(|&x| x == 0.0) { 0.0 } else { likely(cluster) / sum }
        };
        let mut order: Vec<usize> = (0..clusters).collect();
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        for &cluster in &order[..usize::from(count[frame])] {
            discrete[cluster] = 1;
        }
    }
    discrete
}

#[test]
fn votes_and_voices_are_combined() {
    let mut random = Random(11);
    let mut by_votes_alone = 0;
    for chunks in [1, 2, 7] {
        let mut below = |limit: usize| ((random.signed() + 1.0) / 2.0 * limit as f32) as usize;
        let segmentations = Array3::from_shape_fn((chunks, 589, 3), |_| below(2) as u8);
        let hard = Array2::from_shape_fn((chunks, 3), |_| [INACTIVE, 0, 1, 2, 3][below(5)]);
        let frames = speaker_count(segmentations.view(), CHUNKS, FRAMES).len();
        let count = Array1::from_shape_fn(frames, |_| below(4) as u8);
        let mut vectors = |count| Array2::from_shape_vec((count, 8), random.vector(8 * count, 1.0)).unwrap();
        let (mut embeddings, centroids) = (vectors(frames / 20), vectors(4));
        embeddings.row_mut(3).fill(0.0);
        let windows = SlidingWindow { start: -0.4, duration: 0.9, step: 0.32 };
        let mut windows = WindowEmbeddings::new(windows, 8);
        for embedding in embeddings.rows() {
            windows.push(embedding.to_slice());
        }
        let voices = voice_shares(&windows, centroids.view(), 0.15);
        let found = |voices| {
            reconstruct(segmentations.view(), hard.view(), count.view(), None, CHUNKS, FRAMES, voices)
        };
        let expected = by_votes_and_voices(&segmentations, &hard, &count, &windows, &centroids);
        assert_eq!(found(Some(&voices)), expected, "{chunks} chunks");
        by_votes_alone += usize::from(found(None) == expected);
    }
    assert_eq!(by_votes_alone, 0);
}

#[test]
fn local_speakers_who_never_speak_are_inactive() {
    let mut segmentations = Array3::zeros((2, 5, 3));
    segmentations[[0, 4, 1]] = 1;
    segmentations[[1, 0, 2]] = 1;
    let mut hard = Array2::from_elem((2, 3), 7);
    mark_inactive(&mut hard, segmentations.view());
    assert_eq!(hard.into_raw_vec_and_offset().0, [INACTIVE, 7, INACTIVE, INACTIVE, INACTIVE, 7]);
}

fn assert_regions(golden: &Golden, name: &str, regions: &[[f64; 3]]) {
    let expected: Array2<f64> = golden.get(name);
    let expected: Vec<[f64; 3]> = expected.rows().into_iter().map(|row| [row[0], row[1], row[2]]).collect();
    assert_eq!(regions, expected, "{name}");
}

#[test]
fn regions() {
    let golden = golden();
    for count in COUNTS {
        let discrete: Array2<u8> = golden.get(&format!("discrete_{count}"));
        let regions = Binarize::default().regions(discrete.view(), FRAMES);
        let regions: Vec<[f64; 3]> = regions.iter().map(|r| [r.start, r.end, r.class as f64]).collect();
        assert_regions(&golden, &format!("segments_{count}"), &regions);
    }
}

#[test]
fn regions_with_hysteresis_paddings_and_minimum_durations() {
    let golden = golden();
    let scores: Array2<f32> = golden.get("scores");
    let configs = golden.json("binarize_configs");
    for (index, config) in configs.as_array().unwrap().iter().enumerate() {
        let value = |key: &str| config[key].as_f64().unwrap();
        let binarize = Binarize {
            onset: value("onset"),
            offset: value("offset"),
            min_duration_on: value("min_duration_on"),
            min_duration_off: value("min_duration_off"),
            pad_onset: value("pad_onset"),
            pad_offset: value("pad_offset"),
        };
        let regions = binarize.regions(scores.view(), FRAMES);
        let regions: Vec<[f64; 3]> = regions.iter().map(|r| [r.start, r.end, r.class as f64]).collect();
        assert_regions(&golden, &format!("binarize_{index}"), &regions);
    }
    assert_eq!(configs.as_array().unwrap().len(), 7);
}

#[test]
fn with_compatibility_speakers_are_numbered_by_cluster_index_as_text() {
    let golden = golden();
    let discrete: Array2<u8> = golden.get("many_discrete");
    let (turns, clusters) = turns(discrete.view(), FRAMES, 0.0, 0.0, Compat::Pyannote);
    assert_eq!(rttm("x", &turns).unwrap(), golden.text("many_rttm"));
    let mapping = golden.json("many_labels_mapping");
    assert_eq!(clusters.len(), mapping.as_object().unwrap().len());
    for (speaker, cluster) in clusters.iter().enumerate() {
        assert_eq!(mapping[cluster.to_string()], format!("SPEAKER_{speaker:02}"));
    }
}

#[test]
fn without_compatibility_speakers_are_numbered_by_cluster_index() {
    let discrete: Array2<u8> = golden().get("many_discrete");
    let (found, clusters) = turns(discrete.view(), FRAMES, 0.0, 0.0, Compat::Off);
    assert!(clusters.len() > 10 && clusters.is_sorted(), "{clusters:?}");
    assert_eq!(turns_of(&clusters, discrete.view(), FRAMES, 0.0, 0.0), found);
}

#[test]
fn silence_has_no_turns() {
    assert_eq!(turns(Array2::zeros((0, 0)).view(), FRAMES, 0.0, 0.0, Compat::Pyannote), (vec![], vec![]));
    assert_eq!(turns(Array2::zeros((594, 2)).view(), FRAMES, 0.1, 0.1, Compat::Pyannote), (vec![], vec![]));
}

/// Turns end in the middle of a frame, so one that starts in the last frame would have no duration.
#[test]
fn speech_only_in_the_last_frame_gives_no_turn() {
    let mut discrete = Array2::zeros((594, 2));
    discrete[[593, 1]] = 1;
    assert_eq!(turns(discrete.view(), FRAMES, 0.0, 0.0, Compat::Pyannote), (vec![], vec![]));
    discrete[[592, 1]] = 1;
    let (turns, clusters) = turns(discrete.view(), FRAMES, 0.0, 0.0, Compat::Pyannote);
    assert_eq!((turns.len(), clusters), (1, vec![1]));
    assert_eq!([turns[0].start, turns[0].end], [FRAMES.middle_of(592), FRAMES.middle_of(593)]);
}
