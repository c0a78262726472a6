//! Recordings that arrive in blocks, observers, and clustering again without running the networks.

use std::{
    ops::ControlFlow,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use diarize::{
    Device, Diarization, Diarizer, Embedded, EmbeddingTrunk, Error, Event, Options, Progress, Reconstruction,
    Span, Stage, Warning,
    clustering::{Compat, Method, Settings},
    model::ModelFiles,
};
use diarize_testkit::{Random, deterministic_model, device, wav};

/// The pipeline with deterministic weights and a small embedding network, loaded once.
fn diarizer() -> &'static Diarizer {
    static DIARIZER: OnceLock<Diarizer> = OnceLock::new();
    DIARIZER.get_or_init(|| {
        let files = deterministic_model::small_with_voices(5).unwrap();
        Diarizer::from_files(&files, device()).unwrap()
    })
}

/// The pipeline with the networks of the golden files, loaded once.
fn golden_diarizer() -> &'static Diarizer {
    static DIARIZER: OnceLock<Diarizer> = OnceLock::new();
    DIARIZER.get_or_init(|| {
        let files = deterministic_model::with_voices(5).unwrap();
        Diarizer::from_files(&files, device()).unwrap()
    })
}

/// Options for both embedding trunks.
fn both_trunks() -> [Options; 2] {
    let chunk = diarizer().options();
    let mut shared = chunk.clone();
    shared.parameters.embedding_trunk = EmbeddingTrunk::Shared;
    shared.parameters.reconstruction = Reconstruction::Voices;
    [chunk, shared]
}

/// The options for both trunks such that the networks run before the recording ends: with one thread, and with chunks
/// every eighth of a second if the recording is `short`. A GPU waits for larger batches than these recordings have.
fn both_trunks_early(samples: &[f32], short: bool) -> [Options; 2] {
    both_trunks().map(|mut options| {
        if short {
            options.parameters.segmentation_step = 0.0125;
        }
        let options = options.with_threads(1);
        let segmented = AtomicUsize::new(0);
        let observer = |event| {
            if let Event::Progress(Progress { stage: Stage::Segmentation, done, .. }) = event {
                segmented.store(done, Ordering::Relaxed);
            }
            ControlFlow::Continue(())
        };
        let mut listener = diarizer().listen_with(&options, observer).unwrap();
        listener.push(samples).unwrap();
        assert!(
            segmented.load(Ordering::Relaxed) > 0 || device() != Device::Cpu,
            "the networks wait for the end"
        );
        options
    })
}

/// Pushes blocks of the given lengths until all samples are pushed.
fn in_blocks(
    diarizer: &Diarizer,
    samples: &[f32],
    options: &Options,
    mut lengths: impl FnMut() -> usize,
) -> Diarization {
    let mut listener = diarizer.listen(options).unwrap();
    let mut rest = samples;
    while !rest.is_empty() {
        let (block, after) = rest.split_at(lengths().min(rest.len()));
        listener.push(block).unwrap();
        rest = after;
    }
    assert_eq!(listener.seconds(), samples.len() as f64 / 16_000.0);
    listener.finish().unwrap()
}

/// More chunks than the networks wait for, with a stretch of digital silence longer than a chunk.
fn long() -> Vec<f32> {
    let speech = wav::golden("short30");
    [&speech[..230_000], &[0.0; 12 * 16_000], &speech[150_000..330_000]].concat()
}

#[test]
fn the_result_does_not_depend_on_the_blocks() {
    let samples = wav::golden("exact13");
    let both_trunks = both_trunks_early(&samples, true);
    // Segmentation is the same for both trunks, so each of them gets some of the lengths.
    for (options, lengths) in both_trunks.iter().zip([&[1, 16_000][..], &[7, 160, 1_000_000]]) {
        let whole = diarizer().diarize_with(&samples, options, |_| ControlFlow::Continue(())).unwrap();
        assert!(!whole.turns.is_empty());
        for &length in lengths {
            assert_eq!(in_blocks(diarizer(), &samples, options, || length), whole, "blocks of {length}");
        }
    }
    let [_, shared] = &both_trunks;
    let whole = in_blocks(golden_diarizer(), &samples, shared, || samples.len());
    assert!(!whole.turns.is_empty());
    assert_eq!(in_blocks(golden_diarizer(), &samples, shared, || 1_234), whole);
}

