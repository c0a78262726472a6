//! Compares clustering as in speaker-diarization-community-1 with pyannote.audio 4.0, stage by stage.

use std::{fs::File, path::PathBuf};

use diarize::{
    clustering::{Agglomerative, ClusteringError, Compat, KMeans, Linkage, Method, Settings, Vbx},
    rttm,
    scoring::{Rules, compare},
    unstable::{
        Clusters, Plda, SlidingWindow, SpeakerBounds, cluster_speakers, kmeans, mark_inactive, normalized,
        reconstruct, speaker_count, turns, vbx, vbx_first_labels,
    },
};
use diarize_testkit::{Golden, shared};
use ndarray::{Array, Array1, Array2, Array3, ArrayView2, Axis, Dimension, Ix1, Ix2, Ix3, array, s};
use ndarray_npy::{NpzReader, ReadNpyExt, ReadableElement};

const CHUNKS: SlidingWindow = SlidingWindow { start: 0.0, duration: 10.0, step: 1.0 };
const FRAMES: SlidingWindow = SlidingWindow { start: 0.0, duration: 0.0619375, step: 0.016875 };
/// Recordings of 30 s to 24 minutes for which the results of every stage are available.
const RECORDINGS: [&str; 4] =
    ["01_dialogue", "02_pyannote_sample", "06_long_recording", "08_luyu_jinjing_freedom"];
const ANY: SpeakerBounds = SpeakerBounds { min: 1, max: None };

/// The largest difference; infinite if exactly one of two values is NaN.
fn largest_difference<D: Dimension>(a: &Array<f64, D>, b: &Array<f64, D>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let difference = |(a, b): (&f64, &f64)| match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) => (a - b).abs(),
        _ => f64::INFINITY,
    };
    a.iter().zip(b).map(difference).fold(0.0, f64::max)
}

/// Flips the columns of `found` whose sign differs from `expected`.
fn with_signs_of(mut found: Array2<f64>, expected: &Array2<f64>) -> Array2<f64> {
    for (mut found, expected) in found.columns_mut().into_iter().zip(expected.columns()) {
        found *= found.dot(&expected).signum();
    }
    found
}

fn community(parameters: Vbx, compat: Compat) -> Settings {
    let mut settings = Settings::community_1().with_method(Method::Vbx(parameters));
    settings.compat = compat;
    settings
}

/// Recording, models and results of the synthetic golden files.
struct Synthetic {
    results: Golden,
    plda: Plda,
    embeddings: Array3<f32>,
    segmentations: Array3<u8>,
    train: Array2<f32>,
}

impl Synthetic {
    fn open() -> Self {
        let (inputs, results) = (Golden::open("v4/vbx_inputs"), Golden::open("v4/vbx"));
        let plda = Plda {
            mean1: inputs.get("xvec_mean1"),
            lda: inputs.get("xvec_lda"),
            mean2: inputs.get("xvec_mean2"),
            mu: inputs.get("plda_mu"),
            tr: inputs.get("plda_tr"),
            psi: inputs.get("plda_psi"),
        };
        let embeddings: Array3<f32> = inputs.get("embeddings");
        let runs: Array3<i64> = inputs.get("segmentations_runs"); // (chunk, local speaker, first and length)
        let (chunks, speakers, _) = runs.dim();
        let mut segmentations = Array3::zeros((chunks, 589, speakers));
        for chunk in 0..chunks {
            for speaker in 0..speakers {
                let first = runs[[chunk, speaker, 0]] as usize;
                for frame in first..first + runs[[chunk, speaker, 1]] as usize {
                    segmentations[[chunk, frame, speaker]] = 1;
                }
            }
        }
        let (train_chunks, train_speakers): (Array1<i64>, Array1<i64>) =
            (results.get("train_chunk_idx"), results.get("train_speaker_idx"));
        let rows: Vec<usize> = train_chunks
            .iter()
            .zip(&train_speakers)
            .map(|(&chunk, &speaker)| chunk as usize * speakers + speaker as usize)
            .collect();
        let train = embeddings.to_shape((chunks * speakers, 256)).unwrap().select(Axis(0), &rows);
        Self { results, plda, embeddings, segmentations, train }
    }

