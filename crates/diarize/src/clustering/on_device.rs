//! What clustering computes on a GPU, if there is enough of it.

use candle_core::{Device, Result as TensorResult, Tensor};
use diarize_kernels::{
    cdist::{self, Metric},
    device::{is_out_of_memory, without_backtrace},
    kmeans::{Fit, KMeans},
    linkage::{Merge, device::centroid_on, linkage},
};
use ndarray::{Array2, ArrayView2};

use super::{ClusteringError, Linkage};

/// From this many vectors on, a GPU computes dendrograms and k-means. Below, the CPU needs a few hundredths
/// of a second. Not tuned.
const FEWEST_VECTORS: usize = 2000;
/// From this many distances on, a GPU computes them. Not tuned.
const FEWEST_DISTANCES: usize = 1_000_000;

/// Where clustering computes what grows fastest with the recording.
#[derive(Clone, Copy, Debug)]
pub enum ComputeDevice<'a> {
    /// On the CPU.
    Cpu,
    /// On a GPU what is large enough, the rest on the CPU.
    Gpu(&'a Device),
    /// On a GPU that fails at everything.
    #[cfg(test)]
    Broken,
}

impl<'a> ComputeDevice<'a> {
    pub(crate) fn on(device: &'a Device) -> Self {
        if device.is_cpu() { Self::Cpu } else { Self::Gpu(device) }
    }

    /// The dendrogram of centroid linkage of `rows` `(vector, dimension)` by their Euclidean distance, in
    /// the CPU's order of merges.
    pub(super) fn centroid_linkage(&self, rows: ArrayView2<'_, f32>) -> Result<Vec<Merge>, ClusteringError> {
        match self.gpu(rows.nrows() >= FEWEST_VECTORS, "centroid linkage")? {
            None => Ok(linkage(Linkage::Centroid, cdist::euclidean_condensed(rows), rows.nrows())),
            Some(device) => {
                centroid_on(device, rows.mapv(f64::from).view()).map_err(failed("centroid linkage"))
            }
        }
    }

    /// The fits of runs of k-means of `points` `(point, dimension)`: on the CPU in f64, on a GPU in f32.
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

    /// The cosine distance of every row of `a` `(n, dimension)` to every row of `b` `(m, dimension)`:
    /// `(n, m)`, on the CPU in f64, on a GPU in f32. A vector of zeros has distances of NaN.
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

    /// The GPU, if there is one and `large` says that it pays.
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

/// An array as a tensor of f32 on a device.
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
    fn a_device_that_fails_is_named_with_the_operation() {
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
