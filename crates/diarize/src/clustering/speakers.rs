//! Clustering local speakers into speakers of the recording, with any method.

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, Axis};

use super::{
    Assignment, ClusteringError, ComputeDevice, Settings,
    activity::Activity,
    labels,
    method::{Method, partition},
    plda::Plda,
    vbx_speakers::{VbxSpeakers, VbxStart, vbx_speakers},
};
use crate::{
    compat::Compat,
    math::{argmax, assign_distinct, cluster_means, norm, smallest},
    options::SpeakerBounds,
    stages::{Embeddings, Segmentations},
};

/// Number of embeddings compared with the centroids at once, which bounds the memory. On the CPU, it does not affect
/// the result.
const BLOCK: usize = 8192;

/// The clusters, and the cluster of each local speaker.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// `(chunk, local speaker)`: index of the cluster, also for local speakers who never speak;
    /// [`crate::math::INACTIVE`] for those left over.
    pub hard: Array2<i32>,
    /// `(chunk, local speaker, cluster)`: 2 minus the cosine distance between embedding and centroid. Where
    /// silent local speakers must not take clusters away from others, theirs is lower than all others.
    #[cfg_attr(not(feature = "unstable"), expect(dead_code, reason = "tests compare it with pyannote's"))]
    pub soft: Array3<f64>,
    /// `(chunk, local speaker)`: how much nearer the embedding is to the mean of its own cluster than to
    /// that of any other, from -1 to 1 (see `stages/confidence.rs`); 1 if no clustering was needed.
    pub separation: Array2<f32>,
    /// `(cluster, dimension)`: mean of the embeddings clustered together, not normalized.
    pub centroids: Array2<f32>,
}

/// Clusters the embeddings of local speakers who speak enough, then assigns all local speakers to the
/// clusters.
///
/// Only VBx needs `plda`, and the number of `independent` embeddings as which each counts: the step between chunks in
/// durations of a chunk. Embeddings that are zero or not finite are not clustered. (pyannote skips those
/// with NaN and fails on the others.)
///
/// Source: `BaseClustering.__call__` and `VBxClustering.__call__` in
/// `pyannote/audio/pipelines/clustering.py`, version 4.0.
///
/// # Errors
/// For VBx, if the PLDA model is missing or invalid; with [`Compat::Pyannote`], if more speakers are
/// requested than there are embeddings; if the device fails.
///
/// # Panics
/// If embeddings and segmentations differ in the number of chunks or local speakers, or if the PLDA model
/// expects embeddings of another dimension.
pub fn cluster_speakers(
    embeddings: &Embeddings,
    segmentations: &Segmentations,
    bounds: SpeakerBounds,
    settings: &Settings,
    plda: Option<&Plda>,
    independent: f64,
    device: &ComputeDevice<'_>,
) -> Result<Clusters, ClusteringError> {
    let shape @ (chunks, speakers) = (embeddings.chunks(), embeddings.speakers());
    assert_eq!(shape, (segmentations.chunks(), segmentations.speakers()), "chunks and local speakers");
    let activity = Activity::of(segmentations);
    let places = training(embeddings, &activity, bounds, settings);

    let Some(Centroids { means, forced }) =
        centroids(embeddings, &places, bounds, settings, plda, independent, device)?
    else {
        let train = embeddings.select(places.into_iter()); // (embedding, dimension)
        return Ok(Clusters {
            hard: Array2::zeros(shape),
            soft: Array3::ones((chunks, speakers, 1)),
            separation: Array2::ones(shape),
            centroids: cluster_means(train.view(), &vec![0; train.nrows()], 1),
        });
    };
    let mut soft = similarities(embeddings, means.view(), device)?; // (chunk, local speaker, cluster)
    let hard = match settings.assignment {
        Assignment::Distinct if settings.compat == Compat::Off && means.nrows() == 1 => Array2::zeros(shape),
        Assignment::Distinct if !forced => {
            if settings.compat == Compat::Off || matches!(settings.method, Method::Vbx(_)) {
                put_silent_last(&mut soft, &activity.speaks, settings.compat);
            }
            assign_distinct(soft.view())
        }
        _ => soft.map_axis(Axis(2), |similarities| argmax(similarities.iter().copied()) as i32),
    };
    Ok(Clusters {
        separation: separation(&soft, &hard),
        hard,
        soft,
        centroids: means.mapv(|value| value as f32),
    })
}

/// Indices of the embeddings to cluster.
fn training(
    embeddings: &Embeddings,
    activity: &Activity,
    bounds: SpeakerBounds,
    settings: &Settings,
) -> Vec<usize> {
    let usable = |min_alone| {
        let mut places = activity.training(min_alone);
        places.retain(|&place| {
            let norm = norm(embeddings.select([place].into_iter()).row(0));
            norm > 0.0 && norm.is_finite()
        });
        places
    };
    let places = usable(settings.min_alone);
    match settings.compat {
        Compat::Off if places.len() < bounds.min.max(2) => usable(0.0),
        _ => places,
    }
}

