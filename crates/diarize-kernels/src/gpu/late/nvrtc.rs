//! NVRTC, which compiles kernels.

use std::{
    ffi::{c_char, c_int},
    sync::OnceLock,
};

use candle_core::cuda_backend::cudarc::nvrtc::sys::{
    nvrtcProgram,
    nvrtcResult::{self, NVRTC_ERROR_INTERNAL_ERROR},
};
use libloading::Library;

/// Names of NVRTC, newest first.
const NAMES: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    // SAFETY: NVRTC may be loaded at any time.
    let load = || NAMES.iter().find_map(|&name| unsafe { Library::new(name) }.ok());
    LIBRARY.get_or_init(load).as_ref()
}

/// Checks that NVRTC can be loaded.
///
/// # Errors
/// A sentence that says what to install.
pub fn check() -> Result<(), String> {
    match library() {
        Some(_) => Ok(()),
        None => Err(format!(
            "{} is missing, which compiles the kernels for this GPU: install NVIDIA's package cuda-nvrtc-13-0 (or \
             cuda-nvrtc-12-0 to 12-9), or run `pip install nvidia-cuda-nvrtc` and add the folder of the library to LD_LIBRARY_PATH",
            NAMES[0]
        )),
    }
}

/// Defines a function that calls NVRTC's.
macro_rules! function {
    ($name:ident($($argument:ident: $type:ty),*)) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> nvrtcResult {
            type Function = unsafe extern "C" fn($($type),*) -> nvrtcResult;
            let library = library().ok_or(NVRTC_ERROR_INTERNAL_ERROR);
            // SAFETY: the caller gives NVRTC's arguments, and the function has this type.
            let result = library.and_then(|library| unsafe {
                let function = library.get::<Function>(stringify!($name).as_bytes());
                Ok(function.map_err(|_| NVRTC_ERROR_INTERNAL_ERROR)?($($argument),*))
            });
            result.unwrap_or_else(|error| error)
        }
    };
}

function!(nvrtcCreateProgram(
    program: *mut nvrtcProgram, source: *const c_char, name: *const c_char,
    count: c_int, headers: *const *const c_char, names: *const *const c_char
));
function!(nvrtcCompileProgram(program: nvrtcProgram, count: c_int, options: *const *const c_char));
function!(nvrtcGetProgramLogSize(program: nvrtcProgram, size: *mut usize));
function!(nvrtcGetProgramLog(program: nvrtcProgram, log: *mut c_char));
function!(nvrtcGetCUBINSize(program: nvrtcProgram, size: *mut usize));
function!(nvrtcGetCUBIN(program: nvrtcProgram, code: *mut c_char));
function!(nvrtcDestroyProgram(program: *mut nvrtcProgram));
