//! The operations of clustering that run on a GPU if they are large enough, and those that can be stopped.

use candle_core::{Device, Result as TensorResult, Tensor};
use diarize_kernels::{
    cdist::{self, Metric},
    device::{is_out_of_memory, without_backtrace},
    kmeans::{Fit, KMeans},
    linkage::{Merge, device::centroid_on, linkage_while},
};
use ndarray::{Array2, ArrayView2};

use super::{ClusteringError, Linkage};

/// Minimum number of vectors for computing dendrograms and k-means on a GPU. With fewer, the CPU takes a
/// few hundredths of a second. Not tuned.
const FEWEST_VECTORS: usize = 2000;
/// Minimum number of distances for computing them on a GPU. Not tuned.
const FEWEST_DISTANCES: usize = 1_000_000;

/// The device on which the most expensive operations of clustering run. Before each operation, and before each
/// merge of a dendrogram on the CPU, clustering can be told to stop.
#[derive(Clone, Copy)]
pub struct ComputeDevice<'a> {
    kind: Kind<'a>,
    may_continue: &'a (dyn Fn() -> bool + Sync),
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    /// All operations run on the CPU.
    Cpu,
    /// Large operations run on a GPU, the rest on the CPU.
    Gpu(&'a Device),
    /// A GPU on which every operation fails.
    #[cfg(test)]
    Broken,
}

impl<'a> ComputeDevice<'a> {
    /// The CPU, never told to stop.
    #[cfg(any(test, feature = "unstable"))]
    pub(crate) const CPU: ComputeDevice<'static> = ComputeDevice { kind: Kind::Cpu, may_continue: &|| true };

    /// `device`, until `may_continue` returns `false`. It is called often and must be cheap.
    pub(crate) fn new(device: &'a Device, may_continue: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { kind: if device.is_cpu() { Kind::Cpu } else { Kind::Gpu(device) }, may_continue }
    }

    /// Returns an error if clustering was told to stop.
    pub(crate) fn check(&self) -> Result<(), ClusteringError> {
        if (self.may_continue)() { Ok(()) } else { Err(ClusteringError::Stopped) }
    }

    /// The dendrogram of groups of vectors with the given sizes from their distances, on the CPU.
    pub(super) fn linkage(
        &self,
        method: Linkage,
        distances: Vec<Vec<f64>>,
        sizes: &[usize],
    ) -> Result<Vec<Merge>, ClusteringError> {
        linkage_while(method, distances, sizes, self.may_continue).ok_or(ClusteringError::Stopped)
    }

    /// The dendrogram of centroid linkage of `rows` `(vector, dimension)` with Euclidean distances. Merges
    /// are in the same order on all devices.
    pub(super) fn centroid_linkage(&self, rows: ArrayView2<'_, f32>) -> Result<Vec<Merge>, ClusteringError> {
        match self.gpu(rows.nrows() >= FEWEST_VECTORS, "centroid linkage")? {
            None => self.linkage(Linkage::Centroid, cdist::euclidean_pairs(rows), &vec![1; rows.nrows()]),
            Some(device) => {
                centroid_on(device, rows.mapv(f64::from).view()).map_err(failed("centroid linkage"))
            }
        }
    }

    /// Runs k-means on `points` `(point, dimension)`, on the CPU in f64 or on a GPU in f32. Returns one fit
    /// per run.
    pub(super) fn kmeans(
        &self,
        runs: &KMeans,
        points: ArrayView2<'_, f64>,
    ) -> Result<Vec<Fit>, ClusteringError> {
        match self.gpu(points.nrows() >= FEWEST_VECTORS, "k-means")? {
            None => Ok(runs.fit_rows(points)),
            Some(device) => {
                let fits = on(device, points).and_then(|points| runs.fit(&points));
                fits.map_err(failed("k-means"))
            }
        }
    }

    /// The cosine distance between each row of `a` `(n, dimension)` and each row of `b` `(m, dimension)`:
    /// `(n, m)`, computed on the CPU in f64 or on a GPU in f32. NaN if either row is zero.
    pub(crate) fn cosine(
        &self,
        a: ArrayView2<'_, f32>,
        b: ArrayView2<'_, f64>,
    ) -> Result<Array2<f64>, ClusteringError> {
        match self.gpu(a.nrows() * b.nrows() >= FEWEST_DISTANCES, "distances")? {
            None => Ok(cdist::cosine(a, b)),
            Some(device) => cosine_on(device, a, b).map_err(failed("distances")),
        }
    }

