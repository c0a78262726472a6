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

/// The error itself: backtraces are many lines.
pub fn without_backtrace(error: Error) -> Error {
    match error {
        Error::WithBacktrace { inner, .. } => *inner,
        error => error,
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(ordinal: usize) -> Result<Device, String> {
    use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError, sys::CUresult};
    let found = CudaContext::device_count().map_err(|error| match error {
        DriverError(CUresult::CUDA_ERROR_NO_DEVICE) => {
            "NVIDIA's driver finds no GPU: does `nvidia-smi` list one that CUDA_VISIBLE_DEVICES does not hide?"
                .to_owned()
        }
        error => format!("NVIDIA's driver does not answer ({error:?}): does `nvidia-smi` run?"),
    })?;
    if usize::try_from(found).is_ok_and(|found| ordinal >= found) {
        let last = found - 1;
        return Err(format!(
            "the last GPU that NVIDIA's driver knows is cuda:{last}: `nvidia-smi` lists them"
        ));
    }
    let device = Device::new_cuda(ordinal).map_err(|error| match is_out_of_memory(&error) {
        true => "its memory is full: `nvidia-smi` lists who has it".to_owned(),
        false => without_backtrace(error).to_string(),
    })?;
    keep_memory(ordinal);
    Ok(device)
}

/// Keeps what is freed for the next allocation: at its default CUDA's pool returns all of it whenever the
/// device is waited for, and to get it back takes longer than most kernels. Devices without pools stay as they
/// are.
#[cfg(feature = "cuda")]
fn keep_memory(ordinal: usize) {
    use candle_core::cuda_backend::cudarc::driver::{result, sys};
    let Ok(device) = i32::try_from(ordinal).map_err(drop).and_then(|n| result::device::get(n).map_err(drop))
    else {
        return;
    };
    let mut bytes = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the device is there, its default pool is as well, and this attribute is a u64.
    let _ = unsafe {
        result::device::get_default_mem_pool(device)
            .and_then(|pool| result::mem_pool::set_attribute(pool, attribute, (&raw mut bytes).cast()))
    };
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
