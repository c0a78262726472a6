//! cuRAND is never loaded. Candle creates a generator for every device, which cannot generate numbers.

use std::{ffi::c_ulonglong, ptr::null_mut};

use candle_core::cuda_backend::cudarc::curand::sys::{
    cudaStream_t, curandGenerator_t, curandRngType_t,
    curandStatus_t::{self, CURAND_STATUS_NOT_INITIALIZED, CURAND_STATUS_SUCCESS},
};

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

/// Defines the generation of random numbers as an error.
macro_rules! generate {
    ($name:ident($($type:ty),*)) => {
        #[unsafe(no_mangle)]
        extern "C" fn $name(_: curandGenerator_t, $(_: $type),*) -> curandStatus_t {
            CURAND_STATUS_NOT_INITIALIZED
        }
    };
}

generate!(curandGenerateUniform(*mut f32, usize));
generate!(curandGenerateUniformDouble(*mut f64, usize));
generate!(curandGenerateNormal(*mut f32, usize, f32, f32));
generate!(curandGenerateNormalDouble(*mut f64, usize, f64, f64));
