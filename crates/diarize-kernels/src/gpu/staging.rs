//! Page-locked memory, from which an NVIDIA GPU copies values in the order of its stream, without the caller waiting.

use std::sync::{Mutex, PoisonError};

use candle_core::{
    CudaDevice, CudaStorage, Result, Shape, Storage, Tensor, bail,
    cuda_backend::{
        WrapErr,
        cudarc::driver::{CudaEvent, PinnedHostSlice},
    },
    op::BackpropOp,
};

/// Values in a buffer: 4 MB.
const VALUES: usize = 1 << 20;

/// A buffer, and the end of the last copy from it.
struct Buffer {
    memory: PinnedHostSlice<f32>,
    copied: CudaEvent,
}

/// All buffers that have been used. Allocating one takes about a millisecond, so they are kept.
static USED: Mutex<Vec<Buffer>> = Mutex::new(Vec::new());

/// Copies values to a GPU.
///
/// # Errors
/// The number of values is not that of the shape, or the device fails.
pub fn upload(values: &[f32], shape: Shape, device: &CudaDevice) -> Result<Tensor> {
    if values.len() != shape.elem_count() {
        bail!("{} values do not fill the shape {shape:?}", values.len());
    }
    let stream = device.cuda_stream();
    // SAFETY: the copies below write every value.
    let mut target = unsafe { device.alloc::<f32>(values.len().max(1)) }?;
    for (part, values) in values.chunks(VALUES).enumerate() {
        let mut memory = free_buffer(device)?;
        let staged = &mut memory.as_mut_slice().w()?[..values.len()];
        staged.copy_from_slice(values);
        let first = part * VALUES;
        stream.memcpy_htod(&*staged, &mut target.slice_mut(first..first + values.len())).w()?;
        let copied = stream.record_event(None).w()?;
        USED.lock().unwrap_or_else(PoisonError::into_inner).push(Buffer { memory, copied });
    }
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(target, device.clone()));
    Ok(Tensor::from_storage(storage, shape, BackpropOp::none(), false))
}

/// A buffer from which nothing is copied anymore, or a new one.
fn free_buffer(device: &CudaDevice) -> Result<PinnedHostSlice<f32>> {
    let stream = device.cuda_stream();
    let ordinal = stream.context().ordinal();
    let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_free =
        |buffer: &Buffer| buffer.memory.context().ordinal() == ordinal && buffer.copied.is_complete();
    match used.iter().position(is_free) {
        Some(index) => Ok(used.swap_remove(index).memory),
        // SAFETY: values are written before they are read.
        None => unsafe { stream.context().alloc_pinned(VALUES) }.w(),
    }
}
