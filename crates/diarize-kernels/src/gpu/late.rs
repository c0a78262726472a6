//! cuBLAS and cuRAND for programs that hardly use them (feature `late`).
//!
//! Candle opens both libraries for every device. Loading and unloading them takes a quarter of a second per process, but
//! the networks run on this crate's own kernels. This module therefore defines the functions that Candle calls, so that
//! the linker leaves both libraries out. The first matrix product of Candle's on an NVIDIA GPU loads cuBLAS. cuRAND is never
//! loaded.
//!
//! Handles of this module are not cuBLAS's. A program must not enable the feature if it calls cuBLAS other than through
//! Candle's matrix products, or random numbers of Candle's on an NVIDIA GPU.

use std::{
    ffi::{c_int, c_longlong, c_ulonglong, c_void},
    ptr::null_mut,
    sync::{Mutex, OnceLock, PoisonError},
};

use candle_core::cuda_backend::cudarc::{
    cublas::sys::{
        cublasComputeType_t, cublasGemmAlgo_t, cublasHandle_t, cublasOperation_t,
        cublasStatus_t::{self, CUBLAS_STATUS_NOT_INITIALIZED, CUBLAS_STATUS_SUCCESS},
        cudaDataType, cudaStream_t,
    },
    curand::sys::{
        curandGenerator_t, curandRngType_t,
        curandStatus_t::{self, CURAND_STATUS_SUCCESS},
    },
};
use libloading::{Library, Symbol};

/// Names of cuBLAS, newest first.
const NAMES: [&str; 3] = ["libcublas.so.13", "libcublas.so.12", "libcublas.so"];

/// What a handle of this module points to: a handle of cuBLAS's, null before the first matrix product, and its stream.
struct Blas(Mutex<(cublasHandle_t, cudaStream_t)>);

fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    // SAFETY: cuBLAS may be loaded at any time.
    let load = || NAMES.iter().find_map(|&name| unsafe { Library::new(name) }.ok());
    LIBRARY.get_or_init(load).as_ref()
}

/// A function of cuBLAS.
///
/// # Safety
/// `T` must be its type.
unsafe fn function<T>(name: &str) -> Result<Symbol<'static, T>, cublasStatus_t> {
    let library = library().ok_or(CUBLAS_STATUS_NOT_INITIALIZED)?;
    // SAFETY: the caller gives the right type.
    unsafe { library.get(name.as_bytes()) }.map_err(|_| CUBLAS_STATUS_NOT_INITIALIZED)
}

fn check(status: cublasStatus_t) -> Result<(), cublasStatus_t> {
    if status == CUBLAS_STATUS_SUCCESS { Ok(()) } else { Err(status) }
}

/// The handle of cuBLAS's, created if there is none.
///
/// # Safety
/// `handle` must come from [`cublasCreate_v2`].
unsafe fn real(handle: cublasHandle_t) -> Result<cublasHandle_t, cublasStatus_t> {
    type Create = unsafe extern "C" fn(*mut cublasHandle_t) -> cublasStatus_t;
    // SAFETY: the caller gives a handle of this module, and the functions have these types.
    unsafe {
        let mut blas = (*handle.cast::<Blas>()).0.lock().unwrap_or_else(PoisonError::into_inner);
        if blas.0.is_null() {
            check(function::<Create>("cublasCreate_v2")?(&mut blas.0))?;
            set_stream(*blas)?;
        }
        Ok(blas.0)
    }
}

/// # Safety
/// The handle must be one of cuBLAS's.
unsafe fn set_stream((handle, stream): (cublasHandle_t, cudaStream_t)) -> Result<(), cublasStatus_t> {
    type SetStream = unsafe extern "C" fn(cublasHandle_t, cudaStream_t) -> cublasStatus_t;
    // SAFETY: the function has this type.
    unsafe { check(function::<SetStream>("cublasSetStream_v2")?(handle, stream)) }
}

