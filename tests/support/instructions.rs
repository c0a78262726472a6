//! Tests once more, with the vector instructions that the processor has beside the best.

use std::process::Command;

use diarize_kernels::simd::{VARIABLE, available};

/// Runs the tests of this binary whose names contain one of `names`, with each set of instructions but the
/// best, in processes of their own; says which.
///
/// # Panics
/// If one fails.
pub(crate) fn run_with_each(names: &[&str]) {
    let sets = available();
    for (set, _) in &sets[..sets.len() - 1] {
        let output = Command::new(std::env::current_exe().unwrap()).args(names).env(VARIABLE, set).output();
        let output = output.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "with {set}: {text}");
        assert!(!text.contains("running 0 tests"), "no test is called {names:?}");
        println!("with {set}: as it should be");
    }
}