    fn configs(&self) -> Vec<Vbx> {
        let configs = self.results.json("configs");
        let number = |config: &serde_json::Value, key: &str| config[key].as_f64().unwrap();
        let configs = configs.as_array().unwrap().iter();
        let parameters = configs.map(|config| Vbx {
            threshold: number(config, "threshold"),
            fa: number(config, "Fa"),
            fb: number(config, "Fb"),
            ..Vbx::default()
        });
        parameters.collect()
    }
}

#[test]
fn plda_features_match_pyannote() {
    let Synthetic { results, plda, train, .. } = Synthetic::open();
    plda.check().unwrap();
    let features = plda.features(train.view(), 128);
    assert!(largest_difference(&features.between, &results.get("phi")) < 1e-9);
    let expected: Array2<f64> = results.get("fea");
    let difference = largest_difference(&with_signs_of(features.values, &expected), &expected);
    assert!(difference < 1e-10, "{difference}");

    let first = plda.features(train.view(), 7);
    assert_eq!((first.values.dim(), first.between.len()), ((76, 7), 7));
}

#[test]
fn vbx_matches_pyannote_in_every_iteration() {
    let synthetic = Synthetic::open();
    let features = synthetic.plda.features(synthetic.train.view(), 128);
    for (index, parameters) in synthetic.configs().iter().enumerate() {
        let labels = vbx_first_labels(synthetic.train.view(), parameters);
        let expected: Array1<i32> = synthetic.results.get(&format!("ahc_{index}"));
        assert_eq!(Array1::from_iter(labels.iter().map(|&label| label as i32)), expected);

        let posteriors = vbx(&features, &labels, parameters);
        let bounds: Array1<f64> = synthetic.results.get(&format!("elbo_{index}"));
        let difference = largest_difference(&Array1::from(posteriors.bounds), &bounds);
        assert!(difference < 1e-7, "config {index}: bounds differ by {difference}");
        let shares: Array1<f64> = synthetic.results.get(&format!("pi_{index}"));
        let difference = largest_difference(&posteriors.shares, &shares);
        assert!(difference < 1e-10, "config {index}: shares differ by {difference}");
        // The golden file has f32 values.
        let expected: Array2<f32> = synthetic.results.get(&format!("gamma_{index}"));
        let difference = largest_difference(&posteriors.responsibilities, &expected.mapv(f64::from));
        assert!(difference < 1e-7, "config {index}: responsibilities differ by {difference}");
    }
}

#[test]
fn fb_exponent_scales_the_prior_of_vbx_with_the_number_of_embeddings() {
    let Synthetic { plda, train, .. } = Synthetic::open();
    let labels = vbx_first_labels(train.view(), &Vbx::default());
    for count in [19, 76] {
        let features = plda.features(train.slice(s![..count, ..]), 128);
        let growing = Vbx { fb: 0.3, fb_exponent: 0.5, ..Vbx::default() };
        let same = Vbx { fb: 0.3 * (count as f64).sqrt(), ..Vbx::default() };
        assert_eq!(vbx(&features, &labels[..count], &growing), vbx(&features, &labels[..count], &same));
        assert_ne!(
            vbx(&features, &labels[..count], &growing).bounds[0],
            vbx(&features, &labels[..count], &Vbx::default()).bounds[0]
        );
    }
}

