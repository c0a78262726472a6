//! Tests of running the residual network once on the whole recording.

use std::{ops::ControlFlow, sync::OnceLock};

use diarize::{Device, Diarizer, EmbeddingTrunk, Event, Options, Progress, Reconstruction, Stage};
use diarize_testkit::{Found, deterministic_model, wav};
use ndarray::{Array3, ArrayView1, Axis, s};

/// The pipeline with deterministic weights, loaded once.
fn diarizer() -> &'static Diarizer {
    static DIARIZER: OnceLock<Diarizer> = OnceLock::new();
    DIARIZER.get_or_init(|| {
        let files = deterministic_model::with_voices(5).unwrap();
        Diarizer::from_files(&files, Device::Cpu).unwrap()
    })
}

fn options(trunk: EmbeddingTrunk) -> Options {
    let mut options = diarizer().options();
    options.parameters.embedding_trunk = trunk;
    options
}

fn diarize(samples: &[f32], options: &Options) -> Found {
    diarize_testkit::diarize(diarizer(), samples, options)
}

/// Embeddings of chunks in which the first local speaker is always active.
fn embed(samples: &[f32], chunks: usize, trunk: EmbeddingTrunk) -> Array3<f32> {
    let mut segmentations = Array3::zeros((chunks, 589, 3));
    segmentations.slice_mut(s![.., .., 0]).fill(1);
    diarizer().embed(samples, segmentations.view(), &options(trunk)).unwrap()
}

