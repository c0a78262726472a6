//! Properties that hold for every clustering method.

use std::collections::{BTreeMap, BTreeSet};

use diarize::{
    clustering::{Agglomerative, ClusteringError, KMeans, Linkage, Method, Neighbors, Online, Spectral, Vbx},
    unstable::{Plda, SpeakerBounds, partition},
};
use diarize_testkit::Random;
use ndarray::{Array1, Array2, Axis};

const DIMENSION: usize = 24;
/// Number of groups into which agglomerative clustering merges larger numbers of embeddings.
const GROUPS: usize = 35;
const ANY: SpeakerBounds = SpeakerBounds { min: 1, max: None };

fn methods() -> Vec<Method> {
    let agglomerative = |linkage| {
        Method::Agglomerative(Agglomerative { linkage, min_cluster_size: 1, ..Agglomerative::default() })
    };
    let mut methods: Vec<Method> = Linkage::ALL.into_iter().map(agglomerative).collect();
    let grouped = |linkage| {
        let parameters = Agglomerative { linkage, min_cluster_size: 1, ..Agglomerative::default() };
        Method::Agglomerative(Agglomerative { max_embeddings: GROUPS, ..parameters })
    };
    methods.extend(Linkage::ALL.into_iter().map(grouped));
    methods.push(Method::Vbx(Vbx::default()));
    methods.push(Method::KMeans(KMeans::default()));
    methods.push(Method::Spectral(Spectral::default()));
    methods.push(Method::Spectral(Spectral { neighbors: Neighbors::Share(0.2), ..Spectral::default() }));
    methods.push(Method::Spectral(Spectral { neighbors: Neighbors::Count(8), ..Spectral::default() }));
    methods.push(Method::Spectral(Spectral { max_embeddings: 40, ..Spectral::default() }));
    methods.push(Method::Online(Online::default()));
    methods
}

/// A model in which the variance between speakers is equal in all directions.
fn plda() -> Plda {
    Plda {
        mean1: Array1::zeros(DIMENSION),
        lda: Array2::eye(DIMENSION),
        mean2: Array1::zeros(DIMENSION),
        mu: Array1::zeros(DIMENSION),
        tr: Array2::eye(DIMENSION) * 3.0,
        psi: Array1::from_elem(DIMENSION, 10.0),
    }
}

/// Embeddings of well-separated speakers, in random order and with various lengths.
fn speakers(counts: &[usize], random: &mut Random) -> (Array2<f32>, Vec<usize>) {
    let mut truth: Vec<usize> =
        counts.iter().enumerate().flat_map(|(speaker, &count)| vec![speaker; count]).collect();
    for index in (1..truth.len()).rev() {
        let other = ((random.signed() + 1.0) / 2.0 * (index + 1) as f32) as usize;
        truth.swap(index, other);
    }
    let mut embeddings = Array2::zeros((truth.len(), DIMENSION));
    for (mut embedding, &speaker) in embeddings.rows_mut().into_iter().zip(&truth) {
        let noise = Array1::from(random.vector(DIMENSION, 0.12));
        let length = 1.5 + random.signed();
        embedding.assign(&noise);
        embedding[speaker] += 1.0;
        embedding *= length;
    }
    (embeddings, truth)
}

fn labels(embeddings: &Array2<f32>, bounds: SpeakerBounds, method: &Method) -> Vec<usize> {
    let labels = partition(embeddings.view(), bounds, method, Some(&plda())).unwrap();
    assert_eq!(labels.len(), embeddings.nrows());
    let found: BTreeSet<usize> = labels.iter().copied().collect();
    assert!(found.iter().copied().eq(0..found.len()), "{method:?}: {labels:?} has gaps");
    labels
}

/// Whether two labelings are equal up to renumbering.
fn same(a: &[usize], b: &[usize]) -> bool {
    let (mut there, mut back) = (BTreeMap::new(), BTreeMap::new());
    a.iter().zip(b).all(|(a, b)| *there.entry(a).or_insert(b) == b && *back.entry(b).or_insert(a) == a)
}

/// k-means needs the number of speakers. So does Ward linkage, whose distances grow with the size of the
/// clusters, and spectral clustering of a subset with few embeddings per speaker.
fn bounds_for(method: &Method, speakers: usize) -> SpeakerBounds {
    match method {
        Method::KMeans(_) | Method::Agglomerative(Agglomerative { linkage: Linkage::Ward, .. }) => {
            SpeakerBounds { min: speakers, max: Some(speakers) }
        }
        Method::Spectral(Spectral { max_embeddings: 40, .. }) => {
            SpeakerBounds { min: speakers, max: Some(speakers) }
        }
        _ => ANY,
    }
}

#[test]
fn well_separated_speakers_are_found_in_any_order() {
    let mut random = Random(20);
    for counts in [&[30, 30][..], &[40, 25, 15], &[20, 20, 20, 20, 20]] {
        let (embeddings, truth) = speakers(counts, &mut random);
        let reversed: Vec<usize> = (0..truth.len()).rev().collect();
        let turned = embeddings.select(Axis(0), &reversed);
        for method in methods() {
            let bounds = bounds_for(&method, counts.len());
            let found = labels(&embeddings, bounds, &method);
            assert!(same(&found, &truth), "{method:?}: {found:?}, not {truth:?}");
            assert_eq!(found, labels(&embeddings, bounds, &method), "{method:?}: again");
            let mut back = labels(&turned, bounds, &method);
            back.reverse();
            assert!(same(&back, &truth), "{method:?}: permuted");
        }
    }
}

