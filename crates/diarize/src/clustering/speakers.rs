//! The whole step from local speakers to speakers of the recording, with any method.

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, Axis};

use super::{
    Assignment, ClusteringError, ComputeDevice, Mismatch, Settings,
    activity::Activity,
    labels,
    method::{Method, partition},
    plda::Plda,
    vbx_speakers::{VbxSpeakers, vbx_speakers},
};
use crate::{
    math::{argmax, assign_distinct, cluster_means, norm, smallest},
    options::{Compat, SpeakerBounds},
    stages::{Embeddings, Segmentations},
};

/// Embeddings compared with the centroids at once. Bounds the memory; the result does not depend on it.
const BLOCK: usize = 8192;

/// Which local speakers are the same person.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// `(chunk, local speaker)`: the cluster, from 0, also of local speakers who never speak;
    /// [`crate::math::INACTIVE`] for those who were left over.
    pub hard: Array2<i32>,
    /// `(chunk, local speaker, cluster)`: 2 minus the cosine distance of embedding and centroid. For
    /// those who never speak, where they must take no cluster from others, less than all others.
    #[cfg_attr(not(feature = "unstable"), expect(dead_code, reason = "tests compare it with pyannote's"))]
    pub soft: Array3<f64>,
    /// `(chunk, local speaker)`: how much nearer the embedding is to the mean of its own cluster than to
    /// any other's, from -1 to 1 (see `stages/confidence.rs`); 1 if there was nothing to decide.
    pub separation: Array2<f32>,
    /// `(cluster, dimension)`: mean of the embeddings, not normalized, that were clustered together.
    pub centroids: Array2<f32>,
    /// Set if the bounds could not be kept.
    pub mismatch: Option<Mismatch>,
}

/// Clusters the embeddings of local speakers who say enough, and assigns all local speakers to the
/// clusters.
///
/// Only VBx needs `plda`. Embeddings that are zero or not finite are not clustered. (pyannote leaves out
/// those with NaN and fails on the others.)
///
/// Source: `BaseClustering.__call__` and `VBxClustering.__call__` in
/// `pyannote/audio/pipelines/clustering.py`, version 4.0.
///
/// # Errors
/// VBx without a PLDA model or with a broken one; with [`Compat::Pyannote`], more speakers asked for
/// than there are embeddings; a failure of the device.
///
/// # Panics
/// If embeddings and segmentations differ in chunks or local speakers, or the PLDA model is for
/// embeddings of another size.
pub fn cluster_speakers(
    embeddings: &Embeddings,
    segmentations: &Segmentations,
    bounds: SpeakerBounds,
    settings: &Settings,
    plda: Option<&Plda>,
    place: &ComputeDevice<'_>,
) -> Result<Clusters, ClusteringError> {
    let shape @ (chunks, speakers) = (embeddings.chunks(), embeddings.speakers());
    assert_eq!(shape, (segmentations.chunks(), segmentations.speakers()), "chunks and local speakers");
    let activity = Activity::of(segmentations);
    let train = embeddings.select(training(embeddings, &activity, bounds, settings).into_iter()); // (embedding, dimension)

    let Some(Centroids { means, forced, mismatch }) = centroids(train.view(), bounds, settings, plda, place)?
    else {
        return Ok(Clusters {
            hard: Array2::zeros(shape),
            soft: Array3::ones((chunks, speakers, 1)),
            separation: Array2::ones(shape),
            centroids: cluster_means(train.view(), &vec![0; train.nrows()], 1),
            mismatch: (bounds.min > 1).then_some(Mismatch { wanted: bounds.min, found: 1 }),
        });
    };
    drop(train);
    let mut soft = similarities(embeddings, means.view(), place)?; // (chunk, local speaker, cluster)
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
        mismatch,
    })
}

/// The places of the embeddings to cluster.
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

/// What the embeddings are compared with.
struct Centroids {
    /// `(cluster, dimension)`.
    means: Array2<f64>,
    /// Whether VBx found another number of clusters.
    forced: bool,
    mismatch: Option<Mismatch>,
}

/// The clusters of the embeddings `(embedding, dimension)`; `None` if there is nothing to decide.
fn centroids(
    train: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    settings: &Settings,
    plda: Option<&Plda>,
    place: &ComputeDevice<'_>,
) -> Result<Option<Centroids>, ClusteringError> {
    if let Method::Vbx(parameters) = &settings.method {
        if train.nrows() < 2 {
            return Ok(None);
        }
        let VbxSpeakers { centroids, forced, mismatch, .. } =
            vbx_speakers(train, bounds, parameters, plda, settings.compat, place)?;
        return Ok(Some(Centroids { means: centroids, forced, mismatch }));
    }
    let most = train.nrows().min(bounds.max.unwrap_or(usize::MAX));
    if most < 2 {
        return Ok(None);
    }
    let (labels, mismatch) = partition(train, bounds, &settings.method, plda, place)?;
    let means = cluster_means(train, &labels, labels::count(&labels)).mapv(f64::from);
    Ok(Some(Centroids { means, forced: false, mismatch }))
}

/// 2 minus the cosine distance of every embedding and every centroid: `(chunk, local speaker, cluster)`.
fn similarities(
    embeddings: &Embeddings,
    means: ArrayView2<'_, f64>,
    place: &ComputeDevice<'_>,
) -> Result<Array3<f64>, ClusteringError> {
    let (chunks, speakers, clusters) = (embeddings.chunks(), embeddings.speakers(), means.nrows());
    let mut soft = Array2::zeros((chunks * speakers, clusters)); // (chunk * local speaker, cluster)
    for (index, block) in soft.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate() {
        let mut block: ArrayViewMut2<'_, f64> = block;
        let first = index * BLOCK;
        let rows = embeddings.select(first..first + block.nrows()); // (embedding, dimension)
        block.assign(&(2.0 - place.cosine(rows.view(), means)?));
    }
    Ok(soft.into_shape_with_order((chunks, speakers, clusters)).expect("the number of values is the same"))
}

/// Makes those who do not speak less similar to every cluster than all who do, so that they take no
/// cluster from them. NaN counts as the smallest similarity; in pyannote it makes them as similar as
/// the least similar.
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

/// How much nearer each local speaker is to its own cluster than to any other: `(r - d) / max(r, d)` of
/// the cosine distances `d` from the own mean and `r` from the nearest other, at most 1. 0 for those who
/// belong to no cluster or have no direction. `similarities` are 2 minus the distances.
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
