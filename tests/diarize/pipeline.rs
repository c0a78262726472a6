//! Compares the whole pipeline, from samples to RTTM, with pyannote.audio 3.3.2 using deterministic weights
//! (`det5`), and tests its other guarantees.

use std::{ops::ControlFlow, sync::OnceLock};

use diarize::{
    Decoding, Diarizer, Error, Event, Options, Progress, Span, Stage,
    clustering::{Agglomerative, Compat, Method, Settings},
};
use diarize_testkit::{
    Found, Golden, assert_same_turns, cluster, deterministic_model, device, embed, repository, wav,
};
use ndarray::{Array1, Array2, Array3};

/// The pipeline with deterministic weights, loaded once.
fn diarizer() -> &'static Diarizer {
    static DIARIZER: OnceLock<Diarizer> = OnceLock::new();
    DIARIZER.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        deterministic_model::write(dir.path(), 5).unwrap();
        Diarizer::load(dir.path(), device()).unwrap()
    })
}

fn agglomerative(options: &mut Options) -> &mut Agglomerative {
    match &mut options.parameters.clustering.method {
        Method::Agglomerative(parameters) => parameters,
        other => panic!("{other:?}"),
    }
}

fn diarize(samples: &[f32], options: &Options) -> Found {
    diarize_testkit::diarize(diarizer(), samples, options)
}

/// Bounds on the number of speakers, by their name in the golden files; everything else as in pyannote.
fn options(bounds: &str) -> Options {
    let mut options = diarizer().options();
    options.parameters.clustering.compat = Compat::Pyannote;
    match bounds {
        "auto" => {}
        "num1" => options.num_speakers = Some(1),
        "num2" => options.num_speakers = Some(2),
        "max2" => options.max_speakers = Some(2),
        "min4" => options.min_speakers = Some(4),
        _ => panic!("no bounds are called {bounds}"),
    }
    options
}

#[test]
fn turns_match_pyannote_for_all_bounds_on_the_number_of_speakers() {
    for recording in ["tiny8", "exact13", "short30"] {
        let samples = wav::golden(recording);
        let embedded = embed(diarizer(), &samples, &options("auto"));
        for bounds in ["auto", "num1", "num2", "max2", "min4"] {
            let golden = Golden::open(&format!("det5/pipe_{recording}_{bounds}"));
            let found = match bounds {
                // For a single speaker, the embedding network does not run.
                "num1" => diarize(&samples, &options(bounds)),
                _ => cluster(&embedded, &options(bounds)),
            };
            let count: Array1<u8> = golden.get("count");
            assert_eq!(found.stages.speaker_count, count, "{recording} {bounds}");
            assert_same_turns(&golden, &found, &options(bounds), &format!("{recording} {bounds}"));
            if bounds == "auto" {
                compare_stages(&golden, &found);
            }
        }
    }
}

/// Reference noise: 3e-6, relative, for the embeddings.
fn compare_stages(golden: &Golden, found: &Found) {
    let segmentation: Array3<u8> = golden.get("segmentation");
    assert_eq!(found.stages.segmentations, segmentation);
    let expected: Array3<f32> = golden.get("embeddings");
    let embeddings = found.stages.embeddings.as_ref().unwrap();
    assert_eq!(embeddings.dim(), expected.dim());
    for (found, expected) in embeddings.rows().into_iter().zip(expected.rows()) {
        let distance = (&found - &expected).mapv(|x| x * x).sum().sqrt();
        let length = expected.mapv(|x| x * x).sum().sqrt();
        assert!(distance < 1e-5 * length, "embedding off by {:e}", distance / length);
    }
    let expected: Array2<f32> = golden.get("centroids");
    let centroids = found.stages.centroids.as_ref().unwrap();
    let largest = expected.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    assert!((centroids - &expected).iter().all(|difference| difference.abs() < 1e-5 * largest));
    let hard: Array2<i64> = golden.get("hard_clusters");
    for ((found, &expected), frames) in
        found.stages.hard_clusters.iter().zip(&hard).zip(segmentation.lanes(ndarray::Axis(1)))
    {
        let speaks = frames.iter().any(|&active| active == 1);
        assert_eq!(i64::from(*found), if speaks { expected } else { -2 });
    }
}