#[test]
fn every_number_of_speakers_can_be_requested() {
    let (embeddings, _) = speakers(&[5, 4, 3], &mut Random(21));
    let count = embeddings.nrows();
    for method in methods() {
        for wanted in 1..=count + 5 {
            let exact = labels(&embeddings, SpeakerBounds { min: wanted, max: Some(wanted) }, &method);
            let found = exact.iter().max().unwrap() + 1;
            // Inversions (centroid and median linkage) or clustering a subset may prevent some numbers of
            // clusters.
            if wanted <= count && matches!(method, Method::KMeans(_) | Method::Vbx(_)) {
                assert_eq!(found, wanted, "{method:?}");
            }
            assert!(found <= wanted.min(count), "{method:?}: {found} for {wanted}");
            if wanted == 3 {
                assert_eq!(found, 3, "{method:?}: the three speakers are far apart");
            }
            labels(&embeddings, SpeakerBounds { min: wanted, max: None }, &method);
            let most = labels(&embeddings, SpeakerBounds { min: 1, max: Some(wanted) }, &method);
            assert!(most.iter().max().unwrap() < &wanted, "{method:?}");
        }
    }
}

#[test]
fn duplicates_stay_together() {
    let (embeddings, _) = speakers(&[6, 6, 6], &mut Random(22));
    let twice: Vec<usize> = (0..18).chain(0..18).collect();
    let twice = embeddings.select(Axis(0), &twice);
    for method in methods() {
        let found = labels(&twice, bounds_for(&method, 3), &method);
        assert_eq!(found[..18], found[18..], "{method:?}");
    }
    let equal = Array2::ones((30, DIMENSION));
    for method in methods() {
        assert_eq!(labels(&equal, ANY, &method), vec![0; 30], "{method:?}");
        for wanted in [2, 30, 35] {
            labels(&equal, SpeakerBounds { min: wanted, max: Some(wanted) }, &method);
        }
    }
}

#[test]
fn few_embeddings() {
    for method in methods() {
        for count in [0, 1, 2, 3] {
            let orthogonal = Array2::from_shape_fn((count, DIMENSION), |(i, j)| f32::from(i == j));
            labels(&orthogonal, ANY, &method);
            for wanted in 1..=count + 5 {
                let exact = labels(&orthogonal, SpeakerBounds { min: wanted, max: Some(wanted) }, &method);
                if wanted >= count {
                    assert_eq!(exact.iter().collect::<BTreeSet<_>>().len(), count, "{method:?}");
                }
            }
        }
    }
}

#[test]
fn embeddings_that_are_zero_or_not_finite_are_rejected() {
    for value in [f32::NAN, f32::INFINITY, 0.0] {
        let mut embeddings = Array2::ones((5, DIMENSION));
        embeddings.row_mut(3).fill(value);
        for method in methods() {
            let result = partition(embeddings.view(), ANY, &method, Some(&plda()));
            assert_eq!(result.unwrap_err(), ClusteringError::NoDirection { row: 3 }, "{method:?}");
        }
    }
}

/// Uses enough embeddings for sparse graphs with the Lanczos method, and for several stretches of groups.
#[test]
fn many_embeddings() {
    // Two stretches that are clustered by themselves.
    let large = speakers(&[1500, 900, 600, 40], &mut Random(23));
    // More than fit into a dense matrix of spectral clustering.
    let medium = speakers(&[450, 270, 180, 40], &mut Random(23));
    let agglomerative = Agglomerative { max_embeddings: 300, ..Agglomerative::default() };
    let average = Agglomerative { linkage: Linkage::Average, threshold: 0.5, ..agglomerative };
    for ((embeddings, truth), method) in [
        (&large, Method::Agglomerative(agglomerative)),
        (&large, Method::Agglomerative(average)),
        (&medium, Method::Spectral(Spectral::default())),
        (&medium, Method::Spectral(Spectral { neighbors: Neighbors::Count(50), ..Spectral::default() })),
        // The last speaker speaks too rarely for a higher support within the delay.
        (&large, Method::Online(Online { support: 1, ..Online::default() })),
    ] {
        let found = labels(embeddings, ANY, &method);
        assert!(same(&found, truth), "{method:?}: {} clusters", found.iter().max().unwrap() + 1);
        // A dendrogram does not necessarily contain every number of large clusters.
        let agglomerative = matches!(method, Method::Agglomerative(_));
        for wanted in [2, 7].into_iter().take(if agglomerative { 1 } else { 2 }) {
            let exact = SpeakerBounds { min: wanted, max: Some(wanted) };
            assert_eq!(labels(embeddings, exact, &method).iter().max().unwrap() + 1, wanted, "{method:?}");
        }
    }
}

/// The label of an embedding is final once `delay` more embeddings have been processed.
#[test]
fn labels_of_online_clustering_are_final_after_the_delay() {
    let (embeddings, _) = speakers(&[40, 30, 20, 10], &mut Random(24));
    for parameters in [Online::default(), Online { delay: 3, threshold: 0.2, support: 2 }] {
        let method = Method::Online(parameters);
        let all = labels(&embeddings, ANY, &method);
        for count in parameters.delay..=embeddings.nrows() {
            let heard = embeddings.select(Axis(0), &(0..count).collect::<Vec<_>>());
            let decided = count - parameters.delay;
            let found = labels(&heard, ANY, &method);
            assert!(same(&found[..decided], &all[..decided]), "{parameters:?}: after {count}");
        }
    }
}
