//! cuBLAS. The first matrix product of Candle's on an NVIDIA GPU loads it.

use std::{
    ffi::{c_int, c_longlong, c_void},
    ptr::null_mut,
    sync::{Mutex, OnceLock, PoisonError},
};

use candle_core::cuda_backend::cudarc::cublas::sys::{
    cublasComputeType_t, cublasGemmAlgo_t, cublasHandle_t, cublasOperation_t,
    cublasStatus_t::{self, CUBLAS_STATUS_NOT_INITIALIZED, CUBLAS_STATUS_SUCCESS},
    cudaDataType, cudaStream_t,
};
use libloading::{Library, Symbol};

/// Names of cuBLAS, newest first.
const NAMES: [&str; 3] = ["libcublas.so.13", "libcublas.so.12", "libcublas.so"];

/// The library that created the first handle.
static LIBRARY: OnceLock<Library> = OnceLock::new();

/// What a handle of this module points to: a handle of cuBLAS's, null before the first matrix product, and its stream.
struct Blas(Mutex<(cublasHandle_t, cudaStream_t)>);

/// A function of cuBLAS.
///
/// # Safety
/// `T` must be its type.
unsafe fn function<'l, T>(library: &'l Library, name: &str) -> Result<Symbol<'l, T>, cublasStatus_t> {
    // SAFETY: the caller gives the right type.
    unsafe { library.get(name.as_bytes()) }.map_err(|_| CUBLAS_STATUS_NOT_INITIALIZED)
}

/// A function of the library that created the first handle.
///
/// # Safety
/// `T` must be its type.
unsafe fn loaded<T>(name: &str) -> Result<Symbol<'static, T>, cublasStatus_t> {
    // SAFETY: the caller gives the right type.
    unsafe { function(LIBRARY.get().ok_or(CUBLAS_STATUS_NOT_INITIALIZED)?, name) }
}

/// A new handle of cuBLAS's. The newest library that supports the driver is used.
fn create() -> Result<cublasHandle_t, cublasStatus_t> {
    type Create = unsafe extern "C" fn(*mut cublasHandle_t) -> cublasStatus_t;
    let of = |library: &Library| {
        let mut handle = null_mut();
        // SAFETY: the function has this type.
        unsafe { check(function::<Create>(library, "cublasCreate_v2")?(&mut handle))? };
        Ok(handle)
    };
    if let Some(library) = LIBRARY.get() {
        return of(library);
    }
    let mut result = Err(CUBLAS_STATUS_NOT_INITIALIZED);
    // SAFETY: cuBLAS may be loaded at any time.
    for library in NAMES.iter().filter_map(|&name| unsafe { Library::new(name) }.ok()) {
        result = of(&library);
        if result.is_ok() {
            let _ = LIBRARY.set(library);
            break;
        }
    }
    result
}

fn check(status: cublasStatus_t) -> Result<(), cublasStatus_t> {
    if status == CUBLAS_STATUS_SUCCESS { Ok(()) } else { Err(status) }
}

/// The handle of cuBLAS's, created if there is none.
///
/// # Safety
/// `handle` must come from [`cublasCreate_v2`].
unsafe fn real(handle: cublasHandle_t) -> Result<cublasHandle_t, cublasStatus_t> {
    // SAFETY: the caller gives a handle of this module, and `create` one of cuBLAS's.
    unsafe {
        let mut blas = (*handle.cast::<Blas>()).0.lock().unwrap_or_else(PoisonError::into_inner);
        if blas.0.is_null() {
            blas.0 = create()?;
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
    unsafe { check(loaded::<SetStream>("cublasSetStream_v2")?(handle, stream)) }
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
            false => status(loaded::<Destroy>("cublasDestroy_v2").and_then(|destroy| check(destroy(real)))),
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
                status(real(handle).and_then(|handle| {
                    check(loaded::<Product>(stringify!($name))?(handle, $($argument),*))
                }))
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
