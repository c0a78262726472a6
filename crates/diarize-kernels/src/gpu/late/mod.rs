//! Libraries of CUDA's that programs hardly use (feature `late`).
//!
//! Candle opens cuBLAS and cuRAND for every device, which takes a quarter of a second per process, but the networks run on
//! this crate's own kernels. NVRTC is needed only for kernels that were not compiled before. These modules therefore define
//! the functions of these libraries that are called, so that the linker leaves the libraries out, and load a library when
//! it is needed.
//!
//! Handles of cuBLAS and cuRAND are not those of the libraries. A program must not enable the feature if it calls cuBLAS other
//! than through Candle's matrix products, or needs random numbers of Candle's on an NVIDIA GPU.

mod cublas;
mod curand;
pub mod nvrtc;