#[test]
fn speakers_have_their_duration_and_centroid() {
    let found = diarize(&wav::golden("tiny8"), &options("num2"));
    let labels: Vec<&str> = found.speakers.iter().map(|speaker| speaker.label.as_str()).collect();
    assert_eq!(labels, ["SPEAKER_00", "SPEAKER_01"]);
    for (cluster, speaker) in found.speakers.iter().enumerate() {
        let turns = found.turns.iter().filter(|turn| turn.speaker == speaker.label);
        assert_eq!(speaker.duration, turns.map(|turn| turn.end - turn.start).sum::<f64>());
        let centroids = found.stages.centroids.as_ref().unwrap();
        assert_eq!(speaker.embedding.as_deref(), centroids.row(cluster).to_slice());
    }
    let alone = diarize(&wav::golden("tiny8"), &options("num1"));
    assert_eq!((alone.speakers.len(), &alone.speakers[0].embedding), (1, &None));
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let samples = wav::golden("exact13");
    let [one, three] = [1, 3].map(|threads| diarize(&samples, &options("auto").with_threads(threads)));
    assert_eq!(one.turns, three.turns);
    assert_eq!(one.stages.segmentations, three.stages.segmentations);
    assert_eq!(one.stages.embeddings, three.stages.embeddings, "bit-identical");
    assert_eq!(one.stages.centroids, three.stages.centroids, "bit-identical");
}

#[test]
fn the_observer_receives_the_progress_of_every_stage() {
    let mut told: Vec<Progress> = Vec::new();
    diarizer()
        .diarize_with(&wav::golden("exact13"), &options("auto"), |event| {
            told.extend(match event {
                Event::Progress(progress) => Some(progress),
                _ => None,
            });
            ControlFlow::Continue(())
        })
        .unwrap();
    for (stage, chunks) in [
        (Stage::Segmentation, 4),
        (Stage::SpeakerCounting, 1),
        (Stage::Embeddings, 4),
        (Stage::Clustering, 1),
    ] {
        let of_stage: Vec<&Progress> = told.iter().filter(|progress| progress.stage == stage).collect();
        assert!(of_stage.iter().all(|progress| progress.total == chunks), "{stage}: {of_stage:?}");
        assert!(of_stage.is_sorted_by_key(|progress| progress.done), "{stage}: {of_stage:?}");
        assert_eq!((of_stage[0].done, of_stage.last().unwrap().done), (0, chunks), "{stage}");
    }
}

/// With these weights silence contains speakers too, so only check that these recordings are processed.
#[test]
fn recordings_of_zero_or_one_sample_are_valid() {
    let nothing = diarize(&[], &options("auto"));
    assert!(nothing.turns.is_empty() && nothing.speakers.is_empty());
    assert_eq!(diarize(&[0.25], &options("auto")).stages.segmentations.dim(), (1, 589, 3));
}

/// Chunks of digital silence are computed once; the result must be the same as computing each of them.
#[test]
fn silent_chunks_have_the_same_segmentation_as_if_each_were_computed() {
    let silence = vec![0.0; 12 * 16_000];
    let mut almost = silence.clone();
    // Too quiet to affect the result, but not digital silence.
    for start in (0..almost.len()).step_by(16_000) {
        almost[start] = f32::MIN_POSITIVE;
    }
    let of = |samples: &[f32]| diarize(samples, &options("num1")).stages.segmentations;
    assert_eq!(of(&silence), of(&almost));
}

#[test]
fn non_finite_samples_are_rejected_with_their_index() {
    let mut samples = vec![0.0; 1000];
    samples[700] = f32::NAN;
    let error = diarizer().diarize(&samples).unwrap_err();
    assert!(matches!(error, Error::NonFiniteSample { index: 700, .. }), "{error}");
}

#[test]
fn invalid_options_are_rejected_by_name() {
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = options("auto");
        change(&mut options);
        diarizer().listen(&options).unwrap_err().to_string()
    };
    for (name, error) in [
        ("num_speakers", with(&|options| options.num_speakers = Some(0))),
        ("min_speakers", with(&|options| (options.min_speakers, options.max_speakers) = (Some(3), Some(2)))),
        ("threads", with(&|options| options.threads = Some(0))),
        ("segmentation_step", with(&|options| options.parameters.segmentation_step = 0.0)),
        ("num_speakers", with(&|options| options.parameters.clustering = Settings::named("kmeans").unwrap())),
        ("threshold", with(&|options| agglomerative(options).threshold = f64::NAN)),
        ("min_cluster_size", with(&|options| agglomerative(options).min_cluster_size = 0)),
        ("min_duration_off", with(&|options| options.parameters.min_duration_off = -1.0)),
    ] {
        assert!(error.starts_with(name), "{error}");
    }
}