#[test]
fn random_blocks_and_any_number_of_threads_give_the_same_result() {
    let samples = long();
    let mut random = Random(3);
    for options in both_trunks() {
        let whole = in_blocks(diarizer(), &samples, &options.clone().with_threads(1), || samples.len());
        assert!(!whole.turns.is_empty());
        for threads in [1, 3] {
            let lengths = || 1 + (random.vector(1, 0.5)[0].abs() * 8e5) as usize;
            let found = in_blocks(diarizer(), &samples, &options.clone().with_threads(threads), lengths);
            assert_eq!(found, whole, "{threads} threads");
        }
    }
}

/// Results are bit-identical even before they are rounded to turns.
#[test]
fn the_outputs_of_the_networks_do_not_depend_on_the_blocks() {
    let samples = long();
    for options in both_trunks_early(&samples, false) {
        let embedded = |length: usize| {
            let mut listener = diarizer().listen(&options).unwrap();
            samples.chunks(length).for_each(|block| listener.push(block).unwrap());
            listener.embedded().unwrap().stages(&options).unwrap()
        };
        let (whole, blocks) = (embedded(samples.len()), embedded(4_321));
        assert_eq!(whole.segmentations, blocks.segmentations);
        assert_eq!(whole.speaker_count, blocks.speaker_count);
        assert_eq!(whole.embeddings, blocks.embeddings);
        assert_eq!(whole.window_embeddings, blocks.window_embeddings);
        assert_eq!(whole.discrete_diarization, blocks.discrete_diarization);
    }
}

#[test]
fn a_provisional_result_equals_that_of_a_recording_ending_there() {
    let samples = long();
    for options in both_trunks_early(&samples, false) {
        let mut listener = diarizer().listen(&options).unwrap();
        let mut told = 0;
        for (block, end) in samples.chunks(250_000).zip((1..).map(|n| n * 250_000)) {
            listener.push(block).unwrap();
            let ended = in_blocks(diarizer(), &samples[..end.min(samples.len())], &options, || 123_456);
            assert_eq!(listener.provisional().unwrap(), ended);
            told += 1;
        }
        assert!(told > 2);
        assert_eq!(listener.finish().unwrap(), in_blocks(diarizer(), &samples, &options, || 99_999));
    }
}

#[test]
fn regions_and_spans_do_not_depend_on_the_blocks() {
    // With one thread, the networks run before the end.
    let samples = long();
    let (diarizer, options) = (diarizer(), diarizer().options().with_threads(1));
    let whole = diarizer.activity(1, &samples, &options, |_| ControlFlow::Continue(())).unwrap();
    let mut listener = diarizer.listen_for_activity(&options, |_| ControlFlow::Continue(())).unwrap();
    samples.chunks(7_777).for_each(|block| listener.push(block).unwrap());
    assert_eq!(listener.finish(1).unwrap(), whole);

    let span = |start, end| Span { start, end };
    // Long enough that a span is embedded in parts.
    let samples = long().repeat(4);
    let spans = [span(3.0, 5.5), span(0.0, f64::INFINITY), span(4.0, 29.0), span(30.0, 31.0)];
    let whole = diarizer.embed_spans(&samples, &spans, &options, |_| ControlFlow::Continue(())).unwrap();
    let mut listener = diarizer.listen_to_spans(&spans, &options, |_| ControlFlow::Continue(())).unwrap();
    samples.chunks(7_777).for_each(|block| listener.push(block).unwrap());
    assert_eq!(listener.finish().unwrap(), whole);
}