/// If VBx's own number of speakers is used, the clusters equal pyannote's. Otherwise they come from
/// k-means, whose random numbers differ from scikit-learn's; the tests below check what is still equal.
#[test]
fn clusters_match_pyannote() {
    let synthetic = Synthetic::open();
    let mut own = 0;
    for (index, parameters) in synthetic.configs().into_iter().enumerate() {
        for (suffix, bounds) in [
            ("", ANY),
            ("_num_clusters3", SpeakerBounds { min: 3, max: Some(3) }),
            ("_min_clusters7", SpeakerBounds { min: 7, max: None }),
            ("_max_clusters2", SpeakerBounds { min: 1, max: Some(2) }),
        ] {
            let name = format!("{index}{suffix}");
            let found = cluster_speakers(
                synthetic.embeddings.view(),
                synthetic.segmentations.view(),
                bounds,
                &community(parameters, Compat::Pyannote),
                Some(&synthetic.plda),
            )
            .unwrap();
            let expected: Array2<f32> = synthetic.results.get(&format!("centroids_{name}"));
            assert_eq!(found.centroids.dim(), expected.dim(), "{name}");
            let auto: Array2<f32> = synthetic.results.get(&format!("centroids_{index}"));
            if auto.nrows() == expected.nrows() {
                assert_eq!(found.hard, synthetic.results.get::<i32, _>(&format!("hard_{name}")), "{name}");
                let near = (&found.centroids - &expected).iter().all(|difference| difference.abs() < 1e-6);
                assert!(near, "{name}: centroids are {}, not {expected}", found.centroids);
                own += 1;
            }
        }
    }
    assert_eq!(own, 8);
}

fn inertia(points: ArrayView2<'_, f64>, labels: &[usize]) -> f64 {
    let clusters = labels.iter().max().unwrap() + 1;
    let members =
        |cluster| points.rows().into_iter().zip(labels).filter(move |&(_, &label)| label == cluster);
    let spread = |cluster| {
        let mut mean: Array1<f64> = Array1::zeros(points.ncols());
        members(cluster).for_each(|(point, _)| mean += &point);
        mean /= members(cluster).count() as f64;
        members(cluster).map(|(point, _)| (&point - &mean).mapv(|x| x * x).sum()).sum::<f64>()
    };
    (0..clusters).map(spread).sum()
}

/// The golden file has five well-separated speakers, for which the clusters equal scikit-learn's. For other
/// numbers of clusters, the inertia is about as low.
#[test]
fn kmeans_is_as_good_as_scikit_learn() {
    let Synthetic { results, train, .. } = Synthetic::open();
    let points = normalized(train.view()).mapv(f64::from);
    for clusters in [2, 3, 5, 8] {
        let fit = kmeans(points.view(), clusters, &KMeans::default());
        let expected: Array1<i32> = results.get(&format!("kmeans_{clusters}"));
        let expected: Vec<usize> = expected.iter().map(|&label| label as usize).collect();
        let (own, theirs) = (inertia(points.view(), &fit.labels), inertia(points.view(), &expected));
        println!("{clusters} clusters: inertia {own}, scikit-learn {theirs}");
        assert!((fit.inertia - own).abs() < 1e-9);
        assert!(own < 1.03 * theirs, "{clusters} clusters: {own}, scikit-learn {theirs}");
        if clusters == 5 {
            for (a, b) in (0..train.nrows()).flat_map(|a| (0..a).map(move |b| (a, b))) {
                assert_eq!(fit.labels[a] == fit.labels[b], expected[a] == expected[b], "{a} and {b}");
            }
        }
        assert_eq!(fit, kmeans(points.view(), clusters, &KMeans::default()), "the same seed");
    }
}