/// The centroids that embeddings are compared with.
struct Centroids {
    /// `(cluster, dimension)`.
    means: Array2<f64>,
    /// Whether the bounds forced a different number of clusters than VBx found.
    forced: bool,
}

/// The centroids of the clusters of the embeddings at `places`; `None` if no clustering is needed.
fn centroids(
    embeddings: &Embeddings,
    places: &[usize],
    bounds: SpeakerBounds,
    settings: &Settings,
    plda: Option<&Plda>,
    independent: f64,
    device: &ComputeDevice<'_>,
) -> Result<Option<Centroids>, ClusteringError> {
    let train = embeddings.select(places.iter().copied()); // (embedding, dimension)
    if let Method::Vbx(parameters) = &settings.method {
        if train.nrows() < 2 {
            return Ok(None);
        }
        let start = VbxStart::of(train.view(), parameters, plda, device)?;
        // VBx needs much memory for long recordings, so the embeddings are not kept meanwhile.
        drop(train);
        let posteriors = start.run(parameters, device)?;
        let train = embeddings.select(places.iter().copied());
        let VbxSpeakers { centroids, forced, .. } = vbx_speakers(
            train.view(),
            &posteriors,
            bounds,
            parameters,
            independent,
            settings.compat,
            device,
        )?;
        return Ok(Some(Centroids { means: centroids, forced }));
    }
    let most = train.nrows().min(bounds.max.unwrap_or(usize::MAX));
    if most < 2 {
        return Ok(None);
    }
    let labels = partition(train.view(), bounds, &settings.method, plda, device)?;
    let means = cluster_means(train.view(), &labels, labels::count(&labels)).mapv(f64::from);
    Ok(Some(Centroids { means, forced: false }))
}

/// 2 minus the cosine distance between each embedding and each centroid: `(chunk, local speaker, cluster)`.
fn similarities(
    embeddings: &Embeddings,
    means: ArrayView2<'_, f64>,
    device: &ComputeDevice<'_>,
) -> Result<Array3<f64>, ClusteringError> {
    let (chunks, speakers, clusters) = (embeddings.chunks(), embeddings.speakers(), means.nrows());
    let mut soft = Array2::zeros((chunks * speakers, clusters)); // (chunk * local speaker, cluster)
    for (index, block) in soft.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate() {
        let mut block: ArrayViewMut2<'_, f64> = block;
        let first = index * BLOCK;
        let rows = embeddings.select(first..first + block.nrows()); // (embedding, dimension)
        block.assign(&(2.0 - device.cosine(rows.view(), means)?));
    }
    Ok(soft.into_shape_with_order((chunks, speakers, clusters)).expect("the number of values is the same"))
}

/// Makes silent local speakers less similar to every cluster than all active ones, so that they do not take
/// clusters away from them. NaN counts as the smallest similarity. With [`Compat::Pyannote`], if there is
/// any NaN, silent local speakers also get NaN and thus the smallest similarity.
fn put_silent_last(similarities: &mut Array3<f64>, speaks: &Array2<bool>, compat: Compat) {
    let lowest = smallest(similarities.view());
    let has_nan = similarities.iter().any(|similarity| similarity.is_nan());
    let silent = match compat {
        Compat::Pyannote if has_nan => f64::NAN,
        Compat::Off | Compat::Pyannote => lowest - 1.0,
    };
    for (mut row, &speaks) in similarities.lanes_mut(Axis(2)).into_iter().zip(speaks) {
        if !speaks {
            row.fill(silent);
        } else if compat == Compat::Off {
            row.mapv_inplace(|similarity| if similarity.is_nan() { lowest } else { similarity });
        }
    }
}

/// How much nearer each local speaker is to its own cluster than to any other: `(r - d) / max(r, d)`, where
/// `d` is the cosine distance to the own mean and `r` that to the nearest other, but at most 1. 0 for those
/// without a cluster or with an embedding that is zero or not finite. `similarities` are 2 minus the
/// distances.
fn separation(similarities: &Array3<f64>, hard: &Array2<i32>) -> Array2<f32> {
    let mut separation = Array2::zeros(hard.dim());
    let rows = similarities.lanes(Axis(2)).into_iter().zip(hard);
    for (separation, (similarities, &cluster)) in separation.iter_mut().zip(rows) {
        let Ok(cluster) = usize::try_from(cluster) else { continue };
        let others = similarities.iter().enumerate().filter(|&(other, _)| other != cluster);
        let own = 2.0 - similarities[cluster];
        let rival = others.map(|(_, similarity)| 2.0 - similarity).fold(1.0, f64::min);
        let larger = own.max(rival);
        if larger > 0.0 && own.is_finite() {
            *separation = ((rival - own) / larger) as f32;
        }
    }
    separation
}