    /// The GPU, if there is one and the operation is `large` enough for it. An error if clustering was told
    /// to stop.
    fn gpu(
        &self,
        large: bool,
        #[cfg_attr(not(test), expect(unused_variables))] operation: &'static str,
    ) -> Result<Option<&'a Device>, ClusteringError> {
        self.check()?;
        match self.kind {
            Kind::Gpu(device) if large => Ok(Some(device)),
            Kind::Cpu | Kind::Gpu(_) => Ok(None),
            #[cfg(test)]
            Kind::Broken => Err(failed(operation)(candle_core::Error::Msg("no kernel image".into()))),
        }
    }
}

fn cosine_on(device: &Device, a: ArrayView2<'_, f32>, b: ArrayView2<'_, f64>) -> TensorResult<Array2<f64>> {
    let distances = cdist::pairwise(&on(device, a.mapv(f64::from).view())?, &on(device, b)?, Metric::Cosine)?;
    let values: Vec<f32> = distances.flatten_all()?.to_vec1()?;
    let values = values.into_iter().map(f64::from).collect();
    Array2::from_shape_vec((a.nrows(), b.nrows()), values).map_err(candle_core::Error::wrap)
}

/// Copies an array to a device as a tensor of f32.
fn on(device: &Device, array: ArrayView2<'_, f64>) -> TensorResult<Tensor> {
    Tensor::from_vec(array.iter().map(|&x| x as f32).collect(), array.dim(), device)
}

fn failed(operation: &'static str) -> impl Fn(candle_core::Error) -> ClusteringError {
    move |error| ClusteringError::Device {
        operation,
        out_of_memory: is_out_of_memory(&error),
        reason: without_backtrace(error).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ndarray::Array2;

    use super::{ComputeDevice, Kind};
    use crate::{
        clustering::{Agglomerative, ClusteringError, KMeans, Linkage, Method, Settings, method::partition},
        options::SpeakerBounds,
    };

    const BROKEN: ComputeDevice<'_> = ComputeDevice { kind: Kind::Broken, may_continue: &|| true };

    /// Each method that can take long asks whether it may continue, more often the longer it takes, and
    /// returns at the first no.
    #[test]
    fn clustering_stops_when_told_to() {
        let rows = Array2::from_shape_fn((60, 4), |(row, axis)| ((row * 7 + axis * 3) % 11 + 1) as f32);
        let bounds = SpeakerBounds { min: 2, max: None };
        let linkages = [Linkage::Centroid, Linkage::Average, Linkage::Single];
        let trees = linkages.map(|linkage| Agglomerative { linkage, ..Agglomerative::default() });
        let grouped = Agglomerative { max_embeddings: 20, ..Agglomerative::default() };
        let agglomerative = trees.into_iter().chain([grouped]).map(|tree| (Method::Agglomerative(tree), 20));
        let spectral = Settings::named("spectral").unwrap().method;
        let online = Settings::named("online").unwrap().method;
        let others = [(Method::KMeans(KMeans::default()), 1), (spectral, 3), (online, 60)];
        for (method, least) in agglomerative.chain(others) {
            let calls = AtomicUsize::new(0);
            let until = |most: usize| {
                calls.store(0, Ordering::Relaxed);
                let may_continue = || calls.fetch_add(1, Ordering::Relaxed) < most;
                let device = ComputeDevice { kind: Kind::Cpu, may_continue: &may_continue };
                partition(rows.view(), bounds, &method, None, &device)
            };
            assert!(until(usize::MAX).is_ok());
            let all = calls.load(Ordering::Relaxed);
            assert!(all >= least, "{method:?}: {all} calls");
            for most in [0, all / 2, all - 1] {
                assert_eq!(
                    until(most).unwrap_err(),
                    ClusteringError::Stopped,
                    "{method:?} after {most} calls"
                );
            }
        }
    }

    #[test]
    fn the_error_of_a_failing_device_names_the_operation() {
        let rows = Array2::from_shape_fn((6, 2), |(row, axis)| ((row * 7 + axis * 3) % 5 + 1) as f32);
        let bounds = SpeakerBounds { min: 2, max: None };
        for (method, operation) in [
            (Method::Agglomerative(Agglomerative::default()), "centroid linkage"),
            (Method::KMeans(KMeans::default()), "k-means"),
            (Settings::named("spectral").unwrap().method, "k-means"),
        ] {
            let error = partition(rows.view(), bounds, &method, None, &BROKEN).unwrap_err();
            assert!(
                matches!(&error, ClusteringError::Device { operation: failed, .. } if failed == &operation),
                "{error}"
            );
            assert!(error.to_string().contains("no kernel image"), "{error}");
        }
        let rows64 = rows.mapv(f64::from);
        assert!(BROKEN.cosine(rows.view(), rows64.view()).is_err());
    }
}