/// pyannote fails if k-means is asked for more clusters than there are embeddings; without compatibility,
/// there are as many speakers as possible.
#[test]
fn more_speakers_than_embeddings() {
    let synthetic = Synthetic::open();
    let few = |array: &Array3<f32>| array.select(Axis(0), &[0, 1]);
    let (embeddings, segmentations) =
        (few(&synthetic.embeddings), synthetic.segmentations.select(Axis(0), &[0, 1]));
    for wanted in [6, usize::MAX] {
        let bounds = SpeakerBounds { min: wanted, max: Some(wanted) };
        let run = |compat| {
            let (settings, plda) = (community(Vbx::default(), compat), Some(&synthetic.plda));
            cluster_speakers(embeddings.view(), segmentations.view(), bounds, &settings, plda)
        };
        let error = run(Compat::Pyannote).unwrap_err();
        assert!(matches!(error, ClusteringError::TooFewEmbeddings { speakers, .. } if speakers == wanted));
        let Clusters { centroids, .. } = run(Compat::Off).unwrap();
        assert!((2..wanted).contains(&centroids.nrows()));
    }
}

/// In a recording of a few seconds, nobody speaks alone for a fifth of the chunk.
#[test]
fn a_short_recording_of_two_speakers() {
    let Synthetic { embeddings, plda, .. } = Synthetic::open();
    let embeddings = embeddings.select(Axis(0), &[0]);
    let mut segmentations = Array3::zeros((1, 589, 3));
    for frame in 0..80 {
        segmentations[[0, frame, 0]] = 1;
        segmentations[[0, 90 + frame, 1]] = 1;
    }
    let run = |compat| {
        let settings = community(Vbx::default(), compat);
        let bounds = SpeakerBounds { min: 2, max: Some(2) };
        cluster_speakers(embeddings.view(), segmentations.view(), bounds, &settings, Some(&plda)).unwrap()
    };
    assert_eq!(run(Compat::Pyannote).hard, array![[0, 0, 0]]);
    let hard = run(Compat::Off).hard;
    assert_ne!(hard[[0, 0]], hard[[0, 1]]);
}

#[test]
fn compatibility_makes_no_difference_for_ordinary_input() {
    let mut synthetic = Synthetic::open();
    synthetic.embeddings.mapv_inplace(|value| if value.is_nan() { 0.5 } else { value });
    let run = |compat| {
        let settings = community(Vbx::default(), compat);
        let (embeddings, segmentations) = (synthetic.embeddings.view(), synthetic.segmentations.view());
        cluster_speakers(embeddings, segmentations, ANY, &settings, Some(&synthetic.plda)).unwrap()
    };
    let (off, pyannote) = (run(Compat::Off), run(Compat::Pyannote));
    assert_eq!(off.hard, pyannote.hard);
    assert_eq!(off.soft, pyannote.soft);
}

#[test]
fn vbx_without_a_valid_plda_is_an_error() {
    let synthetic = Synthetic::open();
    let run = |plda: Option<&Plda>| {
        let (embeddings, segmentations) = (synthetic.embeddings.view(), synthetic.segmentations.view());
        cluster_speakers(embeddings, segmentations, ANY, &Settings::community_1(), plda).map(|_| ())
    };
    assert_eq!(run(None), Err(ClusteringError::NoPlda));
    let mut broken = synthetic.plda.clone();
    broken.psi[3] = f64::NAN;
    assert!(matches!(run(Some(&broken)), Err(ClusteringError::Plda { .. })));
    broken = Plda { mu: Array1::zeros(5), ..synthetic.plda.clone() };
    assert!(matches!(run(Some(&broken)), Err(ClusteringError::Plda { .. })));
}

mod needs_shared {
    use super::*;

    /// The arrays of an `.npz` file.
    struct Npz(NpzReader<File>);

    impl Npz {
        fn open(path: PathBuf) -> Self {
            Self(NpzReader::new(File::open(path).unwrap()).unwrap())
        }

        fn get<T: ReadableElement, D: Dimension>(&mut self, name: &str) -> Array<T, D> {
            self.0.by_name(name).unwrap_or_else(|error| panic!("{name}: {error}"))
        }
    }

