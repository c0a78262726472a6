//! Rerunning tests with each vector instruction set that the processor supports.

use std::process::Command;

use diarize_kernels::simd::{VARIABLE, available};

use crate::rerun;

/// Reruns the tests of this binary whose full names start with one of `names`, once for each available
/// instruction set except the best, in separate processes. Prints the instruction sets.
///
/// # Panics
/// If a test fails, or if no test matches one of `names`.
pub fn run_with_each(names: &[&str]) {
    let sets = available();
    for (set, _) in &sets[..sets.len() - 1] {
        let mut command =
            Command::new(std::env::current_exe().expect("the path of the test binary is known"));
        let printed = rerun(command.args(names).env(VARIABLE, set));
        for name in names {
            assert!(printed.contains(&format!("test {name}")), "no test matches {name}");
        }
        println!("passed with {set}");
    }
}
