//! Tests once more, with the vector instructions that the processor has beside the best.

use std::process::Command;

use diarize_kernels::simd::{VARIABLE, available};

use crate::rerun;

/// Runs the tests of this binary whose full names start with one of `names`, with each set of instructions
/// but the best, in processes of their own; prints which.
///
/// # Panics
/// If one fails, or one of `names` has no test.
pub fn run_with_each(names: &[&str]) {
    let sets = available();
    for (set, _) in &sets[..sets.len() - 1] {
        let mut command = Command::new(std::env::current_exe().expect("tests know their program"));
        let printed = rerun(command.args(names).env(VARIABLE, set));
        for name in names {
            assert!(printed.contains(&format!("test {name}")), "no test is called {name}");
        }
        println!("passed with {set}");
    }
}