    fn real_plda(folder: PathBuf) -> Plda {
        let mut transform = Npz::open(folder.join("xvec_transform.npz"));
        let mut plda = Npz::open(folder.join("plda.npz"));
        Plda {
            mean1: transform.get("mean1"),
            lda: transform.get::<f32, _>("lda").mapv(f64::from),
            mean2: transform.get::<f32, _>("mean2").mapv(f64::from),
            mu: plda.get("mu"),
            tr: plda.get("tr"),
            psi: plda.get("psi"),
        }
    }

    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn every_stage_matches_pyannote_on_real_recordings() {
        let plda = real_plda(shared("real/plda"));
        let dumps = shared("real/dumps/community-1");
        for name in RECORDINGS {
            check_recording(name, &dumps.join(name), &plda);
        }
    }

    /// With a quarter as many groups as embeddings, the turns equal those of the exact dendrogram.
    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn grouping_embeddings_gives_the_same_turns_on_real_recordings() {
        let dumps = shared("real/dumps/community-1");
        for name in RECORDINGS {
            let open = |file: &str| Npz::open(dumps.join(name).join(file));
            let embeddings: Array3<f32> = open("raw_embeddings.npz").get("embeddings");
            let segmentations: Array<f32, Ix3> = open("segmentations.npz").get("segmentations");
            let segmentations = segmentations.mapv(|active| active as u8);
            let count = speaker_count(segmentations.view(), CHUNKS, FRAMES);
            for (linkage, threshold) in [(Linkage::Centroid, 0.7045654963945799), (Linkage::Average, 0.6)] {
                let found = |max_embeddings| {
                    let parameters =
                        Agglomerative { linkage, threshold, max_embeddings, ..Default::default() };
                    let settings = Settings::default().with_method(Method::Agglomerative(parameters));
                    let (embeddings, segmentations) = (embeddings.view(), segmentations.view());
                    let mut hard =
                        cluster_speakers(embeddings, segmentations, ANY, &settings, None).unwrap().hard;
                    mark_inactive(&mut hard, segmentations);
                    let discrete =
                        reconstruct(segmentations, hard.view(), count.view(), None, CHUNKS, FRAMES, None);
                    turns(discrete.view(), FRAMES, 0.0, 0.0, Compat::Off).0
                };
                // With fewer, there would be about as many groups as clusters.
                let limit = (embeddings.dim().0 * 2 / 5).max(40);
                let score = compare(&found(20_000), &found(limit), None, &Rules::default()).score;
                let rate = score.diarization_error_rate();
                println!("{name}: {linkage:?}, {limit} groups: {:.3} % of the turns differ", 100.0 * rate);
                assert!(rate < 0.001, "{name}: {linkage:?}: {rate}");
            }
        }
    }

