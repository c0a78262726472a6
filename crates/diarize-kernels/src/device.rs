//! Opening a device of the tensor library, with a sentence instead of a panic where it is not there.

use candle_core::{Device, Error};

/// Which device to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(usize),
    /// An Apple GPU by its number.
    Metal(usize),
}

/// Opens a device.
///
/// # Errors
/// A sentence saying why the device cannot be used and what to do: this build lacks its feature, or
/// the machine lacks the hardware or its driver.
pub fn open(kind: Kind) -> Result<Device, String> {
    match kind {
        Kind::Cpu => crate::simd::chosen().map(|_| Device::Cpu).map_err(str::to_owned),
        Kind::Cuda(ordinal) => open_cuda(ordinal),
        Kind::Metal(ordinal) => open_metal(ordinal),
    }
}

/// Whether a GPU is there that this build can use. The CPU always is.
pub fn is_present(kind: Kind) -> bool {
    match kind {
        Kind::Cpu => true,
        #[cfg(feature = "cuda")]
        Kind::Cuda(ordinal) => {
            let count = candle_core::cuda_backend::cudarc::driver::CudaContext::device_count();
            count.is_ok_and(|count| usize::try_from(count).is_ok_and(|count| ordinal < count))
        }
        #[cfg(feature = "metal")]
        Kind::Metal(ordinal) => ordinal < candle_metal_kernels::metal::Device::all().len(),
        #[cfg(not(all(feature = "cuda", feature = "metal")))]
        _ => false,
    }
}

/// Whether an operation failed because the device's memory was full.
pub fn is_out_of_memory(error: &Error) -> bool {
    // The libraries below have no type for it that they share.
    let text = error.to_string();
    ["OUT_OF_MEMORY", "out of memory", "Insufficient Memory"].iter().any(|words| text.contains(words))
}

#[cfg(feature = "cuda")]
fn open_cuda(ordinal: usize) -> Result<Device, String> {
    let found = candle_core::cuda_backend::cudarc::driver::CudaContext::device_count()
        .map_err(|error| format!("NVIDIA's driver does not answer ({error:?}): does `nvidia-smi` run?"))?;
    if usize::try_from(found).is_ok_and(|found| ordinal >= found) {
        return Err(format!("NVIDIA's driver knows {found} GPUs, counted from 0: `nvidia-smi` lists them"));
    }
    Device::new_cuda(ordinal).map_err(|error| error.to_string())
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_ordinal: usize) -> Result<Device, String> {
    Err("this build has no CUDA support; build it with `--features cuda`, or use the device cpu".into())
}

#[cfg(feature = "metal")]
fn open_metal(ordinal: usize) -> Result<Device, String> {
    // `Device::new_metal` panics where there is no such GPU, so it is looked for first.
    let found = candle_metal_kernels::metal::Device::all().len();
    if ordinal >= found {
        return Err(format!("this machine has {found} Metal GPUs, counted from 0"));
    }
    Device::new_metal(ordinal).map_err(|error| error.to_string())
}

#[cfg(not(feature = "metal"))]
fn open_metal(_ordinal: usize) -> Result<Device, String> {
    Err("this build has no Metal support; build it with `--features metal`, or use the device cpu".into())
}
