//! Tests of the GPU kernels. On the CPU, an emulator runs them as C++: it checks their results in several orders of
//! threads, and that they have no data races and stay within their buffers. With the feature `cuda` or `metal`, they
//! also run on a GPU.

use std::cell::Cell;

use candle_core::{Device, Tensor};
use diarize_kernels::{
    cdist::{self, Metric},
    conv2d::{self, Activation, Conv2d},
    gpu::{Buffer, Plan},
    linkage::{self, Merge},
    lstm::Layer,
    stft::Stft,
};
use diarize_testkit::Random;
use ndarray::Array2;

use crate::{
    cases::{self, Case, error, small},
    emulator::{Build, Emulator},
};

fn inputs(case: &Case) -> Vec<&[f32]> {
    case.inputs.iter().map(Vec::as_slice).collect()
}

fn plans(cases: &[Case]) -> Vec<Plan> {
    cases.iter().map(|case| case.plan.clone()).collect()
}

fn check(case: &Case, values: &[f32], how: &str) {
    let error = error(values, &case.expected);
    assert!(error <= case.tolerance, "{}, {how}: off by {error:e}", case.name);
}

fn check_emulated(case: &Case, emulator: &Emulator, seed: u32) {
    let values =
        emulator.run(&case.plan, &inputs(case), seed).unwrap_or_else(|why| panic!("{}: {why}", case.name));
    check(case, &values, &format!("order {seed}"));
}

/// Runs all cases in one process, which starts its threads once.
fn check_together(cases: &[Case], emulator: &Emulator) {
    let plans: Vec<_> = cases.iter().map(|case| (&case.plan, inputs(case))).collect();
    let outputs = emulator.run_all(&plans, 1).unwrap_or_else(|why| panic!("{why}"));
    for (case, values) in cases.iter().zip(&outputs) {
        check(case, values, "threads");
    }
}

/// Cases with few enough threads to use operating system threads. They cover all kernels.
fn smallest() -> Vec<Case> {
    const THREADS: usize = 1500;
    let threads = |plan: &Plan| {
        let launches = plan.launches.iter();
        launches.map(|launch| launch.groups.iter().product::<usize>() * launch.kernel.threads).sum::<usize>()
    };
    // A convolution that adds a residual accesses all the memory that one without does.
    let repeats = |plan: &Plan| {
        plan.operation == "conv2d" && plan.launches[0].kernel.constants.contains(&("RESIDUAL", 0))
    };
    let mut cases = small();
    cases.retain(|case| threads(&case.plan) <= THREADS && !repeats(&case.plan));
    cases
}

/// The CPU and the GPU of this build.
fn devices() -> Vec<Device> {
    vec![
        Device::Cpu,
        #[cfg(feature = "cuda")]
        Device::new_cuda(0).expect("an NVIDIA GPU"),
        #[cfg(feature = "metal")]
        Device::new_metal(0).expect("an Apple GPU"),
    ]
}

fn check_on_every_device(cases: &[Case]) {
    for device in devices() {
        for case in cases {
            let values = (case.forward)(&device)
                .and_then(|tensor| tensor.flatten_all()?.to_vec1())
                .unwrap_or_else(|why| panic!("{} on {device:?}: {why}", case.name));
            check(case, &values, &format!("{device:?}"));
        }
    }
}

#[test]
fn every_operation_equals_its_reference_on_every_device() {
    check_on_every_device(&small());
}

#[test]
fn every_kernel_equals_its_reference_in_any_order_of_threads() {
    let cases = small();
    let emulator = Emulator::new(&plans(&cases), Build::Fibers, str::to_owned);
    for case in &cases {
        for seed in 1..=2 {
            check_emulated(case, &emulator, seed);
        }
    }
}

#[test]
fn no_kernel_has_a_race() {
    let cases = smallest();
    let emulator = Emulator::new(&plans(&cases), Build::ThreadSanitizer, str::to_owned);
    check_together(&cases, &emulator);
}

#[test]
fn no_kernel_accesses_memory_outside_its_buffers() {
    let cases = smallest();
    let emulator = Emulator::new(&plans(&cases), Build::AddressSanitizer, str::to_owned);
    check_together(&cases, &emulator);
}

