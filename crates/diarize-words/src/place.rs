//! Where the networks compute, and in which precision.

use candle_core::{DType, Device, Result, Tensor};
use diarize::Precision;
use diarize_kernels::device::{Kind, open};

use crate::Error;

/// A device, and the type of the weights and of all values between the layers.
#[derive(Clone, Debug)]
pub struct Place {
    /// The device.
    pub device: Device,
    /// f32, or f16 on GPUs.
    pub dtype: DType,
}

impl Place {
    /// Opens a device.
    ///
    /// # Errors
    /// The device is missing, or does not support the precision.
    pub fn open(device: diarize::Device, precision: Precision) -> crate::Result<Self> {
        let kind = match device {
            diarize::Device::Cuda(ordinal) => Kind::Cuda(ordinal),
            diarize::Device::Metal(ordinal) => Kind::Metal(ordinal),
            _ => Kind::Cpu,
        };
        let dtype = match (precision, kind) {
            (Precision::F16, Kind::Cpu) => {
                let (value, requirement) = (precision.to_string(), "f32 on the CPU".to_owned());
                return Err(Error::InvalidOption { option: "precision", value, requirement });
            }
            (Precision::F16, _) => DType::F16,
            _ => DType::F32,
        };
        Ok(Self { device: open(kind).map_err(|reason| Error::Device { device, reason })?, dtype })
    }

    /// Copies a tensor on the CPU here.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn take(&self, tensor: &Tensor) -> Result<Tensor> {
        tensor.to_dtype(self.dtype)?.to_device(&self.device)
    }
}
