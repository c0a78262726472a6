//! Tests in processes of their own: what belongs to a process, such as its memory and its environment,
//! would otherwise be shared with the tests that run beside them.

use std::process::Command;

/// Says that this process was started for a single test.
const ALONE: &str = "DIARIZE_TEST_ALONE";

/// Runs a test where no other one runs in the same process.
///
/// `name` is the test's full name, and `test` what it does.
///
/// # Panics
/// If the test fails, or there is no test of that name.
pub fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some_and(|running| running == name) {
        return test();
    }
    let mut command = Command::new(std::env::current_exe().expect("tests know their program"));
    rerun(command.args(["--exact", name]).env(ALONE, name));
}

/// Runs this test binary once more, as `command` says; returns what it printed.
///
/// # Panics
/// If a test fails, or none runs.
pub fn rerun(command: &mut Command) -> String {
    let output = command.args(["--include-ignored", "--nocapture"]).output().expect("the test binary runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{text}\n{errors}");
    assert!(!text.contains("running 0 tests"), "{command:?} runs no test");
    text
}
