//! The operations of clustering that run on a GPU if they are large enough.

use candle_core::{Device, Result as TensorResult, Tensor};
use diarize_kernels::{
    cdist::{self, Metric},
    device::{is_out_of_memory, without_backtrace},
    kmeans::{Fit, KMeans},
    linkage::{Merge, device::centroid_on, linkage},
};
use ndarray::{Array2, ArrayView2};

use super::{ClusteringError, Linkage};

/// Minimum number of vectors for computing dendrograms and k-means on a GPU. With fewer, the CPU takes a
/// few hundredths of a second. Not tuned.
const FEWEST_VECTORS: usize = 2000;
/// Minimum number of distances for computing them on a GPU. Not tuned.
const FEWEST_DISTANCES: usize = 1_000_000;

/// Where the most expensive operations of clustering run.
#[derive(Clone, Copy, Debug)]
pub enum ComputeDevice<'a> {
    /// All operations on the CPU.
    Cpu,
    /// Large operations on a GPU, the rest on the CPU.
    Gpu(&'a Device),
    /// A GPU on which every operation fails.
    #[cfg(test)]
    Broken,
}

impl<'a> ComputeDevice<'a> {
    pub(crate) fn on(device: &'a Device) -> Self {
        if device.is_cpu() { Self::Cpu } else { Self::Gpu(device) }
    }

    /// The dendrogram of centroid linkage of `rows` `(vector, dimension)` with Euclidean distances. Merges
    /// are in the same order on all devices.
    pub(super) fn centroid_linkage(&self, rows: ArrayView2<'_, f32>) -> Result<Vec<Merge>, ClusteringError> {
        match self.gpu(rows.nrows() >= FEWEST_VECTORS, "centroid linkage")? {
            None => Ok(linkage(Linkage::Centroid, cdist::euclidean_condensed(rows), rows.nrows())),
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

    /// The GPU, if there is one and the operation is `large` enough for it.
    fn gpu(
        &self,
        large: bool,
        #[cfg_attr(not(test), expect(unused_variables))] operation: &'static str,
    ) -> Result<Option<&'a Device>, ClusteringError> {
        match self {
            Self::Gpu(device) if large => Ok(Some(device)),
            Self::Cpu | Self::Gpu(_) => Ok(None),
            #[cfg(test)]
            Self::Broken => Err(failed(operation)(candle_core::Error::Msg("no kernel image".into()))),
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
    use ndarray::Array2;

    use super::ComputeDevice;
    use crate::{
        clustering::{Agglomerative, ClusteringError, KMeans, Method, Settings, method::partition},
        options::SpeakerBounds,
    };

    #[test]
    fn the_error_of_a_failing_device_names_the_operation() {
        let rows = Array2::from_shape_fn((6, 2), |(row, axis)| ((row * 7 + axis * 3) % 5 + 1) as f32);
        let bounds = SpeakerBounds { min: 2, max: None };
        for (method, operation) in [
            (Method::Agglomerative(Agglomerative::default()), "centroid linkage"),
            (Method::KMeans(KMeans::default()), "k-means"),
            (Settings::named("spectral").unwrap().method, "k-means"),
        ] {
            let error = partition(rows.view(), bounds, &method, None, &ComputeDevice::Broken).unwrap_err();
            assert!(
                matches!(&error, ClusteringError::Device { operation: failed, .. } if failed == &operation),
                "{error}"
            );
            assert!(error.to_string().contains("no kernel image"), "{error}");
        }
        let rows64 = rows.mapv(f64::from);
        assert!(ComputeDevice::Broken.cosine(rows.view(), rows64.view()).is_err());
    }
}
