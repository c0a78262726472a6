//! Compiles the kernels' exact CUDA source to machine code, for several generations of GPUs. This needs no GPU, only
//! NVRTC's library (PyPI's `nvidia-cuda-nvrtc` has it), which the environment variable `DIARIZE_NVRTC` names.

use std::{
    collections::HashMap,
    ffi::{CString, c_char, c_int, c_void},
    ptr,
};

use diarize_kernels::{
    conv2d::{self, Activation, Halves},
    gpu::{Kernel, Plan, Precision},
    linkage,
};
use libloading::Library;

use crate::cases;

const PRELUDE: &str = include_str!("../../crates/diarize-kernels/src/gpu/cuda.h");
const TILES: &str = include_str!("../../crates/diarize-kernels/src/gpu/cuda_tiles.h");

type Program = *mut c_void;

/// NVRTC's message for a source, if it does not compile.
fn error(nvrtc: &Library, source: &str, architecture: &str) -> Option<String> {
    let text = CString::new(source).unwrap();
    let options = ["--std=c++17", "--fmad=false", architecture].map(|option| CString::new(option).unwrap());
    let options = options.each_ref().map(|option| option.as_ptr());
    // SAFETY: these are the functions of NVRTC's C interface; the strings and the program outlive the calls, and the log
    // has the size that NVRTC tells.
    unsafe {
        let create: libloading::Symbol<
            '_,
            unsafe extern "C" fn(
                *mut Program,
                *const c_char,
                *const c_char,
                c_int,
                *const *const c_char,
                *const *const c_char,
            ) -> c_int,
        > = nvrtc.get(b"nvrtcCreateProgram").unwrap();
        let compile: libloading::Symbol<
            '_,
            unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int,
        > = nvrtc.get(b"nvrtcCompileProgram").unwrap();
        let log_size: libloading::Symbol<'_, unsafe extern "C" fn(Program, *mut usize) -> c_int> =
            nvrtc.get(b"nvrtcGetProgramLogSize").unwrap();
        let log: libloading::Symbol<'_, unsafe extern "C" fn(Program, *mut c_char) -> c_int> =
            nvrtc.get(b"nvrtcGetProgramLog").unwrap();
        let destroy: libloading::Symbol<'_, unsafe extern "C" fn(*mut Program) -> c_int> =
            nvrtc.get(b"nvrtcDestroyProgram").unwrap();
        let mut program = ptr::null_mut();
        assert_eq!(create(&mut program, text.as_ptr(), ptr::null(), 0, ptr::null(), ptr::null()), 0);
        let failed = compile(program, options.len() as c_int, options.as_ptr()) != 0;
        let mut size = 0;
        assert_eq!(log_size(program, &mut size), 0);
        let mut message = vec![0u8; size];
        assert_eq!(log(program, message.as_mut_ptr().cast()), 0);
        assert_eq!(destroy(&mut program), 0);
        failed.then(|| String::from_utf8_lossy(&message).into_owned())
    }
}

/// Convolutions as the networks have them, with f16 between layers.
fn halves() -> Vec<Plan> {
    let mut plans = Vec::new();
    for (inputs, outputs, size, stride) in
        [(32, 32, 3, 1), (64, 64, 3, 1), (128, 128, 3, 1), (256, 256, 3, 1), (32, 64, 3, 2), (64, 128, 1, 2)]
    {
        let dims = conv2d::Dims { inputs, outputs, size: [size; 2], stride, padding: [size / 2; 2] };
        for (input, output) in [(false, true), (true, true), (true, false)] {
            let halves = Halves { input, output };
            for residual in [false, true] {
                let shape = (2, 40, 50, inputs).into();
                let plan = dims.plan(&shape, residual, Activation::Relu, halves).unwrap();
                plans.push(plan.with_precision(Precision::F16));
            }
        }
    }
    plans
}

mod needs_nvrtc {
    use super::*;

    #[test]
    #[ignore = "needs NVRTC, which compiles the CUDA texts"]
    fn every_kernel_compiles_for_every_generation() {
        let library = std::env::var("DIARIZE_NVRTC").expect("DIARIZE_NVRTC names NVRTC's library");
        // SAFETY: loading NVRTC runs nothing that this process must prepare for.
        let nvrtc = unsafe { Library::new(library) }.unwrap();
        let plain = cases::small().into_iter().map(|case| case.plan);
        let f16 = cases::small().into_iter().map(|case| case.plan.with_precision(Precision::F16));
        let plans = plain.chain(f16).chain(halves()).chain([linkage::device::plan(65, 19).unwrap()]);
        let kernels = plans.flat_map(|plan| plan.launches).map(|launch| launch.kernel);
        let kernels: HashMap<String, Kernel> = kernels.map(|kernel| (kernel.key(), kernel)).collect();
        assert!(kernels.len() > 60);
        for (key, kernel) in &kernels {
            let source = PRELUDE.to_owned() + &kernel.source_with(TILES);
            for architecture in ["-arch=sm_75", "-arch=sm_80", "-arch=sm_90"] {
                if let Some(why) = error(&nvrtc, &source, architecture) {
                    panic!("{key} {architecture}: {why}");
                }
            }
        }
        let kernel = kernels.values().next().unwrap();
        let wrong = format!("{PRELUDE}{}\nunknown_type x;", kernel.source_with(TILES));
        assert!(error(&nvrtc, &wrong, "-arch=sm_90").is_some());
    }
}
