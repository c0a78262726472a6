//! The whole step from local speakers to speakers of the recording, with any method.

use diarize_kernels::cdist;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};

use super::{
    Assignment, ClusteringError, Clusters, Compat, Mismatch, Settings, argmax,
    assignment::{assign_distinct, smallest},
    community::{VbxSpeakers, vbx_speakers},
    labels,
    method::{Method, partition},
    plda::Plda,
    separation,
    sums::{cluster_means, norm},
    training::Activity,
};
use crate::options::SpeakerBounds;

/// Clusters `embeddings` `(chunk, local speaker, dimension)` of the local speakers of `segmentations`
/// `(chunk, frame, local speaker)`, and assigns all of them to the clusters.
///
/// `plda` is needed by VBx alone. Embeddings that are zero or not finite are not clustered. (pyannote
/// leaves out those with NaN and fails on the others.)
///
/// Source: `BaseClustering.__call__` and `VBxClustering.__call__` in
/// `pyannote/audio/pipelines/clustering.py`, version 4.0.
///
/// # Errors
/// VBx without a PLDA model or with a broken one; with [`Compat::Pyannote`], more speakers asked for
/// than there are embeddings.
///
/// # Panics
/// If the two arrays differ in chunks or local speakers, or the PLDA model is for embeddings of
/// another size.
pub fn cluster_speakers(
    embeddings: ArrayView3<'_, f32>,
    segmentations: ArrayView3<'_, u8>,
    bounds: SpeakerBounds,
    settings: &Settings,
    plda: Option<&Plda>,
) -> Result<Clusters, ClusteringError> {
    let (chunks, speakers, dimension) = embeddings.dim();
    assert_eq!(
        (chunks, speakers),
        (segmentations.dim().0, segmentations.dim().2),
        "chunks and local speakers"
    );
    let embeddings =
        embeddings.to_shape((chunks * speakers, dimension)).expect("the number of values is the same");
    let activity = Activity::of(segmentations);
    let train = embeddings.select(Axis(0), &training(embeddings.view(), &activity, bounds, settings)); // (embedding, dimension)

    let Centroids { means, forced, mismatch } = match centroids(train.view(), bounds, settings, plda)? {
        Some(centroids) => centroids,
        None => {
            return Ok(Clusters {
                hard: Array2::zeros((chunks, speakers)),
                soft: Array3::ones((chunks, speakers, 1)),
                separation: Array2::ones((chunks, speakers)),
                centroids: cluster_means(train.view(), &vec![0; train.nrows()], 1),
                mismatch: (bounds.min > 1).then_some(Mismatch { wanted: bounds.min, found: 1 }),
            });
        }
    };
    let soft = 2.0 - cdist::cosine(embeddings.view(), means.view()); // (chunk * local speaker, cluster)
    let mut soft = soft
        .into_shape_with_order((chunks, speakers, means.nrows()))
        .expect("the number of values is the same");
    let hard = match settings.assignment {
        Assignment::Distinct if settings.compat == Compat::Off && means.nrows() == 1 => {
            Array2::zeros((chunks, speakers))
        }
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

/// The rows of `embeddings` to cluster.
fn training(
    embeddings: ArrayView2<'_, f32>,
    activity: &Activity,
    bounds: SpeakerBounds,
    settings: &Settings,
) -> Vec<usize> {
    let usable = |min_alone| {
        let mut rows = activity.training(min_alone);
        rows.retain(|&row| {
            let norm = norm(embeddings.row(row));
            norm > 0.0 && norm.is_finite()
        });
        rows
    };
    let rows = usable(settings.min_alone);
    match settings.compat {
        Compat::Off if rows.len() < bounds.min.max(2) => usable(0.0),
        _ => rows,
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

/// The clusters of the embeddings `(embedding, dimension)`; `None` where there is nothing to decide.
fn centroids(
    train: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    settings: &Settings,
    plda: Option<&Plda>,
) -> Result<Option<Centroids>, ClusteringError> {
    if let Method::Vbx(parameters) = &settings.method {
        if train.nrows() < 2 {
            return Ok(None);
        }
        let VbxSpeakers { centroids, forced, mismatch, .. } =
            vbx_speakers(train, bounds, parameters, plda, settings.compat)?;
        return Ok(Some(Centroids { means: centroids, forced, mismatch }));
    }
    let most = train.nrows().min(bounds.max.unwrap_or(usize::MAX));
    if most < 2 {
        return Ok(None);
    }
    let (labels, mismatch) = partition(train, bounds, &settings.method, plda)?;
    let means = cluster_means(train, &labels, labels::count(&labels)).mapv(f64::from);
    Ok(Some(Centroids { means, forced: false, mismatch }))
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
