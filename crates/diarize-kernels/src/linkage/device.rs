//! Centroid linkage on a GPU. The whole dendrogram is computed without copying intermediate results to the CPU.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, bail};
use ndarray::ArrayView2;

use super::{Merge, merge};
use crate::{
    cdist,
    gpu::{Buffer, Kernel, Launch, MAX_THREADS, Plan, word},
};

/// The dendrogram of `rows` `(vector, dimension)` by centroid linkage with Euclidean distances, computed on a
/// device. Returns the merges of [`super::centroid`].
///
/// A GPU represents a number as a sum of two f32, which gives about 13 digits. Its merges come in the CPU's
/// order unless two distances differ by less than that, as with vectors that occur more than twice. Such ties
/// are resolved by the lowest place.
///
/// # Errors
/// There are more than 2^24 vectors, the device lacks memory (8 bytes for each ordered pair of vectors), or
/// the device fails.
///
/// # Panics
/// On the CPU, if a distance is not a number from 0 to 1e100.
pub fn centroid_on(device: &Device, rows: ArrayView2<'_, f64>) -> Result<Vec<Merge>> {
    if device.is_cpu() {
        return Ok(super::centroid(cdist::euclidean_pairs(rows)));
    }
    let [high, low] = split(rows).map(|part| Tensor::from_vec(part, rows.dim(), device));
    let values = high?.apply_op2_no_bwd(&low?, &CentroidLinkage)?;
    Ok(merges(&values.flatten_all()?.to_vec1()?))
}

/// Splits numbers into sums of two f32. The first part is the f32 nearest to the number.
pub fn split(rows: ArrayView2<'_, f64>) -> [Vec<f32>; 2] {
    let high: Vec<f32> = rows.iter().map(|&x| x as f32).collect();
    let low = rows.iter().zip(&high).map(|(&x, &high)| (x - f64::from(high)) as f32).collect();
    [high, low]
}

/// Converts the kernels' output to merges. Each merge has four values: the two places, and the two parts of
/// the squared distance.
pub fn merges(values: &[f32]) -> Vec<Merge> {
    let count = values.len() / 4 + 1;
    let mut clusters: Vec<usize> = (0..count).collect();
    let mut sizes = vec![1; count];
    let (rows, _) = values.as_chunks::<4>();
    let merges = rows.iter().enumerate().map(|(step, &[x, y, high, low])| {
        let (x, y) = (x as usize, y as usize);
        sizes[y] += sizes[x];
        let distance = (f64::from(high) + f64::from(low)).sqrt();
        let merge = merge(clusters[x], clusters[y], distance, sizes[y]);
        clusters[y] = count + step;
        merge
    });
    merges.collect()
}

/// The GPU plan for `count` vectors. Its inputs are the two parts of the vectors from [`split`].
///
/// # Errors
/// There are more than 2^24 vectors.
pub fn plan(count: usize, dimension: usize) -> Result<Plan> {
    const TILE: usize = 64;
    const SQUARE_THREADS: usize = (TILE / 4) * (TILE / 4);
    const NEIGHBOR_THREADS: usize = 128;
    // Limits the duration of a launch, so that a GPU that also drives a display stays responsive.
    const MERGES_PER_LAUNCH: usize = 2048;
    if count > 1 << f32::MANTISSA_DIGITS {
        bail!("linkage: a GPU supports at most 2^24 vectors, not {count}");
    }
    let kernel = |name, threads| Kernel {
        name,
        text: include_str!("linkage.kernel"),
        threads,
        constants: vec![("TILE", TILE), ("DEPTH", 8)],
    };
    let [squares, bounds, neighbors, sizes] = [0, 1, 2, 3].map(Buffer::Scratch);
    let tiles = count.div_ceil(TILE);
    let square = Launch {
        kernel: kernel("square_distances", SQUARE_THREADS),
        groups: [tiles, tiles, 1],
        reads: vec![Buffer::Input(0), Buffer::Input(1)],
        writes: vec![squares],
        params: vec![word(count)?, word(dimension)?],
    };
    let neighbor = Launch {
        kernel: kernel("find_neighbors", NEIGHBOR_THREADS),
        groups: [count, 1, 1],
        reads: vec![squares],
        writes: vec![bounds, neighbors, sizes],
        params: vec![word(count)?],
    };
    let threads = count.next_power_of_two().clamp(32, MAX_THREADS);
    let steps = count.saturating_sub(1);
    let merging = (0..steps).step_by(MERGES_PER_LAUNCH).map(|first| {
        Ok(Launch {
            kernel: kernel("merge", threads),
            groups: [1, 1, 1],
            reads: vec![],
            writes: vec![squares, bounds, neighbors, sizes, Buffer::Output],
            params: vec![word(count)?, word(first)?, word(steps.min(first + MERGES_PER_LAUNCH))?],
        })
    });
    let launches = [Ok(square), Ok(neighbor)].into_iter().chain(merging).collect::<Result<_>>()?;
    Ok(Plan {
        operation: "linkage",
        tables: vec![],
        scratch: vec![2 * count * count, 2 * count, count, count],
        output: 4 * steps,
        launches,
        ..Plan::default()
    })
}

/// Maps the two parts of the vectors, both `(vector, dimension)`, to the merges `(vector - 1, 4)`.
struct CentroidLinkage;

impl CentroidLinkage {
    #[cfg(any(feature = "cuda", feature = "metal"))]
    fn plan(high: &Layout, low: &Layout) -> Result<(Plan, Shape)> {
        let (count, dimension) = high.shape().dims2()?;
        if low.shape() != high.shape() {
            bail!("linkage: the parts have different shapes, {:?} and {:?}", high.shape(), low.shape());
        }
        Ok((plan(count, dimension)?, (count.saturating_sub(1), 4).into()))
    }
}

impl CustomOp2 for CentroidLinkage {
    fn name(&self) -> &'static str {
        "linkage"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("linkage: this operation exists only on GPUs; the CPU works on distances in f64")
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        high: &CudaStorage,
        high_layout: &Layout,
        low: &CudaStorage,
        low_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (plan, shape) = Self::plan(high_layout, low_layout)?;
        Ok((crate::gpu::cuda::run(&plan, &[(high, high_layout), (low, low_layout)])?, shape))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(
        &self,
        high: &MetalStorage,
        high_layout: &Layout,
        low: &MetalStorage,
        low_layout: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        let (plan, shape) = Self::plan(high_layout, low_layout)?;
        Ok((crate::gpu::metal::run(&plan, &[(high, high_layout), (low, low_layout)])?, shape))
    }
}