/// Otherwise, prepared weights could not be kept.
#[test]
fn weights_are_prepared_from_weights_alone_and_not_changed() {
    let plans = plans(&small());
    assert!(plans.iter().any(|plan| plan.preparing > 0));
    for plan in plans.iter().filter(|plan| plan.preparing > 0) {
        let (first, rest) = plan.launches.split_at(plan.preparing);
        let written: Vec<Buffer> = first.iter().flat_map(|launch| launch.writes.clone()).collect();
        assert_eq!(written, (0..plan.scratch.len()).map(Buffer::Scratch).collect::<Vec<_>>());
        assert!(first.iter().all(|launch| !launch.reads.contains(&Buffer::Input(0))), "{}", plan.operation);
        assert!(rest.iter().all(|launch| launch.writes == [Buffer::Output]), "{}", plan.operation);
    }
}

#[test]
fn layers_give_the_same_results_when_their_weights_are_prepared() {
    let mut random = Random(5);
    let (x, kernel) = (random.vector(2 * 12 * 9 * 32, 1.0), random.vector(64 * 32 * 9, 1.0));
    let (steps, gates) = (random.vector(3 * 20 * 32, 1.0), random.vector(2 * 64 * (32 + 16), 0.3));
    for device in devices() {
        let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &device).unwrap();
        let bias = tensor(&kernel[..64], &[64]);
        let conv = Conv2d::new(&tensor(&kernel, &[64, 32, 3, 3]), &bias, 1, [1, 1]).unwrap();
        let x = tensor(&x, &[2, 12, 9, 32]);
        let [first, second] = [(); 2].map(|()| flat(&conv.forward(&x, None, Activation::Relu).unwrap()));
        assert_eq!(first, second);
        assert!(first.iter().any(|&value| value > 0.0));

        let input = tensor(&gates[..2 * 64 * 32], &[2 * 64, 32]);
        let recurrent = tensor(&gates[2 * 64 * 32..], &[2, 64, 16]);
        let layer = Layer::new(&input, &tensor(&gates[..2 * 64], &[2 * 64]), &recurrent).unwrap();
        let steps = tensor(&steps, &[3, 20, 32]);
        let [first, second] = [(); 2].map(|()| flat(&layer.forward(steps.clone()).unwrap()));
        assert_eq!(first, second);
        assert!(first.iter().any(|&value| value > 0.0));
    }
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Vectors around three centers. Two of the vectors are equal.
fn blobs(count: usize, dimension: usize) -> Array2<f64> {
    let mut random = Random(11);
    let centers = random.vector(3 * dimension, 1.0);
    let mut rows = Array2::from_shape_fn((count, dimension), |(row, k)| {
        f64::from(centers[row % 3 * dimension + k]) + 0.3 * f64::from(random.vector(1, 1.0)[0])
    });
    if count > 4 {
        let first = rows.row(0).to_owned();
        rows.row_mut(4).assign(&first);
    }
    rows
}

#[track_caller]
fn check_merges(merges: &[Merge], rows: &Array2<f64>) {
    let expected = linkage::centroid(cdist::euclidean_pairs(rows.view()));
    assert_eq!(merges.len(), expected.len());
    for (merge, expected) in merges.iter().zip(&expected) {
        let Merge { left, right, distance, size } = *expected;
        assert_eq!((merge.left, merge.right, merge.size), (left, right, size));
        assert!((merge.distance - distance).abs() <= 1e-12 * distance.max(1.0), "{merge:?}, {expected:?}");
    }
}

const SETS: [(usize, usize); 6] = [(0, 3), (1, 3), (2, 1), (5, 7), (65, 19), (300, 16)];

#[test]
fn the_emulated_dendrogram_equals_the_cpu_dendrogram() {
    let plan = |count, dimension| linkage::device::plan(count, dimension).unwrap();
    let plans: Vec<Plan> = SETS.iter().map(|&(count, dimension)| plan(count, dimension)).collect();
    let emulator = Emulator::new(&plans, Build::Fibers, str::to_owned);
    for (plan, (count, dimension)) in plans.iter().zip(SETS) {
        let rows = blobs(count, dimension);
        let [high, low] = linkage::device::split(rows.view());
        let values = emulator.run(plan, &[&high, &low], 1).unwrap();
        check_merges(&linkage::device::merges(&values), &rows);
    }
    for build in [Build::ThreadSanitizer, Build::AddressSanitizer] {
        let rows = blobs(20, 5);
        let [high, low] = linkage::device::split(rows.view());
        let plan = plan(20, 5);
        let emulator = Emulator::new(std::slice::from_ref(&plan), build, str::to_owned);
        check_merges(&linkage::device::merges(&emulator.run(&plan, &[&high, &low], 1).unwrap()), &rows);
    }
}

