//! Running tests in separate processes, so that process-wide state such as memory and environment variables
//! is not shared with other tests.

use std::process::Command;

/// Set in a process that was started for a single test, to the test's name.
const ALONE: &str = "DIARIZE_TEST_ALONE";

/// Runs a test in a process of its own.
///
/// `name` is the test's full name, `test` its body.
///
/// # Panics
/// If the test fails, or if there is no test with this name.
pub fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some_and(|running| running == name) {
        return test();
    }
    let mut command = Command::new(std::env::current_exe().expect("the path of the test binary is known"));
    rerun(command.args(["--exact", name]).env(ALONE, name));
}

/// Reruns this test binary with the arguments and environment of `command`. Returns its standard output.
///
/// # Panics
/// If a test fails, or if none runs.
pub fn rerun(command: &mut Command) -> String {
    let output = command.args(["--include-ignored", "--nocapture"]).output().expect("the test binary runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{text}\n{errors}");
    assert!(!text.contains("running 0 tests"), "{command:?} runs no test");
    text
}
