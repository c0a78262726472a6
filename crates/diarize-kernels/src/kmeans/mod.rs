//! k-means: points `(point, dimension)` in a given number of clusters, each around its mean.
//!
//! Each run chooses its first means by greedy k-means++, from uniform numbers that the caller draws,
//! and then moves them (Lloyd's algorithm) until no point changes its cluster, that is until
//! `label[i] = argmin |x[i] - mean[c]|²` and `mean[c]` is the mean of the points with label `c`. A
//! cluster that becomes empty takes the point that is farthest from its mean.
//!
//! On a GPU all runs go side by side in one launch, in f32.
//!
//! Source: D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007;
//! S. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2), 1982.

mod cpu;
pub mod reference;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use ndarray::{Array2, ArrayView2};

use crate::gpu::{Buffer, Kernel, Launch, Plan, word, words};

/// Runs of k-means.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    /// Number of clusters. There are fewer where there are fewer different points.
    pub clusters: usize,
    /// Rounds of a run, if the clusters go on changing.
    pub max_iterations: usize,
    /// For each run [`draws`] numbers, uniform from 0 to below 1.
    pub draws: Vec<Vec<f64>>,
}

/// Clusters of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The cluster of each point.
    pub labels: Vec<usize>,
    /// Sum of the squared distances of all points from the mean of their cluster.
    pub inertia: f64,
}

/// How many points are tried for each further mean.
fn candidates(clusters: usize) -> usize {
    2 + (clusters as f64).ln() as usize
}

/// How many uniform numbers a run takes: one for its first mean, and one for every point that is tried.
pub fn draws(clusters: usize) -> usize {
    1 + clusters.saturating_sub(1) * candidates(clusters)
}

/// The point that the first number of a run draws.
fn first(unit: f64, points: usize) -> usize {
    (unit * points as f64) as usize
}

impl KMeans {
    /// The fit of each run on `points` `(point, dimension)` f32, on their device.
    ///
    /// # Errors
    /// No points, no clusters, or another number of [`draws`]; a failure of the device.
    pub fn fit(&self, points: &Tensor) -> Result<Vec<Fit>> {
        let values = points.contiguous()?.apply_op1_no_bwd(self)?; // (run, point + 1)
        let fit = |mut row: Vec<f32>| {
            let inertia = f64::from(row.pop().expect("a row ends with the inertia"));
            Fit { labels: row.into_iter().map(|label| label as usize).collect(), inertia }
        };
        Ok(values.to_vec2()?.into_iter().map(fit).collect())
    }

    /// The fit of each run on `points` `(point, dimension)`, on the CPU.
    ///
    /// # Panics
    /// No points, no clusters, or another number of [`draws`].
    pub fn fit_rows(&self, points: ArrayView2<'_, f64>) -> Vec<Fit> {
        self.check(&points.dim().into()).expect("points, clusters and numbers for them");
        cpu::kmeans(self, points)
    }

    /// What a GPU does for `points` `(point, dimension)`, and the shape of its output: `(run, point +
    /// 1)`, labels and last the inertia.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn plan(&self, points: &Shape) -> Result<(Plan, Shape)> {
        const THREADS: usize = 256;
        const MAX_CLUSTERS: usize = 4096;
        let (count, dimension) = self.check(points)?;
        if self.clusters > MAX_CLUSTERS {
            bail!("kmeans: {} clusters are too many for a GPU", self.clusters);
        }
        let runs = self.draws.len();
        let firsts = self.draws.iter().map(|draws| word(first(draws[0], count)));
        let further: Vec<f32> =
            self.draws.iter().flat_map(|draws| &draws[1..]).map(|&unit| unit as f32).collect();
        let launch = Launch {
            kernel: Kernel {
                name: "kmeans",
                text: include_str!("kmeans.kernel"),
                threads: THREADS,
                constants: vec![("CLUSTERS", self.clusters)],
            },
            groups: [runs, 1, 1],
            reads: vec![Buffer::Input(0), Buffer::Table(0), Buffer::Table(1)],
            writes: vec![Buffer::Scratch(0), Buffer::Scratch(1), Buffer::Scratch(2), Buffer::Output],
            params: [count, dimension, candidates(self.clusters), self.max_iterations.max(1)]
                .map(word)
                .into_iter()
                .collect::<Result<_>>()?,
        };
        let plan = Plan {
            operation: "kmeans",
            tables: vec![firsts.collect::<Result<_>>()?, words(&further)],
            scratch: vec![runs * self.clusters * dimension, runs * count, runs * 2 * count],
            output: runs * (count + 1),
            launches: vec![launch],
        };
        Ok((plan, (runs, count + 1).into()))
    }

    fn check(&self, points: &Shape) -> Result<(usize, usize)> {
        let (count, dimension) = points.dims2()?;
        let drawn = self.draws.iter().all(|numbers| numbers.len() == draws(self.clusters));
        if count == 0 || self.clusters == 0 || !drawn {
            let Self { clusters, .. } = self;
            bail!(
                "kmeans: {count} points in {clusters} clusters from runs of {} numbers each",
                draws(*clusters)
            );
        }
        Ok((count, dimension))
    }
}

impl CustomOp1 for KMeans {
    fn name(&self) -> &'static str {
        "kmeans"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, dimension) = self.check(layout.shape())?;
        let points =
            crate::contiguous_f32(storage, layout, "kmeans")?.iter().map(|&x| f64::from(x)).collect();
        let points = Array2::from_shape_vec((count, dimension), points).map_err(candle_core::Error::wrap)?;
        let fits = cpu::kmeans(self, points.view());
        let rows = fits.into_iter().flat_map(|Fit { labels, inertia }| {
            labels.into_iter().map(|label| label as f32).chain([inertia as f32])
        });
        Ok((CpuStorage::F32(rows.collect()), (self.draws.len(), count + 1).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::cuda::run(&plan, &[(storage, layout)])?, shape))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::metal::run(&plan, &[(storage, layout)])?, shape))
    }
}