fn relative_distance(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f32 {
    let length = |x: ndarray::Array1<f32>| x.mapv(|x| x * x).sum().sqrt();
    length(&a - &b) / length(b.to_owned())
}

#[test]
fn a_recording_of_one_chunk_has_the_embeddings_of_that_chunk() {
    let samples = wav::golden("tiny8");
    let [shared, chunk] =
        [EmbeddingTrunk::Shared, EmbeddingTrunk::Chunk].map(|trunk| diarize(&samples, &options(trunk)));
    assert_eq!(shared.turns, chunk.turns);
    assert_eq!(shared.stages.segmentations, chunk.stages.segmentations);
    // Compared before rounding to f16.
    let [shared, chunk] = [EmbeddingTrunk::Shared, EmbeddingTrunk::Chunk]
        .map(|trunk| diarizer().embed(&samples, chunk.stages.segmentations.view(), &options(trunk)).unwrap());
    for (shared, chunk) in shared.rows().into_iter().zip(chunk.rows()) {
        assert!(relative_distance(shared, chunk) < 1e-5, "{shared} {chunk}");
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let samples = wav::golden("short30");
    let [one, three] = [1, 3].map(|threads| {
        let mut options = options(EmbeddingTrunk::Shared).with_threads(threads);
        options.parameters.reconstruction = Reconstruction::Voices;
        diarize(&samples, &options)
    });
    assert_eq!(one.turns, three.turns);
    assert_eq!(one.stages.embeddings, three.stages.embeddings, "bit-identical");
    assert!(one.stages.window_embeddings.is_some());
    assert_eq!(one.stages.window_embeddings, three.stages.window_embeddings, "bit-identical");
}

/// A window's embedding equals that of a local speaker in a chunk containing it, who is active exactly in
/// those frames of the window in which one speaker speaks alone.
#[test]
fn windows_are_embedded_from_frames_with_one_speaker() {
    let samples = wav::golden("short30");
    let mut options = options(EmbeddingTrunk::Shared);
    options.parameters.reconstruction = Reconstruction::Voices;
    options.parameters.embedding_exclude_overlap = false;
    let stages = diarize(&samples, &options).stages;
    let found = stages.window_embeddings.unwrap();
    let directions = found.directions();
    assert!((found.windows.middle_of(0) - 0.0125).abs() < 1e-9 && (found.windows.step - 0.32).abs() < 1e-9);

    // The residual network's frames are 1280 samples apart, and their middles are 200 samples after their
    // start.
    let place = |frame: usize, chunk: usize| (1280 * frame - 16_000 * chunk) * 589 / 160_000;
    let holds =
        |chunk: usize, frame: usize| (16_000 * chunk..16_000 * chunk + 160_000).contains(&(1280 * frame));
    let alone = |&frame: &usize| {
        let heard = |chunk: usize| {
            holds(chunk, frame) && stages.segmentations.slice(s![chunk, place(frame, chunk), ..]).sum() > 0
        };
        let nearest = stages.frames.closest_frame((1280 * frame + 200) as f64 / 16_000.0);
        (0..22).any(heard) && stages.speaker_count[nearest] == 1
    };
    let (mut spoken, mut silent) = (0, 0);
    for window in (0..directions.nrows()).step_by(5) {
        let middle = 4 * window;
        let window_frames = middle.saturating_sub(6)..=middle + 6;
        let Some(chunk) = (0..22).find(|&chunk| window_frames.clone().all(|frame| holds(chunk, frame)))
        else {
            continue;
        };
        let frames: Vec<usize> = window_frames.filter(alone).collect();
        if frames.is_empty() {
            assert!(directions.row(window).iter().all(|&x| x == 0.0), "window {window}");
            silent += 1;
            continue;
        }
        let mut mask = Array3::zeros((22, 589, 3));
        for frame in frames {
            mask[[chunk, place(frame, chunk), 0]] = 1;
        }
        let expected = diarizer().embed(&samples, mask.view(), &options).unwrap();
        let expected = expected.slice(s![chunk, 0, ..]);
        let length = expected.mapv(|x| x * x).sum().sqrt();
        for (&found, &expected) in directions.row(window).iter().zip(expected) {
            let (expected, rounding) = (expected / length, 2_f32.powi(-11));
            let distance = (found - expected).abs();
            // The error of two computations, plus half a unit in the last place of f16.
            assert!(distance < 2e-6 + rounding * expected.abs(), "window {window}: {found} {expected}");
        }
        spoken += 1;
    }
    assert!(spoken > 5 && silent > 0, "{spoken} spoken, {silent} silent");
}

#[test]
fn voices_require_the_shared_trunk() {
    let samples = wav::golden("tiny8");
    let mut options = options(EmbeddingTrunk::Shared);
    let mut listener = diarizer().listen(&options).unwrap();
    listener.push(&samples).unwrap();
    let votes = listener.embedded().unwrap();
    options.parameters.reconstruction = Reconstruction::Voices;
    let error = votes.cluster(&options).unwrap_err().to_string();
    assert!(error.contains("another run of the networks"), "{error}");
    options.parameters.embedding_trunk = EmbeddingTrunk::Chunk;
    let error = diarizer().listen(&options).unwrap_err().to_string();
    assert!(error.starts_with("reconstruction is voices"), "{error}");
    options.parameters.set_embedding_trunk(EmbeddingTrunk::Chunk);
    assert_eq!(options.parameters.reconstruction, Reconstruction::Votes);
}

/// The recording has a period of ten seconds, and so does the sliding mean of the features, except near the
/// ends. So chunks ten seconds apart must have equal embeddings, although pieces are 12 s long, and 24 s on a GPU.
#[test]
fn piece_borders_do_not_affect_embeddings() {
    let period = &wav::golden("short30")[..160_000];
    let samples = period.repeat(8);
    let embeddings = embed(&samples, 71, EmbeddingTrunk::Shared);
    for chunk in 10..50 {
        let (here, later) = (embeddings.slice(s![chunk, 0, ..]), embeddings.slice(s![chunk + 10, 0, ..]));
        let distance = relative_distance(later, here);
        assert!(distance < 1e-5, "chunk {chunk}: {distance:e}");
    }
}

/// The mean over all chunks is subtracted first.
#[test]
fn embeddings_are_most_similar_to_those_of_the_same_chunk() {
    let samples = wav::golden("short30");
    let [shared, chunk] = [EmbeddingTrunk::Shared, EmbeddingTrunk::Chunk].map(|trunk| {
        let embeddings = embed(&samples, 22, trunk).index_axis_move(Axis(1), 0);
        let mean = embeddings.mean_axis(Axis(0)).unwrap();
        embeddings - mean
    }); // (chunk, dimension)
    let cosine = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt();
    let similarity = |shift: usize| {
        let pairs = (0..22).map(|index| cosine(shared.row(index), chunk.row((index + shift) % 22)));
        pairs.sum::<f32>() / 22.0
    };
    println!("own {:.2}, five seconds later {:.2}", similarity(0), similarity(5));
    assert!(similarity(0) > 0.6 && similarity(5) < 0.3);
}

#[test]
fn silence_and_short_recordings_are_valid() {
    let found = diarize(&[], &options(EmbeddingTrunk::Shared));
    assert!(found.diarization.turns.is_empty() && found.stages.embeddings.is_none());
    let found = diarize(&vec![0.0; 45 * 16_000], &options(EmbeddingTrunk::Shared)).stages.segmentations;
    assert_eq!(found.dim(), (36, 589, 3));
    assert!(found.outer_iter().all(|chunk| chunk == found.index_axis(Axis(0), 0)), "all chunks are alike");
    let found = diarize(&[0.25], &options(EmbeddingTrunk::Shared));
    assert_eq!(found.stages.segmentations.dim(), (1, 589, 3));
}

#[test]
fn the_observer_receives_progress_for_every_chunk() {
    let mut told: Vec<Progress> = Vec::new();
    let options = options(EmbeddingTrunk::Shared);
    let observer = |event: Event| {
        told.extend(match event {
            Event::Progress(progress) => Some(progress),
            _ => None,
        });
        ControlFlow::Continue(())
    };
    diarizer().diarize_with(&wav::golden("exact13"), &options, observer).unwrap();
    let told: Vec<&Progress> = told.iter().filter(|progress| progress.stage == Stage::Embeddings).collect();
    assert!(told.iter().all(|progress| progress.total == 4) && told.is_sorted_by_key(|p| p.done));
    assert_eq!((told[0].done, told.last().unwrap().done), (0, 4));
}
