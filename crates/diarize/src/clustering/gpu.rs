//! The dendrogram of centroid linkage on a GPU, where there are so many embeddings that it is faster there.
//!
//! Which device that is belongs to the thread that clusters, so that no method has to hand it on.

use std::cell::RefCell;

use candle_core::Device;
use diarize_kernels::linkage::{Merge, device::centroid_on};
use ndarray::ArrayView2;

/// The CPU needs a few hundredths of a second for so many embeddings, and a GPU no less.
const FEWEST: usize = 2000;

thread_local! {
    static DEVICE: RefCell<Device> = const { RefCell::new(Device::Cpu) };
}

/// Runs `clustering`; large dendrograms of centroid linkage are made on the device meanwhile.
pub(crate) fn with_device<T>(device: &Device, clustering: impl FnOnce() -> T) -> T {
    let before = DEVICE.replace(device.clone());
    let result = clustering();
    DEVICE.set(before);
    result
}

/// The merges of `rows` `(embedding, dimension)`, in the CPU's order; `None` where the CPU is to make them: it
/// is the device, or as fast, or the device has too little memory for 16 bytes a pair of embeddings.
pub(super) fn centroid(rows: ArrayView2<'_, f32>) -> Option<Vec<Merge>> {
    let device = DEVICE.with_borrow(Clone::clone);
    if device.is_cpu() || rows.nrows() < FEWEST {
        return None;
    }
    match centroid_on(&device, rows.mapv(f64::from).view()) {
        Ok(merges) => Some(merges),
        Err(error) => {
            tracing::warn!(
                "{} embeddings are clustered on the CPU, since the GPU failed to: {error}",
                rows.nrows()
            );
            None
        }
    }
}
