//! Sentences about devices.

use diarize_kernels::device::{Kind, memory, missing};

#[test]
fn a_missing_gpu_is_reported_with_the_number_of_gpus() {
    assert_eq!(
        missing("cuda", 2, 7),
        "there is no GPU number 7: numbers start at 0, and there are 2 GPUs, cuda:0 to cuda:1"
    );
    assert_eq!(
        missing("metal", 1, 1),
        "there is no GPU number 1: numbers start at 0, and there is one GPU, metal:0"
    );
}

#[test]
fn only_gpus_that_are_present_have_memory() {
    assert_eq!(memory(Kind::Cpu), None);
    assert_eq!(memory(Kind::Cuda(usize::MAX)), None);
    assert_eq!(memory(Kind::Metal(usize::MAX)), None);
}
