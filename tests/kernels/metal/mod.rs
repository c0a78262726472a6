//! Type-checks the kernels' exact Metal source with clang as C++ for OpenCL, which has Metal's address spaces and
//! most of its keywords. It finds most errors that a Mac would report. Needs `clang` 14 or newer.

use std::{
    collections::HashSet,
    io::Write as _,
    process::{Command, Stdio},
};

use diarize_kernels::{gpu::Kernel, linkage};
use diarize_testkit::Random;

use crate::cases;

const PRELUDE: &str = include_str!("../../../crates/diarize-kernels/src/gpu/metal.h");
/// Declares the parts of Metal's standard library that the kernels use.
const INCLUDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/kernels/metal");

/// Clang's error messages for a source, if there are any.
fn errors(text: &str) -> Option<String> {
    let mut clang = Command::new("clang")
        .args(["-x", "clcpp", "-cl-std=clc++2021", "-target", "spir64", "-fsyntax-only", "-fno-builtin"])
        // Only OpenCL's types: Metal has neither doubles nor OpenCL's functions.
        .args([
            "-cl-no-stdinc",
            "-include",
            "opencl-c-base.h",
            "-Xclang",
            "-cl-ext=-cl_khr_fp64,-__opencl_c_fp64",
        ])
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-unknown-attributes", "-Wno-unused-function"])
        .args(["-Wno-unused-parameter", "-Wno-undefined-internal", "-I", INCLUDE, "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("clang runs");
    clang.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = clang.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn metal(kernel: &Kernel) -> String {
    PRELUDE.to_owned() + &kernel.source()
}

mod needs_clang {
    use super::*;

    #[test]
    #[ignore = "needs clang, which type-checks the Metal texts"]
    fn every_kernel_is_metal() {
        let plans = cases::small().into_iter().map(|case| case.plan);
        let plans = plans.chain([linkage::device::plan(65, 19).unwrap()]);
        let kernels: HashSet<Kernel> =
            plans.flat_map(|plan| plan.launches).map(|launch| launch.kernel).collect();
        assert!(kernels.len() > 50);
        for kernel in &kernels {
            if let Some(why) = errors(&metal(kernel)) {
                panic!("{}: {why}", kernel.key());
            }
        }
    }

    #[test]
    #[ignore = "needs clang, which type-checks the Metal texts"]
    fn what_metal_forbids_is_errors() {
        let case = cases::mel_case(7, 64, 1, 17, &mut Random(3));
        let text = metal(&case.plan.launches[0].kernel);
        assert_eq!(errors(&text), None);
        for (right, wrong) in [
            // Words of Metal as names.
            ("const uint filter =", "const uint half = 1u, filter ="),
            ("const uint filter =", "const uint thread = 1u, filter ="),
            // Threadgroup memory where the device's is expected.
            ("GROUP_POINTER(float) row", "IN_POINTER(float) row"),
            // A type, a function and an assignment that Metal does not have.
            ("float energy", "double energy"),
            ("LOG(max(", "lgamma(max("),
            ("rows[i] = power[(ulong)start * BINS + i]", "power[i] = rows[i]"),
        ] {
            assert!(text.contains(right), "the text has no {right}");
            assert!(errors(&text.replacen(right, wrong, 1)).is_some(), "clang takes {wrong}");
        }
    }
}
