//! The command-line program: finds out who spoke when.

use std::{env, ffi::OsString, process::ExitCode};

use mimalloc::MiMalloc;

/// Returns more of the networks' unused memory before clustering than glibc does. Without transparent huge
/// pages (`no_thp`) it returns even more, at no cost in speed. mimalloc's version 2 (feature `v2`) returns memory
/// after 10 ms instead of a second. On two threads, that saved about 25 MB, but the program took 10 % more time.
/// With version 3 and a delay of 100 ms, it saved about 20 MB, but the program took 4 % more CPU time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    diarize_cli::program::run(&env::args_os().collect::<Vec<OsString>>())
}