#[test]
fn the_observer_receives_every_turn_once_when_it_is_final() {
    let samples = wav::golden("short30");
    let mut events = Vec::new();
    let options = diarizer().options();
    let found = diarizer()
        .diarize_with(&samples, &options, |event| {
            events.push(event);
            ControlFlow::Continue(())
        })
        .unwrap();
    let turns = events.iter().filter_map(|event| match event {
        Event::Turn(turn) => Some(turn.clone()),
        _ => None,
    });
    assert_eq!(turns.collect::<Vec<_>>(), found.turns);
    let last = |stage: Stage| {
        events.iter().rposition(|event| matches!(event, Event::Progress(now) if now.stage == stage)).unwrap()
    };
    assert!(last(Stage::Segmentation) < last(Stage::Clustering));
}

#[test]
fn an_observer_can_cancel_in_any_stage_and_is_not_called_again() {
    let samples = long();
    for options in both_trunks() {
        for stage in [Stage::Segmentation, Stage::Embeddings, Stage::Clustering] {
            let mut asked = 0;
            let result = diarizer().diarize_with(&samples, &options, |event| match event {
                Event::Progress(progress) if asked > 0 || progress.stage == stage => {
                    asked += 1;
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            });
            assert!(matches!(result, Err(Error::Cancelled)), "{stage}: {result:?}");
            assert_eq!(asked, 1, "{stage}");
        }
    }
}

#[test]
fn a_wrong_number_of_speakers_gives_a_warning() {
    let samples = wav::golden("tiny8");
    let options = diarizer().options().with_num_speakers(40);
    let mut told = Vec::new();
    let found = diarizer()
        .diarize_with(&samples, &options, |event| {
            told.extend(match event {
                Event::Warning(warning) => Some(warning),
                _ => None,
            });
            ControlFlow::Continue(())
        })
        .unwrap();
    let [Warning::SpeakerCount { wanted: 40, found: count, .. }] = found.warnings[..] else {
        panic!("{:?}", found.warnings)
    };
    assert!(count < 40);
    assert_eq!(told, found.warnings);
    assert!(told[0].to_string().starts_with(&format!("requested 40 speakers, found {count}")), "{}", told[0]);
    let fewer = diarizer().diarize_with(&samples, &diarizer().options(), |_| ControlFlow::Continue(()));
    assert_eq!(fewer.unwrap().warnings, []);
}

/// Speakers are counted in the turns: a cluster can end up without any.
#[test]
fn every_wrong_number_of_speakers_gives_a_warning() {
    let mut listener = diarizer().listen(&diarizer().options()).unwrap();
    listener.push(&wav::golden("short30")).unwrap();
    let embedded = listener.embedded().unwrap();
    let mut without_turns = 0;
    for wanted in 1..20 {
        let mut options = diarizer().options().with_num_speakers(wanted);
        options.parameters.min_duration_on = 2.0;
        let clusters = embedded.stages(&options).unwrap().hard_clusters.iter().max().unwrap() + 1;
        let found = embedded.cluster(&options).unwrap();
        without_turns += usize::from(found.speakers.len() < clusters as usize);
        let count = found.speakers.len();
        match found.warnings[..] {
            [] => assert_eq!(count, wanted),
            [Warning::SpeakerCount { wanted: told, found, .. }] => assert_eq!((told, found), (wanted, count)),
            _ => panic!("{:?}", found.warnings),
        }
    }
    assert!(without_turns > 0, "no cluster without turns");
}

#[test]
fn clustering_again_does_not_run_the_networks() {
    let samples = wav::golden("short30");
    for options in both_trunks() {
        let mut listener = diarizer().listen(&options).unwrap();
        listener.push(&samples).unwrap();
        let embedded = listener.embedded().unwrap();
        let diarize = |options: &Options| {
            diarizer().diarize_with(&samples, options, |_| ControlFlow::Continue(())).unwrap()
        };
        assert_eq!(embedded.cluster(&options).unwrap(), diarize(&options));
        for (name, key, value) in [("agglomerative", "threshold", "0.3"), ("kmeans", "runs", "2")] {
            let mut other = options.clone().with_num_speakers(3);
            other.parameters.clustering = Settings::named(name).unwrap();
            other.parameters.clustering.set(key, value).unwrap();
            other.parameters.min_duration_off = 0.5;
            assert_eq!(embedded.cluster(&other).unwrap(), diarize(&other), "{name}");
        }
        let mut pyannote = options.clone();
        pyannote.parameters.clustering.compat = Compat::Pyannote;
        assert_eq!(embedded.cluster(&pyannote).unwrap(), diarize(&pyannote));
    }
}

#[test]
fn options_that_need_another_run_of_the_networks_are_rejected() {
    let samples = wav::golden("tiny8");
    let embedded = |options: &Options| {
        let mut listener = diarizer().listen(options).unwrap();
        listener.push(&samples).unwrap();
        listener.embedded().unwrap()
    };
    let rejected = |embedded: Embedded, options: &Options| match embedded.cluster(options).unwrap_err() {
        Error::NeedsNetworks { option, .. } => option,
        error => panic!("{error:?}"),
    };
    let [chunk, shared] = both_trunks();
    let (mut step, mut votes) = (chunk.clone(), shared.clone());
    step.parameters.segmentation_step = 0.2;
    votes.parameters.reconstruction = Reconstruction::Votes;
    assert_eq!(rejected(embedded(&chunk.clone().with_num_speakers(1)), &chunk), "max_speakers");
    assert_eq!(rejected(embedded(&chunk), &shared), "embedding_trunk");
    assert_eq!(rejected(embedded(&chunk), &step), "segmentation_step");
    assert_eq!(rejected(embedded(&votes), &shared), "reconstruction");
    assert!(embedded(&shared).cluster(&votes).is_ok());
}

#[test]
fn a_model_without_voices_or_confidence() {
    let dir = tempfile::tempdir().unwrap();
    deterministic_model::write(dir.path(), 5).unwrap();
    let mut files = ModelFiles::read(dir.path()).unwrap();
    (files.manifest.voices, files.manifest.confidence) = (None, None);
    let plain = Diarizer::from_files(&files, device()).unwrap();
    let [_, shared] = both_trunks();
    let error = plain.listen(&shared).unwrap_err().to_string();
    assert!(error.starts_with("reconstruction is voices, but must be votes"), "{error}");
    let found = plain.diarize(&wav::golden("tiny8")).unwrap();
    assert!(!found.turns.is_empty());
    assert!(found.turns.iter().all(|turn| turn.confidence.is_none()));
    assert!(found.speakers.iter().all(|speaker| speaker.confidence.is_none()));
}

#[test]
fn vbx_without_a_plda_is_rejected_before_any_work() {
    let mut options = diarizer().options();
    options.parameters.clustering = Settings::named("vbx").unwrap();
    assert!(matches!(options.parameters.clustering.method, Method::Vbx(_)));
    let error = diarizer().listen(&options).unwrap_err().to_string();
    assert!(error.starts_with("VBx needs a PLDA"), "{error}");
}

#[test]
fn types_can_be_shared_between_threads_and_results_serialized() {
    fn is_shared<T: Send + Sync + 'static>() {}
    fn is_sent<T: Send>() {}
    is_shared::<Diarizer>();
    is_shared::<diarize::Embedded>();
    is_shared::<Diarization>();
    is_shared::<Options>();
    is_shared::<Error>();
    is_shared::<Warning>();
    is_sent::<diarize::Listener<'static>>();
    let found = diarizer().diarize(&wav::golden("tiny8")).unwrap();
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["turns"].as_array().unwrap().len(), found.turns.len());
    assert_eq!(json["turns"][0]["speaker"], found.turns[0].speaker);
    assert_eq!(json["warnings"].as_array().unwrap().len(), 0);
}
