//! The custom operations of diarize. Each operation has a folder: `mod.rs` holds the formula, the shapes
//! and the dispatch, `reference.rs` the plain implementation in f64, `cpu.rs` the fast implementation for
//! CPUs, and a `.kernel` file the GPU kernel.
//!
//! Operations on tensors are candle `CustomOp`s. On a device without a kernel for it, an operation returns
//! an error with its name; data is never copied to the CPU silently.

pub mod attention;
pub mod cdist;
pub mod center;
pub mod conv2d;
pub mod device;
pub mod download;
pub mod fbank;
pub mod gelu;
pub mod gpu;
pub mod kmeans;
pub mod linkage;
pub mod log_sum_exp;
pub mod lstm;
pub mod matrix;
pub mod mel;
pub mod pool_norm;
pub mod scores;
pub mod simd;
pub mod splice;
pub mod stats_pool;
pub mod stft;
pub mod upload;

use candle_core::{CpuStorage, Layout, Result, bail};

/// Borrows the values of a contiguous f32 tensor on the CPU. Errors start with the operation's name, `op`.
fn contiguous_f32<'a>(storage: &'a CpuStorage, layout: &Layout, op: &str) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else {
        bail!("{op}: the input is not f32");
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("{op}: the input is not contiguous"),
    }
}

/// An uninitialized buffer of `length` values. Zeroing it first would take as long as some operations.
///
/// # Safety
/// Write each value before reading it.
#[expect(clippy::uninit_vec, reason = "the caller writes every value before reading it")]
unsafe fn uninitialized(length: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    // SAFETY: the capacity is `length`. The caller writes every value before reading it, and f32 has no invalid values.
    unsafe { values.set_len(length) };
    values
}
