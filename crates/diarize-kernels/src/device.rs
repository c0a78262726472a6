//! Opens candle devices. A missing device is an error with an explanation, not a panic.

use candle_core::{Device, Error};

#[cfg(not(feature = "cuda"))]
const NO_CUDA: &str = "this build has no CUDA support: rebuild with `--features cuda`, or use the device cpu";
#[cfg(not(feature = "metal"))]
const NO_METAL: &str =
    "this build has no Metal support: rebuild with `--features metal`, or use the device cpu";

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
    check(kind).is_ok()
}

/// Checks that this build can use the device and the machine has it.
///
/// # Errors
/// As for [`open`].
pub fn check(kind: Kind) -> Result<(), String> {
    let (name, count, ordinal) = match kind {
        Kind::Cpu => return Ok(()),
        Kind::Cuda(ordinal) => ("cuda", count_cuda()?, ordinal),
        Kind::Metal(ordinal) => ("metal", count_metal()?, ordinal),
    };
    if ordinal >= count {
        return Err(missing(name, count, ordinal));
    }
    #[cfg(feature = "cuda")]
    if name == "cuda" {
        check_capability(ordinal)?;
    }
    Ok(())
}

/// Checks that an NVIDIA GPU has the instructions that the kernels use.
#[cfg(feature = "cuda")]
fn check_capability(ordinal: usize) -> Result<(), String> {
    use candle_core::cuda_backend::cudarc::driver::{
        result::device,
        sys::CUdevice_attribute::{
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
        },
    };
    const LEAST: (i32, i32) = (7, 5);
    let ordinal = i32::try_from(ordinal).map_err(|error| error.to_string())?;
    let failed = |error| format!("the NVIDIA driver does not describe the GPU cuda:{ordinal} ({error:?})");
    let device = device::get(ordinal).map_err(failed)?;
    // SAFETY: the driver has just returned this device.
    let attribute = |which| unsafe { device::get_attribute(device, which) }.map_err(failed);
    let (major, minor) = (attribute(MAJOR)?, attribute(MINOR)?);
    if (major, minor) >= LEAST {
        return Ok(());
    }
    let (least, than) = LEAST;
    Err(format!(
        "the GPU cuda:{ordinal} has compute capability {major}.{minor}, but {least}.{than} or newer is needed (GPUs since 2018)"
    ))
}

/// How many bytes of memory a GPU has; `None` for the CPU and for a GPU that is not present.
pub fn memory(kind: Kind) -> Option<u64> {
    match kind {
        #[cfg(feature = "cuda")]
        Kind::Cuda(ordinal) => {
            use candle_core::cuda_backend::cudarc::driver::result::device;
            check(kind).ok()?; // This also initializes the driver.
            let device = device::get(i32::try_from(ordinal).ok()?).ok()?;
            // SAFETY: the driver has just returned this device.
            unsafe { device::total_mem(device) }.ok()?.try_into().ok()
        }
        #[cfg(feature = "metal")]
        Kind::Metal(ordinal) => {
            let devices = candle_metal_kernels::metal::Device::all();
            devices.get(ordinal)?.recommended_max_working_set_size().try_into().ok()
        }
        _ => None,
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

/// How many NVIDIA GPUs there are, at least one.
///
/// # Errors
/// As for [`open`].
#[cfg(feature = "cuda")]
pub fn count_cuda() -> Result<usize, String> {
    use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError, sys::CUresult};
    let none = "the NVIDIA driver finds no GPU: check that `nvidia-smi` lists one and CUDA_VISIBLE_DEVICES does not hide it";
    match CudaContext::device_count() {
        Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) | Ok(..=0) => Err(none.to_owned()),
        Ok(count) => usize::try_from(count).map_err(|error| error.to_string()),
        Err(error) => {
            Err(format!("the NVIDIA driver does not respond ({error:?}): check that `nvidia-smi` runs"))
        }
    }
}

/// How many NVIDIA GPUs there are.
///
/// # Errors
/// This build has no CUDA support.
#[cfg(not(feature = "cuda"))]
pub fn count_cuda() -> Result<usize, String> {
    Err(NO_CUDA.into())
}

/// How many Apple GPUs there are, at least one.
///
/// # Errors
/// As for [`open`].
#[cfg(feature = "metal")]
pub fn count_metal() -> Result<usize, String> {
    match candle_metal_kernels::metal::Device::all().len() {
        0 => Err("this machine has no Metal GPU".to_owned()),
        count => Ok(count),
    }
}

/// How many Apple GPUs there are.
///
/// # Errors
/// This build has no Metal support.
#[cfg(not(feature = "metal"))]
pub fn count_metal() -> Result<usize, String> {
    Err(NO_METAL.into())
}

/// Says that there is no GPU with this index, but `count` others.
pub fn missing(name: &str, count: usize, ordinal: usize) -> String {
    let there = match count {
        1 => format!("there is one GPU, {name}:0"),
        _ => format!("there are {count} GPUs, {name}:0 to {name}:{}", count - 1),
    };
    format!("there is no GPU number {ordinal}: numbers start at 0, and {there}")
}

#[cfg(feature = "cuda")]
fn open_cuda(ordinal: usize) -> Result<Device, String> {
    check(Kind::Cuda(ordinal))?;
    // One stream for all threads: with a stream per thread, work that two threads start would have no order.
    let device = Device::new_cuda_with_stream(ordinal).map_err(|error| match is_out_of_memory(&error) {
        true => "its memory is full; `nvidia-smi` lists the processes that use it".to_owned(),
        false => without_backtrace(error).to_string(),
    })?;
    if let Device::Cuda(device) = &device {
        // SAFETY: all work runs on the device's only stream, in order, except for `cuda::Event::copy`, which waits for an
        // event and ends before its storage can be freed. cudarc's own events would only cost time.
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
    Err(NO_CUDA.into())
}

#[cfg(feature = "metal")]
fn open_metal(ordinal: usize) -> Result<Device, String> {
    // `Device::new_metal` panics if the GPU does not exist, so check first.
    check(Kind::Metal(ordinal))?;
    Device::new_metal(ordinal).map_err(|error| error.to_string())
}

#[cfg(not(feature = "metal"))]
fn open_metal(_ordinal: usize) -> Result<Device, String> {
    Err(NO_METAL.into())
}
