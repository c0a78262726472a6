//! Opens candle devices. A missing device is an error with an explanation, not a panic.

use candle_core::{Device, Error};

/// Which device to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU with this index, counted from 0.
    Cuda(usize),
    /// The Apple GPU with this index, counted from 0.
    Metal(usize),
}

/// Opens a device.
///
/// # Errors
/// A sentence that says why the device cannot be used and what to do: the build lacks the feature, or the
/// machine lacks the hardware or the driver.
pub fn open(kind: Kind) -> Result<Device, String> {
    match kind {
        Kind::Cpu => crate::simd::chosen().map(|_| Device::Cpu).map_err(str::to_owned),
        Kind::Cuda(ordinal) => open_cuda(ordinal),
        Kind::Metal(ordinal) => open_metal(ordinal),
    }
}

/// Whether this build can use the device and the machine has it. The CPU is always present.
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

/// Whether an operation failed because the device ran out of memory.
pub fn is_out_of_memory(error: &Error) -> bool {
    // The GPU libraries share no error type for this, so the text is searched.
    let text = error.to_string();
    ["OUT_OF_MEMORY", "out of memory", "Insufficient Memory"].iter().any(|words| text.contains(words))
}

/// Strips the backtrace from an error, so that its message is one line.
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
            "the NVIDIA driver finds no GPU: check that `nvidia-smi` lists one and CUDA_VISIBLE_DEVICES does not hide it"
                .to_owned()
        }
        error => format!("the NVIDIA driver does not respond ({error:?}): check that `nvidia-smi` runs"),
    })?;
    if usize::try_from(found).is_ok_and(|found| ordinal >= found) {
        let last = found - 1;
        return Err(format!(
            "there is no GPU with this index; the last one is cuda:{last} (`nvidia-smi` lists all)"
        ));
    }
    // One stream for all threads: with a stream per thread, work that two threads start would have no order.
    let device = Device::new_cuda_with_stream(ordinal).map_err(|error| match is_out_of_memory(&error) {
        true => "its memory is full; `nvidia-smi` lists the processes that use it".to_owned(),
        false => without_backtrace(error).to_string(),
    })?;
    if let Device::Cuda(device) = &device {
        // SAFETY: all work runs on the device's only stream, in order. Events would only cost time.
        unsafe { device.disable_event_tracking() };
    }
    keep_memory(ordinal);
    Ok(device)
}

/// Makes CUDA's memory pool keep freed memory for later allocations. By default the pool returns its memory to
/// the driver at every synchronization, and allocating it again takes longer than most kernels. Devices without
/// memory pools are left unchanged.
#[cfg(feature = "cuda")]
fn keep_memory(ordinal: usize) {
    use candle_core::cuda_backend::cudarc::driver::{result, sys};
    let Ok(device) = i32::try_from(ordinal).map_err(drop).and_then(|n| result::device::get(n).map_err(drop))
    else {
        return;
    };
    let mut bytes = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the device and its default pool exist, and this attribute is a u64.
    let _ = unsafe {
        result::device::get_default_mem_pool(device)
            .and_then(|pool| result::mem_pool::set_attribute(pool, attribute, (&raw mut bytes).cast()))
    };
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_ordinal: usize) -> Result<Device, String> {
    Err("this build has no CUDA support: rebuild with `--features cuda`, or use the device cpu".into())
}

#[cfg(feature = "metal")]
fn open_metal(ordinal: usize) -> Result<Device, String> {
    // `Device::new_metal` panics if the GPU does not exist, so check first.
    let found = candle_metal_kernels::metal::Device::all().len();
    if ordinal >= found {
        return Err(match found {
            0 => "this machine has no Metal GPU".to_owned(),
            _ => format!("there is no Metal GPU with this index; the last one is metal:{}", found - 1),
        });
    }
    Device::new_metal(ordinal).map_err(|error| error.to_string())
}

#[cfg(not(feature = "metal"))]
fn open_metal(_ordinal: usize) -> Result<Device, String> {
    Err("this build has no Metal support: rebuild with `--features metal`, or use the device cpu".into())
}