#[test]
fn the_dendrogram_of_every_device_equals_the_cpu_dendrogram() {
    for device in devices() {
        for (count, dimension) in SETS {
            let rows = blobs(count, dimension);
            check_merges(&linkage::device::centroid_on(&device, rows.view()).unwrap(), &rows);
        }
    }
}

/// Runs a kernel in the emulator after planting a mistake: the first `right` in its text becomes `wrong`.
fn planted(case: &Case, build: Build, right: &str, wrong: &str) -> Result<Vec<f32>, String> {
    let planted = Cell::new(false);
    let emulator = Emulator::new(std::slice::from_ref(&case.plan), build, |text| {
        planted.set(planted.get() || text.contains(right));
        text.replacen(right, wrong, 1)
    });
    assert!(planted.get(), "no kernel contains {right}");
    emulator.run(&case.plan, &inputs(case), 1)
}

#[test]
fn a_missing_barrier_is_seen() {
    let case = cases::mel_case(7, 64, 1, 17, &mut Random(3));
    let seen = planted(&case, Build::ThreadSanitizer, "BARRIER();", "").unwrap_err();
    assert!(seen.contains("data race"), "{seen}");
    // Without the sanitizer, threads read values that have not been written yet.
    let values = planted(&case, Build::Fibers, "BARRIER();", "").unwrap();
    assert!(error(&values, &case.expected) > case.tolerance);
}

/// The threads of the transform exchange rows within a SIMD group, but power values within the threadgroup.
#[test]
fn a_barrier_of_too_few_threads_is_seen() {
    let case = cases::fbank_case(Stft::kaldi_16khz(), 80, 1, 2000, &mut Random(3));
    let (right, wrong) = ("    BARRIER();\n\n#if MEL", "    SIMD_BARRIER();\n\n#if MEL");
    let seen = planted(&case, Build::ThreadSanitizer, right, wrong).unwrap_err();
    assert!(seen.contains("data race"), "{seen}");
    let values = planted(&case, Build::Fibers, right, wrong).unwrap();
    assert!(error(&values, &case.expected) > case.tolerance);
}

#[test]
fn an_overrun_is_seen() {
    let case = cases::cdist_case(Metric::Euclidean, 3, 5, 4, &mut Random(3));
    let (right, wrong) = ("column + j < p.m)", "column + j <= p.m)");
    let seen = planted(&case, Build::AddressSanitizer, right, wrong).unwrap_err();
    assert!(seen.contains("heap-buffer-overflow"), "{seen}");
    let seen = planted(&case, Build::Fibers, right, wrong).unwrap_err();
    assert!(seen.contains("wrote past the end"), "{seen}");
}

#[test]
fn a_barrier_that_some_threads_skip_is_seen() {
    let case = cases::mel_case(7, 64, 1, 17, &mut Random(3));
    let seen = planted(&case, Build::Fibers, "BARRIER();", "if (item > 0u) BARRIER();").unwrap_err();
    assert!(seen.contains("never reach"), "{seen}");
}

/// Mistakes in the use of matrix tiles.
#[test]
fn mistakes_with_matrix_tiles_are_seen() {
    let dims = conv2d::Dims { inputs: 32, outputs: 32, size: [3, 3], stride: 1, padding: [1, 1] };
    let case = cases::conv2d_case(dims, [1, 9, 31], false, Activation::Relu, &mut Random(3));
    let (right, wrong) = ("if (input > 0u) BARRIER();", "");
    let seen = planted(&case, Build::ThreadSanitizer, right, wrong).unwrap_err();
    assert!(seen.contains("data race"), "{seen}");

    let (right, wrong) = ("2u) * sum_column(item)", "2u) * (2u * (sum_row(item) % 4u))");
    let values = planted(&case, Build::Fibers, right, wrong);
    assert!(values.is_ok_and(|values| error(&values, &case.expected) > case.tolerance));

    let (right, wrong) = ("column < p.output_columns;", "column <= p.output_columns;");
    let seen = planted(&case, Build::AddressSanitizer, right, wrong).unwrap_err();
    assert!(seen.contains("heap-buffer-overflow"), "{seen}");
}

mod needs_release {
    use super::*;

    /// Under a GPU's sanitizers too: `compute-sanitizer --tool racecheck TEST --ignored networks`.
    #[test]
    #[ignore = "needs --release: the references take minutes without"]
    fn the_networks_operations_equal_their_references_on_every_device() {
        check_on_every_device(&cases::networks());
    }
}
