//! The kernels for GPUs, on the CPU: what they compute, that no order of threads changes it, and that
//! they stay within their buffers. The device test beside this runs the same cases on a GPU.

mod cases;
mod emulator;
#[path = "../support/random.rs"]
mod random;

use cases::{Case, error, small};
use emulator::{Build, Emulator};

fn inputs(case: &Case) -> Vec<&[f32]> {
    case.inputs.iter().map(Vec::as_slice).collect()
}

fn plans(cases: &[Case]) -> Vec<diarize_kernels::gpu::Plan> {
    cases.iter().map(|case| case.plan.clone()).collect()
}

fn check(case: &Case, emulator: &Emulator, seed: u32) {
    let values =
        emulator.run(&case.plan, &inputs(case), seed).unwrap_or_else(|why| panic!("{}: {why}", case.name));
    let error = error(&values, &case.expected);
    assert!(error <= case.tolerance, "{}, order {seed}: off by {error:e}", case.name);
}

#[test]
fn every_kernel_equals_its_reference_in_any_order_of_threads() {
    let cases = small();
    let emulator = Emulator::new(&plans(&cases), Build::Fibers, str::to_owned);
    for case in &cases {
        for seed in 1..=4 {
            check(case, &emulator, seed);
        }
    }
}