#[test]
fn the_decoding_affects_turns_and_regions() {
    let samples = wav::golden("exact13");
    let mut options = options("auto");
    let likely = diarize(&samples, &options);
    options.parameters.decoding = Decoding::LeastError;
    let found = diarize(&samples, &options);
    assert!(found.stages.segmentations != likely.stages.segmentations);
    assert_ne!(found.turns, likely.turns);
    for speakers in [1, 2] {
        let regions = |options| {
            diarizer().activity(speakers, &samples, options, |_| ControlFlow::Continue(())).unwrap()
        };
        assert_ne!(regions(&options), regions(&diarizer().options()));
    }
}

/// The relative distance between two vectors.
fn relative_distance(found: &[f32], expected: &[f32]) -> f32 {
    let length = |values: &[f32]| values.iter().map(|x| x * x).sum::<f32>().sqrt();
    let difference: Vec<f32> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
    length(&difference) / length(expected)
}

/// Reference noise: 3e-6 relative.
#[test]
fn embeddings_of_excerpts_match_pyannote() {
    let samples = wav::golden("short30");
    let spans = [Span { start: 5.0, end: 15.0 }, Span { start: 9.0, end: 10.0 }];
    let found = diarizer()
        .embed_spans(&samples, &spans, &diarizer().options(), |_| ControlFlow::Continue(()))
        .unwrap();
    for (row, golden, name) in [(0, "det5/emb_10s", "embedding_none"), (1, "det5/emb_1s", "embedding")] {
        let expected: Array1<f32> = Golden::open(golden).get(name);
        let distance = relative_distance(found[row].as_ref().unwrap(), &expected.to_vec());
        assert!(distance < 1e-5, "{golden}: {distance:e}");
    }
}

#[test]
fn an_excerpt_of_more_than_a_minute_is_the_mean_of_its_parts() {
    let samples = wav::golden("short30").repeat(4);
    let embed = |spans: &[Span]| {
        let found =
            diarizer().embed_spans(&samples, spans, &diarizer().options(), |_| ControlFlow::Continue(()));
        found.unwrap().into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    let whole = embed(&[Span { start: 0.0, end: 80.0 }]);
    let halves = embed(&[Span { start: 0.0, end: 40.0 }, Span { start: 40.0, end: 80.0 }]);
    let mean: Vec<f32> = halves[0].iter().zip(&halves[1]).map(|(a, b)| 0.5 * (a + b)).collect();
    let distance = relative_distance(&whole[0], &mean);
    assert!(distance < 1e-6, "{distance:e}");
}

#[test]
fn spans_that_are_too_short_have_no_embedding() {
    let samples = wav::golden("tiny8");
    let span = |(start, end)| Span { start, end };
    let spans = [(1.0, 1.02), (9.0, 9.5), (2.0, 1.0), (8.19, 9.0), (8.1, 9.0), (1.0, 1.025)].map(span);
    let options = diarizer().options();
    let found = diarizer().embed_spans(&samples, &spans, &options, |_| ControlFlow::Continue(())).unwrap();
    let embedded: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(samples.len(), 131_200, "8.2 s");
    assert_eq!(embedded, [false, false, false, false, true, true]);
    let error =
        diarizer().embed_spans(&samples, &[span((f64::NAN, 1.0))], &options, |_| ControlFlow::Continue(()));
    assert!(error.unwrap_err().to_string().starts_with("span is NaN"));
}

/// The golden files were made by `tests/goldens/make_regions.py` with pyannote.audio's own pipelines.
#[test]
fn speech_and_overlap_match_pyannote() {
    let golden = std::fs::read(repository("tests/goldens/det5/regions.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let samples = wav::golden(case["recording"].as_str().unwrap());
        let mut options = diarizer().options();
        options.parameters.min_duration_on = number("min_duration_on");
        options.parameters.min_duration_off = number("min_duration_off");
        let speakers = if case["kind"] == "speech" { 1 } else { 2 };
        let found = diarizer().activity(speakers, &samples, &options, |_| ControlFlow::Continue(())).unwrap();
        // Our regions end with the audio, pyannote's with its last frame.
        let duration = samples.len() as f64 / 16_000.0;
        let regions: Vec<[f64; 2]> = serde_json::from_value(case["regions"].clone()).unwrap();
        assert_eq!(found.len(), regions.len(), "{case}");
        for (found, [start, end]) in found.iter().zip(regions) {
            let far = (found.start - start).abs().max((found.end - end.min(duration)).abs());
            assert!(far < 1e-9, "{found:?} is {start} to {end}: {case}");
        }
    }
}