fn status(result: Result<(), cublasStatus_t>) -> cublasStatus_t {
    result.err().unwrap_or(CUBLAS_STATUS_SUCCESS)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasCreate_v2(handle: *mut cublasHandle_t) -> cublasStatus_t {
    let blas = Blas(Mutex::new((null_mut(), null_mut())));
    // SAFETY: the caller gives a place for a handle.
    unsafe { *handle = Box::into_raw(Box::new(blas)).cast() };
    CUBLAS_STATUS_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasSetStream_v2(handle: cublasHandle_t, stream: cudaStream_t) -> cublasStatus_t {
    // SAFETY: the caller gives a handle of this module.
    unsafe {
        let mut blas = (*handle.cast::<Blas>()).0.lock().unwrap_or_else(PoisonError::into_inner);
        blas.1 = stream;
        status(if blas.0.is_null() { Ok(()) } else { set_stream(*blas) })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasDestroy_v2(handle: cublasHandle_t) -> cublasStatus_t {
    type Destroy = unsafe extern "C" fn(cublasHandle_t) -> cublasStatus_t;
    // SAFETY: the caller gives a handle of this module for the last time, and the function has this type.
    unsafe {
        let Blas(blas) = *Box::from_raw(handle.cast::<Blas>());
        let (real, _) = blas.into_inner().unwrap_or_else(PoisonError::into_inner);
        match real.is_null() {
            true => CUBLAS_STATUS_SUCCESS,
            false => status(function::<Destroy>("cublasDestroy_v2").and_then(|destroy| check(destroy(real)))),
        }
    }
}

/// Defines a matrix product that calls cuBLAS's.
macro_rules! product {
    ($name:ident($($argument:ident: $type:ty),*)) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(handle: cublasHandle_t, $($argument: $type),*) -> cublasStatus_t {
            type Product = unsafe extern "C" fn(cublasHandle_t, $($type),*) -> cublasStatus_t;
            // SAFETY: the caller gives a handle of this module and cuBLAS's arguments, and the function has this type.
            unsafe {
                let product = function::<Product>(stringify!($name));
                status(product.and_then(|product| check(product(real(handle)?, $($argument),*))))
            }
        }
    };
}

product!(cublasGemmStridedBatchedEx(
    transpose_a: cublasOperation_t, transpose_b: cublasOperation_t, m: c_int, n: c_int, k: c_int,
    alpha: *const c_void, a: *const c_void, type_a: cudaDataType, lead_a: c_int, stride_a: c_longlong,
    b: *const c_void, type_b: cudaDataType, lead_b: c_int, stride_b: c_longlong,
    beta: *const c_void, c: *mut c_void, type_c: cudaDataType, lead_c: c_int, stride_c: c_longlong,
    count: c_int, compute_type: cublasComputeType_t, algorithm: cublasGemmAlgo_t
));
product!(cublasDgemmStridedBatched(
    transpose_a: cublasOperation_t, transpose_b: cublasOperation_t, m: c_int, n: c_int, k: c_int,
    alpha: *const f64, a: *const f64, lead_a: c_int, stride_a: c_longlong,
    b: *const f64, lead_b: c_int, stride_b: c_longlong,
    beta: *const f64, c: *mut f64, lead_c: c_int, stride_c: c_longlong, count: c_int
));

#[unsafe(no_mangle)]
unsafe extern "C" fn curandCreateGenerator(
    generator: *mut curandGenerator_t,
    _: curandRngType_t,
) -> curandStatus_t {
    // SAFETY: the caller gives a place for a generator. Nothing reads from it.
    unsafe { *generator = null_mut() };
    CURAND_STATUS_SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn curandSetStream(_: curandGenerator_t, _: cudaStream_t) -> curandStatus_t {
    CURAND_STATUS_SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn curandSetPseudoRandomGeneratorSeed(_: curandGenerator_t, _: c_ulonglong) -> curandStatus_t {
    CURAND_STATUS_SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn curandDestroyGenerator(_: curandGenerator_t) -> curandStatus_t {
    CURAND_STATUS_SUCCESS
}
