//! k-means: divides points `(point, dimension)` into a given number of clusters around their means.
//!
//! Each run chooses its initial means by greedy k-means++ from uniform random numbers that the caller draws.
//! Lloyd's algorithm then moves the means until no point changes its cluster, so that
//! `label[i] = argmin |x[i] - mean[c]|²` and `mean[c]` is the mean of the points with label `c`. A cluster
//! that becomes empty takes the point that is farthest from its mean.
//!
//! On a GPU all runs execute in parallel in one launch, in f32.
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

/// Parameters of k-means and the random numbers of its runs.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    /// Number of clusters. There are fewer if there are fewer distinct points.
    pub clusters: usize,
    /// Maximum number of iterations of a run; 0 counts as 1.
    pub max_iterations: usize,
    /// For each run, [`draws`] uniform random numbers in `[0, 1)`.
    pub draws: Vec<Vec<f64>>,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The cluster of each point.
    pub labels: Vec<usize>,
    /// Sum of the squared distances of all points to the means of their clusters.
    pub inertia: f64,
}

/// Number of candidate points for each mean after the first.
fn candidates(clusters: usize) -> usize {
    2 + (clusters as f64).ln() as usize
}

/// Number of random numbers that a run consumes: one for the first mean and one for every candidate.
pub fn draws(clusters: usize) -> usize {
    1 + clusters.saturating_sub(1) * candidates(clusters)
}

/// The point that the first random number of a run selects.
fn first(unit: f64, points: usize) -> usize {
    (unit * points as f64) as usize
}

impl KMeans {
    /// Runs k-means on `points` `(point, dimension)` f32, on their device. Returns the fit of each run.
    ///
    /// # Errors
    /// There are no points, no clusters or the wrong number of [`draws`], or the device fails.
    pub fn fit(&self, points: &Tensor) -> Result<Vec<Fit>> {
        let values = points.contiguous()?.apply_op1_no_bwd(self)?; // (run, point + 1)
        let fit = |mut row: Vec<f32>| {
            let inertia = f64::from(row.pop().expect("every row ends with the inertia"));
            Fit { labels: row.into_iter().map(|label| label as usize).collect(), inertia }
        };
        Ok(values.to_vec2()?.into_iter().map(fit).collect())
    }

    /// Runs k-means on `points` `(point, dimension)`, on the CPU in f64. Returns the fit of each run.
    ///
    /// # Panics
    /// If there are no points, no clusters or the wrong number of [`draws`].
    pub fn fit_rows(&self, points: ArrayView2<'_, f64>) -> Vec<Fit> {
        self.check(&points.dim().into()).expect("there are points, clusters and enough random numbers");
        cpu::kmeans(self, points)
    }

    /// The GPU plan for `points` `(point, dimension)`, and the output shape `(run, point + 1)`: the labels
    /// followed by the inertia.
    ///
    /// # Errors
    /// Those of [`Self::fit`].
    pub fn plan(&self, points: &Shape) -> Result<(Plan, Shape)> {
        const THREADS: usize = 256;
        const MAX_CLUSTERS: usize = 4096;
        let (count, dimension) = self.check(points)?;
        if self.clusters > MAX_CLUSTERS {
            bail!("kmeans: a GPU supports at most {MAX_CLUSTERS} clusters, not {}", self.clusters);
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
            ..Plan::default()
        };
        Ok((plan, (runs, count + 1).into()))
    }

    fn check(&self, points: &Shape) -> Result<(usize, usize)> {
        let (count, dimension) = points.dims2()?;
        let drawn = self.draws.iter().all(|numbers| numbers.len() == draws(self.clusters));
        if count == 0 || self.clusters == 0 || !drawn {
            let Self { clusters, .. } = self;
            bail!(
                "kmeans: {count} points and {clusters} clusters, both must be at least 1, and a run needs {} \
                 random numbers",
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
