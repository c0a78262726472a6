//! Copying values to a device while it computes something else.

use candle_core::{Device, Result, Shape, Tensor};

/// A tensor of values on a device.
///
/// An NVIDIA GPU copies them from page-locked memory. A copy from ordinary memory would make the caller wait until the GPU has
/// done all work that was enqueued before, and the GPU would then wait for the caller.
///
/// # Errors
/// The number of values is not that of the shape, or the device fails.
pub fn upload(values: &[f32], shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        return crate::gpu::staging::upload(values, shape.into(), device);
    }
    Tensor::from_slice(values, shape.into(), device)
}
