//! Copying results from a device while it computes something else.

#[cfg(feature = "cuda")]
use std::sync::Arc;

use candle_core::{Result, Tensor};

/// The values of a tensor, copied once they are needed.
///
/// An NVIDIA GPU copies them as soon as they are computed, even if other work was enqueued after them.
#[derive(Clone, Debug)]
pub struct Download {
    tensor: Tensor,
    #[cfg(feature = "cuda")]
    computed: Option<Arc<crate::gpu::cuda::Event>>,
}

impl Download {
    /// The values of an f32 tensor whose computation is enqueued.
    ///
    /// # Errors
    /// The device fails.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        Ok(Self {
            tensor: tensor.contiguous()?,
            #[cfg(feature = "cuda")]
            computed: match tensor.device() {
                candle_core::Device::Cuda(device) => Some(Arc::new(crate::gpu::cuda::Event::now(device)?)),
                _ => None,
            },
        })
    }

    /// Waits until the values are computed, and copies them, in row-major order.
    ///
    /// # Errors
    /// The tensor is not f32, or the device fails.
    pub fn values(&self) -> Result<Vec<f32>> {
        #[cfg(feature = "cuda")]
        if let Some(computed) = &self.computed {
            let (storage, layout) = self.tensor.storage_and_layout();
            return computed.copy(crate::gpu::cuda::storage(&storage)?, layout);
        }
        self.tensor.flatten_all()?.to_vec1()
    }
}