    fn check_recording(name: &str, folder: &std::path::Path, plda: &Plda) {
        let open = |file: &str| Npz::open(folder.join(file));
        let embeddings: Array3<f32> = open("raw_embeddings.npz").get("embeddings");
        let segmentations: Array<f32, Ix3> = open("segmentations.npz").get("segmentations");
        let segmentations = segmentations.mapv(|active| active as u8);
        let (chunks, speakers, dimension) = embeddings.dim();

        let mut stage = open("plda_embeddings.npz");
        let (train_chunks, train_speakers): (Array<i64, Ix1>, Array<i64, Ix1>) =
            (stage.get("train_chunk_idx"), stage.get("train_speaker_idx"));
        let rows: Vec<usize> = train_chunks
            .iter()
            .zip(&train_speakers)
            .map(|(&chunk, &speaker)| chunk as usize * speakers + speaker as usize)
            .collect();
        let train = embeddings.to_shape((chunks * speakers, dimension)).unwrap().select(Axis(0), &rows);
        let discriminants = largest_difference(&plda.discriminants(train.view()), &stage.get("post_xvec"));
        let features = plda.features(train.view(), 128);
        let between = largest_difference(&features.between, &stage.get("phi"));
        let expected: Array<f64, Ix2> = stage.get("post_plda");
        let values = largest_difference(&with_signs_of(features.values.clone(), &expected), &expected);
        assert!(discriminants.max(between).max(values) < 1e-10, "{name}: {discriminants} {between} {values}");

        let labels = vbx_first_labels(train.view(), &Vbx::default());
        let expected =
            Array1::<i64>::read_npy(File::open(folder.join("ahc_init_labels.npy")).unwrap()).unwrap();
        assert_eq!(
            Array1::from_iter(labels.iter().map(|&label| label as i64)),
            expected,
            "{name}: first labels"
        );

        let mut stage = open("vbx_state.npz");
        let posteriors = vbx(&features, &labels, &Vbx::default());
        let posterior = largest_difference(&posteriors.responsibilities, &stage.get("q_final"));
        let share = largest_difference(&posteriors.shares, &stage.get("sp_final"));
        let bound = largest_difference(&Array1::from(posteriors.bounds), &stage.get("elbo_trajectory"));
        assert!(posterior.max(share).max(bound) < 1e-6, "{name}: {posterior} {share} {bound}");

        let mut stage = open("clustering.npz");
        let expected: Array2<i32> = stage.get::<i8, _>("hard_clusters").mapv(i32::from);
        for compat in [Compat::Off, Compat::Pyannote] {
            let settings = community(Vbx::default(), compat);
            let found = cluster_speakers(embeddings.view(), segmentations.view(), ANY, &settings, Some(plda));
            let found = found.unwrap();
            assert_eq!(found.hard, expected, "{name}: hard clusters, {compat:?}");
            let soft = largest_difference(&found.soft, &stage.get("soft_clusters"));
            let centroids: Array2<f64> = stage.get("centroids");
            let centroid = largest_difference(&found.centroids.mapv(f64::from), &centroids);
            assert!(soft < 1e-9 && centroid < 1e-6, "{name}: {soft} {centroid}");
        }
        println!(
            "{name}: {} of {} embeddings; differences: features {values:.0e}, posteriors {posterior:.0e}, \
             shares {share:.0e}, bounds {bound:.0e}",
            train.nrows(),
            chunks * speakers,
        );
        check_turns(name, folder, expected, &segmentations);
    }

    /// From hard clusters to RTTM, for the overlapping and the exclusive diarization.
    fn check_turns(name: &str, folder: &std::path::Path, mut hard: Array2<i32>, segmentations: &Array3<u8>) {
        let mut stage = Npz::open(folder.join("reconstruction.npz"));
        mark_inactive(&mut hard, segmentations.view());
        let count = speaker_count(segmentations.view(), CHUNKS, FRAMES);
        let expected: Array2<u8> = stage.get("count");
        assert_eq!(count, expected.index_axis(Axis(1), 0), "{name}: count");
        let discrete = |count: &Array1<u8>| {
            reconstruct(segmentations.view(), hard.view(), count.view(), None, CHUNKS, FRAMES, None)
        };
        let overlapping = discrete(&count);
        let expected: Array2<f32> = stage.get("discrete_diarization");
        assert_eq!(overlapping.mapv(f32::from), expected, "{name}: discrete diarization");

        let text = std::fs::read_to_string(folder.join("reference.rttm")).unwrap();
        let uri = text.split_whitespace().nth(1).unwrap();
        let found = rttm(uri, &turns(overlapping.view(), FRAMES, 0.0, 0.0, Compat::Pyannote).0).unwrap();
        assert!(found == text, "{name}: the RTTM differs");

        let exclusive = discrete(&count.mapv(|count| count.min(1)));
        for ((exclusive, overlapping), &count) in
            exclusive.rows().into_iter().zip(overlapping.rows()).zip(&count)
        {
            assert_eq!(exclusive.sum(), count.min(1));
            assert!(exclusive.iter().zip(overlapping).all(|(&one, &all)| one <= all));
        }
    }
}
